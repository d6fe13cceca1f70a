"""What labels and performance cost: joining a file of labels, and reading a year of windows with bands and delays.

    python benchmarks/performance_reading.py [ROWS]

Prints seconds, medians of three: a labels file of ROWS (200,000) joined with its predictions, without and with two
slice columns; then `performance` over 120 and over 365 daily windows (realised, estimated with bands, frontier); last a
labels file of 1,000 whose predictions, by random ids, lie among 100,000 and among 5,000,000.
"""

from __future__ import annotations

import functools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from store.catalog import models
from store.catalog.manifest import ModelManifest
from store.database import Actor, Database
from store.governance.journal import Journal
from store.monitor import (
    keys,
    performance_over_time,
    record_labels,
    record_predictions,
    record_reference,
    scan_labels,
    scan_predictions,
    scan_reference,
)
from store.protocol import PerformanceParams

DEPLOYMENT = "m@production"
ROW = (
    "SELECT i AS prediction_id, TIMESTAMP '2024-01-01' + to_seconds(i * 31536000.0 / {rows}) AS timestamp,"
    " (hash(i) % 1000) / 1000.0 AS x, 'p' || (i % 8) AS place, 'q' || (i % 3) AS kind,"
    " (hash(i + 1) % 10000) / 10000.0 AS score, (hash(i + 2) % 10000 < 10000 * score)::INT AS label,"
    " timestamp + to_hours((1 + i % 200)::INT) AS known_at FROM range({rows}) t(i)"
)


def timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def filled(folder: Path, rows: int, slices: list[str]) -> tuple[Database, float]:
    """A store with a year of predictions, and the seconds that their labels took."""
    maker = duckdb.connect()
    row = ROW.format(rows=rows)
    for name, columns, where in (
        ("reference", "* EXCLUDE (known_at)", "prediction_id % 10 = 0"),
        ("predictions", "prediction_id, timestamp, x, place, kind, score", "true"),
        ("labels", "prediction_id, label, known_at AS timestamp", "true"),
    ):
        maker.execute(f"COPY (SELECT {columns} FROM ({row}) WHERE {where}) TO '{folder}/{name}.parquet'")
    database = Database.open(folder / "metadata.duckdb", Journal)
    manifest = ModelManifest("m", "1", slices=slices, features={"x": "numeric"})
    arrival = models.VersionArrival(manifest, "sha256:1", 1, 1, "", "", "", "me", datetime.now(UTC))
    database.writer.change(lambda tx: models.register(tx, arrival, Actor("me", "cli")))
    reference = database.reader.read(lambda c: scan_reference(c, folder / "reference.parquet", manifest))
    database.writer.change(lambda tx: record_reference(tx, "m", "1", reference))
    scan = database.reader.read(
        lambda c: scan_predictions(c, folder / "predictions.parquet", "parquet", DEPLOYMENT, "p")
    )
    database.writer.change(lambda tx: record_predictions(tx, scan))
    labels = database.reader.read(lambda c: scan_labels(c, folder / "labels.parquet", "parquet", DEPLOYMENT, "l"))
    return database, timed(lambda: database.writer.change(lambda tx: record_labels(tx, labels)))


def main(rows: int) -> None:
    for slices in ([], ["place", "kind"]):
        taken = []
        for turn in range(3):
            with tempfile.TemporaryDirectory() as folder:
                database, seconds = filled(Path(folder), rows, slices)
                taken.append(seconds)
                if slices and turn == 2:
                    read(database)
                database.close()
        print(f"join {rows:,} labels, {len(slices)} slice columns: {statistics.median(taken):.2f} s")
    for history in (100_000, 5_000_000):
        with tempfile.TemporaryDirectory() as folder:
            print(f"join 1,000 labels among {history:,} predictions: {looked_up(Path(folder), history):.2f} s")


#: Two deployments' predictions, whose ids have no order.
HISTORY = (
    "INSERT INTO monitor_prediction (deployment, version, prediction_id, event_at, prediction, score, recorded_at,"
    " id_hash) SELECT CASE WHEN i % 2 = 0 THEN '{deployment}' ELSE 'other@production' END, '1', md5(i::VARCHAR),"
    " TIMESTAMP '2024-01-01' + to_seconds(i), '1', (i % 100) / 100.0, now()::TIMESTAMP, {hashed}"
    " FROM range({rows}) t(i)"
)


def label(database: Database, path: Path) -> None:
    labels = database.reader.read(lambda c: scan_labels(c, path, "parquet", DEPLOYMENT, path.name))
    database.writer.change(lambda tx: record_labels(tx, labels))


def looked_up(folder: Path, rows: int) -> float:
    """Seconds that a labels file of 1,000 takes whose predictions lie among `rows`; the median of three files."""
    database = Database.open(folder / "metadata.duckdb", Journal)
    hashed = keys.hash_sql("md5(i::VARCHAR)")
    database.writer.change(keys.check)
    database.writer.change(lambda tx: tx.execute(HISTORY.format(deployment=DEPLOYMENT, hashed=hashed, rows=rows)))
    maker, taken = duckdb.connect(), []
    for turn in range(4):
        path, first = folder / f"labels{turn}.parquet", rows // 2 + turn * 2_000
        ids = f"SELECT md5(i::VARCHAR) AS prediction_id, i % 4 AS label FROM range({first}, {first + 2_000}, 2) t(i)"
        maker.execute(f"COPY ({ids}) TO '{path}'")
        taken.append(timed(functools.partial(label, database, path)))
    database.close()
    # The first one imports what the others find.
    return statistics.median(taken[1:])


def read(database: Database) -> None:
    for count in (120, 365):
        asked = PerformanceParams(DEPLOYMENT, count=count)
        answer = functools.partial(performance_over_time, params=asked)
        database.reader.read(answer)
        work = functools.partial(database.reader.read, answer)
        seconds = statistics.median(timed(work) for _ in range(3))
        print(f"performance over {count} days: {seconds:.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1].replace(",", "")) if len(sys.argv) > 1 else 200_000)
