"""What a table is fed with: the row source protocol, and the bounded cache of the rows near the screen."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Row = Sequence[Any]
"""One row, aligned with the columns; `row[0]` is its id, unique in the listing."""


class ColumnLike(Protocol):
    """A column: `kind` is text, number, time, duration, share, bytes, health, spark or json; `priority` 0 is always
    shown, higher numbers are left out first when the screen is narrow, negative ones are never shown."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def priority(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Column:
    """The plain form of a column; any object with the same attributes does as well."""

    name: str
    kind: str = "text"
    title: str = ""
    priority: int = 1


class PageLike(Protocol):
    """Rows `offset` to `offset + len(rows)` of `total`."""

    @property
    def total(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def rows(self) -> Sequence[Row]: ...


@dataclass(frozen=True, slots=True)
class RowPage:
    """The plain form of a page; any object with the same attributes does as well."""

    total: int
    offset: int
    rows: Sequence[Row]


class RowSource(Protocol):
    """Where a table gets its rows. Rows are ordered; filter and sort are the source's own affair.

    Both calls may be cancelled when the operator has scrolled on, and may raise: the table shows the message.
    `columns` is read again after each page and may change.
    """

    @property
    def columns(self) -> Sequence[ColumnLike]: ...

    async def page(self, offset: int, limit: int) -> PageLike:
        """At most `limit` rows from `offset`; fewer (or none) at the end of the listing."""
        ...

    async def locate(self, row_id: str) -> int | None:
        """The present offset of a row, or None when the listing does not hold it (any more)."""
        ...


@dataclass(slots=True)
class _Block:
    rows: list[Row]
    fresh: bool = True


@dataclass(slots=True)
class RowCache:
    """Rows in blocks of `block` rows, at most `bound` blocks, those used last kept.

    After `expire` the blocks still answer (a stale row is better than a blank) until `put` replaces them.
    """

    block: int = 32
    bound: int = 24
    _blocks: OrderedDict[int, _Block] = field(default_factory=OrderedDict)

    def get(self, index: int) -> Row | None:
        """The row at an index, fresh or stale, or None when it is not here."""
        number, place = divmod(index, self.block)
        found = self._blocks.get(number)
        if found is None or place >= len(found.rows):
            return None
        return found.rows[place]

    def put(self, offset: int, rows: Sequence[Row], asked: int) -> None:
        """Keep the answer to `page(offset, asked)`; `offset` is a whole number of blocks."""
        for start in range(0, asked, self.block):
            number = (offset + start) // self.block
            self._blocks[number] = _Block(list(rows[start : start + self.block]))
            self._blocks.move_to_end(number)
        while len(self._blocks) > self.bound:
            self._blocks.popitem(last=False)

    def expire(self) -> None:
        """Everything here may be out of date."""
        for found in self._blocks.values():
            found.fresh = False

    def truncate(self, total: int) -> None:
        """The listing has only `total` rows: forget what was beyond."""
        for number in [number for number in self._blocks if number * self.block >= total]:
            del self._blocks[number]
        last = self._blocks.get(total // self.block)
        if last is not None:
            del last.rows[total % self.block :]

    def clear(self) -> None:
        """Forget everything."""
        self._blocks.clear()

    def touch(self, first: int, last: int) -> None:
        """Say that rows `first` to `last` (exclusive) are in use, so that they are dropped last."""
        for number in self._numbers(first, last):
            if number in self._blocks:
                self._blocks.move_to_end(number)

    def missing(self, first: int, last: int, *, stale_too: bool) -> tuple[int, int] | None:
        """The (offset, limit) that would fill what is missing of rows `first` to `last` (exclusive), or None."""
        lacking = [
            number
            for number in self._numbers(first, last)
            if (found := self._blocks.get(number)) is None or (stale_too and not found.fresh)
        ]
        if not lacking:
            return None
        return lacking[0] * self.block, (lacking[-1] - lacking[0] + 1) * self.block

    def aligned(self, first: int, last: int) -> tuple[int, int]:
        """The (offset, limit) in whole blocks that covers rows `first` to `last` (exclusive)."""
        start = first // self.block
        end = max(start + 1, -(-last // self.block))
        return start * self.block, (end - start) * self.block

    def _numbers(self, first: int, last: int) -> Iterator[int]:
        return iter(range(first // self.block, -(-last // self.block)))

    def __len__(self) -> int:
        return sum(len(found.rows) for found in self._blocks.values())
