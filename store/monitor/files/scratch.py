"""Folders for what is read once and needed only while somebody reads it."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path


class Scratch:
    """A folder of its owner's alone that is removed when no reference to it is left."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="quarterdeck-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
