"""Realised performance: every metric worked out from counts and sums of outcomes, none from raw rows."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from store.monitor.bins import Floats, Integers
from store.monitor.outcomes import (
    ABSOLUTE,
    BRIER,
    CLASSES,
    CONFUSION,
    COVERED,
    DECIDED,
    DELAY_SLOTS,
    DELAYS,
    EMPTY,
    ERROR,
    GAPS,
    HISTOGRAM,
    INTERVALS,
    LABELLED,
    LEVELS,
    LOG_LOSS,
    PROBABILITIES,
    QUANTILES,
    RIGHT,
    SCORE_SLOTS,
    SQUARED,
    SUMS,
    TARGET,
    TARGET_SQUARED,
    WIDTH,
    GroupedCounts,
    Outcomes,
    PerformanceCounts,
    Task,
    count,
    count_groups,
)

__all__ = [
    "DECIDED", "DEFAULT_LINES", "DELAYS", "DELAY_SLOTS", "EMPTY", "HISTOGRAM", "LABELLED", "LOSSES", "METRICS",
    "SCORE_SLOTS", "SUMS", "WIDTH", "GroupedCounts", "Outcomes", "PerformanceCounts", "Task", "auc",
    "average_precision", "count", "count_groups", "from_confusion", "histograms", "known_metric", "metric", "of_task",
]  # fmt: skip

METRICS: dict[str, tuple[str, ...]] = {
    "binary": ("auc", "average_precision", "log_loss", "brier", "accuracy", "precision", "recall", "f1", "ece"),
    "multiclass": ("accuracy", "precision", "recall", "f1"),
    "regression": ("mae", "rmse", "bias", "r2", "coverage"),
}
#: What a chart shows that names no metric.
DEFAULT_LINES: dict[str, tuple[str, ...]] = {
    "binary": ("auc", "log_loss"),
    "multiclass": ("accuracy", "f1"),
    "regression": ("mae", "rmse"),
}
#: Metrics of which less is better.
LOSSES = frozenset({"log_loss", "brier", "mae", "rmse", "ece"})
#: `coverage_q05`: the share of labels at or below the 5 % quantile that was predicted.
_LEVEL = re.compile(r"coverage_q(\d{1,3})")


def known_metric(name: str) -> bool:
    return any(name in names for names in METRICS.values()) or _LEVEL.fullmatch(name) is not None


def of_task(task: Task, name: str) -> bool:
    """Whether the metric belongs to the task."""
    return name in METRICS[task] or (task == "regression" and _LEVEL.fullmatch(name) is not None)


def metric(task: Task, name: str, dense: Integers, sums: Floats) -> tuple[float | None, str]:
    """(value, why there is none) of a metric from summed counts (`WIDTH`) and sums (`SUMS`).

    AUC and average precision come from the two score histograms (ties within a bin count as ties): with SCORE_EDGES
    within 1e-3 of the exact ones where scores spread (average precision of margins or of a thousand rows: 3e-3).
    Precision, recall and f1 of multiclass are macro averages over the classes that occur among labels or predictions.
    `ece` is the expected calibration error over 15 bins of equal width (Guo et al. 2017). `coverage` is the share of
    labels inside the outermost predicted quantiles. Accuracy, precision, recall and f1 of binary tasks go by the
    predictions that were given, else by the score and the model's threshold; log loss, Brier and `ece` by the
    probability that the score says (`store.monitor.scores`). The others are exact: sums over the outcomes, with
    scikit-learn's definitions (a class without answers has precision 0 in the average).
    """
    labelled = int(dense[LABELLED])
    if labelled <= 0:
        return None, "no labelled predictions"
    if task == "regression":
        return _regression(name, labelled, dense, sums)
    if task == "multiclass":
        return _multiclass(name, dense)
    return _binary(name, dense, sums)


def _regression(name: str, rows: int, dense: Integers, sums: Floats) -> tuple[float | None, str]:
    if name == "mae":
        return float(sums[ABSOLUTE]) / rows, ""
    if name == "rmse":
        return math.sqrt(max(0.0, float(sums[SQUARED])) / rows), ""
    if name == "bias":
        return float(sums[ERROR]) / rows, ""
    if name.startswith("coverage"):
        return _coverage(name, dense)
    spread = float(sums[TARGET_SQUARED]) - float(sums[TARGET]) ** 2 / rows
    return (1 - float(sums[SQUARED]) / spread, "") if spread > 0 else (None, "the labels do not vary")


def _coverage(name: str, dense: Integers) -> tuple[float | None, str]:
    level = _LEVEL.fullmatch(name)
    if level is None:
        pairs = int(dense[INTERVALS])
        return (int(dense[COVERED]) / pairs, "") if pairs else (None, "no predicted quantiles around the median")
    place = QUANTILES + round(float(f"0.{level[1]}") * LEVELS)
    seen = int(dense[place])
    return (int(dense[place + LEVELS]) / seen, "") if seen else (None, f"no predicted quantile 0.{level[1]}")


def _multiclass(name: str, dense: Integers) -> tuple[float | None, str]:
    decided = int(dense[DECIDED])
    if not decided:
        return None, "no predicted classes"
    if name == "accuracy":
        return int(dense[RIGHT]) / decided, ""
    table = dense[CONFUSION : CONFUSION + CLASSES * CLASSES].reshape(CLASSES, CLASSES)
    hit, labels, answers = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    occurs = (labels > 0) | (answers > 0)
    if not occurs.any():
        return None, "the classes of these labels were not counted"
    bottom = {"precision": answers, "recall": labels, "f1": (labels + answers) / 2}[name]
    return float(np.mean(np.divide(hit, bottom, out=np.zeros(CLASSES), where=bottom > 0)[occurs])), ""


def _binary(name: str, dense: Integers, sums: Floats) -> tuple[float | None, str]:
    if name in ("auc", "average_precision"):
        negative, positive = histograms(dense)
        return auc(negative, positive) if name == "auc" else average_precision(negative, positive)
    if name in ("log_loss", "brier", "ece"):
        rows = int(dense[PROBABILITIES])
        scored = int(dense[HISTOGRAM:CONFUSION].sum())
        if not rows:
            return None, "the scores are no probabilities" if scored else "no scores"
        if rows < scored:
            return None, f"{scored - rows} scores lie outside 0 to 1"
        if name == "ece":
            return float(np.abs(sums[GAPS:]).sum()) / rows, ""
        return float(sums[LOG_LOSS if name == "log_loss" else BRIER]) / rows, ""
    return from_confusion(name, *(float(dense[slot]) for slot in range(1, 5)))


def from_confusion(
    name: str, negative: float, false_positive: float, missed: float, positive: float
) -> tuple[float | None, str]:
    """Accuracy, precision, recall or f1 of a binary confusion table (expected counts may be fractions)."""
    everything = negative + false_positive + missed + positive
    top, bottom, why = {
        "accuracy": (negative + positive, everything, "no predicted classes"),
        "precision": (positive, positive + false_positive, "nothing was predicted positive"),
        "recall": (positive, positive + missed, "no positive labels"),
        "f1": (2 * positive, 2 * positive + false_positive + missed, "no positive labels or predictions"),
    }[name]
    return (top / bottom, "") if bottom else (None, why)


def histograms(dense: Integers) -> tuple[Integers, Integers]:
    """Score histograms (of negatives, of positives; if multiclass of wrong, of right answers)."""
    return dense[HISTOGRAM : HISTOGRAM + SCORE_SLOTS], dense[HISTOGRAM + SCORE_SLOTS : CONFUSION]


def auc(negative: npt.NDArray[Any], positive: npt.NDArray[Any]) -> tuple[float | None, str]:
    """Area under the ROC curve from two histograms over the same ascending bins (ties count half, as in
    Mann-Whitney's U). It is off by at most half the share of pairs (a positive, a negative) that lie in one bin."""
    negatives, positives = float(negative.sum()), float(positive.sum())
    if not negatives + positives:
        return None, "no scores"
    if not negatives or not positives:
        return None, "only one class among the labels"
    below = np.cumsum(negative) - negative / 2
    return float((positive * below).sum() / (negatives * positives)), ""


def average_precision(negative: npt.NDArray[Any], positive: npt.NDArray[Any]) -> tuple[float | None, str]:
    """Σ (recall step × precision) from the highest bin down: scikit-learn's `average_precision_score` with every bin
    one score. Null without a positive label."""
    positives = float(positive.sum())
    if not positives:
        return None, "no positive labels" if negative.sum() else "no scores"
    hits = np.cumsum(positive[::-1])
    answers = hits + np.cumsum(negative[::-1])
    precision = np.divide(hits, answers, out=np.zeros(len(hits)), where=answers > 0)
    return float((precision * positive[::-1]).sum() / positives), ""
