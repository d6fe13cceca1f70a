"""What was done in this console, each as the command line that would do it."""

from __future__ import annotations

import time

from textual.app import ComposeResult

from console.places import Place
from console.screens.static_rows import StaticRows
from console.screens.view import View
from console.widgets import table_messages
from console.widgets.rows import Column
from console.widgets.table import RowTable
from store.protocol import Change

_COLUMNS = (
    Column("id", priority=-1),
    Column("time", "time", "when", 1),
    Column("command", "text", "command line", 0),
    Column("result", "text", "what came of it", 1),
)


class CommandLog(View):
    """Newest first; `y` copies the line."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.table = RowTable(empty_text="nothing was done yet")

    def compose(self) -> ComposeResult:
        yield self.table

    def on_mount(self) -> None:
        logged = self.deck_app.log_lines
        rows = [(str(index), line.at, line.command, line.result) for index, line in enumerate(logged)]
        self.table.show(StaticRows(_COLUMNS, rows[::-1]))
        self.fetched(time.time())

    def heading(self) -> str:
        return "command log"

    def copied(self) -> str:
        row = self.table.cursor_row
        return str(row[2]) if row is not None else ""

    def concerns(self, change: Change) -> bool:
        return change.sequence < 0

    def on_row_table_row_selected(self, message: table_messages.RowSelected) -> None:
        message.stop()
        self.deck_app.deck.do("copy")
