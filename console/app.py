"""The Textual application: one link, one deck, and the state that every view shares."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen, Screen

from console.actions import Registry
from console.alarm import Alarm
from console.live import Link, LinkListener, LinkState
from console.places import Place
from console.screens.deck import Deck
from console.terminal import TerminalDriver, colourless
from console.widgets.scroll_bars import fit_scroll_bars
from store.protocol import Change, Progress

if TYPE_CHECKING:
    from console.commandline import History, Purpose
    from console.launch import Opening

#: Seconds between two looks at what has grown old on the screen.
HEARTBEAT = 5.0
NOTHING_DEPLOYED = "nothing is deployed yet: open the versions with 4 and promote one with P"
#: Two ^C within this many seconds leave the console.
TWICE = 2.0


@dataclass(frozen=True, slots=True)
class Logged:
    """One line of the command log: when, the command line that would do it, and what came of it."""

    at: float
    command: str
    result: str


class _Listener(LinkListener):
    """Brings what the link tells to the deck."""

    def __init__(self, app: ConsoleApp) -> None:
        self.app = app

    def changed(self, change: Change) -> None:
        self.app.deck.store_changed(change)
        if "alerts" in change.topics:
            self.app.look_for_alarms()

    def missed(self) -> None:
        self.app.deck.all_changed()
        self.app.look_for_alarms()

    def link_state(self, state: LinkState) -> None:
        self.app.link_changed(state)

    def progress(self, progress: Progress) -> None:
        self.app.deck.progress(progress)


class ConsoleApp(App[int], inherit_bindings=False):
    """Quarterdeck's terminal."""

    TITLE = "quarterdeck"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #top, #foot { background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "interrupt", show=False, priority=True)]

    def __init__(
        self,
        opening: Opening,
        *,
        view: str = "fleet",
        registry: Registry | None = None,
        awaits: str = "",
        news: Callable[[], str] | None = None,
    ) -> None:
        super().__init__(driver_class=TerminalDriver)
        if self.no_color or colourless():
            self._show_plainly()
        # Notices stand at the foot, so the toast rack and the tooltip need not be mounted nor styled.
        self._disable_notifications = True
        self._disable_tooltips = True
        self.animation_level = "none"
        fit_scroll_bars()
        self.registry = registry or Registry.load()
        self.link = Link(opening.client.store, opening.client)
        self.link.listener = _Listener(self)
        #: The past moment that every view shows, null for the present.
        self.at: float | None = None
        #: What views say while nothing is deployed: what is waited for, where somebody else promotes.
        self.nothing_deployed = awaits or NOTHING_DEPLOYED
        #: What somebody who works on this store beside the operator said last, "" for nothing.
        self.news = ""
        self._news = news
        #: The deployment that was chosen last, for views that need one.
        self.last_deployment = ""
        self.log_lines: list[Logged] = []
        self.alarm = Alarm(self.link, self.ring, self.show_title)
        self.deck = Deck(self.registry, Place(view), opening.page if view == "fleet" else None)
        self._histories: dict[str, History] = {}
        self._interrupted = 0.0

    def _show_plainly(self) -> None:
        """Without colour tones differ by glyph and weight alone. As greys of the same brightness as their colours, what
        is worst would be the hardest to see."""
        from textual.theme import Theme

        bright = "#e8e8e8"
        plain = Theme(
            "plain",
            primary=bright,
            secondary=bright,
            warning=bright,
            error=bright,
            success=bright,
            accent=bright,
            foreground=bright,
            background="#000000",
            surface="#101010",
            panel="#303030",
        )
        self.register_theme(plain)
        self.theme = plain.name

    @property
    def store_name(self) -> str:
        return self.link.store.name or str(self.link.store)

    def get_default_screen(self) -> Screen[object]:
        return self.deck  # type: ignore[return-value]

    def on_mount(self) -> None:
        self.call_after_refresh(self._collect_again)
        self.run_worker(self.link.run(), group="link", exit_on_error=True)
        self.set_interval(HEARTBEAT, self._beat)

    def _beat(self) -> None:
        self.hear_news()
        self.deck.heartbeat()
        if self.link.state.help and not self.deck.notice:
            # It stays to be read until the agent answers.
            self.deck.say_lost(f"{self.link.state.why} {self.link.state.help}")

    def hear_news(self) -> None:
        """Tell the operator what is new, once at the foot; the fleet's title keeps it."""
        found = self._news() if self._news is not None else ""
        if found != self.news:
            self.news = found
            if found:
                self.deck.say(found)

    def _collect_again(self) -> None:
        """What stands at the first frame stays for good: later collections, between two keys, skip it."""
        gc.freeze()
        gc.enable()

    # --- the link ----------------------------------------------------------------------------------------

    def link_changed(self, state: LinkState) -> None:
        """The agent was lost or found again: what is shown is fetched anew once it is there."""
        if state.connected:
            hello = self.link.hello
            if hello is not None and hello.read_only:
                self.deck.say(f"The store takes no changes: {hello.read_only}", "warning")
            self.look_for_alarms()
            self.deck.forget_loss()
        elif state.help:
            self.deck.say_lost(f"{state.why} {state.help}")
        self.deck.refresh_lines()
        if state.connected and (self.deck.view.data_at is None or self.deck.view.problem):
            self.deck.view.fetch_soon()

    def look_for_alarms(self) -> None:
        """Ring, and say so in the title, when a critical alert has opened."""
        self.run_worker(self.alarm.look(), group="alarm", exclusive=True)

    def ring(self) -> None:
        """Sound the terminal's bell."""
        driver = self._driver
        if isinstance(driver, TerminalDriver):
            driver.ring()

    def show_title(self, text: str) -> None:
        """Give the terminal's window a title; "" gives back the one it had."""
        driver = self._driver
        if isinstance(driver, TerminalDriver):
            driver.show_title(text)

    def confirmed(self) -> float:
        """When the agent last said that nothing else has changed (wall clock, seconds)."""
        return self.link.heard

    # --- places ------------------------------------------------------------------------------------------

    def main_place(self, view: str) -> Place:
        """The main view as its number key opens it; the monitor opens on the chosen deployment."""
        if view == "monitor":
            return Place(view, self.deck.view.deployment() or self.last_deployment)
        return Place(view)

    def travel(self, at: float | None) -> None:
        """Show everything as the store knew it at `at` (seconds); null returns to the present."""
        if at == self.at:
            return
        self.at = at
        # What is still shown is of another moment: its age would lie until the answer is there.
        self.deck.view.data_at = None
        self.deck.view.fetch_soon()
        self.deck.refresh_lines()

    # --- logs and histories ------------------------------------------------------------------------------

    def log_command(self, command: str, result: str = "") -> None:
        self.log_lines.append(Logged(time.time(), command, result))
        del self.log_lines[:-500]

    def log_visit(self, place: Place) -> None:
        """The command line that prints what a view shows."""
        from console.actions import LISTS
        from console.command_lines import listing_command
        from store.protocol import ListParams

        if place.view in LISTS:
            kind = "deployments" if place.view == "fleet" else place.view
            params = ListParams(
                kind, place.filter, place.sort, at=self.at, window=place.window, scope=dict(place.scope)
            )
            self.log_command(listing_command(params))

    def history(self, purpose: Purpose) -> History:
        """What was typed for a purpose, in this console and those before it."""
        from console.commandline import History

        if purpose not in self._histories:
            base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
            kept = purpose in ("command", "filter") and not self.is_headless
            self._histories[purpose] = History(Path(base) / "quarterdeck" / f"{purpose}.history" if kept else None)
        return self._histories[purpose]

    # --- leaving -----------------------------------------------------------------------------------------

    def action_interrupt(self) -> None:
        """^C leaves what is being typed; twice leaves the console."""
        now = time.monotonic()
        if now - self._interrupted < TWICE:
            self.exit(0)
            return
        self._interrupted = now
        if isinstance(self.screen, ModalScreen):
            self.screen.dismiss(None)
        elif self.deck.command_line is not None:
            self.deck.command_line.action_leave()
        else:
            self.deck.say("q quits; ^C again quits too", "warning")
