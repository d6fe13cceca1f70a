"""Drift of what the model answers and of what turns out: predictions, scores and labels beside the features."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from store.monitor import evaluate
from store.monitor.reading import DriftRow, distribution, drift, heatmap
from store.protocol import Distribution, DistributionParams, Heatmap, Refusal, SpanParams
from store.settings import AlertSettings, MonitorSettings, RuleSettings
from tests.store.monitor.conftest import DEPLOYMENT, Bench

SETTINGS = MonitorSettings(alert_span=1, open_after=1, close_after=1, min_rows=100, min_labelled=100)
ROWS = 1000


def predict(bench: Bench, number: int, answer: str) -> None:
    bench.predict(
        bench.file(
            f"SELECT '{number}-' || i AS prediction_id, TIMESTAMP '2024-05-01' + to_days({number}) AS timestamp,"
            f" i % 100 AS x, {answer} FROM range({ROWS}) t(i)"
        )
    )


def label(bench: Bench, number: int, value: str) -> None:
    bench.label(bench.file(f"SELECT '{number}-' || i AS prediction_id, {value} AS label FROM range({ROWS}) t(i)"))


def rows(bench: Bench, feature: str, statistic: str = "psi", settings: MonitorSettings = SETTINGS) -> list[DriftRow]:
    asked = SpanParams(DEPLOYMENT, "1d", statistic=statistic)
    found = bench.database.reader.read(lambda c: list(drift(c, asked, settings)))
    return sorted((row for row in found if row.found.feature == feature), key=lambda row: row.start)


@pytest.fixture
def binary(bench: Bench) -> Bench:
    """A tenth of the reference's labels is positive; of the days' labels a tenth, then three tenths."""
    manifest = bench.register(features={"x": "numeric"})
    reference = "SELECT i % 100 AS x, (i % 10) / 10.0 AS score, (i % 10 = 0)::INT AS label FROM range(5000) t(i)"
    bench.reference(manifest, bench.file(reference))
    for number, positive in enumerate((1, 3, 3)):
        predict(bench, number, "(i % 10) / 10.0 AS score")
        if number < 2:
            label(bench, number, f"(i % 10 < {positive})::INT")
    return bench


def test_labels_are_one_more_feature_where_they_have_come(binary: Bench) -> None:
    first, second = rows(binary, "label")
    assert (first.reference_rows, first.found.rows, first.found.alarm) == (5000, ROWS, False)
    assert first.found.value == pytest.approx(0.0, abs=1e-12)
    assert second.found.value == pytest.approx(0.2 * np.log(3) + 0.2 * np.log(0.9 / 0.7))
    assert (second.found.alarm, second.found.guarantee) == (True, "window")


def test_their_chi_square_is_scipys(binary: Bench) -> None:
    second = rows(binary, "label", "chi2")[1].found
    expected = stats.chi2_contingency([[500, 4500], [300, 700]], correction=False)
    assert second.value == pytest.approx(expected.statistic, rel=1e-9)


def test_they_are_a_line_of_the_heat_map(binary: Bench) -> None:
    found: Heatmap = binary.database.reader.read(lambda c: heatmap(c, SpanParams(DEPLOYMENT, "1d"), SETTINGS))
    values = dict(zip(found.features, found.values, strict=True))["label"]
    assert [value is None for value in values] == [False, False, True]


def test_a_correction_moves_a_label_and_adds_none(binary: Bench) -> None:
    label(binary, 1, "(i % 10 < 1)::INT")
    second = rows(binary, "label")[1].found
    assert (second.rows, second.alarm) == (ROWS, False)


def test_their_distribution_stands_beside_the_references(binary: Bench) -> None:
    day = 86_400.0
    since = rows(binary, "label")[1].start
    asked = DistributionParams(DEPLOYMENT, "label", since=since, until=since + day)
    found: Distribution = binary.database.reader.read(lambda c: distribution(c, asked, SETTINGS))
    assert dict(zip(found.labels, found.current, strict=True)) == {"1": 0.3, "not 1": 0.7, "(other)": 0.0}
    assert dict(zip(found.labels, found.reference, strict=True)) == {"1": 0.1, "not 1": 0.9, "(other)": 0.0}
    assert (found.rows, found.reference_rows) == (ROWS, 5000)


def test_a_preset_judges_them_too(binary: Bench) -> None:
    found = rows(binary, "label", settings=MonitorSettings(preset="evidently"))
    assert [(row.found.statistic, row.found.alarm) for row in found] == [
        ("evidently.js_nats", False),
        ("evidently.js_nats", True),
    ]


def test_a_rule_may_watch_the_labels(binary: Bench) -> None:
    alerts = AlertSettings(defaults=False, rule=[RuleSettings(name="base-rate", statistic="psi", feature="label")])
    binary.database.writer.change(lambda tx: evaluate(tx, DEPLOYMENT, SETTINGS, alerts))
    assert binary.rows("SELECT count(*) FROM monitor_alert_now") == [(0,)]
    label(binary, 2, "(i % 10 < 3)::INT")
    binary.database.writer.change(lambda tx: evaluate(tx, DEPLOYMENT, SETTINGS, alerts))
    found = binary.rows("SELECT rule, feature, state, message, guarantee FROM monitor_alert_now")
    assert [row[:3] for row in found] == [("base-rate", "label", "open")]
    assert found[0][3].startswith("psi of label is 0.27, above 0.1")
    assert "at most 0.5% raise any such alarm" in found[0][4]


def test_classes_of_labels_are_told_by_their_names(bench: Bench) -> None:
    manifest = bench.register(features={"x": "numeric"}, task="multiclass")
    kinds = "['cat', 'dog', 'emu'][{} + 1]"
    answer = f"{kinds.format('i % 2')} AS prediction"
    reference = f"SELECT i % 100 AS x, {answer}, {kinds.format('i % 2')} AS label FROM range(5000) t(i)"
    bench.reference(manifest, bench.file(reference))
    predict(bench, 0, answer)
    label(bench, 0, kinds.format("i % 3"))
    [row] = rows(bench, "label", "new_categories")
    assert row.found.value == pytest.approx(1 / 3, abs=1e-3)
    asked = DistributionParams(DEPLOYMENT, "label")
    found: Distribution = bench.database.reader.read(lambda c: distribution(c, asked, SETTINGS))
    assert set(found.labels) == {"cat", "dog", "emu", "(other)"}


def test_of_a_regressions_labels_the_mean_is_judged(bench: Bench) -> None:
    manifest = bench.register(features={"x": "numeric"}, task="regression")
    reference = "SELECT i % 100 AS x, (i % 50)::DOUBLE AS prediction, (i % 40)::DOUBLE AS label FROM range(5000) t(i)"
    bench.reference(manifest, bench.file(reference))
    predict(bench, 0, "(i % 50)::DOUBLE AS prediction")
    label(bench, 0, "(i % 40 + 20)::DOUBLE")
    values = np.arange(5000) % 40
    [row] = rows(bench, "label", "mean_change")
    now = np.arange(ROWS) % 40 + 20
    assert row.found.value == pytest.approx((now.mean() - values.mean()) / values.std(), rel=1e-9)
    assert (row.found.alarm, row.found.severity, row.found.rows) == (True, "critical", ROWS)
    [spread] = rows(bench, "label", "spread_change")
    assert spread.found.value == pytest.approx(now.std() / values.std() - 1, abs=1e-9)
    [psi] = rows(bench, "label")
    assert (psi.found.value, psi.found.why) == (
        None,
        "of the labels of a regression only mean_change and spread_change are known",
    )


def test_a_model_whose_reference_has_no_labels_has_no_such_line(bench: Bench) -> None:
    bench.reference(bench.register(features={"x": "numeric"}), bench.file("SELECT i % 100 AS x FROM range(5000) t(i)"))
    predict(bench, 0, "(i % 10) / 10.0 AS score")
    label(bench, 0, "i % 2")
    assert rows(bench, "label") == []
    with pytest.raises(Refusal, match="has no feature 'label'"):
        bench.database.reader.read(lambda c: distribution(c, DistributionParams(DEPLOYMENT, "label"), SETTINGS))


# --- what the model answers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "reference", "current", "feature"),
    [
        ("binary", "(i % 10) / 10.0 AS score", "(i % 5) / 5.0 + 0.5 AS score", "score"),
        ("binary", "(i % 10 = 0)::INT AS prediction", "(i % 10 < 6)::INT AS prediction", "prediction"),
        ("multiclass", "['a', 'b'][i % 2 + 1] AS prediction", "'b' AS prediction", "prediction"),
        ("regression", "(i % 50)::DOUBLE AS prediction", "(i % 50 + 30)::DOUBLE AS prediction", "prediction"),
    ],
)
def test_a_drift_of_the_answers_is_found(bench: Bench, task: Any, reference: str, current: str, feature: str) -> None:
    manifest = bench.register(features={"x": "numeric"}, task=task)
    bench.reference(manifest, bench.file(f"SELECT i % 100 AS x, {reference} FROM range(5000) t(i)"))
    predict(bench, 0, reference)
    predict(bench, 1, current)
    assert [row.found.alarm for row in rows(bench, feature)] == [False, True]
