"""The progress strip says what goes on and writes only when that changed."""

from __future__ import annotations

from widget_app import WidgetApp

from console.widgets.progress import ProgressStrip


async def test_share_and_label() -> None:
    app = WidgetApp(ProgressStrip())
    async with app.run_test(size=(80, 3)) as pilot:
        app.widget.update("taking in [red]runs\n", 412, 1000)
        await pilot.pause()
        assert app.lines()[0].endswith("41%  taking in [red]runs␊")
        app.painted.clear()
        app.widget.update("taking in [red]runs\n", 413, 1000)
        await pilot.pause()
        assert app.painted == set()


async def test_unknown_end_counts() -> None:
    app = WidgetApp(ProgressStrip())
    async with app.run_test(size=(80, 3)) as pilot:
        app.widget.update("scanning", 1234)
        await pilot.pause()
        assert "scanning  1,234 done" in app.lines()[0]


async def test_cleared_strip_takes_no_room() -> None:
    app = WidgetApp(ProgressStrip())
    async with app.run_test(size=(80, 3)) as pilot:
        app.widget.update("scanning")
        app.widget.clear()
        await pilot.pause()
        assert app.widget.display is False
