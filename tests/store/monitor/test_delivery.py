"""Messages of alerts: queued with them, delivered by a worker to a real receiver, tried again, kept over a restart."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from store.database import Actor, Database
from store.governance.journal import Journal
from store.monitor import act, evaluate
from store.monitor.delivery.courier import Courier
from store.monitor.delivery.letters import Delivered, Letter
from store.monitor.delivery.outbox import pending
from store.monitor.workers.delivery import scrubbed
from store.protocol import ActionParams
from store.settings import AlertSettings, MonitorSettings, RouteSettings, RuleSettings
from tests.store.monitor.conftest import DEPLOYMENT, Bench
from tests.store.monitor.receiver import Receiver, receiving

SETTINGS = MonitorSettings(alert_span=1, open_after=2, close_after=2, min_rows=100, min_labelled=100)
LATER = timedelta(hours=2)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def watched(bench: Bench) -> Bench:
    rows = "SELECT (i % 1000)::DOUBLE AS x, (i % 1000)::DOUBLE AS y FROM range(20000) t(i)"
    bench.reference(bench.register(), bench.file(rows))
    return bench


def routes(*urls: str, **more: object) -> AlertSettings:
    return AlertSettings(route={"default": RouteSettings(list(urls), **more)})  # type: ignore[arg-type]


def days(bench: Bench, shifts: str, alerts: AlertSettings, first: int = 0) -> None:
    """`.` a quiet day, `x` one on which x drifts, `b` one on which x and y do; each but the last is decided."""
    for number, mark in enumerate(shifts, first):
        x, y = (800 if mark in "xb" else 0), (800 if mark == "b" else 0)
        bench.predict(
            bench.file(
                f"SELECT 'd{number}-' || i AS prediction_id, TIMESTAMP '2024-05-01' + to_days({number}) AS timestamp,"
                f" (i * 7 % 1000 + {x})::DOUBLE AS x, (i * 7 % 1000 + {y})::DOUBLE AS y FROM range(500) t(i)"
            )
        )
        bench.database.writer.change(lambda tx: evaluate(tx, DEPLOYMENT, SETTINGS, alerts))


def now() -> datetime:
    return datetime.now(UTC)


def attempts(bench: Bench) -> list[tuple[object, ...]]:
    return bench.rows("SELECT attempt, outcome FROM monitor_delivery_attempt ORDER BY attempt")


def titles(bench: Bench) -> list[str]:
    return [str(row[0]) for row in bench.rows("SELECT title FROM monitor_delivery ORDER BY recorded_at, delivery")]


def test_an_alert_that_opens_is_told_to_the_receiver(watched: Bench, receiver: Receiver) -> None:
    alerts = routes(receiver.url())
    days(watched, "xxx", alerts)
    Courier(watched.database, alerts).deliver_due(now())
    message = receiver.await_message()
    assert message["title"].startswith(f"[WARNING] {DEPLOYMENT}: psi of x is ")
    assert "quarterdeck show alerts a1" in message["message"]
    assert "of watches in which nothing changes, at most 1%" in message["message"]


def test_a_delivery_is_recorded(watched: Bench, receiver: Receiver) -> None:
    alerts = routes(receiver.url())
    days(watched, "xxx", alerts)
    Courier(watched.database, alerts).deliver_due(now())
    assert attempts(watched) == [(1, "delivered")]


def test_what_was_delivered_is_not_delivered_again(watched: Bench, receiver: Receiver) -> None:
    alerts = routes(receiver.url())
    days(watched, "xxx", alerts)
    courier = Courier(watched.database, alerts)
    assert courier.deliver_due(now()) is None
    courier.deliver_due(now() + LATER)
    assert len(receiver.came) == 1


def test_what_failed_is_tried_again_after_a_pause(watched: Bench, receiver: Receiver) -> None:
    alerts = routes(receiver.url())
    days(watched, "xxx", alerts)
    receiver.statuses = [500]
    courier = Courier(watched.database, alerts)
    following = courier.deliver_due(now())
    assert following is not None
    assert 0 < (following - now()).total_seconds() <= 10
    courier.deliver_due(following)
    assert attempts(watched) == [(1, "failed"), (2, "delivered")]


def test_what_fails_to_the_end_is_given_up(watched: Bench) -> None:
    alerts = AlertSettings(route={"default": RouteSettings(["json://127.0.0.1"])}, attempts=3)
    days(watched, "xxx", alerts)
    courier = Courier(watched.database, alerts, lambda letters: [Delivered(False, "no") for _ in letters])
    moment: datetime | None = now()
    while moment is not None:
        moment = courier.deliver_due(moment)
    assert attempts(watched) == [(1, "failed"), (2, "failed"), (3, "given_up")]


def test_pauses_grow_threefold(watched: Bench) -> None:
    alerts = routes("json://127.0.0.1")
    days(watched, "xxx", alerts)
    courier = Courier(watched.database, alerts, lambda letters: [Delivered(False, "no") for _ in letters])
    moment = now()
    for _ in range(4):
        moment = courier.deliver_due(moment) or moment
    rows = watched.rows(
        "SELECT round(epoch(next_at) - epoch(recorded_at)) FROM monitor_delivery_attempt ORDER BY attempt"
    )
    assert [row[0] for row in rows] == [10, 30, 90, 270]


def test_what_is_pending_is_taken_up_after_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    bench = Bench(tmp_path)
    rows = "SELECT (i % 1000)::DOUBLE AS x, (i % 1000)::DOUBLE AS y FROM range(20000) t(i)"
    bench.reference(bench.register(), bench.file(rows))
    alerts = routes(receiver.url())
    days(bench, "xxx", alerts)
    bench.close()
    database = Database.open(tmp_path / "metadata.duckdb", Journal)
    courier = Courier(database, alerts)
    courier.start()
    receiver.await_message()
    courier.close()
    assert database.reader.read(lambda c: pending(c, alerts)) == []
    database.close()


def test_a_courier_that_runs_is_woken_by_the_commit(watched: Bench, receiver: Receiver) -> None:
    alerts = routes(receiver.url())
    courier = Courier(watched.database, alerts)
    watched.database.listen(courier.committed)
    courier.start()
    days(watched, "xxx", alerts)
    assert receiver.await_message()["title"].startswith("[WARNING]")
    courier.close()


def test_no_part_of_a_url_is_recorded_or_logged(
    watched: Bench, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    alerts = routes(receiver.url())
    days(watched, "xxx", alerts)
    receiver.statuses = [403]
    with caplog.at_level(logging.DEBUG):
        Courier(watched.database, alerts).deliver_due(now())
    kept = str(watched.rows("SELECT * FROM monitor_delivery"))
    kept += str(watched.rows("SELECT * FROM monitor_delivery_attempt")) + str(watched.rows("SELECT * FROM journal"))
    kept += "".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records) + repr(alerts)
    assert "failed" in kept
    for secret in ("s3cr3t", "pa55word", "ana:"):
        assert secret not in kept


def test_the_status_of_a_refusal_is_told(watched: Bench, receiver: Receiver) -> None:
    alerts = routes(receiver.url())
    days(watched, "xxx", alerts)
    receiver.statuses = [403]
    Courier(watched.database, alerts).deliver_due(now())
    assert "403" in str(watched.rows("SELECT detail FROM monitor_delivery_attempt")[0][0])


def test_words_of_a_plug_in_lose_every_part_of_the_url() -> None:
    said = "POST https://hooks.example.org/T0AB/xyz123 as bob\x1b[31m failed: error=500"
    assert (
        scrubbed(said, "slack://bob@T0AB/xyz123/hooks.example.org") == "POST https://…/…/… as … [31m failed: error=500"
    )


def test_a_url_may_be_a_variable_of_the_environment(
    watched: Bench, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONCALL_URL", receiver.url())
    alerts = routes("$ONCALL_URL")
    days(watched, "xxx", alerts)
    Courier(watched.database, alerts).deliver_due(now())
    assert len(receiver.came) == 1


def test_a_variable_that_is_not_set_is_named(watched: Bench) -> None:
    alerts = routes("$NO_SUCH_URL")
    days(watched, "xxx", alerts)
    Courier(watched.database, alerts).deliver_due(now())
    assert watched.rows("SELECT detail FROM monitor_delivery_attempt") == [
        ("the agent's environment has no NO_SUCH_URL",)
    ]


def test_of_two_receivers_the_one_that_failed_is_tried_again(watched: Bench, receiver: Receiver) -> None:
    with receiving() as other:
        other.statuses = [500]
        alerts = routes(receiver.url(), other.url())
        days(watched, "xxx", alerts)
        courier = Courier(watched.database, alerts)
        courier.deliver_due(courier.deliver_due(now()) or now())
        assert (len(receiver.came), len(other.came)) == (1, 2)


def test_what_opens_together_is_one_message(watched: Bench) -> None:
    alerts = routes("json://127.0.0.1")
    days(watched, "bbb", alerts)
    assert titles(watched) == [f"[WARNING] {DEPLOYMENT}: 2 alerts opened: drift of x, y"]


def test_thirty_features_of_one_broken_join_are_one_message(bench: Bench, receiver: Receiver) -> None:
    names = [f"f{number:02}" for number in range(30)]
    plain = ", ".join(f"((i * 7 + {place}) % 1000)::DOUBLE AS {name}" for place, name in enumerate(names))
    gone = ", ".join(f"NULL::DOUBLE AS {name}" for name in names)
    bench.reference(bench.register(), bench.file(f"SELECT {plain} FROM range(20000) t(i)"))
    alerts = routes(receiver.url())
    for number, values in enumerate([plain, plain, gone, gone, gone, gone]):
        bench.predict(
            bench.file(
                f"SELECT 'd{number}-' || i AS prediction_id, TIMESTAMP '2024-05-01' + to_days({number}) AS timestamp,"
                f" {values} FROM range(500) t(i)"
            )
        )
        bench.database.writer.change(lambda tx: evaluate(tx, DEPLOYMENT, SETTINGS, alerts))
    Courier(bench.database, alerts).deliver_due(now())
    assert titles(bench) == [f"[CRITICAL] {DEPLOYMENT}: 30 alerts opened: missing of f00, f01, f02 and 27 more"]
    assert len(receiver.came) == 1
    assert "and 10 more" in receiver.came[0]["message"]


def test_the_end_of_an_alert_is_told_too(watched: Bench) -> None:
    alerts = routes("json://127.0.0.1")
    days(watched, "xx....", alerts)
    assert [title.split("]")[0] for title in titles(watched)] == ["[WARNING", "[over"]


def test_a_route_may_do_without_the_ends(watched: Bench) -> None:
    alerts = routes("json://127.0.0.1", closed=False)
    days(watched, "xx....", alerts)
    assert len(titles(watched)) == 1


def test_a_route_is_told_of_its_severities_only(watched: Bench) -> None:
    days(watched, "xxx", routes("json://127.0.0.1", severity=frozenset({"critical"})))
    assert titles(watched) == []


def test_a_rule_names_its_routes(watched: Bench) -> None:
    alerts = AlertSettings(
        defaults=False,
        rule=[RuleSettings(name="mine", statistic="psi", route=["one", "two"])],
        route={name: RouteSettings(["json://127.0.0.1"]) for name in ("one", "two", "default")},
    )
    days(watched, "xxx", alerts)
    assert watched.rows("SELECT DISTINCT route FROM monitor_delivery ORDER BY 1") == [("one",), ("two",)]


def test_the_end_of_a_muted_alert_is_told_to_nobody(watched: Bench) -> None:
    alerts = routes("json://127.0.0.1")
    days(watched, "xxx", alerts)
    watched.database.writer.change(lambda tx: act(tx, ActionParams("mute", "a1"), Actor("ana", "cli")))
    days(watched, "....", alerts, first=3)
    assert watched.rows("SELECT state FROM monitor_alert_now") == [("closed",)]
    assert len(titles(watched)) == 1


def test_what_opened_and_closed_within_one_file_is_told_to_nobody(watched: Bench) -> None:
    alerts = routes("json://127.0.0.1")
    for number, mark in enumerate("..xxx....."):
        watched.predict(
            watched.file(
                f"SELECT '{number}-' || i AS prediction_id, TIMESTAMP '2024-05-01' + to_days({number}) AS timestamp,"
                f" (i * 7 % 1000 + {800 if mark == 'x' else 0})::DOUBLE AS x FROM range(500) t(i)"
            )
        )
    watched.database.writer.change(lambda tx: evaluate(tx, DEPLOYMENT, SETTINGS, alerts))
    assert watched.rows("SELECT state FROM monitor_alert_now WHERE feature = 'x'") == [("closed",)]
    assert titles(watched) == []


def test_a_letter_does_not_show_its_url() -> None:
    assert "secret" not in repr(Letter("json://secret@host", "t", "b", "info"))
