"""What can be listed and shown of releases: revisions, and the deployments as they are or were."""

from __future__ import annotations

from collections.abc import Container
from datetime import UTC, datetime
from typing import Any

import duckdb
import msgspec

from store.catalog import models
from store.catalog.listing import Listing, Source, SqlListing
from store.catalog.listings import fixed
from store.catalog.natural import natural_sql
from store.database import times
from store.protocol import Cell, Column, ExitCode, Field, Refusal, Section
from store.release.state import NO_ARTIFACT

#: Revisions on a deployment's page; the listing `revisions` has them all.
SHOWN = 20

_FOREVER = times.to_db(datetime(9999, 12, 31, tzinfo=UTC))
_decode = msgspec.json.Decoder(dict[str, float]).decode


class DeploymentRow(msgspec.Struct, frozen=True):
    """One deployment at one moment: the release's half of a fleet line.

    `actor` and `reason` are those of the revision that is effective, `changed_*` those of the latest.
    """

    deployment: str
    model: str
    environment: str
    target: str
    revision: int
    action: str
    requested: dict[str, float]
    observed: dict[str, float]
    effective: dict[str, float]
    effective_revision: int | None
    phase: str
    health: str
    message: str
    since: datetime | None
    actor: str
    reason: str
    changed_at: datetime
    changed_by: str
    change_reason: str


def deployment_rows(connection: duckdb.DuckDBPyConnection, at: datetime | None = None) -> list[DeploymentRow]:
    """Every deployment as the store knows it, or knew it `at`, by name."""
    return _rows(connection, at, "true", [])


def deployment_row(
    connection: duckdb.DuckDBPyConnection, deployment: str, at: datetime | None = None
) -> DeploymentRow | None:
    return next(iter(_rows(connection, at, "deployment = ?", [deployment])), None)


def show_deployment(
    connection: duckdb.DuckDBPyConnection, deployment: str, at: datetime | None = None
) -> list[Section]:
    """The sections of a deployment's page. Raises `Refusal` (usage) when there is no such deployment."""
    row = deployment_row(connection, deployment, at)
    if row is None:
        raise Refusal(ExitCode.USAGE, f"There is no deployment {deployment[:200]!r}.", "`quarterdeck ls deployments`")
    state = Section(
        "State",
        [
            Field("Deployment", row.deployment),
            Field("Health", row.health, "health"),
            Field("Requested", row.requested, "json"),
            Field("Observed", row.observed, "json"),
            Field("Effective", row.effective, "json"),
            Field("Phase", row.phase),
            Field("Revision", row.revision, "number"),
            Field("Since", times.seconds(row.since), "time"),
            Field("By", row.actor),
            Field("Reason", row.reason),
            Field("Target", row.target),
            Field("Message", with_warning(row, dict.fromkeys(models.lacking_artifact(connection)))),
            Field("Last change", times.seconds(row.changed_at), "time"),
            Field("Last change by", row.changed_by),
            Field("Last change reason", row.change_reason),
        ],
    )
    past = connection.execute(
        "SELECT revision, action, versions, phase, actor, epoch(recorded_at), reason, message"
        " FROM deployment_revision_at(?) WHERE deployment = ? ORDER BY revision DESC LIMIT ?",
        [_moment(at), deployment, SHOWN],
    ).fetchall()
    columns = [
        Column("revision", "number"),
        Column("action"),
        Column("versions", "json"),
        Column("phase", "health"),
        Column("by"),
        Column("at", "time"),
        Column("reason"),
        Column("message"),
    ]
    rows: list[list[Cell]] = [list(row) for row in past]
    return [state, Section("Revisions", columns=columns, rows=rows), *_versions(connection, row)]


def with_warning(row: DeploymentRow, lacking: Container[tuple[str, str]]) -> str:
    """The row's message, with what serves although it is among those that are `lacking` an artifact."""
    bare = [version for version in row.effective if (row.model, version) in lacking]
    warnings = [f"version {version}: {NO_ARTIFACT}" for version in bare]
    # The revision's own message says the same until something else is seen of the target.
    return "; ".join(dict.fromkeys([*filter(None, row.message.split("; ")), *warnings]))


def _versions(connection: duckdb.DuckDBPyConnection, row: DeploymentRow) -> list[Section]:
    """The versions that are asked for or served, with the digests that their bits were asked for by."""
    found = connection.execute(
        "SELECT digests FROM deployment_revision WHERE deployment = ? AND revision IN (?, ?)",
        [row.deployment, row.revision, row.effective_revision],
    ).fetchall()
    digests: dict[str, str] = {}
    for (text,) in found:
        digests |= msgspec.json.decode(text, type=dict[str, str])
    fields = []
    for version in dict.fromkeys([*row.effective, *row.requested]):
        known = models.find(connection, row.model, version)
        digest = digests.get(version, "")
        if known is not None and known.digest == digest and not known.has_artifact:
            declared = not known.lacks_artifact
            text = "served by name, as model.json declares" if declared else f"warning: {NO_ARTIFACT}"
        else:
            text = digest or "no bits: released by name alone"
        fields.append(Field(f"Version {version}", text))
    return [Section("Bits", fields)] if fields else []


def _rows(
    connection: duckdb.DuckDBPyConnection, at: datetime | None, where: str, params: list[Any]
) -> list[DeploymentRow]:
    rows = connection.execute(
        "SELECT deployment, model, environment, target, revision, action, requested, observed, effective,"
        " effective_revision, phase, health, message, since, actor, reason, changed_at, changed_by, change_reason"
        f" FROM deployment_at(?) WHERE {where} ORDER BY deployment",
        [_moment(at), *params],
    ).fetchall()
    return [_row(row) for row in rows]


def _row(row: tuple[Any, ...]) -> DeploymentRow:
    values = dict(zip(DeploymentRow.__struct_fields__, row, strict=True))
    for name in ("requested", "observed", "effective"):
        values[name] = _decode(values[name])
    for name in ("since", "changed_at"):
        values[name] = times.from_db(values[name]) if values[name] else None
    return DeploymentRow(**values)


def _moment(at: datetime | None) -> datetime:
    return times.to_db(at) if at is not None else _FOREVER


def _revision_source(at: datetime | None) -> Source:
    return Source("deployment_revision_at(?)", params=(_moment(at),))


REVISIONS = SqlListing(
    "revisions",
    fixed(
        ("id", "text", 9, "deployment || '/' || revision"),
        ("deployment", "text", 0, "deployment"),
        ("revision", "number", 0, "revision"),
        ("action", "text", 0, "action"),
        ("versions", "json", 0, "versions"),
        ("before", "json", 2, "before"),
        ("phase", "health", 0, "phase"),
        ("by", "text", 1, "actor"),
        ("at", "time", 0, "epoch(recorded_at)"),
        ("reason", "text", 1, "reason"),
        ("effective_at", "time", 3, "epoch(effective_at)"),
        ("message", "text", 2, "message"),
        ("restores", "number", 4, "restores"),
        ("via", "text", 5, "via"),
        ("data_age", "duration", 6, "data_age"),
        ("digests", "json", 7, "digests"),
        ("model", "text", 8, "model"),
        ("environment", "text", 8, "environment"),
    ),
    _revision_source,
    "at:desc",
    name_column="deployment",
    scopes={"deployment": "deployment", "model": "model", "environment": "environment"},
    # Deployments are equal in time where one transaction recorded them.
    tie=f"{natural_sql('deployment')} || chr(1) || lpad(revision::VARCHAR, 10, '0') || chr(1) || deployment",
    natural=frozenset({"id", "deployment", "versions", "before", "model", "environment"}),
)


def listings() -> list[Listing]:
    return [REVISIONS]
