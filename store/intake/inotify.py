"""Linux's inotify: what happens below a folder, without following links and without waking up while idle.

watchfiles follows symbolic links when it watches a tree (a link to `/` that arrives would make it watch the
whole disk), does not tell a closed file from a growing one, and polls; so on Linux the kernel is asked itself.
See inotify(7).
"""

from __future__ import annotations

import ctypes
import enum
import errno
import logging
import os
import select
import struct
from collections.abc import Iterator
from typing import NamedTuple

log = logging.getLogger(__name__)

_MODIFY, _ATTRIB, _CLOSE_WRITE, _MOVED_TO, _CREATE = 0x2, 0x4, 0x8, 0x80, 0x100
_OVERFLOW, _IGNORED, _ISDIR = 0x4000, 0x8000, 0x40000000
_ONLYDIR, _DONT_FOLLOW, _EXCL_UNLINK = 0x01000000, 0x02000000, 0x04000000
_MASK = _MODIFY | _ATTRIB | _CLOSE_WRITE | _MOVED_TO | _CREATE | _ONLYDIR | _DONT_FOLLOW | _EXCL_UNLINK
_HEADER = struct.Struct("iIII")
_BUFFER = 1 << 18


class Hint(enum.IntEnum):
    """What is known of a file that is reported: the later ones say more."""

    SEEN = 0
    GROWING = 1
    CLOSED = 2
    """Its writer closed it."""
    MOVED = 3
    """It was renamed into place."""


class Change(NamedTuple):
    path: str
    hint: Hint


class LimitReached(Exception):
    """The user's watches or instances are used up (fs.inotify.max_user_watches, max_user_instances)."""


class Inotify:
    """Watches trees; `read` gives what changed. Raises `LimitReached` or OSError when it cannot."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = int(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        if self._fd < 0:
            raise _error("inotify_init1")
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._poll.register(self._wake, select.POLLIN)
        self._paths: dict[int, str] = {}
        self.overflowed = False
        """Events were lost: the trees have to be walked. The reader of this clears it."""

    @property
    def watches(self) -> int:
        return len(self._paths)

    def add_tree(self, folder: str) -> Iterator[Change]:
        """Watch `folder` and every folder below it; yields the files that lie there already.

        Each folder is watched before it is listed, so that nothing falls between the two.
        """
        waiting = [folder]
        while waiting:
            place = waiting.pop()
            if not self._add(place):
                continue
            yield from files_in(place, waiting)

    def watches_still(self, folder: str) -> bool:
        """Whether `folder` is watched; one that was removed and made again is not, and is watched from now on."""
        known = set(self._paths)
        return self._add(folder) and set(self._paths) == known

    def read(self, timeout: float | None) -> list[Change]:
        """What happened; waits up to `timeout` seconds (None: until something does, or `wake`)."""
        found: list[Change] = []
        for descriptor, _ in self._poll.poll(None if timeout is None else max(0, int(timeout * 1000))):
            if descriptor == self._fd:
                found += self._drain()
        return found

    def wake(self) -> None:
        """Have `read` return, from any thread."""
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        os.close(self._fd)
        os.close(self._wake)

    def _add(self, folder: str) -> bool:
        number = int(self._libc.inotify_add_watch(self._fd, os.fsencode(folder), _MASK))
        if number >= 0:
            self._paths[number] = folder
            return True
        code = ctypes.get_errno()
        if code in (errno.ENOSPC, errno.ENOMEM):
            raise LimitReached(f"fs.inotify.max_user_watches is used up after {len(self._paths):,} folders")
        # Gone again, swapped for a link, or not ours to read: the walk reports what can be reported.
        log.debug("not watched: %r (%s)", folder, errno.errorcode.get(code, code))
        return False

    def _drain(self) -> list[Change]:
        found: list[Change] = []
        while True:
            try:
                block = os.read(self._fd, _BUFFER)
            except BlockingIOError:
                return found
            offset = 0
            while offset < len(block):
                number, mask, _, length = _HEADER.unpack_from(block, offset)
                offset += _HEADER.size
                name = os.fsdecode(block[offset : offset + length].rstrip(b"\0"))
                offset += length
                found += self._event(number, mask, name)

    def _event(self, number: int, mask: int, name: str) -> list[Change]:
        if mask & _OVERFLOW:
            self.overflowed = True
            return []
        if mask & _IGNORED:
            self._paths.pop(number, None)
            return []
        place = self._paths.get(number)
        if place is None or not name:
            return []
        path = f"{place}/{name}"
        if mask & _ISDIR:
            # An attribute change may be the permission that was missing.
            reported = [Change(f"{path}/", Hint.GROWING)] if mask & _ATTRIB else []
            return [*reported, *self.add_tree(path)] if mask & (_CREATE | _MOVED_TO | _ATTRIB) else []
        if mask & _MOVED_TO:
            return [Change(path, Hint.MOVED)]
        if mask & _CLOSE_WRITE:
            return [Change(path, Hint.CLOSED)]
        return [Change(path, Hint.SEEN if mask & _ATTRIB else Hint.GROWING)]


def files_in(folder: str, folders: list[str]) -> Iterator[Change]:
    """The files in `folder`; the folders in it are appended to `folders`. Links are files.

    A folder that may not be entered is reported itself: it is for quarantine to show.
    """
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    yield Change(entry.path, Hint.SEEN)
    except PermissionError:
        yield Change(f"{folder}/", Hint.SEEN)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            log.warning("cannot list %r: %s", folder, error.strerror)


def _error(call: str) -> Exception:
    code = ctypes.get_errno()
    if code in (errno.EMFILE, errno.ENOSPC, errno.ENOMEM):
        return LimitReached(f"{call}: {os.strerror(code)} (fs.inotify.max_user_instances)")
    return OSError(code, f"{call}: {os.strerror(code)}")
