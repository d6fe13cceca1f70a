"""Predictions and labels are looked up by their id.

Ids are text, often long and random: no order and no zone map helps. A column of hashes beside them is a tenth as large;
it is read whole at every look-up, and of the other columns only the row groups it names. So a look-up's price grows
with the history, slowly, and hardly with the ids: look up those of many files at once. (Bounds on the text would spare
ids that grow most of the hashes, and cost random ones ten times as much as they save.)

DuckDB's own hash is fast but may be another one in another version of DuckDB: then all are worked out anew, once.
"""

from __future__ import annotations

from typing import Literal

from store.database import Transaction

_PROBE = "hash('quarterdeck')"


def hash_sql(identity: str) -> str:
    """What `id_hash` holds of the id that the SQL expression gives."""
    return f"hash({identity})"


def with_ids(table: Literal["monitor_prediction", "monitor_label"], ids: str) -> str:
    """A relation of those rows of the table, of all deployments, whose prediction_id may be among those of the relation
    `ids`: all that are, and now and then one whose hash is the same. `check` comes first.

    Join it by deployment and prediction_id. A condition `deployment = …` on it would reach into the second step, where
    DuckDB then expects fewer rows than places and reads every one there is.
    """
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
