"""The span of event time that a request means, and the marks that lie in it."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Protocol

import duckdb
import msgspec

from store.database import times
from store.monitor import counts
from store.monitor.windows import DAY, Window, of_seconds, window
from store.protocol import Mark
from store.settings import MonitorSettings


class Asked(Protocol):
    """What `SpanParams` and `PerformanceParams` have in common."""

    @property
    def deployment(self) -> str: ...
    @property
    def window(self) -> str: ...
    @property
    def since(self) -> float | None: ...
    @property
    def until(self) -> float | None: ...
    @property
    def at(self) -> float | None: ...
    @property
    def count(self) -> int: ...


@dataclasses.dataclass(frozen=True)
class Span:
    """Consecutive windows; `starts` is empty, and `why` says so, where there is no data."""

    window: Window
    starts: list[int]
    end: int
    at: datetime | None
    why: str = ""

    @property
    def since(self) -> int:
        return self.starts[0] if self.starts else 0


def span(connection: duckdb.DuckDBPyConnection, asked: Asked, settings: MonitorSettings) -> Span:
    """The windows asked for. Without `until` they end with the last data, without `since` there are `count`.

    Where counts of the span were rolled up into wider windows, those are answered.
    """
    width = window(asked.window, settings.base_window_seconds)
    at = times.asked(asked.at)
    times.asked(asked.since)
    times.asked(asked.until)
    last = times.seconds(counts.last_data(connection, asked.deployment, at))
    if last is None:
        when = " by then" if at else ""
        return Span(width, [], 0, at, f"No predictions of {asked.deployment} have arrived{when}.")
    first = None
    if asked.since is None:
        first = times.seconds(counts.first_data(connection, asked.deployment, at))
    return span_of(connection, asked.deployment, width, asked.since, asked.until, asked.count, at, first or 0.0, last)


def span_of(
    connection: duckdb.DuckDBPyConnection,
    deployment: str,
    width: Window,
    since: float | None,
    until: float | None,
    count: int,
    at: datetime | None,
    first: float,
    last: float,
) -> Span:
    """`span` of a deployment whose first and last data are known."""
    until = until if until is not None else last + 1e-6
    while True:
        begin = since
        if begin is None:
            begin = max(width.back(until - 1e-6, count), width.start(min(first, until - 1e-6)))
        kept = counts.widest(connection, deployment, begin, until, at) if width.seconds < DAY else 0
        if kept > width.seconds:
            width = of_seconds(kept)
            continue
        starts = width.starts(begin, until)
        return Span(width, starts, width.next(starts[-1]) if starts else 0, at, "" if starts else "The span is empty.")


def marks(
    connection: duckdb.DuckDBPyConnection, deployment: str, since: float, until: float, at: datetime | None
) -> list[Mark]:
    """Revisions where event time first saw them, and alerts where their span ended, in [since, until)."""
    known = times.to_db(at) if at else None
    # A microsecond more at both ends: what exactly lies inside is decided below.
    span = [round(since * 1e6) - 1, round(until * 1e6) + 1]
    found = [
        Mark(row[0], "revision", f"{deployment}#{row[1]}", _shares(row[2], row[1]))
        for row in connection.execute(
            "SELECT epoch(m.event_at), m.revision, r.versions FROM monitor_mark AS m"
            " LEFT JOIN deployment_revision AS r USING (deployment, revision)"
            " WHERE m.deployment = $1 AND ($2 IS NULL OR m.recorded_at <= $2)"
            " AND m.event_at BETWEEN make_timestamp($3) AND make_timestamp($4)",
            [deployment, known, *span],
        ).fetchall()
    ]
    found += [
        Mark(row[0], "alert", row[1], f"{row[2]} {row[3]}")
        for row in connection.execute(
            "SELECT epoch(window_end), alert, rule, feature FROM monitor_alert_event"
            " WHERE deployment = $1 AND event = 'opened' AND ($2 IS NULL OR recorded_at <= $2)"
            " AND window_end BETWEEN make_timestamp($3) AND make_timestamp($4)",
            [deployment, known, *span],
        ).fetchall()
    ]
    return sorted((mark for mark in found if since <= mark.at <= until), key=lambda mark: (mark.at, mark.id))


def _shares(versions: str | None, revision: int) -> str:
    shares = msgspec.json.decode(versions, type=dict[str, float]) if versions else {}
    if not shares:
        return f"r{revision}"
    if len(shares) == 1:
        return f"v{next(iter(shares))}"
    return " ".join(f"v{version} {share:.0%}" for version, share in shares.items())
