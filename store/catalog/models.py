"""Models and their versions: a version's bits, manifest and reference never change once it is registered."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import duckdb
import msgspec

from store.catalog.manifest import ModelManifest
from store.database import Actor, Entry, Transaction
from store.database.rows import first_row
from store.protocol import ExitCode, Refusal


class VersionArrival(msgspec.Struct, frozen=True):
    """`digest` is that of the version's folder as kept in `objects/` (model.json and artifact), `flagged`
    says why the artifact is treated as opaque although its manifest claims more ("" when it is not)."""

    manifest: ModelManifest
    digest: str
    bytes: int
    files: int
    flagged: str
    reference_digest: str
    source: str
    owner: str
    effective_at: datetime


class ModelVersion(msgspec.Struct, frozen=True):
    model: str
    version: str
    digest: str
    flavour: str
    flagged: str
    reference_digest: str
    manifest: ModelManifest
    sequence: int


def register(tx: Transaction, arrival: VersionArrival, actor: Actor) -> bool:
    """Record the version; False when exactly this one is registered already.

    Raises `Refusal` when the version exists with other bits: versions are immutable.
    """
    manifest = arrival.manifest
    name = f"{manifest.model}@{manifest.version}"
    known = first_row(
        tx.execute(
            "SELECT digest FROM model_version WHERE model = ? AND version = ?", [manifest.model, manifest.version]
        )
    )
    if known:
        if known[0] == arrival.digest:
            return False
        raise Refusal(
            ExitCode.USAGE,
            f"{name} is registered with other bits ({str(known[0])[:19]}…, these are {arrival.digest[:19]}…)",
            "A version never changes: bring these as a new version.",
            {"key": "version", "found": arrival.digest, "expected": known[0]},
        )
    sequence = tx.record(
        Entry(
            actor,
            "register",
            "versions",
            name,
            after={
                "digest": arrival.digest,
                "flavour": manifest.flavour,
                "run": manifest.run,
                "flagged": arrival.flagged,
                "metrics": manifest.metrics,
            },
        )
    )
    tx.touch("models", manifest.model)
    tx.execute(
        "INSERT INTO object SELECT ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM object WHERE digest = ?)",
        [arrival.digest, arrival.bytes, arrival.files, tx.now_db, arrival.digest],
    )
    tx.insert(
        "model_version",
        {
            "sequence": "BIGINT",
            "model": "VARCHAR",
            "version": "VARCHAR",
            "digest": "VARCHAR",
            "flavour": "VARCHAR",
            "task": "VARCHAR",
            "run": "VARCHAR",
            "flagged": "VARCHAR",
            "manifest": "VARCHAR",
            "reference_digest": "VARCHAR",
            "source": "VARCHAR",
            "owner": "VARCHAR",
            "effective_at": "TIMESTAMP",
            "recorded_at": "TIMESTAMP",
        },
        [
            {
                "sequence": sequence,
                "model": manifest.model,
                "version": manifest.version,
                "digest": arrival.digest,
                "flavour": manifest.flavour,
                "task": manifest.task,
                "run": manifest.run,
                "flagged": arrival.flagged,
                "manifest": msgspec.json.encode(manifest).decode(),
                "reference_digest": arrival.reference_digest,
                "source": arrival.source,
                "owner": arrival.owner,
                "effective_at": arrival.effective_at,
                "recorded_at": tx.now,
            }
        ],
    )
    return True


def find(connection: duckdb.DuckDBPyConnection, model: str, version: str) -> ModelVersion | None:
    row = first_row(
        connection.execute(
            "SELECT model, version, digest, flavour, flagged, reference_digest, manifest, sequence"
            " FROM model_version WHERE model = ? AND version = ?",
            [model, version],
        )
    )
    return _version(row) if row else None


def versions(connection: duckdb.DuckDBPyConnection, model: str) -> list[ModelVersion]:
    """Every version of `model`, newest first."""
    rows = connection.execute(
        "SELECT model, version, digest, flavour, flagged, reference_digest, manifest, sequence"
        " FROM model_version WHERE model = ? ORDER BY sequence DESC",
        [model],
    ).fetchall()
    return [_version(row) for row in rows]


def _version(row: tuple[Any, ...]) -> ModelVersion:
    manifest = msgspec.json.decode(row[6], type=ModelManifest)
    return ModelVersion(row[0], row[1], row[2], row[3], row[4], row[5], manifest, row[7])
