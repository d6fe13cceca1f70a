"""Alerts of quality: what stops arriving, arrives twice or as something else, by rule; the default one is calm."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from store.monitor import evaluate
from store.monitor.replay import replay
from store.protocol import ReplayParams
from store.settings import AlertSettings, MonitorSettings, RuleSettings
from tests.store.monitor.conftest import DEPLOYMENT, Bench

SETTINGS = MonitorSettings(alert_span=1, open_after=1, close_after=1, min_rows=100)
COLOUR = "['red', 'green'][i % 2 + 1] AS colour"
#: What a day's `size` may be.
SIZES = {
    ".": "i % 100 AS size",
    "n": "NULL::BIGINT AS size",
    "t": "'n/a' AS size",
    "s": "i % 100 + 60 AS size",
    "h": "CASE WHEN i % 4 > 0 THEN i % 100 END AS size",
}


@pytest.fixture
def fed(bench: Bench) -> Bench:
    manifest = bench.register(features={"size": "numeric", "colour": "categorical"})
    bench.reference(manifest, bench.file(f"SELECT i % 100 AS size, {COLOUR} FROM range(5000) t(i)"))
    return bench


def days(bench: Bench, marks: str, alerts: AlertSettings, first: int = 0, rows: int = 500, span: int = 1) -> None:
    """A mark a day: as in `SIZES`, `-` a file without the column, `2` one whose every row comes twice."""
    settings = msgspec.structs.replace(SETTINGS, alert_span=span)
    for number, mark in enumerate(marks, first):
        size = "" if mark == "-" else SIZES.get(mark, SIZES["."]) + ","
        source = (
            f"range({rows}) t(i)" if mark != "2" else f"(FROM range({rows}) t(i) UNION ALL FROM range({rows}) t(i))"
        )
        bench.predict(
            bench.file(
                f"SELECT '{number}-' || i AS prediction_id, TIMESTAMP '2024-01-01' + to_days({number}) AS timestamp,"
                f" {size} {COLOUR}, 1 AS prediction FROM {source}"
            )
        )
        bench.database.writer.change(lambda tx: evaluate(tx, DEPLOYMENT, settings, alerts))


def opened(bench: Bench, rule: str) -> list[tuple[Any, ...]]:
    return bench.rows(
        f"SELECT feature, state, severity, message FROM monitor_alert_now WHERE rule = '{rule}' ORDER BY alert"
    )


def of(metric: str, **more: Any) -> AlertSettings:
    return AlertSettings(defaults=False, rule=[RuleSettings(name="mine", metric=metric, **more)])


DEFAULTS = AlertSettings()


@pytest.mark.parametrize("mark", ["-", "n", "t"])
def test_a_feature_that_is_suddenly_gone_opens_one_critical_alert(fed: Bench, mark: str) -> None:
    days(fed, f"..{mark * 4}", DEFAULTS)
    message = "missing of size: 100.0% of 500 rows, 0.0% on the reference, limit 50.0%"
    assert opened(fed, "missing") == [("size", "open", "critical", message)]


def test_it_says_what_stands_behind_it(fed: Bench) -> None:
    days(fed, "..--", DEFAULTS)
    assert fed.rows("SELECT guarantee FROM monitor_alert_now WHERE rule = 'missing'") == [
        ("beyond three standard errors of the shares of both samples",)
    ]


def test_it_closes_after_two_days_on_which_the_feature_is_back(fed: Bench) -> None:
    days(fed, "..--.", DEFAULTS)
    assert opened(fed, "missing")[0][1] == "open"
    days(fed, "..", DEFAULTS, first=5)
    assert opened(fed, "missing")[0][1] == "closed"


@pytest.mark.parametrize("mark", ["n", "t"])
def test_that_what_is_missing_drifts_too_is_no_second_alert(fed: Bench, mark: str) -> None:
    days(fed, f"..{mark * 4}......", DEFAULTS, span=3)
    assert fed.rows("SELECT rule, feature, state FROM monitor_alert_now") == [("missing", "size", "closed")]


def test_what_drifts_once_its_values_are_back_is_told(fed: Bench) -> None:
    days(fed, "..nnssssss", DEFAULTS, span=3)
    assert fed.rows("SELECT rule, feature, state FROM monitor_alert_now ORDER BY rule") == [
        ("drift", "size", "open"),
        ("missing", "size", "closed"),
    ]


def test_a_replay_of_drift_knows_what_was_missing(fed: Bench) -> None:
    days(fed, "..nn......", DEFAULTS)
    asked = ReplayParams("drift", DEPLOYMENT)
    found = fed.database.reader.read(lambda c: replay(c, asked, SETTINGS, DEFAULTS))
    assert found.lines[0].episodes == []


def test_a_feature_that_production_never_had_alerts_nobody(fed: Bench) -> None:
    days(fed, "-----", DEFAULTS)
    assert opened(fed, "missing") == []


def test_some_missing_values_alert_nobody_without_a_rule(fed: Bench) -> None:
    days(fed, "..hhh", DEFAULTS)
    assert opened(fed, "missing") == []


def test_few_rows_alert_nobody(fed: Bench) -> None:
    days(fed, "..--.", DEFAULTS, rows=50)
    assert opened(fed, "missing") == []


@pytest.mark.parametrize(
    ("metric", "marks", "feature", "message"),
    [
        ("null_share", "..h.", "size", "null_share of size: 25.0% of 500 rows, 0.0% on the reference, limit 5.0%"),
        ("type_errors", "..t.", "size", "type_errors of size: 100.0% of 500 rows, 0.0% on the reference, limit 0.0%"),
        ("absent", "..-.", "size", "absent of size: 100.0% of 500 rows, 0.0% on the reference, limit 0.0%"),
        ("duplicates", "..2.", "duplicates", "duplicates: 50.0% of 1,000 rows, limit 1.0%"),
    ],
)
def test_a_check_can_be_a_rule(fed: Bench, metric: str, marks: str, feature: str, message: str) -> None:
    days(fed, marks, of(metric))
    assert opened(fed, "mine") == [(feature, "open", "warning", message)]


def test_a_rule_may_name_its_features_and_its_own_limit(fed: Bench) -> None:
    days(fed, "..h.", of("null_share", feature="colour"))
    assert opened(fed, "mine") == []
    days(fed, "h.", of("null_share", feature="si*", threshold=0.15), first=4)
    assert [row[:2] for row in opened(fed, "mine")] == [("size", "open")]


def test_what_chance_puts_on_top_of_the_limit_alerts_nobody(fed: Bench) -> None:
    days(fed, "..h.", of("null_share", threshold=0.22))
    assert opened(fed, "mine") == []


def test_a_learnt_limit_knows_the_gaps_of_every_day(fed: Bench) -> None:
    days(fed, "h" * 10 + "n.", of("null_share", threshold="learnt"))
    [(feature, state, _, message)] = opened(fed, "mine")
    assert (feature, state) == ("size", "open")
    assert message.startswith("null_share of size: 100.0% of 500 rows, 0.0% on the reference, limit 27.5%")


def test_a_replay_tells_what_the_judge_does(fed: Bench) -> None:
    days(fed, "..--..-.", DEFAULTS)
    asked = ReplayParams("missing", DEPLOYMENT)
    found = fed.database.reader.read(lambda c: replay(c, asked, SETTINGS, DEFAULTS))
    rows = fed.rows(
        "SELECT feature, epoch(opened_window), epoch(closed_window) FROM monitor_alert_now WHERE rule = 'missing'"
        " ORDER BY opened_window"
    )
    assert [(one.feature, one.opened, one.closed) for one in found.lines[0].episodes] == rows
    assert len(rows) == 2


def test_a_feature_called_like_a_metric_is_a_share_all_the_same(bench: Bench) -> None:
    manifest = bench.register(features={"mae": "numeric"})
    reference = "SELECT CASE WHEN i % 4 > 0 THEN i % 100 END AS mae FROM range(5000) t(i)"
    bench.reference(manifest, bench.file(reference))
    for number in range(3):
        bench.predict(
            bench.file(
                f"SELECT '{number}-' || i AS prediction_id, TIMESTAMP '2024-01-01' + to_days({number}) AS timestamp,"
                " CASE WHEN i % 2 > 0 THEN i % 100 END AS mae, 1 AS prediction FROM range(500) t(i)"
            )
        )
        bench.database.writer.change(lambda tx: evaluate(tx, DEPLOYMENT, SETTINGS, of("null_share")))
    assert opened(bench, "mine")[0][3].endswith("50.0% of 500 rows, 25.0% on the reference, limit 30.0%")
