"""Performance estimated before labels: against NannyML's CBPE on real flights, and against what labels then showed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.isotonic import IsotonicRegression

from store.catalog.manifest import ModelManifest
from store.monitor.bins import SCORE, FeatureBins, Floats, Integers, NumericCoder, numeric_edges
from store.monitor.estimated import METRICS, Calibration, calibration, isotonic, of_errors
from store.monitor.outcomes import Outcomes, count
from store.monitor.reference import Reference

DATA = Path(__file__).parent / "data"


def reference(
    score: Floats, label: Any, threshold: float = 0.5, task: Any = "binary"
) -> tuple[Reference, ModelManifest]:
    """A reference of scores and labels (multiclass: whether the answer was right)."""
    feature = FeatureBins(SCORE, "score", 0, numeric_edges(score))
    counts = np.bincount(NumericCoder(feature.edges).slots(score, None, None), minlength=feature.width)
    rows, positive = len(score), np.asarray(label) > 0.5
    known = np.ones(rows, bool)
    outcomes = Outcomes(np.ones(rows, np.int64), score, positive, score >= threshold, known, positive, score)
    found = Reference("m", "1", "", rows, (feature,), counts, count(task, threshold, outcomes))
    return found, ModelManifest("m", "1", task=task, threshold=threshold)


def fitted(*args: Any) -> tuple[Calibration, FeatureBins]:
    made, manifest = reference(*args)
    found, why = calibration(made, manifest)
    assert found is not None, why
    return found, made.features[0]


def histogram(feature: FeatureBins, score: Floats) -> Integers:
    return np.bincount(NumericCoder(feature.edges).slots(score, None, None), minlength=feature.width)


@pytest.fixture(scope="module")
def flights() -> Any:
    """Month → (scores, labels), and what NannyML 0.13 estimated of them (see data/make_cbpe.py)."""
    table = pq.read_table(DATA / "cbpe_scores.parquet").to_pydict()
    month, label = np.array(table["month"]), np.array(table["label"])
    score = np.round(np.array(table["score"], np.float64), 4)
    by_month = {int(m): (score[month == m], label[month == m]) for m in np.unique(month)}
    return by_month, json.loads((DATA / "cbpe_expected.json").read_text())


@pytest.mark.parametrize(
    ("metric", "tolerance"),
    [("auc", 0.001), ("accuracy", 0.001), ("f1", 0.001), ("precision", 0.001), ("recall", 0.005),
     ("average_precision", 0.01)],
)  # fmt: skip
def test_estimates_equal_nannymls_cbpe_on_the_same_data(flights: Any, metric: str, tolerance: float) -> None:
    by_month, expected = flights
    found, feature = fitted(*by_month[3], expected["threshold"])
    ours = [found.estimate((metric,), histogram(feature, by_month[m][0]))[metric].value for m in expected["months"]]
    assert ours == pytest.approx(expected["estimated"][metric], abs=tolerance)


def drawn(seed: int, rows: int) -> tuple[Floats, Any]:
    """Scores, and labels that follow a curve of them: calibrated never, but always in the same way."""
    generator = np.random.default_rng(seed)
    score = generator.beta(2, 5, rows)
    return score, generator.random(rows) < 0.8 * score**1.5 + 0.05


ORACLES: dict[str, Any] = {
    "auc": sk.roc_auc_score,
    "average_precision": sk.average_precision_score,
    "log_loss": sk.log_loss,
    "brier": sk.brier_score_loss,
    "accuracy": lambda y, s: sk.accuracy_score(y, s >= 0.3),
    "precision": lambda y, s: sk.precision_score(y, s >= 0.3),
    "recall": lambda y, s: sk.recall_score(y, s >= 0.3),
    "f1": lambda y, s: sk.f1_score(y, s >= 0.3),
}


@pytest.mark.parametrize("metric", METRICS["binary"])
def test_bands_hold_what_labels_then_show(metric: str) -> None:
    """95 % bands over 150 windows of 500 rows without concept drift: fewer than 135 hold once in 200 such tests."""
    found, feature = fitted(*drawn(0, 20_000), 0.3)
    held = 0
    for seed in range(1, 151):
        score, label = drawn(seed, 500)
        band = found.estimate((metric,), histogram(feature, score))[metric]
        assert band.lower is not None and band.upper is not None
        held += band.lower <= ORACLES[metric](label, score) <= band.upper
    assert held >= 135


def test_bands_narrow_with_the_rows() -> None:
    found, feature = fitted(*drawn(0, 200_000), 0.3)
    widths = []
    for rows in (100, 10_000):
        band = found.estimate(("auc",), histogram(feature, drawn(1, rows)[0]))["auc"]
        assert band.lower is not None and band.upper is not None
        widths.append(band.upper - band.lower)
    assert widths[0] / widths[1] == pytest.approx(10, rel=0.3)


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0, 1)), min_size=1, max_size=60))
def test_isotonic_fit_equals_scikit_learns(cells: list[tuple[int, float]]) -> None:
    rows = np.array([cell[0] for cell in cells], float)
    positives = np.floor(rows * np.array([cell[1] for cell in cells]))
    expected = IsotonicRegression().fit_transform(np.arange(len(rows)), positives / rows, sample_weight=rows)
    assert isotonic(rows, positives).probability == pytest.approx(expected, abs=1e-9)


def test_top_label_scores_estimate_multiclass_accuracy() -> None:
    generator = np.random.default_rng(3)
    score = generator.uniform(0.3, 1.0, 20_000)
    found, feature = fitted(score, generator.random(20_000) < score**2, 0.5, "multiclass")
    later = generator.uniform(0.3, 0.7, 20_000)
    estimate = found.estimate(("accuracy", "f1"), histogram(feature, later))
    assert estimate["accuracy"].value == pytest.approx(float((later**2).mean()), abs=0.01)
    assert estimate["f1"] == (None, None, None, "needs the probability of every class")


def test_scores_outside_what_the_reference_saw_take_the_nearest_probability() -> None:
    score, label = drawn(0, 5000)
    found, feature = fitted(score, label, 0.3)
    beyond = histogram(feature, np.full(100, 0.999))
    top = float(found.probability[-1])
    assert found.estimate(("accuracy",), beyond)["accuracy"].value == pytest.approx(top)


@pytest.mark.parametrize(
    ("label", "rows", "metric", "why"),
    [
        (np.zeros(100), 50, "auc", "only one class among the reference's labels"),
        (np.tile([0, 1], 50), 0, "auc", "no scores"),
        (np.tile([0, 1], 50), 50, "ece", "needs labels"),
    ],
)
def test_an_estimate_that_cannot_be_made_says_why(label: Any, rows: int, metric: str, why: str) -> None:
    found, feature = fitted(np.linspace(0, 1, 100), label, 0.5)
    estimate = found.estimate((metric,), histogram(feature, np.linspace(0, 1, rows)))[metric]
    assert (estimate.value, estimate.why) == (None, why)


def test_a_reference_without_labels_makes_no_calibration() -> None:
    made, manifest = reference(np.linspace(0, 1, 20), np.tile([0, 1], 10))
    assert calibration(made, manifest) == (None, "the reference holds no labels with scores to calibrate on")


def test_errors_of_a_regression_give_mae_and_rmse_with_bands() -> None:
    found = of_errors(("mae", "rmse", "r2"), 100, np.array([200.0, 900.0, 400.0, 10_000.0]))
    assert found["mae"][:3] == pytest.approx((2.0, 2.0 - 1.96 * 0.2, 2.0 + 1.96 * 0.2), abs=1e-4)
    assert found["rmse"][:3] == pytest.approx((3.0, (9 - 1.96) ** 0.5, (9 + 1.96) ** 0.5), abs=1e-3)
    assert found["r2"].why == "needs labels"
