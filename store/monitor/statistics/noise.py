"""Noise floors: what a statistic stays below 95 times in 100 when both samples are of one distribution.

All by formula, in the limit of bins that hold some rows each; s = 1/n + 1/m for n rows of the reference and m of the
window. Shares of the null distribution are the reference's.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from store.monitor.bins import Floats
from store.monitor.statistics.tails import NORMAL_95_TWO_SIDED, chi_square_quantile, gamma_quantile, normal_tail
from store.monitor.statistics.values import NOISE_LEVEL

_Z_95 = 1.6448536269514722


def spread(n: float, m: Floats) -> Floats:
    """1/n + 1/m; NaN where either is nothing: what is made of it is NaN then too, never infinite."""
    found: Floats = 1 / np.where(n > 0, np.float64(n), np.nan) + 1 / np.where(m > 0, m, np.nan)
    return found


def chi_square(used: Floats) -> Floats:
    """The 95 % point of χ² with `used` − 1 degrees of freedom, for each window.

    PSI ≈ s χ² (Yurdakul & Naranjo 2020), and with it KL ≈ s χ² / 2, squared Hellinger ≈ s χ² / 8 and the
    Jensen-Shannon divergence ≈ s χ² / (8 ln 2): all are the same quadratic form near p = q.
    """
    numbers = {int(number): chi_square_quantile(int(number) - 1, NOISE_LEVEL) for number in np.unique(used)}
    return np.array([numbers[int(number)] for number in used], np.float64)


def _once(formula: Callable[..., float]) -> Callable[..., float]:
    """The formula of arrays that only the reference decides: worked out once for each, not once for each window."""

    @functools.lru_cache(maxsize=2_048)
    def found(*given: bytes) -> float:
        return formula(*(np.frombuffer(one, np.float64) for one in given))

    @functools.wraps(formula)
    def asked(*given: Floats) -> float:
        return found(*(np.asarray(one, np.float64).tobytes() for one in given))

    return asked


@_once
def total_variation(shares: Floats) -> float:
    """The 95 % point of ½ Σ |q − p| over √s, from mean and variance of the sum of dependent normals, as a gamma."""
    deviations = np.sqrt(shares * (1 - shares))
    covariance = np.diag(shares) - np.outer(shares, shares)
    return _folded(deviations, covariance, np.full(len(shares), 0.5))


@_once
def wasserstein(shares: Floats, gaps: Floats) -> float:
    """The 95 % point of ∫ |G − F| over √s: F (1 − F) is the variance of the Brownian bridge at an edge.

    `shares` (k) of the slots in order, `gaps` (k − 1) between their positions.
    """
    below = np.clip(np.cumsum(shares)[:-1], 0.0, 1.0)
    covariance = np.minimum.outer(below, below) - np.outer(below, below)
    return _folded(np.sqrt(below * (1 - below)), covariance, gaps)


def _folded(deviations: Floats, covariance: Floats, weights: Floats) -> float:
    """95 % point of Σ w |Z| for normals Z with this covariance, by a gamma of the same mean and variance."""
    used = (deviations > 0) & (weights > 0)
    deviations, weights = deviations[used], weights[used]
    if not len(deviations):
        return 0.0
    product = np.outer(deviations, deviations)
    correlation = np.clip(covariance[np.ix_(used, used)] / product, -1.0, 1.0)
    # E |X| |Y| of a bivariate normal.
    both = (2 / math.pi) * (np.sqrt(1 - correlation**2) + correlation * np.arcsin(correlation)) * product
    scale = float(weights.max())
    unit = weights / scale
    mean = float((unit * deviations).sum()) * math.sqrt(2 / math.pi)
    variance = max(float(unit @ both @ unit) - mean * mean, 1e-12 * mean * mean)
    return scale * gamma_quantile(mean * mean / variance, NOISE_LEVEL) * variance / mean


@_once
def largest_change(shares: Floats) -> float:
    """The 95 % point of max |q − p| over √s, as if the shares varied independently."""
    deviations = np.sqrt(shares * (1 - shares))
    deviations = deviations[deviations > 0]
    if not len(deviations):
        return 0.0
    low, high = 0.0, 10.0 * float(deviations.max())
    for _ in range(60):
        middle = (low + high) / 2
        within = float(np.log1p(-2 * np.minimum(normal_tail(middle / deviations), 0.499999)).sum())
        low, high = (middle, high) if within < math.log(NOISE_LEVEL) else (low, middle)
        if high - low <= 1e-10 * high:
            break
    return high


def median(density: float, deviation: float) -> float:
    """The 95 % point of |change of the median| in standard deviations over √s: ½ / f(median)."""
    return NORMAL_95_TWO_SIDED / (2 * density * deviation) if density > 0 and deviation > 0 else math.nan


def deviation(kurtosis: float) -> float:
    """The 95 % point of |change of the standard deviation| (relative) over √s, by the delta method."""
    return NORMAL_95_TWO_SIDED * math.sqrt(max(0.0, kurtosis - 1) / 4)


def outside(n: float, m: Floats) -> Floats:
    """The 95 % point of the share below the least (or above the largest) of n values: P(k or more) < (m/(n + m))^k."""
    with np.errstate(divide="ignore", invalid="ignore"):
        number = np.ceil(math.log(1 - NOISE_LEVEL) / np.log(m / (n + m))) - 1
        return np.where(m > 0, number / m, np.nan)


def unseen(singles: float, n: float, m: Floats) -> Floats:
    """The 95 % point of the share in categories that n rows did not hold; `singles` of theirs were held once.

    What is unseen has the share singles / n (Good 1953); without singles at most 3 / n (the rule of three).
    """
    share = singles / n if singles else 3 / n
    return share + _Z_95 * np.sqrt(share * spread(n, m))


def vanished(shares: Floats, m: Floats, true: Floats | None = None) -> Floats:
    """The 95 % point of the reference's share in categories of which m rows hold none; `true` are the shares that
    the window is drawn by, where they are not those of the reference."""
    drawn = shares if true is None else true
    absent = np.exp(m[:, None] * np.log1p(-np.minimum(drawn, 1 - 1e-12))[None, :])
    expected = absent @ shares
    found: Floats = expected + _Z_95 * np.sqrt((absent * (1 - absent)) @ (shares * shares))
    return found
