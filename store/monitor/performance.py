"""Realised performance as sums that add: score histograms per class, confusion counts, sums of losses."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

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

#: Slots of the counts. `LABELLED` is common to all tasks, the rest is for classifiers.
LABELLED, TRUE_NEGATIVE, FALSE_POSITIVE, FALSE_NEGATIVE, TRUE_POSITIVE, PROBABILITIES, RIGHT, DECIDED = range(8)
HISTOGRAM = 8
#: Score slots a class: below, the bins of SCORE_EDGES, above.
SCORE_SLOTS = len(SCORE_EDGES) + 1
#: Entries of the sums: log loss and Brier of binary classifiers; errors of regressions.
LOG_LOSS, BRIER, ERROR, ABSOLUTE, SQUARED, TARGET, TARGET_SQUARED = range(7)
SUMS = 7
WIDTH = HISTOGRAM + 2 * SCORE_SLOTS

METRICS: dict[str, tuple[str, ...]] = {
    "binary": ("auc", "log_loss", "brier", "accuracy", "precision", "recall", "f1"),
    "multiclass": ("accuracy",),
    "regression": ("mae", "rmse", "bias", "r2"),
}
#: Metrics of which less is better.
LOSSES = frozenset({"log_loss", "brier", "mae", "rmse"})

_CODER = NumericCoder(SCORE_EDGES.tolist())


@dataclasses.dataclass(frozen=True)
class Outcomes:
    """Predictions with their labels, one entry a pair; NaN in `score` where there is none.

    `sign` is +1 where a label arrives and -1 where a corrected one is taken back. Classifiers use
    `positive` (the label), `predicted` and `decided` (the predicted class is positive; whether one is known) and
    `right` (predicted class equals label); regressions use `score` as the predicted and `target` as the true value.
    """

    sign: Integers
    score: Floats
    positive: Flags
    predicted: Flags
    decided: Flags
    right: Flags
    target: Floats

    def __len__(self) -> int:
        return len(self.sign)

    def where(self, mask: Flags) -> Outcomes:
        return Outcomes(*(getattr(self, field.name)[mask] for field in dataclasses.fields(self)))


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


def count(task: Task, threshold: float, outcomes: Outcomes) -> PerformanceCounts:
    """The counts of all `outcomes` together."""
    return count_groups(task, threshold, outcomes, np.zeros(len(outcomes), np.int64), 1)[0]


def count_groups(
    task: Task, threshold: float, outcomes: Outcomes, groups: Integers, size: int
) -> list[PerformanceCounts]:
    """The counts of each group 0 … size - 1 of `outcomes`.

    Where a score is known the predicted class is `score >= threshold`, else the predicted one. Outcomes of a
    regression without a number on both sides are left out.
    """
    tally = _Tally(size)
    if task == "regression":
        paired = np.isfinite(outcomes.score) & np.isfinite(outcomes.target)
        outcomes, groups = outcomes.where(paired), groups[paired]
        error, target = outcomes.score - outcomes.target, outcomes.target
        tally.add(LABELLED, groups, outcomes.sign)
        for entry, values in (
            (ERROR, error),
            (ABSOLUTE, np.abs(error)),
            (SQUARED, error**2),
            (TARGET, target),
            (TARGET_SQUARED, target**2),
        ):
            tally.sum(entry, groups, outcomes.sign * values)
        return tally.counts()
    tally.add(LABELLED, groups, outcomes.sign)
    if task == "binary":
        _count_binary(threshold, outcomes, groups, tally)
    decided = outcomes.decided
    tally.add(DECIDED, groups[decided], outcomes.sign[decided])
    right = decided & outcomes.right
    tally.add(RIGHT, groups[right], outcomes.sign[right])
    return tally.counts()


class _Tally:
    """Signed contributions to slots of groups, added up at the end."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._keys: list[Integers] = []
        self._signs: list[Integers] = []
        self._sums = np.zeros((size, SUMS))

    def add(self, slots: int | Integers, groups: Integers, signs: Integers) -> None:
        self._keys.append(groups * WIDTH + slots)
        self._signs.append(signs)

    def sum(self, entry: int, groups: Integers, values: Floats) -> None:
        self._sums[:, entry] += np.bincount(groups, values, self._size)

    def counts(self) -> list[PerformanceCounts]:
        keys, inverse = np.unique(np.concatenate(self._keys), return_inverse=True)
        totals = np.zeros(len(keys), np.int64)
        np.add.at(totals, inverse, np.concatenate(self._signs))
        keys, totals = keys[totals != 0], totals[totals != 0]
        ends = np.searchsorted(keys, np.arange(self._size + 1) * WIDTH)
        return [
            PerformanceCounts(keys[low:high] % WIDTH, totals[low:high], sums)
            for low, high, sums in zip(ends[:-1], ends[1:], self._sums, strict=True)
        ]


def _count_binary(threshold: float, outcomes: Outcomes, groups: Integers, tally: _Tally) -> None:
    scored = ~np.isnan(outcomes.score)
    predicted = np.where(scored, outcomes.score >= threshold, outcomes.predicted)
    known = scored | outcomes.decided
    cell = np.where(
        outcomes.positive,
        np.where(predicted, TRUE_POSITIVE, FALSE_NEGATIVE),
        np.where(predicted, FALSE_POSITIVE, TRUE_NEGATIVE),
    )
    tally.add(cell[known], groups[known], outcomes.sign[known])
    part = outcomes.where(scored)
    bounded = np.clip(part.score, -1.7e308, 1.7e308)
    tally.add(HISTOGRAM + part.positive * SCORE_SLOTS + _CODER.finite(bounded), groups[scored], part.sign)
    likely = scored & (outcomes.score >= 0) & (outcomes.score <= 1)
    probable, where = outcomes.where(likely), groups[likely]
    tally.add(PROBABILITIES, where, probable.sign)
    # The clipping of scikit-learn's log_loss, so that the two agree on 0 and 1.
    epsilon = np.finfo(np.float64).eps
    chance = np.clip(probable.score, epsilon, 1 - epsilon)
    loss: Floats = -np.where(probable.positive, np.log(chance), np.log1p(-chance))
    tally.sum(LOG_LOSS, where, loss * probable.sign)
    tally.sum(BRIER, where, (probable.score - probable.positive) ** 2 * probable.sign)


def metric(task: Task, name: str, dense: Integers, sums: Floats) -> tuple[float | None, str]:
    """(value, why there is none) of a metric from summed counts (`WIDTH`) and sums (`SUMS`).

    AUC is the area under the trapezoids of the two score histograms (ties within a bin count half, as in
    Mann-Whitney's U); with SCORE_EDGES it lies within 1e-3 of the exact one. The other metrics are exact:
    sums over the outcomes, with scikit-learn's definitions.
    """
    labelled = int(dense[LABELLED])
    if labelled <= 0:
        return None, "no labelled predictions"
    if task == "regression":
        return _regression(name, labelled, sums)
    if task == "multiclass":
        decided = int(dense[DECIDED])
        return (int(dense[RIGHT]) / decided, "") if decided else (None, "no predicted classes")
    return _binary(name, dense, sums)


def _regression(name: str, rows: int, sums: Floats) -> tuple[float | None, str]:
    if name == "mae":
        return float(sums[ABSOLUTE]) / rows, ""
    if name == "rmse":
        return math.sqrt(max(0.0, float(sums[SQUARED])) / rows), ""
    if name == "bias":
        return float(sums[ERROR]) / rows, ""
    spread = float(sums[TARGET_SQUARED]) - float(sums[TARGET]) ** 2 / rows
    return (1 - float(sums[SQUARED]) / spread, "") if spread > 0 else (None, "the labels do not vary")


def _binary(name: str, dense: Integers, sums: Floats) -> tuple[float | None, str]:
    if name == "auc":
        return auc(dense[HISTOGRAM : HISTOGRAM + SCORE_SLOTS], dense[HISTOGRAM + SCORE_SLOTS :])
    if name in ("log_loss", "brier"):
        rows = int(dense[PROBABILITIES])
        scored = int(dense[HISTOGRAM:].sum())
        if not rows:
            return None, "no scores between 0 and 1" if scored else "no scores"
        if rows < scored:
            return None, f"{scored - rows} scores lie outside 0 to 1"
        return float(sums[LOG_LOSS if name == "log_loss" else BRIER]) / rows, ""
    negative, false_positive, missed, positive = (int(dense[slot]) for slot in range(1, 5))
    everything = negative + false_positive + missed + positive
    top, bottom, why = {
        "accuracy": (negative + positive, everything, "no predicted classes"),
        "precision": (positive, positive + false_positive, "nothing was predicted positive"),
        "recall": (positive, positive + missed, "no positive labels"),
        "f1": (2 * positive, 2 * positive + false_positive + missed, "no positive labels or predictions"),
    }[name]
    return (top / bottom, "") if bottom else (None, why)


def auc(negative: npt.NDArray[Any], positive: npt.NDArray[Any]) -> tuple[float | None, str]:
    """Area under the ROC curve from two histograms over the same ascending bins."""
    negatives, positives = float(negative.sum()), float(positive.sum())
    if not negatives + positives:
        return None, "no scores"
    if not negatives or not positives:
        return None, "only one class among the labels"
    below = np.cumsum(negative) - negative / 2
    return float((positive * below).sum() / (negatives * positives)), ""
