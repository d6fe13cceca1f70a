"""The deck's own lines: where one is, how the link is, how old the data is, what can be done here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from console.actions import MAIN_VIEWS, Action
from console.glyphs import glyphs
from console.text import clean

Tone = Literal["", "ok", "warning", "critical"]
Part = tuple[str, str]
"""Text and its style."""

#: What a main view is called where the line is narrow.
SHORT = {
    "datasets": "data",
    "versions": "vers",
    "deployments": "depl",
    "monitor": "mon",
    "alerts": "alrt",
    "journal": "jrnl",
    "quarantine": "quar",
}
TONES: dict[Tone, str] = {
    "": "bold",
    "ok": "bold $text-success",
    "warning": "bold $text-warning",
    "critical": "bold $text-error",
}


#: Lines that a notice may take at the foot.
NOTICE_LINES = 4


class Line(Widget, inherit_bindings=False):
    """One line of styled parts, with some of them at its right end; `lines` may allow what is long some more."""

    DEFAULT_CSS = "Line { height: 1; width: 1fr; }"
    ALLOW_SELECT = False

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._left: tuple[Part, ...] = ()
        self._right: tuple[Part, ...] = ()
        self._lines = 1

    def put(self, left: Sequence[Part], right: Sequence[Part] = (), lines: int = 1) -> None:
        """Show these parts; draws only when they differ from what is shown."""
        if (tuple(left), tuple(right), lines) == (self._left, self._right, self._lines):
            return
        self._left, self._right, self._lines = tuple(left), tuple(right), lines
        self._grow()
        self.refresh()

    def on_resize(self) -> None:
        self._grow()

    def _grow(self) -> None:
        """Take as many lines as the parts fill, `lines` at most."""
        width = max(1, self.size.width)
        wanted = min(self._lines, self.render().get_height({}, width)) if self._lines > 1 else 1
        if self.styles.height is None or self.styles.height.value != wanted:
            self.styles.height = wanted

    class Clicked(Message):
        """A part of the left side was clicked: its number."""

        def __init__(self, line: Line, part: int) -> None:
            super().__init__()
            self.line = line
            self.part = part

    def on_click(self, event: events.Click) -> None:
        x, y = event.x, event.y
        for number, (part, _) in enumerate(self._left):
            x -= cell_len(part)
            if x < 0 and y == 0:
                event.stop()
                self.post_message(self.Clicked(self, number))
                return

    @property
    def plain(self) -> str:
        """The text that is shown, without the filling."""
        return "".join(part for part, _ in (*self._left, *self._right))

    def render(self) -> Content:
        width = self.size.width
        tail = sum(cell_len(part) for part, _ in self._right)
        parts: list[str | Content | tuple[str, str]] = []
        room = width * self._lines - tail
        for part, style in self._left:
            if room <= 0:
                break
            shown = clean(part, room)
            room -= cell_len(shown)
            parts.append((shown, style))
        if room > 0 and self._lines == 1:
            parts.append(" " * room)
        parts.extend(self._right)
        return Content.assemble(*parts)


def view_tabs(current: str, width: int) -> list[Part]:
    """The main views with their number keys; shorter names where `width` cells do not hold the long ones."""
    names = list(MAIN_VIEWS)
    if sum(len(name) + 4 for name in names) > width:
        names = [SHORT.get(name, name) for name in names]
    roomy = sum(len(name) + 4 for name in names) <= width
    parts: list[Part] = []
    for number, (view, name) in enumerate(zip(MAIN_VIEWS, names, strict=True), 1):
        label = f" {number} {name} " if roomy else f"{number} {name} "
        parts.append((label, "bold reverse" if view == current else "$text-muted"))
    return parts


def fitting(actions: Iterable[tuple[Action, str]], width: int) -> list[tuple[Action, str]]:
    """The first of the actions, each with why it is impossible now, whose keys and words fit in `width` cells; the
    help is among them whatever else is not."""
    known = list(actions)
    left = width - sum(_key_cells(action) for action, _ in known if action.id == "help")
    found, full = [], False
    for action, why in known:
        if action.id != "help":
            full = full or _key_cells(action) > left
            if full:
                continue
            left -= _key_cells(action)
        found.append((action, why))
    return found


def footer_parts(actions: Iterable[tuple[Action, str]]) -> list[Part]:
    """Keys and words of the actions; those that are impossible now are dim."""
    parts: list[Part] = []
    for action, why in actions:
        parts.append((f" {action.key_label}", "dim" if why else "bold $text-accent"))
        parts.append((f" {_word(action)} ", "dim" if why else ""))
    return parts


def _word(action: Action) -> str:
    return action.label or action.title.lower()


def _key_cells(action: Action) -> int:
    return cell_len(action.key_label) + cell_len(_word(action)) + 3


def notice_parts(text: str, tone: Tone) -> list[Part]:
    """A message with its glyph, so that colour is not what says how it went."""
    glyph = {"": "", "ok": glyphs().ok, "warning": glyphs().warning, "critical": glyphs().critical}[tone]
    return [(f" {glyph} " if glyph else " ", TONES[tone]), (text, TONES[tone])]
