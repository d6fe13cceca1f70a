"""Counts as they are kept: taken in once per file, and summed over any span of event time."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any, Literal

import duckdb
import msgspec
import numpy as np

from store.database import Transaction, times
from store.monitor.bins import FeatureBins, Integers
from store.monitor.incoming import INCOMING, Incoming
from store.monitor.join import join_predictions
from store.monitor.kernel import WindowCounts
from store.monitor.reference import Reference
from store.monitor.scan import PredictionScan, VersionPart
from store.monitor.windows import Window


@dataclasses.dataclass(frozen=True)
class Taken:
    """What became of a predictions file.

    `again` means that nothing was recorded because some of its predictions came before in another file:
    scan it again with `exclude_known=True` and record that. `repeated`: these very bytes were taken before.
    """

    rows: int = 0
    counted: int = 0
    labelled: int = 0
    repeated: bool = False
    again: bool = False
    notes: tuple[str, ...] = ()


def record_predictions(tx: Transaction, scan: PredictionScan) -> Taken:
    """Add the file's counts to their windows and join its predictions with the labels that waited for them.

    A prediction is one per deployment, version and prediction_id: the first that was recorded counts.
    """
    ordinal = arrival_ordinal(tx, scan.deployment, "predictions", scan.arrival)
    if ordinal is None:
        return Taken(repeated=True)
    parts = [part for part in scan.parts if part.predictions is not None]
    if any(_known(tx, scan.deployment, part) for part in parts):
        return Taken(again=True)
    record_arrival(tx, ordinal, scan.deployment, "predictions", scan.arrival, scan.rows, scan.notes)
    labelled = 0
    for part in parts:
        with Incoming(tx, _window_table(part.counts, scan.base_seconds)):
            tx.execute(
                "INSERT INTO monitor_window SELECT ?, ?, make_timestamp(start_us), ?, ?, row_count,"
                f" make_timestamp(first_us), make_timestamp(last_us), slots, counts, ?, ? FROM {INCOMING}",
                [scan.deployment, part.version, scan.base_seconds, part.reference, scan.arrival, tx.now_db],
            )
        also = [name for name in ("slices", "quantiles") if name in part.predictions.column_names]
        with Incoming(tx, part.predictions):
            tx.execute(
                "INSERT INTO monitor_prediction (deployment, version, prediction_id, event_at, prediction, score,"
                f" recorded_at{''.join(f', {name}' for name in also)}) SELECT ?, ?, prediction_id,"
                f" make_timestamp(event_us), prediction, score, ?{''.join(f', {name}' for name in also)}"
                f" FROM {INCOMING} WHERE prediction_id IS NOT NULL",
                [scan.deployment, part.version, tx.now_db],
            )
            labelled += join_predictions(
                tx, scan.deployment, part.version, INCOMING, also, scan.base_seconds, scan.arrival
            )
        _mark(tx, scan.deployment, part)
    for topic in ("windows", "drift", "performance", "quality", "deployments"):
        tx.touch(topic, scan.deployment)
    return Taken(scan.rows, scan.counted, labelled, notes=scan.notes)


def arrival_ordinal(
    tx: Transaction, deployment: str, kind: Literal["predictions", "labels"], arrival: str
) -> int | None:
    """The number of this file among the monitor's arrivals; null when these bytes were taken before."""
    known, newest = tx.execute(
        "SELECT count(*) FILTER (deployment = ? AND kind = ? AND arrival = ?), coalesce(max(ordinal), 0)"
        " FROM monitor_arrival",
        [deployment, kind, arrival],
    ).fetchall()[0]
    return None if known else int(newest) + 1


def record_arrival(
    tx: Transaction, ordinal: int, deployment: str, kind: str, arrival: str, rows: int, notes: tuple[str, ...]
) -> None:
    tx.execute(
        "INSERT INTO monitor_arrival VALUES (?, ?, ?, ?, ?, ?, ?)",
        [ordinal, deployment, kind, arrival, rows, msgspec.json.encode(notes).decode(), tx.now_db],
    )


def _known(tx: Transaction, deployment: str, part: VersionPart) -> bool:
    with Incoming(tx, part.predictions.select(["prediction_id"])):
        return bool(
            tx.execute(
                f"SELECT 1 FROM monitor_prediction AS p SEMI JOIN {INCOMING} USING (prediction_id)"
                " WHERE p.deployment = ? AND p.version = ? LIMIT 1",
                [deployment, part.version],
            ).fetchall()
        )


def _window_table(counts: WindowCounts, base_seconds: int) -> Any:
    import pyarrow as pa

    def lists(values: Integers) -> Any:
        return pa.LargeListArray.from_arrays(pa.array(counts.ends), pa.array(values.astype(np.uint32)))

    return pa.table(
        {
            "start_us": counts.starts * (base_seconds * 1_000_000),
            "row_count": counts.rows,
            "first_us": counts.first,
            "last_us": counts.last,
            "slots": lists(counts.slots),
            "counts": lists(counts.counts),
        }
    )


def _mark(tx: Transaction, deployment: str, part: VersionPart) -> None:
    """Note where on the axis of event time the version's newest revision begins, once."""
    if not len(part.counts.first):
        return
    newest = tx.execute(
        "SELECT max(revision) FROM deployment_revision WHERE deployment = ?"
        " AND json_exists(versions, '$.' || to_json(?::VARCHAR)::VARCHAR)",
        [deployment, part.version],
    ).fetchall()[0][0]
    if newest is None:
        return
    first = times.to_db(times.from_seconds(int(part.counts.first.min()) / 1e6))
    tx.execute(
        # A file that was late may reach back before the revision it follows: marks never go back.
        "INSERT INTO monitor_mark SELECT ?, ?, ?, greatest(?, (SELECT max(event_at) FROM monitor_mark"
        " WHERE deployment = ? AND revision < ?)), ?"
        " WHERE NOT EXISTS (SELECT 1 FROM monitor_mark WHERE deployment = ? AND revision >= ?)",
        [deployment, newest, part.version, first, deployment, newest, tx.now_db, deployment, newest],
    )


# --- reading ---------------------------------------------------------------------------------------------


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
    latest: datetime | None = connection.execute(
        "SELECT max(last_at) FROM monitor_window WHERE deployment = $1 AND ($2 IS NULL OR recorded_at <= $2)",
        [deployment, times.to_db(at) if at else None],
    ).fetchall()[0][0]
    return latest


def first_data(connection: duckdb.DuckDBPyConnection, deployment: str, at: datetime | None) -> datetime | None:
    """The earliest event time among the deployment's predictions."""
    earliest: datetime | None = connection.execute(
        "SELECT min(first_at) FROM monitor_window WHERE deployment = $1 AND ($2 IS NULL OR recorded_at <= $2)",
        [deployment, times.to_db(at) if at else None],
    ).fetchall()[0][0]
    return earliest


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
