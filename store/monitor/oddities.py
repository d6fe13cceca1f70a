"""What was odd about the files that came lately: columns that are missing or turned to text, rows left out."""

from __future__ import annotations

import dataclasses
from datetime import datetime

import duckdb
import msgspec

from store.database import times
from store.monitor import stored_notes
from store.monitor.notes import Note

#: Files that are looked at, the newest.
LATELY = 200
_EXAMPLES = 3


@dataclasses.dataclass(frozen=True)
class Oddity:
    """What was odd about `files` files of a kind (predictions, labels): their notes of one code and text, the rows
    added up. `last` is when the last of them came (seconds since the epoch)."""

    kind: str
    note: Note
    files: int
    last: float

    @property
    def what(self) -> str:
        """The words without the number of rows."""
        return msgspec.structs.replace(self.note, rows=None).describe()


def oddities(connection: duckdb.DuckDBPyConnection, deployment: str, at: datetime | None = None) -> list[Oddity]:
    """Of the deployment's last files as known `at` (null: now), each oddity once, the latest first."""
    rows = connection.execute(
        "SELECT kind, notes, epoch(recorded_at) FROM monitor_arrival WHERE deployment = $1"
        " AND ($2 IS NULL OR recorded_at <= $2) ORDER BY ordinal DESC LIMIT $3",
        [deployment, times.to_db(at) if at else None, LATELY],
    ).fetchall()
    found: dict[tuple[str, str, str, str], Oddity] = {}
    for kind, notes, came in rows:
        for note in stored_notes.decode(notes):
            key = (kind, note.code, note.column, note.text)
            before = found.get(key)
            if before is None:
                found[key] = Oddity(kind, note, 1, float(came))
                continue
            total = before.note.rows if note.rows is None else (before.note.rows or 0) + note.rows
            examples = tuple(dict.fromkeys([*before.note.examples, *note.examples]))[:_EXAMPLES]
            both = msgspec.structs.replace(before.note, rows=total, examples=examples)
            found[key] = dataclasses.replace(before, note=both, files=before.files + 1)
    return sorted(found.values(), key=lambda one: (-one.last, one.kind, one.what))
