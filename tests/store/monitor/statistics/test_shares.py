"""Drift statistics against numpy, scipy and their own theory."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from store.monitor.bins import FeatureBins, NumericCoder, numeric_edges
from store.monitor.statistics import Grouping, psi_groups, statistic
from store.monitor.statistics.shares import PSI_FLOOR
from store.protocol import Refusal

tallies = st.lists(st.integers(0, 10_000), min_size=12, max_size=12).filter(lambda counts: sum(counts) > 0)
EVERY = Grouping(np.arange(12))
TWELVE = FeatureBins("x", "categorical", 0, categories=list("abcdefghij"))
TEN = FeatureBins("x", "categorical", 0, categories=list("abcdefgh"))


@given(tallies, tallies)
def test_psi_is_the_sum_by_hand(before: list[int], after: list[int]) -> None:
    by_hand = 0.0
    for p, q in zip(before, after, strict=True):
        if p or q:
            share, now = max(p / sum(before), PSI_FLOOR), max(q / sum(after), PSI_FLOOR)
            by_hand += (now - share) * math.log(now / share)
    found = statistic("psi", TWELVE, EVERY, np.array(before), np.array(after)).value
    assert found == pytest.approx(by_hand, abs=1e-9)


@given(tallies, tallies)
def test_js_is_scipys_distance_in_base_2(before: list[int], after: list[int]) -> None:
    found = statistic("js", TWELVE, EVERY, np.array(before), np.array(after)).value
    expected = jensenshannon(before, after, base=2)
    # The root of a rounding error is up to 1e-8.
    assert found == pytest.approx(0.0 if math.isnan(expected) else expected, abs=1e-7)


@pytest.mark.parametrize("name", ["psi", "js"])
def test_the_same_counts_do_not_drift(name: str) -> None:
    counts = np.arange(12) * 10
    assert statistic(name, TWELVE, EVERY, counts, counts * 3).value == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("name", ["psi", "js"])
def test_chance_alone_stays_below_the_noise_floor(name: str) -> None:
    generator = np.random.default_rng(7)
    shares = np.full(10, 0.1)
    found = [
        statistic(
            name, TEN, Grouping(np.arange(10)), generator.multinomial(5000, shares), generator.multinomial(500, shares)
        )
        for _ in range(400)
    ]
    below = np.mean([(f.value or 0.0) <= (f.noise_floor or 0.0) for f in found])
    assert below == pytest.approx(0.95, abs=0.03)


def test_a_window_without_values_has_no_statistic_and_says_why() -> None:
    found = statistic("psi", TWELVE, EVERY, np.ones(12, np.int64), np.zeros(12, np.int64))
    assert (found.value, found.why) == (None, "no values in this window")


def test_a_feature_without_reference_has_no_statistic_and_says_why() -> None:
    found = statistic("js", TWELVE, EVERY, np.zeros(12, np.int64), np.ones(12, np.int64))
    assert (found.value, found.why) == (None, "the reference holds no values of this feature")


def test_an_unknown_statistic_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Refusal, match="No statistic 'chi'") as refused:
        statistic("chi", TWELVE, EVERY, np.ones(12, np.int64), np.ones(12, np.int64))
    assert "psi" in refused.value.hint


def test_psi_merges_128_bins_to_deciles_of_the_reference() -> None:
    values = np.random.default_rng(3).normal(size=50_000)
    edges = numeric_edges(values)
    feature = FeatureBins("x", "numeric", 0, edges)
    reference = np.bincount(NumericCoder(edges).finite(values), minlength=feature.width)
    groups = psi_groups(feature, reference).finest
    shares = np.bincount(groups, reference)[:10] / 50_000
    assert shares.min() > 0.09
    assert shares.max() < 0.11
    assert groups[0] == 0
    assert groups[feature.bins + 1] == 9


def test_a_constant_that_moves_drifts() -> None:
    feature = FeatureBins("x", "numeric", 0, [5.0, 5.0])
    reference = np.array([0, 900, 0, 0, 0, 0, 0])
    moved = np.array([0, 0, 900, 0, 0, 0, 0])
    found = statistic("psi", feature, psi_groups(feature, reference), reference, moved).value
    assert found is not None
    assert found > 8
