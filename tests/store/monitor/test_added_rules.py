"""A rule that is added where others decided before it: it learns from the past, and tells of the present alone."""

from __future__ import annotations

from typing import Any

import pytest

from store.monitor import evaluate
from store.settings import AlertSettings, MonitorSettings, RouteSettings, RuleSettings
from tests.store.monitor.conftest import DEPLOYMENT, Bench

SETTINGS = MonitorSettings(alert_span=1, open_after=1, close_after=1, min_rows=100, min_labelled=100)
ROUTES = {"default": RouteSettings(["json://127.0.0.1"])}
BEFORE = RuleSettings(name="before", metric="duplicates")


@pytest.fixture
def fed(bench: Bench) -> Bench:
    manifest = bench.register(features={"size": "numeric"}, metrics={"auc": 1.0})
    bench.reference(manifest, bench.file("SELECT i % 100 AS size FROM range(5000) t(i)"))
    return bench


def days(bench: Bench, marks: str, first: int = 0) -> None:
    """A file a day: `.` a good one, `n` one without any value; the last day has not ended."""
    for number, mark in enumerate(marks, first):
        size = "NULL::BIGINT" if mark == "n" else "i % 100"
        bench.predict(
            bench.file(
                f"SELECT '{number}-' || i AS prediction_id, TIMESTAMP '2024-01-01' + to_days({number}) AS timestamp,"
                f" {size} AS size, i / 500.0 AS score FROM range(500) t(i)"
            )
        )


def decide(bench: Bench, *rules: RuleSettings) -> None:
    alerts = AlertSettings(defaults=False, rule=[BEFORE, *rules], route=ROUTES)
    bench.database.writer.change(lambda tx: evaluate(tx, DEPLOYMENT, SETTINGS, alerts, settle=True))


def told(bench: Bench) -> list[tuple[Any, ...]]:
    """(what happened, to which feature, at the end of which day)."""
    return bench.rows(
        "SELECT event, feature, date_diff('day', TIMESTAMP '2024-01-01', window_end) - 1 FROM monitor_alert_event"
        " ORDER BY ordinal"
    )


MISSING = RuleSettings(name="missing", metric="missing", change=0.5, severity="critical")


def test_what_is_over_is_no_alert(fed: Bench) -> None:
    days(fed, "..nn...")
    decide(fed)
    decide(fed, MISSING)
    assert told(fed) == []
    assert fed.rows("SELECT title FROM monitor_delivery") == []


def test_what_is_still_bad_opens_at_the_newest_window(fed: Bench) -> None:
    days(fed, "..nn.nnn.")
    decide(fed)
    decide(fed, MISSING)
    assert told(fed) == [("opened", "size", 7)]
    assert fed.rows(
        "SELECT count(*), any_value(title LIKE '[CRITICAL] % missing of size: 100%') FROM monitor_delivery"
    ) == [(1, True)]


def test_it_closes_and_opens_from_then_on_as_any_other(fed: Bench) -> None:
    days(fed, "..nn.")
    decide(fed)
    decide(fed, MISSING)
    days(fed, ".nn.", first=5)
    decide(fed, MISSING)
    assert told(fed) == [("opened", "size", 3), ("closed", "size", 4), ("opened", "size", 6), ("updated", "size", 7)]


def test_where_no_rule_decided_before_all_of_the_past_is_told(fed: Bench) -> None:
    days(fed, "..nn...")
    decide(fed, MISSING)
    assert told(fed) == [("opened", "size", 2), ("closed", "size", 4)]


def test_nothing_healthy_is_learnt_from_what_it_would_have_told(fed: Bench) -> None:
    learnt = RuleSettings(name="learnt", metric="null_share", threshold="learnt")
    days(fed, "..........nnn...")
    decide(fed)
    decide(fed, learnt)
    days(fed, "n.", first=16)
    decide(fed, learnt)
    assert told(fed) == [("opened", "size", 16)]


def test_that_what_was_missing_drifted_too_is_no_alert(fed: Bench) -> None:
    drift = RuleSettings(name="drift", statistic="psi", span=4)
    days(fed, "..nn..")
    decide(fed)
    decide(fed, MISSING)
    decide(fed, MISSING, drift)
    assert told(fed) == []


def test_labels_that_come_later_than_the_predictions_make_no_rule_an_added_one(fed: Bench) -> None:
    performance = RuleSettings(name="performance", metric="auc", change=0.1)
    days(fed, "......")
    decide(fed, performance)
    fed.label(
        fed.file(
            "SELECT day || '-' || i AS prediction_id, CASE WHEN day < 2 THEN i % 2 ELSE (i > 250)::INTEGER END AS label"
            " FROM range(500) t(i), range(6) d(day)"
        )
    )
    decide(fed, performance)
    assert told(fed) == [("opened", "auc", 0), ("closed", "auc", 2)]
