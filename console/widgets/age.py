"""The age badge: how old what is on the screen is, in steps so coarse that an idle console writes next to nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual.timer import Timer

from console import text
from console.glyphs import glyphs
from console.widgets.lines import Lines, Piece

__all__ = ["AgeBadge", "age_text"]

_STEPS = (0, 5, 10, 30)
"""Below a minute only these seconds are told apart."""


def age_text(seconds: float) -> tuple[str, float]:
    """What a badge says of an age, and after how many seconds it will say something else."""
    if seconds < 60:
        step = max(step for step in _STEPS if step <= max(0.0, seconds))
        following = next((other for other in _STEPS if other > step), 60)
        return ("now" if step == 0 else f"{step}s"), following - max(0.0, seconds)
    unit = 60 if seconds < 3600 else 3600 if seconds < 86_400 else 86_400
    return text.age(seconds), unit - seconds % unit


class AgeBadge(Lines):
    """`badge.fresh(at)` says when the data was true; `badge.lost(why)` marks it as stale until the next `fresh`.

    It wakes only when its text is due to change: below a minute four times, later at most once a minute.
    """

    PREFIX = "age"
    DEFAULT_CSS = """
    AgeBadge { height: 1; width: 12; background: $panel; color: $text-muted; }
    AgeBadge > .age--fresh { color: $text-muted; }
    AgeBadge > .age--stale { color: $text-warning; text-style: bold; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"age--fresh", "age--stale"}

    def __init__(
        self,
        at: float | None = None,
        *,
        clock: Callable[[], float] = time.time,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._at = at
        self._lost = ""
        self._clock = clock
        self._timer: Timer | None = None

    def fresh(self, at: float) -> None:
        """The data was true at `at` (seconds since the epoch)."""
        self._at = at
        self._lost = ""
        self._tick()

    def lost(self, why: str) -> None:
        """The data can no longer be kept up to date."""
        self._lost = why
        self._tick()

    @property
    def shown(self) -> str:
        """The badge's text."""
        if self._at is None:
            return text.clean(self._lost, 20) if self._lost else ""
        said, _ = age_text(self._clock() - self._at)
        if self._lost:
            return f"{glyphs().warning} {text.clean(self._lost, 20)} {said}"
        return said if said == "now" else f"{said} old"

    def on_mount(self) -> None:
        self._tick()

    def _tick(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if not self.is_mounted:
            return
        self.repaint()
        if self._at is not None:
            _, due = age_text(self._clock() - self._at)
            self._timer = self.set_timer(max(0.5, due + 0.05), self._tick)

    def compose_lines(self, width: int, height: int) -> list[Sequence[Piece]]:  # noqa: ARG002
        shown = text.clean(self.shown, width)
        return [[(" " * (width - cell_len(shown)), ""), (shown, "stale" if self._lost else "fresh")]]
