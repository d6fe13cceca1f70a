"""What an alert rule would have done over stored counts: how often it would have fired, and when, by threshold."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult

from console.places import Place
from console.replayed import thinned, threshold_words
from console.screens import spans
from console.screens.alert_times import of_replay
from console.screens.static_rows import StaticRows
from console.screens.view import View
from console.text import clean
from console.widgets import table_messages
from console.widgets.rows import Column
from console.widgets.table import RowTable
from console.widgets.timeline import Timeline, TimelineData
from store.protocol import Refusal, Replay, ReplayLine, ReplayParams

#: The thresholds that are tried, as multiples of the rule's own.
FACTORS = (0.25, 0.5, 0.75, 1.5, 2.0, 4.0)
SPAN = "90d"
SPANS: tuple[tuple[str, str], ...] = (
    ("7d", "a week"),
    ("30d", "a month"),
    ("90d", "three months"),
    ("180d", "half a year"),
    ("1y", "a year"),
)
_COLUMNS = (
    Column("id", priority=-1),
    Column("threshold", "text", "threshold", 0),
    Column("fired", "number", "fired", 0),
    Column("carried", "number", "on before", 2),
    Column("over", "number", "above", 1),
    Column("quiet", "share", "windows without", 1),
    Column("undecided", "number", "undecided", 2),
    Column("on", "spark", "alerts on", 0),
)


class ReplayView(View):
    """A row a threshold above; below, when its alerts would have been on."""

    #: A replay is of what was: it is not run again for every file that arrives, but when it is asked for.
    topics: ClassVar[frozenset[str]] = frozenset({"settings"})
    DEFAULT_CSS = """
    ReplayView { layout: vertical; }
    ReplayView RowTable { height: auto; max-height: 50%; min-height: 4; }
    ReplayView Timeline { height: 1fr; margin-top: 1; }
    """

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.table = RowTable(empty_text="nothing to replay yet")
        self.timeline = Timeline()
        self.replay: Replay | None = None

    def compose(self) -> ComposeResult:
        yield self.table
        yield self.timeline

    def on_mount(self) -> None:
        self.fetch_soon()

    # --- what is chosen ----------------------------------------------------------------------------------

    @property
    def rule(self) -> str:
        return self.place.name or "drift"

    def heading(self) -> str:
        return f"replay of rule {clean(self.rule, 40)}"

    def remarks(self) -> Iterable[str]:
        if self.replay is not None:
            yield self.replay.said
        yield f"the last {self.place.span or SPAN} of event time"
        yield self.deployment() or "every deployment"

    def deployment(self) -> str:
        return dict(self.place.scope).get("deployment", "")

    def row_id(self) -> str | None:
        return self.table.cursor_id

    def line(self) -> ReplayLine | None:
        """The threshold that the cursor is on; the rule's own until it was moved."""
        if self.replay is None:
            return None
        chosen = self.table.cursor_id
        for place, line in enumerate(self.replay.lines):
            if str(place) == chosen:
                return line
        return next((line for line in self.replay.lines if line.own), None)

    def copied(self) -> str:
        """The command line that says the same."""
        words = ["quarterdeck alerts replay --rule", self.rule, "--days", f"{self._days():g}"]
        if self.deployment():
            words += ["--deployment", self.deployment()]
        return " ".join(words)

    # --- fetching ----------------------------------------------------------------------------------------

    def _days(self) -> float:
        return spans.seconds(self.place.span or SPAN) / 86_400

    async def fetch(self) -> None:
        params = ReplayParams(self.rule, self.deployment(), [], self._days())
        found: Replay = await self.ask("replay", params)
        await self._show(found)
        own = next((line.threshold for line in found.lines if line.own), None)
        if own is not None and found.ends:
            # A long replay of many features takes its time: what the rule itself did stands there meanwhile.
            tried = [round(own * factor, 6) for factor in FACTORS]
            params = ReplayParams(self.rule, self.deployment(), tried, self._days())
            await self._show(await self.ask("replay", params))
        self.fetched(time.time())

    async def _show(self, found: Replay) -> None:
        self.replay = found
        rows = [
            (
                str(place),
                threshold_words(line),
                line.fired,
                line.carried,
                line.over,
                line.quiet_share,
                line.undecided,
                thinned(line.on),
            )
            for place, line in enumerate(found.lines)
        ]
        self.table.show(StaticRows(_COLUMNS, rows if found.ends else []))
        await self.table.settled()
        place = next((str(place) for place, line in enumerate(found.lines) if line.own), "0")
        if found.ends:
            await self.table.go_to(place)
        self._draw()
        self.deck_app.deck.refresh_lines()

    def show_problem(self, refusal: Refusal) -> None:
        super().show_problem(refusal)
        self.replay = None
        self.table.empty_text = clean(refusal.message, 200)
        self.table.show(StaticRows(_COLUMNS, []))
        self.timeline.update(TimelineData(why=clean(refusal.message, 200)))

    def _draw(self) -> None:
        if self.replay is not None:
            self.timeline.update(of_replay(self.replay, self.line()))

    def on_row_table_row_highlighted(self, message: table_messages.RowHighlighted) -> None:
        message.stop()
        self._draw()
        self.deck_app.deck.refresh_lines()

    def on_row_table_row_selected(self, message: table_messages.RowSelected) -> None:
        message.stop()
        self.deck_app.deck.do("open")

    def target(self) -> Place | None:
        """The monitor of what fired first."""
        line = self.line()
        name = line.episodes[0].deployment if line is not None and line.episodes else self.deployment()
        return Place("monitor", name) if name else None

    # --- actions of this view ----------------------------------------------------------------------------

    def do_open(self) -> None:
        place = self.target()
        if place is not None:
            self.deck_app.deck.go(place, drill=True)

    def do_replay(self) -> None:
        """Another rule."""
        from console.screens.picker import Choice, Picker
        from console.widgets.rows import Column as PickerColumn

        rules = self.replay.rules if self.replay is not None else []
        if not rules:
            self.deck_app.deck.say("no rule can be replayed", "warning")
            return
        self.deck_app.deck.ask(
            Picker(
                "Replay which rule",
                [PickerColumn("rule", priority=0)],
                [Choice(rule, (rule,)) for rule in rules],
                current=self.rule,
            ),
            lambda rule: self._go(name=rule) if rule else None,
        )

    def do_windows(self) -> None:
        """How far back."""
        from console.screens.picker import Choice, Picker
        from console.widgets.rows import Column as PickerColumn

        self.deck_app.deck.ask(
            Picker(
                "Replay how much of event time",
                [PickerColumn("span", priority=0), PickerColumn("is", title=" ", priority=0)],
                [Choice(span, (span, words)) for span, words in SPANS],
                current=self.place.span or SPAN,
            ),
            lambda span: self._go(span=span) if span else None,
        )

    def _go(self, **changes: str) -> None:
        self.deck_app.deck.go(replace(self.place, **changes))  # type: ignore[arg-type]  # texts of a place
