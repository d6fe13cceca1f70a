"""Evidently 0.7's DataDriftPreset with its defaults, from counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from store.monitor.bins import FeatureBins, Floats, Integers
from store.monitor.presets.judging import Flags, Judged, Preset, judged, present, values_of
from store.monitor.presets.p_values import goodness_p, proportion_p, smirnov_p
from store.monitor.presets.spread import Spread
from store.monitor.statistics import shares

#: References of at most so many rows are compared by tests, larger ones by distances.
SMALL = 1_000
#: Numbers of at most so many distinct values (reference and current together) are compared as categories.
FEW = 5
#: Integer columns of at most so many distinct values are categories (`INTEGER_CARDINALITY_LIMIT`).
INTEGER_CATEGORIES = 10
#: A text column with more distinct values than this share of its rows is free text.
TEXT = 0.5
P_THRESHOLD = 0.05
DISTANCE_THRESHOLD = 0.1
#: Wasserstein's distance is divided by the reference's standard deviation, but by no less than this.
LEAST_DEVIATION = 0.001
DRIFT_SHARE = 0.5

_NATS = math.sqrt(math.log(2))


class Evidently(Preset):
    """Which test is asked (evidently.legacy.calculations.stattests.registry, missing values left out):

    | reference | numeric | numeric, at most 5 distinct values | categorical |
    |---|---|---|---|
    | at most 1,000 rows | Kolmogorov-Smirnov, p ≤ 0.05 | χ², p < 0.05 (two values: z-test) | the same |
    | more | Wasserstein / standard deviation ≥ 0.1 | Jensen-Shannon ≥ 0.1 | Jensen-Shannon ≥ 0.1 |

    The Jensen-Shannon distance is in nats, as Evidently's: Quarterdeck's `js`, in bits, times √ln 2 = 0.83. A window
    has drifted when at least half of its columns have.
    """

    name: ClassVar[str] = "evidently"
    title: ClassVar[str] = "Evidently 0.7, DataDriftPreset"
    differences: ClassVar[tuple[str, ...]] = (
        "Kolmogorov-Smirnov and Wasserstein are computed from 128 quantile bins of the reference, not from the "
        "values: KS at the edges is up to 1/128 too small, and its p-value allows for that on average.",
        "Values outside the reference's range count as its nearest end: Wasserstein's distance is a lower bound there.",
        "Integer columns are known by their values: whole numbers, at most 10 of them, none missing. Whole numbers "
        "in a column of floats are taken for integers too.",
        "Free text (more than half of the values distinct) has no verdict; Evidently trains a classifier on it. "
        "Columns with over 200 categories in the reference are compared on these and all others as one.",
        "An empty column has no verdict; Evidently refuses the whole report.",
    )

    def feature(
        self, feature: FeatureBins, reference: Integers, current: Integers, _chunks: Integers | None
    ) -> list[Judged]:
        rows = values_of(feature, reference)
        before, after = present(feature, reference)[None, :], present(feature, current)
        if feature.kind == "categorical":
            texts = _free_text(feature, after)
            found = self._categories(feature, float(rows), before, after)
            if not texts.any():
                return [found]
            values = np.where(texts, np.nan, found.values)
            why = "free text: Evidently would train a classifier"
            return [judged(feature.name, found.statistic, values, found.thresholds, found.drifted, why)]
        spread = Spread(feature, reference)
        few = self._few(spread, reference, current, before, after)
        if few.all():
            return [self._categories(feature, float(rows), before, after)]
        if rows <= SMALL:
            values = smirnov_p(before, after, exact=spread.points is not None)
            statistic, threshold = "ks_p", P_THRESHOLD
            drifted = values <= threshold
        else:
            values = self._wasserstein(feature, spread, reference, before, after)
            statistic, threshold = "wasserstein", DISTANCE_THRESHOLD
            drifted = values >= threshold
        found = judged(feature.name, statistic, values, threshold, drifted)
        if not few.any():
            return [found]
        other = self._categories(feature, float(rows), before, after)
        return [
            judged(
                feature.name,
                np.where(few, other.statistic, found.statistic),
                np.where(few, other.values, found.values),
                np.where(few, other.thresholds, found.thresholds),
                np.where(few, other.drifted, found.drifted),
            )
        ]

    def dataset(self, every: Sequence[Judged], windows: int) -> Flags:
        decided = np.zeros(windows)
        drifted = np.zeros(windows)
        for part in every:
            decided += ~np.isnan(part.values)
            drifted += part.drifted
        return np.asarray((decided > 0) & (drifted >= DRIFT_SHARE * decided), bool)

    def _few(self, spread: Spread, reference: Integers, current: Integers, before: Floats, after: Floats) -> Flags:
        """Windows in which the column is a category, or is compared as one."""
        if spread.points is None:
            return np.zeros(len(after), bool)
        # What lies below and above the range is at least one value each.
        distinct = ((before + after) > 0).sum(axis=1)
        missing = reference[len(before[0]) :].sum() + current[:, len(before[0]) :].sum(axis=1)
        whole = bool((spread.points == np.round(spread.points)).all())
        integer = whole & (missing == 0) & ((after > 0).sum(axis=1) <= INTEGER_CATEGORIES)
        return np.asarray((distinct <= FEW) | integer, bool)

    def _wasserstein(
        self, feature: FeatureBins, spread: Spread, reference: Integers, before: Floats, after: Floats
    ) -> Floats:
        deviation = spread.moments(reference[1 : feature.bins + 1]).deviation
        with np.errstate(divide="ignore", invalid="ignore"):
            p, q = before / before.sum(axis=1, keepdims=True), after / after.sum(axis=1, keepdims=True)
        if len(spread.edges) < 2 or spread.low == spread.high:
            # Off a constant: by how much is not known, but that it is not it.
            return np.asarray(np.where(np.isnan(q[:, 0]), np.nan, np.where(q[:, 1] < 1, np.inf, 0.0)), np.float64)
        return spread.wasserstein(p[0], q) / max(deviation, LEAST_DEVIATION)

    def _categories(self, feature: FeatureBins, rows: float, before: Floats, after: Floats) -> Judged:
        if rows > SMALL:
            values = shares.js(before, after) * _NATS
            return judged(feature.name, "js_nats", values, DISTANCE_THRESHOLD, values >= DISTANCE_THRESHOLD)
        two = ((before + after) > 0).sum(axis=1) <= 2
        values = np.where(two, proportion_p(before, after), goodness_p(before, after))
        names = np.where(two, "z_p", "chi2_p")
        return judged(feature.name, names, values, P_THRESHOLD, values < P_THRESHOLD)


def _free_text(feature: FeatureBins, after: Floats) -> Flags:
    """Windows in which more than half of the values are distinct, as far as they are known by name."""
    distinct = (after[:, : feature.bins] > 0).sum(axis=1) + after[:, feature.bins]
    return np.asarray((after.sum(axis=1) > 0) & (distinct > TEXT * after.sum(axis=1)), bool)
