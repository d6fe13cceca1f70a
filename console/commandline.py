"""The line at the foot that `:`, `/` and the prompts type into, with completion and history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input

Purpose = Literal["command", "filter", "prompt"]
Completer = Callable[[str], Sequence[str]]

#: Lines of history kept for each purpose.
LONGEST = 200


class History:
    """What was typed before, newest last; kept in a file of the operator's when one is given."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.lines: list[str] = []
        if path is not None:
            try:
                self.lines = path.read_text("utf-8", "replace").splitlines()[-LONGEST:]
            except OSError:
                pass

    def add(self, line: str) -> None:
        """Remember a line; a repeated one moves to the end."""
        if not line.strip():
            return
        if line in self.lines:
            self.lines.remove(line)
        self.lines.append(line)
        del self.lines[:-LONGEST]
        if self.path is not None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.write_text("\n".join(self.lines) + "\n", "utf-8")
            except OSError:
                self.path = None  # a history that cannot be kept is no reason to disturb anybody


class CommandLine(Input, inherit_bindings=False):
    """One line of input. Enter submits, escape leaves, Tab completes, up and down go through history."""

    DEFAULT_CSS = """
    CommandLine, CommandLine:focus { height: 1; width: 1fr; border: none; padding: 0; background: $panel; }
    """
    # Without Input's own control keys, some of which terminals and multiplexers keep for themselves.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "cursor_left", show=False),
        Binding("right", "cursor_right", show=False),
        Binding("ctrl+left", "cursor_left_word", show=False),
        Binding("ctrl+right", "cursor_right_word", show=False),
        Binding("home", "home", show=False),
        Binding("end,ctrl+e", "end", show=False),
        Binding("backspace", "delete_left", show=False),
        Binding("delete", "delete_right", show=False),
        Binding("ctrl+w", "delete_left_word", show=False),
        Binding("ctrl+u", "delete_left_all", show=False),
        Binding("ctrl+k", "delete_right_all", show=False),
        Binding("enter", "submit", show=False),
        Binding("escape,ctrl+c", "leave", show=False),
        Binding("tab", "complete", show=False),
        Binding("up", "older", show=False),
        Binding("down", "newer", show=False),
    ]

    class Typed(Message):
        """The line changed."""

        def __init__(self, line: str) -> None:
            super().__init__()
            self.line = line

    class Entered(Message):
        """Enter was pressed."""

        def __init__(self, line: str) -> None:
            super().__init__()
            self.line = line

    class Left(Message):
        """Escape was pressed."""

    def __init__(
        self,
        purpose: Purpose,
        mark: str,
        history: History,
        *,
        value: str = "",
        complete: Completer | None = None,
        explain: str = "enter takes it, escape leaves",
    ) -> None:
        super().__init__(value, id="commandline", compact=True, select_on_focus=False)
        self.cursor_blink = False
        self.purpose = purpose
        self.mark = mark
        self.history = history
        self.complete = complete
        #: What stands above the line while it has no completions.
        self.explain = explain
        self._place = len(history.lines)
        self._typed = value
        self._completions: list[str] = []

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Typed(event.value))

    def action_leave(self) -> None:
        self.post_message(self.Left())

    async def action_submit(self) -> None:
        line = self.value
        self.history.add(line)
        self.post_message(self.Entered(line))

    def options(self) -> list[str]:
        """What the line can become."""
        return list(self.complete(self.value)) if self.complete is not None else []

    def action_complete(self) -> None:
        """The longest common beginning of the completions; again for one after the other."""
        if self._completions and self.value in self._completions:
            place = self._completions.index(self.value) + 1
            self._put(self._completions[place % len(self._completions)])
            return
        found = self.options()
        if not found:
            return
        common = found[0]
        for option in found:
            while not option.startswith(common):
                common = common[:-1]
        if len(found) == 1:
            self._completions = []
            self._put(found[0] if found[0].endswith(("=", ":")) else found[0] + " ")
        elif len(common) > len(self.value):
            self._completions = []
            self._put(common)
        else:
            self._completions = found
            self._put(found[0])

    def action_older(self) -> None:
        if self._place > 0:
            if self._place == len(self.history.lines):
                self._typed = self.value
            self._place -= 1
            self._put(self.history.lines[self._place])

    def action_newer(self) -> None:
        if self._place < len(self.history.lines):
            self._place += 1
            ended = self._place == len(self.history.lines)
            self._put(self._typed if ended else self.history.lines[self._place])

    def _put(self, line: str) -> None:
        self.value = line
        self.cursor_position = len(line)

    def on_key(self, event: events.Key) -> None:
        if not event.is_printable and event.key not in ("ctrl+c",):
            return
        self._completions = []


class CommandMark(Widget, inherit_bindings=False):
    """The `:`, `/` or question before the line."""

    DEFAULT_CSS = "CommandMark { width: auto; height: 1; background: $panel; text-style: bold; }"

    def __init__(self, mark: str) -> None:
        super().__init__()
        self.mark = mark

    def render(self) -> Content:
        return Content(self.mark)


class CommandBar(Widget, inherit_bindings=False):
    """A line with its mark, below everything else."""

    DEFAULT_CSS = "CommandBar { layout: horizontal; height: 1; background: $panel; }"

    def __init__(self, line: CommandLine) -> None:
        super().__init__()
        self.line = line

    def compose(self) -> ComposeResult:
        yield CommandMark(f" {self.line.mark}")
        yield self.line
