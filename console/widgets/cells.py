"""How a value of each column kind looks in a table: its text, its tone and on which side it stands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from rich.cells import cell_len

from console import text
from console.glyphs import glyphs, health_level
from console.widgets.rows import ColumnLike, Row
from console.widgets.sparkline import sparkline

Tone = Literal["", "ok", "warning", "critical", "unknown", "busy", "unjudged"]

RIGHT_ALIGNED = frozenset({"number", "duration", "share", "bytes"})
MAX_TEXT = 48
"""Cells after which a text column is cut; the row's detail view shows the whole."""
_SPARK_WIDTH = 16


class Cell(NamedTuple):
    """A value ready to be drawn: clean text, its width in cells, and the tone that colours it."""

    text: str
    width: int
    tone: Tone


class Placed(NamedTuple):
    """A column on the screen: its place in the row, where it begins and how wide it is, in cells."""

    column: int
    x: int
    width: int
    right: bool


class Layout(NamedTuple):
    """Which columns are shown and where; how many are hidden to the left and right of those."""

    placed: tuple[Placed, ...]
    hidden_left: int
    hidden_right: int


def cell(kind: str, value: Any) -> Cell:
    """A value of a column kind as a cell; a value of another type than its kind says is shown as text."""
    tone: Tone = ""
    try:
        if kind == "health":
            level = health_level(value)
            shown = f"{glyphs().health(level)} {text.clean(value if value is not None else 'unknown', MAX_TEXT - 2)}"
            tone = level
        else:
            shown = _shown(kind, value)
    except (TypeError, ValueError, OverflowError):
        shown = text.clean(value, MAX_TEXT)
    return Cell(shown, cell_len(shown), tone)


def _shown(kind: str, value: Any) -> str:
    if value is None:
        return glyphs().null if kind != "spark" else ""
    if isinstance(value, str) and kind != "json":
        return text.clean(value, MAX_TEXT)
    match kind:
        case "number":
            return text.number(value)
        case "time":
            return text.when(value)
        case "duration":
            return text.duration(value)
        case "share":
            return text.share(value)
        case "bytes":
            return text.byte_size(value)
        case "spark":
            return sparkline(value, _SPARK_WIDTH)
        case "json":
            plain = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            return text.clean(plain, MAX_TEXT)
        case _:
            return text.number(value) if isinstance(value, (int, float)) else text.clean(value, MAX_TEXT)


def cells(columns: Sequence[ColumnLike], row: Row) -> list[Cell]:
    """The cells of a row; a row that is too short is filled with nulls."""
    return [cell(column.kind, row[index] if index < len(row) else None) for index, column in enumerate(columns)]


def title(column: ColumnLike) -> str:
    """What the header calls a column."""
    return text.clean(column.title or column.name, MAX_TEXT)


def _worth(column: ColumnLike) -> int:
    """Cells, more than which a column that does not fit is still worth."""
    return 4 if column.priority == 0 else 11 if column.priority == 1 and column.kind == "text" else 1_000


def lay_out(
    columns: Sequence[ColumnLike], natural: Sequence[int], left: int, width: int, shift: int = 0, gap: int = 2
) -> Layout:
    """Choose and place columns in the cells `left` to `width`.

    `natural` is what each column would like. Columns are taken by priority while they fit; numbers are never
    cut, texts give way down to 16 cells (the last one that matters to 12), and what is left over goes back to the
    texts. With `shift` the first shown column stays and that many after it are skipped: horizontal scrolling by
    whole columns.
    """
    candidates = [index for index, column in enumerate(columns) if column.priority >= 0]
    if not candidates:
        return Layout((), 0, 0)
    room = max(1, width - left)
    least = {
        index: min(natural[index], 16 if columns[index].kind in ("text", "json") else natural[index])
        for index in candidates
    }
    first, rest = candidates[0], candidates[1:]
    # The first column says which row this is: two names that differ at their ends must stay different.
    least[first] = max(least[first], min(natural[first], room * 2 // 5))
    if shift:
        rest = rest[shift:]
        order = [first, *rest]
    else:
        order = sorted(candidates, key=lambda index: (columns[index].priority, index))
    chosen: list[int] = []
    used = 0
    for index in order:
        needed = least[index] + (gap if chosen else 0)
        if used + needed <= room:
            chosen.append(index)
            used += needed
        elif not chosen:
            chosen.append(index)
            least[index] = room
            used = room
        elif shift:
            if columns[index].kind in ("text", "json") and room - used >= gap + 8:
                least[index] = room - used - gap
                chosen.append(index)
                used = room
            break
        elif room - used > gap + _worth(columns[index]):
            least[index] = room - used - gap
            chosen.append(index)
            used = room
    chosen.sort()
    widths = {index: least[index] for index in chosen}
    for index in chosen:
        more = min(max(0, natural[index] - widths[index]), room - used)
        widths[index] += more
        used += more
    placed: list[Placed] = []
    x = left
    for index in chosen:
        placed.append(Placed(index, x, widths[index], columns[index].kind in RIGHT_ALIGNED))
        x += widths[index] + gap
    return Layout(tuple(placed), shift, len(candidates) - len(chosen) - shift)
