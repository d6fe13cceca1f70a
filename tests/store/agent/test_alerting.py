"""The agent alone, with no console open: files arrive, an alert opens, the receiver hears of it, people act on it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from store.protocol import ActionParams, DoctorReport, Empty, Page, Refusal, Replay, ReplayParams, ShowParams
from tests.alerting_store import DEPLOYMENT, SETTINGS, write_labels, write_model, write_predictions
from tests.driver import RunningAgent, wait_for
from tests.filled_store import wait_for_rows
from tests.store.monitor.receiver import Receiver, receiving


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[RunningAgent]:
    """An agent that has seen two days on which x drifted, and whose first try to tell of it failed."""
    store = tmp_path_factory.mktemp("store")
    (store / "quarterdeck.toml").write_text(f'{SETTINGS}\n[alerts.route.default]\nurls = ["{receiver.url()}"]\n')
    with RunningAgent(store) as running:
        write_model(store)
        wait_for_rows(running, "versions", 1)
        write_predictions(store, 0, shift=800)
        write_predictions(store, 1, shift=800)
        wait_for_rows(running, "alerts", 1)
        yield running


def rows(page: Page) -> list[dict[str, Any]]:
    names = [column.name for column in page.columns]
    return [dict(zip(names, row, strict=True)) for row in page.rows]


def test_the_alert_opened_and_says_what_stands_behind_it(agent: RunningAgent) -> None:
    found = rows(agent.page("alerts"))[-1]
    assert (found["deployment"], found["rule"], found["feature"]) == (DEPLOYMENT, "drift", "x")
    assert "at most 1% ever raise any such alarm" in found["guarantee"]


def test_the_receiver_was_told(agent: RunningAgent, receiver: Receiver) -> None:
    wait_for("a message", lambda: receiver.came)
    assert receiver.came[0]["title"].startswith(f"[WARNING] {DEPLOYMENT}: psi of x is ")


def test_the_alerts_page_shows_its_life_and_its_messages(agent: RunningAgent) -> None:
    def delivered() -> Any:
        with agent.client() as client:
            sections = {section.title: section for section in client.call("show", ShowParams("alerts", "a1")).sections}
        return sections if any("delivered" in row for row in sections["messages"].rows) else None

    sections = wait_for("the delivery's record", delivered)
    assert [row[1] for row in sections["life"].rows] == ["opened"]
    assert sections["messages"].rows[0][1:5] == ["opened", "default/1", 1, "delivered"]


def test_no_part_of_the_url_is_in_the_log_or_the_journal(agent: RunningAgent) -> None:
    log = agent.store / "log" / "agent.log"
    # The receiver has the message a moment before its delivery is recorded.
    wait_for("the delivery", lambda: "delivered" in log.read_text())
    said = log.read_text() + json.dumps(agent.page("journal", limit=1000).rows)
    assert "s3cr3t" not in said
    assert "pa55word" not in said


def test_doctor_tells_that_others_may_read_the_secrets(agent: RunningAgent) -> None:
    (agent.store / "quarterdeck.toml").chmod(0o644)
    with agent.client() as client:
        report: DoctorReport = client.call("doctor", Empty())
    check = next(check for check in report.checks if check.name == "messages")
    assert (check.status, check.found) == ("warning", "1 routes, 1 urls; others may read quarterdeck.toml")


def test_it_can_be_muted_until_a_moment(agent: RunningAgent) -> None:
    until = time.time() + 3600
    with agent.client() as client:
        client.call("act", ActionParams("mute", "a1", reason="known", until=until))
    found = next(row for row in rows(agent.page("alerts")) if row["id"] == "a1")
    assert (found["state"], found["muted_until"]) == ("muted", pytest.approx(until, abs=0.01))


@pytest.mark.parametrize(("until", "said"), [(1.0, "is over already"), (9e9, "too far away"), (1e300, "is no time")])
def test_a_mute_ends_in_the_near_future(agent: RunningAgent, until: float, said: str) -> None:
    with agent.client() as client, pytest.raises(Refusal, match=said):
        client.call("act", ActionParams("mute", "a1", until=until))


def test_a_rule_is_replayed(agent: RunningAgent) -> None:
    with agent.client() as client:
        found: Replay = client.call("replay", ReplayParams("drift", DEPLOYMENT, [1e6]))
    assert {line.threshold: line.fired for line in found.lines} == {0.1: 1, 1e6: 0}


def test_a_performance_alert_is_told_too(agent: RunningAgent, receiver: Receiver) -> None:
    for day in (0, 1):
        write_labels(agent.store, day)
    wait_for("a critical message", lambda: any("[CRITICAL]" in message["title"] for message in receiver.came))


def test_a_rule_that_cannot_be_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "quarterdeck.toml").write_text('[[alerts.rule]]\nname = "a"\nstatistic = "psy"\n')
    with pytest.raises(AssertionError, match="Alert rule a: statistic is 'psy'"):
        RunningAgent(tmp_path).start()


def test_an_alert_whose_rule_is_gone_is_closed_after_a_restart(tmp_path: Path) -> None:
    settings = tmp_path / "quarterdeck.toml"
    settings.write_text(SETTINGS)
    with RunningAgent(tmp_path) as agent:
        write_model(tmp_path)
        wait_for_rows(agent, "versions", 1)
        write_predictions(tmp_path, 0, shift=800)
        write_predictions(tmp_path, 1, shift=800)
        wait_for_rows(agent, "alerts", 1)
    settings.write_text(f"{SETTINGS}\n[alerts]\ndefaults = false\n")
    with RunningAgent(tmp_path) as agent:
        wait_for("the alert to close", lambda: rows(agent.page("alerts"))[0]["state"] == "closed")
        assert "There is no rule drift any more." in str(agent.page("journal").rows)
