"""The one listing view: rows of any kind, filtered, sorted and fetched by the page through `list` and `locate`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import msgspec
from textual.app import ComposeResult

from console.glyphs import glyphs
from console.live import Link
from console.places import Place
from console.quoting import sort_parts, sort_text
from console.screens.shaping import in_words
from console.screens.view import View
from console.text import clean, number
from console.widgets import table_messages
from console.widgets.rows import ColumnLike
from console.widgets.table import RowTable
from store.protocol import Cell, Change, Column, ListParams, Located, LocateParams, Page, Refusal

Row = Sequence[Any]

#: What a wire action calls the subject of a row, by listing; the others cannot be acted on.
_DESCRIBED_AS = {
    "fleet": "deployments",
    "drift": "deployments",
    "performance": "deployments",
    "quality": "deployments",
    "windows": "deployments",
}
_EMPTY = {
    "datasets": "no datasets yet: put files under datasets/NAME/ in a watched folder",
    "runs": "no runs yet: put files under runs/NAME/ in a watched folder",
    "models": "no models yet: put files under models/NAME/VERSION/ in a watched folder",
    "versions": "no model versions yet: put files under models/NAME/VERSION/ in a watched folder",
    "alerts": "no alerts",
    "journal": "nothing has happened yet",
    "quarantine": "nothing is in quarantine: all that arrived could be read",
}


Reshape = Callable[[Page], Page]
"""How a view shows a page: which columns, in which order, with which words."""


class LinkSource:
    """The rows of one listing, asked of the agent page by page (the table's `RowSource`)."""

    def __init__(
        self,
        link: Link,
        params: ListParams,
        answered: Callable[[Page], None],
        reshape: Reshape = in_words,
        first: Page | None = None,
    ) -> None:
        self.link = link
        self.params = params
        self.answered = answered
        self.reshape = reshape
        self._first = reshape(first) if first is not None else None
        self._columns: list[Column] = self._first.columns if self._first is not None else []

    @property
    def columns(self) -> Sequence[Column]:
        return self._columns

    async def page(self, offset: int, limit: int) -> Page:
        first, self._first = self._first, None
        if first is not None and offset == first.offset and len(first.rows) >= min(limit, first.total):
            page = first
        else:
            asked = msgspec.structs.replace(self.params, offset=offset, limit=limit)
            page = self.reshape(await self.link.call("list", asked))
            self._columns = page.columns
        self.answered(page)
        return page

    async def locate(self, row_id: str) -> int | None:
        located: Located = await self.link.call("locate", LocateParams(self.params, row_id))
        return located.offset


class ListingView(View):
    """A table of one kind of rows. Subclasses for a kind change what enter does and what the subject is."""

    DEFAULT_CSS = "ListingView RowTable { height: 1fr; }"
    #: What the agent's listing is called, when not as the view.
    kind: ClassVar[str] = ""
    #: Columns of this view out of those the listing has, by priority; empty takes the listing's own.
    columns: ClassVar[tuple[str, ...]] = ()

    def __init__(self, place: Place, first: Page | None = None) -> None:
        super().__init__(place)
        self._first = first
        self.table = RowTable()

    @property
    def listing_kind(self) -> str:
        return self.kind or self.place.view

    def compose(self) -> ComposeResult:
        yield self.table

    def on_mount(self) -> None:
        self._show(first=self._first)
        if self.place.cursor is not None:
            # Once it is laid out: before that it has no lines to put the row on.
            self.call_after_refresh(self._return_to, self.place.cursor)

    def params(self) -> ListParams:
        place = self.place
        return ListParams(
            self.listing_kind,
            filter=place.filter,
            sort=place.sort,
            at=self.deck_app.at,
            since=place.since,
            until=place.until,
            window=place.window,
            scope=dict(place.scope),
            columns=list(self.columns),
        )

    def _show(self, first: Page | None = None, keep_cursor: bool = True) -> None:
        column, descending = self.sorted_by()
        source = LinkSource(self.deck_app.link, self.params(), self._answered, self.reshape, first)
        self.table.empty_text = self._when_empty()
        self.table.show(source, sort=column, descending=descending, keep_cursor=keep_cursor)

    def _when_empty(self) -> str:
        """What stands where no row is: a filter that lets nothing through is not an empty store."""
        if self.place.filter:
            return f"no row passes /{clean(self.place.filter, 60)}: esc shows all"
        if self.listing_kind == "deployments":
            # To promote is no advice for the past.
            return self.deck_app.nothing_deployed if self.deck_app.at is None else "nothing was deployed by then"
        return _EMPTY.get(self.place.view, "no rows")

    def reshape(self, page: Page) -> Page:
        """The page as this view shows it."""
        return in_words(page)

    def _answered(self, page: Page) -> None:
        self.fetched(page.at)

    async def _return_to(self, row_id: str) -> None:
        try:
            await self.table.go_to(row_id)
        except Refusal:
            pass  # the table shows what is wrong with the listing itself

    # --- what is chosen ----------------------------------------------------------------------------------

    def cell(self, name: str, row: Row | None = None) -> Cell:
        """The value of a column in a row (the cursor's unless given); null when there is no such column."""
        row = row if row is not None else self.table.cursor_row
        source = self.table.source
        if row is None or source is None:
            return None
        for index, column in enumerate(source.columns):
            if column.name == name and index < len(row):
                value: Cell = row[index]
                return value
        return None

    def row_id(self) -> str | None:
        return self.table.cursor_id

    def chosen(self) -> tuple[str, str]:
        row = self.row_id()
        return (_DESCRIBED_AS.get(self.place.view, self.listing_kind), row) if row is not None else ("", "")

    def subject(self) -> str:
        return self.row_id() or ""

    def deployment(self) -> str:
        return str(self.cell("deployment") or "")

    def copied(self) -> str:
        marked = self.table.marked
        return "\n".join(sorted(marked)) if marked else self.row_id() or ""

    # --- what the title says -----------------------------------------------------------------------------

    def heading(self) -> str:
        within = ", ".join(value for _, value in self.place.scope)
        return f"{self.place.view} of {within}" if within else self.place.view

    def remarks(self) -> Iterable[str]:
        if self.table.total is not None:
            yield f"{number(self.table.total)} row" + ("" if self.table.total == 1 else "s")
        if self.place.filter:
            yield f"/{self.place.filter}"
        if self.place.sort:
            column, descending = self.sorted_by()
            yield f"sort {column} {glyphs().down if descending else glyphs().up}"
        if self.place.window:
            yield f"windows of {self.place.window}"

    # --- living ------------------------------------------------------------------------------------------

    def concerns(self, change: Change) -> bool:
        return self.listing_kind in change.topics if not self.topics else super().concerns(change)

    async def fetch(self) -> None:
        if self._at_differs():
            self._show()
        else:
            self.table.refresh_soon()
            if not self.table.paused:
                await self.table.settled()

    def _at_differs(self) -> bool:
        source = self.table.source
        return isinstance(source, LinkSource) and source.params.at != self.deck_app.at

    def present(self) -> Place:
        return replace(self.place, cursor=self.table.cursor_id)

    def set_filter(self, text: str) -> None:
        """Filter the rows; what was marked stays marked."""
        self.with_place(filter=text.strip())
        self._show()

    def set_sort(self, column: str, descending: bool) -> None:
        """Sort the rows, and look at the first of them."""
        self.with_place(sort=sort_text(column, descending))
        self._show(keep_cursor=False)

    def sorted_by(self) -> tuple[str, bool]:
        """The column that was chosen to sort by, "" for the listing's own order, and whether it descends."""
        return sort_parts(self.place.sort, [column.name for column in self.sortable()])

    def sortable(self) -> list[ColumnLike]:
        source = self.table.source
        if source is None:
            return []
        return [column for column in source.columns if column.priority >= 0 and column.kind not in ("spark", "json")]

    def on_row_table_header_selected(self, message: table_messages.HeaderSelected) -> None:
        column, descending = self.sorted_by()
        self.set_sort(message.column, descending=column == message.column and not descending)

    def on_row_table_row_selected(self, message: table_messages.RowSelected) -> None:
        message.stop()
        self.deck_app.deck.do("open")

    def on_row_table_row_highlighted(self, message: table_messages.RowHighlighted) -> None:
        message.stop()
        self.deck_app.deck.refresh_lines()

    def on_row_table_row_vanished(self, message: table_messages.RowVanished) -> None:
        message.stop()
        self.deck_app.deck.say(f"{clean(message.row_id, 60)} is no longer in this listing", "warning")

    def on_row_table_listing_refused(self, message: table_messages.ListingRefused) -> None:
        message.stop()
        # The table's own line has room for a few words; here stands all of it.
        self.deck_app.deck.say_refusal(message.refusal)

    def on_row_table_rows_marked(self, message: table_messages.RowsMarked) -> None:
        message.stop()
        self.deck_app.deck.refresh_lines()

    def on_row_table_pause_changed(self, message: table_messages.PauseChanged) -> None:
        message.stop()
        self.deck_app.deck.refresh_lines()

    def target(self) -> Place | None:
        """Where enter leads from the chosen row."""
        kind, name = self.chosen()
        return Place("describe", kind=kind, name=name) if name else None
