"""Verdicts: what alarms, what does not, and which guarantee stands behind it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.simulated import Cell, Sampled, reference, windows
from store.monitor.bins import FeatureBins, Integers
from store.monitor.statistics import WATCH_LEVEL, WINDOW_LEVEL, FeatureVerdict, verdicts
from store.monitor.statistics.significance import benjamini_hochberg, homogeneity, p_values
from store.protocol import Refusal
from store.settings import MonitorSettings

SETTINGS = MonitorSettings(min_rows=0)


@pytest.fixture(scope="module")
def normal() -> Sampled:
    return reference(Cell(5_000, 0), np.random.default_rng(11), features=5)


def drawn(against: Sampled, rows: int, number: int, moved: bool = False, seed: int = 1) -> Integers:
    return windows(Cell(5_000, rows), against, np.random.default_rng(seed), number, moved)


def judged(against: Sampled, current: Integers, **options: object) -> list[list[FeatureVerdict]]:
    return verdicts(against, current, SETTINGS, **options)  # type: ignore[arg-type]


def test_a_shift_alarms_with_the_windows_guarantee(normal: Sampled) -> None:
    moved, *still = judged(normal, drawn(normal, 1_000, 1, moved=True))[0]
    assert (moved.alarm, moved.guarantee) == (True, "window")
    assert not any(verdict.alarm for verdict in still)


def test_an_alarm_is_beyond_threshold_and_noise_and_significant(normal: Sampled) -> None:
    moved = judged(normal, drawn(normal, 1_000, 1, moved=True))[0][0]
    assert moved.value is not None
    assert moved.q_value is not None
    assert moved.value > moved.threshold + (moved.noise_floor or 0.0)
    assert moved.q_value <= WINDOW_LEVEL


def test_a_small_effect_that_is_certain_is_no_alarm(normal: Sampled) -> None:
    current = drawn(normal, 1_000_000, 1)
    # A twentieth more of the rows in one bin: certain at a million rows, and small.
    feature = normal.features[0]
    current[0, 1] += 50_000
    found = judged(normal, current)[0][0]
    assert found.q_value is not None
    assert found.q_value < 1e-9
    assert feature.name == found.feature
    assert not found.alarm


def test_a_large_effect_that_may_be_chance_is_no_alarm(normal: Sampled) -> None:
    found = judged(normal, drawn(normal, 12, 20))
    values = [verdict.value for row in found for verdict in row]
    assert max(value or 0.0 for value in values) > 1
    assert not any(verdict.alarm for row in found for verdict in row)


def test_fewer_rows_than_the_setting_asks_for_raise_no_alarm(normal: Sampled) -> None:
    current = drawn(normal, 150, 1, moved=True)
    found = verdicts(normal, current, MonitorSettings(min_rows=200), watch=False)[0][0]
    assert found.value is not None
    assert not found.alarm


def test_windows_too_small_to_alarm_alone_alarm_together_as_a_watch(normal: Sampled) -> None:
    found = judged(normal, drawn(normal, 20, 60, moved=True))
    last = found[-1][0]
    assert (last.alarm, last.guarantee) == (True, "watch")
    assert last.e_value is not None
    assert last.e_value > len(normal.features) / WATCH_LEVEL
    assert not any(verdict.alarm for row in found for verdict in row[1:])


def test_a_drift_late_in_a_watch_is_found_and_dated(normal: Sampled) -> None:
    current = np.concatenate([drawn(normal, 50, 200), drawn(normal, 50, 60, moved=True, seed=2)])
    found = [row[0] for row in judged(normal, current)]
    by_watch = [window for window, verdict in enumerate(found) if verdict.guarantee == "watch"]
    assert by_watch
    assert by_watch[0] >= 200
    since = found[by_watch[0]].since
    assert since is not None
    assert since >= 160


def test_a_windows_own_verdict_depends_on_no_other_window(normal: Sampled) -> None:
    current = drawn(normal, 500, 6, moved=True)
    together = judged(normal, current, watch=False)
    alone = [judged(normal, current[place : place + 1], watch=False)[0] for place in range(6)]
    for some, others in zip(together, alone, strict=True):
        for one, other in zip(some, others, strict=True):
            assert one.alarm == other.alarm
            assert one.q_value == pytest.approx(other.q_value)


def test_a_feature_that_the_statistic_is_not_for_is_judged_by_psi() -> None:
    against = reference(Cell(5_000, 0, 8), np.random.default_rng(3), features=1)
    current = windows(Cell(5_000, 500, 8), against, np.random.default_rng(4), 1, moved=True)
    found = judged(against, current, statistic="wasserstein")[0][0]
    assert (found.statistic, found.alarm) == ("psi", True)


def test_without_fallback_it_has_no_value_and_says_why() -> None:
    against = reference(Cell(5_000, 0, 8), np.random.default_rng(3), features=1)
    current = windows(Cell(5_000, 500, 8), against, np.random.default_rng(4), 1, moved=True)
    found = judged(against, current, statistic="wasserstein", fallback=False)[0][0]
    assert (found.value, found.alarm, found.why) == (None, False, "wasserstein is not for categorical features")


def test_an_unknown_statistic_is_refused(normal: Sampled) -> None:
    with pytest.raises(Refusal, match="No statistic 'mood'"):
        judged(normal, drawn(normal, 100, 1), statistic="mood")


def test_an_empty_window_has_no_verdict_and_says_why(normal: Sampled) -> None:
    found = judged(normal, np.zeros((1, len(normal.counts)), np.int64))[0][0]
    assert (found.value, found.p_value, found.alarm, found.why) == (None, None, False, "no values in this window")


def test_a_feature_that_turned_to_null_alarms(normal: Sampled) -> None:
    current = drawn(normal, 1_000, 1)
    feature = normal.features[1]
    place = slice(feature.offset, feature.offset + feature.width)
    rows = current[0, place].sum()
    current[0, place] = 0
    current[0, feature.offset + feature.null_slot] = rows
    found = judged(normal, current)[0]
    assert [verdict.alarm for verdict in found] == [False, True, False, False, False]


def test_a_constant_that_moved_alarms_until_it_is_back() -> None:
    feature = FeatureBins("x", "numeric", 0, [5.0, 5.0])
    against = Sampled((feature,), np.array([[0, 900, 0, 0, 0, 0, 0]]))
    found = judged(against, np.array([[0, 0, 900, 0, 0, 0, 0], [0, 450, 0, 0, 0, 0, 0]]))
    assert [row[0].alarm for row in found] == [True, False]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_q_values_are_scipys(p: list[float]) -> None:
    found = benjamini_hochberg(np.array([p]))[0]
    np.testing.assert_allclose(found, stats.false_discovery_control(p), atol=1e-12)


def test_features_without_values_take_no_part_in_the_correction() -> None:
    found = benjamini_hochberg(np.array([[0.01, np.nan, 0.02]]))[0]
    np.testing.assert_allclose(found, [0.02, np.nan, 0.02])


@pytest.mark.parametrize("rows", [40, 200])
def test_p_values_at_sparse_counts_are_no_smaller_than_they_should_be(rows: int) -> None:
    """Of 40 categories of very different frequency, most with fewer than one expected row."""
    cell = Cell(2_000, rows, 40, "zipf")
    generator = np.random.default_rng(5)
    against = reference(cell, generator, features=40)
    current = windows(cell, against, generator, 100)
    p = np.concatenate(
        [p_values(f, against.of(f), current[:, f.offset : f.offset + f.width]) for f in against.features]
    )
    for level in (0.1, 0.01, 0.001):
        assert (p <= level).mean() <= level * 1.25 + 3 * np.sqrt(level / len(p))


def test_the_mean_and_variance_behind_the_p_value_are_those_of_dealing_the_rows() -> None:
    """At counts where the usual χ² tail is far off, the p-value's distribution is about uniform in its tail."""
    generator = np.random.default_rng(8)
    pooled = np.array([400, 60, 8, 6, 6])
    after = generator.multivariate_hypergeometric(pooled, 60, size=20_000)
    p = homogeneity((pooled - after).astype(float), after.astype(float))
    assert (p <= 0.05).mean() == pytest.approx(0.05, abs=0.012)
