"""One run: its metrics, and the curve of the chosen one as it comes in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult

from console.glyphs import glyphs
from console.places import Place
from console.screens.static_rows import StaticRows
from console.screens.view import View
from console.text import clean, number
from console.widgets import table_messages
from console.widgets.chart import Chart, ChartData, Series
from console.widgets.rows import Column
from console.widgets.table import RowTable
from store.protocol import Change, MetricSeries, RunMetrics, RunMetricsParams

#: Curves of the same thing on different data are drawn together: train_auc, valid_auc.
_SPLIT = re.compile(r"^(train|training|valid|validation|val|test|eval)[_./-]")
_COLUMNS = (
    Column("id", priority=-1),
    Column("metric", priority=0),
    Column("last", "number", priority=0),
    Column("lowest", "number", priority=2),
    Column("highest", "number", priority=2),
    Column("points", "number", priority=3),
)


def family(metric: str) -> str:
    """What a metric measures, whatever data it was measured on."""
    return _SPLIT.sub("", metric)


class RunView(View):
    """The metrics as rows, the chosen one's family as curves."""

    topics: ClassVar[frozenset[str]] = frozenset({"runs"})
    DEFAULT_CSS = """
    RunView { layout: vertical; }
    RunView > RowTable { height: auto; max-height: 40%; min-height: 4; }
    RunView.-wide { layout: horizontal; }
    RunView.-wide > RowTable { width: 46; height: 1fr; max-height: 100%; }
    RunView.-wide > Chart { width: 1fr; }
    """

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.table = RowTable(empty_text="no metrics yet: they come in as metrics.jsonl grows")
        self.chart = Chart()
        self.metrics: RunMetrics | None = None

    def compose(self) -> ComposeResult:
        yield self.table
        yield self.chart

    def on_mount(self) -> None:
        self.fetch_soon()

    def on_resize(self) -> None:
        self.set_class(self.size.width >= 100, "-wide")
        self._fit()

    def heading(self) -> str:
        return f"run {self.place.name}"

    def remarks(self) -> Iterable[str]:
        if self.metrics is not None:
            from console.glyphs import health_level

            yield f"{glyphs().health(health_level(self.metrics.status))} {self.metrics.status}"
            yield f"{number(sum(series.total for series in self.metrics.series))} points"

    def row_id(self) -> str | None:
        return self.place.name

    def chosen(self) -> tuple[str, str]:
        return "runs", self.place.name

    def subject(self) -> str:
        return self.place.name

    def concerns(self, change: Change) -> bool:
        return super().concerns(change) and (not change.subjects or self.place.name in change.subjects)

    async def fetch(self) -> None:
        metrics: RunMetrics = await self.ask("run_metrics", RunMetricsParams(self.place.name))
        first = self.metrics is None
        self.metrics = metrics
        rows = [_row(series) for series in metrics.series]
        self.table.show(StaticRows(_COLUMNS, rows), keep_cursor=not first)
        self._fit()
        self._draw()
        self.fetched(self.deck_app.link.heard)

    def _fit(self) -> None:
        if self.metrics is not None and not self.has_class("-wide"):
            self.table.styles.height = len(self.metrics.series) + 1

    def on_row_table_row_highlighted(self, message: table_messages.RowHighlighted) -> None:
        message.stop()
        self._draw()

    def on_row_table_row_selected(self, message: table_messages.RowSelected) -> None:
        message.stop()
        self.deck_app.deck.do("describe")

    def _draw(self) -> None:
        if self.metrics is None:
            return
        names = [series.metric for series in self.metrics.series]
        chosen = self.table.cursor_id or (names[0] if names else "")
        shown = [series for series in self.metrics.series if family(series.metric) == family(chosen)]
        data = ChartData(
            series=tuple(
                Series(clean(series.metric, 24), tuple(zip(map(float, series.steps), series.values, strict=True)))
                for series in shown
            ),
            x_kind="number",
            title=clean(f"{family(chosen)} by step", 60) if chosen else "",
            why="no points yet",
        )
        self.chart.update(data)


def _row(series: MetricSeries) -> tuple[str | float | None, ...]:
    known = [value for value in series.values if value is not None]
    last = next((value for value in reversed(series.values) if value is not None), None)
    return (
        series.metric,
        series.metric,
        last,
        min(known, default=None),
        max(known, default=None),
        series.total,
    )
