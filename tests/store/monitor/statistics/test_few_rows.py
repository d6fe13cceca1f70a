"""Few rows: what so few can prove alarms, what they cannot is not judged, and healthy ones raise no alarm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.simulated import Cell, Sampled, reference, windows
from store.monitor.bins import FeatureBins, Integers, NumericCoder
from store.monitor.statistics import WINDOW_LEVEL, FeatureVerdict, verdicts
from store.monitor.statistics.significance import p_values, sparse
from store.monitor.statistics.verdicts import effective, rows_needed
from store.settings import MonitorSettings

LETTERS = FeatureBins("k", "categorical", 0, categories=["a", "b"])
CONSTANT = FeatureBins("k", "categorical", 0, categories=["a"])


def of(feature: FeatureBins, before: list[int], after: list[int]) -> FeatureVerdict:
    against = Sampled((feature,), np.array([before]))
    return verdicts(against, np.array([after]), MonitorSettings(), watch=False)[0][0]


def normal(rows: int, shift: float, against: Sampled, seed: int = 4) -> Integers:
    [feature] = against.features
    values = np.random.default_rng(seed).normal(shift, 1.0, rows)
    return np.bincount(NumericCoder(feature.edges).finite(values), minlength=feature.width)[None, :]


@pytest.fixture(scope="module")
def one() -> Sampled:
    return reference(Cell(5_000, 0), np.random.default_rng(2), features=1)


@pytest.mark.parametrize("rows", [20, 50, 199])
def test_six_standard_deviations_are_an_alarm_on_few_rows(one: Sampled, rows: int) -> None:
    found = verdicts(one, normal(rows, 6.0, one), MonitorSettings(min_rows=200), watch=False)[0][0]
    assert (found.state, found.reason) == ("drifted", "")


def test_all_null_in_twenty_rows_is_an_alarm(one: Sampled) -> None:
    [feature] = one.features
    current = np.zeros((1, feature.width), np.int64)
    current[0, feature.null_slot] = 20
    assert verdicts(one, current, MonitorSettings(), watch=False)[0][0].alarm


@pytest.mark.parametrize(
    ("feature", "before", "after"),
    [(LETTERS, [2_500, 2_500, 0, 0], [0, 0, 20, 0]), (CONSTANT, [5_000, 0, 0], [0, 20, 0])],
)
def test_wholly_new_values_in_twenty_rows_are_an_alarm(
    feature: FeatureBins, before: list[int], after: list[int]
) -> None:
    assert of(feature, before, after).alarm


def test_a_truth_value_that_is_always_true_is_an_alarm_only_where_that_is_no_chance() -> None:
    assert of(LETTERS, [2_500, 2_500, 0, 0], [20, 0, 0, 0]).alarm
    assert not of(LETTERS, [4_500, 500, 0, 0], [20, 0, 0, 0]).alarm


def test_a_window_too_small_for_the_effect_is_not_judged(one: Sampled) -> None:
    found = verdicts(one, normal(60, 0.0, one), MonitorSettings(), watch=False)[0][0]
    assert (found.state, found.reason) == ("not judged", "few_rows")


def test_a_reference_too_small_for_the_effect_is_said_to_be_so() -> None:
    small = reference(Cell(100, 0), np.random.default_rng(2), features=1)
    found = verdicts(small, normal(5_000, 0.0, small), MonitorSettings(), watch=False)[0][0]
    assert (found.state, found.reason) == ("not judged", "few_reference_rows")


def test_a_small_reference_alarms_where_it_is_certain() -> None:
    small = reference(Cell(100, 0), np.random.default_rng(2), features=1)
    assert verdicts(small, normal(1_000, 6.0, small), MonitorSettings(), watch=False)[0][0].alarm


def test_how_many_rows_are_too_few_goes_by_what_there_is_to_see(one: Sampled) -> None:
    """Two values need fewer rows than a number does, whatever `min_rows` is."""
    truth = of(LETTERS, [2_500, 2_500, 0, 0], [60, 60, 0, 0])
    number = verdicts(one, normal(120, 0.0, one), MonitorSettings(min_rows=10), watch=False)[0][0]
    assert (truth.state, number.state) == ("steady", "not judged")


@pytest.mark.parametrize("bins", [2, 10, 200])
def test_the_rows_needed_find_an_effect_of_the_threshold_as_often_as_not(bins: int) -> None:
    needed = rows_needed(bins, 0.1)
    critical = stats.chi2.isf(WINDOW_LEVEL, bins - 1)
    assert stats.ncx2.sf(critical, bins - 1, 0.1 * needed) == pytest.approx(0.5, abs=0.1)


def test_effective_rows_are_those_of_the_smaller_side_at_most() -> None:
    assert effective(5_000, 5_000) == 2_500
    assert effective(1e9, 200) == pytest.approx(200, rel=1e-6)


@given(st.integers(1, 40), st.integers(1, 200), st.integers(0, 40), st.integers(0, 200))
def test_the_bound_of_one_slot_is_no_smaller_than_the_hypergeometric_tail(
    window: int, held: int, inside: int, known: int
) -> None:
    inside, known = min(inside, window), min(known, held)
    before, after = np.array([known, held - known]), np.array([[inside, window - inside]])
    pooled = known + inside
    law = stats.hypergeom(window + held, pooled, window)
    exact = min(law.sf(inside - 1), law.cdf(inside))
    assert sparse(before, after)[0] >= min(1.0, exact) * (1 - 1e-9)


@pytest.mark.parametrize(
    "cell",
    [Cell(5_000, 20), Cell(5_000, 50, 50, "zipf"), Cell(60, 500, 50, "zipf"), Cell(30, 30), Cell(100, 20, 8, "zipf")],
    ids=lambda cell: cell.name,
)
def test_healthy_windows_of_few_rows_raise_no_alarm(cell: Cell) -> None:
    generator = np.random.default_rng(12)
    alarms = []
    p = []
    for _ in range(10):
        against = reference(cell, generator)
        current = windows(cell, against, generator, 20)
        alarms += [any(one.alarm for one in row) for row in verdicts(against, current, MonitorSettings(), watch=False)]
        p += [p_values(f, against.of(f), current[:, f.offset : f.offset + f.width]) for f in against.features]
    assert sum(alarms) <= 2
    assert (np.concatenate(p) <= 0.001).mean() <= 0.0025


def test_a_reference_of_one_row_proves_nothing() -> None:
    bins = FeatureBins("f0", "numeric", 0, [50.0, 50.0])
    against = Sampled((bins,), np.array([[0, 1, 0, 0, 0, 0, 0]]))
    found = verdicts(against, np.array([[2_000, 0, 0, 0, 0, 0, 0]]), MonitorSettings(), watch=False)[0][0]
    assert (found.alarm, found.reason) == (False, "few_reference_rows")
