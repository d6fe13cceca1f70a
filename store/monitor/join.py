"""Labels meet their predictions, whichever came first: each pair adds to the window of the prediction."""

from __future__ import annotations

from typing import Any

import numpy as np

from store.database import Transaction
from store.monitor import deployments, performance
from store.monitor.bins import Integers
from store.monitor.incoming import Incoming
from store.monitor.performance import PerformanceCounts
from store.monitor.reference import fetch_outcomes, manifest_of

_COUNTED = "monitor_counted"


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
    base_us = base_seconds * 1_000_000
    windows: Integers
    windows, groups = np.unique(columns["event_us"] // base_us, return_inverse=True)
    counted = performance.count_groups(manifest.task, manifest.threshold, outcomes, groups, len(windows))
    with Incoming(tx, _table(windows * base_us, counted), _COUNTED):
        tx.execute(
            "INSERT INTO monitor_performance SELECT ?, ?, make_timestamp(start_us), ?, labelled, slots, counts, sums,"
            f" ?, ? FROM {_COUNTED}",
            [deployment, version, base_seconds, arrival, tx.now_db],
        )
    return int((outcomes.sign > 0).sum())


def _table(starts_us: Integers, counted: list[PerformanceCounts]) -> Any:
    import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]  # only where files arrive

    labelled = [int(part.counts[part.slots == performance.LABELLED].sum()) for part in counted]
    ends = np.concatenate([[0], np.cumsum([len(part.slots) for part in counted])])
    slots = pa.array(np.concatenate([part.slots for part in counted]).astype(np.uint32))
    counts = pa.array(np.concatenate([part.counts for part in counted]))
    sums = pa.array(np.concatenate([part.sums for part in counted]))
    return pa.table(
        {
            "start_us": starts_us,
            "labelled": labelled,
            "slots": pa.LargeListArray.from_arrays(pa.array(ends), slots),
            "counts": pa.LargeListArray.from_arrays(pa.array(ends), counts),
            "sums": pa.FixedSizeListArray.from_arrays(sums, performance.SUMS),
        }
    )
