"""A text file (CSV, JSON lines) before anything is known of its columns: every value as it is written."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import duckdb

from store.monitor import parts
from store.monitor.files import json_lines
from store.monitor.files.csv_table import open_csv
from store.monitor.files.quoting import literal, pattern
from store.monitor.files.scratch import Scratch
from store.monitor.files.text_rules import TextRules
from store.monitor.notes import Note
from store.protocol import ExitCode, Refusal

MAX_COLUMNS = 5_000
_TYPES = "$types"


@dataclasses.dataclass(frozen=True)
class TextTable:
    """`columns` are the names as they stand in the file, `fields` what SQL calls them (some names differ in case
    alone, which SQL cannot tell apart)."""

    columns: tuple[str, ...]
    fields: tuple[str, ...]
    cells: str
    """A relation (k, v): field and text of every value that is not null."""
    rows: str
    """A relation of all rows, with a place for the types of JSON (see `relation`)."""
    notes: tuple[Note, ...] = ()
    comma_likely: bool = False
    """Whether a comma in a number is rather a decimal mark: fields are separated by semicolons."""
    typed: bool = False
    """Whether `relation` gives values of the types that it is asked for."""
    scratch: Scratch | None = None
    row_names: str | None = None
    """The column that names the rows, as R and pandas write it: the first, without a name of its own."""

    def relation(self, types: Mapping[str, str]) -> str:
        """All rows, a column a field. JSON is read as `types` (field → DuckDB type) at once; CSV as text."""
        return self.rows.replace(_TYPES, ", ".join(f"{literal(f)}: {literal(types[f])}" for f in self.fields))


def open_text(
    connection: duckdb.DuckDBPyConnection, location: str, format: parts.Format, name: str, rules: TextRules
) -> TextTable:
    """Look at the file's columns. Raises `Refusal` (usage) naming `name` when it cannot be read as `format`.

    Null words of the rules that stand in a CSV file without quotes are no values, unless they are categories.
    """
    if parts.is_remote(location):
        system, _ = parts.filesystem(location)
        connection.register_filesystem(system)
    try:
        table = _csv(connection, location, name, rules) if format == "csv" else _json(connection, location, name)
    except duckdb.Error as error:
        raise parts.unreadable(name, error, location, format) from error
    if len(table.columns) > MAX_COLUMNS:
        raise Refusal(ExitCode.USAGE, f"{name}: {len(table.columns):,} columns, at most {MAX_COLUMNS:,} are read")
    return table


def _csv(connection: duckdb.DuckDBPyConnection, location: str, name: str, rules: TextRules) -> TextTable:
    table = open_csv(connection, Path(name), location, rules.null_words, name=name, categories=rules.categories)
    fields = tuple(table.identifier(place) for place in range(len(table.columns)))
    cells = f"(UNPIVOT (SELECT * FROM {table.relation}) ON {', '.join(fields)} INTO NAME k VALUE v)"
    comma_likely = table.dialect.delimiter == ";"
    return TextTable(
        table.columns, fields, cells, table.relation, table.notes, comma_likely,
        scratch=table.scratch, row_names=table.columns[0] if table.dialect.row_names else None,
    )  # fmt: skip


def _json(connection: duckdb.DuckDBPyConnection, location: str, name: str) -> TextTable:
    lines = json_lines.open_lines(connection, location, name)
    cells = f"(SELECT unnest(map_keys(m)) AS k, unnest(map_values(m)) AS v FROM {lines.maps})"
    rows = (
        f"read_json({pattern(lines.location)}, format = 'newline_delimited', columns = {{{_TYPES}}},"
        f" hive_partitioning = false, maximum_object_size = {json_lines.MAX_OBJECT_BYTES})"
    )
    return TextTable(lines.keys, lines.fields, cells, rows, lines.notes, typed=True, scratch=lines.scratch)
