"""The metrics of one run for its page: the curves, thinned, and what was logged last, least and greatest."""

from __future__ import annotations

import math
from typing import NamedTuple

import duckdb

from store.catalog.silence import LAST_WORD, SILENT_AFTER, silence
from store.database import times
from store.database.rows import first_row
from store.protocol import ExitCode, MetricSeries, Number, Refusal, RunMetrics, RunMetricsParams


class _Point(NamedTuple):
    attempt: int
    step: int
    at: float
    value: float


def number(value: float) -> Number:
    """A value as it travels: JSON has no number for NaN and infinities, which go as `nan`, `inf` and `-inf`."""
    return value if math.isfinite(value) else str(value)


def metrics(
    connection: duckdb.DuckDBPyConnection, params: RunMetricsParams, silent_after: float = SILENT_AFTER
) -> RunMetrics:
    """The points of a run's metrics for a chart, each thinned to `params.points`, by attempt and step.

    Thinning keeps, of every bucket of neighbouring points, the least and the greatest value, so that a spike
    is never lost. Raises `Refusal` when there is no such run.
    """
    at = times.to_db(times.asked(params.at))
    moment = times.now().timestamp() if params.at is None else params.at
    known = first_row(
        connection.execute(
            f"SELECT sequence, status, {silence('$moment::DOUBLE', silent_after)}, {LAST_WORD}, epoch(last_metric_at),"
            " attempts FROM run WHERE name = $name AND"
            " CASE WHEN $at::TIMESTAMP IS NULL THEN superseded_at IS NULL"
            " ELSE recorded_at <= $at AND coalesce(superseded_at > $at, true) END LIMIT 1",
            {"name": params.run, "at": at, "moment": moment},
        )
    )
    if not known:
        raise Refusal(ExitCode.USAGE, f"There is no run {params.run!r}.", "See `quarterdeck ls runs`.")
    rows = connection.execute(
        "SELECT metric, coalesce(attempt, 1), step, epoch(measured_at), value, rowid FROM metric_point"
        " WHERE run = $run AND ($at::TIMESTAMP IS NULL OR recorded_at <= $at)"
        " AND (len($metrics::VARCHAR[]) = 0 OR list_contains($metrics::VARCHAR[], metric))"
        " ORDER BY metric, coalesce(attempt, 1), step, rowid",
        {"run": known[0], "at": at, "metrics": params.metrics},
    ).fetchall()
    by_metric: dict[str, list[_Point]] = {}
    logged_last: dict[str, tuple[int, float]] = {}
    for metric, attempt, step, measured, value, row in rows:
        by_metric.setdefault(metric, []).append(_Point(attempt, step, measured, value))
        if metric not in logged_last or row > logged_last[metric][0]:
            logged_last[metric] = (row, value)
    series = [
        _series(metric, points, logged_last[metric][1], max(2, params.points)) for metric, points in by_metric.items()
    ]
    return RunMetrics(
        params.run,
        str(known[1]),
        series,
        silence=known[2] or "",
        last_word=known[3],
        last_metric=known[4],
        attempts=int(known[5] or 1),
    )


def names(connection: duckdb.DuckDBPyConnection, run: str) -> frozenset[str]:
    """The metrics that a run has points of."""
    rows = connection.execute(
        "SELECT DISTINCT metric FROM metric_point WHERE run = (SELECT any_value(sequence) FROM run WHERE name = ?)",
        [run],
    ).fetchall()
    return frozenset(str(row[0]) for row in rows)


def _series(metric: str, points: list[_Point], last: float, most: int) -> MetricSeries:
    kept = _thin(points, most)
    ordered = [point.value for point in points if not math.isnan(point.value)]
    return MetricSeries(
        metric,
        [point.step for point in kept],
        [point.at for point in kept],
        [number(point.value) for point in kept],
        len(points),
        last=number(last),
        lowest=number(min(ordered, default=math.nan)),
        highest=number(max(ordered, default=math.nan)),
        attempts=[point.attempt for point in kept],
    )


def _thin(points: list[_Point], most: int) -> list[_Point]:
    if len(points) <= most:
        return points
    buckets = max(1, (most - 2) // 2)
    inner = points[1:-1]
    kept = [points[0]]
    for number in range(buckets):
        bucket = inner[number * len(inner) // buckets : (number + 1) * len(inner) // buckets]
        finite = [point for point in bucket if math.isfinite(point.value)]
        if finite:
            low = min(finite, key=lambda point: point.value)
            high = max(finite, key=lambda point: point.value)
            odd = next((point for point in bucket if not math.isfinite(point.value)), low)
            kept += sorted({low, high, odd} if odd is not low and len(bucket) > 2 else {low, high})
        else:
            kept += bucket[:1]
    return [*kept, points[-1]]
