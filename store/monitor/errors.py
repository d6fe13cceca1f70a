"""Expected errors of regressions: which files a worker has not looked at yet, and what it found, kept by window."""

from __future__ import annotations

import dataclasses
from datetime import datetime

import duckdb

from store.catalog import models
from store.database import Layout, Transaction, times
from store.monitor import deployments
from store.monitor.multivariate import features_of, prediction_files, reference_file
from store.monitor.reference import manifest_of
from store.monitor.workers.messages import Errors, Expected
from store.settings import MonitorSettings

#: Rows of a file that are looked at, and files a worker is asked of at once.
MAX_ROWS = 5_000
MAX_FILES = 50


@dataclasses.dataclass(frozen=True)
class Expecting:
    """Files of one version whose errors are to be expected; without a `request` none of them can be, and `why`."""

    deployment: str
    version: str
    arrivals: tuple[str, ...]
    request: Expected | None
    why: str = ""


def regressions(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Deployments with predictions of a version whose task is regression."""
    rows = connection.execute("SELECT DISTINCT deployment, version FROM monitor_file ORDER BY 1, 2").fetchall()
    found = [
        str(name)
        for name, version in rows
        if manifest_of(connection, deployments.split(name).model, version).task == "regression"
    ]
    return list(dict.fromkeys(found))


def next_files(
    connection: duckdb.DuckDBPyConnection, layout: Layout, deployment: str, settings: MonitorSettings
) -> Expecting | None:
    """The oldest files of a regression that no worker has looked at; null when there are none."""
    model = deployments.split(deployment).model
    for known in models.versions(connection, model):
        version = known.version
        if known.manifest.task != "regression":
            continue
        rows = connection.execute(
            "SELECT f.arrival FROM monitor_file AS f ANTI JOIN monitor_estimate AS e"
            " USING (deployment, version, arrival) WHERE f.deployment = ? AND f.version = ?"
            " ORDER BY f.recorded_at, f.arrival LIMIT ?",
            [deployment, version, MAX_FILES],
        ).fetchall()
        if not rows:
            continue
        arrivals = tuple(str(row[0]) for row in rows)
        found = reference_file(connection, layout, model, version)
        if isinstance(found, str):
            return Expecting(deployment, version, arrivals, None, found)
        reference, file, manifest = found
        files, _ = prediction_files(connection, layout, deployment, version, -1e10, 1e11, arrivals)
        if not files:
            return Expecting(deployment, version, arrivals, None, "the files are no longer where they were")
        features = features_of(reference)
        asked = Expected(manifest, version, False, features, file, files, settings.base_window_seconds, MAX_ROWS)
        return Expecting(deployment, version, arrivals, asked)
    return None


def record_errors(tx: Transaction, task: Expecting, found: Errors | None, settings: MonitorSettings) -> int:
    """Keep what the worker expects, by file and window; returns how many windows. A file that told nothing is kept as
    one empty row, so that nobody looks at it again."""
    windows = found.windows if found else []
    width = settings.base_window_seconds
    rows: list[tuple[str, datetime, int, list[float]]] = [
        (part.arrival, times.to_db(times.from_seconds(part.start)), part.rows, part.sums) for part in windows
    ]
    seen = {part.arrival for part in windows}
    epoch = times.to_db(times.from_seconds(0.0))
    rows += [(arrival, epoch, 0, [0.0] * 4) for arrival in task.arrivals if arrival not in seen]
    for arrival, start, count, sums in rows:
        tx.execute(
            "INSERT INTO monitor_estimate SELECT ?, ?, ?, ?, ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM"
            " monitor_estimate WHERE deployment = ? AND version = ? AND arrival = ? AND window_start = ?)",
            [
                task.deployment, task.version, start, width, count, sums, arrival, tx.now_db,
                task.deployment, task.version, arrival, start,
            ],
        )  # fmt: skip
    tx.touch("performance", task.deployment)
    return len(windows)
