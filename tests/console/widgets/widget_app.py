"""An app around one widget that records which lines of the screen it writes, and what the widget says."""

from __future__ import annotations

from typing import Any

from textual.app import App, ComposeResult
from textual.message import Message
from textual.widget import Widget


class WidgetApp(App[None]):
    """`painted` is the set of screen lines written since it was last cleared."""

    def __init__(self, widget: Widget) -> None:
        super().__init__()
        self.widget = widget
        self.painted: set[int] = set()
        self.heard: list[Message] = []

    def compose(self) -> ComposeResult:
        yield self.widget

    def _display(self, screen: Any, renderable: Any) -> None:
        if renderable is not None:
            spans = getattr(renderable, "spans", None)
            self.painted |= set(range(self.size.height)) if spans is None else {y for y, _, _ in spans}
        super()._display(screen, renderable)

    def on_heatmap_cell_selected(self, message: Message) -> None:
        self.heard.append(message)

    def on_heatmap_cell_highlighted(self, message: Message) -> None:
        self.heard.append(message)

    def on_heatmap_beyond(self, message: Message) -> None:
        self.heard.append(message)

    def lines(self) -> list[str]:
        """What the widget shows, without trailing blanks."""
        return [self.widget.render_line(y).text.rstrip() for y in range(self.widget.size.height)]
