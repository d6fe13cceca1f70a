"""Where a store keeps its files."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from pathlib import Path

from store.protocol import lock_path, socket_path
from store.settings import Settings

KINDS = ("datasets", "runs", "models", "predictions", "labels")


@dataclasses.dataclass(frozen=True)
class Layout:
    """Paths under one store folder (DESIGN.md, "Rooms" and "What arrives")."""

    root: Path

    @property
    def database(self) -> Path:
        return self.root / "metadata.duckdb"

    @property
    def log_of_writes(self) -> Path:
        """DuckDB's write-ahead log."""
        return self.root / "metadata.duckdb.wal"

    @property
    def tip(self) -> Path:
        """The journal's last row, see `store.database.tip`."""
        return self.root / "journal.tip"

    @property
    def inbox(self) -> Path:
        return self.root / "inbox"

    @property
    def objects(self) -> Path:
        return self.root / "objects"

    @property
    def quarantine(self) -> Path:
        return self.root / "quarantine"

    @property
    def targets(self) -> Path:
        return self.root / "targets"

    @property
    def backups(self) -> Path:
        return self.root / "backups"

    @property
    def log(self) -> Path:
        return self.root / "log" / "agent.log"

    @property
    def lock(self) -> Path:
        return lock_path(self.root)

    @property
    def socket(self) -> Path:
        return socket_path(self.root)

    def watched(self, settings: Settings) -> list[Path]:
        """The folders that intake watches: the inbox, then those the settings name; each may be a link."""
        return [self.inbox, *(_as_named(self.root / folder) for folder in settings.watch.folders)]

    def create(self) -> None:
        """Make the folders; only the owner may look into what holds data. Raises OSError."""
        self.root.mkdir(parents=True, exist_ok=True)
        if not self.inbox.is_symlink():
            self.inbox.mkdir(exist_ok=True)
        self.create_kinds()
        for folder in (self.objects, self.quarantine, self.targets, self.backups, self.log.parent):
            folder.mkdir(parents=True, exist_ok=True)
        # Feeders write the inbox and scorers read the targets; the rest is the owner's alone.
        for folder in (self.objects, self.quarantine, self.backups, self.log.parent):
            folder.chmod(0o700)

    def create_kinds(self) -> None:
        """Make the inbox's folders, where it is there.

        An inbox may be a link to a disk that is not mounted yet, and a folder in it a link or a file: intake says so,
        and the store serves meanwhile.
        """
        for kind in KINDS:
            with contextlib.suppress(OSError):
                (self.inbox / kind).mkdir(exist_ok=True)


def _as_named(path: Path) -> Path:
    """`path` with its links, so that one that is led elsewhere is followed; `..` needs them resolved."""
    return path.resolve() if ".." in path.parts else Path(os.path.normpath(path.absolute()))
