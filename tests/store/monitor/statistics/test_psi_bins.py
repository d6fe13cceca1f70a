"""The bins of PSI: textbook deciles, also of columns of few values with many ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from store.monitor.bins import FeatureBins, Floats, NumericCoder, numeric_edges
from store.monitor.statistics import psi_groups, statistic


def textbook(before: Floats, after: Floats) -> float:
    """numpy.unique of the deciles, open at both ends, shares of at least 0.0001."""
    inner = np.unique(np.quantile(before, np.linspace(0, 1, 11)))[1:-1]
    p, q = (
        np.maximum(np.bincount(np.searchsorted(inner, x, side="right"), minlength=len(inner) + 1) / len(x), 1e-4)
        for x in (before, after)
    )
    return float(((q - p) * np.log(q / p)).sum())


def ours(before: Floats, after: Floats) -> float:
    edges = numeric_edges(before)
    feature, coder = FeatureBins("x", "numeric", 0, edges), NumericCoder(edges)
    counted = [np.bincount(coder.finite(x), minlength=feature.width) for x in (before, after)]
    value = statistic("psi", feature, psi_groups(feature, counted[0]), *counted).value
    assert value is not None
    return value


@pytest.mark.parametrize("deviation", [1.2, 4.0, 14.0])
@pytest.mark.parametrize("rows", [151, 344, 5_000])
def test_psi_of_whole_numbers_with_many_ties_is_that_of_the_textbook(deviation: float, rows: int) -> None:
    draw = np.random.default_rng(rows)
    for shift in (0.0, 0.2, 0.6):
        before, after = (np.round(draw.normal(180 + by * deviation, deviation, rows)) for by in (0.0, shift))
        assert ours(before, after) == pytest.approx(textbook(before, after), abs=1e-9)


def test_so_it_is_where_one_value_fills_several_deciles() -> None:
    draw = np.random.default_rng(1)
    before, after = (np.where(draw.random(5_000) < dry, 0.0, np.round(draw.gamma(2, 5, 5_000))) for dry in (0.6, 0.5))
    assert ours(before, after) == pytest.approx(textbook(before, after), abs=1e-9)


@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0])
def test_of_numbers_without_ties_it_differs_by_what_a_bin_holds(shift: float) -> None:
    draw = np.random.default_rng(2)
    before, after = draw.normal(size=20_000), draw.normal(shift, 1, 20_000)
    assert ours(before, after) == pytest.approx(textbook(before, after), rel=0.03, abs=0.001)


@given(
    st.lists(st.integers(0, 30), min_size=40, max_size=200), st.lists(st.integers(0, 200), min_size=20, max_size=200)
)
def test_any_column_of_few_whole_numbers_agrees_unless_its_largest_value_fills_a_decile(
    before: list[int], places: list[int]
) -> None:
    # Where a decile is a row exactly, numpy's own rounding decides on which side of it the edge lies.
    assume((len(before) - 1) % 2 and (len(before) - 1) % 5)
    # Only of the values that the reference holds: where between two of them an edge lies is a matter of taste.
    old, values = np.array(before, np.float64), np.array([-5.0, *sorted(set(before)), 40.0])
    new = values[np.array(places) % len(values)]
    assume(old.min() < np.quantile(old, 0.9) < old.max())
    assert ours(old, new) == pytest.approx(textbook(old, new), abs=1e-9)


def test_a_truth_value_has_two_bins_though_its_deciles_are_one() -> None:
    before, after = np.repeat([0.0, 1.0], [750, 250]), np.repeat([0.0, 1.0], [250, 750])
    assert textbook(before, after) == 0
    assert ours(before, after) == pytest.approx(2 * 0.5 * np.log(3))
