"""Choosing one of several: versions, columns, windows, actions; searched by typing where there are many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from console.glyphs import glyphs
from console.screens.chrome import Line
from console.screens.static_rows import StaticRows
from console.widgets import table_messages
from console.widgets.rows import Column
from console.widgets.table import RowTable


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of a picker; `cells` are shown, `id` is what choosing it gives."""

    id: str
    cells: tuple[str | float | None, ...]
    why: str = ""
    """Why it cannot be chosen, "" when it can."""
    more: str = ""
    """What is told of it while the cursor is on it."""

    def matches(self, words: Sequence[str]) -> bool:
        text = " ".join(str(cell) for cell in self.cells).lower() + f" {self.why} {self.more}".lower()
        return all(word in text for word in words)


class Picker(ModalScreen[str | None], inherit_bindings=False):
    """A titled list; enter gives the chosen id, escape None."""

    DEFAULT_CSS = """
    Picker { align: center middle; background: $background 60%; }
    Picker #box { width: 90%; max-width: 110; height: auto; max-height: 90%; border: round $primary;
                  background: $surface; padding: 0 1; }
    Picker.-ascii #box { border: ascii $primary; }
    Picker RowTable { height: auto; max-height: 1fr; background: $surface; }
    Picker Input { border: none; height: 1; padding: 0; background: $panel; }
    Picker Input:focus { border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False),
        Binding("down", "move(1)", show=False, priority=True),
        Binding("up", "move(-1)", show=False, priority=True),
        Binding("pagedown", "page(1)", show=False, priority=True),
        Binding("pageup", "page(-1)", show=False, priority=True),
        Binding("enter", "choose", show=False, priority=True),
    ]

    def __init__(
        self,
        title: str,
        columns: Sequence[Column],
        choices: Sequence[Choice],
        *,
        search: bool = False,
        current: str = "",
        note: str = "",
    ) -> None:
        super().__init__(classes="-ascii" if glyphs().ascii else "")
        self.heading = title
        self.note = note
        self.columns = [Column("id", priority=-1), *columns]
        self.choices = list(choices)
        self.search = search
        self.current = current
        self.table = RowTable(self._rows(self.choices), empty_text="nothing matches")
        self.title_line = Line("picker-title")
        self.why_line = Line("picker-why")

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield self.title_line
            if self.search:
                line = Input(placeholder="type to search", id="search", compact=True)
                line.cursor_blink = False
                yield line
            yield self.table
            yield self.why_line

    def on_mount(self) -> None:
        self.title_line.put([(self.heading, "bold")], [("enter chooses, esc leaves", "$text-muted")])
        self.why_line.put([(self.note, "$text-muted")])
        self._fit()
        if self.search:
            self.query_one("#search", Input).focus()
        else:
            self.table.focus()
        if self.current:
            self.run_worker(self.table.go_to(self.current))

    def _fit(self) -> None:
        shown = len(self.choices)
        self.table.styles.height = max(2, min(shown + 1, int(self.app.size.height * 0.9) - 5))

    def _rows(self, choices: Sequence[Choice]) -> StaticRows:
        return StaticRows(self.columns, [(choice.id, *choice.cells) for choice in choices])

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        words = event.value.lower().split()
        self.table.show(self._rows([choice for choice in self.choices if choice.matches(words)]), keep_cursor=False)

    def on_row_table_row_highlighted(self, message: table_messages.RowHighlighted) -> None:
        message.stop()
        choice = self._choice()
        why = choice.why if choice is not None else ""
        self.why_line.put(
            [(f"{glyphs().warning} {why}", "bold $text-warning")] if why else [(self.note, "$text-muted")]
        )

    def on_row_table_row_selected(self, message: table_messages.RowSelected) -> None:
        message.stop()
        self.action_choose()

    def _choice(self) -> Choice | None:
        wanted = self.table.cursor_id
        return next((choice for choice in self.choices if choice.id == wanted), None)

    def action_move(self, by: int) -> None:
        self.table.action_move(by)

    def action_page(self, by: int) -> None:
        self.table.action_page(by)

    def action_choose(self) -> None:
        choice = self._choice()
        if choice is not None and not choice.why:
            self.dismiss(choice.id)

    def action_leave(self) -> None:
        self.dismiss(None)
