"""The heat map sorts the worst first, keeps its cursor on its feature and window, and reads without colour."""

from __future__ import annotations

import dataclasses

import pytest
from widget_app import WidgetApp

from console import glyphs
from console.widgets.heatmap import Heatmap, HeatmapData, HeatmapMark, severity

DAY = 86_400.0
START = 1362096000.0  # 2013-03-01


def data(windows: int = 10, **changes: object) -> HeatmapData:
    values = (
        tuple(0.05 for _ in range(windows)),
        tuple(0.3 if window == windows - 1 else 0.12 for window in range(windows)),
        tuple(None if window == 0 else 0.001 for window in range(windows)),
    )
    return dataclasses.replace(
        HeatmapData(
            features=("carrier", "temperature_f", "hour"),
            starts=tuple(START + window * DAY for window in range(windows)),
            window_seconds=DAY,
            values=values,
            noise=tuple(tuple(0.01 for _ in range(windows)) for _ in values),
            marks=(HeatmapMark(START + 2 * DAY + 60, "R"),),
            title="psi",
        ),
        **changes,
    )


@pytest.mark.parametrize(
    ("value", "noise", "level"),
    [
        (None, 0.1, None),
        (float("nan"), None, None),
        (0.05, 0.06, 0),
        (0.05, None, 1),
        (0.1, None, 2),
        (0.25, 0.5, 0),
        (0.3, 0.1, 2),
        (0.35, 0.1, 3),
        (-0.35, 0.1, 3),
        (2.5, None, 4),
    ],
)
def test_severity(value: float | None, noise: float | None, level: int | None) -> None:
    assert severity(value, noise, warn=0.1, alarm=0.25) == level


async def test_worst_feature_is_on_top_and_levels_have_their_own_glyphs() -> None:
    app = WidgetApp(Heatmap(data()))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("down")
        rows = app.lines()[3:6]
        assert rows[0].split()[0] == "temperature_f"
        assert rows[0].endswith("▒" * 27 + "▓▓▓")
        assert rows[1].endswith("░" * 27 + "◆◆◆")
        assert "---" + "·" * 3 in rows[2]


async def test_all_of_many_windows_are_reachable_and_the_newest_is_at_the_right() -> None:
    app = WidgetApp(Heatmap(data(windows=500)))
    async with app.run_test(size=(80, 24)) as pilot:
        app.widget.focus()
        await pilot.press("left")
        assert "earlier" in app.lines()[0]
        assert app.lines()[3].endswith("◆▓")
        await pilot.press("home")
        assert app.widget.cursor == ("temperature_f", START)
        assert "later" in app.lines()[0]


async def test_cursor_keeps_its_feature_and_window_when_data_changes() -> None:
    app = WidgetApp(Heatmap(data()))
    async with app.run_test(size=(80, 24)) as pilot:
        app.widget.focus()
        await pilot.press("down", "left", "left")
        assert app.widget.cursor == ("carrier", START + 7 * DAY)
        worse = data(windows=12)
        app.widget.update(dataclasses.replace(worse, values=((0.9,) * 12, *worse.values[1:])))
        assert app.widget.cursor == ("carrier", START + 7 * DAY)
        assert app.lines()[3].startswith("▸ carrier")


async def test_cursor_on_the_newest_window_stays_on_the_newest() -> None:
    app = WidgetApp(Heatmap(data()))
    async with app.run_test(size=(80, 24)):
        app.widget.update(data(windows=12))
        assert app.widget.cursor == ("temperature_f", START + 11 * DAY)


async def test_enter_says_the_cell() -> None:
    app = WidgetApp(Heatmap(data()))
    async with app.run_test(size=(80, 24)) as pilot:
        app.widget.focus()
        await pilot.press("enter")
        await pilot.pause()
        message = app.heard[-1]
        assert isinstance(message, Heatmap.CellSelected)
        assert (message.feature, message.start, message.value) == ("temperature_f", START + 9 * DAY, 0.3)


async def test_click_moves_then_selects() -> None:
    app = WidgetApp(Heatmap(data()))
    async with app.run_test(size=(80, 24)) as pilot:
        left = app.widget._left(80)
        await pilot.click(app.widget, offset=(left + 3, 4))
        assert app.widget.cursor == ("carrier", START + DAY)
        await pilot.click(app.widget, offset=(left + 3, 4))
        assert isinstance(app.heard[-1], Heatmap.CellSelected)


async def test_cursor_move_writes_only_the_lines_that_change() -> None:
    app = WidgetApp(Heatmap(data()))
    async with app.run_test(size=(80, 24)) as pilot:
        app.widget.focus()
        await pilot.press("left")
        await pilot.pause()
        app.painted.clear()
        await pilot.press("left")
        await pilot.pause()
        assert app.painted == {1, 3, 22}


async def test_features_are_sorted_by_the_worst_window_in_sight() -> None:
    values = ((0.9, *(0.0,) * 499), (0.1,) * 500, (0.0,) * 500)
    app = WidgetApp(Heatmap(data(windows=500, values=values)))
    async with app.run_test(size=(80, 24)) as pilot:
        app.widget.focus()
        await pilot.press("left")
        assert app.widget.features[0] == "temperature_f"
        await pilot.press("home")
        assert app.widget.features[0] == "carrier"
        app.widget.order_by("name")
        assert app.widget.features == ["carrier", "hour", "temperature_f"]


async def test_where_all_alarms_the_many_times_worse_stands_out() -> None:
    app = WidgetApp(Heatmap(data(values=((0.3,) * 10, (8.0,) * 10, (0.4,) * 10), noise=())))
    async with app.run_test(size=(100, 24)) as pilot:
        await pilot.press("left")
        assert app.lines()[3].startswith("▸ temperature_f")
        assert app.lines()[3].endswith("█" * 24 + "◆◆◆███")
        assert "▓" * 30 in app.lines()[4]
        assert "█ 10× alarm" in app.lines()[-1]
        assert app.lines()[-2].rstrip().endswith("32× alarm")


@pytest.mark.parametrize(("key", "by"), [("left", -1), ("right", 1)])
async def test_a_move_past_the_windows_there_are_asks_for_more(key: str, by: int) -> None:
    app = WidgetApp(Heatmap(data(windows=1)))
    async with app.run_test(size=(80, 24)) as pilot:
        app.widget.focus()
        await pilot.press(key)
        message = app.heard[-1]
        assert isinstance(message, Heatmap.Beyond)
        assert message.by == by


async def test_marks_stand_over_their_window() -> None:
    app = WidgetApp(Heatmap(data()))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert app.lines()[1].index("R") == app.widget._left(80) + 2 * 3


async def test_ascii_heat_map_is_ascii_and_levels_differ() -> None:
    glyphs.use(glyphs.ASCII)
    app = WidgetApp(Heatmap(data()))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert all(line.isascii() for line in app.lines())
        assert len({*glyphs.ASCII.shades, glyphs.ASCII.no_data, glyphs.ASCII.here}) == 7


async def test_no_data_says_why() -> None:
    app = WidgetApp(Heatmap(HeatmapData(why="no predictions have arrived")))
    async with app.run_test(size=(80, 24)) as pilot:
        app.widget.focus()
        await pilot.press("left", "enter", "G")
        assert any("no predictions have arrived" in line for line in app.lines())


async def test_auto_height_follows_the_number_of_features() -> None:
    heatmap = Heatmap(HeatmapData())
    heatmap.styles.height = "auto"
    app = WidgetApp(heatmap)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        heatmap.update(dataclasses.replace(data(), features=("a", "b", "c"), values=data().values))
        await pilot.pause()
        assert heatmap.size.height == 3 + 3 + 2


async def test_a_great_value_of_few_rows_does_not_stand_above_a_real_alarm() -> None:
    values = ((0.01,) * 9 + (7.0,), (0.3,) * 10, (0.2,) * 10)
    noise = ((0.01,) * 9 + (6.0,), (0.01,) * 10, (0.01,) * 10)
    alarms = (("",) * 10, ("warning",) * 10, ("",) * 10)
    app = WidgetApp(Heatmap(data(values=values, noise=noise, alarms=alarms)))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert app.widget.features == ["temperature_f", "carrier", "hour"]
        assert app.lines()[3].split()[2] == "0.3"


REASONS = (("", "too few rows", *[""] * 7, "too few rows"), ("",) * 10, ("no reference",) * 10)


@pytest.mark.parametrize("chosen", [glyphs.UNICODE, glyphs.ASCII])
async def test_what_was_not_judged_has_a_glyph_and_a_word_of_its_own(chosen: glyphs.Glyphs) -> None:
    glyphs.use(chosen)
    app = WidgetApp(Heatmap(data(reasons=REASONS)))
    async with app.run_test(size=(120, 24)) as pilot:
        await pilot.press("down")
        rows = app.lines()
        assert len({chosen.unjudged, chosen.no_data, chosen.here, *chosen.shades}) == 8
        ok = chosen.shades[1]
        carrier, hour = (next(row for row in rows[3:] if name in row) for name in ("carrier", "hour"))
        assert carrier.split()[-1] == ok * 3 + chosen.unjudged * 3 + ok * 21 + chosen.here * 3
        # A feature of which nothing was judged has no worst value, and is not drawn as if it had no data.
        assert hour.split()[-2:] == [chosen.unjudged, chosen.unjudged * 30]
        assert rows[0].endswith(f"{chosen.unjudged} 2 of 3 not judged")
        assert rows[-2].endswith("not judged: too few rows") or "not judged: too few rows" in "".join(rows)
        assert f"{chosen.unjudged} not judged" in rows[-1]


async def test_what_was_not_judged_is_never_drawn_in_the_colour_of_what_is_well() -> None:
    heatmap = Heatmap(data(reasons=REASONS))
    app = WidgetApp(heatmap)
    async with app.run_test(size=(120, 24)) as pilot:
        await pilot.pause()
        colours = {
            part: heatmap.get_component_rich_style(f"heatmap--{part}").color for part in ("ok", "unjudged", "none")
        }
        assert len(set(colours.values())) == 3


async def test_a_large_value_that_was_not_judged_is_no_alarm_and_does_not_stand_on_top() -> None:
    values = ((9.0,) * 10, (0.3,) * 10, (0.001,) * 10)
    app = WidgetApp(Heatmap(data(values=values, reasons=(("too few rows",) * 10, ("",) * 10, ("",) * 10))))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert app.widget.features == ["temperature_f", "hour", "carrier"]


async def test_the_title_counts_the_features_in_sight() -> None:
    many = tuple(f"feature_{number}" for number in range(300))
    rows = tuple((0.1,) * 10 for _ in many)
    app = WidgetApp(Heatmap(data(features=many, values=rows, noise=rows)))
    async with app.run_test(size=(80, 24)) as pilot:
        app.widget.focus()
        await pilot.press("G")
        assert "features 282-300 of 300" in app.lines()[0]


async def test_long_names_are_cut_in_the_middle_for_they_differ_at_their_ends() -> None:
    names = tuple(f"one_hot_encoded_carrier_of_the_previous_leg_{code}" for code in ("UA", "B6", "EV"))
    app = WidgetApp(Heatmap(data(features=names)))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        shown = [line[2:22].strip() for line in app.lines()[3:6]]
        assert sorted(name[-3:] for name in shown) == ["_B6", "_EV", "_UA"]
        assert all(name.startswith("one_hot") and "…" in name for name in shown)


async def test_a_step_to_an_alarm_goes_round_and_over_windows_without_data() -> None:
    values = ((0.3, None, 0.3, 0.05, 0.3, *(0.05,) * 5), (0.05,) * 10, (0.05,) * 10)
    app = WidgetApp(Heatmap(data(values=values)))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert app.widget.step_to_alarm(1) == (1, 2)
        assert app.widget.cursor == ("carrier", START + 4 * DAY)
        assert app.widget.step_to_alarm(1) == (2, 2)
        assert (app.widget.cursor, app.widget.alarm_here()) == (("carrier", START), (START, 3))
        assert app.widget.step_to_alarm(1) == (1, 2)
        assert app.widget.step_to_alarm(-1) == (2, 2)


@pytest.mark.parametrize("width", [30, 45, 60, 80, 96, 120])
async def test_the_legend_has_whole_words_alone(width: int) -> None:
    whole = "· noise ░ ok ▒ warn 0.1 ▓ alarm 0.25 █ 10× alarm - none R rev ! alert"
    app = WidgetApp(Heatmap(data()))
    async with app.run_test(size=(width, 24)) as pilot:
        await pilot.pause()
        shown = " ".join(app.lines()[-1].split()).replace("below noise", "noise").replace("no data", "none")
        assert whole.startswith(shown.replace("revision", "rev"))
        assert shown.split()[-1] in whole.split()
