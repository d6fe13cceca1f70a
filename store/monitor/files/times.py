"""The one place that says how a column becomes event times, whatever the format wrote them as.

**A time** is microseconds since 1970-01-01T00:00Z. Nanoseconds are cut off, never rounded up. What names no zone is of
the declared zone, or UTC. Where clocks are put forward, a time that no clock showed is read by the offset before the
change (02:30 as 03:30 summer time); where they are put back, a time that came twice is the second one (after the
change): that is what DuckDB's ICU does, and what Python calls fold=0 and fold=1.

**Numbers** are seconds since the epoch below 1e11, milliseconds below 1e14, microseconds below 1e17, else nanoseconds;
but whole numbers of 8, 12, 14 and 17 digits that begin with a year from 1900 to 2100 are yyyymmdd, with HHMM, HHMMSS
and milliseconds (as epochs they would lie in 1970, in 1976, or far in the future).

**Text** is read by its whole form (`store.monitor.files.written_times`), never by a part of it: a zone that is not
known, or what follows a time and is no zone, makes it unreadable. An offset counts before the zone's name behind it.
`3/11/2026` and `3-11-2026` are read only if the column shows which number is the day; with dots the day comes first.
"""

from __future__ import annotations

from typing import Any

import duckdb
import msgspec

from store.catalog.manifest import ColumnFormat
from store.database.reader import Connect
from store.monitor.files.time_sql import (
    DIGITS,
    TimeForm,
    clock_sql,
    day_first_sql,
    is_compact,
    iso_sql,
    parsed_sql,
    time_sql,
)
from store.monitor.files.written_times import is_time_text
from store.monitor.notes import Note
from store.monitor.source import is_number, is_temporal, is_text, literal, quoted

__all__ = ["TimeForm", "column_times", "is_time_text", "time_sql"]

#: Values that are quoted in a note are cut to this.
_EXAMPLE = 60


def column_times(
    connection: duckdb.DuckDBPyConnection | Connect,
    relation: str,
    column: str,
    kind: str,
    declared: ColumnFormat | None = None,
) -> tuple[TimeForm, list[Note]]:
    """(how `column` of `relation` is to be read, what is to be said of it), from all its values and what is declared.

    Typed timestamps ask for no query (and no connection), text that is ISO 8601 throughout for one. The notes count
    values that are there and are not read, by reason, and say what was decided. Raises `duckdb.Error` if the
    relation cannot be read.
    """
    form = TimeForm(declared.time, declared.zone) if declared else TimeForm()
    if is_temporal(kind) or not (is_number(kind) or is_text(kind)):
        return form, _of_type(column, kind)
    look = _Look(connection() if callable(connection) else connection, relation, column, kind)
    if form.format:
        return form, look.unread(form)
    if is_number(kind):
        return form, [*_of_type(column, kind), *look.units(), *look.unread(form)]
    values, iso, digits = look.plain(form)
    if iso == values:
        return msgspec.structs.replace(form, only="iso"), []
    if digits == values:
        form = msgspec.structs.replace(form, only="digits")
        return form, [*look.units(), *look.unread(form)]
    day_first, notes = look.day_first()
    form = msgspec.structs.replace(form, day_first=day_first)
    return form, [*notes, *look.unread(form)]


def _of_type(column: str, kind: str) -> list[Note]:
    if kind == "FLOAT":
        return [
            Note("time_precision", f"times of {column!r} are 32-bit floats, exact to a minute or two", column=column)
        ]
    if (is_temporal(kind) and kind.startswith(("TIMESTAMP", "DATE"))) or is_number(kind):
        return []
    return [Note("time_unreadable", f"times of {column!r} cannot be read: the column is {kind}", column=column)]


class _Look:
    """Questions to the whole of one column."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, relation: str, column: str, kind: str) -> None:
        self._connection = connection
        self._column = column
        self._name = name = quoted(column)
        self._relation = relation
        self._kind = kind
        self._text = f"trim(CAST({name} AS VARCHAR))"
        there = f"{name} IS NOT NULL"
        if is_text(kind):
            there = f"{self._text} <> ''"
        elif kind in ("FLOAT", "DOUBLE"):
            # pandas writes NaN where there is no value.
            there += f" AND NOT isnan({name})"
        self._values = f"{relation} WHERE {there}"

    def plain(self, form: TimeForm) -> tuple[int, int, int]:
        """(values, those that are ISO 8601 and read, those that are digits)"""
        read = f"CASE {iso_sql(self._text, form)} END"
        digits = f"regexp_full_match({self._text}, '{DIGITS}')"
        counts = self._ask(f"count(*), count({read}), count(*) FILTER ({digits})", self._values)[0]
        return int(counts[0]), int(counts[1]), int(counts[2])

    def day_first(self) -> tuple[bool | None, list[Note]]:
        """What dates such as 3/11/2026 are in this column (null: it does not show it, or shows both)."""
        pattern = "^(?:[A-Za-z]+[.,]? ?)?([0-9]{1,2})[-/]([0-9]{1,2})[-/][0-9]{4}"
        days = f"regexp_extract({self._text}, {literal(pattern)}, ['a', 'b'])"
        first, second = (f"CAST('0' || days.{part} AS INTEGER)" for part in "ab")
        proofs = [
            f"{one} BETWEEN 13 AND 31 AND {other} BETWEEN 1 AND 12" for one, other in ((first, second), (second, first))
        ]
        found = self._ask(
            ", ".join(f"count(*) FILTER ({proof}), any_value(its_text) FILTER ({proof})" for proof in proofs),
            f"(SELECT {self._text} AS its_text, {days} AS days FROM {self._values})",
        )[0]
        if not found[0] and not found[2]:
            return None, []
        if found[0] and found[2]:
            text = f"times of {self._column!r} have the day first as well as the month first"
            return None, [Note("time_day_mixed", text, None, self._column, (_cut(found[1]), _cut(found[3])))]
        day_first = bool(found[0])
        text = f"times of {self._column!r} are read {'day' if day_first else 'month'} first"
        example = _cut(found[1] if day_first else found[3])
        return day_first, [
            Note("time_day_first" if day_first else "time_month_first", text, None, self._column, (example,))
        ]

    def units(self) -> list[Note]:
        """What numbers were taken for, where that is more than one thing, or dates."""
        # Only sizes are told apart: a double will do.
        number = f"CAST({self._name} AS DOUBLE)" if is_number(self._kind) else f"TRY_CAST({self._text} AS DOUBLE)"
        compact = is_compact(f"TRY_CAST(CASE WHEN {number} = trunc({number}) THEN {number} END AS BIGINT)")
        size = " ".join(f"WHEN abs({number}) < {limit} THEN '{unit}'" for limit, unit in _SIZES)
        unit = f"CASE WHEN {compact} THEN 'dates' {size} WHEN isfinite({number}) THEN 'nanoseconds' END"
        rows = self._ask(
            "its_unit, count(*), any_value(its_text)",
            f"(SELECT {self._text} AS its_text, {unit} AS its_unit FROM {self._values})",
            " WHERE its_unit IS NOT NULL GROUP BY its_unit ORDER BY count(*) DESC, its_unit",
        )
        if len(rows) == 1 and rows[0][0] == "dates":
            text = f"numbers of {self._column!r} are read as dates (yyyymmdd)"
            return [Note("time_compact", text, None, self._column, (_cut(rows[0][2]),))]
        if len(rows) == 1 and rows[0][0] == _EARLY:
            text = f"numbers of {self._column!r} are read as seconds since 1970, all before March 1973"
            return [Note("time_early", text, None, self._column, (_cut(rows[0][2]),))]
        if len(rows) < 2:
            return []
        counts = ", ".join(f"{count:,} as {unit}" for unit, count, _ in rows)
        text = f"numbers of {self._column!r} are read by their size: {counts}"
        return [Note("time_units_mixed", text, None, self._column, tuple(_cut(value) for _, _, value in rows[:3]))]

    def unread(self, form: TimeForm) -> list[Note]:
        """The values that are there and are not read, by reason."""
        read = time_sql(self._column, self._kind, form)
        rows = self._ask(
            "its_reason, count(*), approx_top_k(its_text, 3)",
            f"(SELECT {self._reason(form)} AS its_reason, left({self._text}, {_EXAMPLE}) AS its_text"
            f" FROM {self._values} AND ({read}) IS NULL)",
            " GROUP BY its_reason ORDER BY its_reason",
        )
        words = {
            "time_unreadable": f"rows have a value in {self._column!r} that cannot be read as a time",
            "time_zone_unknown": f"rows have a time in {self._column!r} whose zone is not known",
            "time_ambiguous_day": f"rows have a time in {self._column!r} that does not show which number is the day",
            "time_not_as_declared": f"rows have a value in {self._column!r} that is not of its format {form.format!r}",
        }
        return [
            Note(reason, words[reason], int(count), self._column, tuple(sorted(map(_cut, examples))))
            for reason, count, examples in rows
        ]

    def _reason(self, form: TimeForm) -> str:
        if form.format:
            return "'time_not_as_declared'"
        if not is_text(self._kind) or form.only == "digits":
            return "'time_unreadable'"
        either = msgspec.structs.replace(form, day_first=True)
        return parsed_sql(
            self._text,
            lambda p: (
                f"CASE WHEN {clock_sql(p, form)} IS NOT NULL THEN 'time_zone_unknown'"
                f" WHEN {p}.a <> '' AND {day_first_sql(p, form)} IS NULL AND {clock_sql(p, either)} IS NOT NULL"
                " THEN 'time_ambiguous_day' ELSE 'time_unreadable' END"
            ),
        )

    def _ask(self, select: str, relation: str, more: str = "") -> list[Any]:
        return self._connection.execute(f"SELECT {select} FROM {relation}{more}").fetchall()


#: What such small numbers are taken for needs saying: a spreadsheet's days and numbers of rows look the same.
_EARLY = "seconds before March 1973"
#: Below these sizes a number counts these units since the epoch.
_SIZES = (("1e8", _EARLY), ("1e11", "seconds"), ("1e14", "milliseconds"), ("1e17", "microseconds"))


def _cut(value: object) -> str:
    return str(value)[:_EXAMPLE]
