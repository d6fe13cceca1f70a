"""What reading a week costs with a month and with three years of history: it must not grow with the history.

python -m benchmarks.span_cost --deployments 5
"""

from __future__ import annotations

import argparse
import functools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

from benchmarks.fleets import name, write_model
from benchmarks.harness import milliseconds, report
from store.catalog import models
from store.catalog.manifest import parse
from store.database import Actor, Database, Transaction, times
from store.governance.journal import Journal
from store.monitor.compaction import compact
from store.monitor.fleet import Fleet
from store.monitor.labels import record_labels, scan_labels
from store.monitor.performance_reading import performance_over_time
from store.monitor.reading import distribution, heatmap
from store.monitor.recording import record_predictions
from store.monitor.reference import record_reference, scan_reference
from store.monitor.scan import scan_predictions
from store.protocol import DistributionParams, PerformanceParams, SpanParams
from store.settings import MonitorSettings

DAY = 86_400
SETTINGS = MonitorSettings()
#: Days of history.
SHORT, LONG = 30, 3 * 365
#: Days that are still kept by the minute, by the hour.
MINUTES, HOURS = 2, 180
PREDICTIONS_A_DAY = 2_000


def fill(database: Database, folder: Path, deployments: int, days: int, end: float) -> None:
    """History as the agent leaves it: recorded as it happened, rolled up by age, predictions with labels."""
    for number in range(deployments):
        made = write_model(folder / f"made-{days}", number)
        manifest = parse((made / "model.json").read_bytes())
        arrival = models.VersionArrival(manifest, "sha256:1", 1, 1, "", "", "", "", times.now())
        reference = database.reader.read(
            lambda c, made=made, manifest=manifest: scan_reference(c, made / "reference.parquet", manifest)  # type: ignore[misc]
        )

        def register(tx: Transaction, arrival=arrival, manifest=manifest, reference=reference) -> None:  # type: ignore[no-untyped-def]
            models.register(tx, arrival, Actor("benchmark", "seed"))
            record_reference(tx, manifest.model, manifest.version, reference)

        database.writer.change(register)
    for before in range(days, 0, -1):
        start = end - before * DAY
        width = 60 if before <= MINUTES else 3_600 if before <= HOURS else DAY
        # An hour of minutes at a time: so many lists at once want much memory.
        step = DAY if width > 60 else 3_600
        for begin in range(int(start), int(start) + DAY, step):
            database.writer.change(functools.partial(_counts, begin, begin + step, width))
        database.writer.change(functools.partial(_predictions, deployments, int(start)))


def _counts(start: int, end: int, width: int, tx: Transaction) -> None:
    """Counts like those of the reference, of all deployments, in the order it happened."""
    begin = f"make_timestamp({start} * 1000000::BIGINT)"
    tx.execute(
        f"CREATE OR REPLACE TEMP TABLE day AS SELECT m.* EXCLUDE (features, notes), {begin} + to_seconds(i * {width}) AS w,"
        f" {begin} + to_seconds((i + 1) * {width}) AS until"
        f" FROM range(0, {(end - start) // width}) AS r(i), monitor_reference AS m"
    )
    # A minute holds a few of the reference's values.
    step = 8 if width < 3_600 else 1
    few = "lambda n: n // 8 + 1"
    tx.execute(
        "INSERT INTO monitor_window BY NAME SELECT model || '@production' AS deployment, version, w AS window_start,"
        f" {width} AS window_seconds, reference, {PREDICTIONS_A_DAY * width // DAY + 1} AS row_count, w AS first_at,"
        f" until - to_seconds(1) AS last_at, slots[1:-:{step}] AS slots,"
        f" list_transform(counts[1:-:{step}], {few})::UINTEGER[] AS counts,"
        " epoch(w) || model AS arrival, until AS recorded_at FROM day ORDER BY w, model"
    )
    tx.execute(
        "INSERT INTO monitor_performance BY NAME SELECT model || '@production' AS deployment, version,"
        f" w AS window_start, {width} AS window_seconds, 10 AS labelled, performance_slots[1:-:{step}] AS slots,"
        f" list_transform(performance_counts[1:-:{step}], {few})::BIGINT[] AS counts, performance_sums AS sums,"
        " epoch(w) || model AS arrival, until AS recorded_at FROM day ORDER BY w, model"
    )


def _predictions(deployments: int, start: int, tx: Transaction) -> None:
    """A day's predictions and, where they have come, their labels."""
    begin = f"make_timestamp({start} * 1000000::BIGINT)"
    happened = (
        f"SELECT 'model-' || lpad((i % {deployments})::VARCHAR, 2, '0') || '@production' AS deployment,"
        f" md5({start} || '-' || i) AS prediction_id,"
        f" {begin} + to_seconds(i * {DAY / PREDICTIONS_A_DAY / deployments}) AS event_at"
        f" FROM range({PREDICTIONS_A_DAY * deployments}) AS r(i)"
    )
    tx.execute(
        "INSERT INTO monitor_prediction BY NAME SELECT *, '1' AS version, '1' AS prediction,"
        f" (hash(prediction_id) % 1000) / 1000 AS score, event_at AS recorded_at FROM ({happened}) ORDER BY event_at"
    )
    if start < time.time() // DAY * DAY - 3 * DAY:
        tx.execute(
            "INSERT INTO monitor_label BY NAME SELECT deployment, prediction_id, '1' AS label, 1.0 AS value,"
            f" event_at + to_days(1) AS label_at, {start} AS ordinal, event_at + to_days(1) AS recorded_at"
            f" FROM ({happened}) ORDER BY event_at"
        )


def reads(database: Database, folder: Path, end: float) -> dict[str, Callable[[], object]]:
    """What is measured, by name: each is of model-00's last seven days."""
    deployment = f"{name(0)}@production"
    since, until = end - 7 * DAY, end
    maker = duckdb.connect()
    made = 0

    def file(select: str) -> Path:
        nonlocal made
        made += 1
        path = folder / f"in-{made}-{time.monotonic_ns()}.parquet"
        maker.execute(f"COPY ({select}) TO '{path}'")
        return path

    def predict() -> object:
        path = file(
            "SELECT uuid() AS prediction_id, 0.5 AS score, 1.0 AS n00, 'c1' AS k0,"
            f" make_timestamp({round(end)} * 1000000::BIGINT) AS timestamp FROM range(100)"
        )
        scan = database.reader.read(lambda c: scan_predictions(c, path, "parquet", deployment, path.name, SETTINGS))
        return database.writer.change(lambda tx: record_predictions(tx, scan))

    def label() -> object:
        day = round(end - 2 * DAY)
        path = file(
            f"SELECT md5({day} || '-' || ((random() * {PREDICTIONS_A_DAY})::BIGINT)) AS prediction_id,"
            f" 1 AS label, make_timestamp({round(end - DAY)} * 1000000::BIGINT) AS timestamp FROM range(100)"
        )
        scan = database.reader.read(lambda c: scan_labels(c, path, "parquet", deployment, path.name, SETTINGS))
        return database.writer.change(lambda tx: record_labels(tx, scan))

    spans = SpanParams(deployment, "1d", since, until)
    return {
        "heat map of days": lambda: database.reader.read(lambda c: heatmap(c, spans, SETTINGS)),
        "heat map of hours": lambda: database.reader.read(
            lambda c: heatmap(c, SpanParams(deployment, "1h", since, until), SETTINGS)
        ),
        "distribution": lambda: database.reader.read(
            lambda c: distribution(c, DistributionParams(deployment, "n00", since, until), SETTINGS)
        ),
        "performance": lambda: database.reader.read(
            lambda c: performance_over_time(c, PerformanceParams(deployment, [], "1d", since, until), SETTINGS)
        ),
        "a file of predictions": predict,
        "a file of labels": label,
    }


def measure(days: int, deployments: int, times_each: int) -> dict[str, float]:
    """Median seconds of each read with so many days of history."""
    with tempfile.TemporaryDirectory(prefix="quarterdeck-") as folder:
        database = Database.open(Path(folder) / "metadata.duckdb", Journal)
        try:
            end = time.time() // DAY * DAY
            begun = time.perf_counter()
            fill(database, Path(folder), deployments, days, end)
            compact(database, SETTINGS.rolls)
            database.checkpoint()
            size = sum(path.stat().st_size for path in Path(folder).glob("metadata.duckdb*")) / 1e6
            print(f"     {days} days stand after {time.perf_counter() - begun:.0f} s, {size:.0f} MB", flush=True)
            found = {}
            for what, read in reads(database, Path(folder), end).items():
                taken = []
                for _ in range(times_each + 1):
                    begun = time.perf_counter()
                    read()
                    taken.append(time.perf_counter() - begun)
                found[what] = statistics.median(taken[1:])
            fleet = Fleet(SETTINGS)
            database.reader.read(fleet.summary)
            begun = time.perf_counter()
            for _ in range(times_each):
                database.reader.read(fleet.summary)
            found["fleet"] = (time.perf_counter() - begun) / times_each
            return found
        finally:
            database.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deployments", type=int, default=5)
    parser.add_argument("--times", type=int, default=11)
    options = parser.parse_args()
    short, long = (measure(days, options.deployments, options.times) for days in (SHORT, LONG))
    met = True
    for what, before in short.items():
        after = long[what]
        figure = f"{milliseconds(before)} with {SHORT} days, {milliseconds(after)} with {LONG}: {after / before:.2f} ×"
        met &= report(what, figure, "at most 1.5 ×, or 5 ms more", after <= max(1.5 * before, before + 0.005))
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
