"""Is a window's difference from the reference more than chance: tests that hold at sparse counts, for all features.

The test of one feature is conditional on its pooled counts, so that merging sparse bins by them costs no validity:
Pearson's χ² of homogeneity over groups of at least five expected rows, its tail a gamma with the exact mean and
variance of the permutation distribution (Dawson 1954, Biometrika 41); for numeric features beside it
Kolmogorov-Smirnov, and twice the smaller p-value.
"""

from __future__ import annotations

import numpy as np

from store.monitor.bins import FeatureBins, Floats, Integers
from store.monitor.statistics import ordered, shares
from store.monitor.statistics.groups import grouped, psi_groups
from store.monitor.statistics.tails import gamma_tail

#: Rows that chance puts into each group of the smaller side, at least, and groups of a numeric feature at most.
EXPECTED = 5
NUMERIC_GROUPS = 16
#: With fewer rows on either side a single slot may be all that there is to see: it is tested for itself.
SMALL_ROWS = 200
LEAST_ROWS = 20


def p_values(feature: FeatureBins, reference: Integers, current: Integers) -> Floats:
    """p-value of each window (windows × slots) against the reference (slots,); NaN where either holds nothing.

    Where either side has fewer than `SMALL_ROWS` rows, twice the smaller of that and `sparse`; χ² takes no part where
    either has fewer than `LEAST_ROWS`.
    """
    if feature.tail_groups:
        # Those with a slot are those that the reference happens to hold most of: by hash they are as all others.
        slots = psi_groups(feature, reference).finest
        reference, current = grouped(slots, reference).astype(np.int64), grouped(slots, current).astype(np.int64)
        groups = _gathered(reference, current)
    else:
        grouping = _categorical_groups if feature.kind == "categorical" else _numeric_groups
        groups = grouping(feature, reference, current)
    found = homogeneity(*_sums(groups, reference, current))
    smaller = np.minimum(current.sum(axis=1), reference.sum())
    # Of a handful of rows a gamma says little: the bounds alone decide.
    found = np.where(smaller < LEAST_ROWS, np.where(np.isnan(found), np.nan, 1.0), found)
    if feature.kind != "categorical":
        smirnov = ordered.ks_p(ordered.finite(feature, reference[None, :]), ordered.finite(feature, current))
        found = np.where(np.isnan(smirnov), found, np.minimum(1.0, 2 * np.fmin(found, smirnov)))
    few = smaller < SMALL_ROWS
    if few.any():
        found[few] = np.minimum(1.0, 2 * np.minimum(found[few], sparse(reference, current[few])))
    return found


def sparse(reference: Integers, current: Integers) -> Floats:
    """p-value of each window by the one slot that changed most, valid however few rows there are.

    Given the pooled rows, those of one side in a slot are hypergeometric: no more likely to be so many (or so few)
    than exp(−rows KL(share of that side ‖ pooled share)) (Hoeffding 1963, theorem 1 and section 6). Taken of the
    smaller side, twice for both directions. Over the slots it is Bonferroni's with the pooled shares as weights: what
    is rare in all may as well be one of many values that were seen once.
    """
    n, m = reference.sum(), current.sum(axis=1)
    pooled = reference[None, :] + current
    smaller = np.where((m <= n)[:, None], current, reference[None, :])
    rows = np.minimum(n, m).astype(np.float64)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        share, expected = smaller / rows, pooled / pooled.sum(axis=1, keepdims=True)
        inside = np.where(share > 0, share * np.log(share / expected), 0.0)
        outside = np.where(share < 1, (1 - share) * np.log((1 - share) / (1 - expected)), 0.0)
        bound = np.exp(-rows * np.maximum(inside + outside, 0.0)) / expected
    found = np.minimum(1.0, 2 * np.where(pooled > 0, bound, 1.0).min(axis=1))
    return np.where((n > 0) & (m > 0), found, np.nan)


def homogeneity(before: Floats, after: Floats) -> Floats:
    """p-value of χ² for each row of `before` and `after` (windows × groups), valid at small expected counts.

    Mean and variance are exact over all ways to deal the pooled rows to the two samples; one group gives 1.
    """
    pooled = before + after
    n, m = before.sum(axis=-1), after.sum(axis=-1)
    total = n + m
    used = (pooled > 0).sum(axis=-1)
    statistic = shares.chi2(before, after)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / (total - 1) * (used - 1)
        v1 = (total - 2) / (total - 1)
        w1 = (total / n + total / m - 4) / (total - 2)
        v2 = (used - 1) * (total - used) / (total - 1)
        w2 = (np.where(pooled > 0, total[..., None] / pooled, 0.0).sum(axis=-1) - used**2) / (total - 2)
        variance = 2 * total / (total - 3) * (v1 - w1) * (v2 - w2) + total**2 / (total - 1) * w1 * w2
        # Never narrower than the χ² it tends to: the gamma's third moment is not the exact one.
        variance = np.maximum(variance, 2 * mean)
        found = gamma_tail(mean * mean / variance, statistic * mean / variance)
    found = np.where(used > 1, found, 1.0)
    # Three rows have no variance to speak of.
    found = np.where(total > 3, found, 1.0)
    return np.where((n > 0) & (m > 0), found, np.nan)


def benjamini_hochberg(p: Floats) -> Floats:
    """q-values along the last axis: the smallest level at which each is a discovery (Benjamini & Hochberg 1995).

    NaN takes no part. The features whose q is at most α hold at most the share α of false ones on average, and
    where nothing changed any is found with probability at most α: exact for independent features, also for
    positively dependent ones (Benjamini & Yekutieli 2001).
    """
    order = np.argsort(p, axis=-1)  # NaN is sorted to the end
    ranked = np.take_along_axis(p, order, axis=-1)
    counted = np.isfinite(ranked).sum(axis=-1, keepdims=True)
    rank = np.arange(1, p.shape[-1] + 1)
    scaled = np.where(np.isfinite(ranked), ranked * counted / rank, np.inf)
    stepped = np.minimum.accumulate(scaled[..., ::-1], axis=-1)[..., ::-1]
    found = np.empty_like(stepped)
    np.put_along_axis(found, order, np.minimum(stepped, 1.0), axis=-1)
    return np.where(np.isfinite(p), found, np.nan)


def _numeric_groups(feature: FeatureBins, reference: Integers, current: Integers) -> Integers:
    """Window × slot → group: neighbouring slots with about equal shares of the pooled rows; missing is its own
    group where that is not too sparse, else it joins the last."""
    pooled = reference[None, :] + current
    finite = ordered.finite(feature, pooled)
    rows = np.minimum(current.sum(axis=1, keepdims=True), reference.sum())
    wanted = np.clip(rows // (2 * EXPECTED), 2, NUMERIC_GROUPS)
    whole = np.maximum(finite.sum(axis=1, keepdims=True), 1)
    middle = (np.cumsum(finite, axis=1) - finite / 2) / whole
    groups = np.zeros(pooled.shape, np.int64)
    groups[:, : feature.missing_from] = np.minimum((middle * wanted).astype(np.int64), wanted - 1)
    missing = pooled[:, feature.missing_from :].sum(axis=1, keepdims=True)
    expected = missing * rows / np.maximum(pooled.sum(axis=1, keepdims=True), 1)
    groups[:, feature.missing_from :] = np.where(expected >= EXPECTED, wanted, wanted - 1)
    return groups


def _categorical_groups(feature: FeatureBins, reference: Integers, current: Integers) -> Integers:
    """Window × slot → group: slots with enough pooled rows alone, the rest gathered until there are enough.

    The order of gathering may depend on pooled rows and on names, not on which sample the rows are of: slots stand
    in order of the reference's counts, so ties go by name.
    """
    by_name = np.array(
        [*sorted(range(feature.bins), key=feature.categories.__getitem__), *range(feature.bins, feature.width)]
    )
    groups = np.empty(current.shape, np.int64)
    groups[:, by_name] = _gathered(reference[by_name], current[:, by_name])
    return groups


def _gathered(reference: Integers, current: Integers) -> Integers:
    pooled = reference[None, :] + current
    total = np.maximum(pooled.sum(axis=1, keepdims=True), 1)
    expected = pooled * (np.minimum(current.sum(axis=1, keepdims=True), reference.sum()) / total)
    order = np.argsort(-expected, axis=1, kind="stable")
    ranked = np.take_along_axis(expected, order, axis=1)
    alone = ranked >= EXPECTED
    single = alone.sum(axis=1, keepdims=True)
    rest = np.where(alone, 0.0, ranked)
    chunks = (rest.sum(axis=1, keepdims=True) // EXPECTED).astype(np.int64)
    chunk = np.minimum(((np.cumsum(rest, axis=1) - rest / 2) // EXPECTED).astype(np.int64), np.maximum(chunks - 1, 0))
    # Where all the rest is too little for a group, it joins the smallest that stands alone.
    gathered = np.where(chunks > 0, single + chunk, np.maximum(single - 1, 0))
    placed = np.where(alone, np.arange(pooled.shape[1])[None, :], gathered)
    groups = np.empty(pooled.shape, np.int64)
    np.put_along_axis(groups, order, placed, axis=1)
    return groups


def _sums(groups: Integers, reference: Integers, current: Integers) -> tuple[Floats, Floats]:
    """Reference and current by each window's own groups (windows × groups)."""
    windows = len(groups)
    width = int(groups.max()) + 1 if groups.size else 1
    keys = (groups + width * np.arange(windows)[:, None]).ravel()
    repeated = np.broadcast_to(reference[None, :], current.shape).ravel()
    before = np.bincount(keys, repeated, windows * width).astype(np.float64)
    after = np.bincount(keys, current.ravel(), windows * width).astype(np.float64)
    return before.reshape(windows, width), after.reshape(windows, width)
