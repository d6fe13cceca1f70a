"""Where a store keeps its files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from store.protocol import socket_path
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
        return self.root / "agent.lock"

    @property
    def socket(self) -> Path:
        return socket_path(self.root)

    def watched(self, settings: Settings) -> list[Path]:
        """The folders that intake watches: the inbox, then those the settings name."""
        return [self.inbox, *((self.root / folder).resolve() for folder in settings.watch.folders)]

    def create(self) -> None:
        """Make the folders; only the owner may look into what holds data. Raises OSError."""
        self.root.mkdir(parents=True, exist_ok=True)
        for kind in KINDS:
            (self.inbox / kind).mkdir(parents=True, exist_ok=True)
        for folder in (self.objects, self.quarantine, self.targets, self.backups, self.log.parent):
            folder.mkdir(parents=True, exist_ok=True)
        # Feeders write the inbox and scorers read the targets; the rest is the owner's alone.
        for folder in (self.objects, self.quarantine, self.backups, self.log.parent):
            folder.chmod(0o700)
