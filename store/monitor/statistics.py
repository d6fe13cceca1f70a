"""Drift statistics from counts: PSI and the Jensen-Shannon distance, each with its noise floor."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from store.monitor.bins import FeatureBins, Floats, Integers
from store.protocol import ExitCode, Refusal

#: Shares of empty bins are taken as this, without renormalising: the common practice for PSI (Evidently too).
PSI_FLOOR = 1e-4
PSI_BINS = 10
#: Categories of the reference rarer than this, or past the number below, are one bin for PSI.
PSI_RARE = 0.01
PSI_CATEGORIES = 20

STATISTICS = ("psi", "js")


@dataclasses.dataclass(frozen=True)
class Value:
    """A statistic with the level that chance alone reaches on samples of these sizes; `why` when null."""

    value: float | None
    noise_floor: float | None = None
    why: str = ""


def psi_groups(feature: FeatureBins, reference: Integers) -> Integers:
    """Slot → bin of PSI, fixed by the reference's counts (slots of the feature).

    Numeric: about ten groups of neighbouring bins with equal shares of the reference, open at both ends
    (below joins the first, above the last). Categorical: the reference's common categories, the rest as
    one. Missing values (null, NaN, infinite, not a number) are one more group.
    """
    groups = np.empty(feature.width, np.int64)
    if feature.kind == "categorical":
        total = max(1, int(reference.sum()))
        common = [slot for slot in range(feature.bins) if reference[slot] / total >= PSI_RARE][:PSI_CATEGORIES]
        groups[:] = len(common)
        groups[common] = np.arange(len(common))
        groups[feature.missing_from :] = len(common) + 1
        return groups
    inner = reference[1 : feature.bins + 1]
    total = max(1, int(inner.sum()))
    # A bin belongs to the decile that its middle falls into; then the deciles that exist are numbered.
    middle = (np.cumsum(inner) - inner / 2) / total
    decile = np.minimum((middle * PSI_BINS).astype(np.int64), PSI_BINS - 1)
    _, numbered = np.unique(decile, return_inverse=True)
    groups[1 : feature.bins + 1] = numbered
    groups[0], groups[feature.bins + 1] = 0, numbered[-1]
    groups[feature.missing_from :] = numbered[-1] + 1
    if feature.bins == 1:
        # A constant: what lies off it is the drift, so it must not be merged with it.
        groups[0], groups[2] = 1, 2
        groups[feature.missing_from :] = 3
    return groups


def psi(groups: Integers, reference: Integers, current: Integers) -> Value:
    """Population stability index Σ (q − p) ln(q / p) over `groups` of the slots (natural logarithm).

    Its noise floor is the mean of PSI between two samples of one distribution, (1/n + 1/m)(B − 1) with B
    groups in use (Yurdakul & Naranjo 2020: PSI ≈ (1/n + 1/m) χ² with B − 1 degrees of freedom).
    """
    count = int(groups.max()) + 1
    before = np.bincount(groups, reference, count)
    after = np.bincount(groups, current, count)
    n, m = before.sum(), after.sum()
    if why := _empty(n, m):
        return Value(None, None, why)
    used = (before > 0) | (after > 0)
    p = np.maximum(before[used] / n, PSI_FLOOR)
    q = np.maximum(after[used] / m, PSI_FLOOR)
    return Value(float(((q - p) * np.log(q / p)).sum()), (1 / n + 1 / m) * (int(used.sum()) - 1))


def js(reference: Integers, current: Integers) -> Value:
    """Jensen-Shannon distance, base 2, in [0, 1], over all slots (Lin 1991; scipy's `jensenshannon`).

    Its noise floor is the root of the mean divergence between two samples of one distribution,
    (1/n + 1/m)(B − 1) / (8 ln 2) with B slots in use.
    """
    n, m = int(reference.sum()), int(current.sum())
    if why := _empty(n, m):
        return Value(None, None, why)
    used = (reference > 0) | (current > 0)
    p, q = reference[used] / n, current[used] / m
    middle = (p + q) / 2
    divergence = (_kl(p, middle) + _kl(q, middle)) / 2
    floor = math.sqrt((1 / n + 1 / m) * (int(used.sum()) - 1) / (8 * math.log(2)))
    return Value(math.sqrt(min(1.0, max(0.0, divergence))), floor)


def statistic(name: str, groups: Integers, reference: Integers, current: Integers) -> Value:
    """`name` of one feature from its slots' counts in the reference and in the window."""
    if name == "psi":
        return psi(groups, reference, current)
    if name == "js":
        return js(reference, current)
    raise Refusal(ExitCode.USAGE, f"No statistic {name!r}", f"There are {', '.join(STATISTICS)}.")


def _kl(p: Floats, q: Floats) -> float:
    held = p > 0
    return float((p[held] * np.log2(p[held] / q[held])).sum())


def _empty(n: float, m: float) -> str:
    if not n:
        return "the reference holds no values of this feature"
    return "" if m else "no values in this window"
