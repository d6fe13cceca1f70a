"""What a row table tells its screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

from console.widgets.rows import Row
from store.protocol import Refusal

if TYPE_CHECKING:
    from console.widgets.listing import Listing


class TableMessage(Message):
    """The base: `table` is the one that speaks, also for `@on(RowTable.RowSelected, "#runs")`."""

    def __init__(self, table: Listing) -> None:
        super().__init__()
        self.table = table

    @property
    def control(self) -> Listing:
        return self.table


class RowMessage(TableMessage):
    """The base of messages about one row; `row` is None when the cursor is on no row."""

    def __init__(self, table: Listing, row: Row | None) -> None:
        super().__init__(table)
        self.row = row


class RowHighlighted(RowMessage, namespace="row_table"):
    """The cursor came to another row, or its row's content changed, or (None) its row is gone."""


class RowSelected(RowMessage, namespace="row_table"):
    """Enter, or a click on the cursor's row."""


class RowVanished(RowMessage, namespace="row_table"):
    """The cursor's row is no longer in the listing; `row` is its last known state."""

    def __init__(self, table: Listing, row_id: str, row: Row | None) -> None:
        super().__init__(table, row)
        self.row_id = row_id


class RowsMarked(TableMessage, namespace="row_table"):
    """Other rows are marked now."""

    def __init__(self, table: Listing, marked: frozenset[str]) -> None:
        super().__init__(table)
        self.marked = marked


class PauseChanged(TableMessage, namespace="row_table"):
    """The rows were frozen or freed."""

    def __init__(self, table: Listing, paused: bool) -> None:
        super().__init__(table)
        self.paused = paused


class HeaderSelected(TableMessage, namespace="row_table"):
    """A click on a column's header: sort by it."""

    def __init__(self, table: Listing, column: str) -> None:
        super().__init__(table)
        self.column = column


class ListingRefused(TableMessage, namespace="row_table"):
    """The rows cannot be fetched as asked for; those that are shown are the last that could be."""

    def __init__(self, table: Listing, refusal: Refusal) -> None:
        super().__init__(table)
        self.refusal = refusal
