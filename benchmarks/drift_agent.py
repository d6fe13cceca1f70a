"""Drift of a predictions file against a kept reference, as the agent computes it, beside a bare DuckDB scan of it."""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np

from benchmarks.drift_data import drift_file
from benchmarks.harness import report
from store.catalog import models
from store.catalog.manifest import ModelManifest
from store.database import Actor, Database
from store.governance.journal import Journal
from store.monitor import record_reference, scan_predictions, scan_reference
from store.monitor.reference import Reference, load_reference
from store.monitor.scan import PredictionScan
from store.monitor.statistics import statistics_of, verdicts
from store.monitor.statistics.catalogue import statistics_for
from store.settings import MonitorSettings

LIMIT = 2.0
SETTINGS = MonitorSettings()


def opened(folder: Path, reference: Path) -> Database:
    """A store whose model has that file as its reference, profiled and kept."""
    database = Database.open(folder / "metadata.duckdb", Journal)
    manifest = ModelManifest("m", "1")
    arrival = models.VersionArrival(manifest, "sha256:1", 1, 1, "", "", "", "me", datetime.now(UTC))
    database.writer.change(lambda tx: models.register(tx, arrival, Actor("me", "cli")))
    made = database.reader.read(lambda c: scan_reference(c, reference, manifest))
    database.writer.change(lambda tx: record_reference(tx, "m", "1", made))
    return database


def drift(connection: duckdb.DuckDBPyConnection, path: Path) -> PredictionScan:
    """The file's counts, then every statistic of every feature in every window, and the verdicts."""
    scan = scan_predictions(connection, path, "parquet", "m@production", "digest", SETTINGS)
    reference = load_reference(connection, "m", "1")
    assert reference is not None
    every_statistic(scan, reference)
    return scan


def every_statistic(scan: PredictionScan, reference: Reference) -> None:
    counts = scan.parts[0].counts
    dense = np.zeros((len(counts.starts), reference.width), np.int64)
    windows = np.repeat(np.arange(len(counts.starts)), np.diff(counts.ends))
    dense[windows, counts.slots] = counts.counts
    for feature in reference.features:
        current = dense[:, feature.offset : feature.offset + feature.width]
        for name in statistics_for(feature):
            statistics_of(name, feature, reference.groups[feature.name], reference.of(feature), current)
    verdicts(reference, dense, SETTINGS)


def bare_scan(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """count, min, max and sum (of numbers) of every column."""
    columns = connection.execute(f"DESCRIBE SELECT * FROM '{path}'").fetchall()
    parts = [f'count("{name}"), min("{name}"), max("{name}")' for name, *_ in columns]
    parts += [f'sum("{name}")' for name, kind, *_ in columns if kind == "DOUBLE"]
    connection.execute(f"SELECT {', '.join(parts)} FROM '{path}'").fetchall()


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """(wall, processor) seconds."""
    before, started = _processor(), time.perf_counter()
    work()
    return time.perf_counter() - started, _processor() - before


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=7)
    options = parser.parse_args()
    reference = drift_file("reference", options.rows, 1, predictions=True)
    current = drift_file("current", options.rows, 2, 0.3, predictions=True)
    ours: list[tuple[float, float]] = []
    bare: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        database = opened(Path(folder), reference)
        for _ in range(options.times):
            # One beside the other, so that whatever else the machine does slows both.
            bare.append(timed(lambda: database.reader.read(lambda c: bare_scan(c, current))))
            ours.append(timed(lambda: database.reader.read(lambda c: drift(c, current))))
        database.close()
    ratio = statistics.median(mine[0] / scan[0] for mine, scan in zip(ours, bare, strict=True))
    wall, processor = (statistics.median(column) for column in zip(*ours, strict=True))
    scan_wall, scan_processor = (statistics.median(column) for column in zip(*bare, strict=True))
    figure = (
        f"{ratio:.2f} times a bare scan ({wall:.2f} s against {scan_wall:.2f} s;"
        f" processor {processor:.2f} s against {scan_processor:.2f} s)"
    )
    return 0 if report(f"drift of {options.rows:,} rows", figure, f"≤ {LIMIT:g} times", ratio <= LIMIT) else 1


if __name__ == "__main__":
    raise SystemExit(main())
