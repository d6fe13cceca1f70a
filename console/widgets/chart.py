"""A line chart over time or steps: plotext in a thread, so that the keys stay live while it loads and draws."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.strip import Strip as TextStrip
from textual.widget import Widget
from textual.worker import Worker

from console.glyphs import glyphs
from console.text import loading
from console.widgets.chart_data import ChartData, ChartMark, Hatch, Picture, Series, Strip, Threshold
from console.widgets.chart_draw import draw

__all__ = ["Chart", "ChartData", "ChartMark", "Hatch", "Series", "Strip", "Threshold"]

_SERIES_STYLES = 6
_PICTURES = 6


class Chart(Widget):
    """Shows a `ChartData`; `chart.update(data)` draws anew only when the data or the size is another.

    Lines are told apart by a letter at their last point and in the legend, not by colour alone; marks are
    vertical lines with a letter on the axis; thresholds are dashed. Until a new picture is ready the last one
    stays. `await drawn()` waits for it.
    """

    DEFAULT_CSS = """
    Chart { height: 1fr; min-height: 5; background: $background; color: $foreground; }
    Chart > .chart--title { text-style: bold; color: $foreground; }
    Chart > .chart--axis { color: $text-muted; }
    Chart > .chart--mark { color: $text-accent; text-style: bold; }
    Chart > .chart--threshold { color: $text-error; }
    Chart > .chart--noise { color: $text-muted; }
    Chart > .chart--band { color: $text-muted; }
    Chart > .chart--hatch { color: $text-muted; }
    Chart > .chart--strip { color: $text-primary; }
    Chart > .chart--series-0 { color: $text-primary; }
    Chart > .chart--series-1 { color: $text-warning; }
    Chart > .chart--series-2 { color: $text-success; }
    Chart > .chart--series-3 { color: $text-secondary; }
    Chart > .chart--series-4 { color: $text-accent; }
    Chart > .chart--series-5 { color: $foreground; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "chart--title",
        "chart--axis",
        "chart--mark",
        "chart--threshold",
        "chart--noise",
        "chart--band",
        "chart--hatch",
        "chart--strip",
        *(f"chart--series-{number}" for number in range(_SERIES_STYLES)),
    }
    ALLOW_SELECT = False

    def __init__(
        self,
        data: ChartData | None = None,
        *,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._data = data or ChartData(why=loading())
        self._picture: Picture | None = None
        self._pictures: OrderedDict[tuple[ChartData, Size, bool], Picture] = OrderedDict()
        self._styles: dict[str, Style] = {}
        self._drawn = asyncio.Event()
        self._drawing: Worker[None] | None = None

    @property
    def data(self) -> ChartData:
        """What the chart shows."""
        return self._data

    def update(self, data: ChartData) -> None:
        """Show other data; the same data again does nothing."""
        if data != self._data:
            self._data = data
            self._request()

    async def drawn(self) -> None:
        """Wait until the picture fits the data and the size; at once where it is not shown."""
        await self._drawn.wait()

    def on_resize(self) -> None:
        self._request()

    def on_hide(self) -> None:
        self._drawn.set()

    def _request(self) -> None:
        size = self.size
        if not self.is_mounted or not size.width or not size.height:
            # Nothing to draw where it is not shown; it is laid out anew when it is.
            self._drawn.set()
            return
        found = self._pictures.get((self._data, size, glyphs().ascii))
        if found is not None:
            self._show(found)
            return
        self._drawn.clear()
        self._drawing = self.run_worker(self._draw, group="chart", exclusive=True)

    async def _draw(self) -> None:
        data, size = self._data, self.size
        picture = await asyncio.to_thread(draw, data, size.width, size.height)
        self._pictures[data, size, glyphs().ascii] = picture
        while len(self._pictures) > _PICTURES:
            self._pictures.popitem(last=False)
        if data == self._data and size == self.size:
            self._show(picture)

    def _show(self, picture: Picture) -> None:
        if picture is not self._picture:
            self._picture = picture
            self.refresh()
        self._drawn.set()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles = {}

    def render_line(self, y: int) -> TextStrip:
        base = self._style("")
        if self._picture is None or y >= self._picture.height:
            return TextStrip.blank(self.size.width, base)
        segments: list[Segment] = []
        run, run_part = "", ""
        for character, part in self._picture.rows[y]:
            if part != run_part and run:
                segments.append(Segment(run, self._style(run_part)))
                run = ""
            run, run_part = run + character, part
        segments.append(Segment(run, self._style(run_part)))
        return TextStrip(segments, self._picture.width).adjust_cell_length(self.size.width, base)

    def _style(self, part: str) -> Style:
        if part not in self._styles:
            name = part
            if part.startswith("series-"):
                name = f"series-{int(part.removeprefix('series-')) % _SERIES_STYLES}"
            self._styles[part] = self.get_component_rich_style(f"chart--{name}") if part else self.rich_style
        return self._styles[part]
