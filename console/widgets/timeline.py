"""A timeline: a line a thing, with the spans in which it was on, over one axis of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Literal

from console.glyphs import Glyphs, glyphs
from console.text import clean, fit, loading, middle
from console.widgets.lines import Lines, Piece

Tone = Literal["critical", "warning", "quiet"]
_RANK: dict[Tone, int] = {"quiet": 0, "warning": 1, "critical": 2}
#: Cells that labels take at most, and of the width in all.
WIDEST_LABEL = 30
LABEL_SHARE = 0.4
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Span:
    """On from `since` to `until` (seconds since the epoch); null is still on."""

    since: float
    until: float | None
    tone: Tone = "warning"


@dataclass(frozen=True, slots=True)
class TimelineRow:
    label: str
    spans: tuple[Span, ...]
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class TimelineData:
    """`rows` from the most important down: what does not fit is counted, not shown."""

    title: str = ""
    since: float = 0.0
    until: float = 0.0
    rows: tuple[TimelineRow, ...] = ()
    why: str = ""
    """What to say when there is nothing to show."""


class Timeline(Lines):
    """Shows a `TimelineData`; `timeline.update(data)` writes what differs. A tone is a glyph as well as a colour."""

    PREFIX = "timeline"
    DEFAULT_CSS = """
    Timeline { height: auto; background: $background; color: $foreground; }
    Timeline > .timeline--title { text-style: bold; }
    Timeline > .timeline--label { color: $foreground; }
    Timeline > .timeline--chosen { text-style: bold; color: $text-primary; }
    Timeline > .timeline--axis { color: $text-muted; }
    Timeline > .timeline--critical { color: $text-error; }
    Timeline > .timeline--warning { color: $text-warning; }
    Timeline > .timeline--quiet { color: $text-muted; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"timeline--{part}" for part in ("title", "label", "chosen", "axis", "critical", "warning", "quiet")
    }

    def __init__(self, data: TimelineData | None = None, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._data = data or TimelineData(why=loading())

    @property
    def data(self) -> TimelineData:
        return self._data

    def update(self, data: TimelineData) -> None:
        if data != self._data:
            self._data = data
            self.repaint()

    def wanted_lines(self, width: int) -> int:  # noqa: ARG002
        return 2 + max(1, len(self._data.rows))

    def compose_lines(self, width: int, height: int) -> list[Sequence[Piece]]:
        data = self._data
        lines: list[Sequence[Piece]] = [((f" {clean(data.title, width - 2)}", "title"),)]
        if not data.rows or data.until <= data.since:
            return [*lines, ((f" {clean(data.why or 'nothing yet', width - 2)}", "axis"),)]
        room = max(1, height - 2)
        shown = data.rows if len(data.rows) <= room else data.rows[: max(1, room - 1)]
        label = min(WIDEST_LABEL, int(width * LABEL_SHARE), max(len(clean(row.label)) for row in data.rows))
        cells = max(4, width - label - 3)
        lines += [_line(row, data, label, cells) for row in shown]
        if len(shown) < len(data.rows) and room > 1:
            lines.append(((f" and {len(data.rows) - len(shown)} more", "axis"),))
        lines.append(((" " * (label + 2) + axis(data.since, data.until, cells), "axis"),))
        return lines


def _line(row: TimelineRow, data: TimelineData, label: int, cells: int) -> Sequence[Piece]:
    own = glyphs()
    pointer = own.cursor if row.chosen else " "
    pieces: list[Piece] = [(f"{pointer}{fit(middle(row.label, label), label)} ", "chosen" if row.chosen else "label")]
    run, run_part = "", ""
    for tone in tones(row.spans, data.since, data.until, cells):
        part: str = tone or "axis"
        if part != run_part and run:
            pieces.append((run, run_part))
            run = ""
        run, run_part = run + _glyph(tone, own), part
    pieces.append((run, run_part))
    return pieces


def tones(spans: Sequence[Span], since: float, until: float, cells: int) -> list[Tone | None]:
    """What each of `cells` equal parts of [since, until) holds: the gravest of the spans that reach into it."""
    found: list[Tone | None] = [None] * cells
    width = (until - since) / cells
    for span in spans:
        ends = until if span.until is None else span.until
        if ends < since or span.since > until:
            continue
        first = max(0, min(cells - 1, int((span.since - since) / width)))
        # A span that ends on a cell's edge does not reach into the next; one without length still shows.
        last = max(first, min(cells - 1, -int(-(ends - since) // width) - 1))
        for place in range(first, last + 1):
            present = found[place]
            if present is None or _RANK[span.tone] > _RANK[present]:
                found[place] = span.tone
    return found


def _glyph(tone: Tone | None, own: Glyphs) -> str:
    if tone is None:
        return own.shades[0]
    return {"critical": own.full, "warning": own.shades[2], "quiet": own.dash}[tone]


def axis(since: float, until: float, cells: int) -> str:
    """Where the line begins, is half-way, and ends, as dates (or times within a few days) that fit."""
    days = until - since >= 4 * DAY
    layout = "%Y-%m-%d" if days else "%m-%d %H:%M"

    def said(moment: float) -> str:
        return datetime.fromtimestamp(moment, UTC).strftime(layout)

    left, middle, right = said(since), said((since + until) / 2), said(until)
    if cells < len(left) + len(right) + 1:
        return left[:cells]
    line = left + " " * (cells - len(left) - len(right)) + right
    place = cells // 2 - len(middle) // 2
    if place > len(left) + 1 and place + len(middle) + 1 < cells - len(right):
        line = line[:place] + middle + line[place + len(middle) :]
    return line
