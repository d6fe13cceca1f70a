"""NannyML 0.13's UnivariateDriftCalculator with its defaults, from counts."""

from __future__ import annotations

import functools
import math
import zlib
from typing import ClassVar

import numpy as np

from store.monitor.bins import FeatureBins, Floats, Integers
from store.monitor.presets.judging import Judged, Preset, judged, present
from store.monitor.presets.spread import Spread
from store.monitor.statistics import shares

#: The reference is cut into so many chunks of equal size; rows that remain are one more (`DefaultChunker`).
CHUNKS = 10
#: A chunk is alerted when it lies above the mean of the reference's chunks by so many of their standard deviations.
DEVIATIONS = 3.0

#: How often the reference is dealt into chunks where they are not known, and the seed of it.
_DEALS, _SEED = 40, 20_240_601


class NannyML(Preset):
    """Jensen-Shannon distance, base 2, missing values left out (nannyml.drift.univariate.methods).

    Categorical columns by category; numbers in equal-width bins of the reference, as many as Doane's rule says;
    what the reference does not hold (new categories, values outside its range) is one more bin. The threshold is
    learnt, column by column: the mean of the distance over the ten chunks of the reference and three standard
    deviations. NannyML alerts on columns and chunks; a window has drifted here when any column alerts.
    """

    name: ClassVar[str] = "nannyml"
    title: ClassVar[str] = "NannyML 0.13, UnivariateDriftCalculator"
    differences: ClassVar[tuple[str, ...]] = (
        "The window is the chunk; NannyML cuts what it is given into ten unless told of periods.",
        "The threshold comes from the reference's rows in the order of its file, cut into ten. Where no such chunks "
        "were kept, the rows are dealt into ten at random (seeded), which shows no change over time: that "
        "threshold is lower, and real data with weather or seasons alert more often than in NannyML.",
        "Doane's bins are filled from 128 quantile bins: where a quantile bin spans several of them, its rows are "
        "dealt to them by chance (seeded by the counts). On 400 rows a distance differs by up to 0.05.",
        "Columns with over 200 categories in the reference are compared on these and all others as one.",
        "NannyML has no verdict on a chunk as a whole.",
    )

    def feature(
        self, feature: FeatureBins, reference: Integers, current: Integers, chunks: Integers | None
    ) -> list[Judged]:
        onto = _bins(feature, reference)
        values = _distance(feature, onto, reference, current)
        if chunks is not None:
            threshold = limit(_distance(feature, onto, reference, chunks))
        else:
            threshold = _dealt(feature.kind, tuple(feature.edges), feature.missing_from, reference.tobytes())
        return [judged(feature.name, "js", values, threshold, values > threshold)]


def limit(distances: Floats) -> float:
    """The threshold that the distances (chunks,) of the reference's own chunks give."""
    known = distances[~np.isnan(distances)]
    return float(known.mean() + DEVIATIONS * known.std()) if len(known) else math.nan


def doane(spread: Spread, counts: Integers) -> Floats:
    """Equal-width edges over the range of the reference (numpy's `histogram_bin_edges(…, "doane")`)."""
    n = int(counts.sum())
    width = spread.high - spread.low
    if n < 3 or width <= 0:
        # Numpy gives a constant one bin of width 1 about it.
        return np.array([spread.low - 0.5, spread.high + 0.5] if width <= 0 else [spread.low, spread.high])
    error = math.sqrt(6.0 * (n - 2) / ((n + 1.0) * (n + 3)))
    skewness = abs(spread.moments(counts).skewness)
    wanted = 1.0 + math.log2(n) + math.log2(1.0 + skewness / error)
    return np.linspace(spread.low, spread.high, math.ceil(wanted) + 1)


def _bins(feature: FeatureBins, reference: Integers) -> Floats | None:
    """Share of each slot (below, bins, above) in each of NannyML's bins; null for categories, which stay."""
    if feature.kind == "categorical":
        return None
    spread = Spread(feature, reference)
    held = reference[1 : feature.bins + 1]
    inside = spread.onto(doane(spread, held))
    # One bin more for what lies outside the range.
    found = np.zeros((feature.bins + 2, inside.shape[1] + 1))
    found[1:-1, :-1] = inside
    found[[0, -1], -1] = 1.0
    return found


def _distance(feature: FeatureBins, onto: Floats | None, reference: Integers, current: Integers) -> Floats:
    before, after = present(feature, reference)[None, :], present(feature, current)
    if onto is None:
        return shares.js(before, after)
    if ((onto == 0) | (onto == 1)).all():
        return shares.js(before @ onto, after @ onto)
    return shares.js(before @ onto, np.array([_placed(onto, row) for row in after.astype(np.int64)]))


def _placed(onto: Floats, counts: Integers) -> Floats:
    """The rows of one window (slots,) in NannyML's bins, each in one by chance: shared out in parts, they would be
    less noisy than rows are, and every distance too small. The same counts always give the same places.
    """
    draw = np.random.default_rng(zlib.crc32(counts.tobytes()))
    used = np.flatnonzero(counts)
    found: Floats = draw.multinomial(counts[used], onto[used]).sum(axis=0).astype(np.float64)
    return found


@functools.lru_cache(2048)
def _dealt(kind: str, edges: tuple[float, ...], missing_from: int, counts: bytes) -> float:
    """The threshold of a reference whose rows are dealt into chunks by chance: the mean over many deals."""
    reference = np.frombuffer(counts, np.int64)
    feature = FeatureBins(
        "",
        "categorical" if kind == "categorical" else "numeric",
        0,
        list(edges),
        [""] * (missing_from - 1) if kind == "categorical" else [],
    )
    size = int(reference.sum()) // CHUNKS
    if not size:
        return math.nan
    onto = _bins(feature, reference)
    drawn = np.random.default_rng(_SEED).multivariate_hypergeometric(
        reference, size, size=_DEALS * CHUNKS, method="marginals"
    )
    distances = _distance(feature, onto, reference, drawn).reshape(_DEALS, CHUNKS)
    return float(np.mean([limit(deal) for deal in distances]))
