"""Draws a line chart as a grid of characters: plotext draws the curves, this adds axes, marks and thresholds."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

from console import text
from console.glyphs import glyphs
from console.widgets.chart_data import ChartData, ChartMark, Picture, Series, Threshold
from console.widgets.chart_layers import bands, hatches, part_of, points_and_dashes, strip, threshold_labels

__all__ = ["ChartData", "ChartMark", "Picture", "Series", "Threshold", "curve", "draw", "x_ticks"]

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


def draw(data: ChartData, width: int, height: int) -> Picture:
    """The chart in `width` × `height` cells: legend above, y labels left, time or step labels below.

    Imports plotext (0.2 to 0.3 s the first time): call it in a thread.
    """
    picture = Picture(width, height)
    if not any(_finite(y) for series in data.series for _, y in series.points) or width < 16 or height < 5:
        picture.put(1, min(height // 2, height - 1), text.clean(data.why or "no data yet", max(0, width - 2)), "axis")
        if height >= 5:
            picture.put(0, 0, text.clean(data.title, width), "title")
        return picture
    scaled = _logarithms(data) if data.log else data
    known = [(x, y) for series in scaled.series for x, y in series.points if y is not None and _finite(y)]
    low, high = _limits(scaled, [*(y for _, y in known), *_band_edges(scaled, [y for _, y in known])])
    places = [x for series in data.series for x, _ in series.points] if data.whole_span else [x for x, _ in known]
    first, last = min(places), max(places)
    if first == last:
        first, last = first - 1, last + 1
    count = max(2, (height - 3) // 3)
    ticks = _log_ticks(low, high, count) if data.log else _y_ticks(low, high, count)
    if len(ticks) < 2 and not data.log and height >= 8:
        ticks = _y_ticks(low, high, 2 * count)
    labels = [text.number(10.0**tick) for tick in ticks] if data.log else _tick_labels(ticks)
    left = min(width // 3, max(len(label) for label in [*labels, data.strip.label if data.strip else ""]) + 1)
    canvas_width, canvas_height = width - left - 1, height - 3 - (1 if data.strip else 0)
    column = _scale(first, last, canvas_width)
    line = _scale(high, low, canvas_height)

    for place, label in zip(ticks, labels, strict=True):
        picture.put(left - 1 - len(label), 1 + line(place), label, "axis")
    for y in range(height - 3):
        picture.put(left, 1 + y, glyphs().vertical, "axis")
    picture.put(left, height - 2, glyphs().horizontal * (canvas_width + 1), "axis")
    _x_axis(picture, data.x_kind, first, last, left + 1, canvas_width, height - 1)

    canvas = picture.inside(left + 1, 1, canvas_width, canvas_height)
    hatches(canvas, data.hatches, column)
    bands(canvas, scaled.band, column, line)
    for threshold in scaled.thresholds:
        if low <= threshold.y <= high:
            canvas.put(0, line(threshold.y), glyphs().dash * canvas_width, "threshold")
    upright = ":" if glyphs().ascii else "┊"
    for mark in data.marks:
        if first <= mark.x <= last:
            for y in range(canvas_height):
                canvas.put(column(mark.x), y, upright, "mark")
            canvas.put(column(mark.x), height - 3, text.clean(mark.letter, 1), "mark")
    points_and_dashes(canvas, scaled.series, column, line)
    _curves(picture, scaled.series, (first, last), (low, high), left + 1, canvas_width, canvas_height)
    _letters(picture, scaled.series, column, line, left + 1, canvas_width)
    named = [*scaled.thresholds, *_named_dashes(scaled.series)]
    seen = [threshold for threshold in named if low <= threshold.y <= high]
    unnamed = [threshold.label for threshold in threshold_labels(canvas, seen, line)]
    if data.strip is not None:
        strip(picture, data.strip, column, left, height - 3)
    _legend(picture, data, unnamed)
    return picture


def _logarithms(data: ChartData) -> ChartData:
    """The same with the logarithms of all heights; what is not above zero stands at the foot."""
    heights = [y for series in data.series for _, y in series.points if y is not None and _finite(y) and y > 0]
    heights += [threshold.y for threshold in data.thresholds if threshold.y > 0]
    foot = min(heights, default=1.0)

    def log(y: float | None) -> float | None:
        return math.log10(max(y, foot)) if y is not None and _finite(y) else None

    return replace(
        data,
        series=tuple(replace(series, points=tuple((x, log(y)) for x, y in series.points)) for series in data.series),
        thresholds=tuple(replace(threshold, y=log(threshold.y) or 0.0) for threshold in data.thresholds),
        band=tuple((x, log(low), log(high)) for x, low, high in data.band),
        low=None,
        high=None,
    )


def _log_ticks(low: float, high: float, count: int) -> list[float]:
    """Round places between two logarithms: 1, 2 and 5 times the powers of ten, or fewer."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        ticks = [power + math.log10(factor) for power in powers for factor in factors]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= count:
            break
    return ticks or [low]


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
        if one.style != "line":
            continue
        marker = _ASCII_MARKERS[number % len(_ASCII_MARKERS)] if glyphs().ascii else "braille"
        for y, row in enumerate(curve(one.points, x_limits, y_limits, width, height, marker)):
            for x, character in enumerate(row):
                if character == " " or character == chr(_BRAILLE):
                    continue
                present = picture.rows[1 + y][left + x][0]
                if ord(character) > _BRAILLE and _BRAILLE < ord(present) < _BRAILLE + 256:
                    character = chr(ord(character) | ord(present))
                picture.put(left + x, 1 + y, character, part_of(one, number))


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
    if len([one for one in series if one.style != "dashes"]) < 2:
        return
    taken: set[tuple[int, int]] = set()
    for number, one in enumerate(series):
        if one.style == "dashes":
            continue
        end = next(((x, y) for x, y in reversed(one.points) if y is not None and math.isfinite(y)), None)
        if end is None:
            continue
        x, y = left + min(width - 1, column(end[0]) + 1), 1 + line(end[1])
        while (x, y) in taken:
            x -= 1
        taken.add((x, y))
        picture.put(x, y, SERIES_LETTERS[number % 26], part_of(one, number))


def _named_dashes(series: Sequence[Series]) -> list[Threshold]:
    """Where the dashed lines end: their names stand there."""
    found = []
    for one in series:
        last = next((y for _, y in reversed(one.points) if y is not None and _finite(y)), None)
        if one.style == "dashes" and last is not None:
            found.append(Threshold(last, one.label, one.part or "threshold"))
    return found


def _legend(picture: Picture, data: ChartData, unnamed: Sequence[str]) -> None:
    drawn = [(one, number) for number, one in enumerate(data.series) if one.style != "dashes"]
    entries = [(_entry(one, number, data), part_of(one, number)) for one, number in drawn]
    entries += [(f"{glyphs().dash} {text.clean(label, 24)}", "threshold") for label in unnamed]
    x = 0
    if data.title:
        wanted = sum(len(entry) + 3 for entry, _ in entries)
        title = text.clean(data.title, max(12, picture.width - wanted))
        picture.put(0, 0, title, "title")
        x = len(title) + 2
    for entry, part in entries:
        if x + len(entry) > picture.width:
            picture.put(picture.width - 1, 0, glyphs().ellipsis, "axis")
            return
        picture.put(x, 0, entry, part)
        x += len(entry) + 3


def _entry(one: Series, number: int, data: ChartData) -> str:
    """What the legend says of a line: how it is drawn, its letter, its name and its last value."""
    latest = text.number(next((y for _, y in reversed(one.points) if _finite(y)), None))
    label = text.clean(one.label, 24)
    several = len([other for other in data.series if other.style != "dashes"]) > 1
    letter = f"{SERIES_LETTERS[number % 26]} " if several else ""
    if one.style != "line":
        letter = f"{glyphs().dot if one.style == 'dots' else glyphs().times}{letter or ' '}"
    elif glyphs().ascii and letter:
        letter = f"{_ASCII_MARKERS[number % len(_ASCII_MARKERS)]}{letter}"
    return f"{letter}{label} {latest}"


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


def _band_edges(data: ChartData, values: Sequence[float]) -> list[float]:
    """The edges of the band, as far as they may widen the picture: the band of a window of a few rows is as wide as the
    metric allows, and would flatten every line."""
    low, high = min(values), max(values)
    room = high - low
    edges = [y for _, *both in data.band for y in both if y is not None and _finite(y)]
    return [max(low - room, min(high + room, edge)) for edge in edges] if room > 0 else edges


def _y_ticks(low: float, high: float, count: int) -> list[float]:
    span = (high - low) / max(1, count)
    size = 10.0 ** math.floor(math.log10(span)) if span > 0 else 1.0
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= span * 0.999)
    return [step * index for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _tick_labels(ticks: Sequence[float]) -> list[str]:
    """Labels with as many decimals as the step needs, so that they line up."""
    if len(ticks) < 2:
        return [text.number(tick) for tick in ticks]
    step = min(abs(right - left) for left, right in pairwise(ticks))
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
