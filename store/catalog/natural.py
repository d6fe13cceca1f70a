"""The natural order of names with numbers in them, above all of versions: 9 before 10, 1.9 before 1.10, 1-rc before 1.

The order is that of a text key, so that it is total and transitive whatever the names are. The key is worked out twice
by the same steps, in Python (`natural_key`) and in SQL (`natural_sql`), because listings are sorted in the database.

Sources: PEP 440 and Semantic Versioning 2.0 agree on dev < alpha < beta < rc < release < later, and that numbers
compare as numbers. Where they differ or are silent: `1.0` and `1.0.0` are one release; `1.0-1` and `1.0.post1` come
after `1.0`; build metadata (`+…`) comes after the release without it; a leading `v`, letter case and `. - _` make no
difference. What is equal in all this is ordered by the caller, by the plain text.
"""

from __future__ import annotations

import re

_UPPER, _LOWER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
#: Only the ASCII letters: what Python and DuckDB make of the others differs.
_FOLDED = str.maketrans(_UPPER, _LOWER)
#: What is rewritten, in this order, before the name is cut into tokens. RE2 and Python read these patterns alike.
_REWRITES = (
    # v1, version-1
    (r"^v(?:er(?:sion)?)?[._ -]*([0-9])", r"\1"),
    # The short marks of PEP 440, only between digits: 1.0a1. A letter that ends a name (1.0.2a) comes after.
    (r"([0-9])a([0-9])", r"\1alpha\2"),
    (r"([0-9])b([0-9])", r"\1beta\2"),
    (r"([0-9])c([0-9])", r"\1rc\2"),
    # 1.0.0 is 1: the zeros at the end of the first row of numbers say nothing.
    (r"^([0-9]+(?:\.[0-9]+)*?)(?:\.0+)+(END|[^0-9.]|\.[^0-9])", r"\1\2"),
)
#: Numbers, words, other characters; `+` begins build metadata. The separators are dropped.
_TOKENS = r"[0-9]+|[a-z]+|\+|[^0-9a-z._+ -]+"
#: Words that stand before a release, with the mark they get in the key; `_END` is the release itself.
_BEFORE = {
    "dev": "1", "nightly": "1", "snapshot": "1",
    "alpha": "2",
    "beta": "3",
    "milestone": "4",
    "rc": "5", "pre": "5", "preview": "5", "cr": "5", "candidate": "5",
}  # fmt: skip
_END, _WORD, _NUMBER = "6", "7", "8"

_compiled = [(re.compile(pattern.replace("END", r"\Z"), re.ASCII), put) for pattern, put in _REWRITES]
_tokens = re.compile(_TOKENS, re.ASCII)


def natural_key(name: str) -> str:
    """A text that sorts (by code points) as `name` does in natural order; for any text."""
    name = name.translate(_FOLDED)
    for pattern, put in _compiled:
        name = pattern.sub(put, name, count=1)
    return "".join(map(_mark, _tokens.findall(name))) + _END


def _mark(token: str) -> str:
    if "0" <= token[0] <= "9":
        digits = token.lstrip("0")
        return f"{_NUMBER}{len(digits):05d}{digits}"
    if token == "+":
        return _END
    # The blank ends a word: "net" comes before "network".
    return _BEFORE.get(token) or f"{_WORD}{token} "


def natural_sql(expression: str) -> str:
    """SQL that gives `natural_key` of the text that `expression` gives; NULL for NULL."""
    name = f"translate({expression}, '{_UPPER}', '{_LOWER}')"
    for pattern, put in _REWRITES:
        name = f"regexp_replace({name}, '{pattern.replace('END', chr(92) + 'z')}', '{put}')"
    before = " ".join(f"WHEN token = '{word}' THEN '{mark}'" for word, mark in _BEFORE.items())
    return (
        f"(array_to_string(list_transform(regexp_extract_all({name}, '{_TOKENS}'), lambda token: CASE"
        f" WHEN token[1] BETWEEN '0' AND '9' THEN '{_NUMBER}' || lpad(length(ltrim(token, '0'))::VARCHAR, 5, '0')"
        f" || ltrim(token, '0') WHEN token = '+' THEN '{_END}' {before} ELSE '{_WORD}' || token || ' ' END), '')"
        f" || '{_END}')"
    )
