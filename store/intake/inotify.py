"""Linux's inotify: what happens below a folder, without following links below it or waking up while idle.

watchfiles follows symbolic links when it watches a tree (a link to `/` that arrives would make it watch the
whole disk), does not tell a closed file from a growing one, and polls; so on Linux the kernel is asked itself.
See inotify(7).
"""

from __future__ import annotations

import contextlib
import ctypes
import enum
import errno
import logging
import os
import select
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from store.intake.roots import Turn

log = logging.getLogger(__name__)

_MODIFY, _ATTRIB, _CLOSE_WRITE, _MOVED_TO, _CREATE = 0x2, 0x4, 0x8, 0x80, 0x100
_MOVED_FROM, _DELETE, _DELETE_SELF, _MOVE_SELF, _UNMOUNT = 0x40, 0x200, 0x400, 0x800, 0x2000
_OVERFLOW, _IGNORED, _ISDIR = 0x4000, 0x8000, 0x40000000
_ONLYDIR, _DONT_FOLLOW, _EXCL_UNLINK, _MASK_ADD = 0x01000000, 0x02000000, 0x04000000, 0x20000000
#: One folder may be watched for two reasons: what the one asks for is added to what the other did.
_HOW = _ONLYDIR | _MASK_ADD
_TOLD = _MODIFY | _ATTRIB | _CLOSE_WRITE | _MOVED_TO | _CREATE
_MASK = _TOLD | _EXCL_UNLINK | _HOW | _DONT_FOLLOW
#: The root of a tree is the operator's choice: it may be a link, and its own going is told.
_ROOT_MASK = _TOLD | _EXCL_UNLINK | _HOW | _DELETE_SELF | _MOVE_SELF
_TURN_MASK = _CREATE | _MOVED_TO | _MOVED_FROM | _DELETE | _ATTRIB | _HOW
_ROOT_GONE = _DELETE_SELF | _MOVE_SELF | _UNMOUNT | _IGNORED
_MOUNTS = "/proc/self/mountinfo"
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
        # The kernel tells of every mount and unmount here: proc_pid_mountinfo(5).
        self._mounts = os.open(_MOUNTS, os.O_RDONLY | os.O_CLOEXEC) if os.path.exists(_MOUNTS) else -1  # noqa: PTH110
        if self._mounts >= 0:
            self._poll.register(self._mounts, select.POLLPRI)
        self._paths: dict[int, list[str]] = {}
        """By watch: the paths by which its folder is reached, several where it is mounted or linked twice."""
        self._roots: set[str] = set()
        self._turns: dict[int, frozenset[str]] = {}
        self.overflowed = False
        """Events were lost: the trees have to be walked. The reader of this clears it."""
        self.unsettled = False
        """A root may lie elsewhere now, or no longer: `store.intake.roots` says. The reader of this clears it."""

    @property
    def watches(self) -> int:
        return len(self._paths)

    def add_tree(self, folder: str) -> Iterator[Change]:
        """Watch `folder`, which may be a link, and every folder below it; yields the files that lie there already.

        Each folder is watched before it is listed, so that nothing falls between the two. Links below are files.
        """
        self._roots.add(folder)
        yield from self._add_below(folder)

    def forget_tree(self, folder: str) -> None:
        """Watch `folder` and what is below it no longer."""
        self._roots.discard(folder)
        under = folder.rstrip("/") + "/"
        for number, places in list(self._paths.items()):
            kept = [place for place in places if place != folder and not place.startswith(under)]
            if kept:
                self._paths[number] = kept
            else:
                del self._paths[number]
                self._drop_unused(number)

    def watches_root(self, folder: str) -> bool:
        """Whether the root `folder` is watched: one that was removed is not, whatever was made in its place."""
        return any(folder in places for places in list(self._paths.values()))

    def follow_turns(self, turns: Iterable[Turn]) -> None:
        """Be told (`unsettled`) when one of these entries is made, replaced, removed or changes its mode."""
        names: dict[int, set[str]] = {}
        for turn in turns:
            number = self._watch(turn.folder, _TURN_MASK)
            if number is not None:
                names.setdefault(number, set()).add(turn.name)
        before, self._turns = self._turns, {number: frozenset(found) for number, found in names.items()}
        for number in before.keys() - names.keys():
            self._drop_unused(number)

    def read(self, timeout: float | None) -> list[Change]:
        """What happened; waits up to `timeout` seconds (None: until something does, or `wake`)."""
        found: list[Change] = []
        for descriptor, _ in self._poll.poll(None if timeout is None else max(0, int(timeout * 1000))):
            if descriptor == self._fd:
                found += self._drain()
            elif descriptor == self._mounts:
                self.unsettled = True
            else:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._wake)
        return found

    def wake(self) -> None:
        """Have `read` return, from any thread."""
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        os.close(self._fd)
        os.close(self._wake)
        if self._mounts >= 0:
            os.close(self._mounts)

    def _add_below(self, folder: str) -> Iterator[Change]:
        waiting = [folder]
        while waiting:
            place = waiting.pop()
            if self._add(place):
                yield from files_in(place, waiting)
            elif ctypes.get_errno() == errno.EACCES:
                # As `files_in` reports it; only not through a link that was put in its place.
                yield Change(f"{place}/", Hint.SEEN)

    def _add(self, folder: str) -> bool:
        number = self._watch(folder, _ROOT_MASK if folder in self._roots else _MASK)
        if number is None:
            return False
        places = self._paths.setdefault(number, [])
        if folder not in places:
            # Moved within the tree it is no longer where it was; mounted twice it is in both places.
            self._paths[number] = [*(place for place in places if _same(place, folder)), folder]
        return True

    def _watch(self, folder: str, mask: int) -> int | None:
        number = int(self._libc.inotify_add_watch(self._fd, os.fsencode(folder), mask))
        if number >= 0:
            return number
        code = ctypes.get_errno()
        if code in (errno.ENOSPC, errno.ENOMEM):
            raise LimitReached(f"fs.inotify.max_user_watches is used up after {len(self._paths):,} folders")
        # Gone again, swapped for a link, or not ours to read: the walk reports what can be reported.
        log.debug("not watched: %r (%s)", folder, errno.errorcode.get(code, code))
        return None

    def _drop_unused(self, number: int) -> None:
        if number not in self._paths and number not in self._turns:
            # It may be gone by itself already.
            self._libc.inotify_rm_watch(self._fd, number)

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
        places = self._paths.get(number, [])
        if mask & _ROOT_GONE and any(place in self._roots for place in places):
            self.unsettled = True
        if mask & _IGNORED:
            self._paths.pop(number, None)
            if self._turns.pop(number, None) is not None:
                self.unsettled = True
            return []
        if name in self._turns.get(number, ()):
            self.unsettled = True
        if not name or not mask & _TOLD:
            return []
        return [change for place in places for change in self._told(f"{place}/{name}", mask)]

    def _told(self, path: str, mask: int) -> list[Change]:
        if mask & _ISDIR:
            # An attribute change may be the permission that was missing.
            reported = [Change(f"{path}/", Hint.GROWING)] if mask & _ATTRIB else []
            return [*reported, *self._add_below(path)] if mask & (_CREATE | _MOVED_TO | _ATTRIB) else []
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


def _same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)  # noqa: PTH121
    except OSError:
        return False


def _error(call: str) -> Exception:
    code = ctypes.get_errno()
    if code in (errno.EMFILE, errno.ENOSPC, errno.ENOMEM):
        return LimitReached(f"{call}: {os.strerror(code)} (fs.inotify.max_user_instances)")
    return OSError(code, f"{call}: {os.strerror(code)}")
