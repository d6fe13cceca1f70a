"""p-values of the tests that the peers use: counts of the reference (1 × bins), of the windows (windows × bins)."""

from __future__ import annotations

import math

import numpy as np

from store.monitor.bins import Floats
from store.monitor.statistics import ordered
from store.monitor.statistics.tails import chi_square_tail, kolmogorov_tail, normal_tail

#: What is added to √(nm/(n+m))·D, on average, because D is looked for at the edges only: 0.5826 √(1/bins) times the
#: standard deviation of the bridge (Broadie, Glasserman & Kou 1997, Mathematical Finance 7).
_OVERSHOOT = 0.5826


def smirnov_p(before: Floats, after: Floats, exact: bool = False) -> Floats:
    """p-value of the two-sample Kolmogorov-Smirnov test on the values that these counts stand for.

    The tail is Kolmogorov's with Stephens' correction for small samples (1970, JRSS B 32), within 0.01 of scipy's
    exact one. `exact` says that values are known one by one, so that nothing is overlooked between edges.
    """
    n, m = before.sum(axis=-1), after.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(n * m / (n + m))
        found = ordered.ks(before, after) * (root + 0.12 + 0.11 / root)
    if not exact:
        found = found + _OVERSHOOT / math.sqrt(max(1, before.shape[-1] - 2)) * (found > 0)
    return np.where((n > 0) & (m > 0), kolmogorov_tail(found), np.nan)


def goodness_p(before: Floats, after: Floats) -> Floats:
    """p-value of χ² of the window against the reference's shares taken as exact (scipy's `chisquare`).

    A category that the reference lacks makes it 0.
    """
    n, m = before.sum(axis=-1, keepdims=True), after.sum(axis=-1, keepdims=True)
    used = (before + after) > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = before * (m / n)
        terms = np.where(used, (after - expected) ** 2 / expected, 0.0)
    statistic = terms.sum(axis=-1)
    freedom = used.sum(axis=-1) - 1
    found = np.where(np.isinf(statistic), 0.0, chi_square_tail(statistic, np.maximum(freedom, 1)))
    found = np.where(freedom > 0, found, 1.0)
    return np.where((n[..., 0] > 0) & (m[..., 0] > 0), found, np.nan)


def proportion_p(before: Floats, after: Floats) -> Floats:
    """Two-sided p-value of the z-test of two proportions, where at most two categories occur; else NaN."""
    used = (before + after) > 0
    n, m = before.sum(axis=-1), after.sum(axis=-1)
    first = np.argmax(used, axis=-1)
    a = np.take_along_axis(np.broadcast_to(before, after.shape), first[:, None], axis=-1)[:, 0]
    b = np.take_along_axis(after, first[:, None], axis=-1)[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = (a + b) / (n + m)
        z = np.abs(a / n - b / m) / np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    found = np.where(used.sum(axis=-1) == 1, 1.0, np.minimum(1.0, 2 * normal_tail(z)))
    return np.where((used.sum(axis=-1) <= 2) & (n > 0) & (m > 0), found, np.nan)
