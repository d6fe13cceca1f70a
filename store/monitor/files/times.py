"""The one place that says how a column becomes event times, whatever the format wrote them as.

**A time** is microseconds since 1970-01-01T00:00Z. Nanoseconds are cut off, never rounded up. What names no zone is of
the declared zone, or UTC. Where clocks are put forward, a time that no clock showed is read by the offset before the
change (02:30 as 03:30 summer time); where they are put back, a time that came twice is the second one (after the
change): that is what DuckDB's ICU does, and what Python calls fold=0 and fold=1.

**Numbers** are seconds since the epoch below 1e11, milliseconds below 1e14, microseconds below 1e17, else nanoseconds;
but whole numbers of 8, 12, 14 and 17 digits that begin with a year from 1900 to 2100 are yyyymmdd, with HHMM, HHMMSS
and milliseconds (as epochs they would lie in 1970, in 1976, or far in the future).

**Text** is read by its whole form (`store.monitor.files.written_times`), never by a part of it: a zone that is not known, or
what follows a time and is no zone, makes it unreadable. `3/11/2026` and `3-11-2026` are read only if the column shows which
number is the day; with dots the day comes first.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import duckdb
import msgspec


from store.catalog.manifest import ColumnFormat
from store.monitor.files import written_times as written
from store.monitor.files.written_times import is_time_text
from store.monitor.notes import Note
from store.monitor.source import is_number, is_temporal, is_text, literal, quoted

__all__ = ["TimeForm", "column_times", "is_time_text", "time_sql"]

#: Declared formats that are units of a number since the epoch, and their microseconds.
_UNITS = {"s": "1000000", "ms": "1000", "us": "1"}
_BIGINT = "9223372036854775807"
#: What stands for a value within its own expression: names that no column has, which would go before.
_TEXT, _NUMBER, _DECIMAL, _WORD = '"time·text"', '"time·number"', '"time·decimal"', '"time·word"'
_PARTS, _CLOCK, _ZONE, _HALVES = '"time·parts"', '"time·clock"', '"time·zone"', '"time·halves"'
#: Values that are quoted in a note are cut to this.
_EXAMPLE = 60


class TimeForm(msgspec.Struct, frozen=True):
    """How one column's times are written. `format` is a declared strptime format (DuckDB's; or s, ms, us, ns since the
    epoch), "" for none; `zone` the declared IANA zone of times that name none, "" for UTC; `day_first` says what
    3/11/2026 is, null where that is not known."""

    format: str = ""
    zone: str = ""
    day_first: bool | None = None
    only: Literal["", "iso", "digits"] = ""
    """What every value of the column is known to be, if it is: then the SQL is short."""


def time_sql(column: str, kind: str, form: TimeForm = TimeForm()) -> str:
    """SQL: microseconds since the epoch (BIGINT) of `column`, whose DuckDB type is `kind`; null where no time is read."""
    return _time_sql(quoted(column), kind, form)


def _time_sql(name: str, kind: str, form: TimeForm) -> str:
    if is_temporal(kind):
        return _typed_sql(name, kind, form)
    if is_number(kind):
        if form.format and form.format not in _UNITS and form.format != "ns":
            return _declared_sql(_digits_sql(name, kind), form)
        return _number_sql(name, kind, form)
    if not is_text(kind):
        return "CAST(NULL AS BIGINT)"
    text = f"trim(CAST({name} AS VARCHAR))"
    if form.format in _UNITS or form.format == "ns":
        return _decimal_sql(text, form)
    if form.format:
        return _declared_sql(text, form)
    return _text_sql(text, form) if form.only else _bound(text, _TEXT, _text_sql(_TEXT, form))


# --- Typed columns and numbers ---------------------------------------------------------------------------


def _typed_sql(name: str, kind: str, form: TimeForm) -> str:
    if kind.startswith("DATE"):
        return _zoned(f"epoch_us(TRY_CAST({name} AS TIMESTAMP))", form)
    if not kind.startswith("TIMESTAMP"):
        return "CAST(NULL AS BIGINT)"
    if not kind.startswith("TIMESTAMPTZ") and "TIME ZONE" not in kind:
        return _zoned(f"epoch_us({name})", form)
    return _floored(f"epoch_ns({name})") if "NS" in kind else f"epoch_us({name})"


def _zoned(local_us: str, form: TimeForm) -> str:
    """The instant of a local time that names no zone."""
    if not form.zone:
        return local_us
    # ICU counts no further than this.
    possible = f"CASE WHEN {local_us} BETWEEN -62135596800000000 AND 253402300799999999 THEN {local_us} END"
    return f"epoch_us(timezone({literal(form.zone)}, make_timestamp({possible})))"


def _floored(ns: str) -> str:
    return f"(({ns}) - ((({ns}) % 1000) + 1000) % 1000) // 1000"


def _number_sql(name: str, kind: str, form: TimeForm) -> str:
    if kind.startswith("DECIMAL"):
        return _decimal_sql(f"CAST({name} AS VARCHAR)", form)
    if kind in ("FLOAT", "DOUBLE"):
        return _bound(f"CAST({name} AS DOUBLE)", _NUMBER, _float_sql(_NUMBER, form))
    return _bound(f"TRY_CAST({name} AS BIGINT)", _NUMBER, _whole_sql(_NUMBER, form))


def _whole_sql(x: str, form: TimeForm) -> str:
    """Of a BIGINT."""
    if form.format == "ns":
        return _floored(x)
    if form.format in _UNITS:
        most = 9 * 10**18 // int(_UNITS[form.format])
        return f"CASE WHEN {x} BETWEEN -{most} AND {most} THEN {x} * {_UNITS[form.format]} END"
    return (
        f"CASE WHEN {_is_compact(x)} THEN {_compact_sql(f'CAST({x} AS VARCHAR)', form)}"
        f" WHEN {x} BETWEEN -99999999999 AND 99999999999 THEN {x} * 1000000"
        f" WHEN {x} BETWEEN -99999999999999 AND 99999999999999 THEN {x} * 1000"
        f" WHEN {x} BETWEEN -99999999999999999 AND 99999999999999999 THEN {x} ELSE {_floored(x)} END"
    )


def _float_sql(x: str, form: TimeForm) -> str:
    """Of a DOUBLE: to the nearest microsecond, which seconds since the epoch in 64 bits are exact to."""
    if form.format == "ns":
        return f"CASE WHEN abs({x}) < 9.2e18 THEN CAST(floor({x} / 1000) AS BIGINT) END"
    if form.format in _UNITS:
        return f"CASE WHEN abs({x}) * {_UNITS[form.format]} < 9e18 THEN CAST({x} * {_UNITS[form.format]} AS BIGINT) END"
    whole = f"CAST(CASE WHEN abs({x}) < 1e17 AND {x} = trunc({x}) THEN {x} END AS BIGINT)"
    return (
        f"CASE WHEN {_is_compact(whole)} THEN {_compact_sql(f'CAST({whole} AS VARCHAR)', form)}"
        f" WHEN abs({x}) < 1e11 THEN CAST({x} * 1e6 AS BIGINT) WHEN abs({x}) < 1e14 THEN CAST({x} * 1e3 AS BIGINT)"
        f" WHEN abs({x}) < 1e17 THEN CAST({x} AS BIGINT)"
        f" WHEN abs({x}) < 9.2e18 THEN CAST(floor({x} / 1000) AS BIGINT) END"
    )


def _decimal_sql(text: str, form: TimeForm) -> str:
    """Of digits as text, exact; null where it is no number."""
    # Whole numbers at first: a DECIMAL with nine places has no room for every HUGEINT.
    whole = f"TRY_CAST(regexp_extract({text}, '^([+-]?[0-9]{{1,19}})(?:[.]0*)?$', 1) AS BIGINT)"
    number = f"TRY_CAST({text} AS DECIMAL(38, 9))"
    if form.format == "ns":
        scaled = f"TRY_CAST(floor({number} / 1000) AS BIGINT)"
    elif form.format in _UNITS:
        scaled = f"TRY_CAST(round({number} * {_UNITS[form.format]}) AS BIGINT)"
    else:
        scaled = _bound(
            number,
            _DECIMAL,
            f"CASE WHEN abs({_DECIMAL}) < 100000000000 THEN TRY_CAST(round({_DECIMAL} * 1000000) AS BIGINT)"
            f" WHEN abs({_DECIMAL}) < 100000000000000 THEN TRY_CAST(round({_DECIMAL} * 1000) AS BIGINT)"
            f" WHEN abs({_DECIMAL}) < 100000000000000000 THEN TRY_CAST(round({_DECIMAL}) AS BIGINT)"
            f" WHEN abs({_DECIMAL}) <= {_BIGINT} THEN TRY_CAST(floor({_DECIMAL} / 1000) AS BIGINT) END",
        )
    return _bound(whole, _NUMBER, f"CASE WHEN {_NUMBER} IS NOT NULL THEN {_whole_sql(_NUMBER, form)} ELSE {scaled} END")


def _digits_sql(name: str, kind: str) -> str:
    """A number as the digits that a declared format reads."""
    if kind.startswith(("FLOAT", "DOUBLE", "DECIMAL")):
        return f"coalesce(CAST(CASE WHEN {name} = trunc({name}) THEN TRY_CAST({name} AS BIGINT) END AS VARCHAR), CAST({name} AS VARCHAR))"
    return f"CAST({name} AS VARCHAR)"


def _is_compact(x: str) -> str:
    """SQL: whether the BIGINT is as long as yyyymmdd, with HHMM, HHMMSS or HHMMSSmmm, and begins with a possible year."""
    spans = [(1900 * 10**places, 2101 * 10**places - 1) for places in (4, 8, 10, 13)]
    return "(" + " OR ".join(f"{x} BETWEEN {low} AND {high}" for low, high in spans) + ")"


def _compact_sql(digits: str, form: TimeForm) -> str:
    """Of digits that `_is_compact`; null where no calendar or clock has them."""
    return _bound(
        digits,
        _WORD,
        _zoned(
            _local_sql(
                f"{_WORD}[1:4] || '-' || {_WORD}[5:6] || '-' || {_WORD}[7:8]",
                *(f"{_WORD}[{first}:{last}]" for first, last in ((9, 10), (11, 12), (13, 14), (15, 17))),
            ),
            form,
        ),
    )


def _local_sql(date: str, hour: str, minute: str, second: str, fraction: str, half: str = "''") -> str:
    """Microseconds of a clock's parts as text ("" is 0), as if in UTC; null where no calendar or clock has them.

    24:00 is the end of its day. There is no 23:59:60: which instant that is, clocks do not agree on.
    """
    rest = f"({_clock(minute, 59)} * 60000000 + {_clock(second, 59)} * 1000000 + CAST(left(rpad({fraction}, 6, '0'), 6) AS BIGINT))"
    hours = (
        f"CASE WHEN {half} = '' THEN (CASE WHEN {_clock(hour, 23)} IS NOT NULL OR {rest} = 0 THEN {_clock(hour, 24)} END)"
        f" WHEN {_clock(hour, 12)} > 0 THEN {_clock(hour, 12)} % 12 + CASE WHEN contains({half}, 'P') THEN 12 ELSE 0 END END"
    )
    return f"(epoch_us(CAST(TRY_CAST({date} AS DATE) AS TIMESTAMP)) + ({hours}) * 3600000000 + {rest})"


def _clock(digits: str, most: int) -> str:
    if most == 0:
        return "0"
    value = f"CAST('0' || {digits} AS BIGINT)"
    return f"(CASE WHEN {value} <= {most} THEN {value} END)"


# --- Text ------------------------------------------------------------------------------------------------

_ISO = "[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?)?"
_ISO_OFFSET = (
    "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?(Z|[+-][01][0-9](:?[0-5][0-9])?)"
)
_DIGITS = "[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?"


def _text_sql(v: str, form: TimeForm) -> str:
    """Of trimmed text."""
    digits = _decimal_sql(v, form)
    if form.only == "digits":
        return digits
    iso = _iso_sql(v, form)
    if form.only == "iso":
        return f"CASE {iso} END"
    return (
        f"CASE WHEN {v} IS NULL OR {v} = '' THEN NULL {iso} WHEN regexp_full_match({v}, '{_DIGITS}') THEN {digits}"
        f" ELSE {_parsed_sql(v, lambda p: _written_sql(p, form))} END"
    )


def _iso_sql(v: str, form: TimeForm) -> str:
    """WHEN …: most text is ISO 8601 and needs no more than DuckDB's own cast, which must see nothing else: it reads what
    it can of a text and leaves out the rest."""
    return (
        f" WHEN regexp_full_match({v}, '{_ISO}') THEN {_zoned(f'epoch_us(TRY_CAST({v} AS TIMESTAMP))', form)}"
        f" WHEN regexp_full_match({v}, '{_ISO_OFFSET}') THEN epoch_us(TRY_CAST({v} AS TIMESTAMPTZ))"
    )


def _parsed_sql(text: str, then: Callable[[str], str]) -> str:
    """`then` of the struct of `written.PARTS` (all empty where the text has no written form)."""
    tidy = f"trim(regexp_replace(translate({text}, {literal(written.TYPOGRAPHIC[0])}, {literal(written.TYPOGRAPHIC[1])}), '\\s+', ' ', 'g'))"
    ordered = (
        f"regexp_replace(regexp_replace(upper({tidy}), {literal(written.WEEKDAY)}, ''),"
        f" {literal(written.CTIME)}, {literal(written.CTIME_ORDER)})"
    )
    parts = f"regexp_extract({ordered}, {literal(written.WRITTEN)}, {_names(written.PARTS)})"
    return _bound(parts, _PARTS, then(_PARTS))


def _names(parts: Sequence[str]) -> str:
    return "[" + ", ".join(map(literal, parts)) + "]"


def _written_sql(p: str, form: TimeForm) -> str:
    return _bound(_clock_sql(p, form), _CLOCK, _in_zone_sql(_CLOCK, f"{p}.rest", f"{p}.h || {p}.ch", form))


def _clock_sql(p: str, form: TimeForm) -> str:
    """What calendar and clock say in the written form, as if in UTC."""
    day_first = _day_first_sql(p, form)
    number = "CAST((strpos({0}, left({1}, 3)) + 2) // 3 AS VARCHAR)".format(
        literal(written.MONTH_LETTERS), f"{p}.nm || {p}.mm || {p}.ym"
    )
    month_day = (
        f"CASE WHEN {p}.a <> '' THEN CASE {day_first} WHEN true THEN {p}.b || '-' || {p}.a"
        f" WHEN false THEN {p}.a || '-' || {p}.b END"
        f" WHEN {p}.nm || {p}.mm || {p}.ym <> '' THEN {number} || '-' || {p}.nd || {p}.md || {p}.yd"
        f" ELSE {p}.m || {p}.cm || '-' || {p}.d || {p}.cd END"
    )
    date = (
        f"CASE WHEN {p}.s1 = {p}.s2 AND {p}.s3 = {p}.s4"
        f" THEN {p}.y || {p}.cy || {p}.ey || {p}.ny || {p}.my || {p}.yy || '-' || ({month_day}) END"
    )
    return _local_sql(
        date, f"({p}.h || {p}.ch)", f"({p}.mi || {p}.cmi)", f"({p}.s || {p}.cs)", f"({p}.f || {p}.cf)", f"{p}.half"
    )


def _day_first_sql(p: str, form: TimeForm) -> str:
    if form.day_first is not None:
        return f"({p}.s3 = '.' OR {str(form.day_first).lower()})"
    first, second = (f"CAST('0' || {p}.{part} AS INTEGER)" for part in ("a", "b"))
    return f"(CASE WHEN {p}.s3 = '.' OR {first} > 12 OR {first} = {second} THEN true WHEN {second} > 12 THEN false END)"


def _in_zone_sql(local: str, rest: str, clock: str, form: TimeForm) -> str:
    """The instant of `local` in the zone that `rest` names; null where that is none that is known."""
    z = _ZONE
    bare = f"({clock} = '' AND regexp_matches({rest}, {literal(written.BARE_OFFSET)}))"
    zone = f"regexp_extract({rest}, {literal(written.ZONE)}, {_names(written.ZONE_PARTS)})"
    hours, minutes, seconds = (
        _clock(digits, most)
        for digits, most in ((f"({z}.zh || {z}.zh1)", 15), (f"({z}.zm || {z}.zm1)", 59), (f"{z}.zs", 59))
    )
    east = f"({hours} * 3600000000 + {minutes} * 60000000 + {seconds} * 1000000)"
    # Each table is one constant: a list of hundreds of them takes DuckDB longer to plan than a small file to read.
    minutes_east = f"TRY_CAST(substr({literal(_abbreviations())}, 7 + nullif(strpos({literal(_abbreviations())}, ' ' || rpad({z}.name, 5, ' ') || '='), 0), 5) AS BIGINT)"
    # ICU stops at a name that it does not know; it is asked for none.
    name = f"CASE WHEN contains({literal(_zones())}, ' ' || {z}.name || ' ') THEN {z}.name END"
    return (
        f"CASE WHEN {local} IS NULL THEN NULL WHEN {rest} = '' THEN {_zoned(local, form)} ELSE "
        + _bound(
            zone,
            z,
            f"CASE WHEN {bare} THEN NULL WHEN {z}.zero <> '' THEN {local}"
            f" WHEN {z}.sign || {z}.sign1 = '+' THEN {local} - {east} WHEN {z}.sign || {z}.sign1 = '-' THEN {local} + {east}"
            f" WHEN {z}.name = '' THEN NULL"
            f" ELSE coalesce({local} - {minutes_east} * 60000000,"
            f" epoch_us(timezone({name}, make_timestamp({local})))) END",
        )
        + " END"
    )


@functools.cache
def _zones() -> str:
    """The names of zones, each between blanks."""
    return f" {' '.join(written.named_zones())} "


@functools.cache
def _abbreviations() -> str:
    """Fields of a blank, an abbreviation of five places, `=` and minutes east of five places."""
    return "".join(f" {name:<5}={minutes:<5}" for name, minutes in written.ABBREVIATIONS.items())


def _declared_sql(text: str, form: TimeForm) -> str:
    """Of text in the declared format; nothing else is read."""
    if form.format.endswith("%Z"):
        # strptime takes BST for Bangladesh.
        pattern = "^(.*?) ?\\[?([A-Za-z][A-Za-z0-9_/+-]*)\\]?$"
        named = TimeForm(form.format.removesuffix("%Z").rstrip(" ["))
        return _bound(
            f"regexp_extract({text}, {literal(pattern)}, ['local', 'zone'])",
            _HALVES,
            _bound(
                _declared_sql(f"{_HALVES}.local", named),
                _CLOCK,
                _in_zone_sql(_CLOCK, f"upper({_HALVES}.zone)", "'0'", form),
            ),
        )
    found = f"epoch_us(TRY_STRPTIME({text}, {literal(form.format)}))"
    return found if "%z" in form.format else _zoned(found, form)


def _bound(value: str, name: str, body: str) -> str:
    """`body` in which `name` stands for `value`, so that it is computed once."""
    return f"list_transform([{value}], lambda {name}: {body})[1]"


# --- What a column shows ---------------------------------------------------------------------------------


def column_times(
    connection: duckdb.DuckDBPyConnection, relation: str, column: str, kind: str, declared: ColumnFormat | None = None
) -> tuple[TimeForm, list[Note]]:
    """(how `column` of `relation` is to be read, what is to be said of it), from all its values and what is declared.

    Typed timestamps ask for no query; text that is ISO 8601 throughout, for one. The notes count the values that are
    there and are not read, by reason, and say what was decided. Raises `duckdb.Error` where the relation cannot be read.
    """
    form = TimeForm(declared.time, declared.zone) if declared else TimeForm()
    if is_temporal(kind) or not (is_number(kind) or is_text(kind)):
        return form, _of_type(column, kind)
    look = _Look(connection, relation, column, kind)
    if form.format:
        return form, look.unread(form)
    if is_number(kind):
        return form, [*_of_type(column, kind), *look.units(form), *look.unread(form)]
    values, iso, digits = look.plain(form)
    if iso == values:
        return msgspec.structs.replace(form, only="iso"), []
    if digits == values:
        form = msgspec.structs.replace(form, only="digits")
        return form, [*look.units(form), *look.unread(form)]
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
        read = f"CASE {_iso_sql(self._text, form)} END"
        return self._ask(
            f"count(*), count({read}), count(*) FILTER (regexp_full_match({self._text}, '{_DIGITS}'))", self._values
        )[0]

    def day_first(self) -> tuple[bool | None, list[Note]]:
        """What dates such as 3/11/2026 are in this column (null: it does not show it, or shows both)."""
        days = f"regexp_extract({self._text}, '^(?:[A-Za-z]+[.,]? ?)?([0-9]{{1,2}})[-/]([0-9]{{1,2}})[-/][0-9]{{4}}', ['a', 'b'])"
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

    def units(self, form: TimeForm) -> list[Note]:
        """What numbers were taken for, where that is more than one thing, or dates."""
        # Sizes are told apart, not exactness: a double will do.
        number = f"TRY_CAST({self._text} AS DOUBLE)"
        compact = _is_compact(f"TRY_CAST(CASE WHEN {number} = trunc({number}) THEN {number} END AS BIGINT)")
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
        if len(rows) < 2:
            return []
        counts = ", ".join(f"{count:,} as {unit}" for unit, count, _ in rows)
        text = f"numbers of {self._column!r} are read by their size: {counts}"
        return [Note("time_units_mixed", text, None, self._column, tuple(_cut(value) for _, _, value in rows[:3]))]

    def unread(self, form: TimeForm) -> list[Note]:
        """The values that are there and are not read, by reason."""
        read = time_sql(self._column, self._kind, form)
        rows = self._ask(
            f"its_reason, count(*), approx_top_k(its_text, 3)",
            f"(SELECT {self._reason(form)} AS its_reason, left({self._text}, {_EXAMPLE}) AS its_text FROM {self._values}"
            f" AND ({read}) IS NULL)",
            " GROUP BY its_reason ORDER BY its_reason",
        )
        words = {
            "time_unreadable": f"values of {self._column!r} are no time that can be read",
            "time_zone_unknown": f"times of {self._column!r} are in a zone that is not known",
            "time_ambiguous_day": f"times of {self._column!r} do not show which number is the day; declare their format",
            "time_not_as_declared": f"values of {self._column!r} are no time in the declared format {form.format!r}",
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
        return _parsed_sql(
            self._text,
            lambda p: (
                f"CASE WHEN {_clock_sql(p, form)} IS NOT NULL THEN 'time_zone_unknown'"
                f" WHEN {p}.a <> '' AND {_day_first_sql(p, form)} IS NULL AND {_clock_sql(p, either)} IS NOT NULL"
                " THEN 'time_ambiguous_day' ELSE 'time_unreadable' END"
            ),
        )

    def _ask(self, select: str, relation: str, more: str = "") -> list[Any]:
        return self._connection.execute(f"SELECT {select} FROM {relation}{more}").fetchall()


#: Below these sizes a number counts these units since the epoch.
_SIZES = (("1e11", "seconds"), ("1e14", "milliseconds"), ("1e17", "microseconds"))


def _cut(value: object) -> str:
    return str(value)[:_EXAMPLE]
