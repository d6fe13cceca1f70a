"""Alerts with their times, the replay of a rule, mutes of a chosen length, and the terminal's bell and title."""

from __future__ import annotations

import asyncio
import shlex
import time

import pytest

from console.alarm import Alarm
from console.command_lines import command_line
from console.commands.times import read_future
from console.places import Place, parse_command
from console.screens.acting import MUTES
from console.screens.alerts import AFTER
from console.screens.replay import FACTORS
from store.protocol import ActionParams, ExitCode, Refusal, ReplayParams
from tests.console.canned import DAY, replayed
from tests.console.conftest import Console
from tests.console.driving import Driver
from tests.console.fake_agent import NOW, FakeAgent

DEPLOYMENT = "flight-delay@production"


# --- alerts -----------------------------------------------------------------------------------------------


async def test_the_timeline_follows_the_cursor(console: Console) -> None:
    async with console() as driver:
        await driver.press("7", "j")
        lines = [line for line in driver.picture.split("\n") if line.startswith("▸")]
        assert any("temperature_f" in line and "▒" in line for line in lines)


async def test_the_timeline_shows_what_the_filter_lets_through(console: Console) -> None:
    async with console() as driver:
        await driver.press("7", "slash", *"state", "equals_sign", *"closed", "enter")
        timeline = driver.picture.split("when alerts were on")[1]
        assert "carrier" in timeline
        assert "auc" not in timeline


async def test_alerts_without_windows_have_no_timeline(console: Console) -> None:
    async with console() as driver:
        columns, rows = driver.agent.listings["alerts"]
        driver.agent.listings["alerts"] = (columns[:9], [row[:9] for row in rows])
        await driver.press("7")
        assert "when alerts were on" not in driver.picture


# --- replay -----------------------------------------------------------------------------------------------


def last_replay(driver: Driver) -> ReplayParams:
    found = driver.agent.asked("replay")[-1]
    assert isinstance(found, ReplayParams)
    return found


async def test_an_alert_leads_to_the_replay_of_its_rule(console: Console) -> None:
    async with console() as driver:
        await driver.press("7", "j", "W")
        asked = last_replay(driver)
        assert (asked.rule, asked.deployment, asked.days) == ("drift", DEPLOYMENT, 90)
        assert asked.thresholds == pytest.approx([0.1 * factor for factor in FACTORS])


async def test_a_rule_without_a_number_is_replayed_as_it_is(console: Console) -> None:
    async with console() as driver:
        await driver.press("7", "g", "W")
        assert last_replay(driver).rule == "performance"
        assert last_replay(driver).thresholds == []
        assert "as the rule has it" in driver.picture


async def test_the_cursor_stands_on_the_rules_own_threshold(console: Console) -> None:
    async with console() as driver:
        await driver.press("7", "j", "W")
        assert "with a threshold of 0.1" in driver.picture


async def test_another_threshold_shows_its_own_times(console: Console) -> None:
    async with console() as driver:
        await driver.press("7", "j", "W", "j")
        assert "with a threshold of 0.15" in driver.picture


async def test_the_span_can_be_chosen(console: Console) -> None:
    async with console() as driver:
        await driver.press("7", "j", "W", "w", "down", "enter")
        assert last_replay(driver).days == 180


async def test_another_rule_can_be_chosen(console: Console) -> None:
    async with console() as driver:
        await driver.press("7", "j", "W", "W", "down", "down", "enter")
        assert last_replay(driver).rule == "volume"


async def test_a_typed_replay_names_rule_and_deployment(console: Console) -> None:
    async with console() as driver:
        await driver.press("colon", *"replay volume fraud", "at", *"production", "enter")
        assert (last_replay(driver).rule, last_replay(driver).deployment) == ("volume", "fraud@production")


def test_a_rule_to_try_may_be_typed() -> None:
    place = parse_command("replay '{statistic = \"js\", threshold = 0.2}' m@staging")
    assert isinstance(place, Place)
    assert (place.name, place.scope) == ('{statistic = "js", threshold = 0.2}', (("deployment", "m@staging"),))


async def test_a_replay_that_is_refused_says_why(console: Console) -> None:
    async with console() as driver:

        def refuse(params: ReplayParams) -> None:
            raise Refusal(ExitCode.USAGE, f"There is no alert rule {params.rule!r}.", "Rules: drift")

        driver.agent.answer("replay", refuse)
        await driver.press("colon", *"replay nosuch", "enter")
        assert "There is no alert rule 'nosuch'. Rules: drift" in driver.foot


async def test_copying_gives_the_command_line(console: Console) -> None:
    async with console() as driver:
        await driver.press("7", "j", "W", "y")
        assert driver.app.clipboard == f"quarterdeck alerts replay --rule drift --days 90 --deployment {DEPLOYMENT}"


# --- mutes ------------------------------------------------------------------------------------------------


async def test_a_mute_lasts_as_long_as_was_chosen(console: Console) -> None:
    async with console() as driver:
        await driver.press("7", "m")
        await driver.until(lambda: "Mute a2 for" in driver.picture)
        await driver.press("down", "enter")
        await driver.until(lambda: driver.agent.asked("plan"))
        asked = driver.agent.asked("plan")[-1]
        assert asked.action == "mute"
        assert asked.until == pytest.approx(time.time() + 4 * 3600, abs=60)


async def test_a_mute_that_is_thought_better_of_asks_for_nothing(console: Console) -> None:
    async with console() as driver:
        await driver.press("7", "m")
        await driver.until(lambda: "Mute a2 for" in driver.picture)
        await driver.press("escape")
        assert driver.agent.asked("plan") == []


def test_every_mute_that_the_dialog_offers_is_accepted() -> None:
    from store.monitor.alerts import LONGEST_MUTE

    assert all(0 < seconds <= LONGEST_MUTE.total_seconds() for seconds, _ in MUTES)


def test_the_command_line_of_a_mute_is_accepted_where_it_is_typed() -> None:
    until = float(int(time.time()) + 3600)
    words = shlex.split(command_line(ActionParams("mute", "a2", until=until)))
    assert read_future(words[words.index("--until") + 1]) == until


def test_the_command_line_of_a_mute_says_until_when() -> None:
    params = ActionParams("mute", "a2", reason="known", until=1372852800.0)
    assert command_line(params) == "quarterdeck mute a2 --until 2013-07-03T12:00:00Z --reason known"


# --- bell and title ---------------------------------------------------------------------------------------


class Terminal:
    def __init__(self) -> None:
        self.rings = 0
        self.title = ""

    def ring(self) -> None:
        self.rings += 1

    def show(self, title: str) -> None:
        self.title = title


async def test_what_was_open_before_is_in_the_title_and_does_not_ring(console: Console) -> None:
    async with console() as driver:
        terminal = Terminal()
        await Alarm(driver.app.link, terminal.ring, terminal.show).look()
        assert (terminal.rings, terminal.title) == (0, f"! auc on {DEPLOYMENT} - quarterdeck")


async def test_a_new_critical_alert_rings_once(console: Console) -> None:
    async with console() as driver:
        terminal = Terminal()
        alarm = Alarm(driver.app.link, terminal.ring, terminal.show)
        await alarm.look()
        add_alert(driver.agent, "a3", "critical")
        await alarm.look()
        await alarm.look()
        assert terminal.rings == 1
        assert terminal.title == f"! log_loss on {DEPLOYMENT} and 1 more - quarterdeck"


async def test_a_new_warning_does_not_ring(console: Console) -> None:
    async with console() as driver:
        terminal = Terminal()
        alarm = Alarm(driver.app.link, terminal.ring, terminal.show)
        await alarm.look()
        add_alert(driver.agent, "a3", "warning")
        await alarm.look()
        assert terminal.rings == 0


async def test_once_all_are_taken_up_the_title_is_given_back(console: Console) -> None:
    async with console() as driver:
        terminal = Terminal()
        alarm = Alarm(driver.app.link, terminal.ring, terminal.show)
        await alarm.look()
        driver.agent.listings["alerts"][1][0][1] = "acknowledged"
        await alarm.look()
        assert terminal.title == ""


async def test_a_change_of_alerts_makes_the_console_look(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    async with console() as driver:
        rings: list[int] = []
        monkeypatch.setattr(driver.app.alarm, "_ring", lambda: rings.append(1))
        add_alert(driver.agent, "a3", "critical")
        driver.agent.change("alerts")
        await driver.until(lambda: rings)


def add_alert(agent: FakeAgent, alert: str, severity: str) -> None:
    columns, rows = agent.listings["alerts"]
    row = [*rows[0]]
    row[0], row[2], row[5] = alert, severity, "log_loss"
    agent.listings["alerts"] = (columns, [row, *rows])


# --- what a dialog says of an alert ------------------------------------------------------------------------


async def test_who_mutes_an_alert_is_told_which_it_is_and_until_when(console: Console) -> None:
    async with console() as driver:
        await driver.press("7", "j", "m", "enter")
        await driver.until(lambda: "Yes (y)" in driver.picture)
        for said in ("temperature_f", "8.48 (0.25)", "flight-delay@production", "rule drift", "quiet until"):
            assert said in driver.picture
        assert "subject" not in driver.picture


async def test_an_alert_that_is_over_opens_the_monitor_where_it_was(console: Console) -> None:
    async with console() as driver:
        await driver.press("7", "j", "j", "enter")
        place = driver.app.deck.view.place
        assert (place.view, place.feature, place.since) == ("monitor", "carrier", NOW - 50 * DAY)
        assert driver.agent.asked("heatmap")[-1].until == NOW - 40 * DAY + AFTER
        await driver.press("escape", "k", "enter")
        assert (driver.app.deck.view.place.feature, driver.app.deck.view.place.until) == ("temperature_f", None)


async def test_r_resolves_the_alert_once_that_is_confirmed(console: Console) -> None:
    async with console() as driver:
        await driver.press("7", "j", "r")
        await driver.until(lambda: "Resolve the alert: a1" in driver.picture)
        assert driver.agent.asked("act") == []
        await driver.press("y")
        await driver.until(lambda: driver.agent.asked("act"))
        params = driver.agent.asked("act")[0]
        assert (params.action, params.subject) == ("resolve", "a1")


async def test_what_the_rule_itself_did_stands_there_while_other_thresholds_are_tried(console: Console) -> None:
    async with console() as driver:
        trying = asyncio.Event()

        def slowly(params: ReplayParams) -> object:
            if not params.thresholds:
                return replayed(params)
            trying.set()
            return asyncio.get_running_loop().create_future()  # never answered

        driver.agent.answer("replay", slowly)
        await driver.press("7", "j")
        await driver.pilot.press("W")
        await driver.until(trying.is_set)
        await driver.until(lambda: "with a threshold of 0.1" in driver.picture)
        assert "loading" in driver.line(1)
