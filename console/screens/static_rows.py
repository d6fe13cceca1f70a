"""Rows that are all here already, as a table's row source."""

from __future__ import annotations

from collections.abc import Sequence

from console.widgets.rows import ColumnLike, Row, RowPage


class StaticRows:
    """`rows[i][0]` is the row's id."""

    def __init__(self, columns: Sequence[ColumnLike], rows: Sequence[Row]) -> None:
        self.columns = columns
        self.rows = rows

    async def page(self, offset: int, limit: int) -> RowPage:
        return RowPage(len(self.rows), offset, self.rows[offset : offset + limit])

    async def locate(self, row_id: str) -> int | None:
        return next((index for index, row in enumerate(self.rows) if str(row[0]) == row_id), None)
