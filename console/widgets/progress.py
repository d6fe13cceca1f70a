"""One line that says what long work is going on and how far it is; it does not move by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from console import text
from console.glyphs import glyphs
from console.widgets.lines import Lines, Piece

__all__ = ["ProgressStrip"]

_BAR = 20


class ProgressStrip(Lines):
    """`strip.update("taking in 10,000 runs", 412, 10_000)`; `strip.clear()` hides it. Total 0: no end is known.

    Writes only when its text changes: the bar has 20 steps, the share whole percents.
    """

    PREFIX = "progress"
    DEFAULT_CSS = """
    ProgressStrip { height: 1; background: $panel; color: $foreground; display: none; }
    ProgressStrip.-busy { display: block; }
    ProgressStrip > .progress--bar { color: $text-primary; }
    ProgressStrip > .progress--label { color: $foreground; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"progress--bar", "progress--label"}

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._label = ""
        self._done = 0
        self._total = 0

    def update(self, label: str, done: int = 0, total: int = 0) -> None:
        """Say what is going on: `done` of `total`, or `done` so far when `total` is 0."""
        self._label, self._done, self._total = label, done, total
        self.add_class("-busy")
        self.repaint()

    def clear(self) -> None:
        """Nothing is going on any more."""
        self.remove_class("-busy")

    def compose_lines(self, width: int, height: int) -> list[Sequence[Piece]]:  # noqa: ARG002
        if self._total <= 0:
            count = f"  {text.number(self._done)} done" if self._done else ""
            said = text.clean(self._label, max(0, width - len(count) - 3))
            return [[(f" {glyphs().busy} ", "bar"), (said + count, "label")]]
        done = max(0, min(self._done, self._total))
        full = _BAR * done // self._total
        bar = glyphs().full * full + glyphs().separator * (_BAR - full)
        percent = f"{100 * done // self._total:3d}%"
        said = text.clean(f"{percent}  {self._label}", max(0, width - _BAR - 3))
        return [[(f" {bar} ", "bar"), (f" {said}", "label")]]
