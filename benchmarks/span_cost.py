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
from typing import Any

import duckdb

from benchmarks.fleets import name, write_model
from benchmarks.harness import milliseconds, report
from store.catalog import models
from store.catalog.listing import Listings
from store.catalog.manifest import parse
from store.database import Actor, Database, Transaction, times
from store.governance.journal import Journal
from store.monitor.alerts import open_alerts
from store.monitor.compaction import compact
from store.monitor.fleet import Fleet
from store.monitor.labels import record_labels, scan_labels
from store.monitor.listings import listings
from store.monitor.performance_reading import performance_over_time
from store.monitor.reading import distribution, heatmap
from store.monitor.recording import record_predictions
from store.monitor.reference import Reference, record_reference, scan_reference
from store.monitor.scan import scan_predictions
from store.protocol import DistributionParams, ListParams, PerformanceParams, SpanParams
from store.settings import MonitorSettings

DAY = 86_400
SETTINGS = MonitorSettings()
#: Days of history.
SHORT, LONG = 30, 3 * 365
#: Days that are still kept by the minute, by the hour.
MINUTES, HOURS = 2, 180
PREDICTIONS_A_DAY = 2_000
#: Days that one transaction writes.
AT_ONCE = 24


def fill(database: Database, folder: Path, deployments: int, days: int, end: float) -> None:
    """History as the agent leaves it: counts in the order they were rolled up, predictions with labels."""
    for number in range(deployments):
        made = write_model(folder / f"made-{days}", number)
        manifest = parse((made / "model.json").read_bytes())
        arrival = models.VersionArrival(manifest, "sha256:1", 1, 1, "", "", "", "", times.now())
        scan = functools.partial(scan_reference, path=made / "reference.parquet", manifest=manifest)
        reference = database.reader.read(scan)

        def register(
            tx: Transaction, arrival: models.VersionArrival = arrival, reference: Reference = reference
        ) -> None:
            models.register(tx, arrival, Actor("benchmark", "seed"))
            record_reference(tx, arrival.manifest.model, arrival.manifest.version, reference)

        database.writer.change(register)
    portions = []
    for before in range(days, 0, -1):
        start = int(end) - before * DAY
        width = 60 if before <= MINUTES else 3_600 if before <= HOURS else DAY
        rolled_at = start + {60: 0, 3_600: MINUTES * DAY, DAY: HOURS * DAY}[width]
        # An hour of minutes at a time: so many lists at once want much memory.
        step = DAY if width > 60 else 3_600
        portions += [(rolled_at, begin, begin + step, width) for begin in range(start, start + DAY, step)]
    portions.sort()
    for first in range(0, len(portions), AT_ONCE):
        database.writer.change(functools.partial(_counts, portions[first : first + AT_ONCE]))
    for before in range(days, 0, -AT_ONCE):
        start = int(end) - before * DAY
        database.writer.change(functools.partial(_predictions, deployments, start, min(before, AT_ONCE), int(end)))


def _counts(portions: list[tuple[int, int, int, int]], tx: Transaction) -> None:
    """Counts like those of the reference, of all deployments, in windows of [start, end) of each portion."""
    for _, start, end, width in portions:
        # A minute holds a few of the reference's values.
        step = 8 if width < 3_600 else 1
        few = "lambda n: n // 8 + 1"
        windows = (
            f"SELECT m.*, make_timestamp({start} * 1000000::BIGINT) + to_seconds(i * {width}) AS w,"
            f" w + to_seconds({width}) AS until FROM range(0, {(end - start) // width}) AS r(i), monitor_reference AS m"
        )
        also = f"model || '@production' AS deployment, version, w AS window_start, {width} AS window_seconds"
        tx.execute(
            f"INSERT INTO monitor_window BY NAME SELECT {also}, reference,"
            f" {PREDICTIONS_A_DAY * width // DAY + 1} AS row_count, w AS first_at,"
            f" until - to_seconds(1) AS last_at, slots[1:-:{step}] AS slots,"
            f" list_transform(counts[1:-:{step}], {few})::UINTEGER[] AS counts,"
            f" epoch(w) || model AS arrival, until AS recorded_at FROM ({windows}) ORDER BY w, model"
        )
        tx.execute(
            f"INSERT INTO monitor_performance BY NAME SELECT {also}, 10 AS labelled,"
            f" performance_slots[1:-:{step}] AS slots,"
            f" list_transform(performance_counts[1:-:{step}], {few})::BIGINT[] AS counts, performance_sums AS sums,"
            f" epoch(w) || model AS arrival, until AS recorded_at FROM ({windows}) ORDER BY w, model"
        )
    # An alert a day, of one deployment after the other: opened, updated, closed.
    for day in sorted({start // DAY for _, start, _, _ in portions}):
        tx.execute(
            "INSERT INTO monitor_alert_event BY NAME SELECT $1 * 3 + i AS ordinal, 'a' || $1 AS alert,"
            " model || '@production' AS deployment, 'drift' AS rule, 'n00' AS feature, version,"
            " ['opened', 'updated', 'closed'][i + 1] AS event, 'warning' AS severity, 0.3 AS value, 0.1 AS threshold,"
            " 0.01 AS noise_floor, make_timestamp($1 * 86400000000) AS window_start,"
            " window_start + to_days(1) AS window_end, 'psi' AS message, 'monitor' AS actor, window_end AS recorded_at"
            " FROM range(0, 3) AS r(i),"
            " (SELECT * FROM monitor_reference ORDER BY hash(model || $1) LIMIT 1)",
            [day],
        )


def _predictions(deployments: int, start: int, days: int, end: int, tx: Transaction) -> None:
    """Predictions of so many days and, where they have come, their labels."""
    number = PREDICTIONS_A_DAY * deployments * days
    happened = (
        f"SELECT 'model-' || lpad((i % {deployments})::VARCHAR, 2, '0') || '@production' AS deployment,"
        f" md5({start // DAY} + i // {PREDICTIONS_A_DAY * deployments} || '-' || i % {PREDICTIONS_A_DAY * deployments})"
        f" AS prediction_id, make_timestamp({start} * 1000000::BIGINT) + to_seconds(i * {days * DAY / number})"
        f" AS event_at FROM range({number}) AS r(i)"
    )
    tx.execute(
        "INSERT INTO monitor_prediction BY NAME SELECT *, '1' AS version, '1' AS prediction,"
        f" (hash(prediction_id) % 1000) / 1000 AS score, event_at AS recorded_at FROM ({happened}) ORDER BY event_at"
    )
    tx.execute(
        "INSERT INTO monitor_label BY NAME SELECT deployment, prediction_id, '1' AS label, 1.0 AS value,"
        f" event_at + to_days(1) AS label_at, {start} AS ordinal, event_at + to_days(1) AS recorded_at"
        f" FROM ({happened}) WHERE event_at < make_timestamp(({end} - 3 * {DAY}) * 1000000::BIGINT) ORDER BY event_at"
    )


def reads(database: Database, folder: Path, end: float) -> dict[str, Callable[[], object]]:
    """What is measured, by name: of model-00's last seven days."""
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

    listed = Listings(listings(SETTINGS))

    def asked(window: str, at: float | None = None) -> SpanParams:
        return SpanParams(deployment, window, since, until, at)

    def ask(read: Callable[[duckdb.DuckDBPyConnection], object]) -> Callable[[], object]:
        return lambda: database.reader.read(read)

    def ls(kind: str, **also: Any) -> Callable[[], object]:
        params = ListParams(kind, limit=50, scope={"deployment": deployment}, since=since, until=until, **also)
        return ask(lambda c: listed.page(c, params))

    return {
        "heat map of days": ask(lambda c: heatmap(c, asked("1d"), SETTINGS)),
        "the same, no times": ask(lambda c: heatmap(c, SpanParams(deployment, "1d", count=7), SETTINGS)),
        "the same, --at": ask(lambda c: heatmap(c, asked("1d", end - DAY), SETTINGS)),
        "heat map of hours": ask(lambda c: heatmap(c, asked("1h"), SETTINGS)),
        "distribution": ask(lambda c: distribution(c, DistributionParams(deployment, "n00", since, until), SETTINGS)),
        "performance, frontier": ask(
            lambda c: performance_over_time(c, PerformanceParams(deployment, [], "1d", since, until), SETTINGS)
        ),
        "ls windows": ls("windows"),
        "ls windows, the fleet": ask(lambda c: listed.page(c, ListParams("windows", limit=50))),
        "ls drift": ls("drift"),
        "ls quality": ls("quality"),
        "open alerts": ask(open_alerts),
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
