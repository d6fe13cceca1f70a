"""Every statistic against numpy and scipy on the same bins, to 1e-9."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon
from scipy.special import kolmogorov, rel_entr

from store.monitor.bins import FeatureBins, Floats, Integers, NumericCoder, numeric_edges
from store.monitor.statistics import Grouping, psi_groups, statistic
from store.monitor.statistics import groups as grouping
from store.monitor.statistics.shares import PSI_FLOOR

#: Counts of one categorical feature of ten categories; both samples hold something.
tallies = st.lists(st.integers(0, 5_000), min_size=12, max_size=12).filter(lambda counts: sum(counts) > 0)
CATEGORIES = FeatureBins("x", "categorical", 0, categories=list("abcdefghij"))
EVERY = Grouping(np.arange(12))
#: Counts of one numeric feature of ten bins: below, bins, above, and four that are missing.
numbers = st.lists(st.integers(0, 5_000), min_size=16, max_size=16).filter(lambda counts: sum(counts[1:11]) > 0)
EDGES = [-3.0, -1.5, -1.0, -0.5, 0.0, 0.25, 0.5, 1.0, 2.0, 3.5, 9.0]
NUMERIC = FeatureBins("x", "numeric", 0, EDGES)
MIDDLES = np.array([EDGES[0], *((a + b) / 2 for a, b in itertools.pairwise(EDGES)), EDGES[-1]])


def floored(counts: Floats, other: Floats) -> Floats:
    return np.where(counts + other > 0, np.maximum(counts / counts.sum(), PSI_FLOOR), 0.0)


def chi_square(before: Floats, after: Floats) -> float:
    used = before + after > 0
    if used.sum() < 2:
        return 0.0
    return float(stats.chi2_contingency(np.array([before, after])[:, used], correction=False).statistic)


BY_SCIPY: dict[str, Callable[[Floats, Floats], float]] = {
    "psi": lambda p, q: float((rel_entr(floored(q, p), floored(p, q)) + rel_entr(floored(p, q), floored(q, p))).sum()),
    "kl": lambda p, q: float(rel_entr(floored(q, p), floored(p, q)).sum()),
    "js_divergence": lambda p, q: float(np.nan_to_num(jensenshannon(p, q, base=2)) ** 2),
    "hellinger": lambda p, q: float(np.linalg.norm(np.sqrt(p / p.sum()) - np.sqrt(q / q.sum())) / math.sqrt(2)),
    "tv": lambda p, q: float(np.abs(p / p.sum() - q / q.sum()).sum() / 2),
    "linf": lambda p, q: float(np.abs(p / p.sum() - q / q.sum()).max()),
    "chi2": chi_square,
}


@pytest.mark.parametrize("name", list(BY_SCIPY))
@given(tallies, tallies)
def test_statistics_of_shares(name: str, before: list[int], after: list[int]) -> None:
    found = statistic(name, CATEGORIES, EVERY, np.array(before), np.array(after)).value
    assert found == pytest.approx(BY_SCIPY[name](np.array(before, float), np.array(after, float)), rel=1e-9, abs=1e-9)


@given(tallies, tallies)
def test_kl_is_scipys_entropy_where_no_bin_is_empty(before: list[int], after: list[int]) -> None:
    p, q = np.array(before) + 10, np.array(after) + 10
    assert statistic("kl", CATEGORIES, EVERY, p, q).value == pytest.approx(float(stats.entropy(q, p)), abs=1e-9)


@given(tallies, tallies)
def test_the_p_value_of_chi_square(before: list[int], after: list[int]) -> None:
    p, q = np.array(before), np.array(after)
    used = p + q > 0
    found = statistic("chi2", CATEGORIES, EVERY, p, q).p_value
    expected = stats.chi2_contingency(np.array([p, q])[:, used], correction=False).pvalue if used.sum() > 1 else 1.0
    assert found == pytest.approx(float(expected), abs=1e-9)


def repeated(counts: Integers) -> Floats:
    return np.repeat(MIDDLES, counts[:12])


def small(counts: list[int]) -> Integers:
    """At most some dozens a bin, so that the samples can be written out."""
    return np.array(counts) // 50 + np.array([0, 1, *([0] * 14)])


def deviation(values: Floats) -> float:
    return float(values.std())


def anderson(x: Floats, y: Floats) -> float:
    pooled = np.concatenate([x, y])
    away = [(x <= value).mean() - (y <= value).mean() for value in pooled]
    return float(np.square(away).sum() * len(x) * len(y) / len(pooled) ** 2)


ORDERED: dict[str, Callable[[Floats, Floats], float]] = {
    "ks": lambda x, y: float(stats.ks_2samp(x, y, method="asymp").statistic),
    "cvm": anderson,
    "wasserstein": lambda x, y: float(stats.wasserstein_distance(x, y)) / deviation(x),
    "mean_change": lambda x, y: float(y.mean() - x.mean()) / deviation(x),
    "spread_change": lambda x, y: deviation(y) / deviation(x) - 1,
    "below_range": lambda x, y: float((y == EDGES[0]).mean()),
    "above_range": lambda x, y: float((y == EDGES[-1]).mean()),
}


@pytest.mark.parametrize("name", list(ORDERED))
@given(numbers, numbers)
def test_statistics_of_order(name: str, before: list[int], after: list[int]) -> None:
    p, q = small(before) + np.array([0, 1, 0, 1, *([0] * 12)]), small(after)
    found = statistic(name, NUMERIC, psi_groups(NUMERIC, p), p, q).value
    assert found == pytest.approx(ORDERED[name](repeated(p), repeated(q)), rel=1e-9, abs=1e-9)


@given(numbers, numbers)
def test_the_change_of_the_median_is_numpys_interpolation(before: list[int], after: list[int]) -> None:
    p, q = small(before) + np.array([0, 1, 0, 1, *([0] * 12)]), small(after)
    medians = [float(np.interp(c[:12].sum() / 2, np.cumsum(c[:11]), EDGES)) for c in (p, q)]
    found = statistic("median_change", NUMERIC, psi_groups(NUMERIC, p), p, q).value
    assert found == pytest.approx((medians[1] - medians[0]) / deviation(repeated(p)), abs=1e-9)


@given(numbers, numbers)
def test_the_p_value_of_ks_is_kolmogorovs(before: list[int], after: list[int]) -> None:
    p, q = small(before), small(after)
    found = statistic("ks", NUMERIC, psi_groups(NUMERIC, p), p, q)
    n, m = int(p[:12].sum()), int(q[:12].sum())
    assert found.p_value == pytest.approx(
        float(kolmogorov((found.value or 0.0) * math.sqrt(n * m / (n + m)))), abs=1e-9
    )


def counted(values: Floats, edges: list[float], feature: FeatureBins) -> Integers:
    return np.bincount(NumericCoder(edges).finite(values), minlength=feature.width)


@pytest.mark.parametrize("seed", range(5))
def test_binned_ks_is_within_a_bins_share_of_the_samples_ks(seed: int) -> None:
    generator = np.random.default_rng(seed)
    x = generator.gamma(2.0, size=20_000)
    y = generator.gamma(2.0 + 0.1 * seed, size=3_000)
    edges = numeric_edges(x)
    feature = FeatureBins("x", "numeric", 0, edges)
    p, q = counted(x, edges, feature), counted(y, edges, feature)
    found = statistic("ks", feature, psi_groups(feature, p), p, q).value
    assert found == pytest.approx(float(stats.ks_2samp(x, y).statistic), abs=1 / feature.bins)


@given(st.integers(0, 10**6), st.floats(0, 0.95), st.floats(0, 0.95), st.sampled_from([0.0, 0.7, 5.0]))
def test_binned_ks_is_within_a_bins_share_where_values_repeat_too(
    seed: int, often: float, now: float, value: float
) -> None:
    """Rain that mostly does not fall: a share of the rows holds one value, at the end or in the middle."""
    generator = np.random.default_rng(seed)
    x = np.where(generator.random(6_000) < often, value, generator.exponential(size=6_000))
    y = np.where(generator.random(2_000) < now, value, generator.exponential(1.2, size=2_000))
    edges = numeric_edges(x)
    feature = FeatureBins("x", "numeric", 0, edges)
    p, q = counted(x, edges, feature), counted(y, edges, feature)
    found = statistic("ks", feature, psi_groups(feature, p), p, q).value
    assert found == pytest.approx(float(stats.ks_2samp(x, y).statistic), abs=1 / 128 + 1 / 2_000)


def test_cvm_is_scipys_where_each_row_has_a_bin_of_its_own() -> None:
    generator = np.random.default_rng(1)
    values = np.sort(generator.normal(size=60))
    of_window = generator.random(60) < 0.4
    feature = FeatureBins("x", "numeric", 0, [*(values - 1e-9).tolist(), 9.0])
    p = np.concatenate([[0], ~of_window, np.zeros(5, int)]).astype(np.int64)
    q = np.concatenate([[0], of_window, np.zeros(5, int)]).astype(np.int64)
    expected = stats.cramervonmises_2samp(values[~of_window], values[of_window]).statistic
    assert statistic("cvm", feature, psi_groups(feature, p), p, q).value == pytest.approx(float(expected), abs=1e-9)


def test_new_and_vanished_categories_are_shares_of_the_categories() -> None:
    before = np.array([50, 30, 20, *([0] * 7), 0, 100])
    after = np.array([10, 0, 0, *([0] * 7), 30, 60])
    assert statistic("new_categories", CATEGORIES, EVERY, before, after).value == pytest.approx(0.75)
    assert statistic("vanished_categories", CATEGORIES, EVERY, before, after).value == pytest.approx(0.5)


def test_other_is_nothing_new_where_the_reference_had_others() -> None:
    before = np.array([50, 30, 20, *([0] * 7), 5, 0])
    after = np.array([10, 10, 10, *([0] * 7), 30, 0])
    assert statistic("new_categories", CATEGORIES, EVERY, before, after).value == 0


def test_rare_categories_are_compared_one_by_one_where_there_are_rows_and_else_in_equal_groups() -> None:
    names = [f"c{place:03}" for place in range(200)]
    feature = FeatureBins("x", "categorical", 0, categories=names)
    groups = psi_groups(feature, np.array([*([5] * 200), 0, 0]))
    assert len(np.unique(groups.at(groups.number(1_000_000)))) == 202
    few = groups.at(groups.number(100))
    assert len(np.unique(few)) <= 100 / 8 + 2
    held = np.bincount(few[:200])
    assert held[held > 0].min() >= held.max() / 2 - 1


@pytest.mark.parametrize("others", [0, 40])
def test_groups_of_the_sequential_test_hold_the_rows_that_did_not_choose_them(others: int) -> None:
    feature = FeatureBins("x", "categorical", 0, categories=[f"c{place:03}" for place in range(50)])
    reference = np.array([*([100] * 50), others, 0])
    groups, held = grouping.sequential_groups(feature, reference)
    assert held.sum() == reference.sum() - int(reference.sum() * 0.2)
    assert len(held) == groups.max() + 1
