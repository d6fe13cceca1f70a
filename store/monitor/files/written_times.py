"""The grammar of times written as text: patterns that DuckDB (RE2) and Python read the same, and zone abbreviations.

A text is first cleaned (upper case, plain blanks, a leading weekday gone, C's `ctime` order put right), then matched as
a whole by `WRITTEN`: a date, perhaps a clock, and what is left, which `ZONE` must match as a whole.
"""

from __future__ import annotations

import functools
import re

from store.database.zones import zone_names

#: Zone abbreviations with one meaning in practice, as minutes east of UTC. What several countries use for different
#: clocks (CST, CDT, IST, BST, AST, ADT, ECT, …) is not here: a time with one of those is not read.
ABBREVIATIONS: dict[str, int] = {
    "EST": -300, "EDT": -240, "MST": -420, "MDT": -360, "PST": -480, "PDT": -420, "AKST": -540, "AKDT": -480,
    "HST": -600, "BRT": -180, "WET": 0, "WEST": 60, "CET": 60, "CEST": 120, "MEZ": 60, "MESZ": 120, "EET": 120,
    "EEST": 180, "MSK": 180, "SAST": 120, "PKT": 300, "WIB": 420, "HKT": 480, "SGT": 480, "AWST": 480, "JST": 540,
    "KST": 540, "ACST": 570, "ACDT": 630, "AEST": 600, "AEDT": 660, "NZST": 720, "NZDT": 780,
}  # fmt: skip

#: Blanks and the minus sign as typesetters write them, and what they stand for (JavaScript puts U+202F before PM).
TYPOGRAPHIC = ("\u00a0\u202f\u2009\u2212\t", "   - ")

_MONTHS = (
    "JAN(?:UARY)?|FEB(?:RUARY)?|MAR(?:CH)?|APR(?:IL)?|MAY|JUNE?|JULY?|AUG(?:UST)?|SEPT?(?:EMBER)?|OCT(?:OBER)?"
    "|NOV(?:EMBER)?|DEC(?:EMBER)?"
)
#: Where a month's first three letters stand in this gives its number.
MONTH_LETTERS = "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"

WEEKDAY = r"^(?:MON|TUE|WED|THU|FRI|SAT|SUN)[A-Z]*(?:[.,] ?| )"
#: `NOV 17 10:00:00 EST 2026` (ctime, date, Java) becomes `NOV 17 2026 10:00:00 EST`.
CTIME = (
    rf"^({_MONTHS}) (\d{{1,2}}) (\d{{1,2}}:\d{{2}}(?::\d{{2}})?(?:\.\d+)?)( [A-Z+:0-9-]+)? (\d{{4}})( [+-]\d{{4}})?$"
)
CTIME_ORDER = r"\1 \2 \5 \3\4\6"

#: The parts of `WRITTEN`, in the order of its groups. Of the dates one is there, the others are empty: `y s1 m s2 d`
#: with the year first, `cy cm cd` compact, `a s3 b s4 ey` numbers with the year last, `nd nm ny`, `mm md my` and
#: `yy ym yd` with the month's name. `ch cmi cs cf` is a compact clock, `h mi s f half` one with colons.
PARTS = (
    "y", "s1", "m", "s2", "d", "cy", "cm", "cd", "a", "s3", "b", "s4", "ey", "nd", "nm", "ny", "mm", "md", "my",
    "yy", "ym", "yd", "ch", "cmi", "cs", "cf", "h", "mi", "s", "f", "half", "rest",
)  # fmt: skip
WRITTEN = (
    r"^(?:(\d{4})([-/.])(\d{1,2})([-/.])(\d{1,2})"
    r"|(\d{4})(\d{2})(\d{2})"
    r"|(\d{1,2})([-/.])(\d{1,2})([-/.])(\d{4})"
    rf"|(\d{{1,2}})[-/. ]?({_MONTHS})\.?[-/ ,]*(\d{{4}})"
    rf"|({_MONTHS})\.? (\d{{1,2}}),? ?(\d{{4}})"
    rf"|(\d{{4}})[-/. ]?({_MONTHS})[-/. ]?(\d{{1,2}}))"
    r"(?:(?:T|_| ?, ?| AT | |:)"
    r"(?:(\d{2})(\d{2})(?:(\d{2})(?:[.,](\d{1,9}))?)?"
    r"|(\d{1,2})(?::(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?( ?[AP]\.?M\b\.?)?))?"
    r"((?:[^0-9].*)?)$"
)

_NAME = "[A-Z][A-Z0-9_+/-]+"
#: `zero` (Z, UTC), or `sign`, `zh`, `zm`, `zs` (an offset; what may stand behind it is a word on the same zone), or
#: `sign1`, `zh1`, `zm1` (UTC+2), or `name`.
ZONE_PARTS = ("zero", "sign", "zh", "zm", "zs", "sign1", "zh1", "zm1", "name")
ZONE = (
    rf"^ ?(?:(Z|UTC|GMT|UT|UCT)(?: ?\[{_NAME}\]| ?\([^)]*\)| UTC)?"
    r"|(?:(?:UTC|GMT|UT) ?)?([+-])(\d{2})(?::?(\d{2})(?::?(\d{2}))?)?"
    rf"(?: ?\[{_NAME}\]| ?\([^)]*\)| [A-Z]{{2,5}})?"
    r"|(?:UTC|GMT)([+-])(\d)(?::(\d{2}))?"
    rf"|\[?({_NAME})\]?(?: ?\([^)]*\))?)$"
)
#: After a date without a clock "-05" may be the end of something else; an offset there needs its colon.
BARE_OFFSET = r"^[+-]\d{2}(?:\d{2})?$"

_BLANKS = re.compile(r"\s+")
_TYPOGRAPHIC = str.maketrans(*TYPOGRAPHIC)
_WEEKDAY, _CTIME = re.compile(WEEKDAY, re.ASCII), re.compile(CTIME, re.ASCII)
_WRITTEN, _ZONE = re.compile(WRITTEN, re.ASCII), re.compile(ZONE, re.ASCII)
_BARE_OFFSET = re.compile(BARE_OFFSET, re.ASCII)
_LONGEST = 80


def is_zone(name: str) -> bool:
    """Whether a name as `ZONE` finds it (upper case) is of a zone or one of `ABBREVIATIONS`."""
    return name in ABBREVIATIONS or name in upper_zones()


@functools.cache
def upper_zones() -> frozenset[str]:
    """The names of zones in upper case, without those that are abbreviations: CET is one hour, not Brussels' clock."""
    return frozenset(name.upper() for name in zone_names()) - ABBREVIATIONS.keys()


def is_time_text(value: str) -> bool:
    """Whether the text is a date, or a date and a clock, in one of the written forms, whatever day and month are.

    Not of plain digits (`20261117`, an epoch): those are numbers before they are times. The clock and the zone must
    be readable, day and month possible in either order; `store.monitor.files.times.time_sql` says which time it is.
    """
    if len(value) > _LONGEST:
        return False
    text = _BLANKS.sub(" ", value.translate(_TYPOGRAPHIC)).strip().upper()
    if text.isdigit():
        return False
    text = _CTIME.sub(CTIME_ORDER, _WEEKDAY.sub("", text, count=1))
    found = _WRITTEN.match(text)
    if found is None:
        return False
    part = dict(zip(PARTS, (group or "" for group in found.groups()), strict=True))
    if part["s1"] != part["s2"] or part["s3"] != part["s4"]:
        return False
    days = (part["d"] + part["cd"] + part["nd"] + part["md"] + part["yd"], part["m"] + part["cm"])
    if part["a"]:
        days = (max(part["a"], part["b"], key=int), min(part["a"], part["b"], key=int))
    hour = int(part["h"] or part["ch"] or 0)
    return (
        1 <= int(days[0]) <= 31
        and 1 <= int(days[1] or 1) <= 12
        and (1 <= hour <= 12 if part["half"] else hour <= 24)
        and int(part["mi"] or part["cmi"] or 0) < 60
        and int(part["s"] or part["cs"] or 0) < 60
        and _is_readable_zone(part["rest"], dated=not (part["h"] or part["ch"]))
    )


def _is_readable_zone(rest: str, *, dated: bool) -> bool:
    if not rest:
        return True
    found = _ZONE.match(rest)
    if found is None or (dated and _BARE_OFFSET.match(rest)):
        return False
    name = found.group(len(ZONE_PARTS))
    return not name or is_zone(name)
