"""Runs: what a training or evaluation was given, what it measured, and how it went."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import duckdb
import msgspec

from store.catalog.run_columns import RunColumns, column_type
from store.database import Actor, Entry, Transaction, times
from store.database.rows import first_row
from store.protocol import ExitCode, MetricSeries, Refusal, RunMetrics, RunMetricsParams

BASE_TYPES = {
    "sequence": "BIGINT",
    "name": "VARCHAR",
    "status": "VARCHAR",
    "started_at": "TIMESTAMP",
    "ended_at": "TIMESTAMP",
    "owner": "VARCHAR",
    "host": "VARCHAR",
    "source": "VARCHAR",
    "revision": "VARCHAR",
    "dirty": "BOOLEAN",
    "environment": "VARCHAR",
    "parent": "VARCHAR",
    "tags": "VARCHAR",
    "datasets_in": "VARCHAR",
    "datasets_out": "VARCHAR",
    "extra": "VARCHAR",
    "overflow": "VARCHAR",
    "effective_at": "TIMESTAMP",
    "recorded_at": "TIMESTAMP",
    "superseded_at": "TIMESTAMP",
}
_DOCUMENT = (
    "status",
    "started_at",
    "ended_at",
    "owner",
    "host",
    "source",
    "revision",
    "dirty",
    "environment",
    "parent",
)


class MetricPoint(msgspec.Struct, frozen=True):
    metric: str
    step: int
    at: datetime
    value: float


class RunArrival(msgspec.Struct, frozen=True):
    """What is newly known of a run; absent (None, empty) fields leave what is known as it is.

    `revision` is the git commit or svn revision, `environment` the digest of the environment lock,
    `source` the folder it was read from, `points` the new metric points in file order.
    """

    name: str
    status: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    owner: str | None = None
    host: str | None = None
    source: str | None = None
    revision: str | None = None
    dirty: bool | None = None
    environment: str | None = None
    parent: str | None = None
    tags: dict[str, str] | None = None
    datasets_in: list[str] | None = None
    datasets_out: list[str] | None = None
    extra: dict[str, Any] | None = None
    params: dict[str, str] = {}
    points: list[MetricPoint] = []
    effective_at: datetime | None = None


def record(tx: Transaction, arrivals: Sequence[RunArrival], actor: Actor) -> dict[str, int]:
    """Record what arrived for any number of runs; returns each run's sequence by name.

    Several arrivals may name the same run. Recording what is known already changes nothing, except that
    metric points are always appended: the caller says each point once.
    """
    columns = RunColumns.read(tx.connection)
    columns.ensure(tx, {key for arrival in arrivals for key in _values(arrival)})
    names = list({arrival.name: None for arrival in arrivals})
    before = _current(tx.connection, names)
    after = {name: dict(row) for name, row in before.items()}
    points: list[dict[str, Any]] = []
    appended: dict[str, int] = {}
    for arrival in arrivals:
        row = after.setdefault(arrival.name, {"name": arrival.name, "status": "running"})
        _merge(row, arrival, columns, tx.now)
        appended[arrival.name] = appended.get(arrival.name, 0) + len(arrival.points)
    changed = [name for name in names if after[name] != before.get(name)]
    for name in names:
        if name in changed or appended[name]:
            sequence = tx.record(_entry(actor, name, before.get(name), after[name], appended[name]))
            after[name].setdefault("sequence", sequence)
    for arrival in arrivals:
        run = after[arrival.name]["sequence"]
        points += [
            {
                "run": run,
                "metric": p.metric,
                "step": p.step,
                "measured_at": p.at,
                "value": p.value,
                "recorded_at": tx.now,
            }
            for p in arrival.points
        ]
    superseded = [name for name in changed if name in before]
    if superseded:
        tx.execute(
            "UPDATE run SET superseded_at = ? WHERE superseded_at IS NULL AND name IN (SELECT unnest(?::VARCHAR[]))",
            [tx.now_db, superseded],
        )
    types = {**BASE_TYPES, **{name: column_type(key) for key, name in columns.known.items()}}
    used = {column for name in changed for column in after[name]} | {"recorded_at"}
    tx.insert(
        "run",
        {name: kind for name, kind in types.items() if name in used},
        [{**after[name], "recorded_at": tx.now} for name in changed],
    )
    tx.insert(
        "metric_point",
        {
            "run": "BIGINT",
            "metric": "VARCHAR",
            "step": "BIGINT",
            "measured_at": "TIMESTAMP",
            "value": "DOUBLE",
            "recorded_at": "TIMESTAMP",
        },
        points,
    )
    return {name: int(after[name]["sequence"]) for name in names}


def _values(arrival: RunArrival) -> dict[str, Any]:
    """`param.x` and `metric.y` → value; of several points of a metric the last in file order.

    A NaN is null here (sorts last, matches nothing); the point itself keeps it.
    """
    return {
        **{f"param.{key}": value for key, value in arrival.params.items()},
        **{f"metric.{p.metric}": None if math.isnan(p.value) else p.value for p in arrival.points},
    }


def _current(connection: duckdb.DuckDBPyConnection, names: list[str]) -> dict[str, dict[str, Any]]:
    cursor = connection.execute(
        "SELECT * EXCLUDE (recorded_at, superseded_at) FROM run"
        " WHERE superseded_at IS NULL AND name IN (SELECT unnest(?::VARCHAR[]))",
        [names],
    )
    fields = [str(field[0]) for field in cursor.description or []]
    rows = {}
    for values in cursor.fetchall():
        row = {field: value for field, value in zip(fields, values, strict=True) if value is not None}
        rows[str(row["name"])] = row
    return rows


def _merge(row: dict[str, Any], arrival: RunArrival, columns: RunColumns, now: datetime) -> None:
    for field in _DOCUMENT:
        value = getattr(arrival, field)
        if value is not None:
            row[field] = times.to_db(value) if isinstance(value, datetime) else value
    for field in ("tags", "datasets_in", "datasets_out", "extra"):
        value = getattr(arrival, field)
        if value is not None:
            row[field] = msgspec.json.encode(value).decode()
    overflow: dict[str, Any] = msgspec.json.decode(row["overflow"]) if row.get("overflow") else {}
    for key, value in _values(arrival).items():
        name = columns.column(key)
        if name is not None:
            row[name] = value
            if value is None:
                del row[name]
        else:
            overflow[key] = value
    if overflow:
        row["overflow"] = msgspec.json.encode(overflow).decode()
    if "effective_at" not in row:
        row["effective_at"] = times.to_db(arrival.effective_at or arrival.started_at or now)


def _entry(actor: Actor, name: str, before: Mapping[str, Any] | None, after: Mapping[str, Any], points: int) -> Entry:
    fields = {key for key in after if key in BASE_TYPES and (before or {}).get(key) != after[key]}
    shown = {key: str(after[key]) for key in sorted(fields & {"status", "revision", "source", "parent"})}
    old = {key: str(before[key]) for key in shown if before and key in before}
    params = sum(key not in BASE_TYPES for key in after)
    extra = {"points": points} if points else {}
    return Entry(
        actor,
        "register" if before is None else "update",
        "runs",
        name,
        before=None if before is None else old,
        after={**shown, **extra, "values": params},
    )


def metrics(connection: duckdb.DuckDBPyConnection, params: RunMetricsParams) -> RunMetrics:
    """The points of a run's metrics for a chart, each thinned to `params.points`.

    Thinning keeps, of every bucket of neighbouring points, the least and the greatest value, so that a spike
    is never lost. Raises `Refusal` when there is no such run.
    """
    at = times.to_db(times.asked(params.at))
    known = first_row(
        connection.execute(
            "SELECT sequence, status FROM run WHERE name = $name AND"
            " CASE WHEN $at::TIMESTAMP IS NULL THEN superseded_at IS NULL"
            " ELSE recorded_at <= $at AND coalesce(superseded_at > $at, true) END LIMIT 1",
            {"name": params.run, "at": at},
        )
    )
    if not known:
        raise Refusal(ExitCode.USAGE, f"There is no run {params.run!r}.", "See `quarterdeck ls runs`.")
    rows = connection.execute(
        "SELECT metric, step, epoch(measured_at), CASE WHEN isfinite(value) THEN value END FROM metric_point"
        " WHERE run = $run AND ($at::TIMESTAMP IS NULL OR recorded_at <= $at)"
        " AND (len($metrics::VARCHAR[]) = 0 OR list_contains($metrics::VARCHAR[], metric))"
        " ORDER BY metric, step, measured_at",
        {"run": known[0], "at": at, "metrics": params.metrics},
    ).fetchall()
    found: dict[str, list[tuple[int, float, float | None]]] = {}
    for metric, step, moment, value in rows:
        found.setdefault(str(metric), []).append((int(step), float(moment), value))
    series = []
    for metric, points in found.items():
        kept = _thin(points, max(2, params.points))
        series.append(
            MetricSeries(metric, [p[0] for p in kept], [p[1] for p in kept], [p[2] for p in kept], len(points))
        )
    return RunMetrics(params.run, str(known[1]), series)


def _thin(points: list[tuple[int, float, float | None]], most: int) -> list[tuple[int, float, float | None]]:
    if len(points) <= most:
        return points
    buckets = max(1, (most - 2) // 2)
    inner = points[1:-1]
    kept = [points[0]]
    for number in range(buckets):
        bucket = inner[number * len(inner) // buckets : (number + 1) * len(inner) // buckets]
        numbers = [point for point in bucket if point[2] is not None]
        if numbers:
            low = min(numbers, key=lambda point: point[2] or 0.0)
            high = max(numbers, key=lambda point: point[2] or 0.0)
            kept += sorted({low, high})
        else:
            kept += bucket[:1]
    return [*kept, points[-1]]
