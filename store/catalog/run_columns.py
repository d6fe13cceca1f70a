"""Params and metrics of runs as typed columns of the `run` table: which key lives in which column."""

from __future__ import annotations

import re

import duckdb

from store.database import Transaction

#: Past this many distinct params and metrics, further keys go to the `overflow` column: shown, not indexed.
LIMIT = 400


class RunColumns:
    """`param.<key>` / `metric.<key>` → column name. Read from `run_column`; grows with the first use of a key."""

    def __init__(self, known: dict[str, str]) -> None:
        self._known = known

    @classmethod
    def read(cls, connection: duckdb.DuckDBPyConnection) -> RunColumns:
        return cls({str(key): str(name) for key, name in connection.execute("FROM run_column").fetchall()})

    @property
    def known(self) -> dict[str, str]:
        return dict(self._known)

    def column(self, key: str) -> str | None:
        return self._known.get(key)

    def ensure(self, tx: Transaction, keys: set[str]) -> None:
        """Add a column for each new key of `keys`, until `LIMIT` is reached."""
        for key in sorted(keys - self._known.keys())[: max(0, LIMIT - len(self._known))]:
            # A number makes the name unique: DuckDB's identifiers ignore case, params do not.
            slug = re.sub(r"\W", "_", key.partition(".")[2], flags=re.ASCII)[:40]
            name = f"{key[0]}{len(self._known) + 1}_{slug}"
            tx.execute(f'ALTER TABLE run ADD COLUMN "{name}" {column_type(key)}')
            tx.execute("INSERT INTO run_column VALUES (?, ?)", [key, name])
            self._known[key] = name


def column_type(key: str) -> str:
    return "DOUBLE" if key.startswith("metric.") else "VARCHAR"
