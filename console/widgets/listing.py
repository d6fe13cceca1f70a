"""A scrolling listing that fetches only what is visible and holds its cursor by row id; `RowTable` adds the keys."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget
from textual.worker import Worker

from console import text
from console.glyphs import glyphs
from console.widgets.rows import Row, RowCache, RowSource
from console.widgets.scroll_bars import thumb_of
from console.widgets.table_messages import ListingRefused, RowHighlighted, RowVanished
from console.widgets.table_paint import HeaderLine, Line, Painter, RowLine, TextLine, read_palette
from store.protocol import ExitCode, Refusal


class Listing(ScrollView, can_focus=True, inherit_bindings=False):
    """Fetching, the cursor and painting."""

    REFRESH_INTERVAL = 0.1
    """Seconds between two refreshes of a listing that keeps changing; the first is at once."""

    def __init__(
        self,
        source: RowSource | None = None,
        *,
        empty_text: str = "nothing here yet",
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self.empty_text = empty_text
        self.paused = False
        self.waiting = 0
        self.error = ""
        self._source = source
        self._cache = RowCache()
        self._painter = Painter()
        self._total: int | None = None
        self._cursor = 0
        self._cursor_id: str | None = None
        self._cursor_last: Row | None = None
        self._gone = ""
        self._follow = True
        self._new_above = 0
        self._marked: set[str] = set()
        self._sort = ("", False)
        self._painted: dict[int, Line] = {}
        self._thumb: tuple[int, ...] | None = None
        self._own_scroll = False
        self._refresh_wanted = source is not None
        self._fresh_listing = True
        self._loader: Worker[None] | None = None
        self._loading: tuple[int, int] | None = None
        self._settled = asyncio.Event()
        self._wake = asyncio.Event()
        self._refreshing = False
        self._refreshed_at = 0.0

    # --- state -------------------------------------------------------------------------------------------

    @property
    def cursor_id(self) -> str | None:
        """The id of the row the cursor is on, or None: still loading, gone, or no rows."""
        return self._cursor_id

    @property
    def cursor_row(self) -> Row | None:
        """The row the cursor is on, or None."""
        if self._cursor_id is None:
            return None
        row = self._cache.get(self._cursor)
        return row if row is not None and str(row[0]) == self._cursor_id else self._cursor_last

    @property
    def cursor_index(self) -> int:
        """Where the cursor is in the listing; changes when rows come and go above."""
        return self._cursor

    @property
    def total(self) -> int | None:
        """How many rows the listing has, or None before the first answer."""
        return self._total

    @property
    def marked(self) -> frozenset[str]:
        """The ids of the marked rows, also of those that are not on the screen."""
        return frozenset(self._marked)

    @property
    def source(self) -> RowSource | None:
        """Where the rows come from."""
        return self._source

    def rows_on_screen(self) -> list[Row]:
        """The rows that are visible and loaded, from the top."""
        found = (self._cache.get(index) for index in range(self._top, self._top + self._lines))
        return [row for row in found if row is not None]

    # --- the cursor --------------------------------------------------------------------------------------

    @property
    def _top(self) -> int:
        return round(self.scroll_y)

    @property
    def _lines(self) -> int:
        """Lines for rows: all but the header."""
        return max(0, self.scrollable_content_region.height - 1)

    def _move(self, index: int) -> None:
        if not self._total:
            return
        index = max(0, min(index, self._total - 1))
        if index == self._cursor and self._cursor_id is not None:
            return
        self._follow = False
        row = self._cache.get(index)
        self._place(index, str(row[0]) if row is not None else None)
        self._scroll_to_cursor()
        self._after_move()

    def _place(self, index: int, row_id: str | None) -> None:
        self._cursor = index
        self._cursor_id = row_id
        self._cursor_last = self._cache.get(index) if row_id is not None else None
        self._gone = ""

    def _after_move(self) -> None:
        self._repaint()
        if self._cursor_id is not None:
            self.post_message(RowHighlighted(self, self.cursor_row))
        self._kick()

    def _scroll_to_cursor(self, centre: bool = False) -> None:
        top, lines = self._top, max(1, self._lines)
        if top <= self._cursor < top + lines:
            return
        if centre:
            self._set_top(self._cursor - lines // 2)
        else:
            self._set_top(self._cursor if self._cursor < top else self._cursor - lines + 1)

    def _set_top(self, top: int) -> None:
        self._own_scroll = True
        try:
            self.scroll_target_y = top
            self.scroll_y = top
        finally:
            self._own_scroll = False

    def _scroll_to(self, *args: Any, **options: Any) -> bool:
        options["animate"] = False
        return super()._scroll_to(*args, **options)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        if round(old_value) == round(new_value):
            return
        self._sync_scrollbar()
        if self._top == 0:
            self._new_above = 0
        if self._own_scroll:
            return
        # The wheel or the scroll bar: the cursor comes along, for what it is on must be in sight.
        self._follow = False
        within = max(self._top, min(self._cursor, self._top + max(1, self._lines) - 1))
        if within != self._cursor and self._total:
            row = self._cache.get(within)
            self._place(min(within, self._total - 1), str(row[0]) if row is not None else None)
        self._after_move()

    # --- fetching ----------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self._refresh_scrollbars()
        if self._source is not None:
            self._painter.set_columns(self._source.columns)

    def on_unmount(self) -> None:
        self._settled.set()

    def _kick(self, restart: bool = False) -> None:
        """See that the loader runs; restart it when what it fetches is no longer what is looked at."""
        if not self.is_mounted or self._source is None:
            return
        self._wake.set()
        running = self._loader is not None and not self._loader.is_finished
        if running and not restart and self._loading is not None:
            first, end = self._loading
            wanted = self._cache.missing(self._top, self._end(self._top + self._lines), stale_too=False)
            restart = wanted is not None and not (first <= wanted[0] < end)
        if running and not restart:
            return
        self._settled.clear()
        self._loader = self.run_worker(self._load, group="rows", exclusive=True)

    def _end(self, index: int) -> int:
        return index if self._total is None else max(0, min(index, self._total))

    async def _load(self) -> None:
        try:
            while self._source is not None:
                top, lines = self._top, max(1, self._lines)
                wait = self._refreshed_at + self.REFRESH_INTERVAL - time.monotonic()
                visible = self._cache.missing(top, self._end(top + lines), stale_too=True)
                if self._refresh_wanted and (wait <= 0 or self._fresh_listing):
                    await self._refresh_listing(self._source)
                elif visible is not None:
                    await self._fetch(self._source, visible)
                elif (margin := self._margin(top, lines)) is not None:
                    await self._fetch(self._source, margin)
                elif self._refresh_wanted:
                    self._wake.clear()
                    await self._sleep(wait)
                else:
                    break
        except asyncio.CancelledError:
            self._refresh_wanted |= self._refreshing
            raise
        except Exception as failure:
            self._refresh_wanted = False
            before, self.error = self.error, text.clean(f"{failure}" or type(failure).__name__)
            if isinstance(failure, Refusal) and failure.code is not ExitCode.NO_AGENT and self.error != before:
                self.post_message(ListingRefused(self, failure))
            self._repaint()
        finally:
            self._loading = None
            self._refreshing = False
        self._settled.set()

    def _margin(self, top: int, lines: int) -> tuple[int, int] | None:
        """A page above and below what is visible, so that scrolling finds it already here."""
        return self._cache.missing(max(0, top - lines), self._end(top + 2 * lines), stale_too=False)

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)

    async def _fetch(self, source: RowSource, span: tuple[int, int]) -> None:
        self._loading = (span[0], span[0] + span[1])
        page = await source.page(*span)
        self._loading = None
        self._cache.put(page.offset, page.rows, span[1])
        self._adopt(source, page.total)

    async def _refresh_listing(self, source: RowSource) -> None:
        """Fetch what is visible anew and put the cursor's row back on its line, wherever it has gone to."""
        self._refresh_wanted = False
        self._refreshing = True
        self._refreshed_at = time.monotonic()
        fresh = self._fresh_listing
        lines = max(1, self._lines)
        top = 0 if fresh and self._cursor_id is None else self._top
        fetched: dict[int, Row] = {}
        pages: list[tuple[int, int, Sequence[Row]]] = []
        total = 0

        async def get(first: int, last: int) -> None:
            nonlocal total
            offset, limit = self._cache.aligned(first, last)
            page = await source.page(offset, limit)
            total = page.total
            pages.append((page.offset, limit, page.rows))
            fetched.update(enumerate(page.rows, page.offset))

        await get(top, top + lines)
        while True:
            row_id = self._cursor_id
            found: int | None = None
            if row_id is not None:
                found = next((index for index, row in fetched.items() if str(row[0]) == row_id), None)
                if found is None:
                    found = await source.locate(row_id)
                if row_id != self._cursor_id:
                    continue  # the operator moved on meanwhile
            following = self._follow and self._top == 0
            target, new_top = anchored(found, self._cursor, self._top, lines, total, fresh, following)
            last = min(total, new_top + lines)
            if all(index in fetched for index in range(new_top, last)):
                break
            await get(new_top, last)
            if all(index not in fetched for index in range(new_top, last)):
                break  # the listing shrank between two answers; the next refresh sees it whole

        vanished = (row_id, self._cursor_last) if row_id is not None and found is None and not fresh else None
        if found is not None and not fresh and found > self._cursor and new_top > 0:
            self._new_above += found - self._cursor
        self._cache.clear() if fresh else self._cache.expire()
        for offset, limit, rows in pages:
            self._cache.put(offset, rows, limit)
        self._fresh_listing = self._refreshing = False
        if fresh and found is None:
            self._gone, self._follow = "", True
        before = self._cursor_last
        self._cursor = target
        if vanished is not None:
            self._cursor_id = None
            self._gone = vanished[0] or ""
        elif found is None and not self._gone:
            self._cursor_id = None
        self.error = ""
        self._set_total(total)
        self._set_top(new_top)
        self._adopt(source, total)
        if vanished is not None and vanished[0] is not None:
            self.post_message(RowVanished(self, vanished[0], vanished[1]))
            self.post_message(RowHighlighted(self, None))
        elif found is not None and before is not None and self._cursor_last != before:
            self.post_message(RowHighlighted(self, self.cursor_row))

    def _adopt(self, source: RowSource, total: int) -> None:
        """Take over what came: columns, total, widths, the row under the cursor; then paint what changed."""
        columns = tuple(source.columns)
        if columns != tuple(self._painter.columns):
            self._painter.set_columns(columns)
        self._set_total(total)
        self._painter.measure(self.rows_on_screen())
        self._cache.touch(self._top, self._top + self._lines)
        row = self._cache.get(self._cursor)
        if row is not None and not self._gone:
            landed = self._cursor_id is None
            if landed:
                self._cursor_id = str(row[0])
            if str(row[0]) == self._cursor_id:
                self._cursor_last = row
            if landed:
                self.post_message(RowHighlighted(self, row))
        self._repaint()

    # --- painting ----------------------------------------------------------------------------------------

    def _set_total(self, total: int) -> None:
        if self._total is None or total < self._total:
            self._cache.truncate(total)
        self._total = total
        size = Size(0, total + 1)
        if size != self.virtual_size:
            # Not the reactive: it would lay out and repaint the whole screen for each row that arrives.
            self.set_reactive(Widget.virtual_size, size)
            self._sync_scrollbar()
            if self.styles.is_auto_height:
                self.refresh(layout=True)

    def _sync_scrollbar(self) -> None:
        """Tell the scroll bar only what moves its thumb by an eighth of a cell."""
        height = self.scrollable_content_region.height
        virtual = self.virtual_size.height
        if height <= 0:
            return
        thumb = thumb_of(height, virtual, self._top)
        if thumb != self._thumb and self.show_vertical_scrollbar:
            self._thumb = thumb
            bar = self.vertical_scrollbar
            bar.window_virtual_size = virtual
            bar.window_size = height
            bar.position = self._top

    def on_resize(self) -> None:
        self._thumb = None
        self._sync_scrollbar()
        self._painter.resize(self.scrollable_content_region.width)
        # Rows that came before there was any room for them were not measured yet.
        self._painter.measure(self.rows_on_screen())
        self._painted.clear()
        if self._total:
            self._set_top(max(0, min(self._top, self._total - self._lines)))
            self._scroll_to_cursor()
        self._repaint()
        self._kick()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._painter.palette = None

    def render_line(self, y: int) -> Strip:
        if self._painter.palette is None:
            self._painter.restyle(read_palette(self))
        line = self._line(y)
        self._painted[y] = line
        return self._painter.strip(line)

    def _repaint(self) -> None:
        """Ask for those lines whose content is no longer what was drawn, and of a changed row only its cells."""
        if not self._painted:
            self.refresh()
            return
        width = self._painter.width
        for y in range(self._lines + 1):
            drawn, line = self._painted.get(y), self._line(y)
            if drawn == line:
                continue
            first, end = 0, width
            if (
                isinstance(drawn, RowLine)
                and isinstance(line, RowLine)
                and drawn.row is not None
                and line.row is not None
                and drawn._replace(row=None) == line._replace(row=None)
                and str(drawn.row[0]) == str(line.row[0])
            ):
                span = self._painter.changed_span(drawn.row, line.row)
                if span is None:
                    self._painted[y] = line
                    continue
                first, end = span
            self.refresh(Region(first, y, end - first, 1))

    def _line(self, y: int) -> Line:
        """What line `y` of the widget has to show now."""
        generation = self._painter.generation
        if y == 0:
            return HeaderLine(generation, *self._sort, self._note())
        if self._total is None or (self._total == 0 and y == 1):
            if y > 1:
                return TextLine(generation, "", "")
            if self.error:
                return TextLine(generation, self.error, "critical")
            loading = self._total is None
            return TextLine(generation, text.loading() if loading else self.empty_text, "")
        index = self._top + y - 1
        if index >= self._total:
            return TextLine(generation, "", "")
        row = self._cache.get(index)
        marked = row is not None and str(row[0]) in self._marked
        if index != self._cursor:
            return RowLine(generation, row, "", marked)
        if self._gone:
            return RowLine(generation, row, "gone", marked)
        return RowLine(generation, row, "focus" if self.has_focus else "blur", marked)

    def _note(self) -> str:
        glyph = glyphs()
        parts: list[str] = []
        if self.error and self._total:
            parts.append(f"{glyph.critical} {self.error}")
        if self.paused:
            held = f", {text.number(self.waiting)} waiting" if self.waiting else ""
            parts.append(f"{glyph.paused} paused{held}")
        if self._gone:
            parts.append(f"{text.clean(self._gone, 24)} is gone")
        if self._new_above:
            parts.append(f"{glyph.up}{text.number(self._new_above)} new")
        if self._marked:
            parts.append(f"{glyph.mark}{text.number(len(self._marked))}")
        return "  ".join(parts)


def anchored(
    found: int | None, cursor: int, top: int, lines: int, total: int, fresh: bool, following: bool
) -> tuple[int, int]:
    """The cursor's and the top line's new places, given where the cursor's row now is (None: nowhere).

    The row keeps its screen line, unless the end of the listing, or `following` new rows at the top, is
    stronger; the cursor is always in sight. `fresh`: another listing, which starts at its top.
    """
    line = min(max(0, cursor - top), lines - 1)
    if found is None:
        target, new_top = (0, 0) if fresh else (max(0, min(cursor, total - 1)), top)
    else:
        target, new_top = found, 0 if following else found - line
    new_top = max(0, min(new_top, total - lines))
    if not new_top <= target < new_top + lines:
        new_top = max(0, target - lines + 1)
    return target, new_top
