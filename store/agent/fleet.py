"""The fleet: a line per deployment, with what release, monitor and alerts know of it side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import duckdb
import msgspec

from store.catalog.listing import ComputedListing
from store.database import times
from store.protocol import Cell, Column, ListParams
from store.release.listings import DeploymentRow, deployment_rows

COLUMNS = [
    Column("id", priority=9),
    Column("deployment", priority=0),
    Column("health", "health", priority=0),
    Column("effective", "json", "version", 0),
    Column("since", "time", priority=1),
    Column("revision", "number", "rev", 2),
    Column("phase", "health", priority=5),
    Column("requested", "json", priority=8),
    Column("observed", "json", priority=8),
    Column("changed", "time", "last change", 3),
    Column("by", priority=3),
    Column("reason", priority=6),
    Column("message", priority=7),
    Column("target", priority=9),
]


def compute(connection: duckdb.DuckDBPyConnection, params: ListParams) -> Iterable[Sequence[Cell]]:
    """One row per deployment as of `params.at`, in the order of `COLUMNS`."""
    at = times.from_seconds(params.at) if params.at is not None else None
    wanted = params.scope.get("deployment")
    for row in deployment_rows(connection, at):
        if wanted in (None, row.deployment):
            yield _line(row)


def _line(row: DeploymentRow) -> list[Cell]:
    return [
        row.deployment,
        row.deployment,
        row.health,
        _json(row.effective),
        times.seconds(row.since),
        row.revision,
        row.phase,
        _json(row.requested),
        _json(row.observed),
        times.seconds(row.changed_at),
        row.changed_by,
        row.change_reason,
        row.message,
        row.target,
    ]


def _json(versions: dict[str, float]) -> str:
    return msgspec.json.encode(versions).decode()


DEPLOYMENTS = ComputedListing("deployments", COLUMNS, compute, "deployment", name_column="deployment")
