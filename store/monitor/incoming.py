"""Rows that arrive, as Arrow tables, made readable by name inside the writer's transaction."""

from __future__ import annotations

from typing import Any

from store.database import Transaction

INCOMING = "monitor_incoming"


class Incoming:
    """A context in which statements of `tx` may read the Arrow `table` as `name`."""

    def __init__(self, tx: Transaction, table: Any, name: str = INCOMING) -> None:
        self._connection = tx.connection
        self._table = table
        self._name = name

    def __enter__(self) -> None:
        self._drain()
        self._connection.register(self._name, self._table)

    def __exit__(self, *_: object) -> None:
        self._drain()
        self._connection.unregister(self._name)

    def _drain(self) -> None:
        # DuckDB registers nothing while a result is unread; another change of the group may have left one.
        self._connection.execute("SELECT 1 WHERE false").fetchall()


def tagged(table: Any, **values: Any) -> Any:
    """The table with columns that hold one value each."""
    import pyarrow as pa

    for name, value in values.items():
        kind = pa.int64() if isinstance(value, int) else pa.string()
        table = table.append_column(name, pa.repeat(pa.scalar(value, kind), table.num_rows))
    return table
