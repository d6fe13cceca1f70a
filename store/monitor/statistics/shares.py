"""Distances between two distributions over unordered bins, from counts: PSI, Jensen-Shannon, χ² and the like.

Every function takes counts of the reference (… × bins) and of the current windows (… × bins), broadcast against
each other, and gives a value a window (…); NaN where either holds nothing. Formulas are those of numpy and scipy.
"""

from __future__ import annotations

import numpy as np

from store.monitor.bins import Floats

#: Shares of empty bins are taken as this, without renormalising: the common practice for PSI (Evidently too).
PSI_FLOOR = 1e-4


def _shares(before: Floats, after: Floats) -> tuple[Floats, Floats]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return before / before.sum(axis=-1, keepdims=True), after / after.sum(axis=-1, keepdims=True)


def psi(before: Floats, after: Floats) -> Floats:
    """Population stability index Σ (q − p) ln(q / p), natural logarithm; bins empty in both count for nothing."""
    p, q = _shares(before, after)
    used = (before > 0) | (after > 0)
    p, q = np.maximum(p, PSI_FLOOR), np.maximum(q, PSI_FLOOR)
    found: Floats = np.where(used, (q - p) * np.log(q / p), 0.0).sum(axis=-1) + _void(before, after)
    return found


def kl(before: Floats, after: Floats) -> Floats:
    """Kullback-Leibler divergence Σ q ln(q / p) of the current distribution q from the reference p, in nats.

    Empty shares as for PSI; scipy's `entropy(q, p)` where no bin of either is empty.
    """
    p, q = _shares(before, after)
    used = (before > 0) | (after > 0)
    p, q = np.maximum(p, PSI_FLOOR), np.maximum(q, PSI_FLOOR)
    found: Floats = np.where(used, q * np.log(q / p), 0.0).sum(axis=-1) + _void(before, after)
    return found


def js_divergence(before: Floats, after: Floats) -> Floats:
    """Jensen-Shannon divergence, base 2, in [0, 1] (Lin 1991)."""
    p, q = _shares(before, after)
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(p > 0, p * np.log2(p / middle), 0.0).sum(axis=-1)
        right = np.where(q > 0, q * np.log2(q / middle), 0.0).sum(axis=-1)
    found: Floats = np.clip((left + right) / 2, 0.0, 1.0) + _void(before, after)
    return found


def js(before: Floats, after: Floats) -> Floats:
    """Jensen-Shannon distance: the root of the divergence (scipy's `jensenshannon(p, q, base=2)`)."""
    return np.sqrt(js_divergence(before, after))


def hellinger(before: Floats, after: Floats) -> Floats:
    """Hellinger distance √(½ Σ (√p − √q)²), in [0, 1]."""
    p, q = _shares(before, after)
    found: Floats = np.sqrt(((np.sqrt(p) - np.sqrt(q)) ** 2).sum(axis=-1) / 2)
    return found


def tv(before: Floats, after: Floats) -> Floats:
    """Total variation ½ Σ |p − q|, in [0, 1]."""
    p, q = _shares(before, after)
    found: Floats = np.abs(p - q).sum(axis=-1) / 2
    return found


def linf(before: Floats, after: Floats) -> Floats:
    """The largest change of any share, max |p − q| (L∞; TFDV's for categories)."""
    p, q = _shares(before, after)
    found: Floats = np.abs(p - q).max(axis=-1)
    return found


def chi2(before: Floats, after: Floats) -> Floats:
    """Pearson's χ² of homogeneity of the two rows of counts (scipy's `chi2_contingency`, without correction)."""
    n, m = before.sum(axis=-1, keepdims=True), after.sum(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = (before + after) * (m / (n + m))
        # The deviations in the other row are the same; they stand over n / (n + m) instead of m / (n + m).
        terms = (after - expected) ** 2 / expected * ((n + m) / n)
    found: Floats = np.where(before + after > 0, terms, 0.0).sum(axis=-1) + _void(before, after)
    return found


def _void(before: Floats, after: Floats) -> Floats:
    """0, or NaN where either side holds nothing."""
    return np.where((before.sum(axis=-1) > 0) & (after.sum(axis=-1) > 0), 0.0, np.nan)
