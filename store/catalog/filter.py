"""The filter language of `/` and `--filter`: parsed once, run as SQL on tables and in Python on computed rows."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from store.protocol import Column, ExitCode, Refusal

Operator = Literal[":", "=", "!=", ">", ">=", "<", "<="]

#: One term: an optional `!`, a column and an operator, a value that may be quoted. Spaces mean and.
_TERM = re.compile(
    r"""\s*(?P<not>!)?
        (?:(?P<column>[A-Za-z_][\w.\-/]*)(?P<operator>>=|<=|!=|:|=|>|<))?
        (?P<value>"(?:[^"\\]|\\.)*"|[^\s"]+)""",
    re.VERBOSE,
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_NUMBERS = frozenset({"number", "time", "duration", "share", "bytes"})
MAX_LENGTH = 1000


class Term(NamedTuple):
    """`column` "" means the listing's name column."""

    negated: bool
    column: str
    operator: Operator
    value: str


def _refuse(text: str, why: str) -> Refusal:
    return Refusal(
        ExitCode.USAGE,
        f"Bad filter {text[:80]!r}: {why}",
        'COL:regex, !COL:regex, COL=value, COL>1.5; spaces mean and; "quotes" keep spaces.',
    )


def parse(text: str) -> list[Term]:
    """The terms of a filter. Raises `Refusal` on what cannot be read; never reads it as "match all"."""
    if len(text) > MAX_LENGTH:
        raise _refuse(text, f"longer than {MAX_LENGTH} characters")
    terms: list[Term] = []
    position, text = 0, text.strip()
    while position < len(text):
        match = _TERM.match(text, position)
        if not match:
            raise _refuse(text, f"cannot read from {text[position:][:20]!r} on")
        position = match.end()
        value = match["value"]
        if value.startswith('"'):
            value = re.sub(r"\\(.)", lambda m: m[1] if m[1] in '"\\' else m[0], value[1:-1])
        if match["column"] is None and re.fullmatch(r"[A-Za-z_][\w.\-/]*(?:[<>!]?=|[:<>])", value):
            raise _refuse(text, f"nothing follows {value!r}")
        sign: Operator = match["operator"] or ":"  # type: ignore[assignment]  # the pattern admits only these
        if sign == ":":
            try:
                re.compile(value)
            except re.error as error:
                raise _refuse(text, f"{value!r} is no regular expression: {error}") from error
        terms.append(Term(match["not"] is not None, match["column"] or "", sign, value))
    return terms


def column_of(term: Term, columns: Mapping[str, Column], name_column: str, text: str) -> Column:
    column = columns.get(term.column or name_column)
    if column is None:
        close = ", ".join(sorted(columns)[:12])
        raise _refuse(text, f"there is no column {term.column!r}; there are {close}")
    return column


def number_of(term: Term, text: str) -> float:
    """The value as a number; an ISO 8601 time becomes seconds since the epoch."""
    try:
        return float(term.value)
    except ValueError:
        pass
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(term.value)
    except ValueError as error:
        raise _refuse(text, f"{term.value!r} is neither a number nor a time") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def to_sql(
    text: str, columns: Mapping[str, Column], expressions: Mapping[str, str], name_column: str
) -> tuple[str, list[Any]]:
    """A SQL condition with its parameters; `expressions` maps column names to SQL."""
    conditions: list[str] = []
    params: list[Any] = []
    for term in parse(text):
        column = column_of(term, columns, name_column, text)
        sql = expressions[column.name]
        numeric = column.kind in _NUMBERS
        value: Any = term.value
        if term.operator == ":":
            condition = f"regexp_matches(coalesce({sql}::VARCHAR, ''), ?)"
        elif term.operator in ("=", "!="):
            if numeric:
                value = number_of(term, text)
            condition = f"coalesce({sql} {'=' if term.operator == '=' else '<>'} ?, {term.operator == '!='})"
        else:
            value = number_of(term, text)
            condition = f"coalesce({sql if numeric else f'TRY_CAST({sql} AS DOUBLE)'} {term.operator} ?, false)"
        conditions.append(f"NOT {condition}" if term.negated else condition)
        params.append(value)
    return " AND ".join(conditions) or "true", params


def to_predicate(text: str, columns: Sequence[Column], name_column: str) -> Callable[[Sequence[Any]], bool]:
    """The same as a function over a row whose cells stand in the order of `columns`."""
    by_name = {column.name: column for column in columns}
    index = {column.name: place for place, column in enumerate(columns)}
    tests: list[tuple[int, bool, Callable[[Any], bool]]] = []
    for term in parse(text):
        column = column_of(term, by_name, name_column, text)
        tests.append((index[column.name], term.negated, _test(term, column, text)))
    return lambda row: all(test(row[place]) != negated for place, negated, test in tests)


def _test(term: Term, column: Column, text: str) -> Callable[[Any], bool]:
    if term.operator == ":":
        search = re.compile(term.value).search
        return lambda cell: any(search(said) is not None for said in _said(cell))
    if term.operator in ("=", "!="):
        same = term.operator == "="
        if column.kind in _NUMBERS:
            wanted = number_of(term, text)
            return lambda cell: (cell == wanted) == same
        lower = term.value.lower()
        return lambda cell: ((lower if isinstance(cell, bool) else term.value) in _said(cell)) == same
    compare, bound = _COMPARE[term.operator], number_of(term, text)
    return lambda cell: (number := _as_number(cell)) is not None and compare(number, bound)


def _said(cell: Any) -> tuple[str, ...]:
    """How a cell is written: a truth value as JSON and as tables do."""
    if isinstance(cell, bool):
        return ("true", "yes") if cell else ("false", "no")
    return ("" if cell is None else str(cell),)


def _as_number(cell: Any) -> float | None:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None
