"""The terminal driver: Textual's own, but it ends with its terminal and asks the mouse only for clicks.

Textual's Linux driver spins on a closed terminal (end of file is always readable) and its writer thread dies of
the first failed write, after which the next one waits for ever. Here both mean that the operator hung up.
"""

from __future__ import annotations

import os
import re
import selectors
import signal
import sys
import termios
import threading
from codecs import getincrementaldecoder
from typing import IO, TYPE_CHECKING, Any

from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

from console.alarm import BELL, RESTORE_TITLE, SAVE_TITLE, title_sequence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Seconds that the clean-up may take after a signal; then the process ends whatever is stuck.
CLEAN_UP_SECONDS = 5.0


#: Terminals that promise nothing: what they do with a colour code is anybody's guess (terminfo(5)).
_COLOURLESS = frozenset({"dumb", "unknown"})
_SGR = re.compile(r"\x1b\[([0-9;:]*)m")


def colourless(environment: Mapping[str, str] | None = None) -> bool:
    """Whether the terminal is one that no colour code is sent to."""
    return (os.environ if environment is None else environment).get("TERM", "").lower() in _COLOURLESS


def without_colours(data: str) -> str:
    """`data` with the colours taken out of its SGR sequences (ECMA-48, 8.3.117); weight and reverse stay."""
    return _SGR.sub(_attributes, data)


def _attributes(found: re.Match[str]) -> str:
    kept: list[str] = []
    codes = found[1].split(";")
    place = 0
    while place < len(codes):
        code = codes[place]
        place += 1
        if code in ("38", "48", "58"):
            # 5;N or 2;R;G;B follows.
            place += {"5": 2, "2": 4}.get(codes[place] if place < len(codes) else "", 0)
        elif ":" not in code and not (code.isdigit() and (30 <= int(code) <= 49 or 90 <= int(code) <= 107)):
            kept.append(code)
    return f"\x1b[{';'.join(kept)}m" if kept else ""


class _HangingUp:
    """The terminal's output file; once it is gone, writes go nowhere and `hung_up` is called once."""

    def __init__(self, file: IO[str], hung_up: Callable[[], None]) -> None:
        self._file = file
        self._hung_up = hung_up
        self._gone = False

    def write(self, text: str) -> None:
        if not self._gone:
            try:
                self._file.write(text)
            except (OSError, ValueError):
                self._lost()

    def flush(self) -> None:
        if not self._gone:
            try:
                self._file.flush()
            except (OSError, ValueError):
                self._lost()

    def fileno(self) -> int:
        return self._file.fileno()

    def isatty(self) -> bool:
        return True

    def _lost(self) -> None:
        self._gone = True
        self._hung_up()


class TerminalDriver(LinuxDriver):
    """Ends the app at end of file, at a failed write, and at SIGHUP or SIGTERM."""

    def __init__(self, app: Any, **settings: Any) -> None:
        super().__init__(app, **settings)
        output = sys.__stdout__ if sys.__stdout__ is not None and sys.__stdout__.isatty() else sys.__stderr__
        assert output is not None
        self._file = _HangingUp(output, self.hang_up)  # type: ignore[assignment]
        self._leaving = False
        self._titled = False
        self._colourless = colourless()

    def write(self, data: str) -> None:
        super().write(without_colours(data) if self._colourless else data)

    def hang_up(self) -> None:
        """End the app from any thread or signal handler; the process is gone within CLEAN_UP_SECONDS."""
        if self._leaving:
            return
        self._leaving = True
        watchdog = threading.Timer(CLEAN_UP_SECONDS, self._end_process)
        watchdog.daemon = True
        watchdog.start()
        try:
            self._loop.call_soon_threadsafe(self._app.exit)
        except RuntimeError:
            # The loop is closed already: the clean-up is under way.
            pass

    def show_title(self, text: str) -> None:
        """Give the window this title; with "" the one it had before."""
        if text:
            self.write(("" if self._titled else SAVE_TITLE) + title_sequence(text))
        elif self._titled:
            self.write(RESTORE_TITLE)
        self._titled = bool(text)
        self.flush()

    def ring(self) -> None:
        """The terminal's bell."""
        self.write(BELL)
        self.flush()

    def stop_application_mode(self) -> None:
        self.show_title("")
        super().stop_application_mode()

    def start_application_mode(self) -> None:
        signal.signal(signal.SIGHUP, lambda *_: self.hang_up())
        signal.signal(signal.SIGTERM, lambda *_: self.hang_up())
        super().start_application_mode()  # type: ignore[no-untyped-call]

    def _enable_mouse_support(self) -> None:
        if self._mouse:
            # Clicks and the wheel. Not every movement (1003): each would cross the SSH connection.
            self.write("\x1b[?1000h\x1b[?1006h")
            self.flush()

    def _query_in_band_window_resize(self) -> None:
        """SIGWINCH tells the size; the in-band report would also turn the mouse to pixels."""

    def _end_process(self) -> None:
        if self.attrs_before is not None:
            try:
                termios.tcsetattr(self.fileno, termios.TCSANOW, self.attrs_before)
                if self._titled:
                    os.write(self.fileno, RESTORE_TITLE.encode())
                os.write(self.fileno, b"\x1b[<u\x1b[?1049l\x1b[?25h\x1b[?1000l\x1b[?1004l\x1b[?2004l\x1b[?7h")
            except (OSError, termios.error):
                pass
        os._exit(128 + signal.SIGHUP)

    def run_input_thread(self) -> None:
        """Wait for input and dispatch it, until the app exits or the terminal is gone."""
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")("replace").decode
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                # The pause is what tells a lone escape key from the beginning of a sequence.
                if selector.select(0.1):
                    try:
                        data = os.read(self.fileno, 4096)
                    except BlockingIOError:
                        continue
                    except OSError:
                        data = b""
                    if not data:
                        self.hang_up()
                        return
                    for event in parser.feed(decode(data)):
                        self.process_message(event)
                for event in parser.tick():
                    self.process_message(event)
