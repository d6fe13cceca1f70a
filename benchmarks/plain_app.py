"""The yardstick: a plain Textual app with Header, Footer and a DataTable of 200 rows, and nothing else."""

from __future__ import annotations

from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.widgets import DataTable, Footer, Header

ROWS = 200


class PlainApp(App[None]):
    TITLE = "Plain"
    BINDINGS: ClassVar[list[BindingType]] = [("q", "quit", "Quit"), ("s", "sort", "Sort")]

    def compose(self) -> ComposeResult:
        yield Header()
        yield DataTable(cursor_type="row")
        yield Footer()

    def on_mount(self) -> None:
        table = self.query_one(DataTable)
        table.add_columns("id", "name", "status", "started", "auc", "log_loss", "duration")
        for row in range(ROWS):
            table.add_row(
                f"run-{row:06d}",
                f"train-{row % 12:02d}",
                "finished",
                f"2026-01-{row % 28 + 1:02d} 12:00",
                f"{0.5 + row / 500:.3f}",
                f"{0.7 - row / 500:.3f}",
                f"{row * 7 % 600} s",
            )
        table.focus()


if __name__ == "__main__":
    PlainApp().run()
