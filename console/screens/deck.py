"""The deck: the one screen of the console, with its lines, the present view, and the keys of the registry."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar, cast

from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widget import Widget

from console.actions import MAIN_VIEWS, Action, Registry, unavailable
from console.glyphs import glyphs
from console.places import Place, Trail
from console.screens.chrome import NOTICE_LINES, Line, Part, Tone, fitting, footer_parts, notice_parts, view_tabs
from console.screens.opening import open_view
from console.screens.view import View
from console.text import age, clean, when
from store.protocol import Change, ExitCode, Page, Progress, Refusal

if TYPE_CHECKING:
    from console.app import ConsoleApp
    from console.commandline import CommandLine

Answer = TypeVar("Answer")

#: The data's age is told once it is older than this, seconds: until then it is live.
AGED = 10.0
#: A notice that nobody answered makes room for the keys after this long, seconds.
NOTICE_SECONDS = 30.0
PRIMARY = "$text-primary"


class Stage(Widget, inherit_bindings=False):
    """Where the present view stands."""

    DEFAULT_CSS = "Stage { height: 1fr; layout: vertical; }"


class Deck(Screen[None], inherit_bindings=False):
    """Holds one view at a time; turns keys into actions of the registry."""

    DEFAULT_CSS = "Deck { layout: vertical; overflow: hidden; }"

    def __init__(self, registry: Registry, place: Place, first: Page | None = None) -> None:
        super().__init__()
        for key, action in registry.by_key.items():
            # Priority, so that the next key waits until this one's line or dialog has the focus.
            binding = Binding(key, f"do('{action.id}')", action.title, id=action.id, priority=True)
            self._bindings.key_to_bindings[key] = [binding]
        self.trail = Trail([place])
        self.top = Line("top")
        self.title_line = Line("title")
        self.foot = Line("foot")
        self.stage = Stage()
        self.view: View = open_view(place, first)
        self.command_line: CommandLine | None = None
        self._notice: tuple[str, Tone, float] | None = None
        self._told_of_loss = False
        self._hint: list[Part] | None = None
        #: Parts of the top line that stand before the tabs.
        self._before_tabs = 0
        self._progress: dict[str, Progress] = {}
        #: Views that were drilled out of, by their place in the trail: they stand behind the present one.
        self._kept: dict[int, View] = {}
        self._opening: Awaitable[object] | None = None
        self._entered: Callable[[str], object] = str
        self._left: Callable[[], object] | None = None

    @property
    def deck_app(self) -> ConsoleApp:
        return cast("ConsoleApp", self.app)

    def compose(self) -> ComposeResult:
        yield self.top
        yield self.title_line
        with self.stage:
            yield self.view
        yield self.foot

    def on_mount(self) -> None:
        self.refresh_lines()

    def on_resize(self) -> None:
        self.refresh_lines()

    # --- going places ------------------------------------------------------------------------------------

    def go(self, place: Place, drill: bool = False) -> None:
        """Show another view; with `drill` escape leads back to the present one, which is kept as it stands."""
        self.trail.note(self.view.present())
        if place.same_view(self.trail.here) and not drill:
            place = replace(place, cursor=self.trail.here.cursor)
        index = self.trail.index
        self.trail.go(place, drill)
        self.show(place, keep_as=index if drill and self.trail.index == index + 1 else None)

    def show(self, place: Place, keep_as: int | None = None, kept: View | None = None) -> None:
        """Put the view of `place` on the stage: `kept` when it still stands there, else a new one."""
        self._notice = None
        self.deck_app.log_visit(place)
        self.run_worker(self._show(place, keep_as, kept), group="stage", exclusive=True)

    async def _show(self, place: Place, keep_as: int | None, kept: View | None) -> None:
        view = kept or open_view(place)
        # Remembered before the old view goes: what it knew of deployments helps the new one.
        self.deck_app.last_deployment = self.view.deployment() or self.deck_app.last_deployment
        if keep_as is not None:
            self._kept[keep_as] = self.view
        elif kept is None:
            self._kept.clear()
        with self.app.batch_update():
            self.view = view
            staying = {view, *self._kept.values()}
            for old in list(self.stage.query_children(View)):
                if old not in staying:
                    await old.remove()
                else:
                    old.display = old is view
            if kept is None:
                await self.stage.mount(view)
            else:
                # Once it is laid out: a table without lines would lose its place.
                view.call_after_refresh(view.store_changed)
            self.focus_view()
        self.refresh_lines()

    def rise(self) -> bool:
        """Back to where this view was drilled into from; false when it was not."""
        self.trail.note(self.view.present())
        if not self.trail.rise():
            return False
        self.show(self.trail.here, kept=self._kept.pop(self.trail.index, None))
        return True

    def focus_view(self) -> None:
        """Give the keys to the view."""
        focusable = [node for node in self.view.walk_children() if getattr(node, "can_focus", False)]
        self.set_focus(focusable[0] if focusable else None)  # type: ignore[arg-type]

    def step(self, by: int) -> None:
        self.trail.note(self.view.present())
        if self.trail.step(by):
            self.show(self.trail.here)

    def on_line_clicked(self, message: Line.Clicked) -> None:
        """A click on a view's tab opens it, one on a key at the foot does what the key does."""
        message.stop()
        if message.line is self.top:
            number = message.part - self._before_tabs
            if 0 <= number < len(MAIN_VIEWS):
                self.do(f"view.{MAIN_VIEWS[number]}")
        elif message.line is self.foot and self._hint is None and self._notice is None:
            actions = self._footed(self.size.width)
            if message.part // 2 < len(actions):
                self.do(actions[message.part // 2][0].id)

    # --- actions -----------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While a line is being typed its keys are text, not actions."""
        return self.command_line is None if action == "do" else super().check_action(action, parameters)

    async def action_do(self, action_id: str) -> None:
        self.do(action_id)
        opening, self._opening = self._opening, None
        if opening is not None:
            await opening

    def do(self, action_id: str) -> None:
        """Do the action, or say why it cannot be done now."""
        registry = self.deck_app.registry
        action = registry.by_id[action_id]
        if self._notice is not None:
            self._notice = None
            self.refresh_lines()
        why = unavailable(action, self.view.situation())
        if why:
            self.say(f"{action.title}: {why}", "warning")
            return
        if action_id.startswith("view."):
            self.go(self.deck_app.main_place(action_id.removeprefix("view.")))
            return
        from console.screens.doing import do

        do(self, action)

    # --- what the lines say ------------------------------------------------------------------------------

    def say(self, text: str, tone: Tone = "") -> None:
        """Tell the operator at the foot, until the next key that does something."""
        self._notice = (text, tone, time.monotonic())
        self._told_of_loss = False
        self.refresh_lines()

    def say_refusal(self, refusal: Refusal) -> None:
        """Tell what was refused, why, and what to do next."""
        self.say(" ".join(part for part in (refusal.message, refusal.hint) if part), "critical")
        self._told_of_loss = refusal.code is ExitCode.NO_AGENT

    def say_lost(self, text: str) -> None:
        """Tell that the agent does not answer, until it does."""
        self.say(text, "critical")
        self._told_of_loss = True

    def unsay(self, text: str) -> None:
        """Take back what was told, if it still stands there."""
        if self.notice == text:
            self._notice = None
            self.refresh_lines()

    def forget_loss(self) -> None:
        """The agent is there again: that it is not is no longer so."""
        if self._told_of_loss:
            self._notice = None

    @property
    def notice(self) -> str:
        return self._notice[0] if self._notice else ""

    def hint(self, parts: list[Part] | None) -> None:
        """What stands at the foot while a line is being typed; None gives it back to the keys."""
        self._hint = parts
        self.refresh_lines()

    def progress(self, progress: Progress) -> None:
        """Long work of the agent went on, or ended."""
        if progress.finished:
            self._progress.pop(progress.task, None)
        else:
            self._progress[progress.task] = progress
        self.refresh_lines()

    def refresh_lines(self) -> None:
        """Bring the lines up to date; only what differs is drawn."""
        if not self.is_mounted or not self.size.width:
            return
        width = self.size.width
        badge = self._badge()
        room = width - sum(len(text) for text, _ in badge)
        store = clean(self.deck_app.store_name, 24)
        name: list[Part] = [(f" {store} ", f"bold {PRIMARY}")] if width >= 100 else []
        tabs = view_tabs(self.view.place.view, room - sum(len(text) for text, _ in name))
        self._before_tabs = len(name)
        self.top.put([*name, *tabs], badge)
        separator = f" {glyphs().separator} "
        remarks = "".join(f"{separator}{clean(remark, 80)}" for remark in self.view.remarks())
        self.title_line.put([(f" {clean(self.view.heading(), 90)}", "bold"), (remarks, "")], self._age())
        noticed = self._hint is None and self._notice is not None
        self.foot.put(self._foot(width), lines=NOTICE_LINES if noticed else 1)

    def _badge(self) -> list[Part]:
        app, glyph = self.deck_app, glyphs()
        parts: list[Part] = []
        for progress in self._progress.values():
            done = f"{progress.done:,}/{progress.total:,}" if progress.total else f"{progress.done:,}"
            parts.append((f"{clean(progress.label, 20)} {done} ", ""))
        if app.at is not None:
            parts.append((f" AT {when(app.at)} ", "bold reverse"))
        if app.link.state.connected:
            parts.append((f" {glyph.ok} live ", "$text-success"))
        elif app.link.state.status == "silent":
            since = age(time.time() - app.link.state.since)
            parts.append((f" {glyph.critical} agent silent {since} ", "bold reverse $text-error"))
        elif app.link.state.status == "lost":
            lost = age(time.time() - app.link.state.since)
            parts.append((f" {glyph.critical} agent lost {lost} ", "bold reverse $text-error"))
        else:
            parts.append((f" {glyph.busy} connecting ", "bold"))
        return parts

    def _age(self) -> list[Part]:
        """How old the data of the view is."""
        view, app = self.view, self.deck_app
        if view.data_at is None:
            if view.problem:
                return [(f" {glyphs().warning} not fetched ", "bold $text-warning")]
            return [(" loading ", "$text-muted")]
        if app.at is not None:
            return [(" the past, read only ", "bold")]
        old = view.data_age() or 0.0
        if not app.link.state.connected:
            return [(f" {glyphs().warning} data {age(old)} old, read only ", "bold $text-warning")]
        if view.stale and old > AGED:
            return [(f" {glyphs().warning} data {age(old)} old ", "bold $text-warning")]
        # Nothing newer is in the store: the feed would have said so.
        return [(f" as of {when(app.confirmed(), seconds=False)} ", "$text-muted")]

    def _foot(self, width: int) -> list[Part]:
        if self._hint is not None:
            return self._hint
        if self._notice is not None:
            return notice_parts(self._notice[0], self._notice[1])
        return footer_parts(self._footed(width))

    def _footed(self, width: int) -> list[tuple[Action, str]]:
        """The actions at the foot, each with why it is not possible now."""
        situation = self.view.situation()
        actions = self.deck_app.registry.footer(self.view.place.view)
        return fitting([(action, unavailable(action, situation)) for action in actions], width)

    def heartbeat(self) -> None:
        """Every few seconds: ages grow, old notices go."""
        if self._notice is not None and time.monotonic() - self._notice[2] > NOTICE_SECONDS:
            self._notice = None
        self.refresh_lines()

    # --- the line to type into -----------------------------------------------------------------------------

    def type_into(
        self, line: CommandLine, entered: Callable[[str], object], left: Callable[[], object] | None = None
    ) -> None:
        """Open a line at the foot; `entered` gets what was typed, `left` is called when escape left it."""
        self._entered, self._left = entered, left
        self.command_line = line
        self._opening = asyncio.create_task(self._type_into(line))

    def ask(self, screen: ModalScreen[Answer], answered: Callable[[Answer | None], None]) -> None:
        """Put a dialog before the view; keys typed meanwhile go to it."""
        self._opening = self.app.push_screen(screen, answered)

    async def _type_into(self, line: CommandLine) -> None:
        from console.commandline import CommandBar

        await self.query(CommandBar).remove()
        await self.mount(CommandBar(line))
        self.set_focus(line)
        self._hint_for(line)

    async def leave_line(self) -> None:
        """Close the line and give the keys back to the view."""
        from console.commandline import CommandBar

        self.command_line = None
        await self.query(CommandBar).remove()
        self.focus_view()
        self.hint(None)

    def _hint_for(self, line: CommandLine) -> None:
        options = line.options()[:12]
        shown = "  ".join(clean(option, 40) for option in options) if options else line.explain
        self.hint([(f" {shown}", "$text-muted")])

    def on_command_line_typed(self) -> None:
        if self.command_line is not None:
            self._hint_for(self.command_line)

    async def on_command_line_left(self) -> None:
        left = self._left
        await self.leave_line()
        if left is not None:
            left()

    async def on_command_line_entered(self, message: CommandLine.Entered) -> None:
        entered = self._entered
        await self.leave_line()
        entered(message.line)

    # --- what the link tells -------------------------------------------------------------------------------

    def store_changed(self, change: Change) -> None:
        if self.view.concerns(change):
            self.view.store_changed()

    def all_changed(self) -> None:
        """Anything may have changed."""
        self.view.store_changed()

    def render(self) -> Content:
        return Content("")
