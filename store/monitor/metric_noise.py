"""The sampling error of performance metrics, from the same counts and sums that the metrics come of."""

from __future__ import annotations

import functools
import math

import numpy as np

from store.monitor import performance
from store.monitor.bins import Floats, Integers
from store.monitor.outcomes import (
    ABSOLUTE,
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    PROBABILITIES,
    SCORE_EDGES,
    SQUARED,
    TRUE_NEGATIVE,
    TRUE_POSITIVE,
)

#: The noise floor of a metric is its 95 % quantile of chance, as that of a statistic of drift is: one-sided.
NORMAL_95 = 1.6448536269514722


def noise_floor(current: float | None, reference: float | None) -> float | None:
    """What chance alone makes a metric worse by, in one case of twenty: both samples have an error."""
    if current is None:
        return None
    return NORMAL_95 * math.hypot(current, reference or 0.0)


def standard_error(name: str, value: float, task: performance.Task, dense: Integers, sums: Floats) -> float | None:
    """Of a metric's `value`, which came of `dense` and `sums`; null where none is known (ece, r2, macro averages).

    AUC: Hanley & McNeil 1982. Average precision: the binomial of Boyd, Eng & Page 2013. Means of losses: the
    spread of the losses, for log loss and Brier of the binned scores. RMSE: as if errors were normal. Shares and F1:
    ratio estimators over the cells of the confusion table (Cochran 1977, 6.4).
    """
    labelled = int(dense[performance.LABELLED])
    if labelled <= 0:
        return None
    if task == "regression":
        return _of_errors(name, value, labelled, sums)
    if task == "multiclass":
        decided = int(dense[performance.DECIDED])
        return math.sqrt(value * (1 - value) / decided) if name == "accuracy" and decided else None
    if name == "auc":
        return auc_error(value, dense)
    if name == "average_precision":
        positives = int(performance.histograms(dense)[1].sum())
        return math.sqrt(value * (1 - value) / positives) if positives else None
    if name in ("log_loss", "brier"):
        return _of_losses(name, dense)
    return _of_ratio(name, value, dense)


def auc_error(value: float, dense: Integers) -> float:
    """Standard error of an AUC (Hanley & McNeil 1982) from the score histograms in `dense`."""
    negatives, positives = (max(1, int(part.sum())) for part in performance.histograms(dense))
    one, two = value / (2 - value), 2 * value**2 / (1 + value)
    variance = value * (1 - value) + (positives - 1) * (one - value**2) + (negatives - 1) * (two - value**2)
    return math.sqrt(max(0.0, variance) / (negatives * positives))


def _of_errors(name: str, value: float, rows: int, sums: Floats) -> float | None:
    if name == "rmse":
        return value / math.sqrt(2 * rows)
    if name == "mae":
        return math.sqrt(max(0.0, float(sums[SQUARED]) / rows - (float(sums[ABSOLUTE]) / rows) ** 2) / rows)
    if name == "bias":
        return math.sqrt(max(0.0, float(sums[SQUARED]) / rows - value**2) / rows)
    if name.startswith("coverage"):
        return math.sqrt(value * (1 - value) / rows)
    return None


@functools.cache
def _score_losses() -> dict[str, tuple[Floats, Floats]]:
    """Loss by score slot, of negatives and of positives, at the middle of the slot."""
    edges = np.clip(SCORE_EDGES, 0.0, 1.0)
    middles = np.concatenate([edges[:1], (edges[:-1] + edges[1:]) / 2, edges[-1:]])
    chance = np.clip(middles, np.finfo(np.float64).eps, 1 - np.finfo(np.float64).eps)
    return {
        "log_loss": (-np.log1p(-chance), -np.log(chance)),
        "brier": (middles**2, (1 - middles) ** 2),
    }


def _of_losses(name: str, dense: Integers) -> float | None:
    rows = int(dense[PROBABILITIES])
    if rows <= 0:
        return None
    first = second = 0.0
    for counts, losses in zip(performance.histograms(dense), _score_losses()[name], strict=True):
        rows_of = counts.astype(np.float64)
        first += float(rows_of @ losses)
        second += float(rows_of @ losses**2)
    return math.sqrt(max(0.0, second / rows - (first / rows) ** 2) / rows)


def _of_ratio(name: str, value: float, dense: Integers) -> float | None:
    cells = {slot: int(dense[slot]) for slot in (TRUE_NEGATIVE, FALSE_POSITIVE, FALSE_NEGATIVE, TRUE_POSITIVE)}
    tops: dict[str, tuple[dict[int, float], dict[int, float]]] = {
        "accuracy": ({TRUE_NEGATIVE: 1, TRUE_POSITIVE: 1}, dict.fromkeys(cells, 1)),
        "precision": ({TRUE_POSITIVE: 1}, {TRUE_POSITIVE: 1, FALSE_POSITIVE: 1}),
        "recall": ({TRUE_POSITIVE: 1}, {TRUE_POSITIVE: 1, FALSE_NEGATIVE: 1}),
        "f1": ({TRUE_POSITIVE: 2}, {TRUE_POSITIVE: 2, FALSE_POSITIVE: 1, FALSE_NEGATIVE: 1}),
    }
    if name not in tops:
        return None
    top, bottom = tops[name]
    whole = sum(count * bottom.get(cell, 0.0) for cell, count in cells.items())
    if whole <= 0:
        return None
    squares = sum(count * (top.get(cell, 0.0) - value * bottom.get(cell, 0.0)) ** 2 for cell, count in cells.items())
    return math.sqrt(squares) / whole
