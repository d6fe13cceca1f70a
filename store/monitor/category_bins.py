"""Bins of a categorical feature: which categories have slots, and how the others are counted by hash."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from store.monitor.bins import CATEGORIES, TAIL_GROUPS, FeatureBins, Integers
from store.monitor.names import Names, name_hashes

#: A text column with more names than this in its sample, most of them another, names its rows and is no category where
#: so many different ones show that there are more than `_PER_ROW` names for each row, or than `MOST_CATEGORIES`. (With
#: as many names as rows, chance would decide at one.)
_IDENTIFIER_NAMES, MOST_CATEGORIES, _PER_ROW = 1_000, 200_000, 2
#: A reference of whose rows at least this share are the only ones of their category is counted with a tail though it
#: has few categories: windows of the same distribution hold as large a share of categories that it lacks.
_UNSEEN = 0.005


def sampled_categories(name: str, names: Names, skip: bool, rows: int) -> tuple[FeatureBins | None, str]:
    """Bins of a feature by the names of its sample; `rows`: of all its parts."""
    held, sampled = len(names.counts), sum(names.counts.values())
    many = skip and held > max(_IDENTIFIER_NAMES, sampled / 2)
    if many and distinct_at_least(held, sampled) > min(MOST_CATEGORIES, _PER_ROW * rows):
        return None, "text that names its rows, not compared"
    made = [name for name, _ in names.top(CATEGORIES)]
    return FeatureBins(name, "categorical", 0, categories=made, tail_groups=TAIL_GROUPS), ""


def distinct_at_least(held: int, sampled: int) -> float:
    """How many names there are, at least: if all are equally frequent, of which `sampled` rows hold `held`."""
    if held >= sampled:
        return math.inf
    low, high = float(held), float(held) * sampled / (sampled - held) + held
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if -math.expm1(-sampled / middle) * middle < held else (low, middle)
    return high


def settled_categories(feature: FeatureBins, names: Names, counts: Integers) -> tuple[FeatureBins, Integers]:
    """The most frequent categories, and the others by the hashes of their names."""
    pairs = [(name, int(count)) for name, count in zip(feature.categories, counts, strict=False) if count]
    every = dict([*names.counts.items(), *pairs])
    top = Names(len(every) + 1, every).top(CATEGORIES)
    null = int(counts[feature.null_slot])
    named = dict(top)
    groups = feature.tail_groups
    tail = (
        counts[feature.bins : feature.bins + groups] + counts[feature.bins + groups : feature.null_slot]
        if groups
        else np.zeros(0, np.int64)
    )
    # By the sample, others had slots: those move to the tail, and what takes their slots moves out of it.
    for sign, moved in ((1, [pair for pair in pairs if pair[0] not in named]), (-1, _without(top, feature.categories))):
        if moved:
            places = (name_hashes(feature.name, [name for name, _ in moved]) % np.uint64(groups)).astype(np.int64)
            np.add.at(tail, places, sign * np.array([count for _, count in moved], np.int64))
    singles = sum(count == 1 for count in every.values())
    if not names.complete:
        # Those kept are a sample of the names.
        singles = round(singles * names.distinct / max(1, len(names.counts)))
    rows = int(counts.sum()) - null
    made = msgspec.structs.replace(feature, categories=[name for name, _ in top], tail_groups=0)
    if not tail.any() and singles <= _UNSEEN * rows:
        return made, np.array([*(count for _, count in top), 0, null], np.int64)
    made = msgspec.structs.replace(
        made,
        tail_groups=groups,
        tail_categories=max(0, names.distinct + len(pairs) - len(top)),
        singles=singles,
        tail_known=names.complete,
    )
    return made, np.array([*(count for _, count in top), *tail.tolist(), *([0] * groups), null], np.int64)


def _without(pairs: list[tuple[str, int]], names: Sequence[str]) -> list[tuple[str, int]]:
    held = set(names)
    return [pair for pair in pairs if pair[0] not in held]
