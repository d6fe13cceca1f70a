"""What was odd about the files that came lately: columns that are missing or turned to text, rows left out."""

from __future__ import annotations

import dataclasses
from datetime import datetime

import duckdb
import msgspec

from store.database import times

#: Files that are looked at, the newest.
LATELY = 200


@dataclasses.dataclass(frozen=True)
class Oddity:
    """One thing that was odd about `files` files of a kind (predictions, labels); `rows` is null where it is about the
    file as a whole. `last` is when the last of them came (seconds since the epoch)."""

    kind: str
    what: str
    rows: int | None
    files: int
    last: float


def oddities(connection: duckdb.DuckDBPyConnection, deployment: str, at: datetime | None = None) -> list[Oddity]:
    """Of the deployment's last files as known `at` (null: now), each oddity once, the latest first."""
    rows = connection.execute(
        "SELECT kind, notes, epoch(recorded_at) FROM monitor_arrival WHERE deployment = $1"
        " AND ($2 IS NULL OR recorded_at <= $2) ORDER BY ordinal DESC LIMIT $3",
        [deployment, times.to_db(at) if at else None, LATELY],
    ).fetchall()
    found: dict[tuple[str, str], Oddity] = {}
    for kind, notes, came in rows:
        for note in msgspec.json.decode(notes, type=list[str]):
            count, what = counted(note)
            held = found.get((kind, what), Oddity(kind, what, None, 0, float(came)))
            total = held.rows if count is None else (held.rows or 0) + count
            found[kind, what] = dataclasses.replace(held, rows=total, files=held.files + 1)
    return sorted(found.values(), key=lambda one: (-one.last, one.kind, one.what))


def counted(note: str) -> tuple[int | None, str]:
    """(how many rows, what) of a note such as "1,234 rows without a time are left out"; null where none are counted."""
    count, _, text = note.partition(" rows ")
    digits = count.replace(",", "")
    return (int(digits), f"rows {text}") if digits.isdigit() else (None, note)
