"""Where a watched folder really lies: the links on the way to it, the mounts on and below it, and what hides it."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

#: Links on one path, as the kernel counts them (path_resolution(7)).
_MOST_LINKS = 40
_MOUNTS = Path("/proc/self/mountinfo")
#: File systems on which other hosts write without this kernel's knowledge: inotify(7), "Limitations and caveats".
_REMOTE = frozenset(
    [
        *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs2", "glusterfs", "gpfs", "lustre", "nfs", "nfs4"),
        *("ocfs2", "smb3", "smbfs", "vboxsf", "virtiofs"),
    ]
)


class Turn(NamedTuple):
    """An entry of a folder that decides where a watched folder lies: a link, or what is missing on the way."""

    folder: str
    name: str


class Mount(NamedTuple):
    """One line of /proc/self/mountinfo (proc_pid_mountinfo(5))."""

    number: str
    point: str
    kind: str


class Standing(NamedTuple):
    """Where a watched folder lies now.

    `real` is its path without links, `identity` its device and inode (None while it cannot be entered; `why` says
    what is missing). What can change that is `turns`, the entries on the way, and `mounts`, those on and below it.
    """

    real: str
    identity: tuple[int, int] | None
    turns: frozenset[Turn]
    mounts: frozenset[Mount]
    why: str = ""

    @property
    def remote(self) -> str:
        """The kind of file system that lets other hosts write unseen, "" for a local one."""
        under = self.real.rstrip("/") + "/"
        own = [mount for mount in self.mounts if not mount.point.startswith(under)]
        for mount in (*own, *self.mounts):
            if mount.kind in _REMOTE or mount.kind.startswith("fuse."):
                return mount.kind
        return ""


def standing(path: str) -> Standing:
    """Follows `path` link by link, as the kernel does, and notes every entry that could lead elsewhere later."""
    turns: set[Turn] = set()
    waiting = _parts(path)
    real, links = "/", 0
    while waiting:
        name = waiting.pop()
        if name == "..":
            real = os.path.dirname(real)  # noqa: PTH120  (paths are kept as the strings the kernel gave)
            continue
        place = f"{real.rstrip('/')}/{name}"
        try:
            mode = os.lstat(place).st_mode
            if stat.S_ISLNK(mode):
                turns.add(Turn(real, name))
                links += 1
                if links > _MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                target = os.readlink(place)  # noqa: PTH115
                real = "/" if target.startswith("/") else real
                waiting += _parts(target)
                continue
            if not stat.S_ISDIR(mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        except OSError as error:
            # A folder that may not be entered hides what is in it: its own mode is what has to change.
            turns |= {Turn(real, name), *_entry(real)} if error.errno == errno.EACCES else {Turn(real, name)}
            return Standing("", None, frozenset(turns), frozenset(), _why(path, place, error))
        real = place
    try:
        found = os.stat(real)  # noqa: PTH116
    except OSError as error:
        return Standing("", None, frozenset(turns | _entry(real)), frozenset(), _why(path, real, error))
    if not os.access(real, os.R_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return Standing("", None, frozenset(turns | _entry(real)), frozenset(), _why(path, real, denied))
    return Standing(real, (found.st_dev, found.st_ino), frozenset(turns), _mounts(real))


def _parts(path: str) -> list[str]:
    """The names on `path`, the last one first."""
    return [part for part in reversed(path.split("/")) if part not in {"", "."}]


def _entry(real: str) -> set[Turn]:
    folder, _, name = real.rpartition("/")
    return {Turn(folder or "/", name)} if name else set()


def _why(path: str, place: str, error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return f"{path} is a link that leads back to itself"
    reason = {
        errno.ENOENT: "does not exist",
        errno.ENOTDIR: "is not a folder",
        errno.EACCES: "may not be entered by the agent's user",
    }.get(error.errno or 0, error.strerror or "cannot be reached")
    leads = "" if place == path else f"{path} leads to {place}, which "
    return f"{leads or f'{path} '}{reason}"


def _mounts(real: str) -> frozenset[Mount]:
    """The mounts below `real`, and the one that it lies on."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return frozenset()
    under = real.rstrip("/") + "/"
    below: set[Mount] = set()
    on: Mount | None = None
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        mount = Mount(fields[0], _unescaped(fields[4]), after.split(" ")[0])
        if mount.point.startswith(under):
            below.add(mount)
        elif under.startswith(mount.point.rstrip("/") + "/") and (on is None or len(mount.point) >= len(on.point)):
            # Of mounts on one point the last one is on top.
            on = mount
    return frozenset(below | ({on} if on else set()))


def _unescaped(point: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), point)
