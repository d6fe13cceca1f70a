"""The drift heat map: features by windows, the worst on top, the newest at the right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from console import text
from console.widgets.heatmap_data import (
    LEVELS,
    HeatmapData,
    HeatmapMark,
    Order,
    Rank,
    all_episodes,
    episodes,
    ranks,
    severity,
    worst,
)
from console.widgets.heatmap_paint import FOOT, HEAD, UNJUDGED, Sight, paint
from console.widgets.lines import Lines, Piece

__all__ = ["Heatmap", "HeatmapData", "HeatmapMark", "Order", "severity"]

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
    Heatmap > .heatmap--unjudged { color: $text-secondary; }
    Heatmap > .heatmap--noise { color: $text-muted; }
    Heatmap > .heatmap--ok { color: $success; }
    Heatmap > .heatmap--warning { color: $warning; }
    Heatmap > .heatmap--critical { color: $error; }
    Heatmap > .heatmap--extreme { color: $error; text-style: bold; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"heatmap--{part}" for part in ("title", "label", "mark", "none", UNJUDGED, *LEVELS)
    }
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
        self._order = self._by_the_worst(shown)

    def _by_the_worst(self, shown: range) -> list[int]:
        """The features, those first whose worst window of these is worst."""
        return sorted(range(len(self._ranks)), key=lambda row: worst(self._ranks[row], shown)[:2], reverse=True)

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
        place = self._place()
        # Not by the windows in sight: the step itself may bring others into sight.
        order = self._by_the_worst(range(len(self._data.starts)))
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
        row = self._top + offset.y - HEAD
        column = self._first + (offset.x - self._left(self.size.width)) // wide
        visible = 0 <= column - self._first < count and offset.x >= self._left(self.size.width)
        if not (visible and column < len(self._data.starts) and offset.y >= HEAD and row < len(self._order)):
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
        return HEAD + len(self._data.features) + FOOT

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
        lines = max(1, height - HEAD - FOOT)
        self._top = self._scrolled(self._top, place[0], lines, len(self._order))
        left, wide, shown = self.columns(width)
        rows = range(self._top, min(len(self._order), self._top + lines))
        drawn = paint(Sight(data, self._ranks, self._order, rows, shown, wide, left, place), width)
        return [*drawn[:-FOOT], *[[]] * (height - len(drawn)), *drawn[-FOOT:]]

    @staticmethod
    def _scrolled(first: int, cursor: int, room: int, length: int, newest: bool = False) -> int:
        if newest or length <= room:
            return max(0, length - room) if newest else 0
        if cursor < first:
            return cursor
        return max(0, min(max(first, cursor - room + 1), length - room))
