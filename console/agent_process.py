"""The agent as a process of this host: found without asking it, and what helps when it does not answer.

What the kernel says is believed (the socket's peer, the lock, /proc), never what the agent says of itself: one that
hangs says nothing.
"""

from __future__ import annotations

import os
import select
import shlex
import signal
import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from store.protocol import ExitCode, Refusal, lock_path, socket_path

#: Seconds that an agent has to end after SIGTERM, and the kernel to end it after SIGKILL.
TERM_SECONDS = 15.0
KILL_SECONDS = 10.0
#: What /proc/PID/stat calls the states, proc_pid_stat(5).
_STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "in an uninterruptible wait, for a disk or a network file system",
    "T": "stopped by a signal",
    "t": "stopped by a debugger",
    "Z": "ended, but not collected by its parent",
    "X": "dead",
}


@dataclass(frozen=True, slots=True)
class AgentProcess:
    """A process that is, or claims to be, the agent of `store`; `state` is its letter in /proc ("" for none)."""

    store: Path
    pid: int
    state: str
    holds_lock: bool
    """Whether it has this store's lock open, so that it is this store's agent and no other process of that number."""
    last_sign: float | None
    """When it last touched its socket (wall clock, seconds): every `HEARTBEAT_SECONDS` while it is well."""

    @property
    def stopped(self) -> bool:
        return self.state in ("T", "t")

    def words(self) -> str:
        """`process 123, stopped by a signal, no sign of life since 14:05:03 (12 s)`."""
        parts = [f"process {self.pid}"]
        if not self.state:
            parts.append("which is gone")
        elif self.state not in ("R", "S"):
            parts.append(_STATES.get(self.state, f"in state {self.state}"))
        if self.last_sign is not None and self.state:
            from console.text import duration, when

            silent = max(0.0, time.time() - self.last_sign)
            parts.append(f"no sign of life since {when(self.last_sign, seconds=True)} ({duration(silent)})")
        return ", ".join(parts)

    def help(self) -> str:
        """The command that helps."""
        force = f"quarterdeck --store {shlex.quote(os.fspath(self.store))} agent stop --force"
        if self.state == "t":
            return f"Let the debugger go on, or end it: {force}"
        if self.stopped:
            return f"Let it go on: kill -CONT {self.pid}; or end it: {force}"
        if self.state == "D":
            return f"It goes on when the disk answers; mend that, or try: {force}"
        return f"Wait while the host is busy; or end it: {force}"


def agent_process(store: Path, connection: socket.socket | None = None) -> AgentProcess | None:
    """The process that is the agent of `store`, whether it answers or not; None where none runs.

    `connection` is one to its socket: the kernel knows who listens there. Else whoever holds the store's lock.
    """
    pid = 0
    if connection is not None:
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid = struct.unpack("3i", credentials)[0]
    if not pid:
        try:
            pid = int(lock_path(store).read_text().strip())
        except (OSError, ValueError):
            return None
    state = state_of(pid)
    holds = _has_open(pid, lock_path(store))
    if connection is None and (state in ("", "Z") or holds is False):
        return None
    return AgentProcess(store, pid, state, bool(holds), _last_sign(store))


def state_of(pid: int) -> str:
    """The letter of the process's state; "" when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # The name in brackets may hold anything, brackets and blanks too.
    return stat.rpartition(")")[2].split()[0]


def silent(store: Path, what: str, connection: socket.socket | None = None) -> Refusal:
    """What is told of an agent that does not answer: which process, how it is, and the command that helps."""
    found = agent_process(store, connection)
    if found is None:
        return Refusal(ExitCode.NO_AGENT, f"The agent did not answer {what}, and is gone.", _start(store))
    detail = {"pid": found.pid, "state": found.state, "silent": True}
    return Refusal(ExitCode.NO_AGENT, f"The agent did not answer {what}: {found.words()}.", found.help(), detail)


def unreachable(store: Path) -> Refusal | None:
    """What is told where no agent listens though one holds the store; None where none does."""
    found = agent_process(store)
    if found is None:
        return None
    detail = {"pid": found.pid, "state": found.state}
    if found.stopped:
        return Refusal(ExitCode.NO_AGENT, f"The agent does not listen: {found.words()}.", found.help(), detail)
    return Refusal(
        ExitCode.NO_AGENT,
        f"The agent, {found.words()}, holds the store but does not listen at {socket_path(store)}.",
        f"It may be starting or ending; else its socket was removed: "
        f"quarterdeck --store {shlex.quote(os.fspath(store))} agent stop --force",
        detail,
    )


def end(store: Path) -> tuple[int, str]:
    """End the agent of `store` whatever it does: SIGTERM, then SIGKILL. Its number, and what it took in words.

    Only a process that has this store's lock open is signalled. Raises `Refusal`: none runs, it is another's, or the
    kernel cannot end it yet.
    """
    found = agent_process(store)
    if found is None:
        raise Refusal(ExitCode.NO_AGENT, f"No agent runs for {store}.", _start(store))
    try:
        # From here on the number means this process and no later one.
        descriptor = os.pidfd_open(found.pid)
    except OSError:
        descriptor = -1
    try:
        if descriptor < 0 or not _has_open(found.pid, lock_path(store)):
            raise Refusal(
                ExitCode.REFUSED,
                f"{lock_path(store)} names process {found.pid}, which is not seen to hold it: nothing was ended.",
                f"Who holds it: fuser -v {shlex.quote(os.fspath(lock_path(store)))} (as the agent's user or root).",
            )
        return found.pid, _end(found, descriptor)
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _end(found: AgentProcess, descriptor: int) -> str:
    was = f" ({_STATES[found.state]})" if found.state in ("T", "t", "D") else ""
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        # A stopped process takes no signal but this one.
        signal.pidfd_send_signal(descriptor, signal.SIGCONT)
        if _ended(descriptor, TERM_SECONDS):
            return f"The agent, process {found.pid}{was}, has ended after SIGTERM."
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        if _ended(descriptor, KILL_SECONDS):
            return (
                f"The agent, process {found.pid}{was}, did not end within {TERM_SECONDS:.0f} s of SIGTERM and was "
                "killed; what it had not recorded is taken in again at the next start."
            )
    except ProcessLookupError:
        return f"The agent, process {found.pid}, had ended by itself."
    except PermissionError:
        raise Refusal(
            ExitCode.NOT_PERMITTED,
            f"The agent, process {found.pid}, belongs to another user.",
            f"As that user or root: kill {found.pid}",
        ) from None
    state = state_of(found.pid)
    raise Refusal(
        ExitCode.REFUSED,
        f"The agent, process {found.pid}, was killed but has not ended: {_STATES.get(state, state)}.",
        "The kernel ends it when the disk or network file system that it waits for answers.",
    )


def _ended(descriptor: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _has_open(pid: int, path: Path) -> bool | None:
    """Whether the process has the file open; None where that is not for this user to know."""
    try:
        wanted = path.stat()
        descriptors = list(os.scandir(f"/proc/{pid}/fd"))
    except PermissionError:
        return None
    except OSError:
        return False
    for entry in descriptors:
        try:
            found = entry.stat()
        except OSError:
            continue
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
            return True
    return False


def _last_sign(store: Path) -> float | None:
    try:
        return socket_path(store).stat().st_mtime
    except OSError:
        return None


def _start(store: Path) -> str:
    return f"Start one with: quarterdeck --store {shlex.quote(os.fspath(store))} agent start"
