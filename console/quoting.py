"""Quotation marks in what is typed and handed out: the words of `:`, names in filters, the sort `"NAME":desc`.

The grammar is that of the agent's filters; the console reads no more of it than it needs.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from store.protocol import ExitCode, Refusal

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
#: Names that need no quotation marks wherever they stand.
_PLAIN_NAME = re.compile(r"[A-Za-z_][\w.\-/]*")
#: Values of `=` that need none.
_PLAIN_VALUE = re.compile(r'[^\s"<>=!][^\s"]*')
_SORT = re.compile(r'("(?:[^"\\]|\\.)*")(?::(asc|desc))?')


def in_quotes(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def quoted_name(name: str) -> str:
    """A column's name as a filter and a sort take it."""
    plain = _PLAIN_NAME.fullmatch(name) and not name.endswith((":asc", ":desc"))
    return name if plain else in_quotes(name)


def quoted_value(value: str) -> str:
    """What may follow `COL=` in a filter."""
    return value if _PLAIN_VALUE.fullmatch(value) else in_quotes(value)


def unquoted(text: str) -> str:
    """What stands between quotation marks, double or single; anything else as it is."""
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1]
    if not _QUOTED.fullmatch(text):
        return text
    return re.sub(r"\\(.)", lambda match: match[1] if match[1] in '"\\' else match[0], text[1:-1])


def words(text: str) -> list[str]:
    """`text` cut at its blanks, but not within quotation marks, which stay: `sort="a b":desc` is one word.

    Single quotation marks count at the beginning of a word alone: `it's` is one. Raises `Refusal(USAGE)`.
    """
    found: list[str] = []
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        start = position
        while position < len(text) and not text[position].isspace():
            mark = text[position]
            if mark == '"' or (mark == "'" and position == start):
                closing = _QUOTED.match(text, position) if mark == '"' else re.compile("'[^']*'").match(text, position)
                if closing is None:
                    raise Refusal(ExitCode.USAGE, f"{text!r}: no closing quotation", f"Close the quotation with {mark}")
                position = closing.end()
            else:
                position += 1
        found.append(text[start:position])
    return found


def sort_parts(sort: str, columns: Collection[str] = ()) -> tuple[str, bool]:
    """The column of `COL[:desc|asc]` and whether it descends; `columns` tell a name that itself ends in `:desc`."""
    match = _SORT.fullmatch(sort)
    if match:
        return unquoted(match[1]), match[2] == "desc"
    column, _, direction = sort.rpartition(":")
    if direction not in ("asc", "desc") or (sort in columns and column not in columns):
        return sort, False
    return column, direction == "desc"


def sort_text(column: str, descending: bool) -> str:
    """The sort of a column, as `:` and `--sort` take it."""
    return quoted_name(column) + (":desc" if descending else "")
