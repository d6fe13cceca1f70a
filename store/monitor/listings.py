"""The listings `windows`, `drift`, `performance`, `quality` and `alerts`."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Literal, cast

import duckdb
import msgspec

from store.catalog.filter import parse
from store.catalog.listing import ComputedListing, Listing, Source, SqlListing
from store.database import times
from store.monitor import presets, reading, statistics
from store.monitor.deployments import split
from store.monitor.explaining import causes_of
from store.monitor.performance_reading import PerformanceView
from store.monitor.performance_rows import performance_rows
from store.monitor.quality import quality
from store.monitor.realised import slice_names
from store.monitor.relevance import excess, relevance
from store.monitor.scan import DEFAULTS
from store.monitor.spans import Span, span
from store.monitor.unjudged import Judging
from store.monitor.window_rows import window_rows
from store.monitor.windows import Window
from store.protocol import Cell, Column, ListParams, SpanParams
from store.settings import MonitorSettings

#: Windows that a listing shows without `since`.
COUNT = 30

_SPAN = (
    Column("deployment"),
    Column("version"),
)
_TIMES = (Column("window_start", "time"), Column("window_end", "time"))

WINDOW_COLUMNS = (
    Column("id", priority=9),
    *_SPAN,
    *_TIMES,
    Column("rows", "number", priority=0),
    Column("labelled", "number"),
    Column("files", "number", priority=2),
    Column("recorded_at", "time", priority=2),
    Column("judged", "number", priority=1),
    Column("not_judged", "number", priority=1),
    Column("why", priority=2),
)
#: The last columns, which say how many features were judged: the only ones for which the counts are read.
_JUDGED = frozenset({"judged", "not_judged", "why"})
DRIFT_COLUMNS = (
    Column("id", priority=9),
    *_SPAN,
    Column("feature", priority=0),
    *_TIMES,
    Column("statistic"),
    Column("value", "number", priority=0),
    Column("noise_floor", "number"),
    Column("threshold", "number"),
    Column("reference_rows", "number", priority=2),
    Column("rows", "number"),
    Column("alarm"),
    Column("why", priority=2),
    Column("p_value", "number", priority=2),
    Column("q_value", "number", priority=2),
    Column("severity", priority=2),
    Column("guarantee", priority=2),
    Column("importance", "number", priority=2),
    Column("correlation", "number", priority=2),
    Column("relevance", "number", priority=2),
    Column("state", "health", priority=0),
    Column("reason", priority=2),
    Column("causes", priority=2),
)
PERFORMANCE_COLUMNS = (
    Column("id", priority=9),
    *_SPAN,
    *_TIMES,
    Column("metric", priority=0),
    Column("value", "number", priority=0),
    Column("reference", "number"),
    Column("kind", priority=2),
    Column("rows", "number"),
    Column("labelled", "number"),
    Column("why", priority=2),
    Column("lower", "number", priority=2),
    Column("upper", "number", priority=2),
    Column("slice", priority=2),
    Column("maturity", priority=2),
)
QUALITY_COLUMNS = (
    Column("id", priority=9),
    *_SPAN,
    Column("feature", priority=0),
    *_TIMES,
    Column("check", priority=0),
    Column("value", "number", priority=0),
    Column("reference", "number"),
    Column("noise_floor", "number", priority=2),
    Column("threshold", "number"),
    Column("rows", "number"),
    Column("failed", priority=0),
    Column("why", priority=2),
)


#: Columns of names that people number.
_NAMES = frozenset({"version", "deployment", "feature"})


def listings(settings: MonitorSettings = DEFAULTS) -> list[Listing]:
    """The monitor's listings, with this store's thresholds and widths."""
    return [
        ComputedListing(
            "windows",
            WINDOW_COLUMNS,
            functools.partial(_windows, settings),
            "window_start:desc",
            "version",
            _JUDGED,
            functools.partial(_judge_windows, settings),
            natural=_NAMES,
        ),
        ComputedListing(
            "drift", DRIFT_COLUMNS, functools.partial(_drift, settings), "value:desc", "feature", natural=_NAMES
        ),
        ComputedListing(
            "performance",
            PERFORMANCE_COLUMNS,
            functools.partial(_performance, settings),
            "window_start:desc",
            "metric",
            natural=_NAMES,
        ),
        ComputedListing(
            "quality", QUALITY_COLUMNS, functools.partial(_quality, settings), "failed:desc", "feature", natural=_NAMES
        ),
        SqlListing(
            "alerts",
            _alert_columns,
            _alerts,
            "opened_at:desc",
            "feature",
            {"deployment": "deployment"},
            # Those opened at one moment by their numbers: a32 is newer than a9.
            tie="TRY_CAST(substr(alert, 2) AS BIGINT)",
            natural=_NAMES,
        ),
    ]


def _deployments(
    connection: duckdb.DuckDBPyConnection,
    params: ListParams,
    table: Literal["monitor_window", "monitor_arrival"] = "monitor_window",
) -> list[str]:
    """Those asked for, or all that the table has rows of."""
    wanted = params.scope.get("deployment", "")
    if wanted:
        split(wanted)
        return [wanted]
    rows = connection.execute(f"SELECT DISTINCT deployment FROM {table} ORDER BY 1").fetchall()
    return [str(row[0]) for row in rows]


def _asked(params: ListParams, deployment: str, settings: MonitorSettings) -> SpanParams:
    return SpanParams(
        deployment,
        params.window or settings.alert_window,
        params.since,
        params.until,
        params.at,
        COUNT,
        params.scope.get("statistic", "psi"),
        params.scope.get("version", ""),
    )


def _windows(
    settings: MonitorSettings, connection: duckdb.DuckDBPyConnection, params: ListParams
) -> Iterator[list[Cell]]:
    if params.scope.get("deployment"):
        split(params.scope["deployment"])
    return ([*row, None, None, None] for row in window_rows(settings, connection, params, COUNT))


def _judge_windows(
    settings: MonitorSettings, connection: duckdb.DuckDBPyConnection, params: ListParams, rows: list[list[Cell]]
) -> None:
    """Put into rows of windows how many features of each were judged, how many were not, and why not."""
    by_version: dict[tuple[str, str], list[list[Cell]]] = {}
    for row in rows:
        by_version.setdefault((str(row[1]), str(row[2])), []).append(row)
    for (deployment, version), windows in by_version.items():
        starts, ends = ([cast(float, row[place]) for row in windows] for place in (3, 4))
        asked = msgspec.structs.replace(
            _asked(params, deployment, settings), since=min(starts), until=max(ends), statistic="psi", version=version
        )
        found: dict[float, list[statistics.FeatureVerdict]] = {}
        for one in reading.drift(connection, asked, settings):
            found.setdefault(float(one.start), []).append(one.found)
        for row, start in zip(windows, starts, strict=True):
            judging = Judging.of(found.get(start, []))
            row[-len(_JUDGED) :] = [judging.judged, judging.unjudged, judging.describe()]


def _drift(
    settings: MonitorSettings, connection: duckdb.DuckDBPyConnection, params: ListParams
) -> Iterator[list[Cell]]:
    feature = params.scope.get("feature", "")
    for deployment in _deployments(connection, params):
        for statistic in _statistics(params):
            asked = msgspec.structs.replace(_asked(params, deployment, settings), statistic=statistic)
            over = span(connection, asked, settings)
            rows = list(reading.drift(connection, asked, settings))
            drifts: dict[str, dict[int, float]] = {}
            for row in rows:
                beyond = excess(row.found.value, row.found.noise_floor, row.found.threshold)
                if beyond is not None:
                    drifts.setdefault(row.found.feature, {})[row.start] = beyond
            matters = relevance(connection, deployment, over, drifts)
            shown = [row for row in rows if not feature or row.found.feature == feature]
            causes = causes_of(connection, deployment, over.window, shown, over.at)
            for row in shown:
                name = row.found.feature
                yield [
                    *_drift_row(deployment, over.window, row),
                    matters.importance.get(name),
                    matters.correlation.get(name),
                    matters.of(name, drifts.get(name, {}).get(row.start)),
                    row.found.state,
                    row.found.reason if row.found.state == "not judged" else None,
                    "; ".join(causes.get((row.version, row.start, name), [])),
                ]


def _statistics(params: ListParams) -> list[str]:
    """The statistics that are listed: what the scope or terms of the filter ask for (`statistic=ks`,
    `statistic:.*`), else PSI. One that does not exist is left for reading to refuse."""
    if "statistic" in params.scope:
        return [params.scope["statistic"]]
    terms = [term for term in parse(params.filter) if term.column == "statistic" and not term.negated]
    named = [term.value for term in terms if term.operator == "="]
    patterns = [re.compile(term.value, re.IGNORECASE) for term in terms if term.operator == ":"]
    if not named and not patterns:
        return ["psi"]
    # Presets are listed where they are named: "any statistic" means the monitor's own.
    asked = [name for name in presets.NAMES if any(name in term.value for term in terms)]
    known = named or [*statistics.STATISTICS, *asked]
    return [name for name in known if all(pattern.search(name) for pattern in patterns)]


def _drift_row(deployment: str, window: Window, row: reading.DriftRow) -> list[Cell]:
    found = row.found
    return [
        f"{deployment}/{row.version}/{found.feature}/{found.statistic}/{row.start}",
        deployment,
        row.version,
        found.feature,
        float(row.start),
        float(window.next(row.start)),
        found.statistic,
        found.value,
        found.noise_floor,
        found.threshold,
        row.reference_rows,
        found.rows,
        found.alarm,
        found.explanation,
        found.p_value,
        found.q_value,
        found.severity,
        statistics.GUARANTEES[found.guarantee],
    ]


def _performance(
    settings: MonitorSettings, connection: duckdb.DuckDBPyConnection, params: ListParams
) -> Iterator[list[Cell]]:
    """Rows of each window, version and metric: realised, estimated where that is possible and, with a scope or filter
    that names `slice`, realised by the values of slice columns."""
    wanted = params.scope.get("version", "")
    for deployment in _deployments(connection, params):
        asked = span(connection, _asked(params, deployment, settings), settings)
        view = PerformanceView(connection, deployment, asked)
        yield from performance_rows(
            connection, deployment, view, wanted, _slices(connection, deployment, asked, params)
        )


def _slices(connection: duckdb.DuckDBPyConnection, deployment: str, asked: Span, params: ListParams) -> list[str]:
    """The slice columns that are listed: they multiply the rows, so only when asked for."""
    scope = params.scope.get("slice", "")
    if not scope and "slice" not in params.filter:
        return []
    known = slice_names(connection, deployment, asked.since, asked.end, asked.at)
    return [name for name in known if scope in ("", "*", name)]


def _quality(
    settings: MonitorSettings, connection: duckdb.DuckDBPyConnection, params: ListParams
) -> Iterator[list[Cell]]:
    """The checks of each window, newest first where they fail alike; scopes `version`, `feature` and `check` narrow."""
    feature, check = params.scope.get("feature"), params.scope.get("check")
    for deployment in _deployments(connection, params, "monitor_arrival"):
        asked = _asked(params, deployment, settings)
        window = span(connection, asked, settings).window
        rows = sorted(quality(connection, asked, settings), key=lambda row: (-row.start, row.feature, row.check))
        for row in rows:
            if (feature is not None and row.feature != feature) or (check is not None and row.check != check):
                continue
            yield [
                f"{deployment}/{row.version}/{row.feature}/{row.check}/{row.start}",
                deployment,
                row.version,
                row.feature,
                float(row.start),
                float(window.next(row.start)),
                row.check,
                row.value,
                row.reference,
                row.noise_floor,
                row.threshold,
                row.rows,
                row.failed,
                row.why,
            ]


def _alert_columns(_connection: duckdb.DuckDBPyConnection) -> list[tuple[Column, str]]:
    def time(name: str, priority: int = 2) -> tuple[Column, str]:
        return Column(name, "time", priority=priority), f"epoch({name})"

    return [
        (Column("id", priority=0), "alert"),
        (Column("state", "health", priority=0), "state"),
        (Column("severity"), "severity"),
        (Column("deployment", priority=0), "deployment"),
        (Column("version"), "version"),
        (Column("rule"), "rule"),
        (Column("feature", priority=0), "feature"),
        (Column("value", "number"), "value"),
        (Column("threshold", "number"), "threshold"),
        (Column("noise_floor", "number", priority=2), "noise_floor"),
        time("opened_at", 1),
        (Column("message"), "message"),
        time("window_start"),
        time("window_end"),
        time("changed_at"),
        time("ended_at"),
        (Column("by", priority=2), "actor"),
        (Column("note", priority=2), "note"),
        time("muted_until"),
        (Column("statistic", priority=3), "statistic"),
        (Column("guarantee", priority=4), "guarantee"),
        (Column("q_value", "number", priority=4), "q_value"),
        time("opened_window", 4),
        time("closed_window", 4),
    ]


def _alerts(at: datetime | None) -> Source:
    if at is None:
        return Source("monitor_alert_now")
    # A macro takes its argument as a literal here: it was a datetime, not text from outside.
    return Source(f"monitor_alert_at(TIMESTAMP '{times.to_db(at).isoformat(sep=' ')}')")
