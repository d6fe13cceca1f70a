"""Labels meet their predictions, whichever came first: each pair adds to the window of the prediction."""

from __future__ import annotations

from typing import Any

import numpy as np

from store.database import Transaction
from store.monitor import deployments, performance
from store.monitor.bins import Integers
from store.monitor.reference import fetch_outcomes, manifest_of

_TYPES = {
    "deployment": "VARCHAR",
    "version": "VARCHAR",
    "window_start": "TIMESTAMP",
    "window_seconds": "INTEGER",
    "labelled": "BIGINT",
    "slots": "UINTEGER[]",
    "counts": "BIGINT[]",
    "sums": "DOUBLE[]",
    "arrival": "VARCHAR",
    "recorded_at": "TIMESTAMP",
}


def join_predictions(
    tx: Transaction, deployment: str, version: str, incoming: str, base_seconds: int, arrival: str
) -> int:
    """Pair the predictions in the relation `incoming` with labels that came before; returns how many had one."""
    if not tx.execute("SELECT 1 FROM monitor_label WHERE deployment = ? LIMIT 1", [deployment]).fetchall():
        return 0
    pairs = (
        "SELECT 1 AS sign, p.score, l.label, p.prediction, l.value, p.event_us"
        f" FROM {incoming} AS p JOIN (SELECT prediction_id, arg_max(label, ordinal) AS label,"
        " arg_max(value, ordinal) AS value FROM monitor_label"
        f" WHERE deployment = ? AND prediction_id IN (SELECT prediction_id FROM {incoming})"
        " GROUP BY prediction_id) AS l USING (prediction_id)"
    )
    return _add(tx, deployment, version, pairs, [deployment], base_seconds, arrival)


def join_labels(tx: Transaction, deployment: str, incoming: str, base_seconds: int, arrival: str) -> int:
    """Pair the labels in `incoming` (prediction_id, sign, label, value) with the predictions that they are for.

    A row with sign -1 takes back what the corrected label had added. Returns how many predictions got a label.
    """
    joined = 0
    versions = tx.execute(
        "SELECT DISTINCT version FROM monitor_prediction WHERE deployment = ? AND prediction_id IN"
        f" (SELECT prediction_id FROM {incoming})",
        [deployment],
    ).fetchall()
    for (version,) in versions:
        pairs = (
            "SELECT i.sign, p.score, i.label, p.prediction, i.value, epoch_us(p.event_at) AS event_us"
            f" FROM monitor_prediction AS p JOIN {incoming} AS i USING (prediction_id)"
            " WHERE p.deployment = ? AND p.version = ?"
        )
        joined += _add(tx, deployment, version, pairs, [deployment, version], base_seconds, arrival)
    return joined


def _add(
    tx: Transaction, deployment: str, version: str, pairs: str, params: list[Any], base_seconds: int, arrival: str
) -> int:
    manifest = manifest_of(tx.connection, deployments.split(deployment).model, version)
    # Parameters of the outer query come first.
    outcomes, columns = fetch_outcomes(tx.connection, pairs, params, manifest, ", event_us")
    if not len(outcomes):
        return 0
    windows: Integers = columns["event_us"] // (base_seconds * 1_000_000)
    rows = []
    for window in np.unique(windows):
        counted = performance.count(manifest.task, manifest.threshold, outcomes.where(windows == window))
        rows.append(
            {
                "deployment": deployment,
                "version": version,
                "window_start": _moment(int(window) * base_seconds),
                "window_seconds": base_seconds,
                "labelled": int(counted.dense()[performance.LABELLED]),
                "slots": counted.slots.tolist(),
                "counts": counted.counts.tolist(),
                "sums": counted.sums.tolist(),
                "arrival": arrival,
                "recorded_at": tx.now,
            }
        )
    tx.insert("monitor_performance", _TYPES, rows)
    return int((outcomes.sign > 0).sum())


def _moment(seconds: int) -> Any:
    from store.database import times

    return times.from_seconds(seconds)
