"""A store with any number of runs of 10 params and 10 metrics each, made once by bulk SQL and kept.

    python -m benchmarks.seed --runs 1000000

The runs' sequences are negative: what arrives later gets positive ones from the journal and is newer.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

from store.catalog import models
from store.catalog.manifest import parse
from store.catalog.objects import Objects
from store.catalog.run_columns import RunColumns
from store.database import Actor, Database, Layout, Transaction, times
from store.database.migrate import migrations
from store.governance.journal import Journal
from store.protocol import ActionParams
from store.release.actions import Releases
from store.settings import Settings

RUNS = 1_000_000
#: Enough to fill the first screen.
DEPLOYMENTS = 40
#: param -> how many values it takes.
PARAMS = {
    "optimizer": 4,
    "learning_rate": 50,
    "max_depth": 12,
    "min_samples": 20,
    "l2": 30,
    "features": 6,
    "seed": 1000,
    "split": 3,
    "loss": 3,
    "balance": 2,
}
METRICS = (
    "auc",
    "log_loss",
    "accuracy",
    "precision",
    "recall",
    "f1",
    "brier",
    "ece",
    "train_seconds",
    "rows",
)


def seeded_store(runs: int = RUNS) -> Path:
    """The kept store of that many runs, made now if it is missing. Do not write to it: see `copy_of`."""
    schema = hashlib.sha256("".join(m.sql for m in migrations()).encode()).hexdigest()[:12]
    base = Path(tempfile.gettempdir()) / f"quarterdeck-benchmark-{os.getuid()}"
    store = base / f"runs-{runs}-{schema}"
    if not (store / "metadata.duckdb").exists():
        base.mkdir(mode=0o700, exist_ok=True)
        for old in base.glob(f"runs-{runs}-*"):
            shutil.rmtree(old)
        building = Path(tempfile.mkdtemp(dir=base))
        try:
            seed(building, runs)
            building.rename(store)
        except BaseException:
            shutil.rmtree(building)
            raise
    return store


def copy_of(store: Path, folder: Path) -> Path:
    """A copy that a benchmark may change."""
    target = folder / "store"
    shutil.copytree(store, target, symlinks=True, ignore=shutil.ignore_patterns("run", "*.lock", "*.sock"))
    return target


def seed(store: Path, runs: int) -> None:
    """Fills a new store with runs and deployments; about 7 s and 200 MB for a million runs."""
    layout = Layout(store)
    layout.create()
    database = Database.open(layout.database, Journal)
    try:
        database.writer.change(lambda tx: _insert(tx, runs))
        for number in range(DEPLOYMENTS):
            _deploy(database, layout, f"model-{number:02d}")
    finally:
        database.close()


def _deploy(database: Database, layout: Layout, model: str) -> None:
    """Registers version 1 of a model and promotes it to production, through the rooms that always do it."""
    made = layout.root / "made" / model
    made.mkdir(parents=True)
    (made / "model.json").write_text(json.dumps({"model": model, "version": "1", "artifact": "model.bin"}))
    (made / "model.bin").write_bytes(model.encode())
    objects = Objects(layout.objects)
    manifest = parse((made / "model.json").read_bytes())
    digest, size, files = objects.keep(made)
    arrival = models.VersionArrival(manifest, digest, size, files, "", "", "", "", times.now())
    actor = Actor("benchmark", "seed")
    database.writer.change(lambda tx: models.register(tx, arrival, actor))
    releases = Releases.for_store(database, layout, Settings(), objects)
    try:
        releases.perform(ActionParams("promote", f"{model}@production", "1", "benchmark"), actor)
    finally:
        releases.close()


def _insert(tx: Transaction, runs: int) -> None:
    columns = RunColumns.read(tx.connection)
    keys = [f"param.{name}" for name in PARAMS] + [f"metric.{name}" for name in METRICS]
    columns.ensure(tx, set(keys))
    params = {f"param.{name}": f"'v' || hash(i * 64 + {n}) % {count}" for n, (name, count) in enumerate(PARAMS.items())}
    metrics = {f"metric.{name}": f"hash(i * 64 + {32 + n}) / 18446744073709551616.0" for n, name in enumerate(METRICS)}
    values = {**params, **metrics}
    names = ", ".join(f'"{columns.column(key)}"' for key in keys)
    start = times.to_db(times.now())
    tx.execute(
        "INSERT INTO run (sequence, name, status, started_at, ended_at, owner, host, tags, effective_at,"
        f" recorded_at, {names})"
        f" SELECT i - {runs}, printf('run-%07d', i), CASE WHEN i % 50 = 0 THEN 'failed' ELSE 'finished' END,"
        f" begun, begun + to_seconds((hash(i) % 3600)::BIGINT), 'user' || i % 40, 'host' || i % 16,"
        f" '{{}}', begun, begun,"
        f" {', '.join(values[key] for key in keys)}"
        f" FROM (SELECT i, ?::TIMESTAMP - to_seconds(60 * ({runs} - i)) AS begun FROM range(1, {runs} + 1) AS r(i))"
        " ORDER BY i",
        [start],
    )
    for name in METRICS:
        tx.execute(
            "INSERT INTO metric_point (run, metric, step, measured_at, value, recorded_at)"
            f" SELECT sequence, '{name}', 1, ended_at, \"{columns.column(f'metric.{name}')}\", recorded_at FROM run"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    started = time.perf_counter()
    store = seeded_store(parser.parse_args().runs)
    size = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
    print(f"{store}  {size / 1e6:.0f} MB  {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
