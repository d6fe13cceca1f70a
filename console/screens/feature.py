"""One feature of a deployment: distribution against the reference, drift over time, what changed, all statistics."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widget import Widget

from console.command_lines import feature_command
from console.glyphs import glyphs
from console.places import Place
from console.quoting import in_quotes
from console.screens import monitor_data as shown
from console.screens.over_time import OverTime
from console.text import clean, when
from console.widgets.bars import Bars, BarsData
from console.widgets.chart import Chart
from console.widgets.figures import Figures
from store import protocol
from store.protocol import NOT_JUDGED, Distribution, DistributionParams, ListParams, Page, reason_words

WIDE = 110
LOW = 34
#: As many bars as the agent tells: bins are merged to what the pane holds, categories are all looked at.
BARS = 200


class FeaturePanes(Widget, can_focus=True, inherit_bindings=False):
    """The four panes; holds the keys that step through windows and features."""

    DEFAULT_CSS = """
    FeaturePanes { height: 1fr; layout: grid; grid-size: 1 4; }
    FeaturePanes.-wide { grid-size: 2 2; grid-gutter: 0 2; grid-rows: 3fr 2fr; }
    FeaturePanes.-low { grid-size: 1 2; grid-rows: 1fr 1fr; }
    FeaturePanes.-low.-wide { grid-size: 2 1; grid-rows: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "step(-1, 0)", "Earlier window", show=False, id="feature.left"),
        Binding("right,l", "step(1, 0)", "Later window", show=False, id="feature.right"),
        Binding("up,k", "step(0, -1)", "Feature before", show=False, id="feature.up"),
        Binding("down,j", "step(0, 1)", "Next feature", show=False, id="feature.down"),
        Binding("home", "step(-1000000, 0)", "First window", show=False, id="feature.first"),
        Binding("end", "step(1000000, 0)", "Newest window", show=False, id="feature.last"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="feature.page_down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="feature.page_up"),
    ]

    def __init__(self, view: FeatureView) -> None:
        super().__init__()
        self.view = view

    def action_step(self, windows: int, features: int) -> None:
        self.view.step(windows, features)

    def action_page(self, by: int) -> None:
        self.view.page(by)


class FeatureView(OverTime):
    """`place.feature` in the window that begins at `place.since` (the newest without it)."""

    DEFAULT_CSS = "FeatureView { layout: vertical; }"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.bars = Bars()
        self.chart = Chart()
        self.changes = Figures()
        self.figures = Figures()
        self.box = FeaturePanes(self)
        self.drift: protocol.Heatmap | None = None
        self.distribution: Distribution | None = None
        #: Features in the order in which up and down go through them.
        self._features: list[str] = []

    def compose(self) -> ComposeResult:
        with self.box:
            yield from self.panes()

    def on_mount(self) -> None:
        self.choose_pane(0)
        self.fetch_soon()

    def on_resize(self) -> None:
        self.box.set_class(self.size.width >= WIDE, "-wide")
        self.box.set_class(self.size.height < LOW, "-low")
        self.pane_chosen()

    # --- what is chosen ----------------------------------------------------------------------------------

    def heading(self) -> str:
        return f"{clean(self.place.feature, 40)} of {self.place.name}"

    def remarks(self) -> list[str]:
        start = self.start
        remarks = [when(start) if start is not None else "no windows yet", *super().remarks()]
        if self.distribution is not None and self.distribution.reason:
            remarks.append(f"{glyphs().unjudged} {NOT_JUDGED}: {reason_words(self.distribution.reason)}")
        return remarks

    def copied(self) -> str:
        """The command line that says the same."""
        if self.drift is None or self.start is None:
            return self.place.feature
        return feature_command(msgspec.structs.replace(self._asked(self.drift, self.start), at=self.deck_app.at))

    def _asked(self, drift: protocol.Heatmap, start: float) -> DistributionParams:
        """The window that is looked at."""
        end = shown.window_end(drift, start)
        return DistributionParams(self.place.name, self.place.feature, start, end, bars=BARS)

    def panes(self) -> Sequence[Widget]:
        return (self.bars, self.chart, self.changes, self.figures)

    def pane_chosen(self) -> None:
        low = self.box.has_class("-low")
        other = self.pane or 1
        for number, widget in enumerate(self.panes()):
            widget.display = not low or number in (0, other)

    @property
    def start(self) -> float | None:
        """The beginning of the window that is looked at."""
        if self.drift is None or not self.drift.starts:
            return None
        if self.place.since is None:
            return self.drift.starts[-1]
        since = self.place.since
        return min(self.drift.starts, key=lambda start: abs(start - since))

    # --- fetching ----------------------------------------------------------------------------------------

    async def fetch(self) -> None:
        drift: protocol.Heatmap = await self.ask("heatmap", self.span())
        self.drift = drift
        known = [name for name in self._features if name in drift.features]
        # The order of the first answer stays, so that up and down do not lose their way.
        self._features = known + [name for name in drift.features if name not in known]
        await self._fetch_window()
        self.fetched(self.deck_app.link.heard)

    async def _fetch_window(self) -> None:
        drift, start, feature = self.drift, self.start, self.place.feature
        if drift is None:
            return
        self.chart.update(shown.series_chart(drift, feature, start))
        if start is None:
            self.bars.update(BarsData(title=feature, why=drift.why or "no windows yet"))
            return
        asked = self._asked(drift, start)
        rows = ListParams(
            "drift",
            filter=f"feature={in_quotes(feature)} statistic:.",
            limit=100,
            since=asked.since,
            until=asked.until,
            window=self.place.window,
            scope={"deployment": self.place.name},
        )
        distribution: Distribution
        page: Page
        distribution, page = await asyncio.gather(self.ask("distribution", asked), self.ask("list", rows))
        self.distribution = distribution
        self.bars.update(replace(shown.bars_data(distribution), facts=()))
        self.changes.update(shown.changes(distribution))
        self.figures.update(shown.figures(page, drift.statistic))

    # --- stepping ----------------------------------------------------------------------------------------

    def step(self, windows: int, features: int) -> None:
        """To another window or another feature."""
        drift, start = self.drift, self.start
        if drift is None or start is None:
            return
        if windows:
            place = max(0, min(drift.starts.index(start) + windows, len(drift.starts) - 1))
            newest = place == len(drift.starts) - 1 and self.place.until is None
            self.with_place(since=None if newest else drift.starts[place])
        if features and self._features:
            there = self._features.index(self.place.feature) if self.place.feature in self._features else 0
            self.with_place(feature=self._features[max(0, min(there + features, len(self._features) - 1))])
        self.deck_app.deck.refresh_lines()
        self.chart.update(shown.series_chart(drift, self.place.feature, self.start))
        self.run_worker(self._follow(), group="distribution", exclusive=True)

    async def _follow(self) -> None:
        # A key held down passes over many windows; only where it rests is asked for.
        await asyncio.sleep(0.05)
        await self._fetch_window()

    def page(self, by: int) -> None:
        """Scroll the chosen table, or both."""
        chosen = self.panes()[self.pane]
        for table in (self.changes, self.figures):
            if table.display and (table is chosen or not isinstance(chosen, Figures)):
                table.page(by)

    # --- actions of this view ----------------------------------------------------------------------------

    def do_open(self) -> None:
        """To the rows of the listing."""
        scope = (("deployment", self.place.name),)
        named = f"feature={in_quotes(self.place.feature)}"
        place = Place("drift", scope=scope, window=self.place.window, filter=named)
        if self.place.statistic:
            place = replace(place, filter=f"{place.filter} statistic={self.place.statistic}")
        self.deck_app.deck.go(place, drill=True)

    def do_statistic(self) -> None:
        self.pick_statistic(self.distribution.statistics if self.distribution is not None else [])
