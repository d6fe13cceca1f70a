"""Bits by digest: every artifact is kept under its SHA-256, so that a rollback always has it."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from store.protocol import ExitCode, Refusal

_CHUNK = 1 << 20


def file_digest(path: Path) -> str:
    """`sha256:<hex>` of a file's bytes. Raises OSError."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def tree_digest(folder: Path) -> str:
    """`sha256:<hex>` over the sorted relative paths and file digests of a folder. Raises OSError."""
    whole = hashlib.sha256()
    for path in sorted(found for found in folder.rglob("*") if found.is_file()):
        whole.update(path.relative_to(folder).as_posix().encode("utf-8", "surrogateescape") + b"\0")
        whole.update(file_digest(path).encode() + b"\n")
    return "sha256:" + whole.hexdigest()


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
        files = [found for found in bits.rglob("*") if found.is_file()] if bits.is_dir() else [bits]
        digest = digest_of(bits)
        size = sum(file.stat().st_size for file in files)
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
        return digest, size, len(files)

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
