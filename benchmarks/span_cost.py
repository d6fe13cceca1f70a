"""What reading a week costs with four months and with three years of history: it must not grow with the history.

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
import numpy as np
import pyarrow as pa

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
from store.monitor.incoming import INCOMING, Incoming
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
#: Days of history. The short one has the 90 days before the span that are asked how late labels come.
SHORT, LONG = 120, 3 * 365
#: Days that are still kept by the minute, by the hour.
MINUTES, HOURS = 2, 180
PREDICTIONS_A_DAY = 2_000
#: What is no reading, and measured beside it.
WRITTEN = ("a file of predictions", "a file of labels")
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
    """Counts drawn from those of the reference, of all deployments, in windows of [start, end) of each portion."""
    found: dict[str, Any] = tx.connection.execute(
        "SELECT model, version, reference, row_count, slots, counts, performance_slots, performance_counts,"
        " performance_sums FROM monitor_reference ORDER BY model"
    ).fetchnumpy()
    windows, labelled = [], []
    for _, start, end, width in portions:
        rows = PREDICTIONS_A_DAY * width // DAY + 1
        for begin in range(start, end, width):
            generator = np.random.default_rng(begin)
            for place, model in enumerate(found["model"]):
                share = rows / found["row_count"][place]
                row = {
                    "deployment": f"{model}@production",
                    "version": found["version"][place],
                    "window_start": begin * 1_000_000,
                    "window_seconds": width,
                    "reference": found["reference"][place],
                    "row_count": rows,
                    "arrival": f"{begin}-{model}",
                }
                windows.append(row | _drawn(generator, share, found["slots"][place], found["counts"][place]))
                slots, counts = found["performance_slots"][place], found["performance_counts"][place]
                sums = (np.asarray(found["performance_sums"][place]) * share).tolist()
                labelled.append(row | _drawn(generator, share, slots, counts) | {"labelled": rows, "sums": sums})
    known = "deployment, version, make_timestamp(window_start) AS window_start, window_seconds, slots, counts, arrival"
    until = "make_timestamp(window_start) + to_seconds(window_seconds)"
    with Incoming(tx, pa.Table.from_pylist(windows)):
        tx.execute(
            f"INSERT INTO monitor_window BY NAME SELECT {known}, reference, row_count, make_timestamp(window_start)"
            f" AS first_at, {until} - to_seconds(1) AS last_at, {until} AS recorded_at FROM {INCOMING}"
        )
    with Incoming(tx, pa.Table.from_pylist(labelled)):
        tx.execute(
            f"INSERT INTO monitor_performance BY NAME SELECT {known}, labelled, sums, {until} AS recorded_at"
            f" FROM {INCOMING}"
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


def _drawn(generator: np.random.Generator, share: float, slots: Any, counts: Any) -> dict[str, Any]:
    """Slots and counts as a `share` of the reference's rows would have them."""
    drawn = generator.poisson(np.maximum(np.asarray(counts), 0) * share)
    held = np.flatnonzero(drawn)
    return {"slots": np.asarray(slots)[held], "counts": drawn[held]}


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
        **dict(zip(WRITTEN, (predict, label), strict=True)),
    }


class History:
    """A store with so many days of history, and what is read of it."""

    def __init__(self, folder: Path, days: int, deployments: int) -> None:
        folder.mkdir()
        self.days = days
        self.database = Database.open(folder / "metadata.duckdb", Journal)
        end = time.time() // DAY * DAY
        begun = time.perf_counter()
        fill(self.database, folder, deployments, days, end)
        compact(self.database, SETTINGS.rolls)
        self.database.checkpoint()
        size = sum(path.stat().st_size for path in folder.glob("metadata.duckdb*")) / 1e6
        print(f"     {days} days stand after {time.perf_counter() - begun:.0f} s, {size:.0f} MB", flush=True)
        fleet = Fleet(SETTINGS)
        self.reads: dict[str, Callable[[], object]] = {
            **reads(self.database, folder, end),
            "fleet": lambda: self.database.reader.read(fleet.summary),
        }


def measure(histories: list[History], what: str, times_each: int) -> list[float]:
    """Median seconds of one read of each history, taken in turns."""
    taken: list[list[float]] = [[] for _ in histories]
    for _ in range(times_each + 1):
        for place, history in enumerate(histories):
            begun = time.perf_counter()
            history.reads[what]()
            taken[place].append(time.perf_counter() - begun)
    return [statistics.median(found[1:]) for found in taken]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deployments", type=int, default=3)
    parser.add_argument("--times", type=int, default=11)
    options = parser.parse_args()
    met = True
    with tempfile.TemporaryDirectory(prefix="quarterdeck-") as folder:
        histories: list[History] = []
        try:
            for days in (SHORT, LONG):
                histories.append(History(Path(folder) / str(days), days, options.deployments))
            for what in histories[0].reads:
                before, after = measure(histories, what, options.times)
                figure = f"{milliseconds(before)} with {SHORT} days, {milliseconds(after)} with {LONG}:"
                figure += f" {after / before:.2f} ×"
                if what in WRITTEN:
                    print(f"     {what:<22} {figure}   [ids are looked up in all of the history]", flush=True)
                    continue
                flat = after <= max(1.5 * before, before + 0.005)
                met &= report(what, figure, "at most 1.5 ×, or 5 ms more", flat)
        finally:
            for history in histories:
                history.database.close()
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
