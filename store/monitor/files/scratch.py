"""Folders for what is read once and needed only while somebody reads it."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import os
import secrets
import shutil
import tempfile
import threading
import time
import weakref
from pathlib import Path

_PREFIX = "quarterdeck-"
_LOCK = "in-use"
#: Younger folders may be of a process that has not locked its own yet.
_ABANDONED_SECONDS = 600
#: `functools.cache` lets two threads that come first both in: two roots, or a lock that waits for its own process.
_first = threading.RLock()


def scratch_root() -> Path:
    """The folder of this process in which every `Scratch` lies, made with the first: a DuckDB that may read little may
    read this."""
    with _first:
        return _root()


@functools.cache
def _root() -> Path:
    atexit.register(remove_scratch)
    return Path(tempfile.gettempdir()) / f"{_PREFIX}{secrets.token_hex(8)}"


def remove_scratch() -> None:
    """Remove every `Scratch` of this process: for those that end by `os._exit`, which runs no exit handler."""
    shutil.rmtree(scratch_root(), ignore_errors=True)


class Scratch:
    """A folder of its owner's alone that is removed when no reference to it is left."""

    def __init__(self) -> None:
        # Each time anew: folders for temporary files are swept, and an agent runs for months.
        scratch_root().mkdir(mode=0o700, exist_ok=True)
        with _first:
            _lock(scratch_root())
        self.path = Path(tempfile.mkdtemp(dir=scratch_root()))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


@functools.cache
def _lock(root: Path) -> int:
    """Hold `root` as long as this process lives, and remove what processes that were killed left beside it.

    A lock, not a process id: containers that share the folder for temporary files have ids of their own.
    """
    held = os.open(root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(held, fcntl.LOCK_EX)
    for other in root.parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if other != root and time.time() - other.stat().st_mtime > _ABANDONED_SECONDS:
                _remove_abandoned(other)
    return held


def _remove_abandoned(root: Path) -> None:
    """Raises OSError where its process lives, or it is another user's, or no such folder."""
    # Without O_CREAT: a folder without the file is none of these.
    lock = os.open(root / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(root, ignore_errors=True)
    finally:
        os.close(lock)
