"""Draws a line chart as a grid of characters: plotext draws the curves, this adds axes, marks and thresholds."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Literal

from console import text
from console.glyphs import glyphs

#: plotext keeps one figure a process: whoever draws holds this.
_figure = threading.Lock()

SERIES_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ASCII_MARKERS = "*ox+@%"
_BRAILLE = 0x2800
_STEPS = [
    *(60 * minutes for minutes in (1, 2, 5, 10, 15, 30)),
    *(3600 * hours for hours in (1, 2, 3, 6, 12)),
    *(86_400 * days for days in (1, 2, 4, 7, 14, 28, 61, 91, 182, 365, 730)),
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Series:
    """A line: `points` are (x, y) in rising x; a y that is None or not finite is a gap in the line."""

    label: str
    points: tuple[tuple[float, float | None], ...]


@dataclass(frozen=True, slots=True)
class ChartMark:
    """A vertical line at `x` with one letter under it, such as R for a revision or ! for an alert."""

    x: float
    letter: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """A horizontal line at `y`."""

    y: float
    label: str = ""


@dataclass(frozen=True, slots=True)
class ChartData:
    """All that a chart shows. `x_kind` says whether x is seconds since the epoch or a plain number (a step)."""

    series: tuple[Series, ...] = ()
    marks: tuple[ChartMark, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    x_kind: Literal["time", "number"] = "time"
    title: str = ""
    low: float | None = None
    high: float | None = None
    why: str = ""
    """What to say when there is nothing to draw."""


@dataclass(slots=True)
class Picture:
    """`rows[y][x]` is a (character, part) pair; a part is `series-N`, `axis`, `mark`, `threshold`, `title` or ``."""

    width: int
    height: int
    rows: list[list[tuple[str, str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rows = [[(" ", "")] * self.width for _ in range(self.height)]

    def put(self, x: int, y: int, written: str, part: str) -> None:
        """Write one-cell characters from (x, y) to the right; what does not fit is left out."""
        for place, character in enumerate(written, x):
            if 0 <= place < self.width and 0 <= y < self.height:
                self.rows[y][place] = (character, part)

    def text(self) -> str:
        """The characters alone."""
        return "\n".join("".join(character for character, _ in row) for row in self.rows)


def draw(data: ChartData, width: int, height: int) -> Picture:
    """The chart in `width` × `height` cells: legend above, y labels left, time or step labels below.

    Imports plotext (0.2 to 0.3 s the first time): call it in a thread.
    """
    picture = Picture(width, height)
    known = [(x, y) for series in data.series for x, y in series.points if _finite(y)]
    if not known or width < 16 or height < 5:
        picture.put(1, min(height // 2, height - 1), text.clean(data.why or "no data yet", max(0, width - 2)), "axis")
        if height >= 5:
            picture.put(0, 0, text.clean(data.title, width), "title")
        return picture
    low, high = _limits(data, [y for _, y in known if y is not None])
    first, last = min(x for x, _ in known), max(x for x, _ in known)
    if first == last:
        first, last = first - 1, last + 1
    ticks = _y_ticks(low, high, max(2, (height - 3) // 3))
    labels = _tick_labels(ticks)
    left = min(width // 3, max(len(label) for label in labels) + 1)
    canvas_width, canvas_height = width - left - 1, height - 3
    column = _scale(first, last, canvas_width)
    line = _scale(high, low, canvas_height)

    for place, label in zip(ticks, labels, strict=True):
        picture.put(left - 1 - len(label), 1 + line(place), label, "axis")
    for y in range(canvas_height):
        picture.put(left, 1 + y, glyphs().vertical, "axis")
    picture.put(left, 1 + canvas_height, glyphs().horizontal * (canvas_width + 1), "axis")
    _x_axis(picture, data.x_kind, first, last, left + 1, canvas_width, height - 1)

    across = "-" if glyphs().ascii else "╌"
    for threshold in data.thresholds:
        if low <= threshold.y <= high:
            row = 1 + line(threshold.y)
            picture.put(left + 1, row, across * canvas_width, "threshold")
            label = text.clean(threshold.label, 24)
            picture.put(left + 2, row, label, "threshold")
    upright = ":" if glyphs().ascii else "┊"
    for mark in data.marks:
        if first <= mark.x <= last:
            x = left + 1 + column(mark.x)
            for y in range(canvas_height):
                picture.put(x, 1 + y, upright, "mark")
            picture.put(x, 1 + canvas_height, text.clean(mark.letter, 1), "mark")
    _curves(picture, data.series, (first, last), (low, high), left + 1, canvas_width, canvas_height)
    _letters(picture, data.series, column, line, left + 1, canvas_width)
    _legend(picture, data)
    return picture


def _curves(
    picture: Picture,
    series: Sequence[Series],
    x_limits: tuple[float, float],
    y_limits: tuple[float, float],
    left: int,
    width: int,
    height: int,
) -> None:
    for number, one in enumerate(series):
        marker = _ASCII_MARKERS[number % len(_ASCII_MARKERS)] if glyphs().ascii else "braille"
        for y, row in enumerate(curve(one.points, x_limits, y_limits, width, height, marker)):
            for x, character in enumerate(row):
                if character == " " or character == chr(_BRAILLE):
                    continue
                present = picture.rows[1 + y][left + x][0]
                if ord(character) > _BRAILLE and _BRAILLE < ord(present) < _BRAILLE + 256:
                    character = chr(ord(character) | ord(present))
                picture.put(left + x, 1 + y, character, f"series-{number}")


def curve(
    points: Sequence[tuple[float, float | None]],
    x_limits: tuple[float, float],
    y_limits: tuple[float, float],
    width: int,
    height: int,
    marker: str,
) -> list[str]:
    """One line drawn by plotext on a bare canvas: `height` strings of `width` characters."""
    xs: list[float] = []
    ys: list[float] = []
    starts: list[int] = []
    gap = True
    for x, y in points:
        if y is None or not math.isfinite(y):
            gap = True
            continue
        if gap:
            starts.append(len(xs))
        xs.append(float(x))
        ys.append(float(y))
        gap = False
    if not xs:
        return [" " * width] * height
    import plotext

    with _figure:
        plotext.terminal.limit(False, False)  # else a canvas wider than stdout's terminal is silently cut
        figure = plotext.figure
        figure.clear.all()
        figure.plot_size(width, height)
        figure.axes(False)
        figure.ruler([0, 1], [0, 1]).frequency(0)
        figure.ruler(0, 0).lim(*x_limits)
        figure.ruler(1, 0).lim(*y_limits)
        signal = figure.signal(xs, ys, marker=marker).lines(True)
        for start in starts:
            signal.line(start, False)
        figure.draw(signal)
        drawn: str = figure.build().string(colorless=True)
        figure.clear.data()
    rows = drawn.split("\n")[:height]
    return [row[:width].ljust(width) for row in rows] + [" " * width] * (height - len(rows))


def _letters(picture: Picture, series: Sequence[Series], column: _Scale, line: _Scale, left: int, width: int) -> None:
    """Each line's letter at its last point: what tells lines apart without colour."""
    if len(series) < 2:
        return
    taken: set[tuple[int, int]] = set()
    for number, one in enumerate(series):
        end = next(((x, y) for x, y in reversed(one.points) if y is not None and math.isfinite(y)), None)
        if end is None:
            continue
        x, y = left + min(width - 1, column(end[0]) + 1), 1 + line(end[1])
        while (x, y) in taken:
            x -= 1
        taken.add((x, y))
        picture.put(x, y, SERIES_LETTERS[number % 26], f"series-{number}")


def _legend(picture: Picture, data: ChartData) -> None:
    x = 0
    if data.title:
        title = text.clean(data.title, picture.width // 2)
        picture.put(0, 0, title, "title")
        x = len(title) + 2
    for number, one in enumerate(data.series):
        latest = next((y for _, y in reversed(one.points) if _finite(y)), None)
        letter = f"{SERIES_LETTERS[number % 26]} " if len(data.series) > 1 else ""
        if glyphs().ascii and letter:
            letter = f"{_ASCII_MARKERS[number % len(_ASCII_MARKERS)]}{letter}"
        entry = f"{letter}{text.clean(one.label, 24)} {text.number(latest)}"
        if x + len(entry) > picture.width:
            picture.put(picture.width - 1, 0, glyphs().ellipsis, "axis")
            return
        picture.put(x, 0, entry, f"series-{number}")
        x += len(entry) + 3


def _x_axis(picture: Picture, kind: str, first: float, last: float, left: int, width: int, row: int) -> None:
    column = _scale(first, last, width)
    free = 0
    for tick, label in x_ticks(kind, first, last, max(1, width // 12)):
        x = left + column(tick)
        start = max(0, min(x - len(label) // 2, picture.width - len(label)))
        if start < free:
            continue
        picture.put(x, row - 1, "+" if glyphs().ascii else "┴", "axis")
        picture.put(start, row, label, "axis")
        free = start + len(label) + 2


def x_ticks(kind: str, first: float, last: float, count: int) -> list[tuple[float, str]]:
    """At most about `count` round places between two x values and what to call them; times in UTC."""
    span = last - first
    if kind != "time":
        ticks = [tick for tick in _y_ticks(first, last, count) if first <= tick <= last]
        return list(zip(ticks, _tick_labels(ticks), strict=True))
    step = next((step for step in _STEPS if span / step <= count), None) or span / max(1, count)
    ticks = [step * index for index in range(math.ceil(first / step), math.floor(last / step) + 1)]
    return [(tick, _time_label(tick, step)) for tick in ticks[: 4 * count]]


def _time_label(seconds: float, step: float) -> str:
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return glyphs().replacement
    if step >= 300 * 86_400:
        return moment.strftime("%Y")
    if step >= 86_400 or (moment.hour, moment.minute) == (0, 0):
        return moment.strftime("%Y-%m-%d") if step >= 28 * 86_400 else moment.strftime("%b %d")
    return moment.strftime("%H:%M")


def _limits(data: ChartData, values: Sequence[float]) -> tuple[float, float]:
    known = [*values, *(threshold.y for threshold in data.thresholds if math.isfinite(threshold.y))]
    low, high = min(known), max(known)
    margin = (high - low) * 0.05 or abs(high) * 0.1 or 1.0
    return (low - margin if data.low is None else data.low), (high + margin if data.high is None else data.high)


def _y_ticks(low: float, high: float, count: int) -> list[float]:
    span = (high - low) / max(1, count)
    size = 10.0 ** math.floor(math.log10(span)) if span > 0 else 1.0
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= span * 0.999)
    return [step * index for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _tick_labels(ticks: Sequence[float]) -> list[str]:
    """Labels with as many decimals as the step needs, so that they line up."""
    step = min((abs(right - left) for left, right in pairwise(ticks)), default=1.0)
    if any(abs(tick) >= 1e6 for tick in ticks) or step < 1e-6:
        return [text.number(tick) for tick in ticks]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 0
    return [f"{tick:.{decimals}f}" if decimals else f"{round(tick):,}" for tick in ticks]


class _Scale:
    """Maps a value to one of `cells` cells as plotext does: the first and last cell are centred on the limits."""

    def __init__(self, first: float, last: float, cells: int) -> None:
        self.first, self.span, self.cells = first, last - first, cells

    def __call__(self, value: float | None) -> int:
        share = 0.0 if value is None else (value - self.first) / self.span
        return max(0, min(self.cells - 1, round(share * (self.cells - 1))))


def _scale(first: float, last: float, cells: int) -> _Scale:
    return _Scale(first, last, cells)


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
