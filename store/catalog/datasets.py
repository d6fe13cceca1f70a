"""Datasets: each distinct content is a numbered version."""

from __future__ import annotations

from datetime import datetime

import msgspec

from store.database import Actor, Entry, Transaction
from store.database.rows import first_row


class ColumnProfile(msgspec.Struct, frozen=True):
    """What one scan says of a column; minimum and maximum as text."""

    name: str
    type: str
    nulls: int = 0
    distinct: int | None = None
    minimum: str | None = None
    maximum: str | None = None


class DatasetArrival(msgspec.Struct, frozen=True):
    dataset: str
    digest: str
    format: str
    bytes: int
    rows: int
    columns: list[ColumnProfile]
    source: str
    owner: str
    effective_at: datetime


def register(tx: Transaction, arrival: DatasetArrival, actor: Actor) -> tuple[int, bool]:
    """Record the version; returns its number and whether it is new (the same content is the same version)."""
    known = first_row(
        tx.execute(
            "SELECT version FROM dataset_version WHERE dataset = ? AND digest = ?", [arrival.dataset, arrival.digest]
        )
    )
    if known:
        return int(known[0]), False
    last = first_row(
        tx.execute("SELECT coalesce(max(version), 0) FROM dataset_version WHERE dataset = ?", [arrival.dataset])
    )
    version = int(last[0] if last else 0) + 1
    name = f"{arrival.dataset}@{version}"
    sequence = tx.record(
        Entry(
            actor,
            "register",
            "datasets",
            name,
            after={"digest": arrival.digest, "rows": arrival.rows, "bytes": arrival.bytes, "source": arrival.source},
        )
    )
    tx.insert(
        "dataset_version",
        {
            "sequence": "BIGINT",
            "dataset": "VARCHAR",
            "version": "INTEGER",
            "digest": "VARCHAR",
            "format": "VARCHAR",
            "bytes": "BIGINT",
            "row_count": "BIGINT",
            "columns": "VARCHAR",
            "profile": "VARCHAR",
            "source": "VARCHAR",
            "owner": "VARCHAR",
            "effective_at": "TIMESTAMP",
            "recorded_at": "TIMESTAMP",
        },
        [
            {
                "sequence": sequence,
                "dataset": arrival.dataset,
                "version": version,
                "digest": arrival.digest,
                "format": arrival.format,
                "bytes": arrival.bytes,
                "row_count": arrival.rows,
                "columns": msgspec.json.encode([{"name": c.name, "type": c.type} for c in arrival.columns]).decode(),
                "profile": msgspec.json.encode(arrival.columns).decode(),
                "source": arrival.source,
                "owner": arrival.owner,
                "effective_at": arrival.effective_at,
                "recorded_at": tx.now,
            }
        ],
    )
    return version, True
