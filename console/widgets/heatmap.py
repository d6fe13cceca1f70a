"""The drift heat map: features by windows, the worst on top, the newest at the right."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from console import text
from console.glyphs import glyphs
from console.widgets.heatmap_data import (
    EXTREME,
    LEVELS,
    NO_RANK,
    WORDS,
    HeatmapData,
    HeatmapMark,
    Order,
    Rank,
    all_episodes,
    episodes,
    level_at,
    part_of,
    ranks,
    severity,
)
from console.widgets.lines import Lines, Piece

__all__ = ["Heatmap", "HeatmapData", "HeatmapMark", "Order", "severity"]

_HEAD = 3
_FOOT = 2
#: Cells of names at least: what stands below on the same axis has names too.
LEAST_NAME = 7


class Heatmap(Lines, can_focus=True, inherit_bindings=False):
    """Shows a `HeatmapData`: `heatmap.update(data)`; the cursor stays on its feature and its window.

    The features whose windows in sight are worst stand on top (`order_by` for another order). While the cursor is on
    the newest window it stays on the newest. Messages: `CellHighlighted` on each move, `CellSelected` on Enter or a
    click on the cursor's cell; both carry `feature`, `start` (of the window, seconds) and `value`; `Beyond` when a
    move would leave the windows there are. `cursor` is the (feature, start) pair or None.
    """

    PREFIX = "heatmap"
    DEFAULT_CSS = """
    Heatmap { height: 1fr; min-height: 7; background: $background; color: $foreground; }
    Heatmap > .heatmap--title { text-style: bold; color: $foreground; }
    Heatmap > .heatmap--label { color: $text-muted; }
    Heatmap > .heatmap--mark { color: $text-accent; text-style: bold; }
    Heatmap > .heatmap--none { color: $text-muted; }
    Heatmap > .heatmap--noise { color: $text-muted; }
    Heatmap > .heatmap--ok { color: $success; }
    Heatmap > .heatmap--warning { color: $warning; }
    Heatmap > .heatmap--critical { color: $error; }
    Heatmap > .heatmap--extreme { color: $error; text-style: bold; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"heatmap--{part}" for part in ("title", "label", "mark", "none", *LEVELS)}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "move(0, -1)", "Earlier", show=False, id="heatmap.left"),
        Binding("right,l", "move(0, 1)", "Later", show=False, id="heatmap.right"),
        Binding("up,k", "move(-1, 0)", "Up", show=False, id="heatmap.up"),
        Binding("down,j", "move(1, 0)", "Down", show=False, id="heatmap.down"),
        Binding("pageup", "page(-1)", "Page earlier", show=False, id="heatmap.page_left"),
        Binding("pagedown", "page(1)", "Page later", show=False, id="heatmap.page_right"),
        Binding("home", "move(0, -1000000)", "First window", show=False, id="heatmap.first"),
        Binding("end", "move(0, 1000000)", "Newest window", show=False, id="heatmap.last"),
        Binding("g", "move(-1000000, 0)", "Worst feature", show=False, id="heatmap.top"),
        Binding("G", "move(1000000, 0)", "Last feature", show=False, id="heatmap.bottom"),
        Binding("enter", "select", "Open", show=False, id="heatmap.select"),
    ]

    class CellMessage(Message):
        """A cell: its feature, the start of its window in seconds since the epoch, and its value."""

        def __init__(self, heatmap: Heatmap, feature: str, start: float, value: float | None) -> None:
            super().__init__()
            self.heatmap = heatmap
            self.feature = feature
            self.start = start
            self.value = value

        @property
        def control(self) -> Heatmap:
            return self.heatmap

    class CellHighlighted(CellMessage):
        """The cursor came to another cell."""

    class CellSelected(CellMessage):
        """Enter, or a click on the cursor's cell."""

    class Beyond(Message):
        """Earlier (`by` -1) or later (1) windows than there are were wanted, or the very first or last (far more)."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    def __init__(
        self,
        data: HeatmapData | None = None,
        *,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._data = HeatmapData(why=text.loading())
        self._ranks: tuple[tuple[Rank, ...], ...] = ()
        self._order: list[int] = []
        self._by: Order = "worst"
        #: What the order was made of: it is made anew only for other data, another order or other windows in sight.
        self._sorted_by: tuple[HeatmapData, Order, range] | None = None
        self._feature: str | None = None
        self._start: float | None = None
        self._newest = True
        self._top = 0
        self._first = 0
        if data is not None:
            self.update(data)

    @property
    def data(self) -> HeatmapData:
        """What the heat map shows."""
        return self._data

    @property
    def cursor(self) -> tuple[str, float] | None:
        """The feature and window start the cursor is on."""
        place = self._place()
        return None if place is None else (self._data.features[self._order[place[0]]], self._data.starts[place[1]])

    @property
    def features(self) -> list[str]:
        """The features from the top."""
        return [self._data.features[index] for index in self._order]

    @property
    def order(self) -> Order:
        """What the features are sorted by."""
        return self._by

    def update(self, data: HeatmapData) -> None:
        """Show other data; equal data writes nothing."""
        if data == self._data:
            return
        self._data = data
        self._ranks = ranks(data)
        if self._newest and data.starts:
            self._start = data.starts[-1]
        self._sort()
        self.repaint()

    def order_by(self, order: Order) -> None:
        """Sort the features otherwise."""
        self._by = order
        self._sort()
        self.repaint()

    def go_to(self, feature: str, start: float | None = None) -> None:
        """Put the cursor on a feature, and on the window nearest to `start` unless that is None."""
        self._feature = feature
        if start is not None:
            self._start = start
            self._newest = bool(self._data.starts) and start >= self._data.starts[-1]
        self._sort()
        self.repaint()

    def _sort(self) -> None:
        """Which windows are in sight, and in which order the features stand."""
        data = self._data
        shown = range(len(data.starts))
        column = self._column()
        if column is not None and self.size.width:
            count = self._columns(self.size.width)[1]
            self._first = self._scrolled(self._first, column, count, len(data.starts), newest=self._newest)
            shown = range(self._first, min(len(data.starts), self._first + count))
        if self._by == "window" and column is not None:
            shown = range(column, column + 1)
        sorted_by = (data, self._by, shown)
        if self._sorted_by is not None and self._sorted_by[0] is data and self._sorted_by[1:] == sorted_by[1:]:
            return
        self._sorted_by = sorted_by
        if self._by == "name":
            self._order = sorted(range(len(data.features)), key=lambda row: data.features[row])
            return
        if self._by == "matters" and data.basis:
            relevance = [value if value is not None else -1.0 for value in data.relevance]
            self._order = sorted(range(len(data.features)), key=lambda row: -relevance[row])
            return
        self._order = sorted(range(len(data.features)), key=lambda row: self._worst(row, shown)[:2], reverse=True)

    def _worst(self, feature: int, shown: range) -> Rank:
        """The worst cell of a feature among the windows in sight."""
        return max(self._ranks[feature][shown.start : shown.stop], default=NO_RANK)

    def action_move(self, down: int, right: int) -> None:
        place = self._place()
        if place is None:
            return
        last = len(self._data.starts) - 1
        if (right < 0 and place[1] == 0) or (right > 0 and place[1] == last):
            self.post_message(self.Beyond(right))
            return
        row = max(0, min(place[0] + down, len(self._order) - 1))
        column = max(0, min(place[1] + right, len(self._data.starts) - 1))
        self._go(row, column)

    def step_to_alarm(self, by: int) -> tuple[int, int] | None:
        """Put the cursor where the next (`by` 1) or the last (-1) run of alarms began: the worst feature first, of
        each its newest run first, and round again at the end. Gives (which of the runs, of how many), None without any.
        """
        place, every = self._place(), range(len(self._data.starts))
        # Not by the windows in sight: the step itself may bring others into sight.
        order = sorted(range(len(self._ranks)), key=lambda row: self._worst(row, every)[:2], reverse=True)
        found = all_episodes(self._ranks, order)
        if place is None or not found:
            return None
        here = (order.index(self._order[place[0]]), -place[1])
        if by > 0:
            number = sum((run.row, -run.first) <= here for run in found) % len(found)
        else:
            number = (sum((run.row, -run.first) < here for run in found) - 1) % len(found)
        self._go(self._order.index(order[found[number].row]), found[number].first)
        return number + 1, len(found)

    def alarm_here(self) -> tuple[float, int] | None:
        """Of the run of alarms that the cursor is in, its first window and how many windows it reaches over."""
        place = self._place()
        if place is None:
            return None
        runs = episodes(self._ranks[self._order[place[0]]])
        run = next((run for run in runs if run[0] <= place[1] <= run[1]), None)
        return None if run is None else (self._data.starts[run[0]], run[1] - run[0] + 1)

    def action_page(self, pages: int) -> None:
        self.action_move(0, pages * max(1, self._columns(self.size.width)[1] - 1))

    def action_select(self) -> None:
        place = self._place()
        if place is not None:
            self.post_message(self.CellSelected(self, *self._cell(place)))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        place = self._place()
        if offset is None or place is None:
            return
        wide, count = self._columns(self.size.width)
        row = self._top + offset.y - _HEAD
        column = self._first + (offset.x - self._left(self.size.width)) // wide
        visible = 0 <= column - self._first < count and offset.x >= self._left(self.size.width)
        if not (visible and column < len(self._data.starts) and offset.y >= _HEAD and row < len(self._order)):
            return
        if (row, column) == place:
            self.action_select()
        else:
            self._go(row, column)

    def _go(self, row: int, column: int) -> None:
        if (row, column) == self._place() and self._feature is not None:
            return
        self._feature = self._data.features[self._order[row]]
        self._start = self._data.starts[column]
        self._newest = column == len(self._data.starts) - 1
        self._sort()
        self.repaint()
        self.post_message(self.CellHighlighted(self, *self._cell((row, column))))

    def _place(self) -> tuple[int, int] | None:
        """The cursor's (row in the order shown, window), or None when there are no cells."""
        column = self._column()
        if column is None or not self._order:
            return None
        data = self._data
        row = next((row for row, index in enumerate(self._order) if data.features[index] == self._feature), 0)
        return row, column

    def _column(self) -> int | None:
        """The cursor's window."""
        data = self._data
        if not data.features or not data.starts:
            return None
        start = data.starts[-1] if self._start is None else self._start
        return min(range(len(data.starts)), key=lambda index: abs(data.starts[index] - start))

    def _cell(self, place: tuple[int, int]) -> tuple[str, float, float | None]:
        index = self._order[place[0]]
        return self._data.features[index], self._data.starts[place[1]], self._data.values[index][place[1]]

    # --- drawing -----------------------------------------------------------------------------------------

    def columns(self, width: int) -> tuple[int, int, range]:
        """Where windows stand in so many cells: the cells before them, how wide each is, which are in sight."""
        wide, count = self._columns(width)
        first = self._first
        if width != self.size.width:
            # Of a narrower neighbour: the cursor's window is to be in its sight too.
            first = max(0, min((self._column() or 0) - count // 2, len(self._data.starts) - count))
        return self._left(width), wide, range(first, min(len(self._data.starts), first + count))

    def _left(self, width: int) -> int:
        longest = max((cell_len(text.clean(name, 24)) for name in self._data.features), default=0)
        longest = max(longest, LEAST_NAME)
        return min(longest, max(8, width // 4)) + 11

    def _columns(self, width: int) -> tuple[int, int]:
        """How wide a window is, and how many fit."""
        room = max(1, width - self._left(width))
        wide = max(1, min(3, room // max(1, len(self._data.starts))))
        return wide, room // wide

    def wanted_lines(self, width: int) -> int:  # noqa: ARG002
        return _HEAD + len(self._data.features) + _FOOT

    def compose_lines(self, width: int, height: int) -> list[Sequence[Piece]]:
        data = self._data
        self._sort()
        place = self._place()
        if place is None:
            return [
                [(text.clean(data.title, width), "title")],
                [],
                [(f"   {text.clean(data.why or 'no windows yet', max(0, width - 3))}", "label")],
            ]
        wide, count = self._columns(width)
        shown = range(self._first, min(len(data.starts), self._first + count))
        lines = max(1, height - _HEAD - _FOOT)
        self._top = self._scrolled(self._top, place[0], lines, len(self._order))
        left = self._left(width)
        drawn: list[Sequence[Piece]] = [
            self._title(shown, lines, width),
            self._marks(shown, wide, left, place[1]),
            self._labels(shown, wide, left),
        ]
        for row in range(self._top, min(len(self._order), self._top + lines)):
            drawn.append(self._row(row, shown, wide, left, place))
        drawn += [[]] * (height - _FOOT - len(drawn))
        drawn += [self._here(place, width), self._legend(width)]
        return drawn

    @staticmethod
    def _scrolled(first: int, cursor: int, room: int, length: int, newest: bool = False) -> int:
        if newest or length <= room:
            return max(0, length - room) if newest else 0
        if cursor < first:
            return cursor
        return max(0, min(max(first, cursor - room + 1), length - room))

    def _title(self, shown: range, lines: int, width: int) -> list[Piece]:
        data = self._data
        span = f"{self._moment(data.starts[shown[0]])} {glyphs().arrow} {self._moment(data.starts[shown[-1]])}"
        hidden = ""
        if shown[0] > 0:
            hidden += f"  {glyphs().left}{shown[0]} earlier"
        if shown[-1] < len(data.starts) - 1:
            hidden += f"  {len(data.starts) - 1 - shown[-1]} later{glyphs().right}"
        named = f"{data.title or data.statistic}, {self._count(lines)}"
        title = text.clean(named, max(8, width - len(span) - len(hidden) - 2))
        return [(title, "title"), (f"  {span}{hidden}", "label")]

    def _count(self, lines: int) -> str:
        """Which features are in sight, of how many."""
        there, all_there = len(self._order), max(self._data.of, len(self._order))
        if there > lines:
            of = f"{there}" if there == all_there else f"{there} ({all_there} in all)"
            return f"features {self._top + 1}-{min(there, self._top + lines)} of {of}"
        return (
            f"{there} feature{'' if there == 1 else 's'}" if there == all_there else f"{there} of {all_there} features"
        )

    def _moment(self, start: float) -> str:
        """The beginning of a window: of days and more the date says all."""
        moment = text.when(start)
        return moment.partition(" ")[0] if self._data.window_seconds >= 86_400 and moment.endswith("00:00Z") else moment

    def _marks(self, shown: range, wide: int, left: int, cursor: int) -> list[Piece]:
        line = [" "] * (len(shown) * wide)
        for mark in self._data.marks:
            window = self._window_of(mark.at)
            if window is not None and window in shown:
                x = (window - shown[0]) * wide
                letter = text.clean(mark.letter, 1)
                # Two of a kind are one letter; of two kinds the revision is drawn, alerts show as colour below.
                if line[x] in (" ", "!") or letter == "R":
                    line[x] = letter
        x = (cursor - shown[0]) * wide
        if 0 <= x < len(line) and line[x] == " ":
            line[x] = glyphs().down
        return [(" " * left, ""), ("".join(line), "mark")]

    def _labels(self, shown: range, wide: int, left: int) -> list[Piece]:
        data = self._data
        daily = data.window_seconds >= 86_400
        line = ""
        head = "worst".rjust(9)
        for place, window in enumerate(shown):
            if place * wide < len(line) or (place and len(line) > place * wide - 1):
                continue
            label = _label(data.starts[window], daily)
            if place * wide + len(label) <= len(shown) * wide:
                line = line.ljust(place * wide) + label + "  "
        return [(head.rjust(left - 1) + " ", "label"), (line[: len(shown) * wide], "label")]

    def _row(self, row: int, shown: range, wide: int, left: int, cursor: tuple[int, int]) -> list[Piece]:
        data = self._data
        index = self._order[row]
        here = row == cursor[0]
        name_width = left - 11
        found = self._worst(index, shown)
        value = data.values[index][found.window] if found.level >= 0 else None
        pieces: list[Piece] = [
            (f"{glyphs().cursor if here else ' '} ", "title" if here else ""),
            (text.fit(text.middle(data.features[index], name_width), name_width), "title" if here else ""),
            (text.number(value).rjust(8) + " ", part_of(found.level if found.level >= 0 else None)),
        ]
        for window in shown:
            level = level_at(data, index, window)
            glyph = glyphs().no_data if level is None else glyphs().shades[level]
            part = part_of(level)
            if here and window == cursor[1]:
                glyph = glyphs().here
                part += "!"
            pieces.append((glyph * wide, part))
        return pieces

    def _here(self, place: tuple[int, int], width: int) -> list[Piece]:
        data = self._data
        feature, start, value = self._cell(place)
        noise = data.noise[self._order[place[0]]][place[1]] if data.noise else None
        level = level_at(data, self._order[place[0]], place[1])
        parts = [text.middle(feature, 32), self._moment(start), f"{data.statistic} {text.number(value)}"]
        if noise is not None:
            parts.append(f"noise {text.number(noise)}")
        if data.rows:
            parts.append(f"{text.number(data.rows[place[1]])} rows")
        if data.versions and data.versions[place[1]]:
            parts.append(f"version {text.clean(data.versions[place[1]], 12)}")
        importance = data.importance[self._order[place[0]]] if data.importance else None
        if importance is not None:
            parts.append(f"importance {text.share(importance)}")
        word = "no data" if level is None else WORDS[level]
        if level is not None and level >= 3 and data.alarm > 0:
            word = f"{abs(value or 0.0) / data.alarm:.3g}{glyphs().times} alarm"
        said = text.clean("  ".join(parts), max(0, width - len(word) - 4))
        return [(f"{glyphs().cursor} {said}  ", "title"), (word, part_of(level))]

    def _legend(self, width: int) -> list[Piece]:
        data, roomy = self._data, width >= 96
        words = (
            "below noise" if roomy else "noise",
            "ok",
            f"warn {text.number(data.warn)}",
            f"alarm {text.number(data.alarm)}",
            f"{EXTREME:g}{glyphs().times} alarm",
        )
        pieces: list[Piece] = [("  ", "")]
        for level, word in enumerate(words):
            pieces += [(glyphs().shades[level], part_of(level)), (f" {word}  ", "label")]
        pieces += [(glyphs().no_data, "none"), (" no data  " if roomy else " none  ", "label")]
        if data.marks:
            pieces += [("R", "mark"), (" revision  " if roomy else " rev ", "label")]
            pieces += [("!", "mark"), (" alert", "label")]
        return pieces

    def _window_of(self, at: float) -> int | None:
        for window in range(len(self._data.starts) - 1, -1, -1):
            if self._data.starts[window] <= at:
                inside = at < self._data.starts[window] + self._data.window_seconds
                return window if inside or window + 1 < len(self._data.starts) else None
        return None


def _label(start: float, daily: bool) -> str:
    try:
        moment = datetime.fromtimestamp(start, UTC)
    except (ValueError, OverflowError, OSError):
        return glyphs().replacement
    return moment.strftime("%b%d" if daily or (moment.hour, moment.minute) == (0, 0) else "%H:%M")
