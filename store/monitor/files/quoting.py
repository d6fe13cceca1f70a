"""Names and texts as SQL writes them."""

from __future__ import annotations


def quoted(identifier: str) -> str:
    """The identifier in double quotes."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text in single quotes."""
    return "'" + text.replace("'", "''") + "'"


def pattern(location: str) -> str:
    """The location as DuckDB's readers take it, its wildcards literal: a file named `*` is not every file."""
    return literal("".join(f"[{letter}]" if letter in "*?[" else letter for letter in location))
