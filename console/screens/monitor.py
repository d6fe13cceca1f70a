"""The monitor of one deployment: drift heat map, the chosen feature against its reference, performance over time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.widget import Widget

from console.places import Place
from console.screens import monitor_data as shown
from console.screens.view import View
from console.text import clean, when
from console.widgets.bars import Bars, BarsData
from console.widgets.chart import Chart
from console.widgets.heatmap import Heatmap
from store import protocol
from store.protocol import (
    Distribution,
    DistributionParams,
    ListParams,
    Page,
    Performance,
    PerformanceParams,
    Refusal,
    SpanParams,
)

DEFAULT_WINDOW = "1d"
#: Windows that one answer covers.
COUNT = 120
#: Narrower than this the panes stand one under the other, two at a time.
WIDE = 110


class Below(Widget, inherit_bindings=False):
    """The panes under the heat map."""

    DEFAULT_CSS = "Below { height: 1fr; layout: vertical; }"


class Monitor(View):
    """Three panes over the same windows; the heat map's cursor chooses the feature and the window."""

    topics: ClassVar[frozenset[str]] = frozenset(
        {"drift", "performance", "windows", "alerts", "revisions", "deployments", "predictions", "labels"}
    )
    DEFAULT_CSS = """
    Monitor { layout: vertical; }
    Monitor Heatmap { height: auto; max-height: 60%; }
    Monitor Below.-wide { layout: horizontal; }
    Monitor Below Bars { height: 1fr; width: 1fr; }
    Monitor Below Chart { height: 1fr; width: 1fr; }
    Monitor Below.-wide Chart { margin-left: 2; }
    Monitor Below.-low Chart { display: none; }
    Monitor Below.-low.-performance Chart { display: block; }
    Monitor Below.-low.-performance Bars { display: none; }
    """

    def __init__(self, place: Place) -> None:
        super().__init__(replace(place, window=place.window or DEFAULT_WINDOW))
        self.heatmap = Heatmap()
        self.bars = Bars()
        self.chart = Chart()
        self.below = Below()
        self.drift: protocol.Heatmap | None = None
        self.performance: Performance | None = None
        self.metric = 0

    def compose(self) -> ComposeResult:
        yield self.heatmap
        with self.below:
            yield self.bars
            yield self.chart

    def on_mount(self) -> None:
        self.fetch_soon()

    def on_resize(self) -> None:
        self.below.set_class(self.size.width >= WIDE, "-wide")
        self.below.set_class(self.size.width < WIDE and self.size.height < 34, "-low")
        self._fit()

    def _fit(self) -> None:
        features = len(self.drift.features) if self.drift is not None else 4
        share = 2 if self.size.height >= 30 else 1.8
        self.heatmap.styles.height = max(7, min(features + 5, int(self.size.height / share)))

    # --- what is chosen ----------------------------------------------------------------------------------

    def heading(self) -> str:
        return f"monitor {self.place.name or 'of nothing yet'}"

    def remarks(self) -> Iterable[str]:
        yield f"windows of {self.place.window}"
        cursor = self.heatmap.cursor
        if cursor is not None:
            yield f"{clean(cursor[0], 24)} at {when(cursor[1])}"

    def row_id(self) -> str | None:
        return self.place.name or None

    def chosen(self) -> tuple[str, str]:
        return ("deployments", self.place.name) if self.place.name else ("", "")

    def subject(self) -> str:
        return self.place.name

    def deployment(self) -> str:
        return self.place.name

    # --- fetching ----------------------------------------------------------------------------------------

    async def fetch(self) -> None:
        if not self.place.name:
            await self._choose_deployment()
        if not self.place.name:
            self.heatmap.update(shown.no_heatmap("nothing is deployed yet: open the versions with 4 and press P"))
            self.bars.update(BarsData(why="no deployment"))
            return
        place = self.place
        span = SpanParams(place.name, place.window, place.since, place.until, count=COUNT)
        performance = PerformanceParams(place.name, [], place.window, place.since, place.until, count=COUNT)
        self.drift, self.performance = await asyncio.gather(
            self.ask("heatmap", span), self.ask("performance", performance)
        )
        assert self.drift is not None
        assert self.performance is not None
        self._fit()
        self.heatmap.update(shown.heatmap_data(self.drift))
        self._draw_performance()
        await self._fetch_distribution()
        self.fetched(self.deck_app.link.heard)

    async def _choose_deployment(self) -> None:
        """The one deployment there is, or the first of several."""
        page: Page = await self.ask("list", ListParams("deployments", limit=1))
        if page.rows:
            self.with_place(name=str(page.rows[0][0]))

    async def _fetch_distribution(self) -> None:
        cursor, drift = self.heatmap.cursor, self.drift
        if cursor is None or drift is None:
            self.bars.update(BarsData(title="distribution", why=(drift.why if drift else "") or "no windows yet"))
            return
        feature, start = cursor
        asked = DistributionParams(self.place.name, feature, start, shown.window_end(drift, start))
        distribution: Distribution = await self.ask("distribution", asked)
        self.bars.update(shown.bars_data(distribution))

    def _draw_performance(self) -> None:
        if self.performance is not None:
            names = shown.metric_names(self.performance)
            metric = names[self.metric % len(names)] if names else ""
            self.chart.update(shown.performance_chart(self.performance, metric, len(names) > 1))

    def on_heatmap_cell_highlighted(self, message: Heatmap.CellHighlighted) -> None:
        message.stop()
        self.deck_app.deck.refresh_lines()
        self.run_worker(self._follow_cursor(), group="distribution", exclusive=True)

    async def _follow_cursor(self) -> None:
        # A key held down passes over many cells; only where it rests is asked for.
        await asyncio.sleep(0.05)
        try:
            await self._fetch_distribution()
        except Refusal as refusal:
            self.bars.update(BarsData(title="distribution", why=refusal.message))

    def on_heatmap_cell_selected(self, message: Heatmap.CellSelected) -> None:
        message.stop()
        self.deck_app.deck.do("open")

    # --- actions of this view ----------------------------------------------------------------------------

    def do_open(self) -> None:
        """From a cell to the drift rows of its window; on a low screen the other pane first."""
        if self.below.has_class("-low"):
            self.below.toggle_class("-performance")
            return
        self._rows_of_window()

    def _rows_of_window(self) -> None:
        cursor, drift = self.heatmap.cursor, self.drift
        if cursor is None or drift is None:
            return
        scope = (("deployment", self.place.name),)
        until = shown.window_end(drift, cursor[1])
        place = Place("drift", scope=scope, window=self.place.window, since=cursor[1], until=until)
        self.deck_app.deck.go(place, drill=True)

    def do_sort(self) -> None:
        """The next metric of the performance pane."""
        self.metric += 1
        self._draw_performance()

    def do_windows(self) -> None:
        from console.screens.doing import pick_window

        deck = self.deck_app.deck
        pick_window(deck, self.place.window, lambda window: deck.go(replace(self.place, window=window)))
