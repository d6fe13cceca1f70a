"""The journal: one hash-chained row for every change, written in the change's own transaction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import duckdb

from store.database import times
from store.database.rows import first_row
from store.database.tip import Tip
from store.database.writer import Entry, insert_rows
from store.protocol import Verified

GENESIS = "0" * 64
_TYPES = {
    "sequence": "BIGINT",
    "recorded_at": "TIMESTAMP",
    "actor": "VARCHAR",
    "via": "VARCHAR",
    "action": "VARCHAR",
    "kind": "VARCHAR",
    "subject": "VARCHAR",
    "before": "VARCHAR",
    "after": "VARCHAR",
    "reason": "VARCHAR",
    "data_age": "DOUBLE",
    "request_id": "VARCHAR",
    "previous_hash": "VARCHAR",
    "hash": "VARCHAR",
}
_COLUMNS = ", ".join(_TYPES)
Row = tuple[int, datetime, str, str, str, str, str, str | None, str | None, str, float | None, str, str, str]


def chain_hash(row: tuple[Any, ...]) -> str:
    """SHA-256 over the canonical JSON of a row's fields, the previous row's hash among them."""
    fields = [value.isoformat() if isinstance(value, datetime) else value for value in row]
    return hashlib.sha256(json.dumps(fields, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()


class Journal:
    """Numbers and chains entries; the writer calls it (see `store.database.writer.Recorder`)."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        row = first_row(connection.execute("SELECT sequence, hash FROM journal ORDER BY sequence DESC LIMIT 1"))
        self._head: tuple[int, str] = (int(row[0]), str(row[1])) if row else (0, GENESIS)
        self._next = self._head
        self._pending: list[Row] = []

    @property
    def sequence(self) -> int:
        """Sequence of the last committed row."""
        return self._head[0]

    @property
    def tip(self) -> Tip:
        """The last committed row."""
        return Tip(*self._head)

    def append(self, entry: Entry, at: datetime) -> int:
        sequence, previous = self._next[0] + 1, self._next[1]
        unhashed = (
            sequence,
            times.to_db(at),
            entry.actor.name,
            entry.actor.via,
            entry.action,
            entry.kind,
            entry.subject,
            _json(entry.before),
            _json(entry.after),
            entry.reason,
            entry.data_age,
            entry.request_id,
            previous,
        )
        digest = chain_hash(unhashed)
        self._pending.append((*unhashed, digest))
        self._next = (sequence, digest)
        return sequence

    def flush(self, connection: duckdb.DuckDBPyConnection) -> None:
        insert_rows(connection, "journal", _TYPES, [dict(zip(_TYPES, row, strict=True)) for row in self._pending])

    def committed(self) -> None:
        self._head = self._next
        self._pending.clear()

    def rolled_back(self) -> None:
        self._next = self._head
        self._pending.clear()


def _json(value: Mapping[str, Any] | None) -> str | None:
    if value is None:
        return None
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def _rows(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    cursor = connection.execute(f"SELECT {_COLUMNS} FROM journal ORDER BY sequence")
    while rows := cursor.fetchmany(5000):
        yield from rows


def verify(connection: duckdb.DuckDBPyConnection) -> Verified:
    """Recompute the chain from the first row on."""
    count, sequence, previous = 0, 0, GENESIS
    for row in _rows(connection):
        count += 1
        why = ""
        if row[0] != sequence + 1:
            why = f"sequence {sequence + 1} is missing: {row[0]} follows {sequence}"
        elif row[12] != previous:
            why = f"row {row[0]} does not follow row {sequence}"
        elif chain_hash(row[:13]) != row[13]:
            why = f"row {row[0]} was altered"
        if why:
            return Verified(count, sequence, previous, sequence + 1, why)
        sequence, previous = int(row[0]), str(row[13])
    return Verified(count, sequence, previous, None)
