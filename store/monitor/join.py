"""Labels meet their predictions, whichever came first: each pair adds to the window of the prediction, and there to
the whole and to each of its slices."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from store.catalog.manifest import ModelManifest
from store.database import Transaction
from store.monitor import deployments, keys, performance, scores
from store.monitor.bins import Integers
from store.monitor.incoming import INCOMING, Incoming, tagged
from store.monitor.performance import GroupedCounts, Outcomes
from store.monitor.reference import distinct_classes, fetch_outcomes, load_reference, manifest_of
from store.monitor.slices import MAX_VALUES, OTHER, add_classes, kept_values, slice_columns
from store.settings import MonitorSettings

_COUNTED = "monitor_counted"
_FOUND = "monitor_found"


@dataclasses.dataclass(frozen=True)
class Predicted:
    """What one version predicted in one file: `predictions` is an Arrow table as in `VersionPart`."""

    deployment: str
    version: str
    predictions: Any
    settings: MonitorSettings
    arrival: str


def join_predictions(tx: Transaction, parts: Sequence[Predicted]) -> list[int]:
    """Pair the predictions with labels that came before; returns how many of each part had one."""
    joined = [0] * len(parts)
    if not parts:
        return joined
    import pyarrow as pa

    keys.check(tx)
    together: Any = pa.concat_tables(
        [tagged(part.predictions, part=place, deployment=part.deployment) for place, part in enumerate(parts)],
        promote_options="permissive",
    )
    columns = together.column_names
    slices = "p.slices" if "slices" in columns else "NULL::VARCHAR[] AS slices"
    quantiles = "p.quantiles" if "quantiles" in columns else "NULL::MAP(USMALLINT, DOUBLE) AS quantiles"
    scale = "p.score_scale" if "score_scale" in columns else "NULL::UTINYINT AS score_scale"
    with Incoming(tx, together):
        places, pairs = _look_up(
            tx,
            "part",
            "SELECT p.part, 1 AS sign, p.score, l.label, p.prediction, l.value, p.event_us, l.first_us AS label_us,"
            f" {slices}, {quantiles}, {scale} FROM {INCOMING} AS p JOIN {known_labels(INCOMING)} AS l"
            " USING (deployment, prediction_id)",
        )
    for place in places:
        part = parts[place]
        joined[place] = _Pairs(tx, part.deployment, part.version, pairs, [place]).add(part.settings, part.arrival)
    tx.execute(f"DROP TABLE {_FOUND}")
    return joined


def known_labels(ids: str) -> str:
    """A relation (deployment, prediction_id, label, value, first_us) of the labels that count, of the ids in the
    relation `ids` and now and then another; `first_us` is when the id's first label came. It is as `keys.with_ids`."""
    return (
        "(SELECT deployment, prediction_id, arg_max(label, ordinal) AS label, arg_max(value, ordinal) AS value,"
        f" arg_min(epoch_us(label_at), ordinal) AS first_us FROM {keys.with_ids('monitor_label', ids)}"
        " GROUP BY deployment, prediction_id)"
    )


def join_labels(tx: Transaction, deployment: str, incoming: str, settings: MonitorSettings, arrival: str) -> int:
    """Pair the labels in `incoming` (prediction_id, sign, label, value, label_us) with the predictions they are for.

    A row with sign -1 takes back what the corrected label had added. Returns how many predictions got a label.
    """
    keys.check(tx)
    versions, pairs = _look_up(
        tx,
        "version",
        "SELECT p.version, i.sign, p.score, i.label, p.prediction, i.value, epoch_us(p.event_at) AS event_us,"
        f" i.label_us, p.slices, p.quantiles, p.score_scale FROM {keys.with_ids('monitor_prediction', incoming)} AS p"
        f" JOIN (SELECT ? AS deployment, * FROM {incoming}) AS i USING (deployment, prediction_id)",
        [deployment],
    )
    joined = sum(_Pairs(tx, deployment, version, pairs, [version]).add(settings, arrival) for version in versions)
    tx.execute(f"DROP TABLE {_FOUND}")
    return joined


def _look_up(tx: Transaction, key: str, pairs: str, params: Sequence[Any] = ()) -> tuple[list[Any], str]:
    """Look the pairs up once, however often they are read from there on: (the values of their column `key`, a query of
    the pairs of one value, which is its parameter)."""
    tx.execute(f"CREATE OR REPLACE TEMP TABLE {_FOUND} AS {pairs}", list(params))
    values = [row[0] for row in tx.execute(f"SELECT DISTINCT {key} FROM {_FOUND} ORDER BY 1").fetchall()]
    return values, f"SELECT * EXCLUDE ({key}) FROM {_FOUND} WHERE {key} = ?"


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
        self._insert("monitor_performance", known, _table(windows * base_us, counted), base_seconds, arrival)
        for place, name in enumerate(slices):
            values, numbers = self._values(name, columns[f"s{place}"])
            present = numbers >= 0
            cells, inside = np.unique(groups[present] * (MAX_VALUES + 2) + numbers[present], return_inverse=True)
            if len(cells):
                starts, held = np.divmod(cells, MAX_VALUES + 2)
                counted = self._count(outcomes.where(present), inside, len(cells))
                table = _table(windows[starts] * base_us, counted, [values[number] for number in held.tolist()])
                self._insert("monitor_performance_slice", [*known, name], table, base_seconds, arrival)
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
        also += f", coalesce(score_scale, {scores.Scale.UNMARKED:d})::BIGINT AS scale"
        # No value is the empty text: it stands for a prediction whose file had no such column.
        also += "".join(f", coalesce(slices[{place + 1}], '') AS s{place}" for place in range(len(slices)))
        # Parameters of the outer query come first.
        outcomes, columns = fetch_outcomes(
            self._tx.connection, self._pairs, self._params, self._manifest, also, classes=classes, levels=levels
        )
        return dataclasses.replace(outcomes, delay=columns["delay"], scale=columns["scale"]), columns

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

    def _count(self, outcomes: Outcomes, groups: Integers, size: int) -> GroupedCounts:
        return performance.count_groups(self._manifest.task, self._manifest.threshold, outcomes, groups, size)

    def _insert(self, table: str, known: list[str], counted: Any, base_seconds: int, arrival: str) -> None:
        value = ", value" if "value" in counted.column_names else ""
        with Incoming(self._tx, counted, _COUNTED):
            self._tx.execute(
                f"INSERT INTO {table} SELECT {', '.join('?' * len(known))}{value}, make_timestamp(start_us), ?,"
                f" labelled, slots, counts, sums, ?, ? FROM {_COUNTED}",
                [*known, base_seconds, arrival, self._tx.now_db],
            )


def _table(starts_us: Integers, counted: GroupedCounts, values: list[str] | None = None) -> Any:
    """A row a group: the window that it is of and, for a slice, its value."""
    import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]  # only where files arrive

    ends = pa.array(counted.ends)
    sums = pa.array(counted.sums.ravel())
    columns = {
        "start_us": starts_us,
        "labelled": counted.labelled(),
        "slots": pa.LargeListArray.from_arrays(ends, pa.array(counted.slots.astype(np.uint32))),
        "counts": pa.LargeListArray.from_arrays(ends, pa.array(counted.counts)),
        "sums": pa.FixedSizeListArray.from_arrays(sums, performance.SUMS),
    }
    return pa.table(columns if values is None else {"value": values, **columns})
