"""Realised performance from sums, against scikit-learn on the outcomes themselves."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from store.monitor.bins import Floats
from store.monitor.performance import Outcomes, PerformanceCounts, auc, count, count_groups, histograms, metric


def outcomes(score: Floats, label: Floats) -> Outcomes:
    rows, positive = len(score), label > 0.5
    predicted = score >= 0.5
    return Outcomes(
        np.ones(rows, np.int64), score, positive, predicted, np.ones(rows, bool), predicted == positive, label
    )


def value(counted: PerformanceCounts, name: str, task: Literal["binary", "regression"] = "binary") -> float | None:
    return metric(task, name, counted.dense(), counted.sums)[0]


def _scores(kind: str, label: Floats) -> Floats:
    generator = np.random.default_rng(5)
    rows = len(label)
    return {
        "spread": lambda: generator.beta(1 + label, 3),
        "rare": lambda: 1 / (1 + np.exp(7 - generator.normal(label))),
        "narrow": lambda: 0.25 + 0.004 * generator.normal(label * 0.7),
        "ties": lambda: np.round(generator.beta(1 + label, 3), 1),
        "margins": lambda: 5 * generator.normal(label),
        "chance": lambda: generator.random(rows),
    }[kind]()


LABELS = np.random.default_rng(4).integers(0, 2, 20_000).astype(float)


@pytest.mark.parametrize("kind", ["spread", "rare", "narrow", "ties", "margins", "chance"])
def test_auc_from_histograms_is_within_a_thousandth_of_scikit_learns(kind: str) -> None:
    score = _scores(kind, LABELS)
    found = value(count("binary", 0.5, outcomes(score, LABELS)), "auc")
    assert found == pytest.approx(sk.roc_auc_score(LABELS, score), abs=1e-3)


@given(st.integers(0, 2**32 - 1), st.integers(2, 400), st.sampled_from([1.0, 0.01, 1e-4]))
def test_auc_is_off_by_at_most_half_the_pairs_that_share_a_bin(seed: int, rows: int, width: float) -> None:
    generator = np.random.default_rng(seed)
    label = np.arange(rows) % 2.0
    score = 0.5 + width * (generator.beta(1 + label, 2) - 0.5)
    negative, positive = histograms(count("binary", 0.5, outcomes(score, label)).dense())
    bound = float((negative * positive).sum()) / (2 * negative.sum() * positive.sum())
    found, _ = auc(negative, positive)
    assert found is not None
    assert abs(found - sk.roc_auc_score(label, score)) <= bound + 1e-12


@pytest.mark.parametrize("kind", ["spread", "rare", "ties", "chance"])
def test_average_precision_from_histograms_is_within_a_thousandth_of_scikit_learns(kind: str) -> None:
    score = _scores(kind, LABELS)
    found = value(count("binary", 0.5, outcomes(score, LABELS)), "average_precision")
    assert found == pytest.approx(sk.average_precision_score(LABELS, score), abs=1e-3)


def test_calibration_error_is_that_of_fifteen_equal_bins() -> None:
    score = np.clip(_scores("spread", LABELS), 0, 1)
    score[:4] = [0.0, 1.0, 1 / 15, 0.2]
    found = value(count("binary", 0.5, outcomes(score, LABELS)), "ece")
    bins = np.minimum(np.floor(score * 15), 14)
    shares = [(bins == place).mean() for place in range(15)]
    gaps = [abs((score - LABELS)[bins == place].mean()) for place in range(15)]
    assert found == pytest.approx(np.dot(shares, gaps), abs=1e-12)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("log_loss", sk.log_loss),
        ("brier", sk.brier_score_loss),
        ("accuracy", lambda y, p: sk.accuracy_score(y, p >= 0.5)),
        ("precision", lambda y, p: sk.precision_score(y, p >= 0.5)),
        ("recall", lambda y, p: sk.recall_score(y, p >= 0.5)),
        ("f1", lambda y, p: sk.f1_score(y, p >= 0.5)),
    ],
)
def test_other_metrics_are_exact(name: str, expected: object) -> None:
    score = np.clip(_scores("spread", LABELS), 0, 1)
    score[:5] = [0.0, 1.0, 0.5, 0.0, 1.0]
    found = value(count("binary", 0.5, outcomes(score, LABELS)), name)
    assert found == pytest.approx(expected(LABELS, score), abs=1e-9)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mae", sk.mean_absolute_error),
        ("rmse", sk.root_mean_squared_error),
        ("r2", sk.r2_score),
        ("bias", lambda y, p: float(np.mean(p - y))),
    ],
)
def test_regression_metrics_are_exact(name: str, expected: object) -> None:
    generator = np.random.default_rng(6)
    target = generator.normal(50, 10, 5000)
    predicted = target + generator.normal(1, 5, 5000)
    found = value(count("regression", 0.5, outcomes(predicted, target)), name, "regression")
    assert found == pytest.approx(expected(target, predicted), rel=1e-9)  # type: ignore[operator]


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60), st.integers(0, 60))
def test_parts_merge_to_the_whole(rows: list[tuple[float, bool]], cut: int) -> None:
    whole = outcomes(np.array([row[0] for row in rows]), np.array([float(row[1]) for row in rows]))
    first = np.arange(len(rows)) < cut
    merged = count("binary", 0.5, whole.where(first)).merge(count("binary", 0.5, whole.where(~first)))
    expected = count("binary", 0.5, whole)
    assert (merged.dense() == expected.dense()).all()
    assert merged.sums == pytest.approx(expected.sums, rel=1e-12, abs=1e-12)


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.booleans(), st.integers(0, 3), st.sampled_from([1, -1])), min_size=1, max_size=60
    )
)
def test_groups_counted_together_are_each_as_if_counted_alone(rows: list[tuple[float, bool, int, int]]) -> None:
    score, label, groups, sign = (np.array(column) for column in zip(*rows, strict=True))
    whole = dataclasses.replace(outcomes(score, label.astype(float)), sign=sign)
    together = count_groups("binary", 0.5, whole, groups, 4)
    for group in range(4):
        alone = count("binary", 0.5, whole.where(groups == group))
        assert together[group].slots.tolist() == alone.slots.tolist()
        assert together[group].counts.tolist() == alone.counts.tolist()
        assert together[group].sums == pytest.approx(alone.sums, rel=1e-12, abs=1e-12)
        assert together.labelled()[group] == sign[groups == group].sum()


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8])
def test_where_no_prediction_is_given_decisions_are_those_at_the_models_threshold(threshold: float) -> None:
    score = np.clip(_scores("spread", LABELS), 0, 1)
    nothing_given = dataclasses.replace(outcomes(score, LABELS), decided=np.zeros(len(score), bool))
    counted = count("binary", threshold, nothing_given)
    assert value(counted, "f1") == pytest.approx(sk.f1_score(LABELS, score >= threshold), abs=1e-12)
    assert value(counted, "accuracy") == pytest.approx(sk.accuracy_score(LABELS, score >= threshold), abs=1e-12)


def test_what_is_taken_back_leaves_nothing() -> None:
    some = outcomes(_scores("spread", LABELS), LABELS)
    back = dataclasses.replace(some, sign=-some.sign)
    assert not len(count("binary", 0.5, some).merge(count("binary", 0.5, back)).slots)


@pytest.mark.parametrize(
    ("score", "label", "name", "why"),
    [
        ([0.3, 0.7], [1, 1], "auc", "only one class among the labels"),
        ([], [], "auc", "no labelled predictions"),
        ([2.0, 0.7], [1, 0], "log_loss", "1 scores lie outside 0 to 1"),
        ([0.1, 0.2], [1, 0], "precision", "nothing was predicted positive"),
        ([np.nan, np.nan], [1, 0], "auc", "no scores"),
    ],
)
def test_a_metric_that_cannot_be_computed_says_why(score: list[float], label: list[float], name: str, why: str) -> None:
    counted = count("binary", 0.5, outcomes(np.array(score, float), np.array(label, float)))
    assert metric("binary", name, counted.dense(), counted.sums) == (None, why)
