"""The agent's socket: one agent per store, a folder only its owner may enter, and who is at the other end."""

from __future__ import annotations

import fcntl
import grp
import os
import pwd
import socket
import struct
from pathlib import Path
from typing import NamedTuple

from store.database import Layout
from store.protocol import ExitCode, Refusal


class Peer(NamedTuple):
    """What the kernel says of a connection's other end (SO_PEERCRED)."""

    pid: int
    uid: int
    user: str


def peer_of(connection: socket.socket) -> Peer:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _gid = struct.unpack("3i", credentials)
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = f"uid {uid}"
    return Peer(pid, uid, user)


class Endpoint:
    """Holds the store's lock and its listening socket; `close` gives both back."""

    def __init__(self, layout: Layout, group: str) -> None:
        self._layout = layout
        self._group = group
        self._lock: int | None = None

    def lock(self) -> None:
        """Be the store's only agent. Raises `Refusal` naming the process that already is.

        The lock goes with the process, however it ends: a socket left behind by a killed agent is stale by
        definition, and whoever holds the lock may remove it.
        """
        try:
            descriptor = os.open(self._layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Refusal(
                ExitCode.NO_AGENT,
                f"{self._layout.lock}: {error.strerror}",
                "The agent needs to write in the store's folder: check its owner, mode and disk.",
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 64).decode(errors="replace").strip() or "?"
            os.close(descriptor)
            raise Refusal(
                ExitCode.NO_AGENT,
                f"An agent (process {holder}) already runs on {self._layout.root}.",
                "`quarterdeck agent status` shows it; `quarterdeck agent stop` ends it.",
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._lock = descriptor

    def listen(self) -> socket.socket:
        """The listening socket, in a folder that only the owner (or the configured group) may enter."""
        path = self._layout.socket
        gid = self._group_id()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._private(path.parent, gid)
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        if gid is not None:
            os.chown(path, -1, gid)
            path.chmod(0o660)
        listener.listen(128)
        listener.setblocking(False)
        return listener

    def close(self) -> None:
        self._layout.socket.unlink(missing_ok=True)
        self.unlock()

    def unlock(self) -> None:
        """Give the lock back; the socket stays as it is."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _private(self, folder: Path, gid: int | None) -> None:
        status = folder.stat()
        if status.st_uid != os.geteuid():
            raise Refusal(
                ExitCode.NO_AGENT,
                f"{folder} belongs to uid {status.st_uid}, not to you.",
                "Remove it, or point XDG_RUNTIME_DIR at a folder of your own.",
            )
        if gid is not None:
            os.chown(folder, -1, gid)
        folder.chmod(0o700 if gid is None else 0o750)

    def _group_id(self) -> int | None:
        if not self._group:
            return None
        try:
            return grp.getgrnam(self._group).gr_gid
        except KeyError as error:
            raise Refusal(
                ExitCode.USAGE, f"[access] group: there is no group {self._group!r}.", "Mend quarterdeck.toml."
            ) from error
