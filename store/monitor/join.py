"""Labels meet their predictions, whichever came first: each pair adds to the window of the prediction, and there to
the whole and to each of its slices."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from store.catalog.manifest import ModelManifest
from store.database import Transaction
from store.monitor import deployments, performance
from store.monitor.bins import Integers
from store.monitor.incoming import Incoming
from store.monitor.performance import Outcomes, PerformanceCounts
from store.monitor.reference import distinct_classes, fetch_outcomes, load_reference, manifest_of
from store.monitor.slices import MAX_VALUES, OTHER, add_classes, kept_values, slice_columns
from store.settings import MonitorSettings

_COUNTED = "monitor_counted"
_FOUND = "monitor_found"


def join_predictions(
    tx: Transaction,
    deployment: str,
    version: str,
    incoming: str,
    also: Sequence[str],
    settings: MonitorSettings,
    arrival: str,
) -> int:
    """Pair the predictions in the relation `incoming` with labels that came before; returns how many had one.
    `also` names which of `slices` and `quantiles` it has."""
    if not tx.execute("SELECT 1 FROM monitor_label WHERE deployment = ? LIMIT 1", [deployment]).fetchall():
        return 0
    slices = "p.slices" if "slices" in also else "NULL::VARCHAR[] AS slices"
    quantiles = "p.quantiles" if "quantiles" in also else "NULL::MAP(USMALLINT, DOUBLE) AS quantiles"
    pairs = (
        f"SELECT 1 AS sign, p.score, l.label, p.prediction, l.value, p.event_us, l.label_us, {slices}, {quantiles}"
        f" FROM {incoming} AS p JOIN (SELECT prediction_id, arg_max(label, ordinal) AS label,"
        " arg_max(value, ordinal) AS value, arg_min(epoch_us(label_at), ordinal) AS label_us FROM monitor_label"
        f" WHERE deployment = ? AND prediction_id IN (SELECT prediction_id FROM {incoming})"
        " GROUP BY prediction_id) AS l USING (prediction_id)"
    )
    return _Pairs(tx, deployment, version, pairs, [deployment]).add(settings, arrival)


def join_labels(tx: Transaction, deployment: str, incoming: str, settings: MonitorSettings, arrival: str) -> int:
    """Pair the labels in `incoming` (prediction_id, sign, label, value, label_us) with the predictions they are for.

    A row with sign -1 takes back what the corrected label had added. Returns how many predictions got a label.
    """
    joined = 0
    # The history of predictions is read once, whatever versions there are.
    found: Any = tx.connection.sql(
        "SELECT p.version, i.sign, p.score, i.label, p.prediction, i.value, epoch_us(p.event_at) AS event_us,"
        f" i.label_us, p.slices, p.quantiles FROM monitor_prediction AS p JOIN {incoming} AS i USING (prediction_id)"
        " WHERE p.deployment = ?",
        params=[deployment],
    ).to_arrow_table()
    for version in sorted(set(found["version"].to_pylist())):
        with Incoming(tx, found, _FOUND):
            pairs = f"SELECT * EXCLUDE (version) FROM {_FOUND} WHERE version = ?"
            joined += _Pairs(tx, deployment, version, pairs, [version]).add(settings, arrival)
    return joined


class _Pairs:
    """Predictions of one version with their labels, given by a query, on their way into the counts."""

    def __init__(self, tx: Transaction, deployment: str, version: str, pairs: str, params: list[Any]) -> None:
        self._tx = tx
        self._deployment = deployment
        self._model = deployments.split(deployment).model
        self._version = version
        self._manifest: ModelManifest = manifest_of(tx.connection, self._model, version)
        self._pairs = pairs
        self._params = params

    def add(self, settings: MonitorSettings, arrival: str) -> int:
        """Add them to the windows of their predictions; returns how many predictions got a label."""
        slices = slice_columns(self._manifest)
        outcomes, columns = self._fetch(slices)
        if not len(outcomes):
            return 0
        base_seconds = settings.width_at(self._tx.now.timestamp() - columns["event_us"].max() / 1e6)
        base_us = base_seconds * 1_000_000
        windows: Integers
        windows, groups = np.unique(columns["event_us"] // base_us, return_inverse=True)
        known = [self._deployment, self._version]
        counted = self._count(outcomes, groups, len(windows))
        self._insert("monitor_performance", known, windows * base_us, counted, base_seconds, arrival)
        for place, name in enumerate(slices):
            values, numbers = self._values(name, columns[f"s{place}"])
            present = numbers >= 0
            cells, inside = np.unique(groups[present] * (MAX_VALUES + 2) + numbers[present], return_inverse=True)
            counted = self._count(outcomes.where(present), inside, len(cells))
            starts, held = np.divmod(cells, MAX_VALUES + 2)
            for number, value in enumerate(values):
                mine = np.flatnonzero(held == number)
                if len(mine):
                    parts = [counted[cell] for cell in mine]
                    self._insert(
                        "monitor_performance_slice", [*known, name, value], windows[starts[mine]] * base_us, parts,
                        base_seconds, arrival,
                    )  # fmt: skip
        return int((outcomes.sign > 0).sum())

    def _fetch(self, slices: list[str]) -> tuple[Outcomes, dict[str, Any]]:
        task = self._manifest.task
        classes: list[str] = []
        levels: list[int] = []
        if task == "multiclass":
            incoming = distinct_classes(self._tx.connection, self._pairs, self._params)
            classes = add_classes(self._tx, self._model, self._version, incoming)
        if task == "regression":
            found = self._tx.execute(
                f"SELECT DISTINCT unnest(map_keys(quantiles)) FROM ({self._pairs}) WHERE quantiles IS NOT NULL",
                self._params,
            ).fetchall()
            levels = sorted(int(row[0]) for row in found)
        also = ", event_us, coalesce((label_us - event_us) / 1e6, 'nan'::DOUBLE) AS delay"
        # No value is the empty text: it stands for a prediction whose file had no such column.
        also += "".join(f", coalesce(slices[{place + 1}], '') AS s{place}" for place in range(len(slices)))
        # Parameters of the outer query come first.
        outcomes, columns = fetch_outcomes(
            self._tx.connection, self._pairs, self._params, self._manifest, also, classes=classes, levels=levels
        )
        return dataclasses.replace(outcomes, delay=columns["delay"]), columns

    def _values(self, name: str, texts: Any) -> tuple[list[str], Integers]:
        """(values told apart, the number of each row's value or -1): the values that are kept, then `(other)`."""
        texts = texts.astype(str)
        present = texts != ""
        unique, place, frequency = np.unique(texts[present], return_inverse=True, return_counts=True)
        incoming = [str(unique[at]) for at in np.argsort(-frequency, kind="stable")]
        if not incoming:
            return [], np.full(len(texts), -1, np.int64)
        reference = load_reference(self._tx.connection, self._model, self._version)
        feature = reference.by_name.get(name) if reference else None
        # The reference's categories are in order of frequency: they come before what a file happens to hold.
        first = feature.categories if feature else []
        held = set(incoming)
        ordered = [value for value in first if value in held] + incoming
        kept = kept_values(self._tx, self._model, self._version, name, list(dict.fromkeys(ordered)))
        values = [*sorted(kept), OTHER]
        number = {value: at for at, value in enumerate(values)}
        numbers = np.full(len(texts), -1, np.int64)
        numbers[present] = np.array([number.get(str(value), len(kept)) for value in unique], np.int64)[place]
        return values, numbers

    def _count(self, outcomes: Outcomes, groups: Integers, size: int) -> list[PerformanceCounts]:
        return performance.count_groups(self._manifest.task, self._manifest.threshold, outcomes, groups, size)

    def _insert(
        self, table: str, known: list[str], starts_us: Integers, counted: list[PerformanceCounts],
        base_seconds: int, arrival: str,
    ) -> None:  # fmt: skip
        with Incoming(self._tx, _table(starts_us, counted), _COUNTED):
            self._tx.execute(
                f"INSERT INTO {table} SELECT {', '.join('?' * len(known))}, make_timestamp(start_us), ?, labelled,"
                f" slots, counts, sums, ?, ? FROM {_COUNTED}",
                [*known, base_seconds, arrival, self._tx.now_db],
            )


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
