"""A small table of figures that fits in a pane: every line at once, no cursor; too many lines are scrolled by pages."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len

from console import text
from console.glyphs import glyphs
from console.widgets.lines import Lines, Piece

__all__ = ["Figures", "FiguresData", "Heading"]

_GAP = 2
_NOTE_LINES = 3


@dataclass(frozen=True, slots=True)
class Heading:
    """A column; those of a higher `priority` go first where the pane is narrow, and `stretch` may be cut."""

    title: str
    right: bool = False
    priority: int = 0
    stretch: bool = False


@dataclass(frozen=True, slots=True)
class FiguresData:
    """`rows[line][column]` is (text, tone): tone `ok`, `warning`, `critical`, `muted` or "" for the plain one."""

    title: str = ""
    headings: tuple[Heading, ...] = ()
    rows: tuple[tuple[tuple[str, str], ...], ...] = ()
    note: str = ""
    """Said under the rows, on as many lines as it takes, three at most."""
    why: str = ""
    """Why there are no rows."""


class Figures(Lines):
    """Shows a `FiguresData`: `figures.update(data)`; `page(1)` and `page(-1)` scroll."""

    PREFIX = "figures"
    DEFAULT_CSS = """
    Figures { height: 1fr; min-height: 3; background: $background; color: $foreground; }
    Figures > .figures--title { text-style: bold; color: $foreground; }
    Figures > .figures--heading { color: $text-muted; }
    Figures > .figures--muted { color: $text-muted; }
    Figures > .figures--unjudged { color: $text-secondary; }
    Figures > .figures--ok { color: $text-success; }
    Figures > .figures--warning { color: $text-warning; }
    Figures > .figures--critical { color: $text-error; text-style: bold; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"figures--{part}" for part in ("title", "heading", "muted", "unjudged", "ok", "warning", "critical")
    }

    def __init__(self, data: FiguresData | None = None, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._data = data or FiguresData(why=text.loading())
        self._first = 0

    @property
    def data(self) -> FiguresData:
        """What is shown."""
        return self._data

    def update(self, data: FiguresData) -> None:
        """Show other data; equal data writes nothing."""
        if data != self._data:
            self._data = data
            self.repaint()

    def page(self, by: int) -> None:
        """Scroll by so many panes."""
        self._first += by * max(1, self._room(*self.size))
        self.repaint()

    def _note(self, width: int) -> list[str]:
        note = text.clean(self._data.note, 400)
        return textwrap.wrap(note, max(10, width), max_lines=_NOTE_LINES, placeholder=glyphs().ellipsis)

    def _room(self, width: int, height: int) -> int:
        return max(0, height - 2 - len(self._note(width)))

    def wanted_lines(self, width: int) -> int:
        return 2 + len(self._data.rows) + len(self._note(width))

    def compose_lines(self, width: int, height: int) -> list[Sequence[Piece]]:
        data = self._data
        if not data.rows:
            why = text.clean(data.why or "nothing to show", max(0, width - 3))
            return [[(text.clean(data.title, width), "title")], [(f"   {why}", "heading")]]
        room = self._room(width, height)
        self._first = max(0, min(self._first, len(data.rows) - room))
        shown = data.rows[self._first : self._first + room]
        rest = len(data.rows) - self._first - len(shown)
        more = f"  {rest} more, page down" if rest else f"  {self._first} above, page up" if self._first else ""
        columns, widths = self._widths(width)
        lines: list[Sequence[Piece]] = [[(text.clean(data.title, width - len(more)), "title"), (more, "heading")]]
        lines.append(_line([(data.headings[column].title, "heading") for column in columns], columns, widths, data))
        lines += [_line([row[column] for column in columns], columns, widths, data) for row in shown]
        lines += [[(said, "heading")] for said in self._note(width)]
        return lines

    def _widths(self, width: int) -> tuple[list[int], list[int]]:
        """The columns that fit, and how wide each is."""
        data = self._data
        columns = list(range(len(data.headings)))
        natural = [
            max(cell_len(text.clean(cell, 60)) for cell in (data.headings[c].title, *(row[c][0] for row in data.rows)))
            for c in columns
        ]

        def least(column: int) -> int:
            return min(natural[column], 10) if data.headings[column].stretch else natural[column]

        while len(columns) > 1 and sum(least(c) + _GAP for c in columns) - _GAP > width:
            columns.remove(max(columns, key=lambda c: (data.headings[c].priority, c)))
        widths = [least(c) for c in columns]
        left = width - sum(widths) - _GAP * (len(columns) - 1)
        for place, column in enumerate(columns):
            more = max(0, min(natural[column] - widths[place], left))
            widths[place] += more
            left -= more
        return columns, widths


def _line(
    cells: Sequence[tuple[str, str]], columns: Sequence[int], widths: Sequence[int], data: FiguresData
) -> list[Piece]:
    pieces: list[Piece] = []
    for place, (cell, tone) in enumerate(cells):
        gap = " " * _GAP if place else ""
        right = data.headings[columns[place]].right
        pieces.append((gap + text.fit(text.clean(cell, 60), widths[place], right=right), tone))
    return pieces


def verdict(level: int | None) -> tuple[str, str]:
    """A level of `heatmap_data.severity` as a word with its glyph, and the tone it has."""
    if level is None:
        return "", "muted"
    if level == 0:
        return f"{glyphs().separator} noise", "muted"
    if level == 1:
        return f"{glyphs().ok} ok", "ok"
    return (f"{glyphs().warning} warn", "warning") if level == 2 else (f"{glyphs().critical} alarm", "critical")
