"""Alerts, and the listings of windows: what the monitor found, as rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import msgspec
from textual.app import ComposeResult

from console.places import Place
from console.screens.alert_times import of_alerts
from console.screens.listing import ListingView
from console.screens.shaping import as_alerts
from console.screens.spans import width_of
from console.text import when
from console.widgets import table_messages
from console.widgets.timeline import Timeline
from store.protocol import Cell, Field, Page, Refusal

#: Seconds of event time that are shown after the end of an alert.
AFTER = 7 * 86_400.0
#: Windows that the agent lists where no span is asked for.
NEWEST = 30
#: Alerts that the timeline is drawn from.
ALERTS_ON_TIMELINE = 500


class Alerts(ListingView):
    """The alerts, and below them when they were on; enter leads to the monitor of the alert's deployment."""

    DEFAULT_CSS = "Alerts > Timeline { height: auto; max-height: 35%; }"

    def __init__(self, place: Place, first: Page | None = None) -> None:
        super().__init__(place, first)
        self.timeline = Timeline()
        self.timeline.display = False
        self._shown: Page | None = None

    def compose(self) -> ComposeResult:
        yield from super().compose()
        yield self.timeline

    def on_mount(self) -> None:
        super().on_mount()
        self.run_worker(self._fetch_times(), group="times", exclusive=True)

    def reshape(self, page: Page) -> Page:
        return as_alerts(page)

    async def fetch(self) -> None:
        await super().fetch()
        await self._fetch_times()

    def set_filter(self, text: str) -> None:
        super().set_filter(text)
        self.run_worker(self._fetch_times(), group="times", exclusive=True)

    async def _fetch_times(self) -> None:
        """What the timeline shows: the same alerts, the latest of them first."""
        asked = msgspec.structs.replace(self.params(), sort="opened_at:desc", offset=0, limit=ALERTS_ON_TIMELINE)
        try:
            self._shown = await self.deck_app.link.call("list", asked)
        except Refusal:
            return  # The table says what is wrong with the filter.
        self._draw()

    def _draw(self) -> None:
        if self._shown is not None:
            data = of_alerts(self._shown, self.row_id())
            self.timeline.display = bool(data.rows)
            self.timeline.update(data)

    def on_row_table_row_highlighted(self, message: table_messages.RowHighlighted) -> None:
        super().on_row_table_row_highlighted(message)
        self._draw()

    def do_replay(self) -> None:
        """What the rule of the chosen alert would have done with other thresholds."""
        name, rule = self.deployment(), str(self.cell("rule") or "drift")
        scope = (("deployment", name),) if name else ()
        self.deck_app.deck.go(Place("replay", rule, scope=scope), drill=True)

    def facts(self) -> list[Field]:
        """What the alert is about: its number alone says nothing to who is asked whether they mean it."""
        rule = self.cell("rule")
        found = [
            Field("what", self.cell("feature")),
            Field("value (limit)", self.cell("value")),
            Field("deployment", self.cell("deployment")),
            Field("opened", self.cell("opened_at")),
            Field("severity", self.cell("severity")),
            Field("found by", f"rule {rule}" if rule else ""),
            Field("state", self.cell("state")),
        ]
        return [field for field in found if field.value not in (None, "")]

    def target(self) -> Place | None:
        name = self.deployment()
        if not name:
            return super().target()
        # A metric is no feature: then the monitor opens on its worst one.
        place = Place("monitor", name, feature=str(self.cell("feature") or ""))
        opened, closed = self._raw("opened_window"), self._raw("closed_window")
        if isinstance(opened, float) and isinstance(closed, float):
            # What is over may lie before the newest windows: they are shown up to a little after its end.
            place = replace(place, since=opened, until=closed + AFTER)
        return place

    def _raw(self, name: str) -> Cell:
        """What the agent says of the chosen alert, also where the table has no column for it."""
        if self._shown is None:
            return None
        names = [column.name for column in self._shown.columns]
        row = next((row for row in self._shown.rows if str(row[0]) == self.row_id()), None)
        return row[names.index(name)] if row is not None and name in names else None


class Windowed(ListingView):
    """Drift, performance, quality or windows: rows of windows of a deployment."""

    def remarks(self) -> Iterable[str]:
        # Else the rows of a long history would seem to be all there are.
        yield f"last {NEWEST} windows" if self.place.since is None else f"from {when(self.place.since)}"
        yield from super().remarks()

    def deployment(self) -> str:
        return str(self.cell("deployment") or dict(self.place.scope).get("deployment", ""))

    def chosen(self) -> tuple[str, str]:
        name = self.deployment()
        return ("deployments", name) if name else ("", "")

    def subject(self) -> str:
        return self.deployment()

    def target(self) -> Place | None:
        name, feature, start = self.deployment(), str(self.cell("feature") or ""), self.cell("window_start")
        if not name:
            return None
        if self.place.view != "drift" or not feature:
            return Place("monitor", name, window=self.place.window, feature=feature)
        end = self.cell("window_end")
        width = width_of(end - start) if isinstance(start, float) and isinstance(end, float) else ""
        return Place(
            "feature",
            name,
            window=self.place.window or width,
            since=start if isinstance(start, float) else None,
            feature=feature,
            statistic=str(self.cell("statistic") or ""),
        )
