"""The filter language of `/` and `--filter`: parsed once, run as SQL on tables and in Python on computed rows."""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from store.protocol import Column, ExitCode, Refusal

Operator = Literal[":", "=", "!=", ">", ">=", "<", "<="]
#: How the values of a column compare. "float": numbers of which some may be NaN. "mixed": texts that may be numbers.
Form = Literal["plain", "float", "mixed"]

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
#: What may stand after a column's name: blanks may surround a comparison, not a regular expression's colon.
_SIGN = re.compile(r":|\s*(>=|<=|!=|[=<>])\s*")
_ANY_SIGN = re.compile(r">=|<=|!=|[:=<>]")
_WORD = re.compile(r'[^\s"]+')
#: What, before a colon, can only have been meant as a column: `a.b:x`, not `^run-[0-9]+:x`.
_NAME_LIKE = re.compile(r"[A-Za-z_][\w.\-/@%\[\]#+~]*")
#: Names that can be written without quotation marks wherever they stand.
_PLAIN_NAME = re.compile(r"[A-Za-z_][\w.\-/]*")
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,38}")
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
        'COL:regex, !COL:regex, COL=value, COL>1.5; spaces mean and; "quotes" keep spaces and odd names: "a b@5">1.',
    )


def quoted(name: str) -> str:
    """A column's name as a filter or a sort takes it: in quotation marks where it needs them."""
    if _PLAIN_NAME.fullmatch(name) and not name.endswith((":asc", ":desc")):
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquoted(text: str) -> str:
    """What stands between quotation marks; of backslashes only those before `"` and `\\` are dropped."""
    return re.sub(r"\\(.)", lambda match: match[1] if match[1] in '"\\' else match[0], text[1:-1])


def near_names(name: str, columns: Iterable[str], most: int = 6) -> list[str]:
    """The columns that `name` may have meant, nearest first: another case, its end (`auc`: `metric.auc`), its like."""
    names = list(columns)
    wanted = name.casefold()
    ends = {column: column.partition(".")[2].casefold() or column.casefold() for column in names}
    same = [column for column in names if column.casefold() == wanted or ends[column] == wanted]
    close = difflib.get_close_matches(name, names, most, 0.6)
    end = wanted.partition(".")[2] or wanted
    like = set(difflib.get_close_matches(end, list(ends.values()), most, 0.6))
    begun = [column for column in names if column.casefold().startswith(wanted)] if wanted else []
    return list(dict.fromkeys([*same, *begun, *close, *(column for column in names if ends[column] in like)]))[:most]


def no_column(name: str, columns: Iterable[str]) -> str:
    """That there is no such column, with those that may have been meant, quoted as they must be written."""
    names = sorted(columns)
    near = near_names(name, names)
    if near:
        return f"there is no column {name!r}; near it: {', '.join(map(quoted, near))}"
    return f"there is no column {name!r}; there are {', '.join(map(quoted, names[:12]))}"


def parse(text: str, columns: Collection[str] = ()) -> list[Term]:
    """The terms of a filter over `columns`. Raises `Refusal` on what cannot be read; never reads it as "match all".

    A name without quotation marks is the longest of `columns` that an operator follows, whatever characters it holds.
    """
    if len(text) > MAX_LENGTH:
        raise _refuse(text, f"longer than {MAX_LENGTH} characters")
    terms: list[Term] = []
    position, text = 0, text.strip()
    while position < len(text):
        term, position = _term(text, position, columns)
        terms.append(term)
        if position < len(text) and not text[position].isspace():
            raise _refuse(text, f"a space is missing before {text[position:][:20]!r}")
        while position < len(text) and text[position].isspace():
            position += 1
    return terms


def _term(text: str, start: int, columns: Collection[str]) -> tuple[Term, int]:
    """The term at `start` and where it ends."""
    negated = text[start] == "!" and not text.startswith("!=", start)
    at = start + negated
    named = _column_at(text, at, columns)
    if named is None and _ANY_SIGN.match(text, at):
        raise _refuse(text, f"no column stands before {text[at:][:20]!r}")
    column, sign, begin = named or ("", ":", at)
    value, end = _value(text, begin)
    if end == begin:
        raise _refuse(text, f"nothing follows {text[start:begin]!r}" if begin > start else _unread(text, begin))
    if named is None and text[at] == '"' and (inner := _known_column(value, 0, columns, value)):
        term = quoted(inner[0]) + value[len(inner[0]) :]
        raise _refuse(text, f"in quotation marks {value!r} searches the name; to compare the column write {term}")
    if sign == ":":
        try:
            re.compile(value)
        except re.error as error:
            raise _refuse(text, f"{value!r} is no regular expression: {error}") from error
    return Term(negated, column, sign, value), end


def _unread(text: str, position: int) -> str:
    return f"cannot read from {text[position:][:20]!r} on"


def _value(text: str, begin: int) -> tuple[str, int]:
    match = _QUOTED.match(text, begin)
    if match:
        return unquoted(match[0]), match.end()
    match = _WORD.match(text, begin)
    return (match[0], match.end()) if match else ("", begin)


def _column_at(text: str, at: int, columns: Collection[str]) -> tuple[str, Operator, int] | None:
    """The column named at `at`, its operator, and where the value begins; None where a bare value stands."""
    match = _QUOTED.match(text, at)
    if match:
        return _signed(text, match.end(), unquoted(match[0]))
    known = _known_column(text, at, columns, text)
    if known is not None:
        return known
    word = _WORD.match(text, at)
    sign = _ANY_SIGN.search(word[0], 1) if word else None
    if word is None or sign is None:
        return None
    name = word[0][: sign.start()]
    # `(?…)` is a regular expression's; so is what stands before a colon and looks like no name.
    if "(?" in name or (sign[0] == ":" and not _NAME_LIKE.fullmatch(name)):
        return None
    return _signed(text, at + sign.start(), name)


def _known_column(text: str, at: int, columns: Collection[str], whole: str) -> tuple[str, Operator, int] | None:
    fitting = [
        (name, signed)
        for name in sorted(columns, key=len, reverse=True)
        if name and text.startswith(name, at) and (signed := _signed(text, at + len(name), name))
    ]
    if len(fitting) > 1 and re.search("[<>=!]", fitting[0][0]):
        both = " or ".join(quoted(name) for name, _ in fitting)
        raise _refuse(whole, f"{text[at:][:40]!r} may mean {both}: put the column's name in quotation marks")
    return fitting[0][1] if fitting else None


def _signed(text: str, at: int, name: str) -> tuple[str, Operator, int] | None:
    match = _SIGN.match(text, at)
    if match is None:
        return None
    sign: Operator = match[1] or ":"  # type: ignore[assignment]  # the pattern admits only these
    return name, sign, match.end()


def column_of(term: Term, columns: Mapping[str, Column], name_column: str, text: str) -> Column:
    column = columns.get(term.column or name_column)
    if column is None:
        raise _refuse(text, no_column(term.column, columns))
    if term.operator == ":" and column.kind in _NUMBERS and (sign := re.search(">=|<=|!=|[=<>]", term.value)):
        # No number is written with these: `iou:recal>0.2` means a column iou:recall that is misspelt.
        raise _refuse(text, no_column(f"{column.name}:{term.value[: sign.start()]}", columns))
    return column


def number_of(term: Term, text: str) -> float:
    """The value as a number; an ISO 8601 time becomes seconds since the epoch."""
    number = _as_number(term.value)
    if number is not None:
        if math.isnan(number) and term.operator not in ("=", "!="):
            raise _refuse(text, f"nothing is greater or less than NaN; write {term.column}=nan")
        return number
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(term.value)
    except ValueError as error:
        raise _refuse(text, f"{term.value!r} is neither a number nor a time") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def to_sql(
    text: str,
    columns: Mapping[str, Column],
    expressions: Mapping[str, str],
    name_column: str,
    form_of: Callable[[str], Form] = lambda _name: "plain",
) -> tuple[str, list[Any]]:
    """A SQL condition with its parameters; `expressions` maps column names to SQL."""
    conditions: list[str] = []
    params: list[Any] = []
    for term in parse(text, columns):
        column = column_of(term, columns, name_column, text)
        condition, values = _condition(term, column, expressions[column.name], form_of(column.name), text)
        conditions.append(f"NOT {condition}" if term.negated else condition)
        params += values
    return " AND ".join(conditions) or "true", params


def _condition(term: Term, column: Column, sql: str, form: Form, text: str) -> tuple[str, list[Any]]:
    """One term, never null, without its negation."""
    if term.operator == ":":
        return f"regexp_matches(coalesce({sql}::VARCHAR, ''), ?)", [term.value]
    numeric = column.kind in _NUMBERS
    if term.operator in ("=", "!="):
        sign, default = ("=", "false") if term.operator == "=" else ("<>", "true")
        if form == "mixed" and (number := _as_number(term.value)) is not None:
            same, values = _same_number(sql, term.value, number)
            return f"({'' if sign == '=' else 'NOT '}coalesce({same}, false))", values
        return f"coalesce({sql} {sign} ?, {default})", [number_of(term, text) if numeric else term.value]
    number = number_of(term, text)
    if form == "mixed" and _is_beyond_double(term.value, number):
        return _compared_wholes(sql, term.operator, term.value, number)
    compared = sql if numeric else f"TRY_CAST({sql} AS DOUBLE)"
    # To DuckDB NaN is greater than every number; here it is neither greater nor less.
    beyond = f" AND NOT isnan({compared})" if term.operator.startswith(">") and (form != "plain" or not numeric) else ""
    return f"coalesce({compared} {term.operator} ?{beyond}, false)", [number]


def _same_number(sql: str, text: str, number: float) -> tuple[str, list[Any]]:
    """Whether a text is that number however written."""
    if _is_beyond_double(text, number):
        same, values = _compared_wholes(sql, "=", text, number)
        return f"({sql} = ? OR {same})", [text, *values]
    return f"({sql} = ? OR TRY_CAST({sql} AS DOUBLE) = ?)", [text, number]


def _is_beyond_double(text: str, number: float) -> bool:
    """Whether it is a whole number of which a DOUBLE does not tell the next one apart: seeds and ids are."""
    return abs(number) >= 2**53 and _WHOLE_NUMBER.fullmatch(text) is not None


def _compared_wholes(sql: str, sign: Operator, text: str, number: float) -> tuple[str, list[Any]]:
    """Whole numbers compare exactly with such a one, others as DOUBLE; never null."""
    beyond = f" AND NOT isnan(TRY_CAST({sql} AS DOUBLE))" if sign.startswith(">") else ""
    return (
        f"coalesce(CASE WHEN regexp_full_match({sql}, '[+-]?[0-9]{{1,38}}')"
        f" THEN TRY_CAST({sql} AS HUGEINT) {sign} ?::HUGEINT"
        f" ELSE TRY_CAST({sql} AS DOUBLE) {sign} ?{beyond} END, false)",
        [text, number],
    )


def to_predicate(text: str, columns: Sequence[Column], name_column: str) -> Callable[[Sequence[Any]], bool]:
    """The same as a function over a row whose cells stand in the order of `columns`."""
    by_name = {column.name: column for column in columns}
    index = {column.name: place for place, column in enumerate(columns)}
    tests: list[tuple[int, bool, Callable[[Any], bool]]] = []
    for term in parse(text, by_name):
        column = column_of(term, by_name, name_column, text)
        tests.append((index[column.name], term.negated, _test(term, column, text)))
    return lambda row: all(test(row[place]) != negated for place, negated, test in tests)


def _test(term: Term, column: Column, text: str) -> Callable[[Any], bool]:
    if term.operator == ":":
        search = re.compile(term.value).search
        return lambda cell: any(search(spelling) is not None for spelling in _spellings(cell))
    if term.operator in ("=", "!="):
        same = term.operator == "="
        if column.kind in _NUMBERS:
            wanted = number_of(term, text)
            if math.isnan(wanted):
                return lambda cell: (isinstance(cell, float) and math.isnan(cell)) == same
            return lambda cell: (cell == wanted) == same
        lower = term.value.lower()
        return lambda cell: ((lower if isinstance(cell, bool) else term.value) in _spellings(cell)) == same
    compare, bound = _COMPARE[term.operator], number_of(term, text)
    return lambda cell: (number := _as_number(cell)) is not None and compare(number, bound)


def _spellings(cell: Any) -> tuple[str, ...]:
    """How a cell is written: a truth value as JSON and as tables do."""
    if isinstance(cell, bool):
        return ("true", "yes") if cell else ("false", "no")
    return ("" if cell is None else str(cell),)


def _as_number(cell: Any) -> float | None:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None
