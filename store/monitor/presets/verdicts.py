"""A preset's verdicts in the shape of the monitor's own, so that listings, heat map and alerts may go by them."""

from __future__ import annotations

import dataclasses
import math
from typing import Protocol

import msgspec
import numpy as np

from store.monitor.bins import FeatureBins, Floats, Integers
from store.monitor.presets.judging import Flags, Judged, Preset
from store.monitor.statistics import FeatureVerdict, Values
from store.monitor.statistics.verdicts import Reason

#: Nothing is said to be further beyond its threshold than this.
_MOST = 1_000.0
#: So many times its threshold is critical: as PSI's 0.25 over 0.1.
SEVERE = 2.5


class _Binned(Protocol):
    @property
    def features(self) -> tuple[FeatureBins, ...]: ...
    def of(self, feature: FeatureBins) -> Integers: ...


@dataclasses.dataclass(frozen=True)
class PresetVerdict(FeatureVerdict):
    """`strength` is how many times its threshold the statistic is, whichever it is; null without a verdict."""

    strength: float | None = None


def size(verdict: FeatureVerdict) -> float | None:
    """What verdicts are compared by: a preset's by how many times its threshold, the monitor's own by their value."""
    return verdict.strength if isinstance(verdict, PresetVerdict) else verdict.value


def verdicts(
    preset: Preset, reference: _Binned, current: Integers, chunks: Integers | None = None
) -> list[list[FeatureVerdict]]:
    """As `store.monitor.statistics.verdicts`: of each window (windows × width) a verdict, a `PresetVerdict`, on each
    feature.

    `chunks` are the reference's own, as for `Preset.judge`. The preset's threshold decides, as in the peer: there is
    no noise floor, no correction for many features and no guarantee. Statistics are named after it,
    `evidently.wasserstein`. Of several checks of a feature the first that fails is told.
    """
    columns = [
        _told(
            preset,
            feature,
            reference.of(feature),
            _part(feature, current),
            None if chunks is None else _part(feature, chunks),
        )
        for feature in reference.features
    ]
    return [
        [
            column.verdict(window, _part(feature, current)[window], reference.of(feature), feature)
            for column, feature in zip(columns, reference.features, strict=True)
        ]
        for window in range(len(current))
    ]


def strength(
    preset: Preset, feature: FeatureBins, reference: Integers, current: Integers, chunks: Integers | None = None
) -> Values:
    """How many times its threshold the preset's statistic of a feature is, in each window (windows × slots).

    More than 1 exactly where it has drifted, whatever the statistic: a p-value counts by its logarithm, a check that
    fails by what it falls short. NaN where there is no verdict.
    """
    told = _told(preset, feature, reference, current, chunks)
    return Values(told.strengths, np.zeros(len(current)), told.why)


@dataclasses.dataclass(frozen=True)
class _Told:
    """For each window the statistic of a feature that is told."""

    preset: str
    feature: str
    parts: list[Judged]
    chosen: Integers
    strengths: Floats
    drifted: Flags
    why: str

    def verdict(self, window: int, counts: Integers, before: Integers, feature: FeatureBins) -> PresetVerdict:
        row = self.parts[int(self.chosen[window])].row(window)
        size = float(self.strengths[window])
        drifted = bool(self.drifted[window])
        return PresetVerdict(
            feature=self.feature,
            statistic=f"{self.preset}.{row.statistic}" if row.statistic else self.preset,
            value=row.value,
            noise_floor=None,
            threshold=math.nan if row.threshold is None else row.threshold,
            p_value=row.value if row.statistic.endswith("_p") else None,
            q_value=None,
            alarm=drifted,
            guarantee="",
            severity="" if not drifted else "critical" if size > SEVERE else "warning",
            rows=int(counts.sum()),
            why=row.why,
            strength=None if math.isnan(size) else size,
            reason="" if drifted or row.drifted is not None else _reason(feature, before, counts),
        )


def _reason(feature: FeatureBins, before: Integers, counts: Integers) -> Reason:
    """Why a preset gives no verdict on a window's counts."""
    if not before.sum():
        return "no_reference"
    if not before[: feature.missing_from].sum():
        return "no_reference_values"
    return "no_value" if counts[: feature.missing_from].sum() else "no_values"


def _told(
    preset: Preset, feature: FeatureBins, reference: Integers, current: Integers, chunks: Integers | None = None
) -> _Told:
    alone = msgspec.structs.replace(feature, offset=0)
    parts, _ = preset.judge_windows([alone], reference, current, chunks)
    sizes = np.stack([_sizes(part) for part in parts])
    drifted = np.stack([part.drifted for part in parts])
    # The first that fails, else the first.
    chosen = np.argmax(drifted, axis=0).astype(np.int64)
    strengths = np.take_along_axis(sizes, chosen[None, :], axis=0)[0]
    fails: Flags = np.asarray(drifted.any(axis=0), bool)
    return _Told(preset.name, feature.name, parts, chosen, strengths, fails, parts[0].why)


def _part(feature: FeatureBins, counts: Integers) -> Integers:
    return counts[:, feature.offset : feature.offset + feature.width]


def _sizes(part: Judged) -> Floats:
    """Value over threshold, on the side of 1 that the verdict says."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if part.check:
            found = part.thresholds / np.maximum(part.values, 1 / _MOST)
        elif part.statistic[0].endswith("_p"):
            found = np.log(part.values) / np.log(part.thresholds)
        else:
            found = np.abs(part.values) / part.thresholds
    found = np.clip(np.nan_to_num(found, nan=0.0, posinf=_MOST), 0.0, _MOST)
    # On the threshold itself the peers differ.
    found = np.where(part.drifted, np.maximum(found, np.nextafter(1.0, 2.0)), np.minimum(found, 1.0))
    return np.where(np.isnan(part.values), np.nan, found)
