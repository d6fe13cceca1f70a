"""Scanned prediction files become facts: counts in their windows, predictions for the labels, marks of revisions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from store.database import Transaction, times
from store.monitor import keys, stored_notes
from store.monitor.bins import Floats, Integers
from store.monitor.incoming import INCOMING, Incoming, tagged
from store.monitor.join import Predicted, join_predictions
from store.monitor.kernel import WindowCounts
from store.monitor.new_categories import insert_new_names
from store.monitor.notes import Note
from store.monitor.scan import PredictionScan, VersionPart

_Kind = Literal["predictions", "labels"]
#: A file that is taken twice is known by its digest among so many of the latest files. An older one is known by its
#: predictions: the price of a file must not grow with the history.
RECENT_ARRIVALS = 250_000
#: A prediction_id is looked up among so many of the latest predictions …
RECENT_PREDICTIONS = 250_000
#: … and, however long ago, among those whose time is within so many seconds of the file's times.
SAME_TIME_SECONDS = 3_600


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
    notes: tuple[Note, ...] = ()


def record_predictions(tx: Transaction, scan: PredictionScan) -> Taken:
    """Add the file's counts to their windows and join its predictions with the labels that waited for them.

    A prediction is one per deployment, version and prediction_id: the first that was recorded counts. An id that
    comes again later than `RECENT_PREDICTIONS` predictions and at quite another time names another prediction.
    """
    return record_all(tx, [scan])[0]


def record_all(tx: Transaction, scans: Sequence[PredictionScan]) -> list[Taken]:
    """`record_predictions` of several files at once: some ten statements, however many files there are."""
    ordinals = arrival_ordinals(tx, "predictions", [(scan.deployment, scan.arrival) for scan in scans])
    parts = [
        (place, part)
        for place, scan in enumerate(scans)
        if ordinals[place] is not None
        for part in scan.parts
        if part.predictions is not None
    ]
    again = _known(tx, scans, parts)
    parts = [(place, part) for place, part in parts if place not in again]
    kept = [place for place, ordinal in enumerate(ordinals) if ordinal is not None and place not in again]
    record_arrivals(tx, "predictions", [(ordinals[place] or 0, scans[place]) for place in kept])
    labelled = dict.fromkeys(kept, 0)
    if parts:
        _insert(tx, scans, parts)
        waited_for = _labelled_deployments(tx, {scans[place].deployment for place, _ in parts})
        awaited = [(place, part) for place, part in parts if scans[place].deployment in waited_for]
        joined = join_predictions(tx, [_predicted(scans[place], part) for place, part in awaited])
        for (place, _), count in zip(awaited, joined, strict=True):
            labelled[place] += count
        _mark(tx, scans, parts)
    for place in kept:
        for topic in ("windows", "drift", "performance", "deployments"):
            tx.touch(topic, scans[place].deployment)
    return [
        Taken(repeated=True)
        if ordinals[place] is None
        else Taken(again=True)
        if place in again
        else Taken(scan.rows, scan.counted, labelled[place], notes=scan.notes)
        for place, scan in enumerate(scans)
    ]


# --- arrivals --------------------------------------------------------------------------------------------


def arrival_ordinals(tx: Transaction, kind: _Kind, files: Sequence[tuple[str, str]]) -> list[int | None]:
    """The number of each file (deployment, digest) among the monitor's arrivals; null when these bytes were taken
    before, be it earlier in `files`."""
    newest, last = tx.execute(
        "SELECT coalesce((SELECT ordinal FROM monitor_arrival ORDER BY ordinal DESC LIMIT 1), 0), count(*)"
        " FROM monitor_arrival"
    ).fetchall()[0]
    known = {
        (str(row[0]), str(row[1]))
        for row in tx.execute(
            "SELECT deployment, arrival FROM monitor_arrival WHERE rowid > ? AND kind = ?"
            " AND arrival IN (SELECT unnest(?::VARCHAR[]))",
            [last - RECENT_ARRIVALS, kind, [digest for _, digest in files]],
        ).fetchall()
    }
    found: list[int | None] = []
    ordinal = int(newest)
    for file in files:
        if file in known:
            found.append(None)
            continue
        known.add(file)
        ordinal += 1
        found.append(ordinal)
    return found


def record_arrivals(tx: Transaction, kind: _Kind, files: Sequence[tuple[int, Any]]) -> None:
    """Note files with their ordinals; each has `deployment`, `arrival`, `rows` and `notes`."""
    rows = [
        {
            "ordinal": ordinal,
            "deployment": file.deployment,
            "kind": kind,
            "arrival": file.arrival,
            "row_count": file.rows,
            "notes": stored_notes.encode(file.notes),
            "recorded_at": tx.now,
        }
        for ordinal, file in files
    ]
    tx.insert("monitor_arrival", _ARRIVAL, rows)


_ARRIVAL = {
    "ordinal": "BIGINT",
    "deployment": "VARCHAR",
    "kind": "VARCHAR",
    "arrival": "VARCHAR",
    "row_count": "BIGINT",
    "notes": "VARCHAR",
    "recorded_at": "TIMESTAMP",
}


# --- predictions -----------------------------------------------------------------------------------------

_Parts = Sequence[tuple[int, VersionPart]]


def _known(tx: Transaction, scans: Sequence[PredictionScan], parts: _Parts) -> set[int]:
    """The files among whose predictions are some that came before, be it in an earlier one of these files."""
    if not parts:
        return set()
    import pyarrow as pa

    tables = [
        tagged(
            part.predictions.select(["prediction_id", "event_us"]),
            place=place,
            deployment=scans[place].deployment,
            version=part.version,
        )
        for place, part in parts
    ]
    first = min(int(part.counts.first.min()) for _, part in parts) - SAME_TIME_SECONDS * 1_000_000
    last = max(int(part.counts.last.max()) for _, part in parts) + SAME_TIME_SECONDS * 1_000_000
    key = "deployment, version, prediction_id"
    with Incoming(tx, pa.concat_tables(tables)):
        # No more than the greatest rowid, and known without reading one.
        newest = tx.execute("SELECT count(*) FROM monitor_prediction").fetchall()[0][0]
        # Two scans, so that each skips the row groups it need not look at.
        found = tx.execute(
            f"SELECT DISTINCT place FROM {INCOMING} SEMI JOIN (SELECT {key} FROM monitor_prediction WHERE rowid > $1"
            f" UNION ALL SELECT {key} FROM monitor_prediction WHERE event_at >= make_timestamp($2)"
            f" AND event_at <= make_timestamp($3) AND rowid <= $1) USING ({key})",
            [newest - RECENT_PREDICTIONS, first, last],
        ).fetchall()
        again = {int(row[0]) for row in found}
        if len({(scans[place].deployment, part.version) for place, part in parts}) < len(parts):
            # Of several files of this commit that hold a prediction, the first one counts.
            found = tx.execute(
                f"SELECT DISTINCT place FROM {INCOMING} WHERE prediction_id IS NOT NULL"
                f" QUALIFY place > min(place) OVER (PARTITION BY {key})"
            ).fetchall()
            again |= {int(row[0]) for row in found}
    return again


def _insert(tx: Transaction, scans: Sequence[PredictionScan], parts: _Parts) -> None:
    import pyarrow as pa

    windows, predictions = [], []
    for place, part in parts:
        scan = scans[place]
        windows.append(
            tagged(
                _window_table(part.counts, part.seconds),
                deployment=scan.deployment,
                version=part.version,
                reference=part.reference,
                arrival=scan.arrival,
                seconds=part.seconds,
            )
        )
        predictions.append(tagged(part.predictions, deployment=scan.deployment, version=part.version))
    with Incoming(tx, pa.concat_tables(windows)):
        tx.execute(
            "INSERT INTO monitor_window (deployment, version, window_start, window_seconds, reference, row_count,"
            " first_at, last_at, slots, counts, sums, lows, highs, arrival, recorded_at) SELECT deployment, version,"
            " make_timestamp(start_us), seconds, reference, row_count, make_timestamp(first_us),"
            f" make_timestamp(last_us), slots, counts, sums, lows, highs, arrival, ? FROM {INCOMING}",
            [tx.now_db],
        )
        tx.execute(
            "INSERT INTO monitor_file SELECT deployment, version, arrival, make_timestamp(min(first_us)),"
            f" make_timestamp(max(last_us)), sum(row_count), ? FROM {INCOMING} GROUP BY deployment, version, arrival",
            [tx.now_db],
        )
    insert_new_names(tx, scans, parts)
    together = pa.concat_tables(predictions, promote_options="permissive")
    also = "".join(f", {name}" for name in ("slices", "quantiles", "score_scale") if name in together.column_names)
    with Incoming(tx, together):
        tx.execute(
            f"INSERT INTO monitor_prediction (deployment, version, prediction_id, event_at, prediction, score,"
            f" recorded_at, id_hash{also}) SELECT deployment, version, prediction_id, make_timestamp(event_us),"
            f" prediction, score, ?, {keys.hash_sql('prediction_id')}{also} FROM {INCOMING}"
            " WHERE prediction_id IS NOT NULL",
            [tx.now_db],
        )


def _predicted(scan: PredictionScan, part: VersionPart) -> Predicted:
    return Predicted(scan.deployment, part.version, part.predictions, scan.settings, scan.arrival)


def _window_table(counts: WindowCounts, base_seconds: int) -> Any:
    import pyarrow as pa

    def lists(values: Integers) -> Any:
        return pa.LargeListArray.from_arrays(pa.array(counts.ends), pa.array(values.astype(np.uint32)))

    def of_features(values: Floats) -> Any:
        each = values.size // max(1, len(values))
        return pa.LargeListArray.from_arrays(pa.array(np.arange(len(values) + 1) * each), pa.array(values.ravel()))

    return pa.table(
        {
            "start_us": counts.starts * (base_seconds * 1_000_000),
            "row_count": counts.rows,
            "first_us": counts.first,
            "last_us": counts.last,
            "slots": lists(counts.slots),
            "counts": lists(counts.counts),
            "sums": of_features(counts.moments.sums),
            "lows": of_features(counts.moments.lows),
            "highs": of_features(counts.moments.highs),
        }
    )


def _labelled_deployments(tx: Transaction, deployments: set[str]) -> set[str]:
    found = tx.execute(
        # One row a file: a thousandth of the labels themselves.
        "SELECT d FROM (SELECT unnest(?::VARCHAR[]) AS d)"
        " WHERE d IN (SELECT deployment FROM monitor_arrival WHERE kind = 'labels')",
        [sorted(deployments)],
    ).fetchall()
    return {str(row[0]) for row in found}


# --- marks -----------------------------------------------------------------------------------------------


def _mark(tx: Transaction, scans: Sequence[PredictionScan], parts: _Parts) -> None:
    """Note where on the axis of event time each version's newest revision begins, once."""
    deployments = sorted({scans[place].deployment for place, _ in parts})
    unmarked = {
        str(row[0])
        for row in tx.execute(
            "SELECT deployment FROM (SELECT deployment, max(revision) AS newest FROM deployment_revision"
            " WHERE deployment IN (SELECT unnest(?::VARCHAR[])) GROUP BY deployment) LEFT JOIN (SELECT deployment,"
            " max(revision) AS marked FROM monitor_mark GROUP BY deployment) USING (deployment)"
            " WHERE newest > coalesce(marked, 0)",
            [deployments],
        ).fetchall()
    }
    for place, part in parts:
        if scans[place].deployment in unmarked:
            _mark_one(tx, scans[place].deployment, part)


def _mark_one(tx: Transaction, deployment: str, part: VersionPart) -> None:
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
