"""A table of figures keeps its columns straight, drops the least important where it is narrow, and scrolls."""

from __future__ import annotations

from widget_app import WidgetApp

from console.widgets.figures import Figures, FiguresData, Heading

DATA = FiguresData(
    "statistics",
    (Heading("name"), Heading("value", right=True), Heading("guarantee", priority=2, stretch=True)),
    tuple(((f"s{n}", ""), (f"{n}.0", "critical"), ("holds for a window of its own", "muted")) for n in range(30)),
)


async def test_numbers_stand_on_the_right() -> None:
    app = WidgetApp(Figures(DATA))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        lines = app.lines()
        assert lines[2].startswith("s0      0.0  holds")
        assert lines[12].startswith("s10    10.0  holds")


async def test_where_it_is_narrow_the_least_important_column_goes() -> None:
    app = WidgetApp(Figures(DATA))
    async with app.run_test(size=(14, 24)) as pilot:
        await pilot.pause()
        assert app.lines()[2] == "s0      0.0"


async def test_more_lines_than_there_is_room_for_are_said_and_reached() -> None:
    figures = Figures(DATA)
    app = WidgetApp(figures)
    async with app.run_test(size=(80, 12)) as pilot:
        await pilot.pause()
        assert "20 more" in app.lines()[0]
        figures.page(9)
        assert app.lines()[-1].startswith("s29")
        figures.page(-9)
        assert app.lines()[2].startswith("s0")


async def test_outside_text_is_cleaned() -> None:
    app = WidgetApp(Figures(FiguresData("x", (Heading("name"),), (((("\x1b[31mred"), ""),),))))
    async with app.run_test(size=(80, 12)) as pilot:
        await pilot.pause()
        assert not any("\x1b" in line for line in app.lines())
