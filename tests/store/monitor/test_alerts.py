"""Alerts: opened once, updated, closed without flapping, and what people do to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from store.catalog.listing import Listings
from store.database import Actor
from store.database.migrate import migrations
from store.monitor import act, evaluate, open_alerts
from store.monitor.listings import listings
from store.protocol import ActionParams, ExitCode, ListParams, Outcome, Refusal
from store.settings import AlertSettings, MonitorSettings, RuleSettings
from tests.store.monitor.conftest import DEPLOYMENT, Bench

SETTINGS = MonitorSettings(alert_span=1, open_after=2, close_after=2, min_rows=100, min_labelled=100)


@pytest.fixture
def watched(bench: Bench) -> Bench:
    bench.reference(
        bench.register(metrics={"auc": 0.9}), bench.file("SELECT (i % 1000)::DOUBLE AS x FROM range(20000) t(i)")
    )
    return bench


def day(bench: Bench, number: int, shift: int = 0, rows: int = 500) -> None:
    """A day of predictions whose x is shifted, then the decision on whatever ended."""
    bench.predict(
        bench.file(
            f"SELECT 'd{number}-' || i AS prediction_id, TIMESTAMP '2024-05-01' + to_days({number}) AS timestamp,"
            f" (i * 619 % 1000 + {shift})::DOUBLE AS x, i / {rows}.0 AS score FROM range({rows}) t(i)"
        )
    )
    decide(bench)


def decide(bench: Bench) -> None:
    bench.database.writer.change(lambda tx: evaluate(tx, DEPLOYMENT, SETTINGS))


def days(bench: Bench, shifts: str) -> None:
    """`.` a quiet day, `x` a drifted one; the last one is only there to end the one before."""
    for number, mark in enumerate(shifts):
        day(bench, number, 800 if mark == "x" else 0)


def alerts(bench: Bench, state: str = "") -> list[tuple[Any, ...]]:
    rows = bench.rows("SELECT alert, state FROM monitor_alert_now WHERE rule = 'drift' ORDER BY alert")
    return [row for row in rows if not state or row[1] == state]


def do(bench: Bench, action: Any, alert: str = "a1", **more: Any) -> Outcome:
    params = ActionParams(action, alert, reason="because", **more)
    return bench.database.writer.change(lambda tx: act(tx, params, Actor("ana", "cli")))


def test_alerts_opened_at_one_moment_are_listed_by_their_numbers(bench: Bench) -> None:
    names = [f"f{number}" for number in range(12)]
    shifted = ", ".join(f"(i % 1000 + 800)::DOUBLE AS {name}" for name in names)
    plain = ", ".join(f"(i % 1000)::DOUBLE AS {name}" for name in names)
    bench.reference(bench.register(), bench.file(f"SELECT {plain} FROM range(20000) t(i)"))
    for number in range(3):
        bench.predict(
            bench.file(
                f"SELECT 'd{number}-' || i AS prediction_id, TIMESTAMP '2024-05-01' + to_days({number}) AS timestamp,"
                f" {shifted} FROM range(500) t(i)"
            )
        )
    decide(bench)
    known, asked = Listings(listings()), ListParams("alerts")
    rows = bench.database.reader.read(lambda c: known.page(c, asked)).rows
    numbers = [int(str(row[0])[1:]) for row in rows]
    assert len(numbers) > 9
    assert numbers == sorted(numbers, reverse=True)
    assert bench.database.reader.read(lambda c: known.locate(c, asked, "a9")).offset == numbers.index(9)


def test_quiet_days_open_nothing(watched: Bench) -> None:
    days(watched, ".....")
    assert alerts(watched) == []


def test_one_drifted_day_is_not_enough(watched: Bench) -> None:
    days(watched, "..x..")
    assert alerts(watched) == []


def test_two_drifted_days_in_a_row_open_one_alert(watched: Bench) -> None:
    days(watched, "..xx.")
    assert alerts(watched) == [("a1", "open")]


def test_an_alert_says_what_changed(watched: Bench) -> None:
    days(watched, "..xx.")
    [(message,)] = watched.rows("SELECT message FROM monitor_alert_now WHERE rule = 'drift'")
    said, _, causes = message.partition(": ")
    assert said.startswith("psi of x is ")
    assert "mean " in causes
    assert " or more (+" in causes, "so far outside that the counts do not say how far"


def test_a_window_is_decided_only_once_later_data_has_come(watched: Bench) -> None:
    days(watched, "..xx")
    assert alerts(watched) == []


def test_more_drifted_days_are_the_same_alert(watched: Bench) -> None:
    days(watched, "xxxxxx")
    assert alerts(watched) == [("a1", "open")]


def test_an_alert_closes_after_quiet_days_in_a_row(watched: Bench) -> None:
    days(watched, "xx.x..")
    assert alerts(watched) == [("a1", "open")]
    day(watched, 6)
    assert alerts(watched) == [("a1", "closed")]


def test_deciding_all_days_at_once_gives_what_day_by_day_gives(watched: Bench) -> None:
    for number, mark in enumerate("..xxx...xx."):
        watched.predict(
            watched.file(
                f"SELECT '{number}-' || i AS prediction_id, TIMESTAMP '2024-05-01' + to_days({number}) AS timestamp,"
                f" (i * 7 % 1000 + {800 if mark == 'x' else 0})::DOUBLE AS x FROM range(500) t(i)"
            )
        )
    decide(watched)
    assert alerts(watched) == [("a1", "closed"), ("a2", "open")]


def test_deciding_again_changes_nothing(watched: Bench) -> None:
    days(watched, "xxx")
    before = watched.rows("SELECT count(*) FROM monitor_alert_event")
    decide(watched)
    assert watched.rows("SELECT count(*) FROM monitor_alert_event") == before


def test_few_rows_that_may_be_chance_open_nothing(watched: Bench) -> None:
    for number in range(5):
        day(watched, number, 100, rows=20)
    assert alerts(watched) == []


def test_few_rows_that_are_certain_open_an_alert_whatever_the_least_number_of_rows(watched: Bench) -> None:
    for number in range(3):
        day(watched, number, 800, rows=20)
    assert alerts(watched) == [("a1", "open")]


def test_windows_too_small_to_tell_open_an_alert_once_together_they_do(watched: Bench) -> None:
    for number in range(6):
        day(watched, number, 800, rows=50)
    rows = watched.rows("SELECT state, guarantee FROM monitor_alert_now WHERE feature = 'x'")
    assert len(rows) == 1
    assert "of watches in which nothing changes, at most 1% ever" in rows[0][1]


def test_small_windows_do_not_open_anew_what_the_windows_before_them_found_over(watched: Bench) -> None:
    days(watched, "..xxx....")
    for number in (9, 10):
        day(watched, number, rows=5)
    day(watched, 11)
    assert alerts(watched) == [("a1", "closed")]


def test_opening_and_closing_are_in_the_journal(watched: Bench) -> None:
    days(watched, "xx...")
    rows = watched.rows("SELECT action, subject, actor FROM journal WHERE kind = 'alerts' ORDER BY sequence")
    assert rows == [("open", "a1", "agent"), ("close", "a1", "agent")]


def test_a_fall_of_auc_opens_a_critical_alert(watched: Bench) -> None:
    for number in range(4):
        day(watched, number)
        watched.label(
            watched.file(
                f"SELECT 'd{number}-' || i AS prediction_id, i % 2 AS label FROM range(500) t(i)",
            )
        )
        decide(watched)
    rows = watched.rows("SELECT rule, feature, severity, state FROM monitor_alert_now")
    assert rows == [("performance", "auc", "critical", "open")]


def test_an_acknowledged_alert_says_by_whom(watched: Bench) -> None:
    days(watched, "xxx")
    do(watched, "ack")
    assert watched.rows("SELECT state, actor, note FROM monitor_alert_now") == [("acknowledged", "ana", "because")]


def test_acknowledging_twice_is_refused_with_who_did(watched: Bench) -> None:
    days(watched, "xxx")
    do(watched, "ack")
    with pytest.raises(Refusal, match="ana acknowledged alert a1 already") as refused:
        do(watched, "ack")
    assert refused.value.code is ExitCode.CHANGED


def test_the_same_request_twice_is_one_action(watched: Bench) -> None:
    days(watched, "xxx")
    first = do(watched, "ack", request_id="r1")
    second = do(watched, "ack", request_id="r1")
    assert (second.sequence, second.repeated) == (first.sequence, True)


def test_a_muted_alert_is_not_counted_as_open(watched: Bench) -> None:
    days(watched, "xxx")
    do(watched, "mute")
    assert alerts(watched) == [("a1", "muted")]
    assert watched.database.reader.read(open_alerts) == {DEPLOYMENT: (0, 1)}


def test_a_resolved_alert_stays_quiet_while_its_cause_lasts(watched: Bench) -> None:
    days(watched, "xxx")
    do(watched, "resolve")
    for number in range(3, 7):
        day(watched, number, 800)
    assert alerts(watched) == [("a1", "resolved")]


def test_after_its_cause_was_over_a_resolved_alert_opens_anew(watched: Bench) -> None:
    days(watched, "xxx")
    do(watched, "resolve")
    for number, mark in enumerate("x...xxx", start=3):
        day(watched, number, 800 if mark == "x" else 0)
    assert alerts(watched) == [("a1", "resolved"), ("a2", "open")]


def test_an_alert_that_is_over_cannot_be_acknowledged(watched: Bench) -> None:
    days(watched, "xx...")
    with pytest.raises(Refusal, match="Alert a1 is closed already"):
        do(watched, "ack")


def test_an_unknown_alert_is_refused(watched: Bench) -> None:
    with pytest.raises(Refusal, match="There is no alert 'a7'") as refused:
        do(watched, "mute", "a7")
    assert refused.value.code is ExitCode.USAGE


# --- rules over time ---------------------------------------------------------------------------------------


def test_an_alert_of_an_older_store_lives_on(tmp_path: Path) -> None:
    path = tmp_path / "metadata.duckdb"
    with duckdb.connect(path) as old:
        old.execute("CREATE TABLE migration (number INTEGER, name VARCHAR, applied_at TIMESTAMP)")
        for migration in migrations():
            if migration.number <= 5:
                old.execute(migration.sql)
                old.execute("INSERT INTO migration VALUES (?, ?, now())", [migration.number, migration.name])
        old.execute(
            "INSERT INTO monitor_alert_event VALUES (1, 'a1', 'm@production', 'drift', 'x', '1', 'opened', 'warning',"
            " 0.4, 0.25, 0.01, '2024-04-01', '2024-04-02', 'psi of x is 0.4', 'agent', NULL, '2024-04-02')"
        )
    bench = Bench(tmp_path)
    bench.reference(
        bench.register(metrics={"auc": 0.9}), bench.file("SELECT (i % 1000)::DOUBLE AS x FROM range(20000) t(i)")
    )
    assert bench.rows("SELECT state, guarantee FROM monitor_alert_now") == [("open", "")]
    days(bench, "....")
    assert alerts(bench) == [("a1", "closed")]
    bench.close()


def test_what_no_rule_watches_any_more_is_closed(watched: Bench) -> None:
    days(watched, "xxx")
    elsewhere = AlertSettings(rule=[RuleSettings(name="drift", statistic="psi", feature="y*")])
    watched.database.writer.change(lambda tx: evaluate(tx, DEPLOYMENT, SETTINGS, elsewhere, settle=True))
    assert alerts(watched) == [("a1", "closed")]
    assert watched.rows("SELECT reason FROM journal WHERE action = 'close'") == [("Rule drift watches y* only.",)]


def test_a_feature_that_the_next_version_lacks_holds_no_alert_open(watched: Bench) -> None:
    days(watched, "xxx")
    watched.reference(watched.register("2"), watched.file("SELECT (i % 1000)::DOUBLE AS other FROM range(20000) t(i)"))
    for number in (3, 4):
        watched.predict(
            watched.file(
                f"SELECT 'v{number}-' || i AS prediction_id, TIMESTAMP '2024-05-01' + to_days({number}) AS timestamp,"
                " '2' AS model_version, (i * 7 % 1000)::DOUBLE AS other FROM range(500) t(i)"
            )
        )
        decide(watched)
    assert alerts(watched) == [("a1", "closed")]


def test_a_mute_that_is_over_leaves_the_alert_open(watched: Bench) -> None:
    days(watched, "xxx")
    do(watched, "mute", until=(datetime.now(UTC) + timedelta(seconds=3600)).timestamp())
    watched.database.writer.change(
        lambda tx: tx.execute("UPDATE monitor_alert_event SET muted_until = muted_until - INTERVAL 2 HOUR") and None
    )
    assert alerts(watched) == [("a1", "open")]


def test_a_shorter_mute_takes_the_place_of_a_longer_one(watched: Bench) -> None:
    days(watched, "xxx")
    now = datetime.now(UTC)
    do(watched, "mute", until=(now + timedelta(days=7)).timestamp())
    do(watched, "mute", until=(now + timedelta(hours=1)).timestamp())
    until = watched.rows("SELECT epoch(muted_until) FROM monitor_alert_now WHERE alert = 'a1'")[0][0]
    assert until == pytest.approx((now + timedelta(hours=1)).timestamp(), abs=1)
