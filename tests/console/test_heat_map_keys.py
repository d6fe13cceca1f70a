"""What keys do on the monitor's heat map: from alarm to alarm, filter, hold still, copy the command line."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.screens.feature_filter import as_terms, narrowed, passes
from console.screens.monitor import Monitor
from console.widgets.heatmap_data import HeatmapData
from store.protocol import ExitCode, Heatmap, Refusal
from tests.console.canned import DAY
from tests.console.conftest import Console
from tests.console.driving import Driver
from tests.console.fake_agent import NOW


def monitor(driver: Driver) -> Monitor:
    view = driver.app.deck.view
    assert isinstance(view, Monitor)
    return view


# --- from alarm to alarm -----------------------------------------------------------------------------------


async def test_a_full_stop_goes_to_where_each_run_of_alarms_began(console: Console) -> None:
    async with console() as driver:
        await driver.press("6", "full_stop")
        # humidity crosses the limit each week for some days, temperature from the ninth day on.
        assert monitor(driver).heatmap.cursor == ("temperature_f", NOW - 21 * DAY)
        assert "temperature_f: alarm from 2013-06-12 12:00Z, 21 windows (1 of 5)" in driver.foot
        await driver.press("full_stop")
        assert monitor(driver).heatmap.cursor == ("humidity_pct", NOW - 6 * DAY)
        await driver.press("comma", "comma")
        assert "(5 of 5)" in driver.foot


async def test_without_an_alarm_the_step_says_so(console: Console) -> None:
    async with console() as driver:
        await driver.press("6", *"/carrier", "enter", "full_stop")
        assert "no cell of these windows is an alarm" in driver.foot


# --- the filter --------------------------------------------------------------------------------------------


async def test_the_filter_leaves_the_features_that_pass_and_escape_brings_all_back(console: Console) -> None:
    async with console() as driver:
        before = len(driver.agent.asked("heatmap"))
        await driver.press("6", *"/_pct", "enter")
        assert monitor(driver).heatmap.features == ["humidity_pct"]
        assert "1 of 3 features" in driver.line(2)
        assert "/_pct" in driver.line(1)
        assert "humidity_pct" in [asked.feature for asked in driver.agent.asked("distribution")]
        assert len(driver.agent.asked("heatmap")) == before + 1
        await driver.press("escape")
        assert len(monitor(driver).heatmap.features) == 3
        assert driver.app.deck.view.place.view == "monitor"


async def test_a_filter_that_nothing_passes_says_so_in_the_map(console: Console) -> None:
    async with console((80, 24)) as driver:
        await driver.press("6", *"/nothing_like_it", "enter")
        assert "no feature passes /nothing_like_it: esc shows all 3" in driver.picture


async def test_a_bad_filter_is_refused_and_all_features_stay(console: Console) -> None:
    async with console() as driver:
        await driver.press("6", *"/temp[", "enter")
        assert "Bad filter 'temp[': 'temp[' is no regular expression" in driver.foot
        assert len(monitor(driver).heatmap.features) == 3


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", ["temp", "humidity", "wind speed"]),
        ("t", ["temp", "humidity"]),
        ("!t", ["wind speed"]),
        ("feature=temp", ["temp"]),
        ("feature!=temp ^w|^h", ["humidity", "wind speed"]),
        ('"wind s"', ["wind speed"]),
        ("feature:e !feature:s", ["temp"]),
    ],
)
def test_terms_of_the_filter(text: str, kept: list[str]) -> None:
    passing = passes(text)
    assert [name for name in ("temp", "humidity", "wind speed") if passing(name)] == kept


def test_a_filter_of_another_column_is_refused_by_its_name() -> None:
    with pytest.raises(Refusal, match="the heat map has features alone, not 'psi'"):
        passes("psi=3")


@given(st.lists(st.sampled_from(["a", "b", "ab", "ba"]), max_size=6), st.sampled_from(["a", "!a", "^b", "b !a"]))
def test_what_passes_keeps_its_own_values(features: list[str], text: str) -> None:
    values = tuple((float(place),) for place, _ in enumerate(features))
    data = HeatmapData(features=tuple(features), starts=(0.0,), values=values, noise=values)
    kept = narrowed(data, text)
    passing = passes(text)
    assert [(name, row) for name, row in zip(features, values, strict=True) if passing(name)] == list(
        zip(kept.features, kept.values, strict=True)
    )
    assert kept.noise == kept.values


@pytest.mark.parametrize(
    ("text", "terms"),
    [("temp", "feature:temp"), ("!temp feature=x", "!feature:temp feature=x"), ('"a b"', 'feature:"a b"'), ("", "")],
)
def test_the_filter_as_terms_of_the_listing(text: str, terms: str) -> None:
    assert as_terms(text) == terms


# --- holding still, and the command line -------------------------------------------------------------------


async def test_p_holds_the_map_still_and_follows_again(console: Console) -> None:
    async with console() as driver:
        await driver.press("6", "p")
        assert "held still" in driver.line(1)
        before = len(driver.agent.asked("heatmap"))
        driver.agent.change("drift")
        await driver.until(lambda: driver.app.deck.view.stale)
        await driver.settle()
        assert len(driver.agent.asked("heatmap")) == before
        await driver.press("p")
        await driver.until(lambda: len(driver.agent.asked("heatmap")) > before)


async def test_y_copies_the_command_line_that_prints_the_map(console: Console) -> None:
    async with console() as driver:
        await driver.press("6", "S", *"js", "enter", *"/temp", "enter", "y")
        words = shlex.split(driver.app.deck.view.copied())
        assert words[:3] == ["quarterdeck", "ls", "drift"]
        options = dict(zip(words[3::2], words[4::2], strict=True))
        assert options == {
            "--filter": "deployment=flight-delay@production statistic=js feature:temp",
            "--window": "1d",
            "--since": "2013-06-03T12:00:00Z",
            "--until": "2013-07-03T12:00:00Z",
        }
        assert "copied quarterdeck ls drift" in driver.foot


async def test_y_copies_the_command_line_that_prints_performance(console: Console) -> None:
    async with console() as driver:
        await driver.press("6", "tab", "tab", "enter", "y")
        assert (
            "ls performance --filter 'deployment=flight-delay@production metric=auc'" in driver.app.deck.view.copied()
        )


# --- before the first answer -------------------------------------------------------------------------------


async def test_panes_that_await_their_first_answer_say_loading_and_a_refusal_takes_its_place(console: Console) -> None:
    async with console() as driver:
        driver.agent.answer("heatmap", lambda params: _refuse())
        view = Monitor(driver.app.deck.view.place)
        assert view.heatmap.data.why == view.bars.data.why == view.chart.data.why == "loading…"
        await driver.press("6")
        assert driver.picture.count("The store is being repaired") >= 3
        assert "loading…" not in driver.picture


def _refuse() -> Heatmap:
    raise Refusal(ExitCode.REFUSED, "The store is being repaired.")


async def test_the_help_of_the_monitor_tells_the_heat_maps_own_keys(console: Console) -> None:
    async with console() as driver:
        await driver.press("6", "question_mark", *"half a span")
        assert "h l left right  Windows" in driver.picture
        assert "A window earlier" in driver.picture


# --- without colour ----------------------------------------------------------------------------------------


async def test_without_colour_no_level_of_the_map_is_fainter_than_another(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with console() as driver:
        await driver.press("6")
        heatmap = monitor(driver).heatmap
        for level in ("ok", "warning", "critical", "extreme"):
            colour = heatmap.get_component_styles(f"heatmap--{level}").color
            assert min(colour.rgb) > 200, (level, colour)
