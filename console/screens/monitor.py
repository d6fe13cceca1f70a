"""The monitor of one deployment: drift heat map, the chosen feature against its reference, performance, scores."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

import msgspec
from textual.app import ComposeResult
from textual.widget import Widget
from textual.worker import Worker

from console.glyphs import glyphs
from console.places import Place
from console.screens import monitor_data as shown
from console.screens.doing import leave
from console.screens.feature_filter import as_terms, narrowed, passes
from console.screens.over_time import OverTime
from console.screens.performance_data import performance_chart, shown_metric
from console.screens.spans import seconds
from console.screens.traffic import asked_failures, asked_windows, traffic_data
from console.text import clean, when
from console.widgets.bars import Bars, BarsData
from console.widgets.chart import Chart, ChartData
from console.widgets.heatmap import Heatmap
from console.widgets.heatmap_data import Order
from console.widgets.tracks import Tracks, TracksData
from store import protocol
from store.protocol import Distribution, DistributionParams, ListParams, Page, Performance, Refusal

#: Narrower than this the panes stand one under the other; where they do not fit, those that tab chooses.
WIDE = 110
LOW = 34
#: Panes that stand one under the other need so many lines, all of them.
HIGH = 54
#: What the monitor calls the scores among the features.
SCORE = "score"
HEAT, FEATURE, PERFORMANCE, SCORES, TRAFFIC = range(5)
#: Lines of the traffic where it stands beside the other panes.
TRAFFIC_LINES = 4
_NEXT: dict[Order, Order] = {"worst": "matters", "matters": "window", "window": "name", "name": "worst"}
_SORTED: dict[Order, str] = {
    "worst": "features by the worst window in sight",
    "matters": "features by what matters: drift times importance",
    "window": "features by their value in the cursor's window",
    "name": "features by name",
}


class Below(Widget, inherit_bindings=False):
    """The panes under the heat map."""

    DEFAULT_CSS = "Below { height: 1fr; layout: grid; grid-size: 1 3; }"


class Monitor(OverTime):
    """Panes over the same windows; the heat map's cursor chooses the feature and the window."""

    DEFAULT_CSS = """
    Monitor Heatmap { height: auto; max-height: 60%; }
    Monitor Below.-wide { grid-size: 2 2; grid-gutter: 0 2; grid-rows: 3fr 2fr; }
    Monitor Below.-wide #feature { row-span: 2; }
    Monitor Below.-low, Monitor Below.-low.-wide { grid-size: 1 1; grid-rows: 1fr; }
    Monitor Below.-low.-pair { grid-size: 1 2; }
    Monitor Below.-low.-wide { grid-size: 2 1; }
    Monitor Below.-low.-wide #feature { row-span: 1; }
    """
    topics: ClassVar[frozenset[str]] = OverTime.topics

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.heatmap = Heatmap()
        self.bars = Bars(id="feature")
        self.chart = Chart()
        self.scores = Bars(id="scores")
        self.traffic = Tracks(self.heatmap.columns, id="traffic")
        self.below = Below()
        self.drift: protocol.Heatmap | None = None
        self.performance: Performance | None = None
        self.distribution: Distribution | None = None
        self._following: Worker[None] | None = None
        #: The windows as rows, and the checks that failed in them, of the present heat map.
        self._windows: Page | None = None
        self._failures: Page | None = None
        self._failures_of: ListParams | None = None
        #: Why they could not be had.
        self._untold = ""
        self.metric = ""
        #: Where the newest windows end, once they were seen: later than that there is nothing to look for.
        self._newest: float | None = None

    def compose(self) -> ComposeResult:
        yield self.heatmap
        yield self.traffic
        with self.below:
            yield self.bars
            yield self.chart
            yield self.scores

    def on_mount(self) -> None:
        if self.place.feature:
            self.heatmap.go_to(self.place.feature, self.place.since)
        self.fetch_soon()

    def on_resize(self) -> None:
        self.below.set_class(self.size.width >= WIDE, "-wide")
        wide, height = self.size.width >= WIDE, self.size.height
        self.below.set_class(height < (LOW if wide else HIGH), "-low")
        self.below.set_class(not wide and height >= LOW, "-pair")
        self._fit()
        self.pane_chosen()

    def _fit(self) -> None:
        features = len(self.drift.features) if self.drift is not None else 4
        part = 2 if self.size.height >= 30 else 1.8
        self.heatmap.styles.height = max(7, min(features + 5, int(self.size.height / part)))
        self.traffic.styles.height = "1fr" if self.size.height < LOW else TRAFFIC_LINES

    # --- panes -------------------------------------------------------------------------------------------

    def panes(self) -> Sequence[Widget]:
        return (self.heatmap, self.bars, self.chart, self.scores, self.traffic)

    def pane_chosen(self) -> None:
        low, two = self.below.has_class("-low"), self.below.has_class("-wide") or self.below.has_class("-pair")
        pane = self.pane or FEATURE
        instead = self.size.height < LOW and pane == TRAFFIC
        self.traffic.display = self.size.height >= LOW or instead
        self.below.display = not instead
        if pane == TRAFFIC:
            pane = FEATURE
        # The pane that stands beside or under the distribution where there is room for two.
        beside = pane if pane != FEATURE else PERFORMANCE
        for number, widget in enumerate(self.panes()):
            if number not in (HEAT, TRAFFIC):
                widget.display = not low or number == pane or (two and number in (FEATURE, beside))
        if self.scores.display and not self.scores.data.labels:
            self._follow()
        if self.traffic.display and self._failures is None and self.drift is not None:
            self._follow()

    # --- which features ----------------------------------------------------------------------------------

    def do_filter(self) -> None:
        """Have a filter of the features' names typed."""
        from console.commandline import CommandLine

        line = CommandLine(
            "filter",
            "/",
            self.deck_app.history("filter"),
            value=self.place.filter,
            explain="features whose name has REGEX, !REGEX, feature=NAME; spaces mean and; empty: all",
        )
        self.deck_app.deck.type_into(line, self.set_filter)

    def set_filter(self, text: str) -> None:
        """Show the features that pass; what cannot be read as a filter changes nothing."""
        text = text.strip()
        try:
            passes(text)
        except Refusal as refusal:
            self.deck_app.deck.say_refusal(refusal)
            return
        self.with_place(filter=text)
        self._draw_heatmap()
        self.deck_app.deck.refresh_lines()
        self._follow()

    def do_back(self) -> None:
        """Out of the filter, then out of the monitor."""
        if self.place.filter:
            self.set_filter("")
        else:
            leave(self.deck_app.deck)

    def _draw_heatmap(self) -> None:
        if self.drift is not None:
            self.heatmap.update(narrowed(shown.heatmap_data(self.drift), self.place.filter))

    # --- from alarm to alarm -----------------------------------------------------------------------------

    def do_next_alarm(self) -> None:
        self._step_to_alarm(1)

    def do_last_alarm(self) -> None:
        self._step_to_alarm(-1)

    def _step_to_alarm(self, by: int) -> None:
        """To where a run of alarms began, and say how long it is: that is what one looks for first."""
        found, deck = self.heatmap.step_to_alarm(by), self.deck_app.deck
        here, cursor = self.heatmap.alarm_here(), self.heatmap.cursor
        if found is None or here is None or cursor is None:
            deck.say("no cell of these windows is an alarm")
            return
        windows = f"{here[1]} window{'' if here[1] == 1 else 's'}"
        deck.say(f"{clean(cursor[0], 40)}: alarm from {when(here[0])}, {windows} ({found[0]} of {found[1]})")

    # --- what is chosen ----------------------------------------------------------------------------------

    def heading(self) -> str:
        return f"monitor {self.place.name or 'of nothing yet'}"

    def remarks(self) -> Iterable[str]:
        yield from super().remarks()
        if self.place.filter:
            yield f"/{self.place.filter}"
        cursor = self.heatmap.cursor
        if self.drift is not None and cursor is not None and (unjudged := shown.not_judged_in(self.drift, cursor[1])):
            yield f"{glyphs().unjudged} {unjudged}"

    def listed(self) -> ListParams | None:
        drift = self.drift
        if drift is None or not drift.starts:
            return None
        return ListParams(
            "drift",
            filter=" ".join(part for part in (f"statistic={drift.statistic}", as_terms(self.place.filter)) if part),
            window=self.place.window,
            since=drift.starts[0],
            until=shown.window_end(drift, drift.starts[-1]),
            scope={"deployment": self.place.name},
        )

    def present(self) -> Place:
        cursor = self.heatmap.cursor
        return replace(self.place, feature=cursor[0]) if cursor is not None else self.place

    # --- fetching ----------------------------------------------------------------------------------------

    async def fetch(self) -> None:
        if not self.place.name:
            self.with_place(name=await self.first_deployment())
        if not self.place.name:
            self.heatmap.update(shown.no_heatmap(self.deck_app.nothing_deployed))
            for pane in (self.bars, self.scores):
                pane.update(BarsData(why="no deployment"))
            self.chart.update(ChartData(title="performance", why="no deployment"))
            self.traffic.update(TracksData(title="traffic", why="no deployment"))
            self.fetched(self.deck_app.link.heard)
            return
        self.drift, self.performance = await asyncio.gather(
            self.ask("heatmap", self.span()), self.ask("performance", self.performance_span(self.metric))
        )
        assert self.drift is not None
        assert self.performance is not None
        if self.place.until is None and self.drift.starts:
            self._newest = shown.window_end(self.drift, self.drift.starts[-1])
        self._fit()
        self._draw_heatmap()
        self.chart.update(performance_chart(self.performance, self.metric))
        self._windows = self._failures = None
        await self._fetch_distribution()
        await self._fetch_traffic()
        self.fetched(self.deck_app.link.heard)

    async def _fetch_distribution(self) -> None:
        cursor, drift = self.heatmap.cursor, self.drift
        if drift is None:
            return
        if cursor is None:
            why = self.heatmap.data.why or "no windows yet"
            self.bars.update(BarsData(title="distribution", why=why))
            self.scores.update(BarsData(title="scores", why=why))
            return
        feature, start = cursor
        asked = DistributionParams(self.place.name, feature, start, shown.window_end(drift, start))
        distribution: Distribution = await self.ask("distribution", asked)
        self.distribution = distribution
        self.bars.update(shown.bars_data(distribution, drift.statistic))
        if self.scores.display:
            await self._fetch_scores(asked)

    async def _fetch_scores(self, asked: DistributionParams) -> None:
        try:
            scores: Distribution = await self.ask("distribution", msgspec.structs.replace(asked, feature=SCORE))
        except Refusal:
            self.scores.update(BarsData(title="scores", why="this version gives no scores"))
            return
        data = shown.bars_data(scores, self.place.statistic or "psi")
        self.scores.update(replace(data, title=data.title.replace(SCORE, "scores", 1)))

    async def _fetch_traffic(self) -> None:
        """What the tracks show, as far as they are in sight and it is not known yet."""
        drift, cursor = self.drift, self.heatmap.cursor
        if drift is None:
            return
        chosen = cursor[1] if cursor is not None else None
        if drift.starts and self.traffic.display:
            try:
                if self._windows is None:
                    self._windows = await self.ask("list", asked_windows(drift, self.place.window))
                asked = asked_failures(drift, self.place.window, chosen)
                if self._failures is None or self._failures_of != asked:
                    self._failures, self._failures_of = await self.ask("list", asked), asked
                self._untold = ""
            except Refusal as refusal:
                self._untold = refusal.message
        self._draw_traffic()

    def _draw_traffic(self) -> None:
        cursor = self.heatmap.cursor
        if self.drift is not None:
            chosen = cursor[1] if cursor is not None else None
            self.traffic.update(traffic_data(self.drift, self._windows, self._failures, chosen, self._untold))

    def _follow(self) -> None:
        # The function, not its coroutine: one that is followed by another before it began is never awaited.
        self._following = self.run_worker(self._follow_cursor, group="distribution", exclusive=True)

    async def _follow_cursor(self) -> None:
        # A key held down passes over many cells; only where it rests is asked for.
        await asyncio.sleep(0.05)
        try:
            await self._fetch_distribution()
            await self._fetch_traffic()
        except Refusal as refusal:
            self.bars.update(BarsData(title="distribution", why=refusal.message))
            self._untold = refusal.message
            self._draw_traffic()

    def on_heatmap_cell_highlighted(self, message: Heatmap.CellHighlighted) -> None:
        message.stop()
        # At once: the tracks stand on the heat map's axis, which may have moved.
        self._draw_traffic()
        self.deck_app.deck.refresh_lines()
        self._follow()

    def on_heatmap_cell_selected(self, message: Heatmap.CellSelected) -> None:
        message.stop()
        self.choose_pane(HEAT)
        self.deck_app.deck.do("open")

    def on_heatmap_beyond(self, message: Heatmap.Beyond) -> None:
        """Past the windows there are: half a span earlier or later."""
        message.stop()
        drift = self.drift
        if drift is None or not drift.starts:
            return
        end = shown.window_end(drift, drift.starts[-1])
        half = seconds(self.place.span) / 2
        if message.by > 0:
            if self.place.until is None:
                return
            later = end + half
            newest = self._newest is None or later >= self._newest or message.by > 1
            self.with_place(until=None if newest else later)
        elif message.by == -1:
            full = end - drift.starts[0] >= seconds(self.place.span) * 0.9
            if not full:
                self.deck_app.deck.say("there is no earlier data", "warning")
                return
            self.with_place(until=end - half)
        else:
            return
        self.fetch_soon()

    # --- actions of this view ----------------------------------------------------------------------------

    def do_open(self) -> None:
        """From a cell, or the distribution, to the feature; from performance and scores to their pages."""
        if self.pane == PERFORMANCE:
            scope = (("deployment", self.place.name),)
            place = Place("performance", scope=scope, window=self.place.window, span=self.place.span)
            self.deck_app.deck.go(replace(place, until=self.place.until), drill=True)
            return
        cursor = self.heatmap.cursor
        if self.pane == TRAFFIC:
            self._open_traffic(cursor[1] if cursor is not None else None)
            return
        if cursor is None:
            return
        feature = SCORE if self.pane == SCORES else cursor[0]
        self.deck_app.deck.go(
            replace(self.place, view="feature", feature=feature, since=cursor[1], cursor=None, filter=""), drill=True
        )

    def _open_traffic(self, chosen: float | None) -> None:
        """To the failed checks of the windows that are looked at."""
        if self.drift is None or not self.drift.starts:
            return
        asked = asked_failures(self.drift, self.place.window, chosen)
        place = Place("quality", scope=tuple(asked.scope.items()), window=asked.window, filter=asked.filter)
        self.deck_app.deck.go(replace(place, since=asked.since, until=asked.until), drill=True)

    def do_sort(self) -> None:
        """The heat map's features in another order."""
        order = _NEXT[self.heatmap.order]
        if order == "matters" and not self.heatmap.data.basis:
            order = _NEXT[order]
        self.heatmap.order_by(order)
        said = _SORTED[order]
        if order == "matters" and self.heatmap.data.basis == "correlation":
            said = "features by what matters: drift times its correlation with worse performance"
        self.deck_app.deck.say(said)

    def do_statistic(self) -> None:
        self.pick_statistic(self.distribution.statistics if self.distribution is not None else [])

    def do_metric(self) -> None:
        performance = self.performance
        self.pick_metric(performance, shown_metric(performance, self.metric) if performance is not None else "")

    def metric_chosen(self, metric: str) -> None:
        self.metric = clean(metric, 60)
        self.fetch_soon()
