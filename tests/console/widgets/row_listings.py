"""A listing in memory and an app that records which screen lines it paints, for the table's tests."""

from __future__ import annotations

import asyncio
from typing import Any

from textual.app import App, ComposeResult

from console.widgets.table import Column, Row, RowPage, RowTable

COLUMNS = [
    Column("id", "text", "run", 0),
    Column("status", "health", "", 1),
    Column("auc", "number", "", 1),
    Column("started", "time", "", 2),
    Column("note", "text", "", 5),
]


class ListSource:
    """Rows held in a list; `asked` remembers every page that was fetched."""

    def __init__(self, rows: list[Row], columns: list[Column] | None = None) -> None:
        self.rows = rows
        self.columns = columns or COLUMNS
        self.asked: list[tuple[int, int]] = []
        self.located: list[str] = []
        self.failure: Exception | None = None
        self.gate: asyncio.Event | None = None

    async def page(self, offset: int, limit: int) -> RowPage:
        self.asked.append((offset, limit))
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return RowPage(len(self.rows), offset, self.rows[offset : offset + limit])

    async def locate(self, row_id: str) -> int | None:
        self.located.append(row_id)
        return next((index for index, row in enumerate(self.rows) if row[0] == row_id), None)


class EndlessSource(ListSource):
    """A million rows that are made when they are asked for."""

    total = 1_000_000

    def __init__(self) -> None:
        super().__init__([])

    async def page(self, offset: int, limit: int) -> RowPage:
        self.asked.append((offset, limit))
        return RowPage(self.total, offset, [run(index) for index in range(offset, min(self.total, offset + limit))])

    async def locate(self, row_id: str) -> int | None:
        return int(row_id.removeprefix("run-"))


def run(index: int, **changes: Any) -> list[Any]:
    """A row of COLUMNS."""
    row = {
        "id": f"run-{index}",
        "status": "ok",
        "auc": 0.5 + index % 100 / 250,
        "started": 1372860300.0 + index,
        "note": "",
    }
    return list((row | changes).values())


class TableApp(App[None]):
    """A table alone on a screen; `painted` is the set of screen lines written (but for
    the scroll bar's column) since it was last cleared."""

    def __init__(self, source: ListSource | None) -> None:
        super().__init__()
        self.table = RowTable(source)
        self.table.REFRESH_INTERVAL = 0.0
        self.painted: set[int] = set()
        self.heard: list[Any] = []

    def compose(self) -> ComposeResult:
        yield self.table

    def _display(self, screen: Any, renderable: Any) -> None:
        if renderable is not None:
            spans = getattr(renderable, "spans", None)
            bar = self.size.width - 1
            lines = set(range(self.size.height)) if spans is None else {y for y, x, _ in spans if x < bar}
            self.painted |= lines
        super()._display(screen, renderable)

    def on_row_table_row_highlighted(self, message: RowTable.RowHighlighted) -> None:
        self.heard.append(("highlighted", message.row and message.row[0]))

    def on_row_table_row_selected(self, message: RowTable.RowSelected) -> None:
        self.heard.append(("selected", message.row and message.row[0]))

    def on_row_table_row_vanished(self, message: RowTable.RowVanished) -> None:
        self.heard.append(("vanished", message.row_id))

    def on_row_table_header_selected(self, message: RowTable.HeaderSelected) -> None:
        self.heard.append(("header", message.column))

    def lines(self) -> list[str]:
        """What the table shows, line by line, without trailing blanks."""
        return [self.table.render_line(y).text.rstrip() for y in range(self.size.height)]
