"""Staleness goes by the agent's clock: silence opens an alert, files close it, old event times do not matter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from store.agent.scheduler import Scheduler
from store.database import Actor, Transaction, times
from store.monitor import act, evaluate, staleness
from store.monitor.judge import foresee
from store.monitor.rules import Rule, compiled
from store.protocol import ActionParams
from store.settings import AlertSettings, MonitorSettings, RuleSettings
from tests.store.monitor.conftest import DEPLOYMENT, Bench

ALERTS = AlertSettings(
    defaults=False, rule=[RuleSettings(name="silence", metric="staleness", threshold="2h", severity="critical")]
)
RULES: list[Rule] = compiled(MonitorSettings(), ALERTS)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture
def fed(bench: Bench) -> Bench:
    """A store that was sent one file, with event times of 2013."""
    bench.register()
    feed(bench, 1)
    return bench


def feed(bench: Bench, number: int) -> None:
    bench.predict(bench.file(f"SELECT 'p{number}' AS prediction_id, TIMESTAMP '2013-05-01' AS timestamp, 1.0 AS x"))


def look(bench: Bench, later: timedelta, since: datetime = LONG_AGO) -> None:
    """What the agent decides when so much time has passed."""

    def decide(tx: Transaction) -> None:
        tx.now += later
        staleness.watch(tx, ALERTS, RULES, since)

    bench.database.writer.change(decide)


def states(bench: Bench) -> list[str]:
    return [row[0] for row in bench.rows("SELECT state FROM monitor_alert_now ORDER BY opened_at")]


def test_while_files_come_in_time_there_is_no_alert(fed: Bench) -> None:
    look(fed, timedelta(hours=1))
    assert states(fed) == []


def test_silence_opens_one_alert_however_long_it_lasts(fed: Bench) -> None:
    for hours in (3, 4, 5):
        look(fed, timedelta(hours=hours))
    assert fed.rows("SELECT rule, feature, severity, state FROM monitor_alert_now") == [
        ("silence", "arrivals", "critical", "open")
    ]


def test_the_alert_says_since_when_and_what_was_expected(fed: Bench) -> None:
    look(fed, timedelta(hours=3))
    assert fed.rows("SELECT message FROM monitor_alert_now")[0][0].startswith("no predictions for 3:00:")
    assert fed.rows("SELECT guarantee FROM monitor_alert_now") == [("by the agent's clock",)]


def test_a_file_closes_it(fed: Bench) -> None:
    look(fed, timedelta(hours=3))
    feed(fed, 2)
    fed.database.writer.change(lambda tx: evaluate(tx, DEPLOYMENT, MonitorSettings(), ALERTS, RULES))
    assert states(fed) == ["closed"]


def test_the_writer_is_asked_only_where_there_is_an_alert_to_close(fed: Bench) -> None:
    def asked() -> bool:
        return fed.database.reader.read(lambda c: foresee(c, DEPLOYMENT, RULES)) is not None

    assert not asked()
    look(fed, timedelta(hours=3))
    assert asked()
    fed.database.writer.change(lambda tx: evaluate(tx, DEPLOYMENT, MonitorSettings(), ALERTS, RULES))
    assert not asked()


def test_what_happened_while_no_agent_looked_is_no_silence(fed: Bench) -> None:
    began = datetime.now(UTC) + timedelta(hours=2)
    look(fed, timedelta(hours=3), began)
    assert states(fed) == []


def test_without_such_a_rule_nothing_is_expected(fed: Bench) -> None:
    def decide(tx: Transaction) -> None:
        tx.now += timedelta(days=30)
        staleness.watch(tx, AlertSettings(), compiled(MonitorSettings(), AlertSettings()), LONG_AGO)

    fed.database.writer.change(decide)
    assert states(fed) == []


def test_the_scheduler_looks_ten_times_within_what_is_expected(bench: Bench) -> None:
    alerts = AlertSettings(rule=[RuleSettings(name="s", metric="staleness", threshold="1m")])
    assert Scheduler(bench.database, alerts, compiled(MonitorSettings(), alerts)).interval == 6


def test_the_scheduler_opens_and_consoles_are_told(fed: Bench) -> None:
    alerts = AlertSettings(defaults=False, rule=[RuleSettings(name="silence", metric="staleness", threshold="0.001s")])
    told: set[str] = set()
    fed.database.listen(lambda topics, _at: told.update(topics))
    scheduler = Scheduler(fed.database, alerts, compiled(MonitorSettings(), alerts))
    scheduler._since = LONG_AGO
    scheduler.tick(times.now())
    assert states(fed) == ["open"]
    assert {"alerts", "deployments"} <= told


def test_when_a_mute_runs_out_consoles_are_told(fed: Bench) -> None:
    look(fed, timedelta(hours=3))
    until = datetime.now(UTC) + timedelta(hours=1)
    params = ActionParams("mute", "a1", until=until.timestamp())
    fed.database.writer.change(lambda tx: act(tx, params, Actor("ana", "cli")))
    told: list[set[str]] = []
    scheduler = Scheduler(fed.database, AlertSettings(), [])
    fed.database.listen(lambda topics, _at: told.append(set(topics.get("alerts", ()))))
    scheduler.tick(until - timedelta(minutes=1))
    scheduler.tick(until + timedelta(minutes=1))
    scheduler.tick(until + timedelta(minutes=2))
    assert told == [{"a1"}]
