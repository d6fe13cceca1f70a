"""References and windows of one distribution, or of one that moved, as counts: thousands of windows in seconds."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Literal

import numpy as np

from store.monitor.bins import (
    CATEGORIES,
    TAIL_GROUPS,
    FeatureBins,
    Floats,
    Integers,
    NumericCoder,
    numeric_edges,
)
from store.monitor.category_bins import settled_categories
from store.monitor.columns import CategoryTable
from store.monitor.names import Hashes, Names, name_hashes
from store.monitor.profile import Binned

FEATURES = 20
#: A moved feature: its mean by so many standard deviations, or this share of its rows to its third category; of a
#: feature of more than 200 categories, this share to one of its rarest.
SHIFT, MOVED, MOVED_TO_RARE = 0.5, 0.2, 0.05
CHUNKS = 10
#: Categories by number.
_NAMES = [f"c{place:05}" for place in range(10_000)]


class Sampled(Binned):
    """A reference of `rows` rows that was really drawn, row by row, and binned as a reference is.

    `chunks` (CHUNKS × width) are its counts in ten equal parts.
    """

    def __init__(self, features: tuple[FeatureBins, ...], chunks: Integers, rare: Hashes | None = None) -> None:
        self.features = features
        self.chunks = chunks
        self.counts = chunks.sum(axis=0)
        self.rare = np.zeros(0, np.uint64) if rare is None else rare

    @functools.cached_property
    def slots(self) -> dict[str, Integers]:
        """Of a categorical feature, the slot of each of the cell's categories."""
        return {name: table.slots_of(_NAMES)[:-1] for name, table in self.tables.items()}


@dataclasses.dataclass(frozen=True)
class Cell:
    """Sizes and kind of what is simulated; `categories` 0 is standard normal features."""

    reference_rows: int
    rows: int
    categories: int = 0
    shape: Literal["even", "zipf"] = "even"

    @property
    def name(self) -> str:
        kind = f"{self.categories} categories, {self.shape}" if self.categories else "normal"
        return f"{self.reference_rows:,}/{self.rows:,} {kind}"

    @property
    def shares(self) -> Floats:
        """Of the categories."""
        ranks = np.arange(1, self.categories + 1, dtype=np.float64)
        weights = 1 / ranks if self.shape == "zipf" else np.ones_like(ranks)
        found: Floats = weights / weights.sum()
        return found


def reference(cell: Cell, generator: np.random.Generator, features: int = FEATURES) -> Sampled:
    """A new reference of so many independent features."""
    made: list[FeatureBins] = []
    parts: list[Integers] = []
    rare = [np.zeros(0, np.uint64)]
    offset = 0
    for place in range(features):
        name = f"f{place}"
        if cell.categories:
            feature, chunks, hashes = _categorical(cell, generator, name, offset)
            rare.append(hashes)
        else:
            feature, chunks = _numeric(cell, generator, name, offset)
        made.append(feature)
        parts.append(chunks)
        offset += feature.width
    return Sampled(tuple(made), np.concatenate(parts, axis=1), np.unique(np.concatenate(rare)))


def _numeric(cell: Cell, generator: np.random.Generator, name: str, offset: int) -> tuple[FeatureBins, Integers]:
    values = generator.normal(size=cell.reference_rows)
    feature = FeatureBins(name, "numeric", offset, numeric_edges(values))
    slots = NumericCoder(feature.edges).finite(values).reshape(CHUNKS, -1)
    return feature, np.array([np.bincount(part, minlength=feature.width) for part in slots])


def _categorical(
    cell: Cell, generator: np.random.Generator, name: str, offset: int
) -> tuple[FeatureBins, Integers, Hashes]:
    """As `store.monitor.binning` makes a reference of such rows; with the hashes of the categories without a slot."""
    chunks = generator.multinomial(cell.reference_rows // CHUNKS, cell.shares, size=CHUNKS)
    held = dict(zip(_NAMES, chunks.sum(axis=0).tolist(), strict=False))
    names = Names(len(_NAMES), {one: count for one, count in held.items() if count})
    bare = FeatureBins(name, "categorical", offset, tail_groups=TAIL_GROUPS)
    counts = np.bincount(
        CategoryTable([], TAIL_GROUPS, name).slots_of(list(names.counts))[:-1], [*names.counts.values()]
    )
    counted = np.zeros(bare.width, np.int64)
    counted[: len(counts)] = counts
    feature, _ = settled_categories(bare, names, counted)
    rare = np.sort(name_hashes(name, [*({*names.counts} - {*feature.categories})]))
    table = CategoryTable(feature.categories, feature.tail_groups, name, rare)
    slots = table.slots_of(_NAMES[: cell.categories])[:-1]
    return feature, _by_slot(slots, chunks, feature.width), rare


def _by_slot(slots: Integers, counts: Integers, width: int) -> Integers:
    """Counts by category (windows × categories) as counts by slot (windows × width)."""
    found = np.zeros((len(counts), width), np.int64)
    window, category = np.nonzero(counts)
    np.add.at(found, (window, slots[category]), counts[window, category])
    return found


def windows(cell: Cell, against: Sampled, generator: np.random.Generator, number: int, moved: bool = False) -> Integers:
    """Counts (windows × width) of `number` windows in the reference's bins; `moved` moves the first feature."""
    found = np.zeros((number, len(against.counts)), np.int64)
    for place, feature in enumerate(against.features):
        here = slice(feature.offset, feature.offset + feature.width)
        if cell.categories:
            counts = generator.multinomial(cell.rows, _category_shares(cell, moved and place == 0), size=number)
            found[:, here] = _by_slot(against.slots[feature.name][: cell.categories], counts, feature.width)
        else:
            shares = _shares(feature, moved and place == 0)
            found[:, here][:, : len(shares)] = generator.multinomial(cell.rows, shares, size=number)
    return found


def grouped_windows(
    cell: Cell, against: Sampled, feature: FeatureBins, groups: Integers, generator: np.random.Generator, number: int
) -> Floats:
    """Counts (windows × groups) of one unmoved feature: drawn by group, which is as its slots' sums are distributed."""
    if cell.categories:
        slots, shares = against.slots[feature.name][: cell.categories], cell.shares
    else:
        shares = _shares(feature, False)
        slots = np.arange(len(shares))
    merged = np.bincount(groups[slots], shares, int(groups.max()) + 1)
    found: Floats = generator.multinomial(cell.rows, merged / merged.sum(), size=number).astype(np.float64)
    return found


def _category_shares(cell: Cell, moved: bool) -> Floats:
    if not moved:
        return cell.shares
    many = cell.categories > CATEGORIES
    share, place = (MOVED_TO_RARE, cell.categories - 1) if many else (MOVED, 2)
    found = cell.shares * (1 - share)
    found[place] += share
    return found


def _shares(feature: FeatureBins, moved: bool) -> Floats:
    """Of the first slots of a standard normal feature, in truth."""
    shift = SHIFT if moved else 0.0
    below = [0.5 * math.erfc((shift - edge) / math.sqrt(2)) for edge in feature.edges]
    return np.diff([0.0, *below, 1.0])
