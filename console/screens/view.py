"""What every view has: a place, the data it shows and how old that is, and what is chosen on it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

import msgspec
from textual.widget import Widget

from console.actions import Situation
from console.places import Place
from store.protocol import Change, Field, Refusal

if TYPE_CHECKING:
    from console.app import ConsoleApp

#: A view that changes all the time is fetched again at most this often, seconds …
QUIET_SECONDS = 0.2
#: … and not before so many times as long as the last fetch took has passed, up to so many seconds: a store where files
#: arrive all the time is to spend its time on them.
REST = 3.0
LONGEST_REST = 2.0
#: Seconds that what is shown may lag behind a store that keeps changing and still be acted on: where files arrive
#: all the time something newer is always being fetched, and what is sent names the revision that was seen.
LAG_SECONDS = 3.0


class View(Widget):
    """One view on the deck. Subclasses say what they show, fetch it in `fetch`, and what is chosen.

    `topics` are the change feed's topics after which it is fetched again; empty means after any.
    """

    DEFAULT_CSS = "View { height: 1fr; layout: vertical; }"
    topics: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        #: When the data shown was read from the store (agent's clock, seconds); null before the first answer.
        self.data_at: float | None = None
        #: True while the store is known to have changed since.
        self.stale = False
        self.problem = ""
        self._fetched = 0.0
        self._rest = QUIET_SECONDS
        self._due = False
        #: When the fetch under way began; null when there is none.
        self._begun: float | None = None

    @property
    def deck_app(self) -> ConsoleApp:
        return cast("ConsoleApp", self.app)

    # --- what subclasses say -----------------------------------------------------------------------------

    def heading(self) -> str:
        """What the title line calls this view."""
        return " ".join(part for part in (self.place.view, self.place.name) if part)

    def remarks(self) -> Iterable[str]:
        """What the title line says beside the heading: totals, filter, sort."""
        return ()

    def row_id(self) -> str | None:
        """The chosen row."""
        return None

    def subject(self) -> str:
        """What an action would be about."""
        return ""

    def chosen(self) -> tuple[str, str]:
        """Kind and name of what `describe` and `note` are about; ("", "") when nothing is chosen."""
        return "", ""

    def facts(self) -> list[Field]:
        """What a dialog says of the subject beside what the plan does."""
        return []

    def copied(self) -> str:
        """What `y` copies."""
        return self.chosen()[1]

    async def fetch(self) -> None:
        """Ask the agent and show the answer; may raise `Refusal`."""

    def present(self) -> Place:
        """The place as it is now, to come back to."""
        return self.place

    def deployment(self) -> str:
        """The deployment that is chosen, "" when none is."""
        return ""

    # --- what they share ---------------------------------------------------------------------------------

    def situation(self) -> Situation:
        app = self.deck_app
        hello, link = app.link.hello, app.link.state
        return Situation(
            view=self.place.view,
            row=self.row_id(),
            subject=self.subject(),
            connected=link.connected,
            silence=f"{link.why} {link.help}" if link.status == "silent" else "",
            stale=self.lags(),
            at=app.at,
            may_act=hello is None or hello.may_act,
            read_only=hello.read_only if hello else "",
            can_go_back=app.deck.trail.index > 0,
            can_go_forward=app.deck.trail.index + 1 < len(app.deck.trail.places),
        )

    def data_age(self) -> float | None:
        return None if self.data_at is None else max(0.0, time.time() - self.data_at)

    def lags(self) -> bool:
        """Whether what is shown is too old to act on: the store is known to hold newer facts, and not just now."""
        age = self.data_age()
        return age is None or (self.stale and age > LAG_SECONDS)

    def concerns(self, change: Change) -> bool:
        """Whether the change may alter what is shown."""
        return not self.topics or not self.topics.isdisjoint(change.topics)

    def store_changed(self) -> None:
        """The store has newer facts than what is shown; many calls in a row make one fetch."""
        if self.deck_app.at is not None:
            return
        self.stale = True
        if not self._due:
            self._due = True
            if self._begun is None:
                self._fetch_when_rested()

    def fetch_soon(self) -> None:
        """Fetch in the background; a fetch under way is given up for this one."""
        self._due = False
        self._begun = time.monotonic()
        self.run_worker(self._fetch(self._begun), group="fetch", exclusive=True)

    def _fetch_when_rested(self) -> None:
        pause = self._fetched + self._rest - time.monotonic()
        if pause > 0:
            self.set_timer(pause, self.fetch_soon)
        else:
            self.fetch_soon()

    async def _fetch(self, begun: float) -> None:
        try:
            await self._fetch_now()
        finally:
            if self._begun == begun:
                self._begun = None
                self._fetched = time.monotonic()
                self._rest = min(LONGEST_REST, max(QUIET_SECONDS, REST * (self._fetched - begun)))
                if self._due:
                    self._fetch_when_rested()

    async def _fetch_now(self) -> None:
        try:
            await self.fetch()
        except Refusal as refusal:
            self.problem = refusal.message
            self.show_problem(refusal)
        else:
            self.problem = ""
        self.deck_app.deck.refresh_lines()

    def show_problem(self, refusal: Refusal) -> None:
        """The fetch was refused."""
        self.deck_app.deck.say_refusal(refusal)

    def fetched(self, at: float) -> None:
        """What is shown was read from the store at `at`."""
        self.data_at = at
        self.stale = False
        self.deck_app.deck.refresh_lines()

    async def ask(self, method: str, params: msgspec.Struct) -> Any:
        """Ask the agent; at the past moment when one is shown."""
        app = self.deck_app
        if app.at is not None and "at" in type(params).__struct_fields__:
            params = msgspec.structs.replace(params, at=app.at)
        return await app.link.call(method, params)

    def with_place(self, **changes: Any) -> None:
        self.place = replace(self.place, **changes)
