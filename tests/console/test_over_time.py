"""The views over windows of event time: spans, statistics, features, performance, and what they ask the agent for."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from console.places import Place, parse_command
from console.screens import performance_data as shown
from console.screens import spans
from console.screens.monitor import Monitor
from store.protocol import ExitCode, Performance, PerformanceParams, Refusal
from tests.console.canned import answers
from tests.console.conftest import Console
from tests.console.driving import Driver
from tests.console.fake_agent import NOW

DEPLOYMENT = "flight-delay@production"
DAY = 86_400.0
PERFORMANCE = ("colon", *"performance", "enter")


def feature_and_window(driver: Driver) -> tuple[str, float | None]:
    place = driver.app.deck.view.place
    return place.feature, place.since


# --- spans and widths --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "span", "window", "windows"),
    [
        (Place("monitor"), "90d", "1d", 90),
        (Place("monitor", window="1m"), "1h", "1m", 60),
        (Place("monitor", span="1y"), "1y", "1w", 52),
        (Place("monitor", window="1h", span="7d"), "7d", "1h", 168),
    ],
)
def test_a_span_and_a_width_find_each_other(place: Place, span: str, window: str, windows: int) -> None:
    found = spans.spanned(place)
    assert (found.span, found.window, spans.count(found)) == (span, window, windows)


def test_a_span_that_is_none_is_refused_by_its_name() -> None:
    with pytest.raises(Refusal, match="'fortnight' is no span"):
        spans.seconds("fortnight")


async def test_w_chooses_the_span_and_the_width(console: Console) -> None:
    async with console() as driver:
        await driver.press("6", "w", "down", "enter")
        asked = driver.agent.asked("heatmap")[-1]
        assert (asked.window, asked.count, asked.until) == ("1w", 26, None)
        assert driver.agent.asked("performance")[-1].window == "1w"
        assert "180d of 1w windows" in driver.line(1)


async def test_windows_finer_than_the_store_keeps_say_so_and_cannot_be_chosen(console: Console) -> None:
    async with console() as driver:
        await driver.press("6", "w", *["up"] * 8)
        assert "keeps windows of 1h00m" in driver.picture
        before = len(driver.agent.asked("heatmap"))
        await driver.press("enter")
        assert len(driver.agent.asked("heatmap")) == before


async def test_past_the_first_window_earlier_ones_are_asked_for_and_the_end_leads_back(console: Console) -> None:
    async with console() as driver:
        await driver.press("6", "w", *["up"], "enter", "home", "left")
        until = driver.agent.asked("heatmap")[-1].until
        assert until == NOW - 15 * DAY
        await driver.press("end", "end")
        assert driver.agent.asked("heatmap")[-1].until is None


async def test_a_refused_width_is_told(console: Console) -> None:
    def refuse(params: Any) -> None:
        raise Refusal(ExitCode.USAGE, "No windows of 7m: the finest that are kept are of 3600 seconds.")

    async with console() as driver:
        driver.agent.answer("heatmap", refuse)
        await driver.press("6")
        assert "No windows of 7m" in driver.foot


# --- the heat map's choices --------------------------------------------------------------------------------


async def test_another_statistic_is_asked_for_and_goes_along_to_the_feature(console: Console) -> None:
    async with console() as driver:
        await driver.press("6", "S", *"js", "enter")
        assert driver.agent.asked("heatmap")[-1].statistic == "js"
        await driver.press("enter")
        assert driver.app.deck.view.place.statistic == "js"
        assert driver.agent.asked("heatmap")[-1].statistic == "js"


async def test_s_sorts_by_what_matters(console: Console) -> None:
    async with console() as driver:
        await driver.press("6", "s")
        view = driver.app.deck.view
        assert isinstance(view, Monitor)
        assert view.heatmap.features[0] == "carrier"
        assert "drift times importance" in driver.foot


async def test_tab_then_enter_opens_the_pane(console: Console) -> None:
    async with console((80, 24)) as driver:
        await driver.press("6", "tab", "tab", "enter")
        assert driver.line(1).startswith(" performance of flight-delay@production")
        await driver.press("escape", "tab", "enter")
        assert driver.line(1).startswith(" score of flight-delay@production")


# --- one feature -------------------------------------------------------------------------------------------


async def test_enter_on_a_cell_opens_its_feature_in_its_window(console: Console) -> None:
    async with console() as driver:
        await driver.press("6", "down", "left", "left", "enter")
        assert feature_and_window(driver) == ("humidity_pct", NOW - 3 * DAY)
        asked = driver.agent.asked("distribution")[-1]
        assert (asked.feature, asked.since, asked.until) == ("humidity_pct", NOW - 3 * DAY, NOW - 2 * DAY)
        listed = next(params for params in reversed(driver.agent.asked("list")) if params.kind == "drift")
        assert (listed.filter, listed.since) == ('feature="humidity_pct" statistic:.', NOW - 3 * DAY)


async def test_arrows_step_through_windows_and_features(console: Console) -> None:
    async with console() as driver:
        await driver.press("6", "enter", "left", "down")
        assert feature_and_window(driver) == ("humidity_pct", NOW - 2 * DAY)
        assert driver.agent.asked("distribution")[-1].feature == "humidity_pct"
        await driver.press("end", "up")
        assert feature_and_window(driver) == ("temperature_f", None)


async def test_escape_returns_from_the_feature_to_the_cell(console: Console) -> None:
    async with console() as driver:
        await driver.press("6", "down", "left", "enter", "escape")
        view = driver.app.deck.view
        assert isinstance(view, Monitor)
        assert view.heatmap.cursor == ("humidity_pct", NOW - 2 * DAY)


async def test_verdicts_say_which_guarantee_stands_behind_them(console: Console) -> None:
    async with console() as driver:
        await driver.press("6", "enter")
        lines = {line[61:].split()[0]: line[61:] for line in driver.picture.split("\n")[22:] if line[61:].strip()}
        assert "alarm" in lines["js"]
        assert "noise" in lines["wasserstein"]
        assert "not significant" in lines["mean_change"]
        assert "new_categories" not in driver.picture
        assert "of windows in which nothing changed" in driver.picture


async def test_enter_on_a_row_of_drift_opens_its_feature_and_statistic_in_its_window(console: Console) -> None:
    async with console() as driver:
        await driver.press("colon", *"drift", "enter", "down", "enter")
        place = driver.app.deck.view.place
        assert (place.view, place.name, place.statistic) == ("feature", DEPLOYMENT, "psi")
        assert feature_and_window(driver) == ("temperature_f", NOW - DAY)


async def test_enter_on_an_alert_opens_the_monitor_on_its_feature(console: Console) -> None:
    async with console() as driver:
        driver.agent.listings["alerts"][1][0][5] = "humidity_pct"
        await driver.press("7", "enter")
        view = driver.app.deck.view
        assert isinstance(view, Monitor)
        assert view.heatmap.cursor is not None
        assert view.heatmap.cursor[0] == "humidity_pct"


async def test_enter_on_a_feature_lists_its_rows(console: Console) -> None:
    async with console() as driver:
        await driver.press("6", "enter", "enter")
        assert driver.line(1).startswith(" drift of flight-delay@production")
        assert driver.agent.asked("list")[-1].filter == 'feature="temperature_f"'


def test_a_feature_is_reached_by_its_names() -> None:
    assert parse_command("feature m@production carrier span=30d") == Place(
        "feature", "m@production", feature="carrier", span="30d"
    )
    with pytest.raises(Refusal, match="a deployment and a feature"):
        parse_command("feature carrier")


# --- performance -------------------------------------------------------------------------------------------


async def test_what_is_measured_estimated_and_unknown_is_drawn_apart(console: Console) -> None:
    async with console() as driver:
        await driver.press(*PERFORMANCE)
        for drawn in ("a realised", "×b realised early labels", "◦c estimated", "╱", "(F)"):
            assert drawn in driver.picture


async def test_another_metric_is_asked_for(console: Console) -> None:
    async with console() as driver:
        await driver.press(*PERFORMANCE, "M", *"f1", "enter")
        assert driver.agent.asked("performance")[-1].metrics == ["f1"]
        assert " f1 " in driver.line(1)


async def test_slices_are_chosen_by_column(console: Console) -> None:
    async with console() as driver:
        await driver.press(*PERFORMANCE)
        assert driver.agent.asked("performance")[-1].slice == "carrier"
        await driver.press("L", *"origin", "enter")
        assert driver.agent.asked("performance")[-1].slice == "origin"
        assert "auc by origin, worst first" in driver.picture


async def test_the_rows_of_performance_are_one_key_further(console: Console) -> None:
    async with console() as driver:
        await driver.press(*PERFORMANCE, "slash")
        params = driver.agent.asked("list")[-1]
        assert (params.kind, params.scope) == ("performance", {"deployment": DEPLOYMENT})


def test_rows_of_a_deployment_are_named_by_it() -> None:
    assert parse_command("drift m@production window=1h") == Place(
        "drift", scope=(("deployment", "m@production"),), window="1h"
    )
    assert parse_command("performance m@production") == Place("performance", scope=(("deployment", "m@production"),))


# --- the pointer -------------------------------------------------------------------------------------------


async def test_tabs_and_keys_at_the_foot_can_be_clicked(console: Console) -> None:
    async with console() as driver:
        top = driver.line(0)
        await driver.pilot.click(offset=(top.index("journal"), 0))
        await driver.settle()
        assert driver.line(1).startswith(" journal")
        await driver.pilot.click(offset=(top.index("fleet"), 0))
        await driver.settle()
        foot = driver.picture.split("\n")[-1]
        await driver.pilot.click(offset=(foot.index("describe"), 39))
        await driver.settle()
        assert driver.line(1).startswith(" describe") or driver.app.deck.view.place.view == "describe"


async def test_a_click_chooses_a_pane_and_a_second_one_opens_it(console: Console) -> None:
    async with console() as driver:
        await driver.press("6")
        row = next(number for number, line in enumerate(driver.picture.split("\n")) if "auc" in line)
        await driver.pilot.click(offset=(80, row + 3))
        await driver.settle()
        assert driver.app.deck.view.place.view == "monitor"
        await driver.pilot.click(offset=(80, row + 3))
        await driver.settle()
        assert driver.app.deck.view.place.view == "performance"


# --- nothing there yet -------------------------------------------------------------------------------------


async def test_without_a_deployment_the_views_say_what_is_waited_for(console: Console) -> None:
    async with console() as driver:
        driver.agent.listings["deployments"] = (driver.agent.listings["deployments"][0], [])
        driver.app.nothing_deployed = "waiting for the first deployment"
        driver.app.last_deployment = ""
        await asyncio.to_thread(driver.agent.change, "deployments")
        await driver.until(lambda: "0 rows" in driver.line(1))
        for keys in (("3", "6"), PERFORMANCE):
            await driver.press(*keys)
            assert "waiting for the first deployment" in driver.picture
            assert "loading" not in driver.picture
            assert "as of" in driver.line(1)


# --- labels that stopped coming ----------------------------------------------------------------------------


def overdue(**changes: Any) -> Performance:
    """Of the canned answer the labels of the last twelve of the windows that should have them never came."""
    found: Performance = answers()["performance"](PerformanceParams(DEPLOYMENT))
    labelled = [*found.labelled[:8], 40, *[0] * (len(found.rows) - 9)]
    return msgspec.structs.replace(found, labelled=labelled, **changes)


def test_labels_that_stopped_coming_are_overdue_whatever_the_frontier_says() -> None:
    performance = overdue()
    assert shown.overdue_since(performance) == performance.starts[8]
    assert shown.frontier(performance) == performance.starts[8]
    said = shown.frontier_line(performance)
    assert "overdue since 2013-06-11 12:00Z (F)" in said
    assert not any("complete before" in part for part in said)


def test_the_few_labels_of_an_overdue_window_are_early_ones() -> None:
    performance = overdue()
    assert performance.maturity[8] == "realised"
    assert shown.matured(performance)[8] == "partial"
    known = {row[0][0]: row[-1][0] for row in shown.windows_table(performance, "auc").rows}
    assert known["2013-06-11 12:00Z"] == known["2013-06-15 12:00Z"] == "overdue"
    assert known["2013-06-10 12:00Z"] == "realised"
    # Of the newest windows no label is expected yet.
    assert known["2013-07-02 12:00Z"] == "unknown"


def test_labels_that_come_as_usual_are_not_overdue() -> None:
    performance: Performance = answers()["performance"](PerformanceParams(DEPLOYMENT))
    assert shown.overdue_since(performance) is None
    assert shown.frontier(performance) == performance.frontier
    assert shown.overdue_since(overdue(expected=[])) is None


async def test_a_listing_of_windows_says_that_it_holds_the_last_ones_alone(console: Console) -> None:
    from console.screens.alerts import NEWEST
    from store.monitor.listings import COUNT

    assert NEWEST == COUNT
    async with console() as driver:
        await driver.press("w")
        assert f"last {NEWEST} windows" in driver.line(1)
        await driver.press("escape", "6", "tab", "tab", "tab", "tab", "enter")
        assert "from 2013-06-03 12:00Z" in driver.line(1)
