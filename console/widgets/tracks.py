"""Tracks: what a deployment's windows hold beside drift, a line of bars each, over the heat map's own axis of time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from console import text
from console.glyphs import glyphs
from console.widgets.lines import Lines, Piece

#: Cells before the bars where no heat map says how many: label, value, gaps.
LEFT = 20
#: Cells of the value.
_VALUE = 9
#: From so many lines on the marks are drawn here too.
_MARKED_FROM = 6

#: Lines of a bar at most: higher ones say no more.
_HIGHEST = 3

Columns = Callable[[int], tuple[int, int, range]]
"""From a width: the cells before the bars, the cells a window, the windows in sight."""


@dataclass(frozen=True, slots=True)
class Track:
    """One line of bars: `values[window]`, None where it is not known; `said` are the values in words."""

    label: str
    values: tuple[float | None, ...]
    said: tuple[str, ...]
    failed: tuple[bool, ...] = ()
    """The windows in which this is wrong; empty is none."""


@dataclass(frozen=True, slots=True)
class TracksData:
    """Tracks over the same windows; `chosen` is the window whose values are told."""

    tracks: tuple[Track, ...] = ()
    marks: tuple[tuple[int, str], ...] = ()
    """(window, letter) of revisions and alerts."""
    chosen: int | None = None
    title: str = ""
    notes: tuple[str, ...] = ()
    """Of each window what is wrong in it; or empty."""
    unknown: str = ""
    """What cannot be known, and why."""
    why: str = ""


class Tracks(Lines):
    """Shows a `TracksData`; `columns` (of the heat map) says where each window stands, so that both read as one."""

    PREFIX = "tracks"
    DEFAULT_CSS = """
    Tracks { height: 4; background: $background; color: $foreground; }
    Tracks > .tracks--title { text-style: bold; }
    Tracks > .tracks--label { color: $text-muted; }
    Tracks > .tracks--mark { color: $text-accent; text-style: bold; }
    Tracks > .tracks--bar { color: $text-primary; }
    Tracks > .tracks--failed { color: $text-warning; text-style: bold; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"tracks--{part}" for part in ("title", "label", "mark", "bar", "failed")}

    def __init__(self, columns: Columns, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._columns = columns
        self._data = TracksData(why=text.loading())

    @property
    def data(self) -> TracksData:
        """What is shown."""
        return self._data

    def update(self, data: TracksData) -> None:
        """Show other data; equal data writes only what moved with the heat map."""
        self._data = data
        self.repaint()

    def wanted_lines(self, width: int) -> int:  # noqa: ARG002
        return 1 + len(self._data.tracks)

    def compose_lines(self, width: int, height: int) -> list[Sequence[Piece]]:
        data = self._data
        if not data.tracks:
            return [[(text.clean(data.title, width), "title")], [(f"   {text.clean(data.why, width - 3)}", "label")]]
        left, wide, shown = self._columns(width)
        lines: list[Sequence[Piece]] = [self._title(width, roomy=height >= _MARKED_FROM)]
        if height >= _MARKED_FROM:
            lines.append(self._marks(left, wide, shown))
        spare = max(0, height - len(lines) - (2 if height >= _MARKED_FROM else 0))
        each = max(1, min(_HIGHEST, spare // len(data.tracks)))
        for track in data.tracks:
            lines += self._bars(track, left, wide, shown, each)
        if height >= _MARKED_FROM:
            lines += [[(f" {text.clean(said, width - 2)}", "label")] for said in (self._note(), data.unknown) if said]
        return lines

    def _title(self, width: int, roomy: bool) -> list[Piece]:
        """Where there is no line for it, what is wrong in the chosen window stands beside the title."""
        note = "" if roomy else self._note() or self._data.unknown
        title = text.clean(self._data.title, width)
        return [(title, "title"), (f"  {text.clean(note, max(0, width - len(title) - 2))}", "label")]

    def _note(self) -> str:
        data = self._data
        return data.notes[data.chosen] if data.chosen is not None and data.chosen < len(data.notes) else ""

    def _marks(self, left: int, wide: int, shown: range) -> list[Piece]:
        line = [" "] * (len(shown) * wide)
        for window, letter in self._data.marks:
            if window in shown:
                line[(window - shown.start) * wide] = letter
        chosen = self._data.chosen
        if chosen is not None and chosen in shown and line[(chosen - shown.start) * wide] == " ":
            line[(chosen - shown.start) * wide] = glyphs().down
        return [(" " * left, ""), ("".join(line), "mark")]

    def _bars(self, track: Track, left: int, wide: int, shown: range, lines: int) -> list[Sequence[Piece]]:
        """The bars, in one line or in several; the value of the chosen window stands before their last."""
        top = max((track.values[window] or 0.0 for window in shown), default=0.0)
        chosen = self._data.chosen
        said = track.said[chosen] if chosen is not None and chosen < len(track.said) else ""
        drawn: list[Sequence[Piece]] = []
        for line in range(lines - 1, -1, -1):
            name, value = (track.label, said) if line == 0 else ("", "")
            head = f"  {text.fit(name, max(0, left - _VALUE - 3))}{text.fit(value, _VALUE, right=True)} "
            pieces: list[Piece] = [(head[:left], "title" if line == 0 else "")]
            for window in shown:
                wrong = bool(track.failed) and track.failed[window]
                pieces.append((_bar(track.values[window], top, line, lines) * wide, "failed" if wrong else "bar"))
            drawn.append(pieces)
        return drawn


def _bar(value: float | None, top: float, line: int, lines: int) -> str:
    """The part of a bar that stands in the `line` of `lines` from the foot: nothing is known, nothing is there, and
    a little is there are three different things."""
    if value is None or not math.isfinite(value):
        return glyphs().no_data if line == 0 else " "
    if value <= 0 or top <= 0:
        return glyphs().shades[0] if line == 0 else " "
    levels = glyphs().spark
    height = max(1, round(value / top * len(levels) * lines)) - line * len(levels)
    return levels[min(height, len(levels)) - 1] if height > 0 else " "
