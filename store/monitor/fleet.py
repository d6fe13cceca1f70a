"""One line a deployment for the fleet: traffic, worst drift, performance against the reference, last data."""

from __future__ import annotations

import dataclasses
from datetime import datetime

import duckdb

from store.database import times
from store.monitor import counts, performance, statistics
from store.monitor.deployments import split
from store.monitor.realised import performance_sums, reference_metric
from store.monitor.reference import load_reference, manifest_of
from store.monitor.scan import DEFAULTS
from store.monitor.windows import DAY, HOUR, Window, window
from store.settings import MonitorSettings

SPARK_POINTS = 24


@dataclasses.dataclass(frozen=True)
class Summary:
    """`traffic` is rows an hour (or a coarser base window) up to the last data, oldest first.

    Drift is that of the last alert window with `min_rows` rows, else of the last `alert_span` together.
    Performance is over the last `alert_span` alert windows that have labels; `metric` is auc or log_loss, mae,
    accuracy as the task has it; null where it cannot be computed.
    """

    deployment: str
    traffic: list[float]
    rows: int
    worst_feature: str
    worst_value: float | None
    worst_noise: float | None
    drifted: int
    """Features that alarm: a large effect that is more than chance."""
    metric: str
    metric_value: float | None
    metric_reference: float | None
    labelled: int
    last_data: datetime | None


def summary(
    connection: duckdb.DuckDBPyConnection, at: datetime | None = None, settings: MonitorSettings = DEFAULTS
) -> dict[str, Summary]:
    """Deployment → its summary as the store knows it, or knew it `at`; only those that predictions came from."""
    return Fleet(settings).summary(connection, at)


class Fleet:
    """Summaries of one store, kept until a file arrives for the deployment: a fleet of 50 is then one query."""

    def __init__(self, settings: MonitorSettings = DEFAULTS) -> None:
        self._settings = settings
        self._kept: dict[str, tuple[int, Summary]] = {}

    def summary(self, connection: duckdb.DuckDBPyConnection, at: datetime | None = None) -> dict[str, Summary]:
        """See the function of this name. Safe to call from several readers."""
        known = times.to_db(at) if at else None
        rows = connection.execute(
            "SELECT deployment, max(ordinal) FROM monitor_arrival WHERE $1 IS NULL OR recorded_at <= $1"
            " GROUP BY deployment ORDER BY deployment",
            [known],
        ).fetchall()
        found: dict[str, Summary] = {}
        for deployment, ordinal in rows:
            kept = self._kept.get(deployment)
            # What was known at a past moment is found by the newest arrival of that moment, too.
            if kept is not None and kept[0] == ordinal:
                found[deployment] = kept[1]
                continue
            last = counts.last_data(connection, deployment, at)
            if last is None:
                continue
            found[deployment] = _one(connection, deployment, times.from_db(last), at, self._settings)
            if at is None:
                self._kept[deployment] = (ordinal, found[deployment])
        return found


def _one(
    connection: duckdb.DuckDBPyConnection,
    deployment: str,
    last: datetime,
    at: datetime | None,
    settings: MonitorSettings,
) -> Summary:
    moment = last.timestamp()
    spark = Window("spark", max(HOUR, settings.base_window_seconds)) if settings.base_window_seconds < DAY else None
    fine = spark if spark and spark.seconds % settings.base_window_seconds == 0 else None
    fine = fine or Window("spark", settings.base_window_seconds)
    begin = fine.back(moment, SPARK_POINTS)
    recent = counts.traffic(connection, deployment, fine, begin, fine.next(fine.start(moment)), at)
    traffic = [float(recent.total(start)) for start in fine.starts(begin, moment + 1e-6)]
    width = window(settings.alert_window, settings.base_window_seconds)
    feature, value, noise, drifted, rows = _drift(connection, deployment, width, moment, at, settings)
    metric, now, reference, labelled = _performance(connection, deployment, width, at, settings)
    return Summary(deployment, traffic, rows, feature, value, noise, drifted, metric, now, reference, labelled, last)


def _drift(
    connection: duckdb.DuckDBPyConnection,
    deployment: str,
    width: Window,
    moment: float,
    at: datetime | None,
    settings: MonitorSettings,
) -> tuple[str, float | None, float | None, int, int]:
    start = width.start(moment)
    until = width.next(start)
    begin = width.back(moment, settings.alert_span)
    traffic = counts.traffic(connection, deployment, width, begin, until, at)
    version = traffic.main_version(start)
    reference = load_reference(connection, split(deployment).model, version) if version is not None else None
    rows = traffic.total(start)
    if version is None or reference is None:
        return "", None, None, 0, rows
    since = start if rows >= settings.min_rows else begin
    _, dense = counts.slot_sums(connection, deployment, version, reference, None, since, until, at)
    if not len(dense):
        return "", None, None, 0, rows
    judged = statistics.verdicts(reference, dense, settings, watch=False)[0]
    drifted = sum(found.alarm for found in judged)
    known = [found for found in judged if found.value is not None]
    if not known:
        return "", None, None, drifted, rows
    worst = max(known, key=lambda found: found.value or 0.0)
    return worst.feature, worst.value, worst.noise_floor, drifted, rows


def _performance(
    connection: duckdb.DuckDBPyConnection,
    deployment: str,
    width: Window,
    at: datetime | None,
    settings: MonitorSettings,
) -> tuple[str, float | None, float | None, int]:
    known = times.to_db(at) if at else None
    latest = times.seconds(
        connection.execute(
            "SELECT max(window_start) FROM monitor_performance WHERE deployment = $1"
            " AND ($2 IS NULL OR recorded_at <= $2)",
            [deployment, known],
        ).fetchall()[0][0]
    )
    if latest is None:
        return "", None, None, 0
    start = width.start(latest)
    begin, until = width.back(start, settings.alert_span), width.next(start)
    sums = performance_sums(connection, deployment, width, begin, until, at)
    version = sums.main_version(start)
    if version is None:
        return "", None, None, 0
    manifest = manifest_of(connection, split(deployment).model, version)
    dense, totals = sums.total(version, begin, until)
    labelled = int(dense[performance.LABELLED])
    for name in performance.METRICS[manifest.task]:
        value, _ = performance.metric(manifest.task, name, dense, totals)
        if value is not None:
            return name, value, reference_metric(connection, manifest, name), labelled
    return performance.METRICS[manifest.task][0], None, None, labelled
