"""Bits by digest: every artifact is kept under its SHA-256, so that a rollback always has it."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import msgspec

from store.protocol import ExitCode, Refusal

_CHUNK = 1 << 20


def file_digest(path: Path) -> str:
    """`sha256:<hex>` of a file's bytes. Raises OSError."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


class StoredFile(msgspec.Struct, frozen=True):
    """One file of a folder of bits: its path below the folder, with `/`, its size and its digest."""

    path: str
    bytes: int
    digest: str


def files_of(folder: Path) -> list[StoredFile]:
    """Every file below `folder`, in the order in which its digest takes them. Raises OSError."""
    return [
        StoredFile(path.relative_to(folder).as_posix(), path.stat().st_size, file_digest(path))
        for path in sorted(found for found in folder.rglob("*") if found.is_file())
    ]


def digest_of_files(files: Iterable[StoredFile]) -> str:
    """`sha256:<hex>` over the paths and digests of the files, in whatever order they come."""
    whole = hashlib.sha256()
    for file in sorted(files, key=lambda file: PurePosixPath(file.path)):
        whole.update(file.path.encode("utf-8", "surrogateescape") + b"\0")
        whole.update(file.digest.encode() + b"\n")
    return "sha256:" + whole.hexdigest()


def tree_digest(folder: Path) -> str:
    """`sha256:<hex>` over the sorted relative paths and file digests of a folder. Raises OSError."""
    return digest_of_files(files_of(folder))


def digest_of(path: Path) -> str:
    return tree_digest(path) if path.is_dir() else file_digest(path)


class Objects:
    """The folder `objects/` of a store: `sha256/ab/cdef…`, a file or a folder each, read-only once there."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, digest: str) -> Path:
        """Where the bits of `digest` lie, whether or not they are there."""
        algorithm, _, hexadecimal = digest.partition(":")
        if algorithm != "sha256" or len(hexadecimal) != 64:
            raise Refusal(ExitCode.USAGE, f"{digest!r} is no digest", "Expected sha256: and 64 hex digits.")
        return self.root / "sha256" / hexadecimal[:2] / hexadecimal[2:]

    def holds(self, digest: str) -> bool:
        return self.path(digest).exists()

    def keep(self, source: Path) -> tuple[str, int, int]:
        """Copy `source` (file or folder) in; returns digest, bytes and number of files.

        The digest is taken of the copy, so that a source that changes meanwhile is noticed by nobody
        being told a digest it does not have. Raises OSError (full disk, source vanished).
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".incoming-", dir=self.root) as scratch:
            copy = Path(scratch) / "bits"
            if source.is_dir():
                shutil.copytree(source, copy, symlinks=False)
            else:
                shutil.copyfile(source, copy)
            return self.adopt(copy)

    def adopt(self, bits: Path) -> tuple[str, int, int]:
        """Move `bits` (file or folder, on this disk, nobody else writing) in; as `keep`, without the copy."""
        if bits.is_dir():
            digest, files = self.adopt_folder(bits)
            return digest, sum(file.bytes for file in files), len(files)
        size, digest = bits.stat().st_size, file_digest(bits)
        self._move(bits, digest, [bits])
        return digest, size, 1

    def adopt_folder(self, bits: Path) -> tuple[str, list[StoredFile]]:
        """As `adopt`, for a folder; returns its digest and its files."""
        files = files_of(bits)
        digest = digest_of_files(files)
        self._move(bits, digest, [bits / file.path for file in files])
        return digest, files

    def _move(self, bits: Path, digest: str, files: Iterable[Path]) -> None:
        final = self.path(digest)
        if not final.exists():
            for file in files:
                file.chmod(0o444)
                _sync(file)
            final.parent.mkdir(parents=True, exist_ok=True)
            try:
                bits.rename(final)
            except OSError:
                # Somebody else brought the same bits in between.
                if not final.exists():
                    raise
            _sync(final.parent)

    def verify(self, digest: str) -> str:
        """ "" when the bits are there and have this digest, else what is wrong."""
        path = self.path(digest)
        if not path.exists():
            return f"the bits of {digest[:19]}… are missing"
        found = digest_of(path)
        return "" if found == digest else f"the bits of {digest[:19]}… now have digest {found[:19]}…"


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
