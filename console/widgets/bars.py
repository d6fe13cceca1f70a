"""A feature's distribution against its reference: two bars a bin or category, side by side, with numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from rich.cells import cell_len

from console import text
from console.glyphs import glyphs
from console.widgets.edges import span_labels
from console.widgets.lines import Lines, Piece

__all__ = ["Bars", "BarsData"]

#: Cells of a change in points, the greatest among them: a gap and `+100.0 pt`.
_CHANGE = 10


@dataclass(frozen=True, slots=True)
class BarsData:
    """Shares (0 to 1) per bin or category, reference and current, aligned with `labels`.

    `ordered` says that neighbours may be merged when the screen is too low (bins of a number); categories are
    kept by size instead and the rest summed up as others.
    """

    labels: tuple[str, ...] = ()
    reference: tuple[float, ...] = ()
    current: tuple[float, ...] = ()
    ordered: bool = True
    edges: tuple[tuple[float | None, float | None], ...] = ()
    """Of bins: (low, high) for each label, None where it is open; both None for what is no bin, such as missing
    values. Labels are then made of the edges, as short as still tells them apart."""
    title: str = ""
    reference_rows: int | None = None
    rows: int | None = None
    facts: tuple[tuple[str, str], ...] = ()
    """Lines under the bars: (text, tone), tone one of `ok`, `warning`, `critical` or empty."""
    why: str = ""


class Bars(Lines):
    """Shows a `BarsData`: `bars.update(data)`. A change against the reference is said as signed points."""

    PREFIX = "bars"
    DEFAULT_CSS = """
    Bars { height: 1fr; min-height: 4; background: $background; color: $foreground; }
    Bars > .bars--title { text-style: bold; color: $foreground; }
    Bars > .bars--label { color: $text-muted; }
    Bars > .bars--reference { color: $text-muted; }
    Bars > .bars--current { color: $text-primary; }
    Bars > .bars--unjudged { color: $text-secondary; }
    Bars > .bars--ok { color: $text-success; }
    Bars > .bars--warning { color: $text-warning; }
    Bars > .bars--critical { color: $text-error; text-style: bold; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"bars--{part}" for part in ("title", "label", "reference", "current", "unjudged", "ok", "warning", "critical")
    }

    def __init__(
        self,
        data: BarsData | None = None,
        *,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._data = data or BarsData(why=text.loading())

    @property
    def data(self) -> BarsData:
        """What the bars show."""
        return self._data

    def update(self, data: BarsData) -> None:
        """Show other data; equal data writes nothing."""
        if data != self._data:
            self._data = data
            self.repaint()

    def wanted_lines(self, width: int) -> int:  # noqa: ARG002
        return 2 + len(self._data.labels) + len(self._data.facts)

    def compose_lines(self, width: int, height: int) -> list[Sequence[Piece]]:
        data = self._data
        lines: list[Sequence[Piece]] = [[(text.clean(data.title, width), "title")]]
        if not data.labels:
            why = text.clean(data.why or "no distribution yet", max(0, width - 3))
            return [*lines, [(f"   {why}", "label")]]
        facts = data.facts[: max(0, height - 4)]
        bins = folded(data, max(1, height - 2 - len(facts)))
        label_width = min(max(8, width // 4), max(cell_len(text.clean(label, 40)) for label, _, _ in bins))
        room = max(4, width - label_width - 2 - 2 * 8 - _CHANGE)
        bar = room // 2
        most = _scale(bins)
        lines.append(
            [
                (" " * (label_width + 2), ""),
                (text.fit(_heading("reference", data.reference_rows, bar + 7), bar + 8), "reference"),
                (text.fit(_heading("current", data.rows, bar + 7), bar + 8), "current"),
                ("change".rjust(_CHANGE), "label"),
            ]
        )
        for label, before, now in bins:
            lines.append(
                [
                    (text.fit(text.clean(label, 40), label_width) + "  ", "label"),
                    (text.share(before).rjust(7) + " ", "reference"),
                    (_bar(before / most, bar, glyphs().reference), "reference"),
                    (text.share(now).rjust(7) + " ", "current"),
                    (_bar(now / most, bar, glyphs().full), "current"),
                    (_points(now - before).rjust(_CHANGE), "label"),
                ]
            )
        lines += [[(text.clean(fact, width), tone)] for fact, tone in facts]
        return lines


def folded(data: BarsData, room: int) -> list[tuple[str, float, float]]:
    """(label, reference, current) in at most `room` lines; the shares still sum to what they did."""
    rows = list(zip(data.labels, data.reference, data.current, strict=True))
    if data.ordered and len(data.edges) == len(rows):
        return _folded_bins(data, rows, room)
    if len(rows) <= room:
        return rows
    if data.ordered:
        merged: list[tuple[str, float, float]] = []
        for group in _groups(rows, room):
            label = group[0][0] if len(group) == 1 else f"{group[0][0]} {glyphs().ellipsis} {group[-1][0]}"
            merged.append((label, sum(row[1] for row in group), sum(row[2] for row in group)))
        return merged
    kept = sorted(range(len(rows)), key=lambda index: -max(rows[index][1], rows[index][2]))[: max(0, room - 1)]
    others = [row for index, row in enumerate(rows) if index not in set(kept)]
    rest = (f"{len(others)} others", sum(row[1] for row in others), sum(row[2] for row in others))
    return [*(rows[index] for index in kept), rest]


def _folded_bins(data: BarsData, rows: list[tuple[str, float, float]], room: int) -> list[tuple[str, float, float]]:
    """Neighbouring bins merged, what is no bin kept beside them, and the edges rounded."""
    beside = [index for index, edge in enumerate(data.edges) if edge == (None, None)]
    bins = [index for index in range(len(rows)) if index not in set(beside)]
    # Outside of the reference's range there is either something to see, or nothing at all.
    empty = [index for index in bins if None in data.edges[index] and not (rows[index][1] or rows[index][2])]
    bins = [index for index in bins if index not in empty] or bins
    roomy = room - len(beside) >= _ROOMY
    low = bins[:1] if roomy and data.edges[bins[0]][0] is None else []
    high = bins[-1:] if roomy and data.edges[bins[-1]][1] is None and len(bins) > 1 else []
    inner = bins[len(low) : len(bins) - len(high)]
    groups = _groups(inner, max(1, room - len(beside) - len(low) - len(high)))
    groups = [*([low] if low else []), *groups, *([high] if high else [])]
    spans = [(data.edges[group[0]][0], data.edges[group[-1]][1]) for group in groups]
    found = [
        (label, sum(rows[index][1] for index in group), sum(rows[index][2] for index in group))
        for label, group in zip(span_labels(spans), groups, strict=True)
    ]
    return [*found, *(rows[index] for index in beside)][:room]


#: A bar so many times as long as the other side's longest is cut off, and says so at its end.
_UNLIKE = 3.0
#: From so many lines on, values outside of the reference's range have one of their own.
_ROOMY = 3
Item = TypeVar("Item")


def _groups(items: Sequence[Item], count: int) -> list[Sequence[Item]]:
    """The items in at most `count` runs of nearly equal length."""
    count = min(count, len(items))
    return [items[place * len(items) // count : (place + 1) * len(items) // count] for place in range(count)]


def _scale(bins: Sequence[tuple[str, float, float]]) -> float:
    """The share that fills a bar: the greatest, unless it would leave nothing to see of the other side's shape."""
    least = min(max((row[1] for row in bins), default=0.0), max((row[2] for row in bins), default=0.0))
    most = max((max(row[1], row[2]) for row in bins), default=0.0)
    return (min(most, _UNLIKE * least) if least > 0 else most) or 1.0


def _bar(share: float, width: int, full: str) -> str:
    if share > 1.0:
        return full * (width - 1) + glyphs().right
    cells = max(0.0, min(1.0, share)) * width
    whole = int(cells)
    drawn = full * whole
    if cells - whole >= 0.5 and full == glyphs().full and whole < width:
        drawn += glyphs().half
    elif share > 0 and not drawn:
        drawn = glyphs().separator
    return drawn.ljust(width)


def _points(change: float) -> str:
    points = change * 100
    if abs(points) < 0.05:
        return "0.0 pt"
    return f"{points:+.1f} pt"


def _heading(word: str, rows: int | None, room: int) -> str:
    if rows is None:
        return word
    long = f"{word} {text.number(rows)} row{'' if rows == 1 else 's'}"
    return long if len(long) <= room else f"{word} {text.number(rows)}"
