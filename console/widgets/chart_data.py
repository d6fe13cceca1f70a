"""What a chart shows, and the grid of characters it is drawn on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Style = Literal["line", "dots", "crosses", "dashes"]


@dataclass(frozen=True, slots=True)
class Series:
    """A line: `points` are (x, y) in rising x; a y that is None or not finite is a gap in the line.

    What was measured is a line; what was estimated is drawn point by point, what is not final in crosses, a limit
    that moves in dashes.
    """

    label: str
    points: tuple[tuple[float, float | None], ...]
    style: Style = "line"
    part: str = ""
    """A part to be drawn as, such as `threshold`; "" for the series' own."""


@dataclass(frozen=True, slots=True)
class ChartMark:
    """A vertical line at `x` with one letter under it, such as R for a revision or ! for an alert."""

    x: float
    letter: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """A horizontal line at `y`."""

    y: float
    label: str = ""
    part: str = "threshold"


@dataclass(frozen=True, slots=True)
class Hatch:
    """A span of x that is hatched, with a word on it: what is not known there."""

    first: float
    last: float
    label: str = ""


@dataclass(frozen=True, slots=True)
class Strip:
    """One line of small bars under the canvas, over the same x: shares from 0 to 1."""

    label: str
    points: tuple[tuple[float, float | None], ...]


@dataclass(frozen=True, slots=True)
class ChartData:
    """All that a chart shows. `x_kind` says whether x is seconds since the epoch or a plain number (a step)."""

    series: tuple[Series, ...] = ()
    marks: tuple[ChartMark, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    x_kind: Literal["time", "number"] = "time"
    title: str = ""
    low: float | None = None
    high: float | None = None
    why: str = ""
    """What to say when there is nothing to draw."""
    band: tuple[tuple[float, float | None, float | None], ...] = ()
    """(x, lowest, highest) of where values are expected."""
    hatches: tuple[Hatch, ...] = ()
    strip: Strip | None = None
    log: bool = False
    """Heights as logarithms."""
    whole_span: bool = False
    """Also x without a y belong to the axis."""


@dataclass(slots=True)
class Picture:
    """`rows[y][x]` is a (character, part) pair; a part is `series-N`, `axis`, `mark`, `threshold`, `title` or ``."""

    width: int
    height: int
    rows: list[list[tuple[str, str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rows = [[(" ", "")] * self.width for _ in range(self.height)]

    def put(self, x: int, y: int, written: str, part: str) -> None:
        """Write one-cell characters from (x, y) to the right; what does not fit is left out."""
        for place, character in enumerate(written, x):
            if 0 <= place < self.width and 0 <= y < self.height:
                self.rows[y][place] = (character, part)

    def inside(self, x: int, y: int, width: int, height: int) -> Canvas:
        """The part of the picture where the lines are."""
        return Canvas(self, x, y, width, height)

    def text(self) -> str:
        """The characters alone."""
        return "\n".join("".join(character for character, _ in row) for row in self.rows)


@dataclass(frozen=True, slots=True)
class Canvas:
    """A rectangle of a picture, counted from its own corner."""

    picture: Picture
    x: int
    y: int
    width: int
    height: int

    def put(self, x: int, y: int, written: str, part: str) -> None:
        """As `Picture.put`; also a little outside of the rectangle, where the axes are."""
        self.picture.put(self.x + x, self.y + y, written, part)

    def at(self, x: int, y: int) -> tuple[str, str]:
        """The character and part at a place inside."""
        return self.picture.rows[self.y + y][self.x + x]
