"""Predictions and labels are looked up by their id at a price that hardly grows with the history.

Ids are text, often long and random: no order and no zone map helps. A column of hashes beside them is a tenth as large;
it is read whole, and only the rows it names are read of the other columns. DuckDB's own hash is fast but may be another
one in another version of DuckDB: then all are worked out anew, once.
"""

from __future__ import annotations

from typing import Literal

from store.database import Transaction

_PROBE = "hash('quarterdeck')"


def hash_sql(identity: str) -> str:
    """What `id_hash` holds of the id that the SQL expression gives."""
    return f"hash({identity})"


def with_ids(table: Literal["monitor_prediction", "monitor_label"], ids: str) -> str:
    """A relation of those rows of the table whose prediction_id may be among those of the relation `ids`: all that are,
    and now and then one whose hash is the same. `check` comes first."""
    wanted = f"SELECT {hash_sql('prediction_id')} FROM {ids}"
    # Step by step: else DuckDB takes the ids first, and reads every one there is.
    return (
        f"(WITH places AS MATERIALIZED (SELECT rowid AS place FROM {table} WHERE id_hash IN ({wanted})),"
        f" found AS MATERIALIZED (SELECT * FROM {table} WHERE rowid IN (SELECT place FROM places))"
        " SELECT * FROM found)"
    )


def check(tx: Transaction) -> None:
    """See that the hashes that are kept are those of this DuckDB."""
    if tx.execute(f"SELECT probe = {_PROBE} FROM monitor_key").fetchall() == [(True,)]:
        return
    for table in ("monitor_prediction", "monitor_label"):
        tx.execute(f"UPDATE {table} SET id_hash = {hash_sql('prediction_id')}")
    tx.execute("DELETE FROM monitor_key")
    tx.execute(f"INSERT INTO monitor_key SELECT {_PROBE}")
