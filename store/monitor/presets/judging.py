"""What a preset says of features and of the window as a whole, and the shape that every preset has."""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from store.monitor.bins import FeatureBins, Floats, Integers, plain

Names = npt.NDArray[np.str_]
Flags = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class PresetRow:
    """One statistic of one feature; `drifted` is null where the peer would give no verdict, and `why` says why.

    A statistic whose name ends in `_p` is a p-value: what lies below its threshold has drifted.
    """

    feature: str
    statistic: str
    value: float | None
    threshold: float | None
    drifted: bool | None
    why: str = ""


@dataclasses.dataclass(frozen=True)
class Judgement:
    """The rows of one window, and the verdict on it: `share` of the features that have a verdict drifted."""

    rows: tuple[PresetRow, ...]
    drifted: bool
    share: float


@dataclasses.dataclass(frozen=True)
class Judged:
    """One statistic of one feature in many windows (windows,); values are NaN where there is none.

    A `check` (a column that is missing, values of the wrong type) is a row only where it fails.
    """

    feature: str
    statistic: Names
    values: Floats
    thresholds: Floats
    drifted: Flags
    why: str = ""
    check: bool = False

    def row(self, place: int) -> PresetRow:
        value, threshold = float(self.values[place]), float(self.thresholds[place])
        known = not math.isnan(value)
        return PresetRow(
            self.feature,
            str(self.statistic[place]),
            value if known else None,
            None if math.isnan(threshold) else threshold,
            bool(self.drifted[place]) if known else None,
            "" if known else self.why or "no values in this window",
        )


def judged(
    feature: str,
    statistic: str | Names,
    values: Floats,
    threshold: float | Floats,
    drifted: Flags,
    why: str = "",
    check: bool = False,
) -> Judged:
    """`Judged` with what holds for every window spread over them; what has no value has not drifted."""
    windows = len(values)
    return Judged(
        feature,
        np.broadcast_to(np.asarray(statistic), windows),
        values,
        np.broadcast_to(np.asarray(threshold, np.float64), windows),
        np.asarray(drifted & ~np.isnan(values), bool),
        why,
        check,
    )


def _without_values(part: Judged, empty: Flags) -> Judged:
    """A statistic has no value in the windows (windows,) that hold none of the feature; checks of presence keep it."""
    if part.check:
        return part
    return dataclasses.replace(part, values=np.where(empty, np.nan, part.values), drifted=part.drifted & ~empty)


class Preset(abc.ABC):
    """The defaults of another monitor, computed from counts: which statistic of which feature, and the verdicts."""

    name: ClassVar[str]
    title: ClassVar[str]
    differences: ClassVar[tuple[str, ...]]
    """How its answers differ by design from the peer's, a sentence each."""

    def judge(
        self,
        features: Sequence[FeatureBins],
        reference: Integers,
        current: Integers,
        chunks: Integers | None = None,
    ) -> Judgement:
        """The verdicts on one window.

        `reference` and `current` are vectors of counts (width,) in which each feature stands at its offset;
        `chunks` (chunks × width) are the reference's own in time order, where they are known: NannyML's
        thresholds come from them.
        """
        every, verdicts = self.judge_windows(features, reference, current[None, :], chunks)
        rows = [part.row(0) for part in every if not part.check or part.drifted[0]]
        decided: dict[str, bool] = {}
        for row in rows:
            if row.drifted is not None:
                decided[row.feature] = decided.get(row.feature, False) or row.drifted
        share = sum(decided.values()) / len(decided) if decided else 0.0
        return Judgement(tuple(rows), bool(verdicts[0]), share)

    def judge_windows(
        self,
        features: Sequence[FeatureBins],
        reference: Integers,
        current: Integers,
        chunks: Integers | None = None,
    ) -> tuple[list[Judged], Flags]:
        """(each feature's statistics in all windows, the verdict on each window); `current` is windows × width."""
        every: list[Judged] = []
        for feature in features:
            held = slice(feature.offset, feature.offset + feature.width)
            # Other monitors know no tail: what has no slot of its own is one category to them.
            flat, before = plain(feature, reference[held])
            if not values_of(flat, before):
                nothing = np.full(len(current), np.nan)
                why = "the reference holds no values of this feature"
                every.append(judged(feature.name, "", nothing, np.nan, np.zeros(len(current), bool), why))
                continue
            own = None if chunks is None else plain(feature, chunks[:, held])[1]
            parts = self.feature(flat, before, plain(feature, current[:, held])[1], own)
            empty = values_of(feature, current[:, held]) == 0
            every += [_without_values(part, empty) for part in parts] if empty.any() else parts
        return every, self.dataset(every, len(current))

    @abc.abstractmethod
    def feature(
        self, feature: FeatureBins, reference: Integers, current: Integers, chunks: Integers | None
    ) -> list[Judged]:
        """One feature, of which the reference holds values: `reference` (slots,), `current` (windows × slots),
        `chunks` (chunks × slots)."""

    def dataset(self, every: Sequence[Judged], windows: int) -> Flags:
        """Whether each window has drifted as a whole: here, whether any feature has."""
        found = np.zeros(windows, bool)
        for part in every:
            found |= part.drifted
        return found


def values_of(feature: FeatureBins, counts: Integers) -> Floats:
    """Rows (…) that hold a value: neither null nor, in a numeric feature, NaN, infinite or no number."""
    found: Floats = counts[..., : feature.missing_from].sum(axis=-1).astype(np.float64)
    return found


def present(feature: FeatureBins, counts: Integers) -> Floats:
    """Counts (… × slots) without those of missing values."""
    return counts[..., : feature.missing_from].astype(np.float64)
