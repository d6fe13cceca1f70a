"""Estimated performance, before labels: what the scores of a window promise by a calibration fitted on the reference.

Confidence-based performance estimation (CBPE, NannyML's name for it): an isotonic calibration turns each score into
the probability that the label is positive, and the expected confusion table and ROC follow from sums over the scores.
Here the calibration is fitted on the binned reference and the sums run over the window's score histogram, so that no
row is read. It holds as long as the labels given the scores are distributed as in the reference (no concept drift).

Which scores are answered positive is what the reference's answers show: the manifest's threshold, or another one where
the predictions that the reference gives follow that (a team's own). Where they follow none, accuracy, precision, recall
and F1 cannot be estimated from scores, and say so. Logits and percentages are read as probabilities
(`store.monitor.scores`).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from store.catalog.manifest import ModelManifest
from store.monitor import performance, scores
from store.monitor.bins import SCORE, FeatureBins, Floats, Integers
from store.monitor.given import known_scale
from store.monitor.outcomes import FALSE_POSITIVE, SCORE_EDGES, TRUE_NEGATIVE, TRUE_POSITIVE, Task
from store.monitor.reference import Reference
from store.monitor.scores import Scale

#: Metrics that can be estimated from scores alone.
METRICS: dict[str, tuple[str, ...]] = {
    "binary": ("auc", "average_precision", "log_loss", "brier", "accuracy", "precision", "recall", "f1"),
    "multiclass": ("accuracy",),
    "regression": ("mae", "rmse"),
}
#: Two-sided 95 %.
_WIDTH = 1.959964
_DRAWS = 128
_SEED = 20130917
#: Fewer labelled predictions in the reference make no calibration.
MIN_LABELLED = 30


class Estimate(NamedTuple):
    """A metric that is expected, with the 95 % band of what labels would show; null with why."""

    value: float | None
    lower: float | None = None
    upper: float | None = None
    why: str = ""


@dataclasses.dataclass(frozen=True)
class Calibration:
    """For each cell (a slot of the score histogram, cut at the threshold): which share of the slot's rows lies in it,
    the probability that the label is positive (multiclass: that the answer is right), and the mean score.

    `slot`, `share`, `probability`, `score` and `positive` (the predicted class) are by cell, in ascending
    order of scores;
    `error` (draws × cells) is how far the probability may be off, since the reference is a sample too.
    """

    task: Task
    slot: Integers
    share: Floats
    probability: Floats
    score: Floats
    positive: npt.NDArray[np.bool_]
    error: Floats
    noise: Floats
    unit: bool
    """All scores lie between 0 and 1, or can be read so."""
    undecided: str = ""
    """Why it is not known which scores are answered positive."""

    def estimate(self, names: tuple[str, ...], counts: Integers) -> dict[str, Estimate]:
        """The metrics `names` expected of a window whose score feature has `counts` by slot."""
        rows = counts[self.slot] * self.share
        total = float(rows.sum())
        if not total:
            return dict.fromkeys(names, Estimate(None, why="no scores"))
        chance = self.probability
        positive = rows * chance
        spread = np.sqrt(rows * chance * (1 - chance))
        draws = positive + rows * self.error + spread * self.noise
        found = {}
        for name in names:
            if name not in METRICS[self.task]:
                why = "needs the probability of every class" if self.task == "multiclass" else "needs labels"
                found[name] = Estimate(None, why=why)
                continue
            expected, why = self._metric(name, rows, positive[None, :])
            if expected is None:
                found[name] = Estimate(None, why=why)
                continue
            drawn, _ = self._metric(name, rows, draws)
            off = float(np.nanstd(drawn)) * _WIDTH if drawn is not None else float("nan")
            value = float(expected[0])
            low, high = value - off, value + off
            if name != "log_loss":
                low, high = max(0.0, low), min(1.0, high)
            found[name] = Estimate(value, max(0.0, low), high)
        return found

    def _metric(self, name: str, rows: Floats, positive: Floats) -> tuple[Floats | None, str]:
        """A metric for each row of `positive` (draws × cells): how many of the cell's `rows` are positive."""
        negative = rows - positive
        total = rows.sum()
        if self.task == "multiclass":
            return positive.sum(axis=1) / total, ""
        if name in ("log_loss", "brier"):
            if not self.unit:
                return None, "scores lie outside 0 to 1"
            chance = np.clip(self.score, 1e-15, 1 - 1e-15)
            hit, miss = ((1 - chance) ** 2, chance**2) if name == "brier" else (-np.log(chance), -np.log1p(-chance))
            return (positive @ hit + negative @ miss) / total, ""
        positives, negatives = positive.sum(axis=1), negative.sum(axis=1)
        if name in ("auc", "average_precision"):
            if not positives[0] or not negatives[0]:
                return None, "only one class among the reference's labels"
            with np.errstate(divide="ignore", invalid="ignore"):
                if name == "auc":
                    below = np.cumsum(negative, axis=1) - negative / 2
                    return (positive * below).sum(axis=1) / (positives * negatives), ""
                hits = np.cumsum(positive[:, ::-1], axis=1)
                answers = np.cumsum(rows[::-1])
                precision = np.divide(hits, answers, out=np.zeros_like(hits), where=answers > 0)
                return (precision * positive[:, ::-1]).sum(axis=1) / positives, ""
        if self.undecided:
            return None, self.undecided
        yes = self.positive
        table = [(negative * ~yes), (negative * yes), (positive * ~yes), (positive * yes)]
        cells = [part.sum(axis=1) for part in table]
        first, why = performance.from_confusion(name, *(float(cell[0]) for cell in cells))
        if first is None:
            return None, why
        values = [performance.from_confusion(name, *row)[0] for row in np.stack(cells, axis=1).tolist()]
        return np.array([np.nan if value is None else value for value in values]), ""


class _Fitted(NamedTuple):
    """An isotonic fit: `probability` and `block` by cell, `rows` and `positives` by block."""

    probability: Floats
    block: Integers
    rows: Floats
    positives: Floats


def isotonic(rows: Floats, positives: Floats) -> _Fitted:
    """The non-decreasing probabilities that fit `positives` of `rows` best, cell by cell (all `rows` above 0).

    Pool adjacent violators (Ayer et al. 1955); the same as scikit-learn's IsotonicRegression on these sums.
    """
    held: list[list[float]] = []
    width: list[int] = []
    for count, hits in zip(rows.tolist(), positives.tolist(), strict=True):
        held.append([count, hits])
        width.append(1)
        while len(held) > 1 and held[-2][1] * held[-1][0] >= held[-1][1] * held[-2][0]:
            count, hits = held.pop()
            held[-1][0] += count
            held[-1][1] += hits
            last = width.pop()
            width[-1] += last
    blocks = np.array(held, np.float64).reshape(-1, 2)
    block = np.repeat(np.arange(len(width)), width)
    return _Fitted((blocks[:, 1] / blocks[:, 0])[block], block, blocks[:, 0], blocks[:, 1])


def calibration(reference: Reference, manifest: ModelManifest) -> tuple[Calibration | None, str]:
    """(the calibration of a classifier by its reference, why there is none). Worked out once a reference."""
    scale = known_scale(manifest, reference.features, reference.counts) or Scale.PROBABILITY
    return _calibration(_Key(reference, manifest.task, manifest.threshold, scale))


@dataclasses.dataclass(frozen=True)
class _Key:
    """What a calibration depends on, told apart by the reference's identity."""

    reference: Reference = dataclasses.field(hash=False, compare=False)
    task: Task
    threshold: float
    scale: Scale
    identity: str = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "identity", self.reference.identity)


@functools.lru_cache(maxsize=128)
def _calibration(key: _Key) -> tuple[Calibration | None, str]:
    reference = key.reference
    feature = reference.by_name.get(SCORE)
    if feature is None or feature.kind != "score":
        return None, "the model gives no scores"
    dense = reference.performance.dense()
    negative, positive = (part.astype(np.float64) for part in performance.histograms(dense))
    rows = negative + positive
    if rows.sum() < MIN_LABELLED:
        return None, "the reference holds no labels with scores to calibrate on"
    scale = key.scale
    edges = scores.on_one_scale(np.asarray(feature.edges, np.float64), scale)
    threshold: float | None = scores.threshold_on(scale, key.threshold)
    if key.task == "binary":
        threshold = answered_from(threshold or 0.0, rows, positive, dense)
    undecided = "" if threshold is not None else "the reference's predictions follow no threshold of its scores"
    made = _fit(key.task, key.threshold if threshold is None else threshold, feature, edges, rows, positive)
    return dataclasses.replace(made, undecided=undecided), ""


#: Answers follow a threshold where at most this share of the reference's rows says otherwise.
_UNEXPLAINED = 0.02


def answered_from(threshold: float, rows: Floats, positive: Floats, dense: Integers) -> float | None:
    """The score from which the reference's predictions are positive: `threshold` where it explains how many are, else
    the edge of the histogram that does; None where none does. `rows` and `positive` are by slot of SCORE_EDGES."""
    cells = dense[TRUE_NEGATIVE : TRUE_POSITIVE + 1]
    answered = int(dense[FALSE_POSITIVE] + dense[TRUE_POSITIVE])
    lower = np.concatenate([[-np.inf], SCORE_EDGES])
    upper = np.concatenate([SCORE_EDGES, [np.inf]])
    # Predictions without a score, and scores without a prediction, may be anywhere.
    slack = abs(float(cells.sum() - rows.sum()))
    if rows[lower >= threshold].sum() - slack <= answered <= rows[upper > threshold].sum() + slack:
        return threshold
    at_least, hits = np.cumsum(rows[::-1])[::-1], np.cumsum(positive[::-1])[::-1]
    off = np.abs(at_least - answered)
    # The first edge is below every score; nothing is positive from infinity on.
    place = int(np.argmin(np.append(off[1:], answered))) + 1
    unexplained = (off[place] + abs(hits[place] - dense[TRUE_POSITIVE])) if place < len(off) else float(answered)
    if unexplained > _UNEXPLAINED * rows.sum() + slack:
        return None
    return float(lower[place]) if place < len(off) else np.inf


def _fit(
    task: Task, threshold: float, feature: FeatureBins, edges: Floats, rows: Floats, positive: Floats
) -> Calibration:
    """`edges` are the feature's, on the scale of the histogram `rows` (`scores.on_one_scale`)."""
    middles = np.concatenate([SCORE_EDGES[:1], (SCORE_EDGES[:-1] + SCORE_EDGES[1:]) / 2, SCORE_EDGES[-1:]])
    occupied = np.flatnonzero(rows)
    at, count = middles[occupied], rows[occupied]
    # A cell that holds the end of the range has no score outside it.
    at = np.clip(at, edges[0], edges[-1])
    fit = isotonic(count, positive[occupied])
    # Slots of the reference's cells, and whether they lie at or above the threshold.
    slot = np.clip(np.searchsorted(edges, at, side="right"), 1, feature.bins)
    yes = (SCORE_EDGES[np.maximum(occupied - 1, 0)] >= threshold) if task == "binary" else np.zeros(len(at), bool)
    straddling = ~yes & (at >= threshold) if task == "binary" else yes
    yes = yes | straddling
    # Every slot is cut at the threshold: two cells, one of them mostly empty.
    size = 2 * (feature.bins + 2)
    cell = 2 * slot + yes
    held = np.bincount(cell, count, size)
    weight = np.zeros((size, len(fit.rows)))
    np.add.at(weight, (cell, fit.block), count)
    with np.errstate(invalid="ignore", divide="ignore"):
        weight /= held[:, None]
        score = np.bincount(cell, count * at, size) / held
    slots = np.repeat(np.arange(feature.bins + 2), 2)
    half = np.tile([0, 1], feature.bins + 2).astype(bool)
    bounds = np.concatenate([[edges[0]], (edges[:-1] + edges[1:]) / 2, [edges[-1]]])
    whole = held.reshape(-1, 2).sum(axis=1)
    # Where the reference has no row, all of the slot is on the side its middle is on, with the nearest probability.
    empty = held == 0
    alone = (bounds >= threshold) if task == "binary" else np.zeros(len(bounds), bool)
    share = np.where((whole > 0)[slots], held / np.maximum(whole, 1)[slots], (half == alone[slots]).astype(np.float64))
    score = np.where(empty, bounds[slots], score)
    nearest = np.clip(np.searchsorted(at, score), 0, len(at) - 1)
    nearest_block = np.zeros_like(weight)
    nearest_block[np.arange(size), fit.block[nearest]] = 1.0
    weight = np.where(empty[:, None], nearest_block, weight)
    # The sampling error of a block, with one of each class added so that no block is certain.
    smooth = (fit.positives + 1) / (fit.rows + 2)
    deviation = np.sqrt(smooth * (1 - smooth) / (fit.rows + 2))
    generator = np.random.default_rng(_SEED)
    error = (generator.standard_normal((_DRAWS, len(deviation))) * deviation) @ weight.T
    kept = share > 0
    return Calibration(
        task,
        slots[kept],
        share[kept],
        (weight @ (fit.positives / fit.rows))[kept],
        score[kept],
        half[kept],
        error[:, kept],
        generator.standard_normal((_DRAWS, int(kept.sum()))),
        bool(edges[0] >= 0 and edges[-1] <= 1),
    )


def of_errors(names: tuple[str, ...], rows: int, sums: Floats) -> dict[str, Estimate]:
    """MAE and RMSE from expected errors of `rows` predictions: `sums` are Σ|e|, Σe², and the variances of both."""
    found = dict.fromkeys(names, Estimate(None, why="needs labels"))
    if not rows:
        return dict.fromkeys(names, Estimate(None, why="no predictions"))
    absolute, squared, absolute_variance, squared_variance = (float(value) for value in sums)
    if "mae" in names:
        mean, off = absolute / rows, _WIDTH * math.sqrt(max(0.0, absolute_variance)) / rows
        found["mae"] = Estimate(mean, max(0.0, mean - off), mean + off)
    if "rmse" in names:
        mean, off = squared / rows, _WIDTH * math.sqrt(max(0.0, squared_variance)) / rows
        value, low, high = (math.sqrt(max(0.0, part)) for part in (mean, mean - off, mean + off))
        found["rmse"] = Estimate(value, low, high)
    return found
