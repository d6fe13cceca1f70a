"""The base of the small widgets: lines of styled pieces, of which only those that changed are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

Piece = tuple[str, str]
"""Clean text, and the part it is: a component class without its prefix, with `!` at its end drawn in reverse."""

_REVERSE = Style(reverse=True)


class Lines(Widget):
    """Draws what `compose_lines` says; call `repaint` whenever that may have changed."""

    ALLOW_SELECT = False
    PREFIX: ClassVar[str] = ""
    """The parts `ok`, `axis` … are the component classes `PREFIX--ok`, `PREFIX--axis` …"""

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._shown: list[Sequence[Piece]] = []
        self._wanted = 0
        self._part_styles: dict[str, Style] = {}

    def compose_lines(self, width: int, height: int) -> list[Sequence[Piece]]:
        """The lines to show in so many cells; too long ones are cut, missing ones are blank."""
        raise NotImplementedError

    def wanted_lines(self, width: int) -> int:  # noqa: ARG002
        """How many lines there are to show: what `height: auto` gives the widget."""
        return 1

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        return self.wanted_lines(width)

    def repaint(self) -> None:
        """Write the lines that differ from what is shown."""
        if not self.is_mounted:
            return
        size = self.size
        if self.styles.is_auto_height and self.wanted_lines(size.width) != self._wanted:
            self._wanted = self.wanted_lines(size.width)
            self.refresh(layout=True)
        lines = [tuple(line) for line in self.compose_lines(size.width, size.height)][: size.height]
        before, self._shown = self._shown, list(lines)
        if len(before) != len(lines):
            self.refresh()
            return
        for y, line in enumerate(lines):
            if line != before[y]:
                self.refresh(Region(0, y, size.width, 1))

    def on_resize(self) -> None:
        self._shown = []
        self.repaint()

    def on_focus(self) -> None:
        self.repaint()

    def on_blur(self) -> None:
        self.repaint()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._part_styles = {}

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        base = self._part_style("")
        if y >= len(self._shown):
            return Strip.blank(width, base)
        segments = [Segment(text, self._part_style(part)) for text, part in self._shown[y] if text]
        return Strip(segments).simplify().adjust_cell_length(width, base)

    def _part_style(self, part: str) -> Style:
        if part not in self._part_styles:
            name = part.removesuffix("!")
            style = self.get_component_rich_style(f"{self.PREFIX}--{name}") if name else self.rich_style
            self._part_styles[part] = style + _REVERSE if part.endswith("!") else style
        return self._part_styles[part]
