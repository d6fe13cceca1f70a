"""What the views over windows of event time share: a deployment, a span, panes of which one is chosen, pickers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import msgspec
from textual import events
from textual.widget import Widget

from console.command_lines import listing_command
from console.glyphs import glyphs
from console.places import Place
from console.screens.spans import count, pick_span, said, spanned
from console.screens.view import View
from console.text import loading
from store import protocol
from store.protocol import ListParams, Page, PerformanceParams, Refusal, SpanParams


class OverTime(View):
    """A view of one deployment over a span. `pane` is the chosen one of `panes()`; its title is drawn in reverse."""

    topics: ClassVar[frozenset[str]] = frozenset(
        {"drift", "performance", "windows", "alerts", "revisions", "deployments", "predictions", "labels"}
    )
    DEFAULT_CSS = """
    OverTime { layout: vertical; }
    OverTime Bars.-chosen > .bars--title { text-style: bold reverse; }
    OverTime Chart.-chosen > .chart--title { text-style: bold reverse; }
    OverTime Tracks.-chosen > .tracks--title { text-style: bold reverse; }
    OverTime Figures.-chosen > .figures--title { text-style: bold reverse; }
    """

    def __init__(self, place: Place) -> None:
        super().__init__(spanned(place))
        self.pane = 0
        self.paused = False

    # --- what is chosen ----------------------------------------------------------------------------------

    def remarks(self) -> Iterable[str]:
        if self.paused:
            yield f"{glyphs().paused} held still"
        yield said(self.place)

    def listed(self) -> ListParams | None:
        """The listing that says in rows what is shown here; null before there is anything."""
        return None

    def copied(self) -> str:
        """The command line that says the same."""
        params = self.listed()
        if params is None:
            return ""
        return listing_command(msgspec.structs.replace(params, at=self.deck_app.at))

    # --- holding still -----------------------------------------------------------------------------------

    def do_pause(self) -> None:
        """Hold what is shown still while files arrive, or follow them again."""
        self.paused = not self.paused
        if not self.paused and self.stale:
            self.store_changed()
        self.deck_app.deck.refresh_lines()

    def store_changed(self) -> None:
        if self.paused:
            # The age at the head says how far behind this is.
            self.stale = True
            return
        super().store_changed()

    def row_id(self) -> str | None:
        return self.deployment() or None

    def chosen(self) -> tuple[str, str]:
        return ("deployments", self.deployment()) if self.deployment() else ("", "")

    def subject(self) -> str:
        return self.deployment()

    def deployment(self) -> str:
        return self.place.name

    async def first_deployment(self) -> str:
        """The one deployment there is, or the first of several; "" when there is none."""
        page: Page = await self.ask("list", ListParams("deployments", limit=1))
        return str(page.rows[0][0]) if page.rows else ""

    # --- what is asked -----------------------------------------------------------------------------------

    def span(self) -> SpanParams:
        """The span and the statistic of the place."""
        place = self.place
        statistic = place.statistic or "psi"
        return SpanParams(self.deployment(), place.window, None, place.until, count=count(place), statistic=statistic)

    def performance_span(self, metric: str = "", slices: str = "") -> PerformanceParams:
        """The same span of performance."""
        place = self.place
        metrics = [metric] if metric else []
        return PerformanceParams(
            self.deployment(), metrics, place.window, None, place.until, count=count(place), slice=slices
        )

    def show_problem(self, refusal: Refusal) -> None:
        """What never came is not loading any more: its pane says why."""
        super().show_problem(refusal)
        for pane in self.panes():
            shown: Any = pane
            if shown.data.why == loading():
                shown.update(replace(shown.data, why=refusal.message))

    # --- panes -------------------------------------------------------------------------------------------

    def panes(self) -> Sequence[Widget]:
        """The panes in the order tab goes through them."""
        return ()

    def choose_pane(self, pane: int) -> None:
        """Make a pane the chosen one."""
        panes = self.panes()
        self.pane = pane % len(panes)
        for number, widget in enumerate(panes):
            widget.set_class(number == self.pane, "-chosen")
        self.pane_chosen()

    def pane_chosen(self) -> None:
        """Another pane was chosen: show it where not all are in sight."""

    def do_pane(self) -> None:
        self.choose_pane(self.pane + 1)

    def on_click(self, event: events.Click) -> None:
        """A click on a pane chooses it, one on the chosen pane opens it."""
        for number, widget in enumerate(self.panes()):
            if widget.display and not widget.can_focus and widget.region.contains(*event.screen_offset):
                event.stop()
                if number == self.pane:
                    self.deck_app.deck.do("open")
                else:
                    self.choose_pane(number)

    # --- pickers -----------------------------------------------------------------------------------------

    def do_windows(self) -> None:
        """Choose the span and the width."""

        def chosen(span: str, window: str) -> None:
            self.with_place(span=span, window=window, since=None, until=None)
            self.deck_app.deck.refresh_lines()
            self.fetch_soon()

        pick_span(self.deck_app.deck, self.place, chosen)

    def pick_statistic(self, known: Sequence[protocol.Statistic]) -> None:
        """Choose the statistic out of those that the chosen feature has, with their values where they are known."""
        from console.screens.monitor_data import STATISTICS
        from console.screens.picker import Choice, Picker
        from console.widgets.rows import Column

        present = self.place.statistic or "psi"
        values = {one.name: one.value for one in known if not one.name.startswith("missing")}
        names = dict.fromkeys([*(values or STATISTICS), present])
        choices = [Choice(name, (name, STATISTICS.get(name, ""), values.get(name))) for name in names]

        def chosen(name: str | None) -> None:
            if name:
                self.with_place(statistic=name)
                self.fetch_soon()

        self.deck_app.deck.ask(
            Picker(
                "Statistic",
                [
                    Column("name", priority=0),
                    Column("is", title=" ", priority=0),
                    Column("value", "number", "here", priority=0),
                ],
                choices,
                search=True,
                current=present,
            ),
            chosen,
        )

    def pick_metric(self, performance: protocol.Performance | None, present: str) -> None:
        """Choose the metric of performance."""
        from console.screens.performance_data import metric_names
        from console.screens.picker import Choice, Picker
        from console.widgets.rows import Column

        names = metric_names(performance) if performance is not None else []
        if not names:
            self.deck_app.deck.say("there are no metrics yet: labels come after the predictions", "warning")
            return
        self.deck_app.deck.ask(
            Picker(
                "Metric",
                [Column("metric", priority=0)],
                [Choice(name, (name,)) for name in names],
                search=True,
                current=present,
            ),
            lambda name: self.metric_chosen(name) if name else None,
        )

    def metric_chosen(self, metric: str) -> None:
        """A metric was picked."""
