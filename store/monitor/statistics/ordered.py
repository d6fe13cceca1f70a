"""Distances that know the order of a numeric feature's bins: Kolmogorov-Smirnov, Wasserstein, change of mean …

Counts are those of the slots below, bins, above (… × bins + 2), reference and current broadcast against each other;
missing values take no part. A bin's values stand at its middle, what lies outside at the nearest edge. Null where
either side holds nothing.
"""

from __future__ import annotations

import math

import numpy as np

from store.monitor.bins import FeatureBins, Floats, Integers
from store.monitor.statistics.tails import kolmogorov_tail, normal_tail


def finite(feature: FeatureBins, counts: Integers) -> Floats:
    """The slots of finite values (… × bins + 2) of a numeric feature's counts (… × slots)."""
    return counts[..., : feature.missing_from].astype(np.float64)


def positions(feature: FeatureBins) -> Floats:
    """Where the values of each slot stand (bins + 2), ascending."""
    edges = np.asarray(feature.edges, np.float64)
    # Halved before the sum: edges may be near the largest float.
    return np.concatenate([edges[:1], edges[:-1] / 2 + edges[1:] / 2, edges[-1:]])


def unit(at: Floats) -> float:
    """A power of two to divide positions by where squares of them would be too large or too small for a number; 1 where
    they would not. What is measured in standard deviations of the reference is the same with any unit."""
    largest = float(np.abs(at).max())
    return 1.0 if largest == 0 or 1e-100 < largest < 1e100 else math.ldexp(1.0, math.frexp(largest)[1] - 1)


def _distributions(before: Floats, after: Floats) -> tuple[Floats, Floats]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return (
            np.cumsum(before, axis=-1) / before.sum(axis=-1, keepdims=True),
            np.cumsum(after, axis=-1) / after.sum(axis=-1, keepdims=True),
        )


def ks(before: Floats, after: Floats) -> Floats:
    """Kolmogorov-Smirnov: the largest distance of the distribution functions at the edges of the bins.

    Never above that of the values themselves (scipy's `ks_2samp`), and below it by less than the largest share of
    a bin: 1/bins, for bins that are quantiles.
    """
    f, g = _distributions(before, after)
    found: Floats = np.abs(f - g).max(axis=-1)
    return found


def ks_p(before: Floats, after: Floats) -> Floats:
    """p-value of `ks` by Kolmogorov's limit; on bins and small samples it errs on the side of no difference."""
    n, m = before.sum(axis=-1), after.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return kolmogorov_tail(ks(before, after) * np.sqrt(n * m / (n + m)))


def cvm(before: Floats, after: Floats) -> Floats:
    """Cramér-von Mises' two-sample T, n m / (n + m)² Σ (F − G)² over the pooled rows (Anderson 1962).

    F and G are taken at the upper edge of each row's bin; where a bin holds one row it is scipy's
    `cramervonmises_2samp`, whose mid-ranks grow with what shares a bin.
    """
    f, g = _distributions(before, after)
    n, m = before.sum(axis=-1), after.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = ((before + after) * (f - g) ** 2).sum(axis=-1) * (n * m / (n + m) ** 2)
    return found


def wasserstein(at: Floats, before: Floats, after: Floats) -> Floats:
    """Wasserstein-1 distance in standard deviations of the reference (scipy's `wasserstein_distance` over them)."""
    f, g = _distributions(before, after)
    found: Floats = (np.abs(f - g)[..., :-1] * np.diff(at)).sum(axis=-1) / deviation(at, before)
    return found


def mean(at: Floats, counts: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = (counts * at).sum(axis=-1) / counts.sum(axis=-1)
        return found


def deviation(at: Floats, counts: Floats) -> Floats:
    """Standard deviation (of the population, as numpy's)."""
    away = at - mean(at, counts)[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.sqrt((counts * away * away).sum(axis=-1) / counts.sum(axis=-1))
        return found


def quantile(edges: Floats, counts: Floats, level: float) -> Floats:
    """The value below which the share `level` lies, straight lines within bins (numpy's `interp`); … × (bins + 2)."""
    flat = counts.reshape(-1, counts.shape[-1])
    found = np.full(len(flat), np.nan)
    for place, row in enumerate(flat):
        total = row.sum()
        if total > 0:
            # All that lies below is at the first edge, all that lies above at the last.
            cumulative = np.cumsum(row[:-1])
            found[place] = np.interp(level * total, cumulative, edges)
    return found.reshape(counts.shape[:-1])


def mean_change(at: Floats, before: Floats, after: Floats) -> Floats:
    """Change of the mean in standard deviations of the reference; signed."""
    return (mean(at, after) - mean(at, before)) / deviation(at, before)


def mean_change_p(at: Floats, before: Floats, after: Floats) -> Floats:
    """Two-sided p-value of the change of the mean (Welch's statistic, normal tail)."""
    n, m = before.sum(axis=-1), after.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(deviation(at, before) ** 2 / n + deviation(at, after) ** 2 / m)
        z = np.abs(mean(at, after) - mean(at, before)) / error
    return np.minimum(1.0, 2 * normal_tail(z))


def median_change(edges: Floats, at: Floats, before: Floats, after: Floats) -> Floats:
    """Change of the median in standard deviations of the reference; signed."""
    return (quantile(edges, after, 0.5) - quantile(edges, before, 0.5)) / deviation(at, before)


def spread_change(at: Floats, before: Floats, after: Floats) -> Floats:
    """Standard deviation of the window over the reference's, less one: 0.5 is half as wide again; signed."""
    return deviation(at, after) / deviation(at, before) - 1
