"""Predictions with their labels as sums that add: score histograms, confusion counts, losses, delays of labels."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import numpy.typing as npt

from store.monitor import scores
from store.monitor.bins import Floats, Integers, NumericCoder

Task = Literal["binary", "multiclass", "regression"]
Flags = npt.NDArray[np.bool_]


def _score_edges() -> Floats:
    """[0, 1] in steps of 1/8192 and, toward both ends, of 1/64 logit to e^-16; beyond, for margins, 16 steps a
    doubling out to 2^20. Scores that spread over some hundred of these bins have an AUC within 1e-3 of exact;
    that is any that do not all lie within a hundredth of each other."""
    logits = np.arange(-16 * 64, 16 * 64 + 1) / 64
    inside = np.concatenate([np.linspace(0.0, 1.0, 8193), 1.0 / (1.0 + np.exp(-logits))])
    outside = np.concatenate([1.0 + np.arange(1, 17) / 16, 2.0 ** (np.arange(17, 20 * 16 + 1) / 16)])
    below = np.concatenate([-np.arange(1, 16) / 16, -1.0 - np.arange(0, 17) / 16, -outside[16:]])
    edges: Floats = np.unique(np.concatenate([below, inside, outside]))
    return edges


SCORE_EDGES = _score_edges()
#: Delays of labels, seconds: four bins a doubling from one second to 2^27 (4.3 years).
DELAY_EDGES: Floats = 2.0 ** (np.arange(0, 27 * 4 + 1) / 4)
#: Classes told apart in confusion counts; further ones are counted together as the last.
MAX_CLASSES = 100
CLASSES = MAX_CLASSES + 1
#: Bins of equal width of the expected calibration error (Guo et al. 2017 take 15).
CALIBRATION_BINS = 15

#: Slots of the counts. `LABELLED` is common to all tasks, the rest is for classifiers.
LABELLED, TRUE_NEGATIVE, FALSE_POSITIVE, FALSE_NEGATIVE, TRUE_POSITIVE, PROBABILITIES, RIGHT, DECIDED = range(8)
#: Binary: scores (`scores.on_one_scale`) of negatives, then positives. Multiclass: of wrong answers, then right ones.
HISTOGRAM = 8
#: Score slots a class: below, the bins of SCORE_EDGES, above.
SCORE_SLOTS = len(SCORE_EDGES) + 1
#: Multiclass: label × predicted class, CLASSES² slots.
CONFUSION = HISTOGRAM + 2 * SCORE_SLOTS
#: Regression: predictions with a pair of quantiles around them, and those whose label lies between; then for
#: each level in thousandths how many had that quantile, and for each how many labels lie at or below it.
INTERVALS, COVERED, QUANTILES = CONFUSION, CONFUSION + 1, CONFUSION + 2
LEVELS = 1000
#: From prediction to label: before it, the bins of DELAY_EDGES (the first from 0), longer, unknown.
DELAYS = CONFUSION + CLASSES * CLASSES
DELAY_SLOTS = len(DELAY_EDGES) + 2
WIDTH = DELAYS + DELAY_SLOTS
#: Entries of the sums: log loss and Brier of binary classifiers; errors of regressions; then, for each
#: calibration bin, the sum of score minus label.
LOG_LOSS, BRIER, ERROR, ABSOLUTE, SQUARED, TARGET, TARGET_SQUARED, GAPS = range(8)
SUMS = GAPS + CALIBRATION_BINS

_CODER = NumericCoder(SCORE_EDGES.tolist())


@dataclasses.dataclass(frozen=True)
class Outcomes:
    """Predictions with their labels, one entry a pair; NaN in `score` where there is none.

    `sign` is +1 where a label arrives and -1 where a corrected one is taken back. Classifiers use
    `positive` (the label), `predicted` and `decided` (the predicted class is positive; whether one was given) and
    `right` (predicted class equals label); regressions use `score` as the predicted and `target` as the true value.
    `scale` says what each score of a binary task is (`scores.Scale`; None: all are probabilities).
    Multiclass also `label_class` and `predicted_class` (0 to MAX_CLASSES); regressions `quantiles`, level in
    thousandths → predicted quantile (NaN for none). `delay` is seconds from prediction to label (NaN: unknown).
    """

    sign: Integers
    score: Floats
    positive: Flags
    predicted: Flags
    decided: Flags
    right: Flags
    target: Floats
    label_class: Integers | None = None
    predicted_class: Integers | None = None
    delay: Floats | None = None
    quantiles: dict[int, Floats] = dataclasses.field(default_factory=dict)
    scale: Integers | None = None

    def __len__(self) -> int:
        return len(self.sign)

    def where(self, mask: Flags) -> Outcomes:
        def part(value: object) -> object:
            if isinstance(value, dict):
                return {level: values[mask] for level, values in value.items()}
            return value[mask] if isinstance(value, np.ndarray) else None

        return Outcomes(*(part(getattr(self, field.name)) for field in dataclasses.fields(self)))  # type: ignore[arg-type]


@dataclasses.dataclass(frozen=True)
class PerformanceCounts:
    """Sparse counts and sums of outcomes; `merge` adds two, whatever windows or hosts they come from."""

    slots: Integers
    counts: Integers
    sums: Floats

    def merge(self, other: PerformanceCounts) -> PerformanceCounts:
        dense = self.dense() + other.dense()
        slots = np.flatnonzero(dense)
        return PerformanceCounts(slots, dense[slots], self.sums + other.sums)

    def dense(self) -> Integers:
        dense = np.zeros(WIDTH, np.int64)
        np.add.at(dense, self.slots, self.counts)
        return dense


EMPTY = PerformanceCounts(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(SUMS))


@dataclasses.dataclass(frozen=True)
class GroupedCounts:
    """The counts of several groups, one behind the other: those of group i are the entries from `ends[i]` to
    `ends[i + 1]` of `slots` and `counts`, and row i of `sums` (groups × SUMS)."""

    ends: Integers
    slots: Integers
    counts: Integers
    sums: Floats

    def __len__(self) -> int:
        return len(self.sums)

    def __getitem__(self, group: int) -> PerformanceCounts:
        mine = slice(*self.ends[group : group + 2])
        return PerformanceCounts(self.slots[mine], self.counts[mine], self.sums[group])

    def labelled(self) -> Integers:
        """How many labels each group got."""
        at = np.flatnonzero(self.slots == LABELLED)
        found = np.zeros(len(self), np.int64)
        found[np.searchsorted(self.ends, at, side="right") - 1] = self.counts[at]
        return found


def count(task: Task, threshold: float, outcomes: Outcomes) -> PerformanceCounts:
    """The counts of all `outcomes` together."""
    return count_groups(task, threshold, outcomes, np.zeros(len(outcomes), np.int64), 1)[0]


def count_groups(task: Task, threshold: float, outcomes: Outcomes, groups: Integers, size: int) -> GroupedCounts:
    """The counts of each group 0 … size - 1 of `outcomes`.

    The predicted class of a binary classifier is the one that was given; where none was, `score >= threshold`
    (`scores.answers`). Outcomes of a regression without a number on both sides are left out.
    """
    tally = _Tally(size)
    if task == "regression":
        paired = np.isfinite(outcomes.score) & np.isfinite(outcomes.target)
        outcomes, groups = outcomes.where(paired), groups[paired]
    tally.add_few(LABELLED, groups, outcomes.sign)
    if outcomes.delay is not None:
        tally.add(DELAYS + delay_slots(outcomes.delay), groups, outcomes.sign)
    if task == "regression":
        _count_regression(outcomes, groups, tally)
        return tally.counts()
    if task == "binary":
        _count_binary(threshold, outcomes, groups, tally)
    else:
        _count_multiclass(outcomes, groups, tally)
    decided = outcomes.decided
    tally.add_few(DECIDED, groups[decided], outcomes.sign[decided])
    right = decided & outcomes.right
    tally.add_few(RIGHT, groups[right], outcomes.sign[right])
    return tally.counts()


def delay_slots(delay: Floats) -> Integers:
    """Places within the DELAYS slots of delays in seconds (NaN: unknown)."""
    slots = np.searchsorted(DELAY_EDGES[1:], delay, side="right") + 1
    slots[delay < 0] = 0
    slots[np.isnan(delay)] = DELAY_SLOTS - 1
    return slots


class _Tally:
    """Contributions of +1 or -1 to slots of groups, added up at the end."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._keys: list[Integers] = []
        self._few = np.zeros((size, HISTOGRAM))
        self._sums = np.zeros((size, SUMS))

    def add_few(self, slots: int | Integers, groups: Integers, signs: Integers) -> None:
        """For the slots before HISTOGRAM, which nearly every outcome adds to: counted at once, without sorting."""
        added = np.bincount(groups * HISTOGRAM + slots, signs, self._size * HISTOGRAM)
        self._few += added.reshape(self._size, HISTOGRAM)

    def add(self, slots: int | Integers, groups: Integers, signs: Integers) -> None:
        # The sign is the last bit: plain integers sort several times faster than places do.
        self._keys.append((groups * WIDTH + slots) * 2 + (signs < 0))

    def sum(self, entry: int, groups: Integers, values: Floats) -> None:
        self._sums[:, entry] += np.bincount(groups, values, self._size)

    def sum_entries(self, entries: Integers, groups: Integers, values: Floats) -> None:
        self._sums += np.bincount(groups * SUMS + entries, values, self._size * SUMS).reshape(self._size, SUMS)

    def counts(self) -> GroupedCounts:
        groups, slots = np.nonzero(self._few)
        keys, totals = [groups * WIDTH + slots], [self._few[groups, slots].astype(np.int64)]
        if self._keys:
            signed, times = np.unique(np.concatenate(self._keys), return_counts=True)
            several, first = np.unique(signed >> 1, return_index=True)
            added = np.where(signed & 1, -times, times)
            keys.append(several)
            totals.append(np.add.reduceat(added, first) if len(first) else added)
        together, found = np.concatenate(keys), np.concatenate(totals)
        order = np.argsort(together)
        together, found = together[order], found[order]
        together, found = together[found != 0], found[found != 0]
        ends = np.searchsorted(together, np.arange(self._size + 1) * WIDTH)
        return GroupedCounts(ends, together % WIDTH, found, self._sums)


def _count_binary(threshold: float, outcomes: Outcomes, groups: Integers, tally: _Tally) -> None:
    scored = ~np.isnan(outcomes.score)
    scale = outcomes.scale if outcomes.scale is not None else np.zeros(len(outcomes), np.int64)
    given = outcomes.decided & ~(scored & (scale == scores.Scale.UNMARKED))
    predicted = np.where(given, outcomes.predicted, scores.answers(outcomes.score, scale, threshold))
    known = scored | outcomes.decided
    cell = np.where(
        outcomes.positive,
        np.where(predicted, TRUE_POSITIVE, FALSE_NEGATIVE),
        np.where(predicted, FALSE_POSITIVE, TRUE_NEGATIVE),
    )
    tally.add_few(cell[known], groups[known], outcomes.sign[known])
    ranked = dataclasses.replace(outcomes, score=scores.on_one_scale(outcomes.score, scale))
    _count_scores(ranked, outcomes.positive, groups, tally)
    chances = scores.probabilities(ranked.score, scale)
    likely = ~np.isnan(chances)
    where, sign, positive, chance = groups[likely], outcomes.sign[likely], outcomes.positive[likely], chances[likely]
    tally.add_few(PROBABILITIES, where, sign)
    # The clipping of scikit-learn's log_loss, so that the two agree on 0 and 1.
    epsilon = np.finfo(np.float64).eps
    clipped = np.clip(chance, epsilon, 1 - epsilon)
    loss: Floats = -np.where(positive, np.log(clipped), np.log1p(-clipped))
    tally.sum(LOG_LOSS, where, loss * sign)
    gap = chance - positive
    tally.sum(BRIER, where, gap**2 * sign)
    bins = np.minimum((chance * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    tally.sum_entries(GAPS + bins, where, gap * sign)


def _count_multiclass(outcomes: Outcomes, groups: Integers, tally: _Tally) -> None:
    if outcomes.label_class is not None and outcomes.predicted_class is not None:
        known = outcomes.decided
        cell = CONFUSION + outcomes.label_class[known] * CLASSES + outcomes.predicted_class[known]
        tally.add(cell, groups[known], outcomes.sign[known])
    decided = outcomes.where(outcomes.decided)
    _count_scores(decided, decided.right, groups[outcomes.decided], tally)


def _count_scores(outcomes: Outcomes, upper: Flags, groups: Integers, tally: _Tally) -> None:
    """The two score histograms; `upper` says which of them an outcome belongs to."""
    scored = ~np.isnan(outcomes.score)
    part = outcomes.where(scored)
    bounded = np.clip(part.score, -1.7e308, 1.7e308)
    tally.add(HISTOGRAM + upper[scored] * SCORE_SLOTS + _CODER.finite(bounded), groups[scored], part.sign)


def _count_regression(outcomes: Outcomes, groups: Integers, tally: _Tally) -> None:
    error, target = outcomes.score - outcomes.target, outcomes.target
    for entry, values in (
        (ERROR, error),
        (ABSOLUTE, np.abs(error)),
        (SQUARED, error**2),
        (TARGET, target),
        (TARGET_SQUARED, target**2),
    ):
        tally.sum(entry, groups, outcomes.sign * values)
    levels = sorted(outcomes.quantiles)
    for level in levels:
        values = outcomes.quantiles[level]
        known = ~np.isnan(values)
        tally.add(QUANTILES + level, groups[known], outcomes.sign[known])
        below = known & (target <= values)
        tally.add(QUANTILES + LEVELS + level, groups[below], outcomes.sign[below])
    pair = interval(levels)
    if pair is not None:
        low, high = (outcomes.quantiles[level] for level in pair)
        known = ~(np.isnan(low) | np.isnan(high))
        tally.add(INTERVALS, groups[known], outcomes.sign[known])
        inside = known & (low <= target) & (target <= high)
        tally.add(COVERED, groups[inside], outcomes.sign[inside])


def interval(levels: list[int]) -> tuple[int, int] | None:
    """The outermost pair of quantile levels around the median; null without one on each side."""
    return (levels[0], levels[-1]) if levels and levels[0] < LEVELS // 2 < levels[-1] else None
