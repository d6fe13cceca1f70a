"""`quarterdeck alerts replay`, and what people do to alerts, against a real agent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from console import cli
from tests.alerting_store import DEPLOYMENT, SETTINGS, write_model, write_predictions
from tests.driver import RunningAgent
from tests.filled_store import wait_for_rows


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    """Five days, of which the second and the fourth drift; the fifth ends the fourth."""
    store = tmp_path_factory.mktemp("store")
    (store / "quarterdeck.toml").write_text(SETTINGS)
    with RunningAgent(store) as running:
        write_model(store)
        wait_for_rows(running, "versions", 1)
        for day, shift in enumerate((0, 800, 0, 800, 0)):
            write_predictions(store, day, shift)
        wait_for_rows(running, "windows", 5)
        wait_for_rows(running, "alerts", 2)
        yield running


class Command:
    def __init__(self, agent: RunningAgent, capsys: pytest.CaptureFixture[str]) -> None:
        self._store = str(agent.store)
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        status = cli.main(["--store", self._store, *arguments])
        said = self._capsys.readouterr()
        return status, said.out, said.err

    def json(self, *arguments: str) -> Any:
        status, out, err = self(*arguments, "--json")
        assert (status, err) == (0, "")
        return json.loads(out)


@pytest.fixture
def command(agent: RunningAgent, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(agent, capsys)


def test_a_replay_as_json_says_how_often_and_when(command: Command) -> None:
    found = command.json("alerts", "replay", "--rule", "drift", "--threshold", "1000", "--days", "90")
    assert found["deployments"] == [DEPLOYMENT]
    assert (found["since"], found["until"]) == ("2024-05-01T00:00:00+00:00", "2024-05-05T00:00:00+00:00")
    own, high = found["lines"]
    assert (own["threshold"], own["own"], own["fired"]) == (0.1, True, 2)
    assert (high["threshold"], high["own"], high["fired"]) == (1000.0, False, 0)
    assert own["episodes"][0]["opened"] == "2024-05-03T00:00:00+00:00"
    assert own["episodes"][0]["closed"] == "2024-05-04T00:00:00+00:00"
    assert [window["alerts"] for window in own["on"]] == [0, 1, 0, 1]


def test_a_replay_as_a_table(command: Command) -> None:
    status, out, _ = command("alerts", "replay", "--threshold", "1000")
    lines = out.splitlines()
    assert status == 0
    assert lines[0] == "drift: psi of * above 0.1 in 1 of 1 windows (1d)"
    assert lines[1] == f"  {DEPLOYMENT}; 2024-05-01 00:00Z to 2024-05-05 00:00Z, 4 windows, 8 decisions"
    assert lines[2].split() == [
        "THRESHOLD",
        "FIRED",
        "ON",
        "BEFORE",
        "ABOVE",
        "WINDOWS",
        "WITHOUT",
        "UNDECIDED",
        "ALERTS",
        "ON",
    ]
    assert lines[3].startswith("0.1 (the rule's)")
    assert "2024-05-03 00:00:00Z" in out


def test_a_rule_to_try_needs_no_configuration(command: Command) -> None:
    rule = '{statistic = "ks", feature = "x", threshold = 0.5, for = 1}'
    assert command.json("alerts", "replay", "--rule", rule)["lines"][0]["fired"] == 2


def test_an_unknown_rule_is_refused_with_those_there_are(command: Command) -> None:
    status, _, err = command("alerts", "replay", "--rule", "drfit")
    assert status == 2
    assert "There is no alert rule 'drfit'." in err
    assert "Rules: drift, performance, missing, volume" in err


def test_of_a_deployment_without_data_it_says_so(command: Command) -> None:
    status, out, _ = command("alerts", "replay", "--deployment", "other@production")
    assert status == 0
    assert "No window with predictions of other@production has ended yet." in out


def test_a_mute_takes_a_duration(command: Command) -> None:
    alert = next(row["id"] for row in command.json("ls", "alerts") if row["ended_at"] is None)
    before = datetime.now(UTC)
    status, out, _ = command("mute", alert, "--for", "4h")
    row = next(row for row in command.json("ls", "alerts") if row["id"] == alert)
    assert status == 0
    assert "Muted until" in out
    assert timedelta(hours=3, minutes=59) < datetime.fromisoformat(row["muted_until"]) - before < timedelta(hours=4.1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--for", "soon"), "'soon' is not a duration: write 30m, 4h or 2d"),
        (("--for", "1h", "--until", "2030-01-01"), "--for and --until do not go together"),
        (("--until", "2013-01-01"), "is over already"),
    ],
)
def test_a_mute_that_cannot_be_is_refused_in_words(command: Command, arguments: tuple[str, ...], said: str) -> None:
    status, _, err = command("mute", "a2", *arguments)
    assert status == 2
    assert said in err


def test_the_dry_run_of_a_mute_says_until_when_and_refuses_what_the_mute_would(command: Command) -> None:
    status, out, _ = command("mute", "a2", "--until", "2099-01-01", "--dry-run")
    assert (status, out) == (2, "")
    status, out, _ = command("mute", "a2", "--for", "4h", "--reason", "x", "--dry-run")
    end = datetime.now(UTC) + timedelta(hours=4)
    assert status == 0
    assert "muted until" in out
    [line] = [line for line in out.splitlines() if "quarterdeck mute" in line]
    words = line.split()
    said = datetime.fromisoformat(words[words.index("--until") + 1])
    assert abs(end - said) < timedelta(minutes=5)


# --- the life of alerts: a store of their own, since they end --------------------------------------------------


@pytest.fixture(scope="module")
def storm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    """Three alerts that stay open: each day a little other, and the last one ends the day before."""
    store = tmp_path_factory.mktemp("storm")
    rules = "".join(f'[[alerts.rule]]\nname = "r{number}"\nstatistic = "psi"\nfeature = "x"\n' for number in (1, 2, 3))
    (store / "quarterdeck.toml").write_text(SETTINGS + "[alerts]\ndefaults = false\n" + rules)
    with RunningAgent(store) as running:
        write_model(store)
        wait_for_rows(running, "versions", 1)
        for day in range(2):
            write_predictions(store, day, 800)
        wait_for_rows(running, "alerts", 3)
        yield running


def state(command: Command, alert: str) -> tuple[str, str, str]:
    row = next(row for row in command.json("ls", "alerts") if row["id"] == alert)
    return row["state"], row["by"], row["note"]


def test_what_people_do_to_alerts_one_by_one_and_many_at_once(
    storm: RunningAgent, capsys: pytest.CaptureFixture[str]
) -> None:
    command = Command(storm, capsys)
    taken = command.json("ack", "a1", "--reason", "mine")
    assert (taken["action"], taken["subject"], taken["phase"]) == ("ack", "a1", "acknowledged")
    assert state(command, "a1")[0::2] == ("acknowledged", "mine")

    status, out, err = command("ack", "a1", "a2", "a3", "a2")
    assert status == 4
    assert out.splitlines() == ["ack a2", "  Acknowledged.", "ack a3", "  Acknowledged."]
    assert "acknowledged alert a1 already" in err

    status, out, err = command("ack", "a2", "a9", "--json")
    assert (status, out) == (4, "")
    codes = [json.loads(line)["error"]["code"] for line in err.splitlines()]
    assert codes == [4, 2]

    assert command("mute", "a1", "a2", "--for", "2h")[0] == 0
    assert [state(command, alert)[0] for alert in ("a1", "a2", "a3")] == ["muted", "muted", "acknowledged"]

    assert command("resolve", "a1", "a2", "--reason", "known")[0] == 0
    assert [state(command, alert)[0] for alert in ("a1", "a2", "a3")] == ["resolved", "resolved", "acknowledged"]
    status, _, err = command("resolve", "a1")
    assert (status, "Alert a1 is resolved already." in err) == (4, True)

    journal = [row for row in command.json("ls", "journal", "--filter", "kind=alerts") if row["via"] == "cli"]
    assert sorted(f"{row['action']} {row['subject']}" for row in journal) == [
        "ack a1", "ack a2", "ack a3", "mute a1", "mute a2", "resolve a1", "resolve a2",
    ]  # fmt: skip


def test_an_alert_must_be_named(command: Command) -> None:
    status, _, err = command("ack")
    assert (status, "Missing argument" in err) == (2, True)
