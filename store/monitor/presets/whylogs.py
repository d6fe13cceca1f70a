"""whylogs 1's drift scores (`calculate_drift_scores`) with their defaults, from counts."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from store.monitor.bins import FeatureBins, Floats, Integers
from store.monitor.presets.judging import Judged, Preset, judged, present
from store.monitor.presets.p_values import smirnov_p
from store.monitor.presets.spread import Spread
from store.monitor.statistics.tails import chi_square_tail

#: Categories DRIFT below 0.05, POSSIBLE_DRIFT below 0.15, NO_DRIFT.
THRESHOLD = 0.05


class WhyLogs(Preset):
    """Numbers: Kolmogorov-Smirnov, p < 0.05. Texts: χ² of the frequent items, p < 0.05, with the reference's shares
    cut to whole numbers of the window's rows, as whylogs has it: an item of which fewer than one would be expected
    makes p zero (whylogs.viz.drift.column_drift_algorithms).

    whylogs gives categories to columns, DRIFT, POSSIBLE_DRIFT (p < 0.15) and NO_DRIFT; DRIFT counts as drifted here.
    It has none for the data set: a window has drifted when any column has.
    """

    name: ClassVar[str] = "whylogs"
    title: ClassVar[str] = "whylogs 1, drift scores"
    differences: ClassVar[tuple[str, ...]] = (
        "whylogs reads its distribution functions off KLL sketches, whose ranks err by about 1 %; with more than some "
        "10,000 rows on both sides that alone moves its p-values to zero. Here they come from exact counts in 128 "
        "bins, up to 1/128 too small, which the p-value allows for on average.",
        "Counts of frequent items are exact here; whylogs keeps some 100 items and estimates distinct ones.",
        "whylogs has no verdict on a data set.",
    )

    def feature(
        self, feature: FeatureBins, reference: Integers, current: Integers, _chunks: Integers | None
    ) -> list[Judged]:
        statistic = "chi2_p" if feature.kind == "categorical" else "ks_p"
        before, after = present(feature, reference)[None, :], present(feature, current)
        if feature.kind == "categorical":
            # Its totals count missing values too.
            values = frequent_items_p(before, after, float(reference.sum()), current.sum(axis=1).astype(np.float64))
        else:
            values = smirnov_p(before, after, exact=Spread(feature, reference).points is not None)
        return [judged(feature.name, statistic, values, THRESHOLD, values < THRESHOLD)]


def frequent_items_p(before: Floats, after: Floats, rows: float, window_rows: Floats) -> Floats:
    """p-values (windows,) of whylogs' χ² of items (1 × items, windows × items) out of so many rows with nulls."""
    used = (before + after) > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.floor(before / rows * window_rows[:, None])
        terms = np.where(used, (after - expected) ** 2 / expected, 0.0)
    impossible = (used & (expected == 0)).any(axis=-1)
    statistic = np.where(impossible, np.inf, np.where(np.isfinite(terms), terms, 0.0).sum(axis=-1))
    freedom = np.maximum((after > 0).sum(axis=-1) - 1, 1)
    found = np.where(impossible, 0.0, chi_square_tail(np.where(impossible, 0.0, statistic), freedom))
    return np.where(after.sum(axis=-1) > 0, found, np.nan)
