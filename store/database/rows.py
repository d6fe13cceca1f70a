"""Rows of a result that is read to its end."""

from __future__ import annotations

from typing import Any

import duckdb


def first_row(result: duckdb.DuckDBPyConnection) -> tuple[Any, ...] | None:
    """The first row of what was just executed; null when there is none.

    Not `fetchone`: that leaves the result unread, and then the connection refuses the next relation or Arrow table,
    whoever asks for it.
    """
    rows = result.fetchall()
    return rows[0] if rows else None
