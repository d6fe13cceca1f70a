"""SQL that reads a column of any type as event times, value by value (`store.monitor.files.times` says what is read).

DuckDB's own casts read what they can of a text and leave out the rest without a word, so that they are only given text
that matches a pattern as a whole.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from store.monitor.files import written_times as written
from store.monitor.source import is_number, is_temporal, is_text, literal, quoted

#: Declared formats that are units of a number since the epoch, and their microseconds.
_UNITS = {"s": "1000000", "ms": "1000", "us": "1"}
_BIGINT = "9223372036854775807"
#: What stands for a value within its own expression: names that no column has, which would go before.
_TEXT, _NUMBER, _DECIMAL, _WORD = '"time·text"', '"time·number"', '"time·decimal"', '"time·word"'
_PARTS, _CLOCK, _ZONE, _HALVES = '"time·parts"', '"time·clock"', '"time·zone"', '"time·halves"'


class TimeForm(msgspec.Struct, frozen=True):
    """How one column's times are written. `format` is a declared strptime format (DuckDB's; or s, ms, us, ns since the
    epoch), "" for none; `zone` the declared IANA zone of times that name none, "" for UTC; `day_first` says what
    3/11/2026 is, null where that is not known."""

    format: str = ""
    zone: str = ""
    day_first: bool | None = None
    only: Literal["", "iso", "digits"] = ""
    """What every value of the column is known to be, if it is: then the SQL is short."""


def time_sql(column: str, kind: str, form: TimeForm | None = None) -> str:
    """Microseconds since the epoch (BIGINT) of `column`, whose DuckDB type is `kind`; null where no time is read."""
    return _time_sql(quoted(column), kind, form or TimeForm())


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
    return f"(({ns}) // 1000 - CASE WHEN ({ns}) % 1000 < 0 THEN 1 ELSE 0 END)"


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
        f"CASE WHEN {is_compact(x)} THEN {_compact_sql(f'CAST({x} AS VARCHAR)', form)}"
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
        f"CASE WHEN {is_compact(whole)} THEN {_compact_sql(f'CAST({whole} AS VARCHAR)', form)}"
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
        whole = f"CASE WHEN {name} = trunc({name}) THEN TRY_CAST({name} AS BIGINT) END"
        return f"coalesce(CAST({whole} AS VARCHAR), CAST({name} AS VARCHAR))"
    return f"CAST({name} AS VARCHAR)"


def is_compact(x: str) -> str:
    """Whether the BIGINT is as long as yyyymmdd, with HHMM, HHMMSS or HHMMSSmmm, and begins with a possible year."""
    spans = [(1900 * 10**places, 2101 * 10**places - 1) for places in (4, 8, 10, 13)]
    return "(" + " OR ".join(f"{x} BETWEEN {low} AND {high}" for low, high in spans) + ")"


def _compact_sql(digits: str, form: TimeForm) -> str:
    """Of digits that `is_compact`; null where no calendar or clock has them."""
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
    micros = f"CAST(left(rpad({fraction}, 6, '0'), 6) AS BIGINT)"
    rest = f"({_clock(minute, 59)} * 60000000 + {_clock(second, 59)} * 1000000 + {micros})"
    whole_day = f"CASE WHEN {_clock(hour, 23)} IS NOT NULL OR {rest} = 0 THEN {_clock(hour, 24)} END"
    afternoon = f"CASE WHEN contains({half}, 'P') THEN 12 ELSE 0 END"
    hours = (
        f"CASE WHEN {half} = '' THEN ({whole_day})"
        f" WHEN {_clock(hour, 12)} > 0 THEN {_clock(hour, 12)} % 12 + {afternoon} END"
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
    "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?(Z|[+-](0[0-9]|1[0-5])(:?[0-5][0-9])?)"
)
DIGITS = "[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?"


def _text_sql(v: str, form: TimeForm) -> str:
    """Of trimmed text."""
    digits = _decimal_sql(v, form)
    if form.only == "digits":
        return digits
    iso = iso_sql(v, form)
    if form.only == "iso":
        return f"CASE {iso} END"
    return (
        f"CASE WHEN {v} IS NULL OR {v} = '' THEN NULL {iso} WHEN regexp_full_match({v}, '{DIGITS}') THEN {digits}"
        f" ELSE {parsed_sql(v, lambda p: _written_sql(p, form))} END"
    )


def iso_sql(v: str, form: TimeForm) -> str:
    """WHEN …: most text is ISO 8601 and needs no more than DuckDB's own cast."""
    return (
        f" WHEN regexp_full_match({v}, '{_ISO}') THEN {_zoned(f'epoch_us(TRY_CAST({v} AS TIMESTAMP))', form)}"
        f" WHEN regexp_full_match({v}, '{_ISO_OFFSET}') THEN epoch_us(TRY_CAST({v} AS TIMESTAMPTZ))"
    )


def parsed_sql(text: str, then: Callable[[str], str]) -> str:
    """`then` of the struct of `written.PARTS` (all empty where the text has no written form)."""
    odd, plain = map(literal, written.TYPOGRAPHIC)
    tidy = f"trim(regexp_replace(translate({text}, {odd}, {plain}), '\\s+', ' ', 'g'))"
    ordered = (
        f"regexp_replace(regexp_replace(upper({tidy}), {literal(written.WEEKDAY)}, ''),"
        f" {literal(written.CTIME)}, {literal(written.CTIME_ORDER)})"
    )
    parts = f"regexp_extract({ordered}, {literal(written.WRITTEN)}, {_names(written.PARTS)})"
    return _bound(parts, _PARTS, then(_PARTS))


def _names(parts: Sequence[str]) -> str:
    return "[" + ", ".join(map(literal, parts)) + "]"


def _written_sql(p: str, form: TimeForm) -> str:
    return _bound(clock_sql(p, form), _CLOCK, _in_zone_sql(_CLOCK, f"{p}.rest", f"{p}.h || {p}.ch", form))


def clock_sql(p: str, form: TimeForm) -> str:
    """What calendar and clock say in the written form, as if in UTC."""
    day_first = day_first_sql(p, form)
    month = f"left({p}.nm || {p}.mm || {p}.ym, 3)"
    number = f"CAST((strpos({literal(written.MONTH_LETTERS)}, {month}) + 2) // 3 AS VARCHAR)"
    month_day = (
        f"CASE WHEN {p}.a <> '' THEN CASE {day_first} WHEN true THEN {p}.b || '-' || {p}.a"
        f" WHEN false THEN {p}.a || '-' || {p}.b END"
        f" WHEN {month} <> '' THEN {number} || '-' || {p}.nd || {p}.md || {p}.yd"
        f" ELSE {p}.m || {p}.cm || '-' || {p}.d || {p}.cd END"
    )
    date = (
        f"CASE WHEN {p}.s1 = {p}.s2 AND {p}.s3 = {p}.s4"
        f" THEN {p}.y || {p}.cy || {p}.ey || {p}.ny || {p}.my || {p}.yy || '-' || ({month_day}) END"
    )
    return _local_sql(
        date, f"({p}.h || {p}.ch)", f"({p}.mi || {p}.cmi)", f"({p}.s || {p}.cs)", f"({p}.f || {p}.cf)", f"{p}.half"
    )


def day_first_sql(p: str, form: TimeForm) -> str:
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
    table = literal(_abbreviations())
    place = f"nullif(strpos({table}, ' ' || rpad({z}.name, 5, ' ') || '='), 0)"
    minutes_east = f"TRY_CAST(substr({table}, {place} + 7, 5) AS BIGINT)"
    # ICU stops at a name that it does not know; it is asked for none.
    name = f"CASE WHEN contains({literal(_zones())}, ' ' || {z}.name || ' ') THEN {z}.name END"
    return (
        f"CASE WHEN {local} IS NULL THEN NULL WHEN {rest} = '' THEN {_zoned(local, form)} ELSE "
        + _bound(
            zone,
            z,
            f"CASE WHEN {bare} THEN NULL WHEN {z}.zero <> '' THEN {local}"
            f" WHEN {z}.sign || {z}.sign1 = '+' THEN {local} - {east}"
            f" WHEN {z}.sign || {z}.sign1 = '-' THEN {local} + {east} WHEN {z}.name = '' THEN NULL"
            f" ELSE coalesce({local} - {minutes_east} * 60000000,"
            f" epoch_us(timezone({name}, make_timestamp({local})))) END",
        )
        + " END"
    )


@functools.cache
def _zones() -> str:
    """The names of zones, each between blanks."""
    return f" {' '.join(sorted(written.upper_zones()))} "


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
