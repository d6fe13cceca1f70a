"""Moments by window: how many values a numeric feature had, their sum and that of their squares, and the extremes.

Sums are of deviations from `FeatureBins.centre`, which the reference fixes, so that squares keep their digits. They are
floats: there are many of them, and what the counts decide does not depend on them. A part's sums are a pure function of
its rows, and sums of parts are added from the smallest to the greatest: the order in which parts come does not matter.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from store.monitor.bins import FeatureBins, Floats, Integers
from store.monitor.moments import Moments

#: Rows that are summed at a time: their deviations and squares stay in the processor's cache.
CHUNK_ROWS = 131_072


@dataclasses.dataclass(frozen=True)
class Summary:
    """The finite values of one feature over any rows: `deviation` is that of the population (divided by `values`)."""

    values: int
    mean: float
    deviation: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class WindowMoments:
    """Arrays of windows × numeric features, in the order of the reference's features.

    `sums` (windows × features × 3) holds the number of finite values, Σ(x − centre) and Σ(x − centre)²; `lows` and
    `highs` the extremes (infinite and minus infinite where there is no value).
    """

    sums: Floats
    lows: Floats
    highs: Floats

    @classmethod
    def nothing(cls, windows: int, features: int) -> WindowMoments:
        shape = (windows, features)
        return cls(np.zeros((*shape, 3)), np.full(shape, math.inf), np.full(shape, -math.inf))

    def of(self, windows: Integers | np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> WindowMoments:
        """Those of some windows."""
        return WindowMoments(self.sums[windows], self.lows[windows], self.highs[windows])

    def summary(self, window: int, place: int, feature: FeatureBins) -> Summary | None:
        """The place-th numeric feature in a window; null where it had no finite value."""
        values, total, squares = (float(value) for value in self.sums[window, place])
        if not values:
            return None
        mean, square = total / values, squares / values
        with np.errstate(over="ignore", invalid="ignore"):
            spread = math.sqrt(max(0.0, square - mean * mean)) if math.isfinite(square) else math.inf
        return Summary(
            int(values),
            feature.centre + mean,
            spread,
            float(self.lows[window, place]),
            float(self.highs[window, place]),
        )


def numeric(features: Sequence[FeatureBins]) -> list[FeatureBins]:
    """Those that have moments, in the order in which they have them."""
    return [feature for feature in features if feature.kind != "categorical"]


def of_reference(features: Sequence[FeatureBins], moments: Mapping[str, Moments]) -> WindowMoments:
    """The exact moments of a reference as those of one window."""
    features = numeric(features)
    found = WindowMoments.nothing(1, len(features))
    for place, feature in enumerate(features):
        mine = moments.get(feature.name)
        if mine is None or not mine.values:
            continue
        away = mine.mean - feature.centre
        square = mine.deviation * mine.deviation + away * away
        found.sums[0, place] = mine.values, mine.values * away, mine.values * square
        found.lows[0, place], found.highs[0, place] = mine.low, mine.high
    return found


def added(parts: Sequence[WindowMoments], window: Integers, windows: int) -> WindowMoments:
    """The rows of all the parts, one after the other, added up by `window`, the place of each in the result."""
    sums = np.concatenate([part.sums for part in parts])
    lows = np.concatenate([part.lows for part in parts])
    highs = np.concatenate([part.highs for part in parts])
    found = WindowMoments.nothing(windows, sums.shape[1])
    order = np.argsort(window, kind="stable")
    begins = np.flatnonzero(np.r_[True, np.diff(window[order]) > 0])
    alone = np.diff(np.append(begins, len(order))) == 1
    single = order[begins[alone]]
    found.sums[window[single]] = sums[single]
    if not alone.all():
        for place in np.flatnonzero(~alone):
            end = begins[place + 1] if place + 1 < len(begins) else len(order)
            rows = order[begins[place] : end]
            with np.errstate(over="ignore", invalid="ignore"):
                found.sums[window[rows[0]]] = np.sort(sums[rows], axis=0).sum(axis=0)
    np.minimum.at(found.lows, window, lows)
    np.maximum.at(found.highs, window, highs)
    return found


class Summing:
    """Sums the rows of one part by window. `windows` (rows,) numbers each row's, from 0 to `size` - 1."""

    def __init__(self, windows: Integers, size: int, features: Sequence[FeatureBins]) -> None:
        self._features = numeric(features)
        self._places = {feature.name: place for place, feature in enumerate(self._features)}
        self._order: Integers | None = None
        if not (windows[1:] >= windows[:-1]).all():
            self._order = np.argsort(windows, kind="stable")
            windows = windows[self._order]
        self.found = WindowMoments.nothing(size, len(self._features))
        begins = np.r_[0, np.flatnonzero(windows[1:] != windows[:-1]) + 1] if size > 1 else np.zeros(1, np.int64)
        self._chunks = []
        for start in range(0, len(windows), CHUNK_ROWS):
            stop = min(start + CHUNK_ROWS, len(windows))
            inside = begins[np.searchsorted(begins, start, "right") : np.searchsorted(begins, stop)]
            cuts = np.r_[start, inside] - start
            self._chunks.append((slice(start, stop), cuts, windows[start + cuts], np.diff(np.r_[cuts, stop - start])))
        #: Written over and over: new memory would cost more than the sums.
        self._away = np.empty((1, min(CHUNK_ROWS, len(windows))))

    def add(self, features: Sequence[FeatureBins], values: Sequence[Floats]) -> None:
        """Values of some features (each (rows,), NaN where there is none)."""
        if not features:
            return
        first = self._places[features[0].name]
        places: slice | Integers = slice(first, first + 1)
        centres = np.array([[feature.centre] for feature in features])
        together = values[0][None, :]
        if len(values) > 1:
            places = np.array([self._places[feature.name] for feature in features])
            together = np.stack(values)
        if len(self._away) != len(values):
            self._away = np.empty((len(values), self._away.shape[1]))
        if self._order is not None:
            together = together[:, self._order]
        sums, lows, highs = self.found.sums[:, places], self.found.lows[:, places], self.found.highs[:, places]
        with np.errstate(over="ignore", invalid="ignore"):
            for rows, cuts, windows, lengths in self._chunks:
                chunk = together[:, rows]
                found = _sums(chunk, centres, cuts, lengths, self._away[:, : chunk.shape[1]])
                for place in range(3):
                    sums[windows, :, place] += found[place]
                # Minus zero and zero are equal, and which one a minimum gives depends on the order.
                lows[windows] = np.minimum(lows[windows], found[3] + 0.0)
                highs[windows] = np.maximum(highs[windows], found[4] + 0.0)
        self.found.sums[:, places], self.found.lows[:, places], self.found.highs[:, places] = sums, lows, highs


_Reduced = tuple[Floats, Floats, Floats, Floats, Floats]


def _sums(values: Floats, centres: Floats, cuts: Integers, lengths: Integers, away: Floats) -> _Reduced:
    """(values, sums, squares, lows, highs), windows × features each, of features × rows that are sorted by window;
    each window begins at one of `cuts`. `away` is written over."""
    np.subtract(values, centres, out=away)
    totals = _reduced(np.add, away, cuts)
    if not np.isfinite(totals).all():
        # Something is missing or infinite, or lies so far away that its sum is.
        finite = np.isfinite(values)
        return (
            _reduced(np.add, finite.astype(np.float64), cuts),
            _reduced(np.add, np.where(finite, away, 0.0), cuts),
            _reduced(np.add, np.where(finite, away * away, 0.0), cuts),
            _reduced(np.minimum, np.where(finite, values, math.inf), cuts),
            _reduced(np.maximum, np.where(finite, values, -math.inf), cuts),
        )
    np.multiply(away, away, out=away)
    squares = _reduced(np.add, away, cuts)
    lows, highs = _reduced(np.minimum, values, cuts), _reduced(np.maximum, values, cuts)
    return lengths[:, None].astype(np.float64), totals, squares, lows, highs


def _reduced(how: np.ufunc, values: Floats, cuts: Integers) -> Floats:
    """(windows × features) from features × rows."""
    if len(cuts) == 1:
        whole: Floats = how.reduce(values, axis=1)[None, :]
        return whole
    found: Floats = how.reduceat(values, cuts, axis=1).T
    return found
