"""What the keys do: the messages that reach the agent, and what the operator is told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console.clipboard import sequence
from console.screens.chrome import NOTICE_LINES
from store.protocol import Change, Column, ExitCode, Outcome, Progress, Refusal
from tests.console.canned import HOSTILE
from tests.console.conftest import Console
from tests.console.driving import Driver
from tests.console.fake_agent import NOW, FakeAgent

DEPLOYMENT = "flight-delay@production"


async def confirm(driver: Driver, reason: str, word: str = "") -> None:
    """Fill in the dialog and press its confirming button."""
    await driver.until(lambda: "Confirm" in driver.picture)
    await driver.press("up", *(["up"] if word else []))
    await driver.press(*reason, "enter")
    if word:
        await driver.press(*("minus" if key == "-" else key for key in word), "enter")
    await driver.press("down", "enter")


async def agent_lost(driver: Driver) -> None:
    await asyncio.to_thread(driver.agent.stop)
    await driver.until(lambda: "agent lost" in driver.picture)


# --- filter, sort, pages -----------------------------------------------------------------------------------


async def test_a_filter_asks_the_agent_and_keeps_what_matches(console: Console) -> None:
    async with console() as driver:
        await driver.press("3", "slash", *"status", "equals_sign", *"failed", "enter")
        assert driver.agent.asked("list")[-1].filter == "status=failed"
        assert "50 rows" in driver.line(1)


async def test_a_bad_filter_is_an_error_and_never_all_rows(console: Console) -> None:
    async with console() as driver:
        await driver.press("3", "slash", "left_square_bracket", "enter")
        assert "is not a regular expression" in driver.picture
        assert "train-001" not in driver.picture or "■" in driver.line(2)


async def test_a_refused_listing_is_said_in_full_at_the_foot(console: Console) -> None:
    async with console() as driver:
        await driver.press("3", "slash", "left_square_bracket", "enter")
        assert "is not a regular expression. Close the bracket." in driver.foot


async def test_a_filter_that_lets_nothing_through_is_not_an_empty_store(console: Console) -> None:
    async with console() as driver:
        await driver.press("3", "slash", *"nosuch", "enter")
        assert "no row passes /nosuch: esc shows all" in driver.picture


async def test_a_long_notice_is_shown_whole_and_the_foot_shrinks_again(console: Console) -> None:
    async with console(size=(80, 24)) as driver:
        words = " ".join(f"word{number}" for number in range(30))
        driver.app.deck.say(words, "critical")
        await driver.settle()
        assert words in driver.foot
        await driver.press("j")
        await driver.press("question_mark", "escape")
        assert driver.app.deck.foot.size.height == 1


async def test_a_notice_without_end_leaves_the_view_its_room(console: Console) -> None:
    async with console(size=(80, 24)) as driver:
        driver.app.deck.say("word " * 500, "critical")
        await driver.settle()
        assert driver.app.deck.foot.size.height == NOTICE_LINES


async def test_escape_clears_the_filter_before_it_leaves(console: Console) -> None:
    async with console() as driver:
        await driver.press("3", "slash", *"train", "enter", "escape")
        assert driver.app.deck.view.place.filter == ""
        assert driver.app.deck.view.place.view == "runs"


async def test_sorting_goes_to_the_agent_and_the_greatest_come_first(console: Console) -> None:
    async with console() as driver:
        await driver.press("3", "s", *"auc", "enter")
        assert driver.agent.asked("list")[-1].sort == "metric.auc:desc"
        await driver.press("s", *"auc", "enter")
        assert driver.agent.asked("list")[-1].sort == "metric.auc"


async def test_no_more_is_fetched_than_what_is_near_the_screen(console: Console, agent: FakeAgent) -> None:
    agent.listings["runs"] = ([Column("id"), Column("name")], [[f"r{n}", f"r{n}"] for n in range(100_000)])
    async with console() as driver:
        await driver.press("3", "G")
        assert "r99999" in driver.picture
        asked = [params for params in agent.asked("list") if params.kind == "runs"]
        assert sum(params.limit for params in asked) < 1000


async def test_a_change_refetches_the_view_it_concerns(console: Console) -> None:
    async with console() as driver:
        await driver.press("3")
        driver.agent.listings["runs"][1][0][2] = "failed"
        before = len(driver.agent.asked("list"))
        await asyncio.to_thread(driver.agent.change, "runs")
        await driver.until(lambda: len(driver.agent.asked("list")) > before)
        await driver.settle()
        assert "■ failed" in driver.line(3)


async def test_a_change_elsewhere_fetches_nothing(console: Console) -> None:
    async with console() as driver:
        await driver.press("3")
        before = len(driver.agent.asked("list"))
        await asyncio.to_thread(driver.agent.change, "datasets")
        await asyncio.to_thread(driver.agent.notify, "progress", Progress("t", "backup", 1, 2))
        await driver.until(lambda: "backup" in driver.picture)
        assert len(driver.agent.asked("list")) == before


async def test_paused_rows_stand_still_and_say_how_much_waits(console: Console) -> None:
    async with console() as driver:
        await driver.press("3", "p")
        driver.agent.listings["runs"][1][0][2] = "failed"
        await asyncio.to_thread(driver.agent.change, "runs")
        await driver.until(lambda: "1 waiting" in driver.picture)
        assert "● finished" in driver.line(3)
        await driver.press("p")
        assert "■ failed" in driver.line(3)


# --- going places ------------------------------------------------------------------------------------------


async def test_enter_drills_in_and_escape_comes_back_to_the_same_row(console: Console) -> None:
    async with console() as driver:
        await driver.press("3", "down", "down", "enter")
        assert driver.line(1).startswith(" run train-002")
        await driver.press("escape")
        assert driver.line(5).startswith("▸  train-002")


async def test_the_last_view_and_history_keys(console: Console) -> None:
    async with console() as driver:
        await driver.press("3", "7", "minus")
        assert driver.line(1).startswith(" runs")
        await driver.press("minus")
        assert driver.line(1).startswith(" alerts")
        await driver.press("left_square_bracket", "left_square_bracket")
        assert driver.line(1).startswith(" alerts")
        await driver.press("right_square_bracket")
        assert driver.line(1).startswith(" runs")


async def test_a_command_with_completion_and_its_history(console: Console) -> None:
    async with console() as driver:
        await driver.press("colon", *"quar", "tab", "enter")
        assert driver.line(1).startswith(" quarantine")
        await driver.press("colon", "up")
        assert driver.app.deck.command_line is not None
        assert driver.app.deck.command_line.value == "quarantine "


async def test_a_command_with_filter_and_sort(console: Console) -> None:
    async with console() as driver:
        await driver.press("colon", *"runs", "space", "slash", *"train", "space", *"sort=started:desc", "enter")
        params = driver.agent.asked("list")[-1]
        assert (params.kind, params.filter, params.sort) == ("runs", "train", "started:desc")


async def test_a_wrong_command_is_said_with_the_nearest_view(console: Console) -> None:
    async with console() as driver:
        await driver.press("colon", *"alrets", "enter")
        assert "There is no view 'alrets'. Did you mean :alerts?" in driver.foot


async def test_help_tells_why_an_action_is_impossible_and_does_the_possible(console: Console) -> None:
    async with console() as driver:
        await driver.press("t", *"2013-01-01", "enter", "question_mark", *"roll")
        assert "the past is shown" in driver.picture
        await driver.press("escape", "question_mark", *"command log", "enter")
        assert driver.line(1).startswith(" command log")


async def test_the_command_log_holds_the_listing_as_a_command(console: Console) -> None:
    async with console() as driver:
        await driver.press("3", "at")
        assert "quarterdeck ls runs" in driver.picture


async def test_y_copies_the_marked_rows(console: Console) -> None:
    async with console() as driver:
        await driver.press("3", "space", "down", "space", "y")
        assert driver.app.clipboard == "train-000\ntrain-001"
        assert "copied 2 rows" in driver.foot


def test_inside_tmux_the_copy_is_wrapped_to_pass_through() -> None:
    assert "\x1bPtmux;\x1b\x1b]52;c;" in sequence("x", {"TMUX": "/tmp/tmux"})
    assert sequence("x", {}) == "\x1b]52;c;eA==\x07"


async def test_hostile_names_are_text(console: Console) -> None:
    async with console() as driver:
        await driver.press("3", "down", "down", "down", "d")
        for character in ("\x1b", "\u202e"):
            assert character not in driver.picture
        await driver.press("escape")
        assert "[red]x[/red]" in driver.picture
        assert HOSTILE not in driver.picture


# --- time travel -------------------------------------------------------------------------------------------


async def test_time_travel_asks_every_view_for_that_moment_and_is_marked(console: Console) -> None:
    async with console() as driver:
        await driver.press("t", *"2013-06-01", "enter")
        assert driver.agent.asked("list")[-1].at == 1370044800.0
        assert "AT 2013-06-01 00:00Z" in driver.line(0)
        await driver.press("3")
        assert driver.agent.asked("list")[-1].at == 1370044800.0
        await driver.press("t", "ctrl+u", "enter")
        assert driver.agent.asked("list")[-1].at is None


async def test_what_is_still_of_another_moment_is_not_called_present(console: Console) -> None:
    async with console() as driver:
        await driver.press("6", "t", *"2013-06-01", "enter")
        view = driver.app.deck.view
        assert view.data_at is not None
        driver.app.travel(None)
        assert view.data_at is None
        assert driver.app.deck.title_line.plain.endswith(" loading ")
        await driver.settle()
        assert view.data_at is not None


async def test_a_fleet_of_before_the_first_deployment_gives_no_advice_for_the_present(console: Console) -> None:
    async with console() as driver:
        driver.agent.listings["deployments"] = (driver.agent.listings["deployments"][0], [])
        await driver.press("t", *"2013-01-01", "enter")
        assert "nothing was deployed by then" in driver.picture
        assert "promote one" not in driver.picture


async def test_the_past_cannot_be_changed(console: Console) -> None:
    async with console() as driver:
        await driver.press("t", *"2013-06-01", "enter", "R")
        assert "the past is shown" in driver.foot
        assert driver.agent.asked("plan") == []


# --- acting ------------------------------------------------------------------------------------------------


async def test_promoting_from_the_fleet_sends_what_was_seen(console: Console) -> None:
    async with console() as driver:
        await driver.press("P")
        await driver.until(lambda: "Promote which version" in driver.picture)
        await driver.settle()
        await driver.press("enter")
        await confirm(driver, "better", "flight-delay")
        await driver.until(lambda: driver.agent.asked("act"))
        params = driver.agent.asked("act")[0]
        assert (params.action, params.subject, params.version) == ("promote", DEPLOYMENT, "2")
        assert (params.reason, params.expect, params.via) == ("better", 7, "console")
        assert params.request_id
        assert params.data_age is not None
        await driver.until(lambda: "revision 8 is effective" in driver.foot)
        assert "version 1 → version 2" in driver.foot


async def test_the_picker_stands_on_the_newest_version_whenever_it_arrived(console: Console) -> None:
    async with console() as driver:
        columns, _ = driver.agent.listings["versions"]
        names = [column.name for column in columns]
        # In the order of their arrival; the agent ranks them by what they say.
        arrived = [("9", 2, NOW), ("10", 1, NOW - 60), ("10-rc1", 3, NOW - 5)]
        rows = [
            [{"id": f"flight-delay@{version}", "model": "flight-delay", "version": version, "rank": rank,
              "registered": at}.get(name, "") for name in names]
            for version, rank, at in arrived
        ]  # fmt: skip
        driver.agent.listings["versions"] = (columns, rows)
        await driver.press("P")
        await driver.until(lambda: "Promote which version" in driver.picture)
        await driver.settle()
        await driver.press("enter")
        await confirm(driver, "better", "flight-delay")
        await driver.until(lambda: driver.agent.asked("act"))
        assert driver.agent.asked("act")[0].version == "10"


async def test_a_warning_of_an_outcome_is_said(console: Console) -> None:
    async with console() as driver:
        act = driver.agent._act
        words = "version 2: no artifact: the target gets only the version's name"
        driver.agent.answer("act", lambda params: msgspec.structs.replace(act(params), warning=words))
        await driver.press("P")
        await driver.until(lambda: "Promote which version" in driver.picture)
        await driver.settle()
        await driver.press("enter")
        await confirm(driver, "better", "flight-delay")
        await driver.until(lambda: "revision 8 is effective" in driver.foot)
        assert "warning: version 2: no artifact" in driver.foot


async def test_a_version_is_promoted_to_the_chosen_environment(console: Console) -> None:
    async with console() as driver:
        await driver.press("4", "P")
        await driver.until(lambda: "Promote flight-delay version 2 to" in driver.picture)
        await driver.settle()
        await driver.press("down", "enter")
        await confirm(driver, "try")
        await driver.until(lambda: driver.agent.asked("act"))
        assert driver.agent.asked("act")[0].subject == "flight-delay@staging"


async def test_a_first_promotion_names_revision_0(console: Console) -> None:
    async with console() as driver:
        plan = driver.agent._plan
        driver.agent.answer("plan", lambda params: msgspec.structs.replace(plan(params), revision=0))
        await driver.press("R")
        await confirm(driver, "first", "flight-delay")
        await driver.until(lambda: driver.agent.asked("act"))
        assert driver.agent.asked("act")[0].expect == 0


async def test_turning_back_in_the_dialog_does_nothing(console: Console) -> None:
    async with console() as driver:
        await driver.press("R")
        await driver.until(lambda: "Confirm" in driver.picture)
        await driver.press("enter")
        await driver.until(lambda: "nothing was done" in driver.foot)
        assert driver.agent.asked("act") == []


async def test_a_deployment_that_changed_meanwhile_is_refused_with_what_changed(console: Console) -> None:
    def changed(params: Any) -> None:
        raise Refusal(ExitCode.CHANGED, f"{params.subject} changed.", "Look again.", {"by": "grace", "revision": 8})

    async with console() as driver:
        driver.agent.answer("act", changed)
        await driver.press("R")
        await confirm(driver, "bad", "flight-delay")
        await driver.until(lambda: "changed." in driver.foot)
        assert "by grace" in driver.foot


async def test_a_plan_that_is_not_allowed_says_why_and_asks_nothing(console: Console) -> None:
    def refuse(params: Any) -> None:
        raise Refusal(ExitCode.REFUSED, "Nothing to roll back to.")

    async with console() as driver:
        driver.agent.answer("plan", refuse)
        await driver.press("R")
        await driver.until(lambda: "Nothing to roll back to." in driver.foot)


async def test_an_answer_that_was_lost_is_asked_for_again_as_the_same_request(console: Console) -> None:
    async with console() as driver:
        outcome = driver.agent._act

        def die(params: Any) -> Outcome:
            driver.agent.answer("act", outcome)
            for writer in list(driver.agent._writers):
                writer.close()
            return outcome(params)

        driver.agent.answer("act", die)
        await driver.press("R")
        await confirm(driver, "bad", "flight-delay")
        await driver.until(lambda: len(driver.agent.asked("act")) == 2)
        first, second = driver.agent.asked("act")
        assert first == second
        await driver.until(lambda: "is effective" in driver.foot)


async def test_an_alert_is_acknowledged_with_y(console: Console) -> None:
    async with console() as driver:
        await driver.press("exclamation_mark", "a")
        await driver.until(lambda: "Yes (y)" in driver.picture)
        await driver.press("y")
        await driver.until(lambda: driver.agent.asked("act"))
        params = driver.agent.asked("act")[0]
        assert (params.action, params.subject, params.expect) == ("ack", "a2", None)


async def test_a_note_is_written_on_the_chosen_row(console: Console) -> None:
    async with console() as driver:
        await driver.press("3", "n")
        await driver.until(lambda: driver.app.deck.command_line is not None)
        await driver.settle()
        await driver.press(*"watch", "enter")
        await driver.until(lambda: driver.agent.asked("act"))
        params = driver.agent.asked("act")[0]
        assert (params.action, params.subject, params.reason) == ("note", "runs/train-000", "watch")


# --- losing the agent --------------------------------------------------------------------------------------


async def test_when_the_agent_is_lost_the_rows_stay_marked_and_read_only(console: Console) -> None:
    async with console() as driver:
        await agent_lost(driver)
        assert "flight-delay@prod" in driver.picture
        assert "read only" in driver.line(1)
        await driver.press("R")
        assert "the agent is lost" in driver.foot


async def test_the_console_reconnects_by_itself_and_fetches_what_it_missed(console: Console) -> None:
    async with console() as driver:
        await agent_lost(driver)
        driver.agent.listings["deployments"][1][0][2] = "ok"
        driver.agent.change("deployments", tell=False)
        await asyncio.to_thread(driver.agent.start)
        await driver.press("ctrl+r")
        await driver.until(lambda: "● live" in driver.line(0))
        await driver.until(lambda: "■ alarm" not in driver.picture)


async def test_a_view_that_was_opened_without_an_agent_fills_when_it_is_back(console: Console) -> None:
    async with console() as driver:
        await agent_lost(driver)
        await driver.press("3")
        await asyncio.to_thread(driver.agent.start)
        await driver.press("ctrl+r")
        await driver.until(lambda: "train-000" in driver.picture)


async def test_a_moment_that_could_not_be_fetched_is_not_shown_as_fetched_and_the_loss_is_forgotten_with_the_loss(
    console: Console,
) -> None:
    async with console() as driver:
        await driver.press("6")
        await agent_lost(driver)
        await driver.press("t", *"2013-06-01", "enter")
        assert "not fetched" in driver.line(1)
        assert "The agent is not connected" in driver.foot
        await asyncio.to_thread(driver.agent.start)
        await driver.press("ctrl+r")
        await driver.until(lambda: "the past, read only" in driver.line(1))
        assert "not connected" not in driver.foot


async def test_what_the_traffic_could_not_be_told_says_why(console: Console) -> None:
    async with console((80, 24)) as driver:
        await driver.press("6")
        await agent_lost(driver)
        await driver.press(*["tab"] * 4)
        assert "The agent is not connected." in driver.picture
        assert "not knowable" not in driver.picture


async def test_many_changes_in_a_burst_are_few_fetches(console: Console) -> None:
    async with console() as driver:
        await driver.press("3")
        before = len(driver.agent.asked("list"))
        for _ in range(100):
            driver.app.deck.store_changed(Change(driver.agent.sequence, 0.0, ["runs"]))
        await driver.until(lambda: not driver.app.deck.view._due)
        await driver.settle()
        assert len(driver.agent.asked("list")) - before <= 4


# --- leaving -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [("q",), ("ctrl+c", "ctrl+c")])
async def test_leaving(console: Console, keys: tuple[str, ...]) -> None:
    async with console() as driver:
        for key in keys:
            await driver.pilot.press(key)
        assert driver.app._exit


async def test_control_c_once_only_says_how_to_leave(console: Console) -> None:
    async with console() as driver:
        await driver.pilot.press("ctrl+c")
        assert not driver.app._exit
        assert "q quits" in driver.app.deck.notice


def test_what_the_first_frame_needs_imports_no_heavy_widget() -> None:
    import subprocess
    import sys

    code = (
        "import sys, console.launch, console.app;"
        "print([m for m in ('click','plotext','duckdb','pandas','numpy','textual.widgets._data_table',"
        "'textual.widgets._header','textual.widgets._footer','console.screens.doing','console.screens.acting')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout.strip() == "[]"


# --- news --------------------------------------------------------------------------------------------------


async def test_what_others_do_to_the_store_is_told_once_and_kept_at_the_fleet(console: Console) -> None:
    async with console() as driver:
        said = [""]
        driver.app._news = lambda: said[0]
        driver.app.hear_news()
        assert driver.app.deck.notice == ""
        said[0] = "the demo is over: no more data comes"
        driver.app.hear_news()
        assert "demo is over" in driver.app.deck.notice
        await driver.press("3")
        driver.app.hear_news()
        assert "demo is over" not in driver.picture
        await driver.press("1")
        assert "the demo is over: no more data comes" in driver.line(1)
