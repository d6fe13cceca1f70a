"""The journal's last row, noted beside the database: what tells a log that was cut short from one that ended there."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import NamedTuple


class Tip(NamedTuple):
    """Sequence and hash of the last row that was recorded."""

    sequence: int
    hash: str


class TipFile:
    """Written after every commit, without waiting for the disk: it may lag behind the database, and never leads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def read(self) -> Tip | None:
        """None where nothing was noted, or nothing that can be read."""
        try:
            sequence, _, digest = self._path.read_text(encoding="ascii").strip().partition(" ")
            return Tip(int(sequence), digest)
        except (OSError, ValueError):
            return None

    def write(self, tip: Tip) -> None:
        """Replace what was noted; a disk that takes no more leaves it behind, which harms nothing."""
        with contextlib.suppress(OSError):
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.pwrite(self._descriptor, f"{tip.sequence:020d} {tip.hash}\n".encode("ascii"), 0)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
