"""Label drift: the labels of each window against the reference's, from the counts that performance keeps anyway.

A window's labels are those of the predictions made in it, whenever they came; which of a window's labels have come
is the frontier's matter. Of a classifier they are one more categorical feature, called `label`; of a regression
only their mean and spread are kept.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import duckdb
import numpy as np

from store.catalog.manifest import ModelManifest
from store.monitor import outcomes, presets, statistics
from store.monitor.bins import LABEL, FeatureBins, Floats, Integers, canonical
from store.monitor.profile import Binned
from store.monitor.realised import PerformanceSums
from store.monitor.reference import Reference, manifest_of
from store.monitor.slices import classes
from store.monitor.statistics import FeatureVerdict
from store.monitor.statistics.tails import NORMAL_95_TWO_SIDED, normal_tail
from store.monitor.statistics.verdicts import Reason
from store.settings import MonitorSettings

_CHANGES = ("mean_change", "spread_change")
_WHY = "of the labels of a regression only mean_change and spread_change are known"


class Labels(Binned):
    """The reference's labels of a classifier, binned as the one categorical feature `label`."""

    def __init__(self, manifest: ModelManifest, names: Sequence[str], performance: Integers) -> None:
        self._task: outcomes.Task = manifest.task
        if manifest.task == "binary":
            positive = canonical(manifest.positive, letters=True)
            names = [positive, f"not {positive}"]
        self._named = len(names)
        self.features = (FeatureBins(LABEL, "categorical", 0, categories=list(names)),)
        (slots,) = np.nonzero(performance)
        self.counts = self.windows(np.zeros(len(slots), np.int64), slots, performance[slots], 1)[0]

    def windows(self, places: Integers, slots: Integers, counts: Integers, number: int) -> Integers:
        """Labels by class (windows × width) from entries of performance counts, of window `places[i]` each."""
        kinds = np.full(len(slots), -1, np.int64)
        if self._task == "binary":
            kinds[np.isin(slots, (outcomes.TRUE_POSITIVE, outcomes.FALSE_NEGATIVE))] = 0
            kinds[np.isin(slots, (outcomes.TRUE_NEGATIVE, outcomes.FALSE_POSITIVE))] = 1
        else:
            confused = (slots >= outcomes.CONFUSION) & (slots < outcomes.DELAYS)
            kinds[confused] = np.minimum((slots[confused] - outcomes.CONFUSION) // outcomes.CLASSES, self._named)
        found = np.zeros((number, self._named + 2), np.int64)
        known = kinds >= 0
        np.add.at(found, (places[known], kinds[known]), counts[known])
        # A label that was taken back before its correction is known, as of a moment between.
        return np.maximum(found, 0)


@dataclasses.dataclass(frozen=True)
class Targets:
    """The labels of a regression: rows, mean and standard deviation (windows,)."""

    rows: Floats
    mean: Floats
    deviation: Floats

    @classmethod
    def of(cls, rows: Sequence[int], sums: Sequence[Floats]) -> Targets:
        n = np.array(rows, np.float64)
        total, squares = (
            np.array([part[entry] for part in sums], np.float64) for entry in (outcomes.TARGET, outcomes.TARGET_SQUARED)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = total / n
            return cls(n, mean, np.sqrt(np.maximum(squares / n - mean * mean, 0.0)))


def labels_of(connection: duckdb.DuckDBPyConnection, reference: Reference) -> Labels | None:
    """The reference's labels; null where it holds none, of a regression, and where a feature has their name."""
    manifest = manifest_of(connection, reference.model, reference.version)
    if LABEL in reference.by_name or manifest.task == "regression" or not len(reference.performance.slots):
        return None
    names = classes(connection, reference.model, reference.version) if manifest.task == "multiclass" else []
    found = Labels(manifest, names, reference.performance.dense())
    return found if found.counts.any() else None


def labelled(held: Labels, sums: PerformanceSums, version: str, starts: Sequence[int]) -> Integers:
    """The labels of one version in the windows that start at `starts`, ascending (windows × width)."""
    if version not in sums.names or not starts:
        return np.zeros((len(starts), held.width), np.int64)
    wanted = np.asarray(starts, np.int64)
    at = np.minimum(np.searchsorted(wanted, sums.starts), len(wanted) - 1)
    mine = (sums.versions == sums.names.index(version)) & (wanted[at] == sums.starts)
    return held.windows(at[mine], sums.slots[mine], sums.counts[mine], len(starts))


@dataclasses.dataclass(frozen=True)
class LabelVerdict:
    """The verdict on the labels of the window that starts at `start`, against so many of the reference's."""

    start: int
    reference_rows: int
    found: FeatureVerdict


def verdicts(
    connection: duckdb.DuckDBPyConnection,
    reference: Reference,
    sums: PerformanceSums,
    starts: Sequence[int],
    name: str,
    settings: MonitorSettings,
) -> list[LabelVerdict]:
    """A verdict on the labels of each window that has any, by the statistic or preset `name`; none without labels of
    the reference.

    They are judged for themselves, at the level of a window: they come later than what the features are judged by.
    """
    starts = [start for start in starts if sums.labelled.get((start, reference.version), 0) > 0]
    if not starts:
        return []
    held = labels_of(connection, reference)
    if held is not None:
        current = labelled(held, sums, reference.version, starts)
        if name in presets.NAMES:
            judged = presets.verdicts(presets.named(name), held, current)
        else:
            judged = statistics.verdicts(held, current, settings, name, watch=False, fallback=False)
        rows = int(held.counts.sum())
        return [LabelVerdict(start, rows, row[0]) for start, row in zip(starts, judged, strict=True)]
    if not _of_regression(connection, reference) or name in presets.NAMES:
        return []
    rows = int(reference.performance.dense()[outcomes.LABELLED])
    before = Targets.of([rows], [reference.performance.sums])
    after = Targets.of(
        [sums.labelled[start, reference.version] for start in starts],
        [sums.sums[start, reference.version] for start in starts],
    )
    found = _of_targets(before, after, name, settings)
    return [LabelVerdict(start, rows, one) for start, one in zip(starts, found, strict=True)]


def _of_regression(connection: duckdb.DuckDBPyConnection, reference: Reference) -> bool:
    task = manifest_of(connection, reference.model, reference.version).task
    return task == "regression" and LABEL not in reference.by_name and bool(len(reference.performance.slots))


def _reason(name: str, tested: bool, before: float, rows: float, least: int) -> Reason:
    """Why the labels of a window were not judged by this statistic; "" where they were."""
    if name not in _CHANGES:
        return "not_for_kind"
    if not tested:
        return "no_value"
    return "few_reference_rows" if before < least else "few_rows" if rows < least else ""


def _of_targets(before: Targets, after: Targets, name: str, settings: MonitorSettings) -> list[FeatureVerdict]:
    """Change of mean (Welch's test) and spread, in standard deviations of the reference; signed."""
    warn, critical = statistics.thresholds(name, settings)
    n, mean, deviation = (float(part[0]) for part in (before.rows, before.mean, before.deviation))
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(1 / n + 1 / after.rows)
        # Of few labels the spread is hardly known: not less than the reference's.
        few = np.minimum(after.rows, n) < settings.min_rows
        spread = np.where(few, np.maximum(after.deviation, deviation), after.deviation)
        error = np.sqrt(deviation**2 / n + spread**2 / after.rows)
        p = np.minimum(1.0, 2 * normal_tail(np.abs(after.mean - mean) / error))
        values = (after.mean - mean) / deviation if name == "mean_change" else after.deviation / deviation - 1
    found = []
    for place, rows in enumerate(after.rows.tolist()):
        value, noise, chance = float(values[place]), NORMAL_95_TWO_SIDED * float(root[place]), float(p[place])
        known = name in _CHANGES and math.isfinite(value)
        # The spread has no test of its own here: what is known of its distribution is its first two moments.
        tested = known and name == "mean_change" and math.isfinite(chance)
        over = abs(value) - noise if known else 0.0
        level = statistics.FEW_ROWS_LEVEL if few[place] else statistics.WINDOW_LEVEL
        alarm = tested and over > warn and chance <= level
        found.append(
            FeatureVerdict(
                feature=LABEL,
                statistic=name,
                value=value if known else None,
                noise_floor=noise if tested else None,
                threshold=warn,
                p_value=chance if tested else None,
                q_value=chance if tested else None,
                alarm=alarm,
                guarantee="window" if alarm else "",
                severity="" if not alarm else "critical" if over > critical else "warning",
                rows=int(rows),
                why="" if known else _WHY if name not in _CHANGES else "the reference's labels do not vary",
                reason="" if alarm else _reason(name, tested, n, rows, settings.min_rows),
            )
        )
    return found
