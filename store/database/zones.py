"""Time zones by name, as DuckDB's own tables know them (no file of the machine is asked)."""

from __future__ import annotations

import functools

import duckdb

#: Names that ICU keeps from old Java and that IANA does not have: "BST" would be Bangladesh, "IST" India.
_NO_IANA = frozenset((
    "ACT", "AET", "AGT", "ART", "AST", "BET", "BST", "CAT", "CNT", "CST", "CTT", "EAT", "ECT", "IET", "IST", "JST",
    "MIT", "NET", "NST", "PLT", "PNT", "PRT", "PST", "SST", "VST",
))  # fmt: skip


@functools.cache
def zone_names() -> frozenset[str]:
    """The IANA names of time zones, links included."""
    with duckdb.connect(config={"threads": 1}) as connection:
        rows = connection.execute("SELECT name FROM pg_timezone_names()").fetchall()
    return frozenset(
        str(name) for (name,) in rows if name not in _NO_IANA and name != "Factory" and not name.startswith("SystemV/")
    )
