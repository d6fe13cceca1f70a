"""One run: its metrics, and the curve of the chosen one as it comes in."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.app import ComposeResult

from console.glyphs import glyphs
from console.places import Place
from console.screens.shaping import SILENCE_INTERVAL
from console.screens.static_rows import StaticRows
from console.screens.view import View
from console.text import clean, number, when
from console.widgets import table_messages
from console.widgets.chart import Chart, ChartData, Series
from console.widgets.chart_data import ChartMark
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


#: Attempts drawn as curves of their own, the latest ones, and vertical lines where values are no numbers.
CURVES = 4
MARKS = 8


def _short_time(moment: float, now: float) -> str:
    """A moment of the last day without its date: the line is narrow, and says what day it is."""
    whole = when(moment)
    return whole.partition(" ")[2] if 0 <= now - moment < 86_400 else whole


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
        self.set_interval(SILENCE_INTERVAL, self._fetch_again)
        self.fetch_soon()

    def on_resize(self) -> None:
        self.set_class(self.size.width >= 100, "-wide")
        self._fit()

    def heading(self) -> str:
        return f"run {self.place.name}"

    def remarks(self) -> Iterable[str]:
        if self.metrics is not None:
            from console.glyphs import health_level

            metrics = self.metrics
            if metrics.silence:
                yield f"{glyphs().health('warning')} {metrics.silence}"
                if metrics.last_metric is not None:
                    yield f"last metric {_short_time(metrics.last_metric, self.deck_app.at or time.time())}"
            else:
                yield f"{glyphs().health(health_level(metrics.status))} {metrics.status}"
            yield f"{number(sum(series.total for series in metrics.series))} points"
            if metrics.attempts > 1:
                yield f"{metrics.attempts} attempts"

    def row_id(self) -> str | None:
        return self.place.name

    def chosen(self) -> tuple[str, str]:
        return "runs", self.place.name

    def subject(self) -> str:
        return self.place.name

    def concerns(self, change: Change) -> bool:
        return super().concerns(change) and (not change.subjects or self.place.name in change.subjects)

    def _fetch_again(self) -> None:
        if self.metrics is not None and self.metrics.status == "running" and self.deck_app.at is None:
            self.fetch_soon()

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
        self.chart.update(chart_data(chosen, shown))


def chart_data(chosen: str, shown: Sequence[MetricSeries]) -> ChartData:
    """The curves of one family, an attempt each; where a value is NaN or infinite stands a line with N or I."""
    odd = sorted(
        (float(step), value)
        for series in shown
        for step, value in zip(series.steps, series.values, strict=True)
        if not isinstance(value, float)
    )
    first_of_each = [place for place, (_, value) in enumerate(odd) if place == 0 or value != odd[place - 1][1]]
    title = clean(f"{family(chosen)} by step", 60) if chosen else ""
    if odd:
        title += f", {odd[0][1]} at step {number(int(odd[0][0]))}" + (f" and {len(odd) - 1} more" if odd[1:] else "")
    attempts = max((max(series.attempts, default=1) for series in shown), default=1)
    if attempts > CURVES:
        title += f", the last {CURVES} of {attempts} attempts"
    points = sum(series.total for series in shown)
    return ChartData(
        series=tuple(curve for series in shown for curve in _curves(series)),
        marks=tuple(
            ChartMark(odd[place][0], "N" if odd[place][1] == "nan" else "I") for place in first_of_each[:MARKS]
        ),
        x_kind="number",
        title=title,
        why=f"{number(points)} points, none of them a finite number" if points else "no points yet",
        whole_span=bool(odd),
    )


def _curves(series: MetricSeries) -> Iterable[Series]:
    attempts = series.attempts or [1] * len(series.steps)
    numbers = sorted(set(attempts))[-CURVES:]
    for number_ in numbers:
        points = tuple(
            (float(step), value if isinstance(value, float) else None)
            for step, value, attempt in zip(series.steps, series.values, attempts, strict=True)
            if attempt == number_
        )
        name = f"{clean(series.metric, 20)} #{number_}" if len(numbers) > 1 else clean(series.metric, 24)
        yield Series(name, points)


def _row(series: MetricSeries) -> tuple[str | float | None, ...]:
    return (series.metric, series.metric, series.last, series.lowest, series.highest, series.total)
