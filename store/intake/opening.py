"""Opening files that strangers put there: never a device, never through a link that leaves the folder."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from store.intake.settle import Look
from store.intake.trouble import Trouble, Vanished

_CHUNK = 1 << 20
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK | os.O_NOFOLLOW
POINTS_TO_NOTHING = "a symbolic link that points to nothing"
_SPECIAL = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFDIR: "a folder",
}


def inside(path: str, folder: str) -> bool:
    """Whether the resolved `path` lies in the resolved `folder`."""
    return path.startswith(folder.rstrip("/") + "/")


def resolve(path: str, folder: str) -> str:
    """`path` with its links followed. Raises `Trouble` for a loop or a link that leaves `folder`, `Vanished`."""
    try:
        real = os.path.realpath(path, strict=True)
    except OSError as error:
        raise _in_words(error, path) from error
    if not inside(real, os.path.realpath(folder)):
        raise Trouble(
            "a symbolic link that leaves the watched folder is not followed",
            key="link",
            found=real,
            expected=f"a file inside {folder}",
        )
    return real


@contextlib.contextmanager
def opened(path: str, folder: str) -> Iterator[tuple[int, Look]]:
    """A descriptor of the regular file at `path`, which lies in `folder`, and what stat says of it.

    Raises `Trouble` for links that leave, loops, files that are no regular ones (those are never opened, so
    a pipe cannot hold the agent up) or that may not be read; `Vanished` when it is gone.
    """
    real = resolve(path, folder)
    try:
        before = os.lstat(real)
        _check_regular(before)
        descriptor = os.open(real, _FLAGS)
    except OSError as error:
        raise _in_words(error, path) from error
    try:
        found = os.fstat(descriptor)
        # The path may have been swapped between the check and the open: what was opened is what counts.
        _check_regular(found)
        if (found.st_ino, found.st_dev) != (before.st_ino, before.st_dev):
            raise Vanished(path)
        yield descriptor, Look.of(found)
    finally:
        os.close(descriptor)


def pinned(descriptor: int, real: str) -> str:
    """A path by which DuckDB opens just this file: no glob character in it, and no other file put in its place."""
    if sys.platform == "linux":
        return f"/proc/self/fd/{descriptor}"
    return neutral(real)


def neutral(path: str) -> str:
    """`path` with the glob characters `*`, `?` and `[` made to stand for themselves."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in path)


def read_capped(descriptor: int, limit: int) -> bytes:
    """The whole content. Raises `Trouble` when it is larger than `limit` bytes."""
    size = os.fstat(descriptor).st_size
    if size > limit:
        raise Trouble.wrong("size", f"{size:,} bytes", f"at most {limit:,} bytes")
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        content = file.read(limit + 1)
    if len(content) > limit:
        raise Trouble.wrong("size", f"more than {limit:,} bytes", f"at most {limit:,} bytes")
    return content


def digest_of(descriptor: int) -> str:
    """`sha256:<hex>` of the content, read in pieces."""
    state = hashlib.sha256()
    offset = 0
    while piece := os.pread(descriptor, _CHUNK, offset):
        state.update(piece)
        offset += len(piece)
    return f"sha256:{state.hexdigest()}"


def digest_of_bytes(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def copy(descriptor: int, target: Path) -> None:
    """Write the content to `target`, which must not exist yet."""
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as out:
        offset = 0
        while piece := os.pread(descriptor, _CHUNK, offset):
            out.write(piece)
            offset += len(piece)


def _check_regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        what = _SPECIAL.get(stat.S_IFMT(found.st_mode), "something that is no file")
        raise Trouble.wrong("file", what, "a regular file")


def _in_words(error: OSError, path: str) -> Exception:
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE):
        # A link that points nowhere is there; a file that is gone is not.
        if os.path.islink(path):  # noqa: PTH114  (paths are kept as the strings the kernel gave)
            return Trouble(POINTS_TO_NOTHING, key="link", expected="a regular file")
        return Vanished(path)
    if error.errno == errno.ELOOP:
        return Trouble("a symbolic link that leads back to itself", key="link", expected="a regular file")
    if error.errno in (errno.EACCES, errno.EPERM):
        return Trouble.wrong("permission", error.strerror or "denied", "a file the agent's user may read")
    return error
