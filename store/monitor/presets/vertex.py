"""TFDV's distances with the thresholds of Vertex AI Model Monitoring, from counts."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from store.monitor.bins import FeatureBins, Floats, Integers
from store.monitor.presets.judging import Judged, Preset, judged, present
from store.monitor.presets.spread import Spread
from store.monitor.statistics import shares

#: What Vertex AI takes where only a feature's name is given (`gcloud ai model-monitoring-jobs create
#: --feature-thresholds`), and ML.VALIDATE_DATA_DRIFT where nothing is; TFDV itself has no default.
THRESHOLD = 0.3
#: Buckets of a standard histogram, each data set's own between its least and its largest value.
BUCKETS = 10


class Vertex(Preset):
    """Categorical: L∞, the largest change of a category's share, above 0.3. Numeric: Jensen-Shannon divergence
    (base 2, not its root) above 0.3, between the standard histograms of TFDV, ten equal-width buckets each,
    whose buckets are cut at all the edges of both, values evenly spread within (anomalies/metrics.cc).

    NaN counts as different from everything in the other data set, also its NaN; null is left out. A window has
    drifted when any feature is an anomaly.
    """

    name: ClassVar[str] = "vertex"
    title: ClassVar[str] = "TFDV / Vertex AI Model Monitoring"
    differences: ClassVar[tuple[str, ...]] = (
        "The buckets are filled from 128 quantile bins, within which values are taken as evenly spread; the range of "
        "a window's histogram is that of the bins in use.",
        "Values outside the reference's range are one bucket a side that the reference lacks. TFDV stretches the "
        "window's ten buckets to its extremes instead, so that one far outlier can be an anomaly; here it is not.",
        "New categories, and those past the reference's 200 most frequent, are one category to L∞, which is then "
        "an upper bound.",
        "Vertex AI samples requests; here every row counts.",
    )

    def feature(
        self, feature: FeatureBins, reference: Integers, current: Integers, _chunks: Integers | None
    ) -> list[Judged]:
        statistic = "linf" if feature.kind == "categorical" else "js_divergence"
        before, after = present(feature, reference), present(feature, current)
        if feature.kind == "categorical":
            values = shares.linf(before[None, :], after)
        else:
            spread = Spread(feature, reference)
            values = np.array([self._divergence(feature, spread, reference, row) for row in current])
        return [judged(feature.name, statistic, values, THRESHOLD, values > THRESHOLD)]

    def _divergence(self, feature: FeatureBins, spread: Spread, reference: Integers, current: Integers) -> float:
        """Jensen-Shannon divergence of one window (slots,)."""
        nan_slot = feature.null_slot + 1
        inner = slice(1, feature.bins + 1)
        mine = _standard(spread, reference[inner])
        theirs = _standard(spread, current[inner])
        edges = np.union1d(mine, theirs)
        before, after = (
            _spread_out(spread, reference[inner], mine, edges),
            _spread_out(spread, current[inner], theirs, edges),
        )
        # Below and above the range; then NaN, in buckets of their own on either side.
        outside = [0.0, 0.0, float(reference[nan_slot]), 0.0]
        off = [float(current[0]), float(current[feature.bins + 1]), 0.0, float(current[nan_slot])]
        return float(
            shares.js_divergence(np.concatenate([before, outside])[None, :], np.concatenate([after, off])[None, :])[0]
        )


def _standard(spread: Spread, counts: Integers) -> Floats:
    """Edges of the ten buckets over the values that `counts` (bins,) hold."""
    used = np.flatnonzero(counts)
    if not len(used):
        return np.array([spread.low, spread.high])
    if spread.points is not None:
        low, high = float(spread.points[used[0]]), float(spread.points[used[-1]])
    else:
        low, high = float(spread.edges[used[0]]), float(spread.edges[used[-1] + 1])
    return np.linspace(low, high, BUCKETS + 1) if high > low else np.array([low, high])


def _spread_out(spread: Spread, counts: Integers, buckets: Floats, edges: Floats) -> Floats:
    """Counts of the data set's own `buckets`, evenly spread over the finer `edges`; a constant is a bucket itself."""
    if buckets[0] == buckets[-1]:
        found = np.zeros(len(edges))
        found[min(int(np.searchsorted(edges, buckets[0])), len(edges) - 1)] = counts.sum()
        return found
    held = counts @ spread.onto(buckets)
    # Every edge of `buckets` is among `edges`: each fine bucket lies in one of them.
    middles = (edges[:-1] + edges[1:]) / 2
    place = np.searchsorted(buckets, middles) - 1
    inside = (place >= 0) & (place < len(held))
    found = np.zeros(len(edges))
    place = np.clip(place, 0, len(held) - 1)
    found[:-1] = np.where(inside, held[place] * np.diff(edges) / np.diff(buckets)[place], 0.0)
    return found
