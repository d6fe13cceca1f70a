"""What the scores of a binary classifier are: probabilities, percentages, logits, or numbers that only rank."""

from __future__ import annotations

import enum

import numpy as np

from store.monitor.bins import Floats, Integers, Marks


class Scale(enum.IntEnum):
    """How a score is read. The numbers are stored (monitor_prediction.score_scale): never change them."""

    PROBABILITY = 0
    PERCENT = 1
    LOGIT = 2
    OTHER = 3
    """It ranks; no probability follows from it."""
    UNMARKED = 255
    """Recorded before scales were kept: a probability where it lies in 0 to 1, and the answer is `score >= threshold`
    even where a prediction was given (what was counted so must be taken back so)."""


#: What rounding does to a probability.
ROUNDING = 1e-6
#: Scores outside 0 to 1 are single mistakes up to this share; beyond it they have another scale.
_MISTAKES = 0.05
#: A scale fits where it holds for this share of the scores.
_NEARLY_ALL = 0.99
#: Logits of trained classifiers lie within: 16 is a probability of 1 - 1e-7.
_LOGIT_REACH = 16.0
#: Non-negative scores that stay below might be logits of likely events, or percentages of rare ones.
_PLAINLY_PERCENT = 20.0
#: Fewer scores than this within 0 to 1 say nothing against the scale that the reference has.
_EVIDENCE = 50


def scale_of(scores: Floats, known: Scale | None = None) -> Scale:
    """The scale of scores (or of their quantiles); NaN and infinities say nothing.

    Up to 5 % outside 0 to 1 are mistakes among probabilities. Else scores that go below 0 and above it, 99 % of them
    within ±16, are logits; those from 0 to 100 that pass 20, percentages; anything else only ranks. `known` is what
    the reference's scores are: it decides wherever these scores fit it, unless 50 or more of them are probabilities.
    """
    finite = scores[np.isfinite(scores)]
    if not len(finite):
        return known if known is not None else Scale.PROBABILITY
    inside = (finite >= -ROUNDING) & (finite <= 1 + ROUNDING)
    if inside.mean() >= 1 - _MISTAKES and (known is None or len(finite) >= _EVIDENCE):
        return Scale.PROBABILITY
    percent = ((finite >= 0) & (finite <= 100)).mean() >= _NEARLY_ALL
    logit = (np.abs(finite) <= _LOGIT_REACH).mean() >= _NEARLY_ALL
    if (known is Scale.PERCENT and percent) or (known is Scale.LOGIT and logit):
        return known
    if inside.mean() >= 1 - _MISTAKES:
        return Scale.PROBABILITY
    if percent and finite.max() > _PLAINLY_PERCENT:
        return Scale.PERCENT
    signs = (finite < 0).any() and (finite > 0).any()
    return Scale.LOGIT if logit and signs else Scale.OTHER


def logistic(values: Floats) -> Floats:
    with np.errstate(over="ignore"):
        found: Floats = 1.0 / (1.0 + np.exp(-values))
    return found


def on_one_scale(scores: Floats, scale: Integers | Scale) -> Floats:
    """Logits and percentages as probabilities, others as they are: in the same order, whichever files they are of."""
    if isinstance(scale, Scale):
        if scale is Scale.LOGIT:
            return logistic(scores)
        return scores / 100.0 if scale is Scale.PERCENT else scores
    if not ((scale == Scale.LOGIT) | (scale == Scale.PERCENT)).any():
        return scores
    found: Floats = np.where(
        scale == Scale.LOGIT, logistic(scores), np.where(scale == Scale.PERCENT, scores / 100.0, scores)
    )
    return found


def probabilities(ranked: Floats, scale: Integers) -> Floats:
    """The probability that each score of `on_one_scale` says; NaN where it says none."""
    found = np.where(scale == Scale.OTHER, np.nan, ranked)
    exact = scale == Scale.UNMARKED
    low, high = np.where(exact, 0.0, -ROUNDING), np.where(exact, 1.0, 1.0 + ROUNDING)
    found = np.where((found >= low) & (found <= high), found, np.nan)
    return np.clip(found, 0.0, 1.0)


def threshold_on(scale: Scale, threshold: float) -> float:
    """The threshold for scores of `on_one_scale`. One between 0 and 1 is a probability; any other (a logit such as 0,
    a percentage such as 50) is in the unit that the scores came in."""
    if 0 < threshold < 1 or scale not in (Scale.LOGIT, Scale.PERCENT):
        return threshold
    return float(on_one_scale(np.array([threshold]), scale)[0])


def answers(scores: Floats, scale: Integers | Scale, threshold: float) -> Marks:
    """Whether each score says positive (False where there is none)."""
    if isinstance(scale, Scale):
        return _answers(scores, scale, threshold)
    found = np.asarray(scores >= threshold)
    for converted in (Scale.LOGIT, Scale.PERCENT):
        mine = scale == converted
        if mine.any():
            found[mine] = _answers(scores[mine], converted, threshold)
    return found


def _answers(scores: Floats, scale: Scale, threshold: float) -> Marks:
    if scale is Scale.LOGIT and 0 < threshold < 1:
        # Not the logistic of the score: it rounds next to 0.
        return np.asarray(scores >= np.log(threshold / (1 - threshold)))
    if scale is Scale.PERCENT and 0 < threshold < 1:
        return np.asarray(scores / 100.0 >= threshold)
    return np.asarray(scores >= threshold)
