"""The table of every listing: a virtual table with a cursor that stays on its row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType

from console.widgets import table_messages as messages
from console.widgets.listing import Listing
from console.widgets.rows import Column, ColumnLike, Row, RowPage, RowSource

__all__ = ["Column", "ColumnLike", "Row", "RowPage", "RowSource", "RowTable"]


class RowTable(Listing, can_focus=True, inherit_bindings=False):
    """A virtual table: a million rows scroll like a hundred.

    Feed it with a `RowSource` (console/widgets/rows.py):

        table = RowTable(empty_text="no runs yet")
        table.show(source, sort="started", descending=True)   # another listing, filter or sort
        table.refresh_soon()                                    # something changed (coalesces, never blocks)
        await table.refresh_rows()                              # the same, and wait (tests, workers)

    Never await `refresh_rows` in a message handler of a screen: a screen that waits does not paint.

    Rows come at most every REFRESH_INTERVAL seconds while a listing keeps changing.
    State: `cursor_id`, `cursor_row` (None while it loads or when the row is gone), `cursor_index`, `total`,
    `marked` (ids), `paused`, `waiting` (changes held back by the pause), `error`, `rows_on_screen()`.
    Acts: `await go_to(row_id)`, `toggle_pause()`, `clear_marks()`, `set_sort(column, descending)` (shows the
    arrow only; the source sorts), `empty_text` (assign).
    Messages: `RowHighlighted(row)`, `RowSelected(row)`, `RowVanished(row_id, row)`, `RowsMarked(marked)`,
    `PauseChanged(paused, waiting)`, `HeaderSelected(column)` (a click on a header: sort by it).

    The cursor stays on its row, and the row on its screen line, whatever is inserted or removed above it. Before
    the first key, and again after `g`, the view stays at the top so that new rows are seen coming in, with the
    cursor still on its own row. A row that vanishes leaves the cursor on no row until the next key: an action
    can never hit the neighbour that moved into its place.
    """

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "row-table--header",
        "row-table--note",
        "row-table--cursor",
        "row-table--cursor-blur",
        "row-table--marked",
        "row-table--muted",
        "row-table--ok",
        "row-table--warning",
        "row-table--critical",
        "row-table--unknown",
        "row-table--unjudged",
        "row-table--busy",
    }
    DEFAULT_CSS = """
    RowTable {
        height: 1fr;
        overflow-x: hidden;
        overflow-y: scroll;
        scrollbar-size-vertical: 1;
        background: $background;
        color: $foreground;
    }
    RowTable > .row-table--header { text-style: bold; background: $panel; color: $foreground; }
    RowTable > .row-table--note { text-style: bold; background: $panel; color: $warning; }
    RowTable > .row-table--cursor { background: $primary; color: $text; text-style: bold; }
    RowTable > .row-table--cursor-blur { background: $panel; color: $foreground; }
    RowTable > .row-table--marked { text-style: bold; color: $text-primary; }
    RowTable > .row-table--muted { color: $text-muted; }
    RowTable > .row-table--ok { color: $text-success; }
    RowTable > .row-table--warning { color: $text-warning; }
    RowTable > .row-table--critical { color: $text-error; text-style: bold; }
    RowTable > .row-table--unknown { color: $text-muted; }
    RowTable > .row-table--unjudged { color: $text-secondary; }
    RowTable > .row-table--busy { color: $text-primary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", show=False, id="table.down"),
        Binding("up,k", "move(-1)", "Up", show=False, id="table.up"),
        Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False, id="table.page_down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="table.page_up"),
        Binding("home,g", "first", "First row", show=False, id="table.first"),
        Binding("end,G", "last", "Last row", show=False, id="table.last"),
        Binding("left,h", "columns(-1)", "Columns left", show=False, id="table.left"),
        Binding("right,l", "columns(1)", "Columns right", show=False, id="table.right"),
        Binding("enter", "select", "Open", show=False, id="table.select"),
        Binding("space", "mark", "Mark", show=False, id="table.mark"),
        Binding("p", "pause", "Pause", show=False, id="table.pause"),
    ]

    RowHighlighted = messages.RowHighlighted
    RowSelected = messages.RowSelected
    RowVanished = messages.RowVanished
    RowsMarked = messages.RowsMarked
    PauseChanged = messages.PauseChanged
    HeaderSelected = messages.HeaderSelected

    # --- acts --------------------------------------------------------------------------------------------

    def show(self, source: RowSource, *, sort: str = "", descending: bool = False, keep_cursor: bool = True) -> None:
        """Show another listing. What is on the screen stays until the first page of the new one is here.

        With `keep_cursor` the cursor stays on its row if the new listing holds it, else it goes to the first.
        """
        self._source = source
        self._sort = (sort, descending)
        self._fresh_listing = True
        if not keep_cursor:
            self._cursor_id = None
            self._cursor_last = None
            self._marked.clear()
        self.paused = False
        self.waiting = 0
        self._refresh_wanted = True
        self._kick(restart=True)

    def set_sort(self, column: str, descending: bool = False) -> None:
        """Draw the sort arrow at a column; an empty name draws none."""
        self._sort = (column, descending)
        self._repaint()

    def refresh_soon(self, changes: int = 1) -> None:
        """The listing may have changed. Many calls make one fetch; while paused they are only counted."""
        if self.paused:
            self.waiting += changes
            self._repaint()
            return
        self._refresh_wanted = True
        self._kick()

    async def refresh_rows(self) -> None:
        """`refresh_soon`, and wait until what is visible has been fetched and compared."""
        self.refresh_soon()
        if not self.paused:
            await self.settled()

    async def settled(self) -> None:
        """Wait until nothing is being fetched."""
        await self._settled.wait()

    async def go_to(self, row_id: str) -> bool:
        """Put the cursor on a row; False when the listing does not hold it. Errors of the source pass through."""
        index = await self._source.locate(row_id) if self._source is not None else None
        if index is None:
            return False
        self._follow = False
        self._place(index, row_id)
        self._scroll_to_cursor(centre=True)
        self._after_move()
        return True

    def toggle_pause(self) -> None:
        """Freeze the rows, or free them and catch up."""
        self.paused = not self.paused
        self.post_message(self.PauseChanged(self, self.paused))
        if not self.paused and self.waiting:
            self.waiting = 0
            self._refresh_wanted = True
            self._kick()
        self._repaint()

    def unmark(self, ids: Iterable[str]) -> None:
        """Unmark these rows."""
        gone = self._marked.intersection(ids)
        if gone:
            self._marked -= gone
            self.post_message(self.RowsMarked(self, self.marked))

    def clear_marks(self) -> None:
        """Unmark every row."""
        if self._marked:
            self._marked.clear()
            self.post_message(self.RowsMarked(self, self.marked))
            self._repaint()

    # --- keys and mouse ----------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        if self._gone and by > 0:
            by -= 1  # the row that took the vanished one's place is the next one down
        self._move(self._cursor + by)

    def action_page(self, pages: int) -> None:
        by = pages * max(1, self._lines - 1)
        self._set_top(self._top + by)
        self._move(self._cursor + by)

    def action_first(self) -> None:
        self._move(0)
        self._follow = True
        self._new_above = 0
        self._repaint()

    def action_last(self) -> None:
        self._move((self._total or 1) - 1)

    def action_columns(self, by: int) -> None:
        if self._painter.shift_columns(by):
            self._repaint()

    def action_select(self) -> None:
        if (row := self.cursor_row) is not None:
            self.post_message(self.RowSelected(self, row))

    def action_mark(self) -> None:
        if self._cursor_id is None:
            return
        self._marked ^= {self._cursor_id}
        self.post_message(self.RowsMarked(self, self.marked))
        self._repaint()

    def action_pause(self) -> None:
        self.toggle_pause()

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None or offset.x >= self._painter.width:
            return
        if offset.y == 0:
            column = self._painter.column_at(offset.x)
            if column is not None:
                self.post_message(self.HeaderSelected(self, column.name))
            return
        index = self._top + offset.y - 1
        if self._total is None or index >= self._total:
            return
        if index == self._cursor and self._cursor_id is not None:
            self.action_select()
        else:
            self._move(index)
