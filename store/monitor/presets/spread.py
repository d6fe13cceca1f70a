"""Where within their bins the values of a numeric feature lie: what peers that see the values themselves need.

A bin of one distinct value is that value. In other bins values are taken as evenly spread, but in the first and the
last, whose far ends are the extremes of the reference: there the density falls off exponentially from the inside.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from store.monitor.bins import FeatureBins, Floats, Integers, distinct_values

#: Quantiles by which a bin's values stand for its moments.
_NODES = 16
#: The curve of an outer bin is followed at so many places.
_STEPS = 32
#: Fewer bins than this say nothing about tails.
_TAIL_BINS = 16


class Moments(NamedTuple):
    """Mean, standard deviation (of the population) and skewness."""

    mean: float
    deviation: float
    skewness: float


class Spread:
    """The values of one numeric feature by bin, as its reference's counts (slots,) suggest them.

    `points` are the distinct values themselves where there are no more than bins, else null. Counts below and
    above the reference's range have no place in it and are left to the caller.
    """

    def __init__(self, feature: FeatureBins, reference: Integers) -> None:
        self.edges: Floats = np.asarray(feature.edges, np.float64)
        self.low, self.high = float(self.edges[0]), float(self.edges[-1])
        self.points = distinct_values(self.edges)
        self._rates = (0.0, 0.0)
        held = reference[1 : feature.bins + 1].astype(np.float64)
        if self.points is None and feature.bins >= _TAIL_BINS:
            self._rates = (self._rate(held, 0, 1), self._rate(held, -1, -2))

    def below(self, at: Floats) -> Floats:
        """Share of each bin's values that lie below each of `at` (bins × at)."""
        if self.points is not None:
            return (self.points[:, None] < at[None, :]).astype(np.float64)
        starts, widths = self.edges[:-1, None], np.diff(self.edges)[:, None]
        found: Floats = np.clip((at[None, :] - starts) / widths, 0.0, 1.0)
        left, right = self._rates
        if left > 0:
            found[0] = 1 - _fallen(1 - found[0], left)
        if right > 0:
            found[-1] = _fallen(found[-1], right)
        return found

    def onto(self, edges: Floats) -> Floats:
        """Share of each bin's values in each of the bins between `edges` (ascending; the last is closed)."""
        found = self.below(edges)
        inside: Floats = np.diff(found, axis=1)
        if self.points is not None:
            inside[:, -1] += self.points == edges[-1]
        return inside

    def moments(self, counts: Integers) -> Moments:
        """Of the values that `counts` (bins,) of these bins hold."""
        places = self._places
        weights = np.repeat(counts.astype(np.float64) / places.shape[1], places.shape[1])
        flat = places.ravel()
        mean = float(np.average(flat, weights=weights))
        away = flat - mean
        deviation = float(np.sqrt(np.average(away**2, weights=weights)))
        skewness = float(np.average(away**3, weights=weights)) / deviation**3 if deviation > 0 else 0.0
        return Moments(mean, deviation, skewness)

    def wasserstein(self, before: Floats, after: Floats) -> Floats:
        """Wasserstein-1 distance (windows,) of shares `before` (slots,) and `after` (windows × slots): below, the
        bins, above. What lies outside the range counts at its end, so that the distance is a lower bound there.
        """
        away = after - before
        inner = away[:, 1:-1]
        if self.points is not None:
            # Between neighbouring values the distribution functions are level.
            level = np.cumsum(away[:, :-1], axis=1)[:, 1:-1]
            found: Floats = np.abs(level) @ np.diff(self.points)
            return found
        # Of the distribution functions: their gap at every edge, and along the curves of the outer bins.
        gaps = np.cumsum(away[:, :-1], axis=1)
        steps = np.arange(_STEPS + 1) / _STEPS
        left, right = self._rates
        first = 1 - _fallen(1 - steps, left) if left > 0 else steps
        last = _fallen(steps, right) if right > 0 else steps
        widths = np.diff(self.edges)
        even = np.full(_STEPS, 1 / _STEPS)
        return np.asarray(
            _area(gaps[:, :1] + inner[:, :1] * first, even * widths[0])
            + _area(gaps[:, 1:-1], widths[1:-1])
            + _area(gaps[:, -2:-1] + inner[:, -1:] * last, even * widths[-1]),
            np.float64,
        )

    @functools.cached_property
    def _places(self) -> Floats:
        if self.points is not None:
            return self.points[:, None]
        at = (np.arange(_NODES) + 0.5) / _NODES
        found = self.edges[:-1, None] + np.diff(self.edges)[:, None] * at[None, :]
        left, right = self._rates
        if left > 0:
            found[0] = self.edges[1] - (self.edges[1] - self.edges[0]) * _reached(1 - at, left)
        if right > 0:
            found[-1] = self.edges[-2] + (self.edges[-1] - self.edges[-2]) * _reached(at, right)
        return np.asarray(found, np.float64)

    def _rate(self, held: Floats, outer: int, inner: int) -> float:
        """The rate, per width of the outer bin, of an exponential that begins as dense as its neighbour is."""
        widths = np.diff(self.edges)
        if held[outer] <= 0 or held[inner] <= 0:
            return 0.0
        # Density at the inner end, were the bin of width 1 and its mass 1.
        wanted = float(held[inner] / widths[inner] * widths[outer] / held[outer])
        if wanted <= 1.0:
            return 0.0
        low, high = 0.0, 2 * wanted + 50.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if middle < wanted * -np.expm1(-middle) else (low, middle)
        return low


def _fallen(part: Floats, rate: float) -> Floats:
    """Share of an exponential cut off at 1 that lies below `part`."""
    return np.asarray(np.expm1(-rate * part) / np.expm1(-rate), np.float64)


def _reached(share: Floats, rate: float) -> Floats:
    """The inverse of `_fallen`."""
    return np.asarray(-np.log1p(share * np.expm1(-rate)) / rate, np.float64)


def _area(gaps: Floats, widths: Floats) -> Floats:
    """∫ |gap| over steps of `widths` between which the gap (windows × places) is linear."""
    left, right = gaps[:, :-1], gaps[:, 1:]
    size = np.abs(left) + np.abs(right)
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = np.where(size > 0, (left**2 + right**2) / size / 2, 0.0)
    found: Floats = np.where(left * right >= 0, size / 2, crossing) @ widths
    return found
