"""Expected errors of regressions: which files a worker has not looked at yet, and what it found, kept by window."""

from __future__ import annotations

import dataclasses

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
            "SELECT f.arrival FROM monitor_file AS f ANTI JOIN monitor_estimated AS e"
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
    """Keep what the worker expects, by file and window, and that nobody need look at the files again, whether they
    told something or not; returns how many windows. What was looked at before is no new fact."""
    before = {
        str(row[0])
        for row in tx.execute(
            "SELECT arrival FROM monitor_estimated WHERE deployment = ? AND version = ?"
            " AND arrival IN (SELECT unnest(?::VARCHAR[]))",
            [task.deployment, task.version, list(task.arrivals)],
        ).fetchall()
    }
    known = {"deployment": task.deployment, "version": task.version, "recorded_at": tx.now}
    new = [arrival for arrival in task.arrivals if arrival not in before]
    tx.insert("monitor_estimated", _ESTIMATED, [{**known, "arrival": arrival} for arrival in new])
    windows = [part for part in (found.windows if found else []) if part.arrival in set(new)]
    latest: dict[str, int] = {}
    for part in windows:
        latest[part.arrival] = max(part.start, latest.get(part.arrival, part.start))
    # As with counts: what is so old that it would be rolled up is not kept by the minute first.
    widths = {arrival: settings.width_at(tx.now.timestamp() - start) for arrival, start in latest.items()}
    sums: dict[tuple[str, int], tuple[int, list[float]]] = {}
    for part in windows:
        key = part.arrival, part.start // widths[part.arrival] * widths[part.arrival]
        rows, added = sums.get(key, (0, [0.0] * len(part.sums)))
        sums[key] = rows + part.rows, [one + other for one, other in zip(added, part.sums, strict=True)]
    tx.insert(
        "monitor_estimate",
        _ESTIMATE,
        [
            {
                **known,
                "arrival": arrival,
                "window_start": times.from_seconds(start),
                "window_seconds": widths[arrival],
                "row_count": rows,
                "sums": added,
            }
            for (arrival, start), (rows, added) in sums.items()
        ],
    )
    tx.touch("performance", task.deployment)
    return len(sums)


_ESTIMATED = {"deployment": "VARCHAR", "version": "VARCHAR", "arrival": "VARCHAR", "recorded_at": "TIMESTAMP"}
_ESTIMATE = {
    **_ESTIMATED,
    "window_start": "TIMESTAMP",
    "window_seconds": "INTEGER",
    "row_count": "BIGINT",
    "sums": "DOUBLE[]",
}
