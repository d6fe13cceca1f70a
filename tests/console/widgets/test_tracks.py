"""Tracks stand on the heat map's axis, and tell "nothing is known" from "nothing is there" from "a little is there"."""

from __future__ import annotations

import dataclasses

from widget_app import WidgetApp

from console import glyphs
from console.widgets.tracks import Track, Tracks, TracksData


def columns(width: int) -> tuple[int, int, range]:
    return 20, 2, range(1, 5)


DATA = TracksData(
    tracks=(
        Track("volume", (5.0, 8.0, 4.0, 0.0, None), ("5", "8", "4", "0", "–"), (False, False, True, False, False)),
        Track("errors", (None, 0.0, 0.0, 1000.0, 1.0), ("–", "0", "0", "1,000", "1")),
    ),
    marks=((2, "R"),),
    chosen=3,
    title="traffic",
    notes=("", "", "", "1000 failed checks", ""),
    unknown="latency is not knowable",
)


async def test_each_window_stands_where_the_heat_map_has_it() -> None:
    widget = Tracks(columns)
    widget.update(DATA)
    app = WidgetApp(widget)
    async with app.run_test(size=(60, 3)) as pilot:
        widget.styles.height = 3
        await pilot.pause()
        title, volume, errors = app.lines()[:3]
        assert title == "traffic  1000 failed checks"
        assert volume.split() == ["volume", "0", "██▄▄··--"]
        assert errors.split() == ["errors", "1,000", "····██▁▁"]
        assert volume.index("█") == errors.index("·") == 20


async def test_where_there_is_room_bars_are_higher_and_marks_and_what_is_unknown_have_their_lines() -> None:
    widget = Tracks(columns)
    widget.update(DATA)
    app = WidgetApp(widget)
    async with app.run_test(size=(60, 8)) as pilot:
        widget.styles.height = 8
        await pilot.pause()
        lines = app.lines()
        assert lines[1][20:].rstrip() == "  R ↓"
        assert lines[2][20:].rstrip() == "██"
        assert lines[3][20:].rstrip() == "████··--"
        assert lines[-2].strip() == "1000 failed checks"
        assert lines[-1].strip() == "latency is not knowable"


async def test_a_failed_window_is_drawn_otherwise() -> None:
    widget = Tracks(columns)
    widget.update(DATA)
    app = WidgetApp(widget)
    async with app.run_test(size=(60, 3)) as pilot:
        await pilot.pause()
        parts = [part for written, part in widget._shown[1] if written.strip()]
        assert parts == ["title", "bar", "failed", "bar", "bar"]


async def test_in_ascii_all_is_ascii_and_without_tracks_the_reason_is_said() -> None:
    glyphs.use(glyphs.ASCII)
    widget = Tracks(columns)
    widget.update(dataclasses.replace(DATA, tracks=DATA.tracks[1:]))
    app = WidgetApp(widget)
    async with app.run_test(size=(60, 4)) as pilot:
        await pilot.pause()
        assert all(line.isascii() for line in app.lines())
        widget.update(TracksData(title="traffic", why="no deployment"))
        assert app.lines()[1].strip() == "no deployment"
