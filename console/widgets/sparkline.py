"""A sparkline as plain text: one glyph a value, gaps where there is no value."""

from __future__ import annotations

import math
from collections.abc import Sequence

from console.glyphs import glyphs


def sparkline(values: Sequence[float | None], width: int, low: float | None = None, high: float | None = None) -> str:
    """The values in at most `width` cells, scaled between `low` and `high`.

    Absent `low` is the smaller of zero and the least value, so that a steady count does not look like noise;
    absent `high` is the greatest value. More values than cells are averaged in equal groups; null, nan and
    infinite values are blanks. A flat line at zero is drawn at the lowest level.
    """
    if width <= 0 or not values:
        return ""
    levels = glyphs().spark
    points = _squeezed(values, width)
    known = [point for point in points if point is not None]
    if not known:
        return " " * len(points)
    bottom = min(0.0, *known) if low is None else low
    top = max(known) if high is None else high
    # Halved, so that no span of finite values overflows.
    span = top / 2 - bottom / 2
    return "".join(
        " " if point is None else levels[_level(point / 2 - bottom / 2, span, len(levels))] for point in points
    )


def _squeezed(values: Sequence[float | None], width: int) -> list[float | None]:
    clean = [None if value is None or not math.isfinite(value) else float(value) for value in values]
    if len(clean) <= width:
        return clean
    squeezed: list[float | None] = []
    for place in range(width):
        group = clean[place * len(clean) // width : (place + 1) * len(clean) // width]
        known = [value for value in group if value is not None]
        squeezed.append(sum(known) / len(known) if known else None)
    return squeezed


def _level(above: float, span: float, levels: int) -> int:
    share = min(1.0, max(0.0, above / span)) if span > 0 else 0.0
    return round(share * (levels - 1))
