"""The fleet: a line per deployment, with what release, monitor and alerts know of it side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import duckdb
import msgspec

from store import monitor
from store.agent.health import Health, worst
from store.catalog import models
from store.catalog.listing import ComputedListing
from store.database import times
from store.monitor.fleet import Summary, one
from store.monitor.recent_files import Loss, RecentFiles, losses_of
from store.protocol import Cell, Column, Field, ListParams
from store.release.listings import DeploymentRow, deployment_row, deployment_rows, with_warning
from store.release.plan import Insight
from store.settings import MonitorSettings

COLUMNS = [
    Column("id", priority=9),
    Column("deployment", priority=0),
    Column("health", "health", priority=0),
    Column("effective", "json", "version", 0),
    Column("since", "time", priority=2),
    Column("traffic", "spark", priority=3),
    Column("drift_feature", title="drift", priority=1),
    Column("drift", "number", "psi", 1),
    Column("metric", priority=2),
    Column("performance", "number", "now", 1),
    Column("reference", "number", "ref", 1),
    Column("alerts", "number", priority=0),
    Column("changed", "time", "last change", 4),
    Column("by", priority=4),
    Column("last_data", "time", "last data", 5),
    Column("revision", "number", "rev", 3),
    Column("phase", "health", priority=5),
    Column("requested", "json", priority=8),
    Column("observed", "json", priority=8),
    Column("reason", priority=6),
    Column("message", priority=7),
    Column("target", priority=9),
    Column("judged", "number", priority=3),
    Column("not_judged", "number", "not judged", 1),
    Column("why_not_judged", priority=6),
    Column("cause", priority=2),
]


def unit(settings: MonitorSettings) -> str:
    """What the fleet's drift is told in: PSI, or times the threshold of the preset that the store goes by."""
    return f"× {settings.preset}" if settings.preset else "psi"


def listing(settings: MonitorSettings) -> ComputedListing:
    """The listing `deployments`, with this store's thresholds."""
    summaries, files = monitor.Fleet(settings), RecentFiles()
    columns = [
        msgspec.structs.replace(column, title=unit(settings)) if column.name == "drift" else column
        for column in COLUMNS
    ]

    def compute(connection: duckdb.DuckDBPyConnection, params: ListParams) -> Iterable[Sequence[Cell]]:
        at = times.asked(params.at)
        return _lines(connection, at, params.scope.get("deployment"), summaries, files)

    natural = frozenset({"id", "deployment", "effective", "requested", "observed", "drift_feature"})
    return ComputedListing("deployments", columns, compute, "deployment", name_column="deployment", natural=natural)


def _lines(
    connection: duckdb.DuckDBPyConnection,
    at: datetime | None,
    wanted: str | None,
    kept: monitor.Fleet,
    files: RecentFiles,
) -> Iterator[list[Cell]]:
    summaries = kept.summary(connection, at)
    alerts = monitor.open_alerts(connection, at)
    losses = files.losses(connection, at)
    lacking = set(models.lacking_artifact(connection))
    for row in deployment_rows(connection, at):
        if wanted in (None, row.deployment):
            unheeded, on = alerts.get(row.deployment, (0, 0))
            state = worst(
                [
                    Health(health(row, unheeded, on, summaries.get(row.deployment))),
                    *of_losses(losses.get(row.deployment, [])),
                ]
            )
            yield _line(row, summaries.get(row.deployment), on, state, with_warning(row, lacking))


def _line(row: DeploymentRow, summary: Summary | None, on: int, state: Health, message: str) -> list[Cell]:
    return [
        row.deployment,
        row.deployment,
        state.word,
        _json(row.effective),
        times.seconds(row.since),
        list(summary.traffic) if summary else None,
        summary.worst_feature if summary else None,
        summary.worst_value if summary else None,
        summary.metric if summary else None,
        summary.metric_value if summary else None,
        summary.metric_reference if summary else None,
        on,
        times.seconds(row.changed_at),
        row.changed_by,
        times.seconds(summary.last_data) if summary else None,
        row.revision,
        row.phase,
        _json(row.requested),
        _json(row.observed),
        row.change_reason,
        message,
        row.target,
        summary.judging.judged if summary else None,
        summary.judging.unjudged if summary else None,
        summary.judging.describe() if summary else None,
        state.cause,
    ]


def health(row: DeploymentRow, unheeded: int, on: int, summary: Summary | None) -> str:
    """The release's own trouble first; a sound release with alerts that nobody took up is `alarm`, else `warning`; one
    whose predictions were never seen, or of whose features none was judged, is not known to be well."""
    if row.health not in ("ok", "healthy"):
        return row.health
    if unheeded:
        return "alarm"
    if on:
        return "warning"
    if summary is None or summary.last_data is None:
        return "no data"
    why = summary.judging.why_nothing
    return f"not judged: {why}" if why else row.health


def state_fields(
    connection: duckdb.DuckDBPyConnection, deployment: str, at: datetime | None, settings: MonitorSettings
) -> list[Field]:
    """What the page of a deployment says first: its health as the fleet tells it, and what was not judged."""
    row, summary = deployment_row(connection, deployment, at), one(connection, deployment, at, settings)
    if row is None:
        return []
    unheeded, on = monitor.open_alerts(connection, at).get(deployment, (0, 0))
    losses = losses_of(connection, deployment, at)
    state = worst([Health(health(row, unheeded, on, summary)), *of_losses(losses)])
    fields = [Field("Health", state.word, "health"), *([Field("Cause", state.cause)] if state.cause else [])]
    if summary is not None:
        judging = summary.judging
        fields.append(Field("Features judged", f"{judging.judged} of {judging.features}"))
        if judging.describe():
            fields.append(Field("Not judged", judging.describe()))
    return fields


def of_losses(losses: Sequence[Loss]) -> list[Health]:
    """Files that lost more rows than their limit are a warning, whatever the windows say that the other rows fed."""
    return [Health("warning", loss.describe()) for loss in losses]


def insight(settings: MonitorSettings) -> Insight:
    """What the dialog of a release shows beside the release's own facts: alerts, performance, drift, traffic."""

    def ask(
        connection: duckdb.DuckDBPyConnection,
        deployment: str,
        _before: Mapping[str, float],
        _after: Mapping[str, float],
    ) -> list[Field]:
        fields = monitor.insight(connection, deployment)
        summary = one(connection, deployment, None, settings)
        if summary is None:
            return [*fields, Field("Traffic", "no predictions yet")]
        if summary.metric_value is not None:
            reference = "" if summary.metric_reference is None else f", on its reference {summary.metric_reference:.3f}"
            fields.append(Field("Performance now", f"{summary.metric} {summary.metric_value:.3f}{reference}"))
        if summary.worst_value is not None:
            value = f"{summary.worst_value:.2f}"
            worst = f"{value} {unit(settings)}" if settings.preset else f"{unit(settings)} {value}"
            fields.append(Field("Worst drift", f"{summary.worst_feature} {worst}"))
        if summary.judging.describe():
            fields.append(Field("Not judged", summary.judging.describe()))
        return [*fields, Field("Traffic", f"{sum(summary.traffic):.0f} predictions in the last day of data")]

    return ask


def _json(versions: dict[str, float]) -> str:
    return msgspec.json.encode(versions).decode()
