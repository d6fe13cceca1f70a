"""The filter of the heat map: which features stand on it, in the terms of `/` everywhere else."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from console.quoting import unquoted
from console.widgets.heatmap_data import HeatmapData
from store.protocol import ExitCode, Refusal

T = TypeVar("T")

_TERM = re.compile(r'\s*(?P<not>!)?(?:(?P<column>\w+)(?P<operator>!=|:|=))?(?P<value>"(?:[^"\\]|\\.)*"|[^\s"]+)')
_HINT = 'REGEX, !REGEX, feature=NAME; spaces mean and; "quotes" keep spaces.'


def passes(text: str) -> Callable[[str], bool]:
    """Whether a feature's name passes the filter. Raises `Refusal(USAGE)` on what cannot be read."""
    tests: list[tuple[bool, Callable[[str], bool]]] = []
    position, text = 0, text.strip()
    while position < len(text):
        term = _TERM.match(text, position)
        if term is None:
            raise _refuse(text, f"cannot read from {text[position:][:20]!r} on")
        position = term.end()
        if term["column"] not in (None, "feature"):
            raise _refuse(text, f"the heat map has features alone, not {term['column']!r}")
        tests.append((bool(term["not"]) != (term["operator"] == "!="), _test(text, term["operator"], term["value"])))
    return lambda name: all(test(name) != negated for negated, test in tests)


def _test(text: str, operator: str | None, value: str) -> Callable[[str], bool]:
    value = unquoted(value)
    if operator in ("=", "!="):
        return lambda name: name == value
    try:
        search = re.compile(value).search
    except re.error as error:
        raise _refuse(text, f"{value!r} is no regular expression: {error}") from error
    return lambda name: search(name) is not None


def _refuse(text: str, why: str) -> Refusal:
    return Refusal(ExitCode.USAGE, f"Bad filter {text[:80]!r}: {why}", _HINT)


def as_terms(text: str) -> str:
    """The same filter for the `drift` listing, whose bare words search another column. Of a filter that was read."""
    named = []
    for term in _TERM.finditer(text.strip()):
        sign = "!" if term["not"] else ""
        named.append(f"{sign}feature{term['operator'] or ':'}{term['value']}")
    return " ".join(named)


def narrowed(data: HeatmapData, text: str) -> HeatmapData:
    """The heat map of the features that pass; says so where none does. Raises `Refusal(USAGE)` as `passes` does."""
    if not text or not data.features:
        return data
    passing = passes(text)
    kept = [place for place, name in enumerate(data.features) if passing(name)]

    def of(rows: tuple[T, ...]) -> tuple[T, ...]:
        return tuple(rows[place] for place in kept) if rows else ()

    return replace(
        data,
        features=of(data.features),
        values=of(data.values),
        noise=of(data.noise),
        alarms=of(data.alarms),
        reasons=of(data.reasons),
        importance=of(data.importance),
        relevance=of(data.relevance),
        of=len(data.features),
        why=data.why if kept else f"no feature passes /{text}: esc shows all {len(data.features)}",
    )
