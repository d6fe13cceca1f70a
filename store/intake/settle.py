"""Telling a whole file from one that is still being written."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
import struct
from typing import NamedTuple


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long intake waits, in seconds."""

    settle: float = 0.15
    """A file that was not renamed into place is whole when it kept its size and time this long."""
    open_end: float = 0.6
    """The same for a text file whose last line has no end."""
    longest: float = 5.0
    """A file that grows in bursts is given three times its longest pause, but no more than this."""
    empty: float = 2.0
    """An empty file is given this long to be filled."""
    unknown: float = 1.0
    """A file in a place nobody reads is reported after this."""
    incomplete: float = 20.0
    """A model.json whose artifact is missing is reported as waiting after this, and a run's folder without a run."""
    misplaced: float = 5.0
    """How often files that were reported to lie in a wrong place are looked for there."""
    old: float = 10.0
    """A file last written this long ago is whole at the first look."""


class Look(NamedTuple):
    """What stat said of a file; times in nanoseconds since the epoch."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int
    mode: int

    @classmethod
    def of(cls, found: os.stat_result) -> Look:
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev, found.st_mode)

    @property
    def regular(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def identity(self) -> int:
        """64 bits (signed) that change when the file is written or replaced; ctime is left out, a chmod is no news."""
        packed = struct.pack("<qqQQ", self.size, self.mtime_ns, self.inode, self.device)
        return int.from_bytes(hashlib.blake2b(packed, digest_size=8).digest(), "little", signed=True)

    @property
    def put_in_place(self) -> bool:
        """Renamed, linked or given its old time (`cp -p`, tar) after its last write: its writer is done.

        Writing sets both times to the same moment. A rename within the same tick of the kernel's clock is
        not seen here; the file then settles as others do.
        """
        return self.size > 0 and self.ctime_ns > self.mtime_ns


@dataclasses.dataclass
class Settling:
    """The looks at one file over time; `now` is any steady clock, `wall` seconds since the epoch."""

    patience: Patience
    look: Look | None = None
    since: float = 0.0
    pause: float = 0.0

    def wait(self, look: Look, now: float, wall: float, *, open_end: bool = False) -> float:
        """Seconds until the next look makes sense; 0.0 when the file has settled."""
        if self.look is None:
            self.look, self.since = look, now
        elif (look.size, look.mtime_ns, look.inode) != (self.look.size, self.look.mtime_ns, self.look.inode):
            if look.inode == self.look.inode:
                self.pause = max(self.pause, now - self.since)
            self.look, self.since = look, now
        if look.put_in_place or wall - look.mtime_ns / 1e9 > self.patience.old:
            return 0.0
        needed = self.patience.open_end if open_end else self.patience.settle
        needed = max(needed, min(3 * self.pause, self.patience.longest))
        return max(0.0, self.since + needed - now)


def parquet_is_whole(descriptor: int, size: int) -> bool:
    """Whether it begins and ends with PAR1 and the footer's length fits (Parquet's "File format" page)."""
    if size < 12:
        return False
    if os.pread(descriptor, 4, 0) != b"PAR1":
        return False
    tail = os.pread(descriptor, 8, size - 8)
    return tail[4:] == b"PAR1" and 0 < int.from_bytes(tail[:4], "little") <= size - 12


def ends_a_line(descriptor: int, size: int) -> bool:
    return size > 0 and os.pread(descriptor, 1, size - 1) in (b"\n", b"\r")
