"""Folders for what is read once and needed only while somebody reads it."""

from __future__ import annotations

import atexit
import functools
import secrets
import shutil
import tempfile
import weakref
from pathlib import Path


@functools.cache
def scratch_root() -> Path:
    """The folder of this process in which every `Scratch` lies, made with the first: a DuckDB that may read little may
    read this."""
    path = Path(tempfile.gettempdir()) / f"quarterdeck-{secrets.token_hex(8)}"
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


class Scratch:
    """A folder of its owner's alone that is removed when no reference to it is left."""

    def __init__(self) -> None:
        # Each time anew: folders for temporary files are swept, and an agent runs for months.
        scratch_root().mkdir(mode=0o700, exist_ok=True)
        self.path = Path(tempfile.mkdtemp(dir=scratch_root()))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
