"""The dialog before anything that changes a deployment: what is now, what will be, and what it touches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from console import text
from console.glyphs import glyphs, health_level

__all__ = ["ConfirmDialog", "Confirmation", "Confirmed"]

#: Lines of the dialog beside the facts, and the fewest that the facts take.
OTHER_LINES = 17
FACT_LINES = 3
#: The widest label of a fact, cells.
LABEL_WIDTH = 22

_TONES = {"ok": "$text-success", "warning": "$text-warning", "critical": "bold $text-error"}


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What the operator is asked to confirm.

    `level` 1 asks y/N. Level 2 shows before and after, the facts (gates, checks, blast radius) and the command
    line that would do the same, and wants a reason. Level 3 also wants `expected_word` typed.
    """

    title: str
    level: Literal[1, 2, 3] = 1
    before: str = ""
    after: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    """(label, value); a value that begins with a health word such as `failed` is drawn in its tone."""
    cli_line: str = ""
    expected_word: str = ""
    reason: str = ""
    """Fills the reason field beforehand, for a retry."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The operator said yes; `reason` is empty at level 1."""

    reason: str


class ConfirmDialog(ModalScreen[Confirmed | None]):
    """`await app.push_screen_wait(ConfirmDialog(confirmation))` gives Confirmed, or None for no.

    Cancel has the focus at levels 2 and 3; Escape is always no. The confirming button says what is missing.
    """

    DEFAULT_CSS = """
    ConfirmDialog { align: center middle; }
    ConfirmDialog > #dialog {
        width: 76; max-width: 100%; height: auto; max-height: 100%;
        background: $surface; color: $foreground; border: round $primary; padding: 0 1;
    }
    ConfirmDialog.-danger > #dialog { border: round $error; }
    ConfirmDialog.-ascii > #dialog { border: ascii $primary; }
    ConfirmDialog #title { text-style: bold; height: auto; max-height: 2; }
    ConfirmDialog #change { height: auto; max-height: 4; margin-top: 1; }
    ConfirmDialog #facts { height: auto; margin-top: 1; scrollbar-size-vertical: 1; }
    ConfirmDialog #facts > Static { height: auto; }
    ConfirmDialog #cli { color: $text-muted; height: auto; max-height: 2; margin-top: 1; }
    ConfirmDialog .field { height: 1; margin-top: 0; }
    ConfirmDialog .field > Static { width: auto; height: 1; padding-right: 1; }
    ConfirmDialog .field > Input { width: 1fr; height: 1; border: none; padding: 0; background: $panel; }
    ConfirmDialog .field > Input:focus { border: none; background: $boost; text-style: underline; }
    ConfirmDialog #missing { height: 1; color: $text-warning; }
    ConfirmDialog #buttons { height: 1; align-horizontal: right; }
    ConfirmDialog #buttons > Button {
        height: 1; min-width: 12; border: none; margin-left: 2; background: $panel; color: $foreground;
    }
    ConfirmDialog #buttons > Button:focus { text-style: bold reverse; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "No", id="confirm.cancel"),
        Binding("y", "yes", "Yes", show=False, id="confirm.yes"),
        Binding("n", "cancel", "No", show=False, id="confirm.no"),
        Binding("left", "app.focus_previous", "Previous", show=False, id="confirm.left"),
        Binding("right", "app.focus_next", "Next", show=False, id="confirm.right"),
        # Priority: what is typed right behind these must find the focus where they put it.
        Binding("up,shift+tab", "app.focus_previous", "Previous", show=False, priority=True, id="confirm.previous"),
        Binding("down,tab", "app.focus_next", "Next", show=False, priority=True, id="confirm.next"),
        Binding("pageup", "facts(-1)", "Facts up", show=False, priority=True, id="confirm.facts_up"),
        Binding("pagedown", "facts(1)", "Facts down", show=False, priority=True, id="confirm.facts_down"),
        Binding("enter", "enter", "Take", show=False, priority=True, id="confirm.enter"),
    ]

    def __init__(self, confirmation: Confirmation) -> None:
        super().__init__()
        self.confirmation = confirmation
        self.set_class(confirmation.level >= 2, "-danger")
        self.set_class(glyphs().ascii, "-ascii")

    def compose(self) -> ComposeResult:
        asked = self.confirmation
        with Vertical(id="dialog"):
            yield Static(Content(text.clean(asked.title, 140)), id="title")
            if asked.before or asked.after:
                yield Static(self._change(), id="change")
            if asked.facts:
                label_width = min(LABEL_WIDTH, max(cell_len(text.clean(label)) for label, _ in asked.facts))
                with VerticalScroll(id="facts", can_focus=False):
                    for label, value in asked.facts:
                        yield Static(_fact(label, value, label_width))
            if asked.level >= 2:
                if asked.cli_line:
                    yield Static(Content(f"$ {text.clean(asked.cli_line, 140)}"), id="cli")
                with Horizontal(classes="field"):
                    yield Static("reason")
                    yield Input(asked.reason, id="reason", compact=True)
                if asked.level >= 3:
                    with Horizontal(classes="field"):
                        yield Static(Content(f"type {text.clean(asked.expected_word, 40)}"))
                        yield Input(id="word", compact=True)
            yield Static("", id="missing")
            with Horizontal(id="buttons"):
                yield Button(Content("No" if asked.level == 1 else "Cancel"), id="cancel", compact=True)
                yield Button(Content("Yes (y)" if asked.level == 1 else "Confirm"), id="confirm", compact=True)

    def on_mount(self) -> None:
        self.query_one("#cancel", Button).focus()
        self._say_missing()
        self._fit_facts()

    def on_resize(self) -> None:
        self._fit_facts()

    def _fit_facts(self) -> None:
        """The facts take what lines the rest leaves; when some are out of sight, the frame says how to reach them."""
        for facts in self.query("#facts"):
            facts.styles.max_height = max(FACT_LINES, self.app.size.height - OTHER_LINES)
        self.call_after_refresh(self._say_more)

    def _say_more(self) -> None:
        more = any(facts.max_scroll_y > 0 for facts in self.query("#facts"))
        self.query_one("#dialog").border_subtitle = "pgup pgdn: all facts" if more else ""

    def action_facts(self, pages: int) -> None:
        """Scroll the facts, wherever the focus is."""
        for facts in self.query("#facts"):
            facts.scroll_relative(y=pages * max(1, facts.size.height - 1), animate=False)

    def _change(self) -> Content:
        asked = self.confirmation
        return Content(
            f"before  {text.clean(asked.before or 'nothing', 130)}\n"
            f"after {glyphs().arrow} {text.clean(asked.after or 'nothing', 130)}"
        )

    def missing(self) -> str:
        """What the operator still has to do before they can confirm; empty when nothing."""
        asked = self.confirmation
        if asked.level == 1:
            return ""
        lacking: list[str] = []
        if not self.query_one("#reason", Input).value.strip():
            lacking.append("give a reason")
        if asked.level >= 3 and self.query_one("#word", Input).value.strip() != asked.expected_word:
            lacking.append(f"type {text.clean(asked.expected_word, 40)}")
        return " and ".join(lacking)

    def _say_missing(self) -> None:
        missing = self.missing()
        said = f"{glyphs().warning} to confirm, {missing}" if missing else ""
        self.query_one("#missing", Static).update(Content(said))

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._say_missing()

    def action_enter(self) -> None:
        """Enter in a field goes on to the next and never confirms; on a button it presses."""
        focused = self.focused
        if isinstance(focused, Button):
            focused.press()
        else:
            self.focus_next()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.id == "confirm":
            self._confirm()
        else:
            self.dismiss(None)

    def action_yes(self) -> None:
        if self.confirmation.level == 1:
            self._confirm()

    def action_cancel(self) -> None:
        self.dismiss(None)

    def _confirm(self) -> None:
        if self.missing():
            self._say_missing()
            fields = [field for field in self.query(Input) if not field.value.strip() or field.id == "word"]
            (fields[0] if fields else self.query_one("#cancel", Button)).focus()
            return
        reason = self.query_one("#reason", Input).value.strip() if self.confirmation.level >= 2 else ""
        self.dismiss(Confirmed(reason))


def _fact(label: str, value: str, label_width: int) -> Content:
    """One fact; the level its first word names is shown by that word's glyph and colour."""
    level = health_level(value)
    shown = text.clean(value, 200)
    name = f"{text.fit(text.clean(label), label_width)} "
    if level not in _TONES:
        return Content(name + shown)
    return Content.assemble(name, (f"{glyphs().health(level)} {shown}", _TONES[level]))
