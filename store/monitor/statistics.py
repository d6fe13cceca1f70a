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


@dataclasses.dataclass(frozen=True)
class Values:
    """A statistic of many windows at once; NaN where it cannot be computed."""

    values: Floats
    noise_floors: Floats
    why: str = ""

    def at(self, place: int) -> Value:
        value = float(self.values[place])
        if math.isnan(value):
            return Value(None, None, self.why or "no values in this window")
        return Value(value, float(self.noise_floors[place]))


def psi(groups: Integers, reference: Integers, current: Integers) -> Values:
    """Population stability index Σ (q − p) ln(q / p) over `groups` of the slots (natural logarithm).

    `reference` holds counts by slot, `current` (windows × slots) those of the windows. The noise floor is the
    mean of PSI between two samples of one distribution, (1/n + 1/m)(B − 1) with B groups in use (Yurdakul &
    Naranjo 2020: PSI ≈ (1/n + 1/m) χ² with B − 1 degrees of freedom).
    """
    members = (groups[:, None] == np.arange(int(groups.max()) + 1)[None, :]).astype(np.float64)
    before, after = reference @ members, current @ members
    n, m = before.sum(), after.sum(axis=1)
    if not n:
        return _nothing(len(current))
    used = (before > 0)[None, :] | (after > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.maximum(before / n, PSI_FLOOR)[None, :]
        q = np.maximum(after / m[:, None], PSI_FLOOR)
        values = np.where(used, (q - p) * np.log(q / p), 0.0).sum(axis=1)
        floors = (1 / n + 1 / m) * (used.sum(axis=1) - 1)
    return Values(np.where(m > 0, values, np.nan), floors)


def js(reference: Integers, current: Integers) -> Values:
    """Jensen-Shannon distance, base 2, in [0, 1], over all slots (Lin 1991; scipy's `jensenshannon`).

    Shapes as for `psi`. The noise floor is the root of the mean divergence between two samples of one
    distribution, (1/n + 1/m)(B − 1) / (8 ln 2) with B slots in use.
    """
    n, m = float(reference.sum()), current.sum(axis=1)
    if not n:
        return _nothing(len(current))
    used = (reference > 0)[None, :] | (current > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = (reference / n)[None, :]
        q = current / m[:, None]
        middle = (p + q) / 2
        left = np.where(p > 0, p * np.log2(p / middle), 0.0).sum(axis=1)
        right = np.where(q > 0, q * np.log2(q / middle), 0.0).sum(axis=1)
        values = np.sqrt(np.clip((left + right) / 2, 0.0, 1.0))
        floors = np.sqrt((1 / n + 1 / m) * (used.sum(axis=1) - 1) / (8 * math.log(2)))
    return Values(np.where(m > 0, values, np.nan), floors)


def statistics_of(name: str, groups: Integers, reference: Integers, current: Integers) -> Values:
    """`name` of one feature from its slots' counts in the reference and in the windows (windows × slots)."""
    if name == "psi":
        return psi(groups, reference, current)
    if name == "js":
        return js(reference, current)
    raise Refusal(ExitCode.USAGE, f"No statistic {name!r}.", f"One of: {', '.join(STATISTICS)}")


def statistic(name: str, groups: Integers, reference: Integers, current: Integers) -> Value:
    """`statistics_of` for one window (slots)."""
    return statistics_of(name, groups, reference, current[None, :]).at(0)


def _nothing(windows: int) -> Values:
    nothing = np.full(windows, np.nan)
    return Values(nothing, nothing, "the reference holds no values of this feature")
