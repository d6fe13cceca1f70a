"""The listing `windows`: rows, labels and files of each window, of the whole fleet in a few queries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb

from store.database import times
from store.monitor import counts
from store.monitor.spans import span_of
from store.monitor.windows import window
from store.protocol import Cell, ListParams
from store.settings import MonitorSettings


def window_rows(
    settings: MonitorSettings, connection: duckdb.DuckDBPyConnection, params: ListParams, count: int
) -> Iterator[list[Cell]]:
    """A row a window and version; without `since` the last `count` windows of each deployment."""
    wanted, at = params.scope.get("deployment", ""), times.asked(params.at)
    known = times.to_db(at) if at else None
    width = window(params.window or settings.alert_window, settings.base_window_seconds)
    found: list[tuple[Any, ...]]
    if wanted:
        first = times.seconds(counts.first_data(connection, wanted, at))
        last = times.seconds(counts.last_data(connection, wanted, at))
        found = [(wanted, first, last)] if first is not None and last is not None else []
    else:
        found = connection.execute(
            "SELECT deployment, epoch(min(first_at)), epoch(max(last_at)) FROM monitor_window"
            " WHERE $1 IS NULL OR recorded_at <= $1 GROUP BY deployment ORDER BY 1",
            [known],
        ).fetchall()
    spans = {
        str(deployment): span_of(connection, str(deployment), width, params.since, params.until, count, at, first, last)
        for deployment, first, last in found
    }
    spans = {deployment: asked for deployment, asked in spans.items() if asked.starts}
    for width in {asked.window for asked in spans.values()}:
        mine = {deployment: asked for deployment, asked in spans.items() if asked.window == width}
        bounds = [
            list(mine),
            [asked.since * 1_000_000 for asked in mine.values()],
            [asked.end * 1_000_000 for asked in mine.values()],
            known,
        ]
        where = (
            " JOIN (SELECT unnest($1::VARCHAR[]) AS deployment, make_timestamp(unnest($2::BIGINT[])) AS since,"
            " make_timestamp(unnest($3::BIGINT[])) AS until) USING (deployment)"
            " WHERE window_start >= since AND window_start < until AND ($4 IS NULL OR recorded_at <= $4) GROUP BY ALL"
        )
        start = width.sql("window_start")
        labelled = {
            (row[0], row[1], row[2]): row[3]
            for row in connection.execute(
                f"SELECT deployment, version, {start} AS w, sum(labelled)::BIGINT FROM monitor_performance{where}",
                bounds,
            ).fetchall()
        }
        for deployment, version, begin, rows, files, recorded in connection.execute(
            f"SELECT deployment, version, {start} AS w, sum(row_count)::BIGINT,"
            " count(DISTINCT arrival) FILTER (files IS NULL) + coalesce(sum(files), 0)::BIGINT,"
            f" epoch(max(recorded_at)) FROM monitor_window{where}",
            bounds,
        ).fetchall():
            yield [
                f"{deployment}/{version}/{begin}",
                deployment,
                version,
                float(begin),
                float(width.next(begin)),
                rows,
                labelled.get((deployment, version, begin), 0),
                files,
                recorded,
            ]
