"""What a chart has beside its curves: bands, hatched spans, points, dashes, a strip of shares, labels of thresholds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from console import text
from console.glyphs import glyphs
from console.widgets.chart_data import Canvas, Hatch, Picture, Series, Strip, Threshold

Place = Callable[[float | None], int]
"""From a value to its cell."""


def part_of(series: Series, number: int) -> str:
    """The part that a series is drawn as."""
    return series.part or f"series-{number}"


def hatches(canvas: Canvas, spans: Sequence[Hatch], column: Place) -> None:
    """Spans of x in which something is not known."""
    for span in spans:
        first, last = column(span.first), column(span.last)
        for y in range(canvas.height):
            for x in range(first, last + 1):
                if (x + 2 * y) % 4 == 0:
                    canvas.put(x, y, "/" if glyphs().ascii else "╱", "hatch")
        label = text.clean(span.label, canvas.width)
        if label and last - first + 1 >= len(label) + 2:
            canvas.put(first + (last - first + 1 - len(label)) // 2, canvas.height // 2, label, "axis")


def bands(canvas: Canvas, band: Sequence[tuple[float, float | None, float | None]], column: Place, line: Place) -> None:
    """Where values are expected, lightly filled."""
    lows = [(x, low) for x, low, _ in band]
    highs = [(x, high) for x, _, high in band]
    tops = dict(_by_column(highs, column))
    for x, low in _by_column(lows, column):
        if x in tops:
            for y in range(line(tops[x]), line(low) + 1):
                if (x + y) % 2 == 0:
                    canvas.put(x, y, glyphs().separator, "band")


def points_and_dashes(canvas: Canvas, series: Sequence[Series], column: Place, line: Place) -> None:
    """The series that are no curves."""
    for number, one in enumerate(series):
        part = part_of(one, number)
        if one.style in ("dots", "crosses"):
            glyph = glyphs().dot if one.style == "dots" else glyphs().times
            for x, y in one.points:
                if y is not None and math.isfinite(y):
                    canvas.put(column(x), line(y), glyph, part)
        elif one.style == "dashes":
            for x, y in _by_column(one.points, column):
                canvas.put(x, line(y), glyphs().dash, part)


def _by_column(points: Sequence[tuple[float, float | None]], column: Place) -> Iterator[tuple[int, float]]:
    """(column, height) along straight lines between neighbouring points; gaps stay gaps."""
    known = [(column(x), y) for x, y in points]
    for (before, low), (after, high) in pairwise(known):
        if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
            continue
        for x in range(before, after):
            yield x, low + (high - low) * (x - before) / (after - before)
    alone = len(known) == 1
    for place, (x, y) in enumerate(known):
        last = place == len(known) - 1 or known[place + 1][1] is None
        if y is not None and math.isfinite(y) and (last or alone):
            yield x, y


def strip(picture: Picture, shares: Strip, column: Place, left: int, row: int) -> None:
    """The line of small bars under the canvas, each as wide as its window."""
    picture.put(max(0, left - 1 - len(shares.label)), row, shares.label, "axis")
    levels = glyphs().spark
    known = [(column(x), y) for x, y in shares.points]
    for place, (x, y) in enumerate(known):
        if y is None or not math.isfinite(y):
            continue
        end = known[place + 1][0] if place + 1 < len(known) else x + 1
        level = levels[max(0, min(len(levels) - 1, round(y * (len(levels) - 1))))]
        picture.put(left + 1 + x, row, level * max(1, end - x), "strip")


def threshold_labels(canvas: Canvas, thresholds: Sequence[Threshold], line: Place) -> list[Threshold]:
    """Each threshold's name where no curve runs: on its line, else beside it. Gives those that found no room."""
    left: list[Threshold] = []
    for threshold in thresholds:
        label = text.clean(threshold.label, 24)
        if not label:
            continue
        here = line(threshold.y)
        for y in (here, here - 1, here + 1):
            x = _room(canvas, y, len(label), on_line=y == here)
            if x is not None:
                canvas.put(x, y, label, threshold.part)
                break
        else:
            left.append(threshold)
    return left


def _room(canvas: Canvas, y: int, length: int, on_line: bool) -> int | None:
    """The rightmost place in a row for so many characters; a curve keeps a cell's distance."""
    if not 0 <= y < canvas.height:
        return None
    free = {" ", glyphs().dash if on_line else " ", glyphs().separator}
    for x in range(canvas.width - length - 1, 0, -1):
        if all(canvas.at(x + i, y)[0] in free for i in range(-1, length + 1)):
            return x
    return None
