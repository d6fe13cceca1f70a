"""Runs: what a training or evaluation was given, what it measured, and how it went."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import duckdb
import msgspec

from store.catalog.attempts import Attempts
from store.catalog.run_columns import RunColumns, column_type
from store.database import Actor, Entry, Transaction, times

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
    "attempts": "INTEGER",
    "last_word_at": "TIMESTAMP",
    "last_metric_at": "TIMESTAMP",
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
    `source` the folder it was read from, `points` the new metric points in file order. `new_attempt`: the points are
    of a file that began anew. `word_at`: when the run gave this sign of itself, by the store's clock; points without
    it were given when they were measured.
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
    new_attempt: bool = False
    word_at: datetime | None = None


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
    appended: dict[str, int] = {}
    for arrival in arrivals:
        row = after.setdefault(arrival.name, {"name": arrival.name, "status": "running", "attempts": 1})
        _merge(row, arrival, columns, tx.now)
        appended[arrival.name] = appended.get(arrival.name, 0) + len(arrival.points)
    numbers = _number(tx.connection, arrivals, before, after)
    changed = [name for name in names if after[name] != before.get(name)]
    for name in names:
        if name in changed or appended[name]:
            sequence = tx.record(_entry(actor, name, before.get(name), after[name], appended[name]))
            after[name].setdefault("sequence", sequence)
    points = [
        {
            "run": after[arrival.name]["sequence"],
            "metric": point.metric,
            "step": point.step,
            "measured_at": point.at,
            "value": point.value,
            "recorded_at": tx.now,
            "attempt": attempt,
        }
        for arrival, attempts in zip(arrivals, numbers, strict=True)
        for point, attempt in zip(arrival.points, attempts, strict=True)
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
            "attempt": "INTEGER",
        },
        points,
    )
    return {name: int(after[name]["sequence"]) for name in names}


def _number(
    connection: duckdb.DuckDBPyConnection,
    arrivals: Sequence[RunArrival],
    before: Mapping[str, dict[str, Any]],
    after: Mapping[str, dict[str, Any]],
) -> list[list[int]]:
    """The attempt of each point of each arrival; notes in `after` how many attempts each run has now."""
    # A run that is new has no sequence yet; its place among the names, below any sequence, stands for it.
    numbers = {
        name: int(row["sequence"]) if name in before else -1 - place for place, (name, row) in enumerate(after.items())
    }
    growing = {
        arrival.name for arrival in arrivals if (arrival.points or arrival.new_attempt) and arrival.name in before
    }
    attempts = Attempts(connection, {numbers[name]: int(before[name].get("attempts") or 1) for name in growing})
    found = []
    for arrival in arrivals:
        run, row = numbers[arrival.name], after[arrival.name]
        # A file is often emptied first, and written after that was seen: one new beginning.
        if arrival.new_attempt and attempts.has_points(run):
            attempts.begin(run)
        found.append(attempts.number(run, [(point.metric, point.step) for point in arrival.points]))
        if arrival.points or arrival.new_attempt:
            row["attempts"] = attempts.count(run)
    return found


def _values(arrival: RunArrival) -> dict[str, Any]:
    """`param.x` and `metric.y` → value; of several points of a metric the one that was logged last.

    Every NaN is the same object, so that rows compare equal.
    """
    return {
        **{f"param.{key}": value for key, value in arrival.params.items()},
        **{f"metric.{p.metric}": math.nan if math.isnan(p.value) else p.value for p in arrival.points},
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
        row = {field: _same_nan(value) for field, value in zip(fields, values, strict=True) if value is not None}
        rows[str(row["name"])] = row
    return rows


def _same_nan(value: Any) -> Any:
    return math.nan if isinstance(value, float) and math.isnan(value) else value


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
        else:
            # JSON has no number for these.
            overflow[key] = str(value) if isinstance(value, float) and not math.isfinite(value) else value
    if overflow:
        row["overflow"] = msgspec.json.encode(overflow).decode()
    word = arrival.word_at or max((point.at for point in arrival.points), default=None)
    if word is not None:
        heard = times.to_db(min(word, now))
        row["last_word_at"] = max(heard, row.get("last_word_at") or heard)
    if arrival.points:
        row["last_metric_at"] = times.to_db(arrival.points[-1].at)
    if "effective_at" not in row:
        row["effective_at"] = times.to_db(arrival.effective_at or arrival.started_at or now)


def _entry(actor: Actor, name: str, before: Mapping[str, Any] | None, after: Mapping[str, Any], points: int) -> Entry:
    fields = {key for key in after if key in BASE_TYPES and (before or {}).get(key) != after[key]}
    shown = {key: str(after[key]) for key in sorted(fields & {"status", "revision", "source", "parent"})}
    old = {key: str(before[key]) for key in shown if before and key in before}
    params = sum(key not in BASE_TYPES for key in after)
    extra = {"points": points} if points else {}
    if before is not None and (after.get("attempts") or 1) > (before.get("attempts") or 1):
        extra["attempt"] = int(after["attempts"])
    return Entry(
        actor,
        "register" if before is None else "update",
        "runs",
        name,
        before=None if before is None else old,
        after={**shown, **extra, "values": params},
    )
