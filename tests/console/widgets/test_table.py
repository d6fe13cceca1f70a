"""The table fetches what is visible, keeps its cursor on its row, and writes only what changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from rich.cells import cell_len
from row_listings import COLUMNS, EndlessSource, ListSource, TableApp, run
from textual.pilot import Pilot

from console import glyphs

SIZE = (80, 24)


@asynccontextmanager
async def running(source: ListSource | None, size: tuple[int, int] = SIZE) -> AsyncIterator[tuple[TableApp, Pilot]]:
    app = TableApp(source)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        if source is not None and source.gate is None:
            await app.table.settled()
        await pilot.pause()
        app.painted.clear()
        app.heard.clear()
        yield app, pilot


def screen_line(app: TableApp) -> int:
    return app.table.cursor_index - round(app.table.scroll_y)


async def test_only_visible_rows_and_a_margin_are_fetched_of_a_million() -> None:
    source = EndlessSource()
    async with running(source) as (app, _):
        assert app.table.total == 1_000_000
        assert max(offset + limit for offset, limit in source.asked) <= 64


async def test_the_end_of_a_million_rows_is_one_key_away() -> None:
    source = EndlessSource()
    async with running(source) as (app, pilot):
        source.asked.clear()
        await pilot.press("G")
        await app.table.settled()
        assert app.table.cursor_id == "run-999999"
        assert app.lines()[-1].lstrip("▸ ").startswith("run-999999")
        assert min(offset for offset, _ in source.asked) > 999_900


async def test_scrolling_through_thousands_of_rows_keeps_a_bounded_cache() -> None:
    source = EndlessSource()
    async with running(source) as (app, pilot):
        for _ in range(60):
            await pilot.press("pagedown")
            await app.table.settled()
        assert app.table.cursor_index == 60 * 22
        assert len(app.table._cache) <= 24 * 32


async def test_cursor_key_paints_only_two_lines() -> None:
    async with running(EndlessSource()) as (app, pilot):
        await pilot.press("down")
        await pilot.pause()
        assert app.painted == {1, 2}


async def test_unchanged_refresh_paints_nothing() -> None:
    source = ListSource([run(index) for index in range(100)])
    async with running(source) as (app, pilot):
        await app.table.refresh_rows()
        await pilot.pause()
        assert len(source.asked) > 1
        assert app.painted == set()


async def test_changed_cell_paints_only_its_line() -> None:
    source = ListSource([run(index) for index in range(100)])
    async with running(source) as (app, pilot):
        source.rows[7] = run(7, auc=0.9)
        await app.table.refresh_rows()
        await pilot.pause()
        assert app.painted == {8}
        assert "0.9" in app.lines()[8]


async def test_cursor_stays_on_its_row_and_line_when_rows_are_inserted_above() -> None:
    source = ListSource([run(index) for index in range(100)])
    async with running(source) as (app, pilot):
        await pilot.press(*["down"] * 5)
        line = screen_line(app)
        source.rows[:0] = [run(1000 + index) for index in range(70)]
        app.painted.clear()
        await app.table.refresh_rows()
        await pilot.pause()
        assert (app.table.cursor_id, app.table.cursor_index) == ("run-5", 75)
        assert screen_line(app) == line
        assert "↑70 new" in app.lines()[0]
        assert app.painted <= {0}  # the note in the header; the rows did not move


async def test_cursor_stays_on_its_row_when_rows_above_are_removed() -> None:
    source = ListSource([run(index) for index in range(100)])
    async with running(source) as (app, pilot):
        await pilot.press("pagedown", "pagedown")
        await app.table.settled()
        row, line = app.table.cursor_id, screen_line(app)
        del source.rows[:10]
        await app.table.refresh_rows()
        assert (app.table.cursor_id, screen_line(app)) == (row, line)


async def test_cursor_follows_its_row_when_the_order_changes() -> None:
    source = ListSource([run(index) for index in range(300)])
    async with running(source) as (app, pilot):
        await pilot.press("down", "down")
        source.rows.reverse()
        await app.table.refresh_rows()
        assert (app.table.cursor_id, app.table.cursor_index) == ("run-2", 297)
        assert "run-2" in app.lines()[1 + screen_line(app)]


async def test_before_the_first_key_new_rows_come_in_at_the_top() -> None:
    source = ListSource([run(index) for index in range(100)])
    async with running(source) as (app, _):
        source.rows[:0] = [run(1000), run(1001)]
        await app.table.refresh_rows()
        assert app.lines()[1].strip().startswith("run-1000")
        assert (app.table.cursor_id, screen_line(app)) == ("run-0", 2)


async def test_vanished_row_is_said_and_leaves_the_cursor_on_no_row() -> None:
    source = ListSource([run(index) for index in range(100)])
    async with running(source) as (app, pilot):
        await pilot.press("down", "down")
        app.heard.clear()
        del source.rows[2]
        await app.table.refresh_rows()
        await pilot.pause()
        assert app.heard == [("vanished", "run-2"), ("highlighted", None)]
        assert app.table.cursor_row is None
        assert "run-2 is gone" in app.lines()[0]
        await pilot.press("enter")
        assert ("selected", "run-3") not in app.heard


@pytest.mark.parametrize(("key", "row"), [("down", "run-3"), ("up", "run-1")])
async def test_after_a_row_vanished_the_next_key_goes_to_its_neighbour(key: str, row: str) -> None:
    source = ListSource([run(index) for index in range(100)])
    async with running(source) as (app, pilot):
        await pilot.press("down", "down")
        del source.rows[2]
        await app.table.refresh_rows()
        await pilot.press(key)
        assert app.table.cursor_id == row


async def test_all_rows_vanish() -> None:
    source = ListSource([run(index) for index in range(10)])
    async with running(source) as (app, pilot):
        app.table.empty_text = "no runs match"
        source.rows.clear()
        await app.table.refresh_rows()
        await pilot.press("down", "G", "enter", "space")
        assert app.lines()[1].strip() == "no runs match"
        assert app.table.cursor_row is None


async def test_paused_rows_are_frozen_and_changes_counted() -> None:
    source = ListSource([run(index) for index in range(10)])
    async with running(source) as (app, pilot):
        await pilot.press("p")
        source.rows[0] = run(0, note="changed")
        app.table.refresh_soon()
        app.table.refresh_soon(changes=2)
        await pilot.pause()
        assert "paused, 3 waiting" in app.lines()[0]
        assert "changed" not in app.lines()[1]
        await pilot.press("p")
        await app.table.settled()
        assert "paused" not in app.lines()[0]
        assert "changed" in app.lines()[1]


async def test_markup_and_escapes_are_literal() -> None:
    source = ListSource([run(0, note="[red]x[/red]\x1b[31m\u202e")])
    async with running(source) as (app, _):
        assert "[red]x[/red]␛[31m\ufffd" in app.lines()[1]


async def test_marks_are_kept_by_row() -> None:
    source = ListSource([run(index) for index in range(10)])
    async with running(source) as (app, pilot):
        await pilot.press("down", "space")
        source.rows.insert(0, run(77))
        await app.table.refresh_rows()
        assert app.table.marked == {"run-1"}
        assert next(line for line in app.lines() if "✓ run-1" in line)
        await pilot.press("space")
        assert app.table.marked == frozenset()


async def test_error_of_the_first_fetch_is_shown() -> None:
    source = ListSource([])
    source.failure = ConnectionError("the agent\nis away")
    async with running(source) as (app, _):
        assert app.lines()[1].strip() == "the agent␊is away"


async def test_error_later_leaves_the_last_rows() -> None:
    source = ListSource([run(index) for index in range(10)])
    async with running(source) as (app, _):
        source.failure = ConnectionError("the agent is away")
        await app.table.refresh_rows()
        assert "the agent is away" in app.lines()[0]
        assert "run-0" in app.lines()[1]
        source.failure = None
        await app.table.refresh_rows()
        assert "away" not in app.lines()[0]


async def test_keys_move_while_a_page_is_slow_and_the_cursor_lands_when_it_comes() -> None:
    source = ListSource([run(index) for index in range(1000)])
    async with running(source) as (app, pilot):
        source.gate = asyncio.Event()
        await pilot.press("G")
        assert (app.table.cursor_index, app.table.cursor_row) == (999, None)
        source.gate.set()
        await app.table.settled()
        await pilot.pause()
        assert app.table.cursor_id == "run-999"
        assert app.heard[-1] == ("highlighted", "run-999")


async def test_loading_is_said() -> None:
    source = ListSource([run(0)])
    source.gate = asyncio.Event()
    async with running(source) as (app, _):
        assert app.lines()[1].strip() == "loading…"
        source.gate.set()
        await app.table.settled()


async def test_another_listing_keeps_the_cursor_if_it_holds_the_row() -> None:
    async with running(ListSource([run(index) for index in range(100)])) as (app, pilot):
        await pilot.press(*["down"] * 6)
        app.table.show(ListSource([run(index) for index in range(0, 100, 2)]), sort="auc", descending=True)
        await app.table.settled()
        assert (app.table.cursor_id, app.table.cursor_index) == ("run-6", 3)
        assert "auc↓" in app.lines()[0]


async def test_another_listing_without_the_row_starts_at_the_top_and_says_nothing_vanished() -> None:
    async with running(ListSource([run(index) for index in range(100)])) as (app, pilot):
        await pilot.press(*["down"] * 5)
        app.heard.clear()
        app.table.show(ListSource([run(index) for index in range(0, 100, 2)]))
        await app.table.settled()
        await pilot.pause()
        assert app.table.cursor_id == "run-0"
        assert app.heard == [("highlighted", "run-0")]


async def test_go_to_a_row_far_away() -> None:
    async with running(EndlessSource()) as (app, _):
        assert await app.table.go_to("run-500000")
        await app.table.settled()
        assert app.table.cursor_id == "run-500000"
        assert "run-500000" in app.lines()[1 + screen_line(app)]


async def test_low_priority_columns_hide_and_can_be_scrolled_to() -> None:
    columns = [*COLUMNS, *[COLUMNS[2].__class__(f"metric.{index}", "number", "", 6) for index in range(8)]]
    source = ListSource([[*run(index, note="word " * 5), *[0.125] * 8] for index in range(3)], columns)
    async with running(source) as (app, pilot):
        header = app.lines()[0]
        assert "auc" in header
        assert "metric.7" not in header
        await pilot.press(*["right"] * 12)
        header = app.lines()[0]
        assert "metric.7" in header
        assert header.strip().startswith("run")
        assert all(cell_len(line) <= 80 for line in app.lines())


async def test_mouse_moves_selects_and_sorts() -> None:
    async with running(ListSource([run(index) for index in range(100)])) as (app, pilot):
        await pilot.click(app.table, offset=(10, 4))
        assert app.table.cursor_id == "run-3"
        await pilot.click(app.table, offset=(10, 4))
        assert app.heard[-1] == ("selected", "run-3")
        await pilot.click(app.table, offset=(4, 0))
        assert app.heard[-1] == ("header", "id")


async def test_wheel_takes_the_cursor_along() -> None:
    async with running(ListSource([run(index) for index in range(100)])) as (app, pilot):
        app.table.scroll_to(y=10)
        await pilot.pause()
        assert (app.table.cursor_id, screen_line(app)) == ("run-10", 0)


async def test_ascii_table_is_ascii() -> None:
    glyphs.use(glyphs.ASCII)
    source = ListSource([run(index, status="critical", note="é\x1b") for index in range(5)])
    async with running(source) as (app, pilot):
        await pilot.press("space")
        assert all(line.isascii() for line in app.lines())
        assert "X critical" in app.lines()[1]


async def test_resize_keeps_the_cursor_in_sight() -> None:
    async with running(EndlessSource()) as (app, pilot):
        await pilot.press("pagedown", "pagedown", *["down"] * 15)
        await pilot.resize_terminal(60, 10)
        await pilot.pause()
        assert 0 <= screen_line(app) < 9
        await pilot.resize_terminal(120, 40)
        await app.table.settled()
        assert 0 <= screen_line(app) < 39


async def test_auto_height_follows_the_number_of_rows() -> None:
    source = ListSource([run(index) for index in range(4)])
    app = TableApp(source)
    app.table.styles.height = "auto"
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        await app.table.settled()
        await pilot.pause()
        assert app.table.size.height == 5


async def test_many_changes_make_few_fetches() -> None:
    source = ListSource([run(index) for index in range(10)])
    async with running(source) as (app, _):
        app.table.REFRESH_INTERVAL = 3600.0
        source.asked.clear()
        for _ in range(100):
            app.table.refresh_soon()
        assert source.asked == []
        app.table.REFRESH_INTERVAL = 0.0
        app.table.refresh_soon()
        await app.table.settled()
        assert len(source.asked) == 1
