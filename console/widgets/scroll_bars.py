"""Scroll bars without the eighth-block glyphs that an ASCII terminal cannot show."""

from __future__ import annotations

from textual.scrollbar import ScrollBar, ScrollBarRender

from console.glyphs import glyphs


class PlainScrollBarRender(ScrollBarRender):
    """Whole cells only: the thumb is a run of reversed blanks."""

    VERTICAL_BARS = (" ",) * 8  # type: ignore[assignment]
    HORIZONTAL_BARS = (" ",) * 8  # type: ignore[assignment]


def fit_scroll_bars() -> None:
    """Make every scroll bar of this process fit the glyphs of this process; the app calls it once."""
    ScrollBar.renderer = PlainScrollBarRender if glyphs().ascii else ScrollBarRender


def thumb_of(height: int, virtual: int, top: int) -> tuple[int, int, int, bool]:
    """What of a scroll bar can be seen: its height, the thumb's start and length in eighths of a cell, any thumb."""
    length = max(8, int(8 * height * height / max(virtual, height)))
    start = int((8 * height - length) * top / max(1, virtual - height))
    return height, start, length, virtual > height
