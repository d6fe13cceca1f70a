"""Anytime-valid test of one feature over a watch: e-processes on the counts, for a reference that is a sample too.

Let a be the reference's counts over K groups (n rows), c the counts of the m rows of the stream since some start,
p̂ = a / n. Under the null both were drawn from one unknown p. Two quantities have expectation at most 1 under p:

- G(p) = (1 − η)^(K−1) · exp(η n KL(p̂ ‖ p)) for any 0 < η < 1: n KL(p̂ ‖ p) has at most the moment generating function
  of a gamma with shape K − 1, for every n and p (Agrawal 2020, "Finite-sample concentration of the multinomial in
  relative entropy", IEEE Transactions on Information Theory 66; Theorem 1.3 in the preprint, arXiv:1904.02291).
- M(p) = q(c) / p(c), the likelihood ratio of the stream, where q is any law fixed before the stream began; it may
  depend on the reference. As rows arrive M is a martingale that starts at 1.

The stream is independent of the reference, so G(p) M(p) is a supermartingale along the stream with mean at most 1,
and E = min over p of G(p) M(p) lies below it whatever the true p: an e-process for the composite null
(universal inference: Wasserman, Ramdas & Balakrishnan 2020, PNAS 117; safe two-sample tests with a mixture against
the pooled maximum: Turner, Ly & Grünwald 2024, "Generic e-variables for exact sequential k-sample tests"). The
minimum is at p = (η a + c) / (η n + m): the reference's own error enters as if it had η n rows. By Ville's
inequality, E ever reaches 1/α with probability at most α, whenever and however often one looks.

q is a mixture of Dirichlet-multinomials around p̂; η runs over a few values. So that a drift late in a long watch is
not diluted by what came before, the evidence is a weighted mean of such processes with different starts: the
beginning of the watch (half of the weight) and, for every window s, one that counts from s on for as many windows as
the largest power of two that divides s (weight ½ / s (s + 1)). Weighted means of e-processes are e-processes.

Bins of numeric features are quantiles of the reference itself. Then it is p that varies around p̂ (its shares are a
Dirichlet of the ranks) rather than the reverse, with the same limit (1 − η)^(−(K−1)/2) of the expectation of
exp(η n KL): the square root of what the bound above allows for.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np

from store.monitor.bins import Floats, Integers
from store.monitor.statistics.tails import log_gamma

_ETAS = (0.1, 0.4, 0.7)
#: Rows that the reference weighs in the alternatives: from wide of it to close by.
_CONCENTRATIONS = (20.0, 200.0, 2_000.0)
#: A start whose evidence cannot reach this (natural logarithm, weight included) is left out.
_NEGLIGIBLE = math.log(0.005)


@dataclasses.dataclass(frozen=True)
class Evidence:
    """For each window, the evidence so far against "nothing changed": its logarithm, and the start that holds most
    of it (the first window of the span that speaks)."""

    log_e: Floats
    starts: Integers


@functools.lru_cache(64)
def _spans(windows: int) -> tuple[Integers, Integers, Floats]:
    """(window, start, ln weight) of every process that is running at every window, ordered by window."""
    ends: list[int] = []
    starts: list[int] = []
    for window in range(windows):
        for start in running(window):
            ends.append(window)
            starts.append(start)
    began = np.array(starts, np.int64)
    with np.errstate(divide="ignore"):
        weight = np.where(began == 0, math.log(0.5), math.log(0.5) - np.log(np.maximum(began, 1) * (began + 1.0)))
    return np.array(ends, np.int64), began, weight


def evidence(reference: Floats, stream: Floats) -> Evidence:
    """Of the stream's windows in order of time (windows × groups) against the reference's counts (groups,)."""
    windows = len(stream)
    total = float(reference.sum())
    if windows == 0 or total <= 0:
        return Evidence(np.zeros(windows), np.zeros(windows, np.int64))
    ends, starts, weights = _spans(windows)
    cumulative = np.concatenate([np.zeros((1, stream.shape[1])), np.cumsum(stream, axis=0)])
    counts = cumulative[ends + 1] - cumulative[starts]
    cost, own = _null(reference, counts)
    # The best alternative of all bounds the mixture: most spans are settled without it.
    speaking = np.flatnonzero((weights + cost + own > _NEGLIGIBLE) & (counts.sum(axis=1) > 0))
    logs = np.full(len(counts), -np.inf)
    logs[speaking] = weights[speaking] + cost[speaking] + _alternative(reference, counts[speaking])
    first = np.searchsorted(ends, np.arange(windows))
    highest = np.maximum.reduceat(logs, first)
    floor = np.where(np.isfinite(highest), highest, 0.0)
    log_e = floor + np.log(np.maximum(np.add.reduceat(np.exp(logs - floor[ends]), first), 1e-300))
    best = np.zeros(windows, np.int64)
    at_best = np.flatnonzero(np.isfinite(logs) & (logs == highest[ends]))
    best[ends[at_best]] = starts[at_best]
    return Evidence(np.where(np.isfinite(highest), log_e, _NEGLIGIBLE), best)


def _null(reference: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """(ln of mean over η of min over p of G(p) / p(c), ln of the highest likelihood of c) for each row of counts."""
    n, m = reference.sum(), counts.sum(axis=1)
    groups = len(reference)
    best = _log_likelihood(reference, reference / n)
    terms = []
    for eta in _ETAS:
        p = (eta * reference + counts) / (eta * n + m)[:, None]
        held = eta * (best - _log_likelihood(reference, p))
        terms.append((groups - 1) * math.log1p(-eta) + held - _log_likelihood(counts, p))
    stacked = np.array(terms)
    highest = stacked.max(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        own = _log_likelihood(counts, counts / m[:, None])
    return highest + np.log(np.exp(stacked - highest).mean(axis=0)), own


def _log_likelihood(counts: Floats, shares: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(counts > 0, counts * np.log(shares), 0.0).sum(axis=-1)
    return found


def _alternative(reference: Floats, counts: Floats) -> Floats:
    """ln q(c): the mean of Dirichlet-multinomials around the reference (of the rows in one order)."""
    centre = (reference + 0.5) / (reference.sum() + len(reference) / 2)
    m = counts.sum(axis=1)
    terms = []
    for concentration in _CONCENTRATIONS:
        prior = concentration * centre
        whole = log_gamma(concentration) - log_gamma(concentration + m)
        terms.append(whole + (log_gamma(prior + counts) - log_gamma(prior)).sum(axis=1))
    stacked = np.array(terms)
    highest = stacked.max(axis=0)
    found: Floats = highest + np.log(np.exp(stacked - highest).mean(axis=0))
    return found


def e_benjamini_hochberg(log_e: Floats, level: float) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which features (last axis) are discoveries of e-BH at `level` (Wang & Ramdas 2022, JRSS B 84).

    The k features of most evidence are, for the largest k whose least e-value is at least features / (level k).
    Where nothing changed, any is ever found with probability at most `level`, whatever their dependence: the mean
    of e-processes is one, and it has reached 1 / level whenever any feature is found.
    """
    features = log_e.shape[-1]
    order = np.argsort(-log_e, axis=-1)
    ranked = np.take_along_axis(log_e, order, axis=-1)
    rank = np.arange(1, features + 1)
    passes = ranked >= np.log(features / (level * rank))
    count = np.where(passes, rank, 0).max(axis=-1, keepdims=True)
    found = np.empty(log_e.shape, bool)
    np.put_along_axis(found, order, rank <= count, axis=-1)
    return found


def running(window: int) -> list[int]:
    """The starts of the processes that count the window numbered `window` (from 0)."""
    return sorted({0} | {window >> power << power for power in range(max(1, window.bit_length()))})


def evidence_of_spans(reference: Floats, counts: Floats, starts: list[int]) -> tuple[float, int]:
    """(ln e, place of the span that holds most of it) at one window, from the counts of the spans that are running
    (spans × groups, in the order of `running`): what `evidence` says of that window, for a watch that keeps no more
    than these."""
    began = np.array(starts, np.int64)
    weights = np.where(began == 0, math.log(0.5), math.log(0.5) - np.log(np.maximum(began, 1) * (began + 1.0)))
    if not reference.sum():
        return 0.0, 0
    cost, own = _null(reference, counts)
    speaking = np.flatnonzero((weights + cost + own > _NEGLIGIBLE) & (counts.sum(axis=1) > 0))
    if not len(speaking):
        return _NEGLIGIBLE, 0
    logs = weights[speaking] + cost[speaking] + _alternative(reference, counts[speaking])
    highest = float(logs.max())
    return highest + math.log(float(np.exp(logs - highest).sum())), int(speaking[int(logs.argmax())])
