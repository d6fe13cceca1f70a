"""Draws the sections of a detail page: labels and values, and small tables, as lines that scroll and are searched."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from console.glyphs import glyphs
from console.screens.values import weights
from console.text import clean, fit
from console.widgets.cells import cell
from store.protocol import Field, Section

#: Cells that labels may take before their values begin.
WIDEST_LABEL = 28
#: A text that a person may want to read in full is shown over at most this many lines.
LONGEST_VALUE = 12

Piece = tuple[str, str]
"""Text and the name of its style: "", title, label, muted, or a tone."""


class TextLine(NamedTuple):
    """One line of pieces; `owner` numbers the section it belongs to."""

    pieces: tuple[Piece, ...]
    owner: int
    is_title: bool = False

    @property
    def plain(self) -> str:
        return "".join(text for text, _ in self.pieces)


def lay_out_sections(sections: Sequence[Section], width: int) -> list[TextLine]:
    """The lines that show `sections` in `width` cells."""
    lines: list[TextLine] = []
    for owner, section in enumerate(sections):
        if lines:
            lines.append(TextLine((), owner - 1))
        rule = glyphs().horizontal * 2
        lines.append(TextLine(((f"{rule} {clean(section.title, width - 6)} {rule}", "title"),), owner, True))
        lines += [TextLine(pieces, owner) for pieces in _fields(section.fields, width)]
        lines += [TextLine(pieces, owner) for pieces in _table(section, width)]
    return lines


def _fields(fields: Sequence[Field], width: int) -> list[tuple[Piece, ...]]:
    if not fields:
        return []
    labels = [clean(field.label, WIDEST_LABEL) for field in fields]
    label_width = max(cell_len(label) for label in labels)
    lines: list[tuple[Piece, ...]] = []
    for label, field in zip(labels, fields, strict=True):
        room = max(8, width - label_width - 4)
        for number, (shown, tone) in enumerate(_value(field, room)):
            lines.append(((f" {fit(label if number == 0 else '', label_width)}  ", "label"), (shown, tone)))
    return lines


def _value(field: Field, width: int) -> list[Piece]:
    """The value over one or more lines of at most `width` cells."""
    value = field.value
    if field.kind == "number" and isinstance(value, float):
        # Here is the room for every digit.
        return [(clean(repr(value), width), "")]
    if field.kind not in ("json", "text") and not isinstance(value, (dict, list)):
        shown = cell(field.kind, value)
        return [(clean(shown.text, width), shown.tone)]
    if isinstance(value, str) and field.kind == "json":
        try:
            value = json.loads(value)
        except ValueError:
            pass
    if isinstance(value, Mapping) and field.label.lower() in ("requested", "observed", "effective"):
        text = weights(dict(value))
    elif isinstance(value, Mapping):
        text = "  ".join(f"{key}: {_plain(part)}" for key, part in value.items())
    elif isinstance(value, list):
        text = ", ".join(_plain(part) for part in value)
    else:
        text = value if isinstance(value, str) else cell("text", value).text
    return [(line, "") for line in _wrap(text, width)]


def _plain(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value) if isinstance(value, str) else cell("number", value).text


def _wrap(text: str, width: int) -> list[str]:
    """Cleaned lines of at most `width` cells; what is too long for LONGEST_VALUE lines is cut."""
    text = clean(text, width * LONGEST_VALUE)
    lines: list[str] = []
    current = ""
    for word in re.findall(r"\S+\s*|\s+", text):
        while cell_len(word.rstrip()) > width:
            room = width - cell_len(current)
            if room < 4:
                lines.append(current)
                current, room = "", width
            lines.append(current + word[:room])
            current, word = "", word[room:]
        if cell_len(current + word.rstrip()) > width:
            lines.append(current.rstrip())
            current = ""
        current += word
    lines.append(current.rstrip())
    return [line for line in lines if line] or [""]


def _table(section: Section, width: int) -> list[tuple[Piece, ...]]:
    if not section.columns:
        return []
    if not section.rows:
        return [((" none", "muted"),)]
    rows = [
        [cell(column.kind, value) for column, value in zip(section.columns, row, strict=False)] for row in section.rows
    ]
    titles = [clean(column.title or column.name, 40) for column in section.columns]
    widths = [
        max(cell_len(title), *(row[index].width if index < len(row) else 0 for row in rows))
        for index, title in enumerate(titles)
    ]
    # Where all do not fit, the widest give way.
    while sum(widths) + 2 * len(widths) > width and max(widths) > 8:
        widths[widths.index(max(widths))] -= 1
    right = [column.kind in ("number", "duration", "share", "bytes") for column in section.columns]
    lines: list[tuple[Piece, ...]] = [
        tuple((" " + fit(title, widths[i], right=right[i]) + " ", "label") for i, title in enumerate(titles))
    ]
    lines += [
        tuple((" " + fit(shown.text, widths[i], right=right[i]) + " ", shown.tone) for i, shown in enumerate(row))
        for row in rows
    ]
    return lines


def narrow(lines: Sequence[TextLine], pattern: str) -> list[TextLine]:
    """The lines in which the regular expression is found, with the titles of their sections. Raises re.error."""
    if not pattern:
        return list(lines)
    wanted = re.compile(pattern, re.IGNORECASE)
    owners = {line.owner for line in lines if not line.is_title and wanted.search(line.plain)}
    return [
        line
        for line in lines
        if (line.is_title and line.owner in owners) or (not line.is_title and wanted.search(line.plain))
    ]


class DetailPane(ScrollView, can_focus=True, inherit_bindings=False):
    """Sections as lines; arrows, j k, pages, g G move."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "detail--title",
        "detail--label",
        "detail--muted",
        "detail--ok",
        "detail--warning",
        "detail--critical",
    }
    DEFAULT_CSS = """
    DetailPane { height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; background: $background; }
    DetailPane > .detail--title { text-style: bold; color: $text-primary; }
    DetailPane > .detail--label { color: $text-muted; }
    DetailPane > .detail--muted { color: $text-muted; }
    DetailPane > .detail--ok { color: $text-success; }
    DetailPane > .detail--warning { color: $text-warning; }
    DetailPane > .detail--critical { color: $text-error; text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "line(1)", show=False),
        Binding("up,k", "line(-1)", show=False),
        Binding("pagedown,ctrl+f", "page(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("home,g", "edge(0)", show=False),
        Binding("end,G", "edge(1)", show=False),
    ]

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.sections: Sequence[Section] = ()
        self.pattern = ""
        self.lines: list[TextLine] = []

    def put(self, sections: Sequence[Section]) -> None:
        """Show these sections; where the operator has scrolled to stays."""
        if sections != self.sections:
            self.sections = sections
            self.lay_out()

    def search(self, pattern: str) -> None:
        """Show only lines in which the regular expression is found. Raises re.error and shows what was shown."""
        re.compile(pattern)
        self.pattern = pattern
        self.scroll_to(y=0, animate=False)
        self.lay_out()

    def lay_out(self) -> None:
        width = self.scrollable_content_region.width or self.size.width
        if width:
            self.lines = narrow(lay_out_sections(self.sections, width), self.pattern)
            self.virtual_size = Size(width, len(self.lines))
            self.refresh()

    def on_resize(self) -> None:
        self.lay_out()

    def render_line(self, y: int) -> Strip:
        number = y + round(self.scroll_y)
        base = self.rich_style
        width = self.scrollable_content_region.width
        if number >= len(self.lines):
            return Strip.blank(width, base)
        segments = [Segment(text, base + self._style(name)) for text, name in self.lines[number].pieces]
        return Strip(segments).adjust_cell_length(width, base).crop(0, width)

    def _style(self, name: str) -> Style:
        if name in ("title", "label", "muted", "ok", "warning", "critical"):
            return self.get_component_rich_style(f"detail--{name}", partial=True)
        return Style.null()

    def action_line(self, by: int) -> None:
        self.scroll_relative(y=by, animate=False)

    def action_page(self, by: int) -> None:
        self.scroll_relative(y=by * max(1, self.size.height - 1), animate=False)

    def action_edge(self, end: int) -> None:
        self.scroll_to(y=self.max_scroll_y if end else 0, animate=False)
