"""Learnt thresholds: which windows count as healthy, by hour and day, and never a window against itself."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from store.monitor.rules import Learn
from store.monitor.seasonal import Learnt, Past, healthy, learn_quantile, learn_usual
from store.monitor.windows import DAY, HOUR, WEEK, Window

MONDAY = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
HOURLY, DAILY = Window("1h", HOUR), Window("1d", DAY)
LAST = Learn(None, None, 28 * DAY, 0.9, 3)


def past(values: list[float] | np.ndarray[tuple[int], np.dtype[np.float64]], width: int = DAY) -> Past:
    """Consecutive windows from a Monday on."""
    begins = MONDAY + width * np.arange(len(values), dtype=np.int64)
    return Past(begins, begins + width, np.asarray(values, np.float64))


def quantile(found: Past, learn: Learn, window: Window, place: int, above: bool = True) -> Learnt | None:
    begin = int(found.begins[0]) + window.seconds * place
    return learn_quantile(found, learn, window, begin, begin + window.seconds, above, [])


def test_a_window_is_never_compared_with_itself() -> None:
    found = past([1.0, 2.0, 3.0, 50.0, 4.0, 5.0])
    fixed = Learn(float(found.begins[0]), float(found.ends[-1]), 0.0, 0.5, 3)
    assert healthy(found, fixed, int(found.begins[3]), int(found.ends[3]), []).tolist() == [1, 1, 1, 0, 1, 1]


def test_windows_that_share_a_moment_with_the_decision_are_left_out() -> None:
    found = past([1.0] * 6)
    fixed = Learn(float(found.begins[0]), float(found.ends[-1]), 0.0, 0.5, 3)
    assert healthy(found, fixed, int(found.begins[2]), int(found.ends[3]), []).tolist() == [1, 1, 0, 0, 1, 1]


def test_of_the_last_days_only_those_before_the_decision_count() -> None:
    found = past([1.0] * 40)
    mask = healthy(found, LAST, int(found.begins[35]), int(found.ends[35]), [])
    assert np.flatnonzero(mask).tolist() == list(range(7, 35))


def test_what_was_an_alert_is_not_learnt_from() -> None:
    found = past([1.0] * 6)
    fixed = Learn(float(found.begins[0]), float(found.ends[-1]), 0.0, 0.5, 3)
    bad = [(float(found.begins[1]), float(found.ends[2]))]
    assert healthy(found, fixed, int(found.begins[5]), int(found.ends[5]), bad).tolist() == [1, 0, 0, 1, 1, 0]


def test_the_threshold_is_the_order_statistic_that_holds_for_the_next_window() -> None:
    # Of 19 others the 18th: ceil(20 × 0.9).
    learn = Learn(None, None, 28 * DAY, 0.9, 19)
    found = quantile(past([float(value) for value in range(1, 20)]), learn, DAILY, 19)
    assert found is not None
    assert (found.threshold, found.windows) == (18.0, 19)


def test_it_is_passed_by_chance_as_often_as_it_says() -> None:
    generator = np.random.default_rng(7)
    learn = Learn(None, None, 100 * DAY, 0.9, 19)
    passed = 0
    for _ in range(2_000):
        values = generator.normal(size=20)
        found = quantile(past(values), learn, DAILY, 19)
        assert found is not None
        passed += bool(values[19] > found.threshold)
    assert passed / 2_000 == pytest.approx(0.1, abs=0.02)


def test_of_too_few_windows_for_the_quantile_it_is_at_least_the_greatest() -> None:
    learn = Learn(None, None, 28 * DAY, 0.99, 3)
    found = quantile(past([1.0, 1.1, 0.9, 1.0, 1.2]), learn, DAILY, 5)
    assert found is not None
    assert found.threshold >= 1.2


def test_of_metrics_that_should_be_high_it_lies_below() -> None:
    learn = Learn(None, None, 28 * DAY, 0.99, 3)
    found = quantile(past([0.8, 0.81, 0.79, 0.8, 0.82]), learn, DAILY, 5, above=False)
    assert found is not None
    assert found.threshold <= 0.79
    assert found.threshold < found.quiet < 0.8


def test_too_few_windows_give_no_threshold() -> None:
    assert quantile(past([1.0, 1.0]), LAST, DAILY, 2) is None


def nightly(weeks: int) -> Past:
    """Hourly values: 10 at three in the night, else 1, with Sundays at 100 in the night."""
    hours = np.arange(weeks * 7 * 24)
    night = hours % 24 == 3
    sunday = hours // 24 % 7 == 6
    return past(np.where(night & sunday, 100.0, np.where(night, 10.0, 1.0)), HOUR)


def test_an_hour_of_the_week_has_its_own_threshold() -> None:
    learn = Learn(None, None, 5 * WEEK, 0.5, 4)
    found = quantile(nightly(5), learn, HOURLY, 5 * 168 + 6 * 24 + 3)
    assert found is not None
    assert (round(found.threshold), found.said) == (110, "5 healthy Sundays at 03:00")


def test_without_enough_weeks_it_falls_back_to_the_hour_of_the_day() -> None:
    learn = Learn(None, None, 2 * WEEK, 0.5, 4)
    found = quantile(nightly(2), learn, HOURLY, 2 * 168 + 3)
    assert found is not None
    assert (round(found.threshold), found.said) == (11, "14 healthy windows at 03:00")


def test_then_to_the_day_of_the_week() -> None:
    learn = Learn(None, None, 3 * DAY, 0.5, 4)
    found = quantile(past(np.arange(48.0), HOUR), learn, HOURLY, 40)
    assert found is not None
    assert found.said == "16 healthy Tuesdays"


def test_then_to_all_windows() -> None:
    found = quantile(past([1.0, 2.0, 3.0, 4.0]), LAST, DAILY, 4)
    assert found is not None
    assert found.said == "4 healthy windows"


def volume(values: list[float], place: int) -> Learnt | None:
    found = past(values)
    begin = MONDAY + DAY * place
    return learn_usual(found, Learn(None, None, 28 * DAY, 0.99, 8), DAILY, begin, begin + DAY, 0.5, [])


WEEKS = [1000.0, 1000, 1000, 1000, 1000, 100, 50] * 4


def test_the_usual_volume_is_that_of_the_same_day_of_the_week() -> None:
    sunday, monday = volume(WEEKS, 34), volume(WEEKS, 28)
    assert sunday is not None
    assert monday is not None
    assert (sunday.threshold, monday.threshold) == (25.0, 500.0)


def test_until_days_have_recurred_a_quiet_weekend_is_no_fall() -> None:
    found = volume(WEEKS[:12], 12)
    assert found is not None
    assert found.threshold == 25.0


def test_in_the_first_week_nothing_is_usual_yet() -> None:
    assert volume(WEEKS[:5], 5) is None
