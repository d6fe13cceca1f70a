"""Charts show gaps, marks and thresholds, tell lines apart without colour, and draw once for the same data."""

from __future__ import annotations

from dataclasses import replace

import pytest
from widget_app import WidgetApp

from console import glyphs
from console.widgets import chart as chart_module
from console.widgets.chart import Chart, ChartData, ChartMark, Hatch, Series, Strip, Threshold
from console.widgets.chart_draw import curve, draw, x_ticks

DAY = 86_400.0
START = 1356998400.0  # 2013-01-01
GAPPED = Series("v1", tuple((START + day * DAY, None if 40 <= day < 60 else 0.7) for day in range(100)))
LATER = Series("v2", tuple((START + day * DAY, 0.6) for day in range(50, 100)))
DATA = ChartData((GAPPED, LATER), (ChartMark(START + 50 * DAY, "R"),), (Threshold(0.65, "alarm"),), title="auc")


def test_null_is_a_gap_in_the_line() -> None:
    rows = draw(ChartData((GAPPED,), low=0.6, high=0.8), 110, 12).text().split("\n")
    line = next(row for row in rows if row.count("⠒") + row.count("⠤") + row.count("⠉") + row.count("⣀") > 20)
    drawn = line[line.index("│") + 1 :]
    assert drawn[50].isspace()
    assert not drawn[20].isspace()
    assert not drawn[80].isspace()


@pytest.mark.parametrize("width", [40, 130, 260])
def test_a_line_reaches_both_ends_of_its_canvas(width: int) -> None:
    rows = curve(((0.0, 0.0), (1.0, 1.0)), (0.0, 1.0), (0.0, 1.0), width, 50, "braille")
    assert not rows[-1][0].isspace()
    assert not rows[0][-1].isspace()


def test_marks_have_their_letter_on_the_axis_and_thresholds_their_label() -> None:
    rows = draw(DATA, 80, 14).text().split("\n")
    assert "R" in rows[-2]
    assert any("alarm" in row for row in rows)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_threshold_keeps_its_label_beside_a_curve_that_runs_along_it(width: int) -> None:
    wave = Series("v1", tuple((START + day * DAY, 0.65 + (0.004 if day % 2 else -0.004)) for day in range(100)))
    assert "alarm" in draw(ChartData((wave,), thresholds=(Threshold(0.65, "alarm"),)), width, 12).text()


def test_what_is_estimated_is_drawn_in_points_with_its_band_and_what_is_unknown_is_hatched() -> None:
    days = [START + day * DAY for day in range(10)]
    measured = Series("auc", tuple((x, 0.7 if place < 5 else None) for place, x in enumerate(days)))
    estimated = Series(
        "auc estimated", tuple((x, 0.72 if place >= 5 else None) for place, x in enumerate(days)), "dots"
    )
    band = tuple((x, 0.7, 0.74) for x in days[5:8])
    drawn = draw(ChartData((measured, estimated), band=band, hatches=(Hatch(days[8], days[9], "?"),)), 80, 14).text()
    assert drawn.count("◦") >= 5
    assert "·" in drawn
    assert "╱" in drawn


def test_a_strip_says_a_share_for_each_window() -> None:
    points = tuple((START + day * DAY, 1 - day / 9) for day in range(10))
    chart = ChartData((Series("auc", points),), strip=Strip("labels", points))
    row = draw(chart, 80, 14).text().split("\n")[-3]
    assert row.startswith("labels")
    assert "█" in row
    assert row.rstrip().endswith("▁")


def test_a_logarithmic_chart_has_powers_of_ten_for_labels() -> None:
    points = tuple((float(x), 10.0 ** (x / 10 - 2)) for x in range(40))
    rows = draw(ChartData((Series("psi", points),), x_kind="number", log=True), 80, 20).text().split("\n")
    labels = [row.split("│")[0].strip() for row in rows if "│" in row]
    assert [label for label in labels if label] == ["50", "20", "10", "5", "2", "1", "0.5", "0.2", "0.1", "0.05"] or {
        "0.1",
        "1",
        "10",
    } <= set(labels)


def test_lines_are_told_apart_by_letters() -> None:
    rows = draw(DATA, 80, 14).text().split("\n")
    assert "a v1 0.7" in rows[0]
    assert "b v2 0.6" in rows[0]
    assert sum(row.endswith(("a", "b")) for row in rows) == 2


def test_time_axis_says_dates() -> None:
    assert "2013" in draw(DATA, 80, 14).text().split("\n")[-1]


@pytest.mark.parametrize(
    ("first", "last", "label"), [(START, START + 7200, "00:30"), (START, START + 5 * DAY, "Jan 03")]
)
def test_time_ticks_are_round(first: float, last: float, label: str) -> None:
    assert label in [said for _, said in x_ticks("time", first, last, 6)]


def test_steps_are_round_numbers() -> None:
    assert [said for _, said in x_ticks("number", 0, 100, 5)] == ["0", "20", "40", "60", "80", "100"]


def test_ascii_chart_is_ascii() -> None:
    glyphs.use(glyphs.ASCII)
    dashed = Series("noise", LATER.points, "dashes")
    data = replace(DATA, series=(*DATA.series, dashed), hatches=(Hatch(START, START + DAY, "?"),))
    drawn = draw(data, 80, 14).text()
    assert drawn.isascii()
    assert "*a v1" in drawn
    assert "ob v2" in drawn


@pytest.mark.parametrize("size", [(1, 1), (16, 5), (20, 5), (200, 60), (80, 4)])
def test_any_size_is_filled_exactly(size: tuple[int, int]) -> None:
    rows = draw(DATA, *size).text().split("\n")
    assert [len(row) for row in rows] == [size[0]] * size[1]


@pytest.mark.parametrize(
    "points",
    [(), ((1.0, None),), ((1.0, 2.0),), ((1.0, float("nan")), (2.0, 5.0)), ((1.0, 5.0), (2.0, 5.0))],
)
def test_sparse_data_draws(points: tuple[tuple[float, float | None], ...]) -> None:
    assert draw(ChartData((Series("x", points),), x_kind="number"), 60, 10).text()


def test_outside_text_is_cleaned() -> None:
    data = ChartData((Series("\x1b[31mred\n", ((0.0, 1.0), (1.0, 2.0))),), title="[bold]\u202e")
    drawn = draw(data, 80, 10).text()
    assert "\x1b" not in drawn
    assert "\u202e" not in drawn
    assert "[bold]" in drawn


async def test_nothing_to_draw_says_why() -> None:
    app = WidgetApp(Chart(ChartData(why="no labels have arrived yet")))
    async with app.run_test(size=(60, 10)) as pilot:
        await pilot.pause()
        await app.widget.drawn()
        assert any("no labels have arrived yet" in line for line in app.lines())


async def test_same_data_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[int, int]] = []

    def counting(data: ChartData, width: int, height: int) -> object:
        drawn.append((width, height))
        return draw(data, width, height)

    monkeypatch.setattr(chart_module, "draw", counting)
    app = WidgetApp(Chart(DATA))
    async with app.run_test(size=(80, 20)) as pilot:
        await pilot.pause()
        await app.widget.drawn()
        await pilot.pause()
        app.painted.clear()
        app.widget.update(ChartData(DATA.series, DATA.marks, DATA.thresholds, title="auc"))
        await pilot.pause()
        assert len(drawn) == 1
        assert app.painted == set()


def test_the_band_of_a_window_of_few_rows_does_not_flatten_the_lines() -> None:
    days = [START + day * DAY for day in range(20)]
    measured = Series("v1", tuple((x, 0.70 + place % 5 / 100) for place, x in enumerate(days)))
    narrow = tuple((x, 0.69, 0.75) for x in days[10:])
    wide = (*narrow[:-1], (days[-1], 0.0, 1.0))
    rows = [draw(ChartData((measured,), band=band), 80, 20).text().split("\n") for band in (narrow, wide)]
    heights = [sum(any("⠀" < character <= "⣿" for character in row) for row in drawn) for drawn in rows]
    assert heights[1] >= heights[0] // 2 > 2
