"""Bins of the reference, and the coder that puts values into them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.monitor.bins import FeatureBins, NumericCoder, canonical, display_labels, numeric_edges

numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False, width=64),
    st.sampled_from([1.79e308, -1.79e308, 5e-324, 0.0, -0.0, 1e300, 1e-300]),
)


@given(st.lists(numbers, min_size=1, max_size=300), st.lists(numbers, max_size=100))
def test_the_coder_agrees_with_a_binary_search(reference: list[float], values: list[float]) -> None:
    coder = NumericCoder(numeric_edges(np.array(reference)))
    found = np.array(values + reference)
    assert (coder.finite(found) == np.searchsorted(coder.full, found, side="right")).all()


@given(st.lists(numbers, min_size=1, max_size=300))
def test_the_reference_lies_wholly_inside_its_own_bins(reference: list[float]) -> None:
    values = np.array(reference)
    coder = NumericCoder(numeric_edges(values))
    slots = coder.finite(values)
    assert slots.min() >= 1
    assert slots.max() <= coder.bins


def test_few_distinct_values_get_a_bin_each() -> None:
    values = np.array([3.0, 1.0, 2.0, 2.0])
    coder = NumericCoder(numeric_edges(values))
    assert np.bincount(coder.finite(values), minlength=5).tolist() == [0, 1, 2, 1, 0]


def test_a_constant_has_one_bin_that_holds_nothing_else() -> None:
    coder = NumericCoder(numeric_edges(np.full(50, 7.0)))
    assert coder.finite(np.array([6.999, 7.0, 7.001])).tolist() == [0, 1, 2]


def test_quantile_bins_hold_equal_shares_of_a_continuous_reference() -> None:
    values = np.random.default_rng(1).normal(size=128_000)
    coder = NumericCoder(numeric_edges(values))
    inside = np.bincount(coder.finite(values))[1:]
    assert len(inside) == 128
    assert inside.min() >= 999
    assert inside.max() <= 1001


def test_a_reference_without_a_finite_value_still_has_bins() -> None:
    assert numeric_edges(np.array([math.nan, math.inf])) == [0.0, 0.0]


def test_null_nan_infinity_and_invalid_have_slots_of_their_own() -> None:
    coder = NumericCoder([0.0, 1.0, 2.0])
    values = np.array([0.5, math.nan, math.nan, math.inf, -math.inf, math.nan])
    null = np.array([False, True, False, False, False, True])
    invalid = np.array([False, False, False, False, False, True])
    feature = FeatureBins("x", "numeric", 0, [0.0, 1.0, 2.0])
    labels = [display_labels(feature)[slot] for slot in coder.slots(values, null, invalid)]
    assert labels == ["0 … 1", "(null)", "(NaN)", "(infinite)", "(infinite)", "(not a number)"]


@pytest.mark.parametrize("value", [1, 1.0, True, "1", "1.0", " true", "TRUE"])
def test_a_label_is_the_same_whatever_its_type(value: object) -> None:
    assert canonical(value) == "1"
