"""Realised performance as sums that add: score histograms per class, confusion counts, sums of losses."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from store.monitor.bins import SCORE_EDGES, Floats, Integers, NumericCoder

Task = Literal["binary", "multiclass", "regression"]
Flags = npt.NDArray[np.bool_]

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
    """The counts of `outcomes`. Where a score is known the class is `score >= threshold`, else the predicted one."""
    dense, sums = np.zeros(WIDTH, np.int64), np.zeros(SUMS)
    if task == "regression":
        paired = outcomes.where(np.isfinite(outcomes.score) & np.isfinite(outcomes.target))
        error, sign = paired.score - paired.target, paired.sign
        dense[LABELLED] = sign.sum()
        sums[ERROR], sums[ABSOLUTE] = (sign * error).sum(), (sign * np.abs(error)).sum()
        sums[SQUARED], sums[TARGET] = (sign * error**2).sum(), (sign * paired.target).sum()
        sums[TARGET_SQUARED] = (sign * paired.target**2).sum()
    else:
        dense[LABELLED] = outcomes.sign.sum()
        if task == "binary":
            _count_binary(threshold, outcomes, dense, sums)
        decided = outcomes.decided
        dense[DECIDED] += outcomes.sign[decided].sum()
        dense[RIGHT] += outcomes.sign[decided & outcomes.right].sum()
    slots = np.flatnonzero(dense)
    return PerformanceCounts(slots, dense[slots], sums)


def _count_binary(threshold: float, outcomes: Outcomes, dense: Integers, sums: Floats) -> None:
    scored = ~np.isnan(outcomes.score)
    predicted = np.where(scored, outcomes.score >= threshold, outcomes.predicted)
    known = scored | outcomes.decided
    for slot, truth, answer in (
        (TRUE_NEGATIVE, False, False),
        (FALSE_POSITIVE, False, True),
        (FALSE_NEGATIVE, True, False),
        (TRUE_POSITIVE, True, True),
    ):
        dense[slot] = outcomes.sign[known & (outcomes.positive == truth) & (predicted == answer)].sum()
    part = outcomes.where(scored)
    bounded = np.clip(part.score, -1.7e308, 1.7e308)
    np.add.at(dense, HISTOGRAM + part.positive * SCORE_SLOTS + _CODER.finite(bounded), part.sign)
    probable = part.where((part.score >= 0) & (part.score <= 1))
    dense[PROBABILITIES] = probable.sign.sum()
    label = probable.positive.astype(np.float64)
    # The clipping of scikit-learn's log_loss, so that the two agree on 0 and 1.
    epsilon = np.finfo(np.float64).eps
    chance = np.clip(probable.score, epsilon, 1 - epsilon)
    loss = -np.where(probable.positive, np.log(chance), np.log1p(-chance))
    sums[LOG_LOSS] = (probable.sign * loss).sum()
    sums[BRIER] = (probable.sign * (probable.score - label) ** 2).sum()


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
