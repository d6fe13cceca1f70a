"""Draws the lines of a row table as cached strips; knows columns and styles, nothing of scrolling or data flow."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from console import text
from console.glyphs import glyphs
from console.widgets.cells import Layout, Tone, cell, cells, lay_out, title
from console.widgets.rows import ColumnLike, Row

GUTTER = 3
"""Cells left of the first column: the cursor, the mark, a blank."""
_STRIPS = 600

CursorState = Literal["", "focus", "blur", "gone"]


@dataclass(frozen=True, slots=True)
class Palette:
    """The styles of a table, read once from its CSS."""

    base: Style
    header: Style
    note: Style
    focus: Style
    blur: Style
    marked: Style
    muted: Style
    tones: dict[Tone, Style]


class HeaderLine(NamedTuple):
    """What the header line shows."""

    generation: int
    sort: str
    descending: bool
    note: str


class RowLine(NamedTuple):
    """What a row's line shows; `row` is None while it is being fetched."""

    generation: int
    row: Row | None
    cursor: CursorState
    marked: bool


class TextLine(NamedTuple):
    """A line of the table's own: loading, empty, an error, or blank."""

    generation: int
    message: str
    tone: Tone


Line = HeaderLine | RowLine | TextLine


@dataclass(slots=True)
class Painter:
    """Turns lines into strips of `width` cells."""

    columns: Sequence[ColumnLike] = ()
    width: int = 80
    shift: int = 0
    generation: int = 0
    """Changes with whatever makes all strips out of date."""
    palette: Palette | None = None
    layout: Layout = field(default=Layout((), 0, 0))
    _natural: list[int] = field(default_factory=list)
    _strips: OrderedDict[tuple[int, str], tuple[Line, Strip]] = field(default_factory=OrderedDict)

    def set_columns(self, columns: Sequence[ColumnLike]) -> None:
        """Take other columns and forget how wide the old ones were."""
        self.columns = tuple(columns)
        self.shift = 0
        self._natural = [cell_len(title(column)) for column in self.columns]
        self._lay_out()

    def resize(self, width: int) -> None:
        """The table is now `width` cells wide."""
        if width != self.width:
            self.width = width
            self._lay_out()

    def restyle(self, palette: Palette) -> None:
        """Draw with other styles from now on."""
        self.palette = palette
        self._forget()

    def measure(self, rows: Iterable[Row]) -> None:
        """Widen columns to what these rows need. Columns never narrow again: a table that jumps cannot be read."""
        grown = False
        for row in rows:
            for index, column in enumerate(self.columns):
                wide = cell(column.kind, row[index]).width if index < len(row) else 1
                if wide > self._natural[index]:
                    self._natural[index] = wide
                    grown = True
        if grown:
            self._lay_out()

    def shift_columns(self, by: int) -> bool:
        """Scroll sideways by whole columns; whether that changed anything."""
        if by > 0 and not self.layout.hidden_right:
            return False
        wanted = max(0, self.shift + by)
        if wanted == self.shift:
            return False
        self.shift = wanted
        self._lay_out()
        return True

    def column_at(self, x: int) -> ColumnLike | None:
        """The column under a cell of the line."""
        for place in self.layout.placed:
            if place.x - 1 <= x <= place.x + place.width:
                return self.columns[place.column]
        return None

    def changed_span(self, old: Row, new: Row) -> tuple[int, int] | None:
        """The cells (first, end) that differ between two states of a row, or None when none that is shown does."""
        first = end = -1
        for place in self.layout.placed:
            before = old[place.column] if place.column < len(old) else None
            after = new[place.column] if place.column < len(new) else None
            if before != after:
                first = place.x if first < 0 else first
                end = place.x + place.width
        return None if first < 0 else (first, end)

    def strip(self, line: Line) -> Strip:
        """The strip of a line, from the cache when nothing in it changed."""
        if isinstance(line, RowLine) and line.row is not None:
            key = (len(line.cursor), str(line.row[0]))
            found = self._strips.get(key)
            if found is not None and found[0] == line:
                return found[1]
            drawn = self._row(line.row, line.cursor, line.marked)
            self._strips[key] = (line, drawn)
            self._strips.move_to_end(key)
            if len(self._strips) > _STRIPS:
                self._strips.popitem(last=False)
            return drawn
        if isinstance(line, HeaderLine):
            return self._header(line)
        if isinstance(line, TextLine):
            return self._text(line)
        return self._row(None, line.cursor, line.marked)

    # --- drawing -----------------------------------------------------------------------------------------

    def _row(self, row: Row | None, cursor: CursorState, marked: bool) -> Strip:
        palette = self._palette()
        glyph = glyphs()
        plain = palette.marked if marked else palette.base
        base = {"focus": palette.focus, "blur": palette.blur}.get(cursor, plain)
        pointer = {"": " ", "gone": glyph.separator}.get(cursor, glyph.cursor)
        pieces: list[tuple[str, Style]] = [(pointer + (glyph.mark if marked else " ") + " ", base)]
        x = GUTTER
        if row is None:
            pieces.append((glyph.ellipsis, base if cursor == "focus" else palette.muted))
            x += 1
        else:
            coloured = cursor != "focus"
            drawn = cells(self.columns, row)
            for place in self.layout.placed:
                shown = drawn[place.column]
                style = palette.tones.get(shown.tone, base) if coloured and shown.tone else base
                if coloured and cursor == "blur" and style is not base:
                    style = style + Style(bgcolor=base.bgcolor)
                wide = shown.text
                if shown.width > place.width:
                    wide = text.fit(wide, place.width)
                    padding = 0
                else:
                    padding = place.width - shown.width
                if place.x > x:
                    pieces.append((" " * (place.x - x), base))
                if padding and place.right:
                    pieces.append((" " * padding, base))
                pieces.append((wide, style))
                if padding and not place.right:
                    pieces.append((" " * padding, base))
                x = place.x + place.width
        return self._strip(pieces, x, base)

    def _header(self, line: HeaderLine) -> Strip:
        palette = self._palette()
        glyph = glyphs()
        note = line.note
        if self.layout.hidden_left or self.layout.hidden_right:
            left = f"{glyph.left}{self.layout.hidden_left}" if self.layout.hidden_left else ""
            right = f"{self.layout.hidden_right}{glyph.right}" if self.layout.hidden_right else ""
            note = " ".join(part for part in (note, left, right) if part)
        note = text.clean(note, max(0, self.width // 2)) if note else ""
        noted = cell_len(note) + 1 if note else 0
        pieces: list[tuple[str, Style]] = []
        x = 0
        for place in self.layout.placed:
            room = min(place.width + 1, self.width - noted - place.x)
            if room <= 0:
                break
            column = self.columns[place.column]
            name = title(column)
            if column.name == line.sort:
                arrow = glyph.down if line.descending else glyph.up
                name = text.fit(name, min(cell_len(name), place.width)) + arrow
                room = max(room, 1)
            elif cell_len(name) > place.width:
                name = text.clean(name, place.width)
            name = text.clean(name, room)
            start = place.x
            if place.right:
                start = max(x, place.x + place.width - cell_len(name) + (column.name == line.sort))
            pieces.append((" " * (start - x) + name, palette.header))
            x = start + cell_len(name)
        if note:
            pieces.append((" " * max(1, self.width - noted - x + 1), palette.header))
            x += max(1, self.width - noted - x + 1)
            pieces.append((note, palette.note))
            x += cell_len(note)
        return self._strip(pieces, x, palette.header)

    def _text(self, line: TextLine) -> Strip:
        palette = self._palette()
        style = palette.tones.get(line.tone, palette.muted) if line.tone else palette.muted
        shown = text.clean(line.message, max(0, self.width - GUTTER - 1)) if line.message else ""
        return self._strip([(" " * GUTTER, palette.base), (shown, style)], GUTTER + cell_len(shown), palette.base)

    def _strip(self, pieces: list[tuple[str, Style]], used: int, base: Style) -> Strip:
        if used < self.width:
            pieces.append((" " * (self.width - used), base))
        segments: list[Segment] = []
        run, run_style = "", base
        for piece, style in pieces:
            if style is run_style:
                run += piece
                continue
            if run:
                segments.append(Segment(run, run_style))
            run, run_style = piece, style
        if run:
            segments.append(Segment(run, run_style))
        drawn = Strip(segments, max(used, self.width))
        return drawn.crop(0, self.width) if used > self.width else drawn

    def _palette(self) -> Palette:
        if self.palette is None:
            raise RuntimeError("a table is painted before it has styles")
        return self.palette

    def _lay_out(self) -> None:
        layout = lay_out(self.columns, self._natural, GUTTER, self.width, self.shift)
        if layout.hidden_left or layout.hidden_right:
            # The header's end then says how many are hidden, and must not cover a title.
            room = self.width - len("‹99 99›" if layout.hidden_left else " 99›")
            layout = lay_out(self.columns, self._natural, GUTTER, room, self.shift)
        self.layout = layout
        self._forget()

    def _forget(self) -> None:
        self.generation += 1
        self._strips.clear()


def read_palette(table: Widget) -> Palette:
    """The styles a table's CSS gives its parts."""

    def style(part: str) -> Style:
        return table.get_component_rich_style(f"row-table--{part}")

    tones: tuple[Tone, ...] = ("ok", "warning", "critical", "unknown", "busy", "unjudged")
    return Palette(
        base=table.rich_style,
        header=style("header"),
        note=style("note"),
        focus=style("cursor"),
        blur=style("cursor-blur"),
        marked=style("marked"),
        muted=style("muted"),
        tones={tone: style(tone) for tone in tones},
    )
