"""Moments add to the same bits in any order, and are what numpy says."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.monitor.bins import NumericCoder, numeric_edges
from store.monitor.moments import Moments, exact_sum

numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False, width=64),
    st.sampled_from([1.79e308, -1.79e308, 5e-324, 0.0, -0.0, 1e300, 1e-300]),
)


def moments_of(coder: NumericCoder, values: list[float]) -> Moments:
    return coder.tally(np.array(values), None, None)[1]


@given(
    st.lists(numbers, min_size=1, max_size=50),
    st.lists(st.tuples(numbers, st.integers(0, 3)), max_size=60),
    st.permutations(range(4)),
)
def test_any_cut_in_any_order_gives_the_same_bits(
    reference: list[float], dealt: list[tuple[float, int]], order: list[int]
) -> None:
    coder = NumericCoder(numeric_edges(np.array(reference)))
    whole = moments_of(coder, [value for value, _ in dealt])
    parts = [moments_of(coder, [value for value, home in dealt if home == part]) for part in order]
    assert sum(parts, Moments()) == whole


@given(st.lists(st.integers(-(2**70), 2**70).map(float), max_size=80))
def test_integers_of_any_size_are_summed_exactly(whole: list[float]) -> None:
    assert exact_sum(np.array(whole)) == sum((Fraction(value) for value in whole), Fraction())


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(1).normal(7, 3, 50_000),
        np.random.default_rng(2).lognormal(0, 2, 50_000),
        np.random.default_rng(3).normal(1e9, 1, 50_000),
        np.random.default_rng(4).integers(0, 3, 50_000).astype(float),
        np.full(100, 3.25),
    ],
)
def test_mean_and_deviation_are_numpys(values: np.ndarray) -> None:  # type: ignore[type-arg]
    found = moments_of(NumericCoder(numeric_edges(values)), list(values))
    assert found.mean == pytest.approx(values.mean(), rel=1e-9, abs=1e-9 * values.std())
    assert found.deviation == pytest.approx(values.std(), rel=1e-9)
    assert (found.values, found.low, found.high) == (len(values), values.min(), values.max())


def test_values_far_from_the_reference_are_not_lost() -> None:
    coder = NumericCoder(numeric_edges(np.random.default_rng(5).normal(size=1_000)))
    values = np.array([1e12, -3e15, 0.5])
    found = moments_of(coder, list(values))
    assert found.mean == pytest.approx(values.mean(), rel=1e-9)
    assert found.deviation == pytest.approx(values.std(), rel=1e-9)


def test_without_values_there_is_no_mean() -> None:
    found = moments_of(NumericCoder([0.0, 1.0]), [math.nan, math.inf])
    assert found.values == 0
    assert math.isnan(found.mean)
    assert math.isnan(found.deviation)
