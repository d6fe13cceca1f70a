"""Causes of an alarm: found in counts made by hand, told in words."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from store.monitor.bins import FeatureBins, NumericCoder, numeric_edges
from store.monitor.statistics import Cause, causes, describe
from store.monitor.statistics.causes import kurtosis, percent

LETTERS = FeatureBins("k", "categorical", 0, categories=["AA", "UA", "DL"])


class Values:
    """Moments of an array."""

    def __init__(self, values: np.ndarray) -> None:  # type: ignore[type-arg]
        self.values, self.mean, self.deviation = len(values), float(values.mean()), float(values.std())


def numbers(before: np.ndarray, after: np.ndarray, odd: dict[int, int] | None = None) -> tuple[Cause, ...]:  # type: ignore[type-arg]
    """`odd`: rows of the window by slot after that of null (0 null, 1 NaN, 2 infinite, 3 no number)."""
    edges = numeric_edges(before)
    feature, coder = FeatureBins("x", "numeric", 0, edges), NumericCoder(edges)
    was, now = (np.bincount(coder.finite(x), minlength=feature.width) for x in (before, after))
    for slot, rows in (odd or {}).items():
        now[feature.null_slot + slot] = rows
    return causes(feature, was, now, (Values(before), Values(after)))


def normal(seed: int, mean: float = 0.0, deviation: float = 1.0, rows: int = 3_000) -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(seed).normal(mean, deviation, rows)


def test_nothing_changed_is_no_cause() -> None:
    assert numbers(normal(1), normal(2)) == ()
    assert causes(LETTERS, np.array([500, 300, 200, 0, 0]), np.array([51, 30, 19, 0, 0])) == ()


def test_a_shift_is_told_in_standard_deviations() -> None:
    before, after = normal(1, 3.0, 2.0), normal(2, 6.0, 2.0)
    first = numbers(before, after)[0]
    assert first.code == "shift"
    assert first.deviations == pytest.approx((after.mean() - before.mean()) / before.std())
    assert describe(first) == f"mean {before.mean():.4g} → {after.mean():.4g} (+1.5 sd)"


def test_a_spread_is_told() -> None:
    before, after = normal(1), normal(2, 0.0, 2.0)
    first = next(cause for cause in numbers(before, after) if cause.code == "spread")
    assert first.after / first.before == pytest.approx(after.std() / before.std())
    assert describe(first).startswith("spread (sd) ")


@pytest.mark.parametrize(
    ("slot", "words"),
    [(0, "nulls"), (1, "NaN"), (2, "infinite"), (3, "not a number")],
    ids=["null", "nan", "inf", "text"],
)
def test_missing_values_of_each_kind_are_told_apart(slot: int, words: str) -> None:
    [found] = numbers(normal(1), normal(2, rows=2_700), {slot: 300})
    assert describe(found) == f"{words} 0 % → 10 %"


def test_new_and_vanished_values_are_named() -> None:
    found = causes(LETTERS, np.array([500, 300, 200, 0, 0]), np.array([88, 0, 0, 12, 0]), new={"ZZ": 12}, new_total=1)
    words = [describe(cause) for cause in found]
    assert "vanished: UA, DL (were 50 %)" in words
    assert "new: ZZ 12 %" in words
    assert "shares: AA 50 % → 88 %" in words


def test_a_value_that_few_rows_may_lack_has_not_vanished() -> None:
    found = causes(LETTERS, np.array([600, 390, 10, 0, 0]), np.array([60, 40, 0, 0, 0]))
    assert all(cause.code != "vanished_values" for cause in found)


def test_a_column_that_some_files_lack_is_told_with_its_share_and_one_that_all_lack_as_absent() -> None:
    counts = np.array([500, 300, 200, 0, 0])
    [some] = causes(LETTERS, counts, counts // 2, rows=(1_000, 1_000))
    assert describe(some) == "rows without the column 0 % → 50 %"
    [every] = causes(LETTERS, counts, counts * 0, rows=(1_000, 1_000))
    assert describe(every) == "column absent"


def test_more_nulls_are_no_change_of_the_categories_among_the_rest() -> None:
    before = np.array([500, 300, 200, 0, 0])
    assert [describe(cause) for cause in causes(LETTERS, before, np.array([250, 150, 100, 0, 500]))] == [
        "nulls 0 % → 50 %"
    ]
    assert [describe(cause) for cause in causes(LETTERS, before, np.array([0, 0, 0, 0, 900]))] == ["nulls 0 % → 100 %"]
    # Of thirty rows with a value none may be of a fifth by chance, of all thousand rows not.
    few = causes(LETTERS, np.array([980, 0, 20, 0, 0]), np.array([30, 0, 0, 0, 970]))
    assert [cause.code for cause in few] == ["nulls"]


def test_where_values_lie_outside_the_counts_alone_do_not_tell_how_far() -> None:
    before, after = normal(1), normal(2, 50.0, 3.0)
    edges = numeric_edges(before)
    feature, coder = FeatureBins("x", "numeric", 0, edges), NumericCoder(edges)
    was, now = (np.bincount(coder.finite(x), minlength=feature.width) for x in (before, after))
    found = {cause.code: cause for cause in causes(feature, was, now)}
    assert set(found) == {"outside", "shift"}
    assert found["shift"].at_least
    assert found["shift"].after == pytest.approx(before.max())
    assert " or more (+" in describe(found["shift"])
    exactly = {cause.code: cause for cause in numbers(before, after)}
    assert exactly["shift"].after == pytest.approx(after.mean())
    assert not exactly["shift"].at_least
    assert exactly["spread"].after == pytest.approx(after.std())


def test_what_explains_most_rows_comes_first() -> None:
    found = numbers(normal(1), normal(2, 0.4, rows=1_500), {0: 1_500})
    assert [cause.code for cause in found][:2] == ["nulls", "shift"]


def test_a_change_of_shape_alone_is_told_by_where_it_is() -> None:
    before = normal(1)
    two = np.concatenate([np.full(1_500, -1.0), np.full(1_500, 1.0)])
    found = numbers(before, two)
    assert found
    assert describe(found[0]).startswith("values in ")


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0 %"), (0.41, "41 %"), (0.02, "2.0 %"), (0.0005, "0.05 %"), (1.0, "100 %")]
)
def test_shares_are_told_shortly(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize("unit", [1.0, 1e77, 1e-90, 1e300])
def test_kurtosis_is_the_same_in_any_unit(unit: float) -> None:
    edges = [0.0, 0.5, 1.0]
    feature = FeatureBins("x", "numeric", 0, [edge * unit for edge in edges])
    counts = np.array([[0.0, 8.0, 1.0, 0.0]])
    right = stats.kurtosis([*[0.25] * 8, 0.75], fisher=False)
    assert kurtosis(feature, counts) == pytest.approx(right)
