"""Slots merged into groups: what PSI and its like compare, and what the tests need for their tails to hold."""

from __future__ import annotations

import numpy as np

from store.monitor.bins import FeatureBins, Floats, Integers

PSI_BINS = 10
#: Categories rarer than this in the reference, or past the number below, are merged into groups for PSI.
PSI_RARE = 0.01
PSI_CATEGORIES = 20
#: Merged categories make at most so many groups, each of at least this share of the reference.
_RARE_GROUPS, _RARE_SHARE = 10, 0.02

#: Categories of at least this share stand alone in the sequential test.
_COMMON = 0.05
#: What share of a categorical reference only chooses the groups of the sequential test.
_CHOOSING = 0.2
_SEED = 20_240_601


def psi_groups(feature: FeatureBins, reference: Integers) -> Integers:
    """Slot → bin of PSI, fixed by the reference's counts (slots of the feature).

    Numeric: about ten groups of neighbouring bins with equal shares of the reference, open at both ends
    (below joins the first, above the last). Categorical: the reference's common categories one by one, the
    rest in groups of some per cent each, in the order of their names. Missing values (null, NaN, infinite,
    not a number) are one more group.
    """
    groups = np.empty(feature.width, np.int64)
    if feature.kind == "categorical":
        total = max(1, int(reference.sum()))
        common = [slot for slot in range(feature.bins) if reference[slot] / total >= PSI_RARE][:PSI_CATEGORIES]
        rare = np.setdiff1d(np.arange(feature.bins + 1), common)
        groups[common] = np.arange(len(common))
        groups[rare] = len(common) + _chunks(feature, rare, reference / total, _RARE_GROUPS, _RARE_SHARE)
        groups[feature.missing_from :] = groups[rare].max() + 1
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


def _chunks(feature: FeatureBins, slots: Integers, shares: Floats, most: int, least: float) -> Integers:
    """Group (from 0) of each of `slots` (ascending, the last is "other"): by name, so that chance has no say.

    Grouping by frequency would gather in one group what the reference happened to hold too much of.
    """
    whole = float(shares[slots].sum())
    count = min(most, int(whole / least))
    if count < 2 or shares[feature.bins] > 0:
        # "Other" gathers what the reference holds least of: it is fair only together with all that is rare.
        return np.zeros(len(slots), np.int64)
    names = [feature.categories[slot] if slot < feature.bins else "" for slot in slots]
    order = sorted(range(len(slots)), key=lambda place: (slots[place] >= feature.bins, names[place]))
    held = shares[slots][order]
    found = np.empty(len(slots), np.int64)
    found[order] = np.minimum(((np.cumsum(held) - held / 2) / whole * count).astype(np.int64), count - 1)
    return np.unique(found, return_inverse=True)[1].astype(np.int64)


def grouped(groups: Integers, counts: Integers) -> Floats:
    """Counts (… × slots) summed by group (… × groups)."""
    members = (groups[:, None] == np.arange(int(groups.max()) + 1)[None, :]).astype(np.float64)
    found: Floats = counts @ members
    return found


def sequential_groups(feature: FeatureBins, reference: Integers) -> tuple[Integers, Floats]:
    """(slot → group, counts of the reference by group) for the sequential test.

    Numeric: as for PSI. Categorical: a fifth of the reference's rows (drawn without replacement, seeded) chooses
    the groups and the others are what is compared, so that the choice owes nothing to the counts.
    """
    if feature.kind != "categorical":
        groups = psi_groups(feature, reference)
        return groups, grouped(groups, reference)
    total = int(reference.sum())
    chosen = np.random.default_rng(_SEED).multivariate_hypergeometric(
        reference, int(total * _CHOOSING), method="marginals"
    )
    shares = chosen / max(1, int(chosen.sum()))
    # Whether there are others is known of the whole reference, whose most frequent categories have slots.
    shares[feature.bins] = max(shares[feature.bins], float(reference[feature.bins] > 0) * 1e-12)
    common = np.flatnonzero(shares[: feature.bins] >= _COMMON)
    rare = np.setdiff1d(np.arange(feature.bins + 1), common)
    groups = np.empty(feature.width, np.int64)
    groups[common] = np.arange(len(common))
    groups[rare] = len(common) + _chunks(feature, rare, shares, _RARE_GROUPS, _COMMON)
    groups[feature.missing_from :] = groups[rare].max() + 1
    return groups, grouped(groups, reference - chosen)
