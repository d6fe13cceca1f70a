"""Performance of one deployment over time: measured, estimated, not yet knowable; by window, by slice, label delay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widget import Widget

from console.glyphs import glyphs
from console.places import Place
from console.screens import performance_data as shown
from console.screens.chrome import Line
from console.screens.over_time import OverTime
from console.widgets.chart import Chart, ChartData
from console.widgets.figures import Figures, FiguresData
from store.protocol import ListParams, Performance

LOW = 34
CHART, WINDOWS, SLICES, DELAYS = range(4)


class PerformancePanes(Widget, can_focus=True, inherit_bindings=False):
    """The chart above, the tables below; holds the keys that page through them and through time."""

    DEFAULT_CSS = """
    PerformancePanes { height: 1fr; layout: vertical; }
    PerformancePanes Chart { height: 3fr; }
    PerformancePanes Figures { height: 2fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pagedown,down,j", "page(1)", "Page down", show=False, id="performance.page_down"),
        Binding("pageup,up,k", "page(-1)", "Page up", show=False, id="performance.page_up"),
        Binding("left,h", "earlier(1)", "Earlier", show=False, id="performance.left"),
        Binding("right,l", "earlier(-1)", "Later", show=False, id="performance.right"),
    ]

    def __init__(self, view: PerformanceView) -> None:
        super().__init__()
        self.view = view

    def action_page(self, by: int) -> None:
        for table in self.query(Figures):
            if table.display:
                table.page(by)

    def action_earlier(self, halves: int) -> None:
        self.view.move(halves)


class PerformanceView(OverTime):
    """The scope's deployment; enter leads to the rows of the listing."""

    DEFAULT_CSS = "PerformanceView { layout: vertical; }"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.chart = Chart()
        self.known = Line("known")
        self.windows = Figures()
        self.slices = Figures()
        self.delays = Figures()
        self.box = PerformancePanes(self)
        self.performance: Performance | None = None
        self.metric = ""
        self.column = ""
        self._newest: float | None = None

    def compose(self) -> ComposeResult:
        with self.box:
            yield self.chart
            yield self.known
            yield self.windows
            yield self.slices
            yield self.delays

    def on_mount(self) -> None:
        self.choose_pane(WINDOWS)
        self.fetch_soon()

    # --- what is chosen ----------------------------------------------------------------------------------

    def deployment(self) -> str:
        return dict(self.place.scope).get("deployment", "")

    def heading(self) -> str:
        return f"performance of {self.deployment() or 'nothing yet'}"

    def remarks(self) -> Iterable[str]:
        if self.performance is not None:
            yield shown.shown_metric(self.performance, self.metric) or "no metric yet"
        yield from super().remarks()

    def listed(self) -> ListParams | None:
        performance = self.performance
        if performance is None or not performance.starts:
            return None
        metric = shown.shown_metric(performance, self.metric)
        return ListParams(
            "performance",
            filter=f"metric={metric}" if metric else "",
            window=self.place.window,
            since=performance.starts[0],
            until=performance.starts[-1] + performance.window_seconds,
            scope={"deployment": self.deployment()},
        )

    def panes(self) -> Sequence[Widget]:
        return (self.chart, self.windows, self.slices, self.delays)

    def do_pane(self) -> None:
        # The chart is always in sight: tab goes through the tables.
        self.choose_pane(WINDOWS if self.pane in (CHART, DELAYS) else self.pane + 1)

    def pane_chosen(self) -> None:
        table = self.pane or WINDOWS
        for number, widget in enumerate(self.panes()):
            widget.display = number in (CHART, table)

    # --- fetching ----------------------------------------------------------------------------------------

    async def fetch(self) -> None:
        if not self.deployment():
            name = await self.first_deployment()
            if not name:
                self.chart.update(ChartData(title="performance", why="no deployment"))
                for table in (self.windows, self.slices, self.delays):
                    table.update(FiguresData("performance", why=self.deck_app.nothing_deployed))
                self.fetched(self.deck_app.link.heard)
                return
            self.with_place(scope=(("deployment", name),))
        performance: Performance = await self.ask("performance", self.performance_span(self.metric, self.column))
        if not self.column and performance.slices:
            # The first column there is, so that the pane is never empty for want of a choice.
            self.column = performance.slices[0]
            performance = await self.ask("performance", self.performance_span(self.metric, self.column))
        self.performance = performance
        if self.place.until is None and performance.starts:
            self._newest = performance.starts[-1] + performance.window_seconds
        metric = shown.shown_metric(performance, self.metric)
        self.chart.update(shown.performance_chart(performance, metric))
        self.windows.update(shown.windows_table(performance, metric))
        self.slices.update(shown.slices_table(performance, metric, self.column))
        self.delays.update(shown.delays_table(performance))
        self._say_frontier()
        self.fetched(self.deck_app.link.heard)

    def on_resize(self) -> None:
        self._say_frontier()

    def _say_frontier(self) -> None:
        """How far labels have come, as much of it as the line holds."""
        if self.performance is None:
            return
        said = ""
        for part in shown.frontier_line(self.performance):
            longer = f"{said} {glyphs().separator} {part}" if said else f" {part}"
            said = longer if len(longer) <= self.size.width else said
        self.known.put([(said, "")])

    def move(self, halves: int) -> None:
        """Half a span earlier (1) or later (-1)."""
        from console.screens.spans import seconds

        performance = self.performance
        if performance is None or not performance.starts or (halves < 0 and self.place.until is None):
            return
        end = performance.starts[-1] + performance.window_seconds
        if halves > 0 and end - performance.starts[0] < seconds(self.place.span) * 0.9:
            self.deck_app.deck.say("there is no earlier data", "warning")
            return
        until = end - halves * seconds(self.place.span) / 2
        self.with_place(until=None if self._newest is None or until >= self._newest else until)
        self.fetch_soon()

    # --- actions of this view ----------------------------------------------------------------------------

    def do_open(self) -> None:
        """To the rows of the listing, which can be filtered and sorted."""
        metric = shown.shown_metric(self.performance, self.metric) if self.performance is not None else ""
        place = Place("performance", scope=self.place.scope, window=self.place.window)
        self.deck_app.deck.go(replace(place, filter=f"metric={metric}" if metric else "metric:."), drill=True)

    def do_filter(self) -> None:
        self.do_open()

    def do_mark(self) -> None:
        self.do_open()

    def do_sort(self) -> None:
        self.do_open()

    def do_metric(self) -> None:
        performance = self.performance
        self.pick_metric(performance, shown.shown_metric(performance, self.metric) if performance is not None else "")

    def metric_chosen(self, metric: str) -> None:
        self.metric = metric
        self.fetch_soon()

    def do_slice(self) -> None:
        """Choose the column whose values are told apart."""
        from console.screens.picker import Choice, Picker
        from console.widgets.rows import Column

        columns = self.performance.slices if self.performance is not None else []
        if not columns:
            self.deck_app.deck.say("this model names no slices in its model.json", "warning")
            return

        def chosen(column: str | None) -> None:
            if column:
                self.column = column
                self.choose_pane(SLICES)
                self.fetch_soon()

        choices = [Choice(column, (column,)) for column in columns]
        self.deck_app.deck.ask(
            Picker("Slices by", [Column("column", priority=0)], choices, search=True, current=self.column), chosen
        )
