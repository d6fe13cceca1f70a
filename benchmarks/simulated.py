"""References and windows of one distribution, or of one that moved, as counts: thousands of windows in seconds."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import numpy as np

from store.monitor.bins import FeatureBins, Floats, Integers, NumericCoder, numeric_edges
from store.monitor.profile import Binned

FEATURES = 20
#: A moved feature: its mean by so many standard deviations, or this share of its rows to its third category.
SHIFT, MOVED = 0.5, 0.2
CHUNKS = 10


class Sampled(Binned):
    """A reference of `rows` rows that was really drawn, row by row, and binned as a reference is.

    `chunks` (CHUNKS × width) are its counts in ten equal parts.
    """

    def __init__(self, features: tuple[FeatureBins, ...], chunks: Integers) -> None:
        self.features = features
        self.chunks = chunks
        self.counts = chunks.sum(axis=0)


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
    made, parts = [], []
    offset = 0
    for place in range(features):
        draw = _categorical if cell.categories else _numeric
        feature, chunks = draw(cell, generator, f"f{place}", offset)
        made.append(feature)
        parts.append(chunks)
        offset += feature.width
    return Sampled(tuple(made), np.concatenate(parts, axis=1))


def _numeric(cell: Cell, generator: np.random.Generator, name: str, offset: int) -> tuple[FeatureBins, Integers]:
    values = generator.normal(size=cell.reference_rows)
    feature = FeatureBins(name, "numeric", offset, numeric_edges(values))
    slots = NumericCoder(feature.edges).finite(values).reshape(CHUNKS, -1)
    return feature, np.array([np.bincount(part, minlength=feature.width) for part in slots])


def _categorical(cell: Cell, generator: np.random.Generator, name: str, offset: int) -> tuple[FeatureBins, Integers]:
    chunks = generator.multinomial(cell.reference_rows // CHUNKS, cell.shares, size=CHUNKS)
    held = chunks.sum(axis=0)
    # The most frequent first, as a reference has them.
    order = np.argsort(-held, kind="stable")
    order = order[held[order] > 0]
    feature = FeatureBins(name, "categorical", offset, categories=[f"c{place:04}" for place in order])
    return feature, np.concatenate([chunks[:, order], np.zeros((CHUNKS, 2), np.int64)], axis=1)


def windows(cell: Cell, against: Sampled, generator: np.random.Generator, number: int, moved: bool = False) -> Integers:
    """Counts (windows × width) of `number` windows in the reference's bins; `moved` moves the first feature."""
    found = np.zeros((number, len(against.counts)), np.int64)
    for place, feature in enumerate(against.features):
        shares = _shares(cell, feature, moved and place == 0)
        found[:, feature.offset : feature.offset + len(shares)] = generator.multinomial(cell.rows, shares, size=number)
    return found


def grouped_windows(
    cell: Cell, feature: FeatureBins, groups: Integers, generator: np.random.Generator, number: int
) -> Floats:
    """Counts (windows × groups) of one unmoved feature: drawn by group, which is as its slots' sums are distributed."""
    shares = _shares(cell, feature, False)
    merged = np.bincount(groups[: len(shares)], shares, int(groups.max()) + 1)
    found: Floats = generator.multinomial(cell.rows, merged / merged.sum(), size=number).astype(np.float64)
    return found


def _shares(cell: Cell, feature: FeatureBins, moved: bool) -> Floats:
    """Of the feature's first slots, in truth."""
    if cell.categories:
        places = [int(name[1:]) for name in feature.categories]
        shares = cell.shares[places]
        if moved:
            shares = shares * (1 - MOVED)
            shares[places.index(2)] += MOVED
        return np.append(shares, max(0.0, 1 - float(shares.sum())))
    shift = SHIFT if moved else 0.0
    below = [0.5 * math.erfc((shift - edge) / math.sqrt(2)) for edge in feature.edges]
    return np.diff([0.0, *below, 1.0])
