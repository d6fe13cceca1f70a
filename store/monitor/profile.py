"""Counts in fixed bins: what one reading of rows leaves behind, and how such counts add."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from store.monitor.bins import FeatureBins, Integers, NumericCoder
from store.monitor.columns import CategoryTable
from store.monitor.moments import Moments
from store.monitor.names import Hashes, Names, name_hashes

if TYPE_CHECKING:
    from store.monitor.statistics.groups import Grouping


class Binned:
    """Features with a place in one vector of counts: `counts[f.offset : f.offset + f.width]` are feature f's."""

    features: tuple[FeatureBins, ...]
    counts: Integers
    rare: Hashes | None
    """`name_hashes` of the categories that the reference holds beyond those with a slot, as far as they are known,
    ascending; null where nothing is known of them."""

    @property
    def width(self) -> int:
        return len(self.counts)

    @functools.cached_property
    def coders(self) -> dict[str, NumericCoder]:
        return {f.name: NumericCoder(f.edges) for f in self.features if f.kind != "categorical"}

    @functools.cached_property
    def tables(self) -> dict[str, CategoryTable]:
        return {
            f.name: CategoryTable(f.categories, f.tail_groups, f.name, self.rare if f.tail_known else None)
            for f in self.features
            if f.kind == "categorical"
        }

    @functools.cached_property
    def groups(self) -> dict[str, Grouping]:
        """Feature → its slots' bins of PSI."""
        from store.monitor import statistics

        return {f.name: statistics.psi_groups(f, self.of(f)) for f in self.features}

    @functools.cached_property
    def by_name(self) -> dict[str, FeatureBins]:
        return {f.name: f for f in self.features}

    def new_among(self, feature: str, names: list[str]) -> list[str]:
        """Those of some categories without a slot of their own that the reference does not hold."""
        if self.rare is None or not self.by_name[feature].tail_known:
            return []
        if not len(self.rare):
            return names
        hashes = name_hashes(feature, names)
        places = np.minimum(np.searchsorted(self.rare, hashes), len(self.rare) - 1)
        return [names[place] for place in np.flatnonzero(self.rare[places] != hashes)]

    def of(self, feature: FeatureBins) -> Integers:
        return self.counts[feature.offset : feature.offset + feature.width]


@dataclasses.dataclass(frozen=True)
class Tally:
    """Counts of some rows in the bins of a `Binned`; tallies of any parts in any order add to the same bits.

    Counts are integers, moments are integers on a grid (`store.monitor.moments`), and the names of categories that
    the bins do not know are the same subset however they came (`store.monitor.names`).
    """

    rows: int
    counts: Integers
    moments: dict[str, Moments]
    """By numeric feature."""
    names: dict[str, Names]
    """By categorical feature: what was counted as other."""
    common: dict[str, Names] = dataclasses.field(default_factory=dict)
    """By categorical feature: categories of its tail that are frequent here (`store.monitor.counting.FREQUENT`)."""

    @classmethod
    def nothing(cls, width: int) -> Tally:
        return cls(0, np.zeros(width, np.int64), {}, {})

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.rows + other.rows,
            self.counts + other.counts,
            _added(self.moments, other.moments),
            _added(self.names, other.names),
            _added(self.common, other.common),
        )


_Sum = TypeVar("_Sum", Moments, Names)


def _added(mine: dict[str, _Sum], others: dict[str, _Sum]) -> dict[str, _Sum]:
    return {**mine, **{name: mine[name] + value if name in mine else value for name, value in others.items()}}


def total(tallies: Iterable[Tally], width: int) -> Tally:
    """All of them added."""
    return sum(tallies, Tally.nothing(width))
