"""Slots merged into groups: what PSI and its like compare, and what the tests need for their tails to hold."""

from __future__ import annotations

import dataclasses

import numpy as np

from store.monitor.bins import FeatureBins, Floats, Integers, distinct_values
from store.monitor.names import name_hashes

PSI_BINS = 10
#: A bin of more than this part of the reference is one value (or nearly): most bins hold about 1/128.
_HEAVY = 50
#: More rare categories than this are compared one by one, as far as there are rows for it.
_MANY_RARE = 20
#: A hashed group has about so many rows at least of the smaller side, and there are at least so many groups.
ROWS_PER_GROUP, _LEAST_HASHED, _SEQUENTIAL_HASHED = 8, 2, 16
#: Of a feature with a tail, categories stand alone that the reference holds so many rows of: fewer may be luck.
COMMON_ROWS = 50
#: Up to so many groups are summed by a product of matrices.
_MATRIX = 64
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


@dataclasses.dataclass(frozen=True)
class Grouping:
    """Slot → bin, where the number of bins may go by the rows that are compared.

    `finest` holds `first` bins, then `hashed` ones (a power of two, or 0) by hash, then those of missing values.
    """

    finest: Integers
    first: int = 0
    hashed: int = 0
    share: float = 1.0
    """Of the reference's rows in hashed bins."""
    single: Integers = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))
    """Slots in hashed bins that stand alone where they hold more than such a bin does on average."""
    single_shares: Floats = dataclasses.field(default_factory=lambda: np.zeros(0))
    """Of the reference's rows in each of these."""

    def number(self, rows: float) -> int:
        """How many hashed bins there are where the smaller side has so many rows: enough rows for each."""
        wanted = 1 << max(1, int(rows * self.share / ROWS_PER_GROUP)).bit_length() - 1
        return max(min(self.hashed, _LEAST_HASHED), min(self.hashed, wanted))

    def at(self, number: int) -> Integers:
        """Slot → bin with so many hashed bins (a power of two, at most `hashed`), and those that stand alone beside."""
        place = self.finest - self.first
        missing = np.where(place >= self.hashed, number + place - self.hashed, place)
        found: Integers = self.first + np.where((place >= 0) & (place < self.hashed), place % max(1, number), missing)
        # A category of some weight would hide what happens to the rare ones that it shares a bin with.
        alone = self.single[self.single_shares * number >= self.share]
        found[alone] = int(found.max()) + 1 + np.arange(len(alone))
        return found


def psi_groups(feature: FeatureBins, reference: Integers) -> Grouping:
    """Slot → bin of PSI, fixed by the reference's counts (slots of the feature).

    Numeric: the distinct deciles of the reference, open at both ends, as far as its bins tell them apart. A value that
    fills a decile by itself begins a bin, `decile <= x < next decile`, as with `numpy.unique(numpy.quantile(x, …))`
    and `numpy.histogram`; only where such a value is the largest does it keep a bin of its own. Categorical: the
    reference's common categories one by one, the rest in groups of some per cent each, in the order of their names,
    or, of more than twenty and of a feature with a tail (`FeatureBins.tail_groups`), by the hashes of their names, as
    many groups as there are rows for. Missing values (null, NaN, infinite, not a number) are one more group.
    """
    if feature.tail_groups:
        return _hashed(feature, reference)
    groups = np.empty(feature.width, np.int64)
    if feature.kind == "categorical":
        total = max(1, int(reference.sum()))
        common = [slot for slot in range(feature.bins) if reference[slot] / total >= PSI_RARE][:PSI_CATEGORIES]
        rare = np.setdiff1d(np.arange(feature.bins + 1), common)
        groups[common] = np.arange(len(common))
        if len(rare) > _MANY_RARE and not reference[feature.bins]:
            return _one_by_one(feature, groups, np.asarray(common, np.int64), rare[:-1], reference)
        groups[rare] = len(common) + _chunks(feature, rare, reference / total, _RARE_GROUPS, _RARE_SHARE)
        groups[feature.missing_from :] = groups[rare].max() + 1
        return Grouping(groups)
    numbered = _deciles(reference[1 : feature.bins + 1], distinct_values(np.asarray(feature.edges)) is not None)
    groups[1 : feature.bins + 1] = numbered
    groups[0], groups[feature.bins + 1] = 0, numbered[-1]
    groups[feature.missing_from :] = numbered[-1] + 1
    if feature.bins == 1:
        # A constant: what lies off it is the drift, so it must not be merged with it.
        groups[0], groups[2] = 1, 2
        groups[feature.missing_from :] = 3
    return Grouping(groups)


def _deciles(inner: Integers, single: bool) -> Integers:
    """Bin (of the reference's own, ascending; `single`: each of one value) → distinct decile, from 0."""
    total = int(inner.sum())
    if not total:
        return np.zeros(len(inner), np.int64)
    cumulative = np.cumsum(inner)
    # The rows at the nine deciles, and the bins that hold them.
    rows = np.ceil((total - 1) * np.arange(1, PSI_BINS) / PSI_BINS).astype(np.int64)
    starts = np.searchsorted(cumulative, rows, side="right")
    # A decile within a bin of several values is taken to the nearer of its ends.
    several = (inner[starts] * _HEAVY < total) & (not single)
    middle = cumulative[starts] - inner[starts] / 2
    starts = np.where(several & (middle < total * np.arange(1, PSI_BINS) / PSI_BINS), starts + 1, starts)
    found: Integers = np.searchsorted(
        np.unique(starts[(starts > 0) & (starts < len(inner))]), np.arange(len(inner)), "right"
    )
    return found.astype(np.int64)


def _one_by_one(
    feature: FeatureBins, groups: Integers, common: Integers, rare: Integers, reference: Integers
) -> Grouping:
    """Every rare category in a bin of its own where there are rows for that, else some together by their hashes;
    what is new comes to the end of these."""
    hashes = name_hashes(feature.name, [feature.categories[place] for place in rare])
    number = 1 << len(rare).bit_length()
    groups[rare[np.argsort(hashes, kind="stable")]] = len(common) + np.arange(len(rare))
    groups[feature.bins] = len(common) + len(rare)
    groups[feature.missing_from :] = len(common) + number
    return Grouping(groups, len(common), number, _hashed_share(groups, len(common), number, reference))


def _hashed_share(groups: Integers, first: int, number: int, reference: Integers) -> float:
    hashed = (groups >= first) & (groups < first + number)
    return float(reference[hashed].sum() / max(1, reference.sum()))


def _hashed(feature: FeatureBins, reference: Integers) -> Grouping:
    """Of a feature with a tail: its common categories, then all others by hash, whether they have a slot or not.

    Those that have one are those that the reference happens to hold most of: beside the tail they would be too many.
    A group by hash owes nothing to the counts.
    """
    total = max(1, int(reference.sum()))
    here = reference[: feature.bins]
    common = np.flatnonzero((here >= PSI_RARE * total) & (here >= COMMON_ROWS))
    found = _joined(feature, common, reference)
    single = np.setdiff1d(np.flatnonzero(here >= COMMON_ROWS), common)
    return dataclasses.replace(found, single=single, single_shares=here[single] / total)


def _joined(feature: FeatureBins, common: Integers, reference: Integers) -> Grouping:
    number = feature.tail_groups
    hashes = name_hashes(feature.name, feature.categories) % np.uint64(number)
    groups = np.empty(feature.width, np.int64)
    groups[: feature.bins] = len(common) + hashes.astype(np.int64)
    groups[common] = np.arange(len(common))
    groups[feature.bins : feature.null_slot] = len(common) + np.tile(np.arange(number), 2)
    groups[feature.missing_from :] = len(common) + number
    return Grouping(groups, len(common), number, _hashed_share(groups, len(common), number, reference))


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
    number = int(groups.max()) + 1
    found: Floats
    if number > _MATRIX:
        order = np.argsort(groups, kind="stable")
        used, first = np.unique(groups[order], return_index=True)
        found = np.zeros((*counts.shape[:-1], number))
        found[..., used] = np.add.reduceat(counts[..., order], first, axis=-1)
        return found
    members = (groups[:, None] == np.arange(number)[None, :]).astype(np.float64)
    found = counts @ members
    return found


def sequential_groups(feature: FeatureBins, reference: Integers) -> tuple[Integers, Floats]:
    """(slot → group, counts of the reference by group) for the sequential test.

    Numeric: as for PSI. Of a feature with a tail all but common categories are in sixteen groups by hash, which owe
    nothing to the counts. Categorical: a fifth of the reference's rows (drawn without replacement, seeded) chooses
    the groups and the others are what is compared, so that the choice owes nothing to the counts.
    """
    if feature.kind != "categorical":
        groups = psi_groups(feature, reference).finest
        return groups, grouped(groups, reference)
    total = int(reference.sum())
    chosen = np.random.default_rng(_SEED).multivariate_hypergeometric(
        reference, int(total * _CHOOSING), method="marginals"
    )
    shares = chosen / max(1, int(chosen.sum()))
    if feature.tail_groups:
        common = np.flatnonzero(shares[: feature.bins] >= _COMMON)
        groups = _joined(feature, common, reference).at(_SEQUENTIAL_HASHED)
        return groups, grouped(groups, reference - chosen)
    # Whether there are others is known of the whole reference, whose most frequent categories have slots.
    shares[feature.bins] = max(shares[feature.bins], float(reference[feature.bins] > 0) * 1e-12)
    common = np.flatnonzero(shares[: feature.bins] >= _COMMON)
    rare = np.setdiff1d(np.arange(feature.bins + 1), common)
    groups = np.empty(feature.width, np.int64)
    groups[common] = np.arange(len(common))
    groups[rare] = len(common) + _chunks(feature, rare, shares, _RARE_GROUPS, _COMMON)
    groups[feature.missing_from :] = groups[rare].max() + 1
    return groups, grouped(groups, reference - chosen)
