"""One line a deployment for the fleet: traffic, worst drift, performance against the reference, last data."""

from __future__ import annotations

import dataclasses
import threading
import time
from datetime import datetime

import duckdb
import numpy as np

from store.database import times
from store.monitor import performance, presets, statistics
from store.monitor.bins import Integers
from store.monitor.counts import outermost
from store.monitor.deployments import split
from store.monitor.realised import performance_sums, reference_metric
from store.monitor.recent import SPARK_POINTS, Recent, RecentWindows, read_recent, spark_window
from store.monitor.reference import Reference, load_reference, manifest_of
from store.monitor.reference_chunks import load_chunks
from store.monitor.scan import DEFAULTS
from store.monitor.unjudged import Judging, absent_or, is_unused, not_judged, without_reference
from store.monitor.windows import Window, window
from store.settings import MonitorSettings


@dataclasses.dataclass(frozen=True)
class Summary:
    """`traffic` is rows an hour (or a coarser base window) up to the last data, oldest first.

    Drift is that of the last alert window with `min_rows` rows, else of the last `alert_span` together: PSI or, of a
    store that goes by a preset, how many times its own threshold each feature's statistic is.
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
    """Features that alarm: a large effect that is more than chance, or what the preset says."""
    metric: str
    metric_value: float | None
    metric_reference: float | None
    labelled: int
    last_data: datetime | None
    judging: Judging = dataclasses.field(default_factory=Judging)
    """How many features of those rows there are, and why which number of them was not judged."""


#: Drift may lag behind by this share of its window's rows, and only for so many seconds.
LAG_SHARE = 0.02
LAG_SECONDS = 5.0
#: Finding drift takes no longer than this at a time (seconds), so that a fleet is seen at once; the rest is next.
BUDGET_SECONDS = 0.1


def summary(
    connection: duckdb.DuckDBPyConnection, at: datetime | None = None, settings: MonitorSettings = DEFAULTS
) -> dict[str, Summary]:
    """Deployment → its summary as the store knows it, or knew it `at`; only those that predictions came from."""
    return Fleet(settings).summary(connection, at)


def one(
    connection: duckdb.DuckDBPyConnection,
    deployment: str,
    at: datetime | None = None,
    settings: MonitorSettings = DEFAULTS,
) -> Summary | None:
    """The summary of one deployment, read anew; null where no predictions had come."""
    windows = read_recent(connection, deployment, settings, at)
    return Fleet(settings).line(connection, deployment, windows, at) if windows is not None else None


@dataclasses.dataclass
class _Drift:
    """The worst feature of the rows since `start`, and when and on how many of them it was found."""

    start: int
    rows: int
    found_at: float
    feature: str = ""
    value: float | None = None
    noise: float | None = None
    drifted: int = 0
    judging: Judging = dataclasses.field(default_factory=Judging)


_Performance = tuple[str, float | None, float | None, int]


class Fleet:
    """Summaries of one store that follow what arrives: what was recorded since the last time is read, nothing twice."""

    def __init__(self, settings: MonitorSettings = DEFAULTS) -> None:
        self._settings = settings
        self._width = window(settings.alert_window, settings.base_window_seconds)
        self._fine = spark_window(settings)
        self._lock = threading.Lock()
        self._recent = RecentWindows(settings)
        self._drift: dict[str, _Drift] = {}
        self._performance: dict[str, _Performance] = {}
        self._kept: dict[str, Summary] = {}

    def summary(self, connection: duckdb.DuckDBPyConnection, at: datetime | None = None) -> dict[str, Summary]:
        """See the function of this name; drift may lag (`LAG_SHARE`, `LAG_SECONDS`, `BUDGET_SECONDS`). Safe on several
        threads."""
        if at is not None:
            return self._past(connection, at)
        with self._lock:
            try:
                changed = self._recent.catch_up(connection)
            except BaseException:
                # How much of it was added is not known: start afresh.
                self._recent = RecentWindows(self._settings)
                raise
            for deployment in changed | self._drift_again(connection):
                self._kept[deployment] = self.line(connection, deployment, self._recent, None)
            return {deployment: self._kept[deployment] for deployment in sorted(self._kept)}

    def line(
        self, connection: duckdb.DuckDBPyConnection, deployment: str, windows: RecentWindows, at: datetime | None
    ) -> Summary:
        """The summary of a deployment from its recent windows."""
        recent = windows.deployments[deployment]
        moment = recent.last_us / 1e6
        start = self._width.start(moment)
        drift = self._drift.get(deployment)
        if drift is None:
            drift = self._drift[deployment] = self._find_drift(connection, deployment, windows, start)
        if recent.labels or deployment not in self._performance:
            self._performance[deployment] = _performance(connection, deployment, self._width, at, self._settings)
            recent.labels = False
        metric, now, reference, labelled = self._performance[deployment]
        starts = self._fine.starts(self._fine.back(moment, SPARK_POINTS), moment + 1e-6)
        return Summary(
            deployment=deployment,
            traffic=[float(recent.hours.get(hour, 0)) for hour in starts],
            rows=_rows_of(recent, start),
            worst_feature=drift.feature,
            worst_value=drift.value,
            worst_noise=drift.noise,
            drifted=drift.drifted,
            metric=metric,
            metric_value=now,
            metric_reference=reference,
            labelled=labelled,
            last_data=recent.last,
            judging=drift.judging,
        )

    def _past(self, connection: duckdb.DuckDBPyConnection, at: datetime) -> dict[str, Summary]:
        rows = connection.execute(
            "SELECT DISTINCT deployment FROM monitor_window WHERE recorded_at <= ? ORDER BY deployment",
            [times.to_db(at)],
        ).fetchall()
        found = {str(row[0]): one(connection, str(row[0]), at, self._settings) for row in rows}
        return {deployment: summary for deployment, summary in found.items() if summary is not None}

    def _drift_again(self, connection: duckdb.DuckDBPyConnection) -> set[str]:
        """Find the drift of those that lag behind, the longest first, as the time allows."""
        begun, done = time.monotonic(), set()
        for deployment, drift in sorted(self._drift.items(), key=lambda item: item[1].found_at):
            recent = self._recent.deployments.get(deployment)
            if recent is None:
                continue
            start = self._width.start(recent.last_us / 1e6)
            if self._is_due(recent, drift, start):
                self._drift[deployment] = self._find_drift(connection, deployment, self._recent, start)
                done.add(deployment)
                if time.monotonic() - begun > BUDGET_SECONDS:
                    break
        return done

    def _is_due(self, recent: Recent, drift: _Drift, start: int) -> bool:
        if start > drift.start and _rows_of(recent, start) >= self._settings.min_rows:
            return True
        behind = _rows_since(recent, drift.start) - drift.rows
        return behind > LAG_SHARE * drift.rows or (behind != 0 and time.monotonic() - drift.found_at > LAG_SECONDS)

    def _find_drift(
        self, connection: duckdb.DuckDBPyConnection, deployment: str, windows: RecentWindows, start: int
    ) -> _Drift:
        recent = windows.deployments[deployment]
        since = start
        if _rows_of(recent, start) < self._settings.min_rows:
            since = self._width.back(recent.last_us / 1e6, self._settings.alert_span)
        found = _Drift(since, _rows_since(recent, since), time.monotonic())
        here = [(count, version) for (of, version), count in recent.rows.items() if of == start]
        if not here:
            return found
        version = max(here)[1]
        model = split(deployment).model
        reference = load_reference(connection, model, version)
        current = windows.total(deployment, version, since)
        names = without_reference(connection, model, version, reference)
        missing = [not_judged(name, "psi", self._settings.psi_warn, found.rows, "no_reference") for name in names]
        if reference is None or current is None:
            # Without counts: what came was recorded before there was a reference.
            uncounted = [one for one in reference.features if not is_unused(one, reference, 0)] if reference else []
            late = [not_judged(one.name, "psi", self._settings.psi_warn, 0, "no_reference") for one in uncounted]
            found.judging = Judging.of([*missing, *late])
            return found
        verdicts = self._judged(connection, reference, current)
        judged = [
            absent_or(one) for one in verdicts if not is_unused(reference.by_name[one.feature], reference, one.rows)
        ]
        found.judging = Judging.of([*missing, *judged])
        found.drifted = sum(one.alarm for one in judged)
        # A value that nothing can be said of is no worst one.
        sized = [(presets.size(one), one) for one in judged if one.state != "not judged"]
        known = [(size, one) for size, one in sized if size is not None]
        if known:
            found.value, worst = max(known, key=lambda pair: pair[0])
            found.feature, found.noise = worst.feature, worst.noise_floor
        return found

    def _judged(
        self, connection: duckdb.DuckDBPyConnection, reference: Reference, current: Integers
    ) -> list[statistics.FeatureVerdict]:
        windows, preset = current[np.newaxis], self._settings.preset
        if preset:
            chunks = load_chunks(connection, reference.identity, reference.width, preset)
            return presets.verdicts(presets.named(preset), reference, windows, chunks)[0]
        return statistics.verdicts(reference, windows, self._settings, watch=False)[0]


def _rows_since(recent: Recent, since: int) -> int:
    return sum(count for (start, _), count in recent.rows.items() if start >= since)


def _rows_of(recent: Recent, window: int) -> int:
    return sum(count for (start, _), count in recent.rows.items() if start == window)


def _performance(
    connection: duckdb.DuckDBPyConnection,
    deployment: str,
    width: Window,
    at: datetime | None,
    settings: MonitorSettings,
) -> tuple[str, float | None, float | None, int]:
    latest = times.seconds(outermost(connection, "monitor_performance", "window_start DESC", deployment, at))
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
