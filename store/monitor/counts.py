"""Counts as they are kept, summed over any span of event time."""

from __future__ import annotations

import dataclasses
from datetime import datetime

import duckdb
import numpy as np

from store.database import times
from store.monitor.bins import FeatureBins, Integers
from store.monitor.reference import Reference
from store.monitor.windows import DAY, Window

_WINDOWED = ("monitor_window", "monitor_performance", "monitor_estimate")


@dataclasses.dataclass(frozen=True)
class Traffic:
    """`rows[i]` predictions of `versions[i]` in the window that starts at `starts[i]` (epoch seconds)."""

    starts: Integers
    versions: list[str]
    rows: Integers

    def main_version(self, start: int) -> str | None:
        """The version that made most of the window's predictions; null where there are none."""
        here = [(int(self.rows[place]), self.versions[place]) for place in np.flatnonzero(self.starts == start)]
        return max(here)[1] if here else None

    def total(self, start: int) -> int:
        return int(self.rows[self.starts == start].sum())


def last_data(connection: duckdb.DuckDBPyConnection, deployment: str, at: datetime | None) -> datetime | None:
    """The latest event time among the deployment's predictions."""
    return outermost(connection, "monitor_window", "last_at DESC", deployment, at)


def first_data(connection: duckdb.DuckDBPyConnection, deployment: str, at: datetime | None) -> datetime | None:
    """The earliest event time among the deployment's predictions."""
    return outermost(connection, "monitor_window", "first_at", deployment, at)


def outermost(
    connection: duckdb.DuckDBPyConnection, table: str, order: str, deployment: str, at: datetime | None = None
) -> datetime | None:
    """The first time of a deployment's rows in the order of one TIMESTAMP column; null where there are none.

    The order, with its limit, has DuckDB pass over the row groups that cannot hold it, which `min` and `max` do not:
    the history is not read.
    """
    rows = connection.execute(
        f"SELECT {order.split()[0]} FROM {table} WHERE deployment = $1 AND ($2 IS NULL OR recorded_at <= $2)"
        f" ORDER BY {order} LIMIT 1",
        [deployment, times.to_db(at) if at else None],
    ).fetchall()
    return rows[0][0] if rows else None


def widest(
    connection: duckdb.DuckDBPyConnection, deployment: str, since: float, until: float, at: datetime | None
) -> int:
    """The greatest width, in seconds, of the windows that are kept of [since, until); 0 where there are none.

    Labels that come late are kept in windows wider than those of their predictions: what is asked of both is answered
    by the wider ones.
    """
    where = (
        "WHERE deployment = $1 AND window_start >= make_timestamp($2) AND window_start < make_timestamp($3)"
        " AND ($4 IS NULL OR recorded_at <= $4) AND epoch(window_start) + window_seconds > $5"
    )
    kept = " UNION ALL ".join(f"SELECT max(window_seconds) AS width FROM {table} {where}" for table in _WINDOWED)
    found = connection.execute(
        f"SELECT coalesce(max(width), 0) FROM ({kept})",
        # A day that holds the beginning begins before it.
        [deployment, round((since - DAY) * 1e6), round(until * 1e6), times.to_db(at) if at else None, since],
    ).fetchall()
    return int(found[0][0])


def traffic(
    connection: duckdb.DuckDBPyConnection,
    deployment: str,
    window: Window,
    since: float,
    until: float,
    at: datetime | None,
) -> Traffic:
    """Rows of each window of width `window` that starts in [since, until), by version."""
    rows = connection.execute(
        f"SELECT {window.sql('window_start')} AS w, version, sum(row_count)::BIGINT FROM monitor_window"
        " WHERE deployment = $1 AND window_start >= make_timestamp($2)"
        " AND window_start < make_timestamp($3) AND ($4 IS NULL OR recorded_at <= $4)"
        " GROUP BY ALL ORDER BY 1, 2",
        [deployment, round(since * 1e6), round(until * 1e6), times.to_db(at) if at else None],
    ).fetchall()
    return Traffic(
        np.array([row[0] for row in rows], np.int64),
        [str(row[1]) for row in rows],
        np.array([row[2] for row in rows], np.int64),
    )


def slot_sums(
    connection: duckdb.DuckDBPyConnection,
    deployment: str,
    version: str,
    reference: Reference,
    window: Window | None,
    since: float,
    until: float,
    at: datetime | None,
) -> tuple[Integers, Integers]:
    """(window starts ascending, counts[window][slot]) of one version; `window` null sums the whole span."""
    start = window.sql("window_start") if window else "0::BIGINT"
    found = connection.execute(
        f"SELECT w, slot, sum(n)::BIGINT AS n FROM (SELECT {start} AS w,"
        " unnest(slots) AS slot, unnest(counts) AS n FROM monitor_window"
        " WHERE deployment = $1 AND version = $2 AND reference = $3 AND window_start >= make_timestamp($4)"
        " AND window_start < make_timestamp($5) AND ($6 IS NULL OR recorded_at <= $6)) GROUP BY ALL",
        [
            deployment,
            version,
            reference.identity,
            round(since * 1e6),
            round(until * 1e6),
            times.to_db(at) if at else None,
        ],
    ).fetchnumpy()
    starts, place = np.unique(np.ma.getdata(found["w"]).astype(np.int64), return_inverse=True)
    dense = np.zeros((len(starts), reference.width), np.int64)
    dense[place, np.ma.getdata(found["slot"])] = np.ma.getdata(found["n"])
    return starts, dense


def feature_sums(
    connection: duckdb.DuckDBPyConnection,
    deployment: str,
    version: str,
    reference: Reference,
    feature: FeatureBins,
    window: Window,
    since: float,
    until: float,
    at: datetime | None,
) -> tuple[Integers, Integers]:
    """As `slot_sums`, of one feature alone: counts[window][slot of the feature]."""
    # Slots ascend: what is asked for lies among the last ones, and only those are unpacked.
    behind = reference.width - feature.offset
    found = connection.execute(
        f"SELECT w, slot, sum(n)::BIGINT AS n FROM (SELECT {window.sql('window_start')} AS w,"
        f" unnest(slots[-{behind}:]) AS slot, unnest(counts[-{behind}:]) AS n FROM monitor_window"
        " WHERE deployment = $1 AND version = $2 AND reference = $3 AND window_start >= make_timestamp($4)"
        " AND window_start < make_timestamp($5) AND ($6 IS NULL OR recorded_at <= $6))"
        " WHERE slot BETWEEN $7 AND $8 GROUP BY ALL",
        [
            deployment,
            version,
            reference.identity,
            round(since * 1e6),
            round(until * 1e6),
            times.to_db(at) if at else None,
            feature.offset,
            feature.offset + feature.width - 1,
        ],
    ).fetchnumpy()
    starts, place = np.unique(np.ma.getdata(found["w"]).astype(np.int64), return_inverse=True)
    dense = np.zeros((len(starts), feature.width), np.int64)
    dense[place, np.ma.getdata(found["slot"]).astype(np.int64) - feature.offset] = np.ma.getdata(found["n"])
    return starts, dense
