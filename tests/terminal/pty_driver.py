"""Drives a real command on a real pseudo-terminal: keys in, a screen out, and deadlines instead of sleeps."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pexpect
import pyte

#: Seconds that anything may take on a busy machine; a test that is right needs a fraction.
PATIENCE = 30.0
ESCAPE = "\x1b"
ENTER = "\r"
DOWN = "\x1b[B"
UP = "\x1b[A"


class Session:
    """A command on its own terminal. Use as a context manager: nothing is left running after it."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 120,
        lines: int = 40,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.received = bytearray()
        self.hung_up = False
        self.child = pexpect.spawn(
            command[0],
            list(command[1:]),
            dimensions=(lines, columns),
            env=terminal_environment(env or {}),
            cwd=None if cwd is None else os.fspath(cwd),
            timeout=PATIENCE,
        )
        self.child.delaybeforesend = None
        self.child.ptyproc.delayafterclose = 0

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        if self.hung_up:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self.child.pid, signal.SIGKILL)
                os.waitpid(self.child.pid, 0)
            return
        if self.child.isalive():
            self.child.kill(signal.SIGKILL)
        self.child.close(force=True)

    @property
    def text(self) -> str:
        """The screen, a line each, without trailing spaces."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def send(self, keys: str) -> None:
        self.child.send(keys)

    def press(self, keys: str) -> None:
        """Sends keys and waits until the terminal has received something for it: one thing after the other, as
        an operator who looks does it."""
        before = len(self.received)
        self.child.send(keys)
        self.wait_until(lambda _: len(self.received) > before, f"anything after {keys!r}")

    def resize(self, columns: int, lines: int) -> None:
        """As a terminal window does it: the size changes and the program gets SIGWINCH."""
        self.screen.resize(lines, columns)
        self.child.setwinsize(lines, columns)

    def pump(self, seconds: float) -> bool:
        """Takes what comes within so long; false when the program has closed its terminal."""
        try:
            data = self.child.read_nonblocking(1 << 16, timeout=seconds)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.received += data
        self.stream.feed(data)
        return True

    def wait_until(self, holds: Callable[[str], bool], what: str, seconds: float = PATIENCE) -> str:
        """The screen's text as soon as `holds` is true of it; AssertionError with the screen otherwise."""
        deadline = time.monotonic() + seconds
        alive = True
        while not holds(self.text):
            assert alive and time.monotonic() < deadline, (
                f"{what}: not on the screen{'' if alive else ', and the program has ended'}:\n{self.text}"
            )
            alive = self.pump(0.1)
        return self.text

    def wait_for(self, pattern: str, seconds: float = PATIENCE) -> str:
        """Waits until the regular expression is found on the screen."""
        return self.wait_until(lambda text: re.search(pattern, text) is not None, repr(pattern), seconds)

    def wait_gone(self, pattern: str, seconds: float = PATIENCE) -> str:
        return self.wait_until(lambda text: re.search(pattern, text) is None, f"no {pattern!r}", seconds)

    def wait_end(self, seconds: float = PATIENCE) -> int | None:
        """Waits until the process has ended; its exit status (null when a signal ended it)."""
        deadline = time.monotonic() + seconds
        while self.pump(0.1):
            assert time.monotonic() < deadline, f"still running, and shows:\n{self.text}"
        self.child.wait()
        status = self.child.exitstatus
        return None if status is None else int(status)

    def hang_up(self) -> None:
        """Closes the terminal's other end: the kernel sends SIGHUP and every read is an end of file."""
        self.hung_up = True
        self.child.ptyproc.fileobj.close()


def terminal_environment(changes: Mapping[str, str]) -> dict[str, str]:
    """This process's environment as a plain colour terminal with a UTF-8 locale would have it, then changed."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {"LC_ALL", "LC_CTYPE", "NO_COLOR", "COLUMNS", "LINES", "TMUX", "SSH_TTY", "SSH_CONNECTION"}
        and not name.startswith(("TEXTUAL", "QUARTERDECK", "PYTEST"))
    }
    environment.update(TERM="xterm-256color", COLORTERM="truecolor", LANG="C.UTF-8")
    environment.update(changes)
    return environment


def wait_gone(pid: int, seconds: float = PATIENCE) -> bool:
    """Whether the process ends within so long; it is not reaped, since that is its parent's to do."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        ended, _, _ = select.select([descriptor], [], [], seconds)
        return bool(ended)
    finally:
        os.close(descriptor)
