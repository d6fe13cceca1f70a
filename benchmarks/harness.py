"""A program on a pseudo-terminal, timed from outside, and the medians that the benchmarks print.

What the terminal receives is only recorded, with the time of each read, while the program runs; the screen is
rebuilt from the recording afterwards, so that the terminal emulator takes no time from what is measured.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyte

COLUMNS, LINES = 120, 40
PLAIN_APP = (sys.executable, "-m", "benchmarks.plain_app")
ROOT = Path(__file__).resolve().parents[1]

#: Whether the screen holds what is waited for.
Seen = Callable[[pyte.Screen], bool]


@dataclass(frozen=True)
class Chunk:
    """What one read gave, and when (`time.perf_counter()` seconds)."""

    at: float
    data: bytes


@dataclass
class Recording:
    """Everything a terminal received, and the screen it makes."""

    columns: int = COLUMNS
    lines: int = LINES
    chunks: list[Chunk] = field(default_factory=list)

    def size(self) -> int:
        """Bytes received."""
        return sum(len(chunk.data) for chunk in self.chunks)

    def replay(self) -> GrowingReplay:
        """The screen after each chunk; the same object each time."""
        return GrowingReplay(self)

    def first(self, seen: Seen) -> float | None:
        """When the screen first held what `seen` looks for, null if it never did."""
        for at, screen in self.replay():
            if seen(screen):
                return at
        return None

    def screen(self) -> pyte.Screen:
        """The screen as it is now."""
        screens = [screen for _, screen in self.replay()]
        return screens[-1] if screens else pyte.Screen(self.columns, self.lines)


class GrowingReplay:
    """Iterates over (time, screen) of a recording's chunks; iterated again it goes on with what came since."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.taken = 0
        self.screen = pyte.Screen(recording.columns, recording.lines)
        self.stream = pyte.ByteStream(self.screen)

    def __iter__(self) -> Iterator[tuple[float, pyte.Screen]]:
        while self.taken < len(self.recording.chunks):
            chunk = self.recording.chunks[self.taken]
            self.taken += 1
            self.stream.feed(plain_sequences(chunk.data))
            yield chunk.at, self.screen


def plain_sequences(data: bytes) -> bytes:
    """Without the private-mode queries that pyte would draw as text."""
    return data.replace(b"\x1b[>4;1m", b"").replace(b"\x1b[>1u", b"").replace(b"\x1b[<u", b"")


class Terminal:
    """A child on its own pseudo-terminal; use as a context manager, which ends the child."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = COLUMNS,
        lines: int = LINES,
        env: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
    ) -> None:
        self.recording = Recording(columns, lines)
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
        for name in ("LC_ALL", "NO_COLOR", "TEXTUAL", "COLUMNS", "LINES"):
            environment.pop(name, None)
        environment.update(env or {})
        self.started = time.perf_counter()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(cwd)
                # The size has to stand before the program asks for it.
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
                os.execvpe(command[0], list(command), environment)
            finally:
                os._exit(127)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, keys: bytes) -> float:
        """Types; returns when."""
        at = time.perf_counter()
        os.write(self.fd, keys)
        return at

    def listen(self, seconds: float) -> bool:
        """Records for so long; false when the child has closed its terminal."""
        return self._read(time.perf_counter() + seconds, quiet=None)

    def until_quiet(self, quiet: float, limit: float) -> bool:
        """Records until nothing came for `quiet` seconds, at most `limit`."""
        return self._read(time.perf_counter() + limit, quiet=quiet)

    def wait_for(self, seen: Seen, limit: float, quiet: float = 0.25) -> float:
        """Records until the screen holds what is looked for; returns when it first did.

        Raises TimeoutError with the screen's text after `limit` seconds.
        """
        deadline = time.perf_counter() + limit
        while time.perf_counter() < deadline:
            alive = self.until_quiet(quiet, 1.0)
            at = self.recording.first(seen)
            if at is not None:
                return at
            if not alive:
                break
        shown = "\n".join(line.rstrip() for line in self.recording.screen().display)
        raise TimeoutError(f"not on the screen after {limit} s; the screen shows:\n{shown}")

    def _read(self, deadline: float, quiet: float | None) -> bool:
        while True:
            left = deadline - time.perf_counter()
            if left <= 0:
                return True
            patience = left if quiet is None else min(left, quiet)
            readable, _, _ = select.select([self.fd], [], [], patience)
            if not readable:
                if quiet is not None and self.recording.chunks:
                    return True
                continue
            try:
                data = os.read(self.fd, 1 << 16)
            except OSError:
                return False
            if not data:
                return False
            self.recording.chunks.append(Chunk(time.perf_counter(), data))

    def close(self) -> None:
        """Ends the child as a closed terminal would, or by force after five seconds."""
        with contextlib.suppress(OSError):
            os.close(self.fd)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGHUP)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(self.pid, os.WNOHANG) == (0, 0):
                    time.sleep(0.01)
                    continue
            return
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


def shows(*texts: str) -> Seen:
    """All of the texts are on the screen."""

    def seen(screen: pyte.Screen) -> bool:
        shown = "\n".join(screen.display)
        return all(text in shown for text in texts)

    return seen


def row_colours(screen: pyte.Screen, column: int) -> list[str]:
    """Background (or `reverse`) of one column, a line each."""
    colours = []
    for line in range(screen.lines):
        cell = screen.buffer[line][column]
        colours.append("reverse" if cell.reverse else str(cell.bg))
    return colours


def cursor_text(screen: pyte.Screen, column: int = 3, top: int = 2, bottom: int = 1) -> str:
    """The text of the row that is highlighted: the one whose background no other row of the table has.

    `top` and `bottom` lines of the screen (header, footer) are left out. "" when no row stands out.
    """
    colours = row_colours(screen, column)
    body = range(top, screen.lines - bottom)
    counts: dict[str, int] = {}
    for line in body:
        counts[colours[line]] = counts.get(colours[line], 0) + 1
    for line in body:
        if counts[colours[line]] == 1:
            return str(screen.display[line]).strip()
    return ""


def percentile(values: Sequence[float], share: float) -> float:
    """The value at `share` (0 to 1) by the nearest-rank method."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


def summary(values: Sequence[float]) -> str:
    """`median … p99 … worst … (n)` of seconds."""
    return (
        f"median {milliseconds(statistics.median(values))}, p99 {milliseconds(percentile(values, 0.99))}, "
        f"worst {milliseconds(max(values))} (n={len(values)})"
    )


def report(name: str, figure: str, target: str, met: bool) -> bool:
    """Prints one line of the table that `make bench` makes; returns `met`."""
    print(f"{'ok  ' if met else 'MISS'} {name:<22} {figure}   [{target}]", flush=True)
    return met
