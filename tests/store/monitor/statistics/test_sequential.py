"""The sequential test: valid whenever one looks, the same however it is computed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaln
from scipy.stats import multinomial

from benchmarks.simulated import Cell, grouped_windows, reference, windows
from store.monitor.statistics import WATCH_LEVEL, sequential
from store.monitor.statistics.groups import grouped, sequential_groups
from store.monitor.statistics.sequential import e_benjamini_hochberg, evidence, evidence_of_spans, running

REFERENCE = np.array([600.0, 250.0, 100.0, 50.0])


def test_its_mean_is_at_most_one_for_a_reference_that_was_drawn_too() -> None:
    """Exactly, over every reference of 12 rows and every stream of 6, for three groups."""
    truth = np.array([0.5, 0.3, 0.2])

    def every(total: int) -> np.ndarray:
        return np.array([[i, j, total - i - j] for i in range(total + 1) for j in range(total + 1 - i)], float)

    mean = 0.0
    streams = every(6)
    chances = multinomial.pmf(streams, 6, truth)
    for counts in every(12):
        cost, _ = sequential._null(counts, streams)
        e = np.exp(cost + sequential._alternative(counts, streams))
        mean += float(multinomial.pmf(counts, 12, truth)) * float((chances * e).sum())
    assert 0 < mean <= 1


def test_the_alternative_is_a_probability() -> None:
    """Over all sequences of four rows in three groups it adds up to one."""
    counts = np.array([[i, j, 4 - i - j] for i in range(5) for j in range(5 - i)], float)
    orders = np.exp(gammaln(5) - gammaln(counts + 1).sum(axis=1))
    assert float((orders * np.exp(sequential._alternative(np.array([5.0, 3.0, 2.0]), counts))).sum()) == pytest.approx(
        1
    )


def test_the_null_is_minimal_over_what_may_be_true() -> None:
    """The closed form is no larger than the criterion at any other distribution."""
    counts = np.array([[30.0, 40.0, 20.0, 10.0]])
    n, k = REFERENCE.sum(), len(REFERENCE)
    closed, _ = sequential._null(REFERENCE, counts)
    generator = np.random.default_rng(1)
    for p in generator.dirichlet((REFERENCE + counts[0]) / 10, size=300):
        kl = float((REFERENCE / n * np.log(REFERENCE / n / p)).sum())
        own = -float((counts[0] * np.log(p)).sum())
        terms = [(k - 1) * math.log(1 - eta) + eta * n * kl + own for eta in sequential._ETAS]
        assert closed[0] <= np.logaddexp.reduce(terms) - math.log(len(terms)) + 1e-9


def test_weights_of_all_starts_add_up_to_no_more_than_one() -> None:
    _, starts, weights = sequential._spans(300)
    by_start = dict(zip(starts.tolist(), weights.tolist(), strict=True))
    assert sum(math.exp(weight) for weight in by_start.values()) <= 1


@given(st.integers(0, 3_000))
def test_few_processes_run_at_a_time_and_the_first_always(window: int) -> None:
    starts = running(window)
    assert starts[0] == 0
    assert starts[-1] <= window
    assert len(starts) <= math.log2(window + 2) + 2


@given(st.integers(1, 400))
def test_a_process_once_ended_does_not_come_back(window: int) -> None:
    assert set(running(window)) <= set(running(window - 1)) | {window}


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 40))
def test_spans_that_are_kept_say_what_the_whole_stream_says(seed: int, length: int) -> None:
    generator = np.random.default_rng(seed)
    stream = generator.multinomial(30, generator.dirichlet(REFERENCE / 20), size=length).astype(float)
    whole = evidence(REFERENCE, stream)
    starts = running(length - 1)
    spans = np.array([stream[start:].sum(axis=0) for start in starts])
    log_e, best = evidence_of_spans(REFERENCE, spans, starts)
    assert log_e == pytest.approx(whole.log_e[-1], abs=1e-9)
    assert starts[best] == whole.starts[-1]


@pytest.mark.parametrize("cell", [Cell(5_000, 200), Cell(20_000, 200, 1_000, "zipf")], ids=lambda cell: cell.name)
def test_windows_drawn_by_group_are_distributed_as_the_sums_of_their_slots(cell: Cell) -> None:
    against = reference(cell, np.random.default_rng(1), features=1)
    groups, _ = sequential_groups(against.features[0], against.counts)
    drawn = grouped_windows(cell, against, against.features[0], groups, np.random.default_rng(2), 4_000)
    summed = grouped(groups, windows(cell, against, np.random.default_rng(3), 4_000))
    assert (drawn.sum(axis=1) == 200).all()
    assert drawn.mean(axis=0) == pytest.approx(summed.mean(axis=0), abs=0.4)
    assert drawn.std(axis=0) == pytest.approx(summed.std(axis=0), abs=0.3)


def test_a_change_that_lasts_gathers_evidence() -> None:
    stream = np.tile([40.0, 25.0, 20.0, 15.0], (200, 1))
    found = evidence(REFERENCE, stream).log_e
    assert found[-1] > 20
    assert found[-1] > found[20]


def test_the_references_own_error_is_not_taken_for_a_change() -> None:
    """A stream without end of the truth that a reference of 1,000 rows missed by what chance allows."""
    truth = REFERENCE / REFERENCE.sum() + np.array([0.03, -0.02, -0.006, -0.004])
    assert evidence(REFERENCE, np.tile(truth * 1_000_000, (50, 1))).log_e.max() < 0


@pytest.mark.parametrize("rows", [0.0, 1.0])
def test_nothing_is_said_without_rows(rows: float) -> None:
    assert evidence(REFERENCE * rows, np.zeros((3, 4))).log_e.max() <= 0


def test_one_feature_of_overwhelming_evidence_is_found_alone() -> None:
    found = e_benjamini_hochberg(np.log(np.array([[1e5, 50.0, 1.0, 0.1]])), 0.01)
    assert found.tolist() == [[True, False, False, False]]


def test_features_that_share_their_evidence_are_found_together() -> None:
    found = e_benjamini_hochberg(np.log(np.array([[210.0, 205.0, 1.0, 0.1]])), 0.01)
    assert found.tolist() == [[True, True, False, False]]


def test_a_watch_sees_a_rare_category_that_rises() -> None:
    """A tenth of the rows of 60 windows of 50 to one of a thousand categories; sixteen groups by hash hold it."""
    cell = Cell(20_000, 50, 1_000)
    against = reference(cell, np.random.default_rng(1), features=1)
    [feature] = against.features
    groups, held = sequential_groups(feature, against.counts)
    assert len(held) == 17
    current = windows(cell, against, np.random.default_rng(2), 60)
    assert evidence(held, grouped(groups, current)).log_e[-1] < np.log(1 / WATCH_LEVEL)
    current[:, feature.bins + 7] += 5
    assert evidence(held, grouped(groups, current)).log_e[-1] > np.log(1 / WATCH_LEVEL)
