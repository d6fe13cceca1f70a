"""Performance that cannot be computed is null and says why, on the screen and in the listing alike."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from store.catalog.listing import Listings
from store.monitor import performance_over_time
from store.monitor.listings import listings
from store.protocol import ListParams, Performance, PerformanceLine, PerformanceParams
from tests.store.monitor.conftest import DEPLOYMENT, Bench

PREDICTED = "SELECT i AS prediction_id, TIMESTAMP '2024-05-01' AS timestamp, i / 100.0 AS score FROM range(100) t(i)"


def read(bench: Bench, metric: str) -> tuple[Performance, PerformanceLine]:
    asked = msgspec.convert({"deployment": DEPLOYMENT, "window": "1mo", "metrics": [metric]}, PerformanceParams)
    found = bench.database.reader.read(lambda c: performance_over_time(c, asked))
    return found, next(line for line in found.lines if line.kind == "realised")


def listed(bench: Bench, metric: str) -> tuple[Any, Any]:
    asked = ListParams("performance", filter=f"kind=realised metric={metric}", window="1mo")
    page = bench.database.reader.read(lambda c: Listings(listings()).page(c, asked))
    names = [column.name for column in page.columns]
    assert page.total == 1
    return page.rows[0][names.index("value")], page.rows[0][names.index("why")]


@pytest.mark.parametrize(
    ("labels", "metric", "why"),
    [
        ("SELECT i AS prediction_id, 1 AS label FROM range(100) t(i)", "auc", "only one class among the labels"),
        ("SELECT i AS prediction_id, 0 AS label FROM range(100) t(i)", "recall", "no positive labels"),
        ("SELECT i AS prediction_id, 0 AS label FROM range(100) t(i)", "average_precision", "no positive labels"),
        ("SELECT 'nobody' || i AS prediction_id, 1 AS label FROM range(9) t(i)", "auc", "no labelled predictions"),
        ("SELECT i AS prediction_id, NULL::INT AS label FROM range(100) t(i)", "f1", "no labelled predictions"),
    ],
)
def test_null_says_why(bench: Bench, labels: str, metric: str, why: str) -> None:
    bench.reference(bench.register(), None)
    bench.predict(bench.file(PREDICTED))
    bench.label(bench.file(labels))
    _, line = read(bench, metric)
    assert (line.values, line.why) == ([None], why)
    assert listed(bench, metric) == (None, why)


def test_scores_that_are_no_probabilities_have_an_auc_but_no_calibration_error(bench: Bench) -> None:
    bench.reference(bench.register(), None)
    bench.predict(bench.file(f"SELECT * REPLACE (10 * score AS score) FROM ({PREDICTED})"))
    bench.label(bench.file("SELECT i AS prediction_id, (i > 50)::INT AS label FROM range(100) t(i)"))
    assert read(bench, "auc")[1].values == [pytest.approx(1.0, abs=1e-3)]
    assert read(bench, "ece")[1].why == "the scores are no probabilities"


def test_labels_that_come_twice_count_once(bench: Bench) -> None:
    bench.reference(bench.register(), None)
    bench.predict(bench.file(PREDICTED))
    labels = "SELECT i AS prediction_id, (i > 50)::INT AS label FROM range(100) t(i)"
    bench.label(bench.file(f"{labels} UNION ALL {labels}"))
    bench.label(bench.file(labels))
    found, line = read(bench, "accuracy")
    assert (found.labelled, line.values) == ([100], [pytest.approx(0.99)])


def test_without_predictions_there_are_no_lines_and_a_reason(bench: Bench) -> None:
    bench.reference(bench.register(), None)
    found, line = read(bench, "auc")
    assert (found.starts, line.values, found.maturity) == ([], [], [])
    assert found.why == f"No predictions of {DEPLOYMENT} have arrived."
