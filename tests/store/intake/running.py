"""A real store with intake running on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from store.database import Database, Layout
from store.governance.journal import Journal
from store.intake.intake import Intake
from store.intake.settle import Patience
from store.protocol import Progress
from store.settings import Settings

QUICK = Patience(settle=0.05, open_end=0.1, longest=0.5, empty=0.1, unknown=0.1, incomplete=0.4, misplaced=0.2)


class Running:
    """One store; `eventually` waits on a condition, never on time."""

    def __init__(self, root: Path, settings: Settings | None = None, patience: Patience = QUICK) -> None:
        self.layout = Layout(root)
        self.layout.create()
        self.settings = settings or Settings()
        self.patience = patience
        self.progress: list[Progress] = []
        self.database = Database.open(self.layout.database, Journal)
        self.intake = self._intake()

    def _intake(self) -> Intake:
        return Intake(self.database, self.settings, self.layout, self.progress.append, self.patience)

    @property
    def inbox(self) -> Path:
        return self.layout.inbox

    def start(self) -> Running:
        self.intake.start()
        return self

    def restart(self) -> None:
        """As if the agent had died and come back."""
        self.intake.stop()
        self.database.close()
        self.database = Database.open(self.layout.database, Journal)
        self.intake = self._intake()
        self.intake.start()

    def close(self) -> None:
        self.intake.stop()
        self.database.close()

    def rows(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        return self.database.reader.read(lambda c: c.execute(sql, list(params)).fetchall())

    def one(self, sql: str, *params: Any) -> Any:
        return self.rows(sql, *params)[0][0]

    def quarantined(self) -> list[dict[str, Any]]:
        """Open cases, oldest first."""
        names = ["number", "path", "kind", "reason", "key", "found", "expected", "bytes", "kept"]
        quoted = ", ".join(f'"{name}"' for name in names)
        return [
            dict(zip(names, row, strict=True))
            for row in self.rows(f"SELECT {quoted} FROM quarantine_open ORDER BY number")
        ]

    def put(self, relative: str, content: bytes | str | dict[str, Any], *, rename: bool = True) -> Path:
        """A file in the inbox, renamed into place unless told otherwise."""
        path = self.inbox / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, dict):
            content = msgspec.json.encode(content)
        if isinstance(content, str):
            content = content.encode()
        if rename:
            unfinished = path.with_name(f".{path.name}.tmp")
            unfinished.write_bytes(content)
            unfinished.rename(path)
        else:
            path.write_bytes(content)
        return path


def eventually(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What `condition` gives once it is true. Fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"never became true: {condition}"
        time.sleep(0.005)
