"""The monitor's traffic: rows, failed checks and delay by window, and what cannot be known."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from console.screens.traffic import UNKNOWN, all_checked, asked_failures, asked_windows, traffic_data
from store.protocol import Heatmap, SpanParams
from tests.console.canned import DAY, HOUR, answers
from tests.console.conftest import Console
from tests.console.fake_agent import NOW, FakeAgent


@pytest.fixture
def drift() -> Heatmap:
    found: Heatmap = answers()["heatmap"](SpanParams("flight-delay@production"))
    return found


def test_what_is_not_answered_yet_is_not_known(drift: Heatmap) -> None:
    data = traffic_data(drift, None, None, drift.starts[3])
    volume, errors, delay = data.tracks
    assert set(volume.values) == {900.0}
    assert set(errors.values) == set(delay.values) == {None}
    assert data.unknown == "loading…"
    assert traffic_data(drift, None, None, None, "The agent is not connected.").unknown == "The agent is not connected."
    assert data.chosen == 3


def test_failures_and_delays_by_window(drift: Heatmap, agent: FakeAgent) -> None:
    windows, failures = (
        agent._list(params) for params in (asked_windows(drift, "1d"), asked_failures(drift, "1d", None))
    )
    data = traffic_data(drift, windows, failures, None)
    _, errors, delay = data.tracks
    assert [(day, value) for day, value in enumerate(errors.values) if value] == [(27, 1.0), (29, 3.0)]
    assert (
        data.notes[29] == "3 failed checks: out_of_range of carrier 12%, null_share of humidity_pct 44%, duplicates 2%"
    )
    assert (delay.values[10], delay.said[10]) == (HOUR, "1h00m")
    assert (delay.values[28], delay.said[28]) == (9 * HOUR, "9h00m")
    # The newest window has not ended: its data cannot be late.
    assert (delay.values[29], delay.said[29]) == (None, "not over")
    assert data.chosen == 29
    assert data.marks == ((12, "R"), (20, "!"))


def test_of_too_many_features_the_chosen_window_alone_is_checked(drift: Heatmap, agent: FakeAgent) -> None:
    wide = msgspec.structs.replace(drift, features=[f"f{number}" for number in range(300)])
    assert not all_checked(wide)
    asked = asked_failures(wide, "1d", wide.starts[27])
    assert (asked.since, asked.until) == (wide.starts[27], wide.starts[28])
    data = traffic_data(wide, None, agent._list(asked), wide.starts[27])
    assert data.tracks[1].values[26] is None


async def test_traffic_stands_under_the_map_and_follows_its_cursor(console: Console) -> None:
    async with console() as driver:
        await driver.press("6")
        lines = driver.picture.split("\n")
        head = next(place for place, line in enumerate(lines) if line.startswith("traffic: "))
        assert "3 failed checks: out_of_range of carrier 12%" in lines[head]
        assert lines[head + 1].split()[:2] == ["volume", "900"]
        await driver.press("left")
        assert UNKNOWN in driver.picture


async def test_tab_leads_to_the_traffic_and_enter_to_the_failed_checks(console: Console) -> None:
    async with console((80, 24)) as driver:
        await driver.press("6", *["tab"] * 4)
        assert "traffic: rows, failed checks, delay" in driver.picture
        assert "against the reference" not in driver.picture
        await driver.press("enter")
        place = driver.app.deck.view.place
        assert (place.view, place.filter) == ("quality", "failed=true")
        assert dict(place.scope) == {"deployment": "flight-delay@production"}


async def test_low_screens_ask_for_the_traffic_only_when_it_is_looked_at(console: Console) -> None:
    def asked(driver: Any) -> int:
        return sum(params.kind == "quality" for params in driver.agent.asked("list"))

    async with console((80, 24)) as driver:
        await driver.press("6")
        assert asked(driver) == 0
        await driver.press(*["tab"] * 4)
        assert asked(driver) == 1


async def test_without_a_reference_the_panes_say_so_and_the_traffic_stands(console: Console) -> None:
    why = "No version of flight-delay that predicted here has a reference."
    async with console() as driver:
        found = answers()["heatmap"]

        def unreferenced(params: Any) -> Heatmap:
            return msgspec.structs.replace(found(params), features=[], values=[], noise=[], alarms=[], why=why)

        driver.agent.answer("heatmap", unreferenced)
        await driver.press("6")
        assert why in driver.picture
        assert driver.picture.count("No version of flight-delay") == 3
        assert "loading" not in driver.picture
        assert driver.picture.count("900") == 1


async def test_a_high_narrow_screen_has_the_traffic_beside_the_other_panes(console: Console) -> None:
    async with console((100, 50)) as driver:
        await driver.press("6")
        for pane in ("traffic: rows", "against the reference", "realised"):
            assert pane in driver.picture
        await driver.press(*["tab"] * 4)
        assert "against the reference" in driver.picture


async def test_of_many_features_another_window_is_asked_for_and_another_feature_is_not(console: Console) -> None:
    async with console() as driver:
        found = answers()["heatmap"]

        def wide(params: Any) -> Heatmap:
            drift = found(params)
            rows = [drift.values[1]] * 300
            return msgspec.structs.replace(
                drift, features=[f"f{number:03d}" for number in range(300)], values=rows, noise=rows, alarms=[],
                importance=[], relevance=[], relevance_basis="", reasons=[],
            )  # fmt: skip

        driver.agent.answer("heatmap", wide)
        await driver.press("6")
        before = [params for params in driver.agent.asked("list") if params.kind == "quality"]
        await driver.press("down", "down")
        assert [params for params in driver.agent.asked("list") if params.kind == "quality"] == before
        await driver.press("left")
        asked = [params for params in driver.agent.asked("list") if params.kind == "quality"]
        assert (asked[-1].since, asked[-1].until) == (NOW - 2 * DAY, NOW - DAY)


def test_more_failures_than_are_listed_leave_the_older_windows_unknown(drift: Heatmap, agent: FakeAgent) -> None:
    page = agent._list(asked_failures(drift, "1d", None))
    newest = [row for row in page.rows if row[4] == drift.starts[29]]
    cut = msgspec.structs.replace(page, rows=[*newest, page.rows[-1]], total=5000)
    data = traffic_data(drift, None, cut, None)
    assert page.rows[-1][4] == drift.starts[27]
    assert data.tracks[1].values[26:] == (None, None, 0.0, 3.0)
