"""What arrived, as DuckDB reads it: a file's columns, and SQL that reads them whatever type they came in."""

from __future__ import annotations

import atexit
import dataclasses
import functools
import secrets
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from store.catalog.manifest import PLAIN, ModelManifest
from store.monitor import parts
from store.monitor.notes import Note
from store.monitor.parts import Format as Format
from store.protocol import ExitCode, Refusal

VERSION_COLUMN = "model_version"
#: How text says that there is no value: R and Excel (NA, #N/A), SQL (NULL, psql's \\N), pandas (<NA>), Python (None).
#: Not among them: NaN, which is a number, and `none`, `-` and `.`, which are as often values.
NULL_WORDS = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NULL", "null", "None", "\\N")
#: JSON lines are searched for keys this deep; later keys are not columns.
JSONL_SAMPLE = 10_000
MAX_COLUMNS = 2_000
_APART: dict[str, str | bool | int | float | list[str]] = {"memory_limit": "1GiB", "threads": 2}

_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL", "BIGNUM")
_FRACTIONS = ("FLOAT", "DOUBLE", "DECIMAL")


def quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def is_number(kind: str) -> bool:
    return not is_nested(kind) and kind.removeprefix("U").startswith(_NUMBERS)


def is_temporal(kind: str) -> bool:
    return not is_nested(kind) and kind.startswith(("TIMESTAMP", "DATE", "TIME", "INTERVAL"))


def is_text(kind: str) -> bool:
    return not is_nested(kind) and kind.startswith(("VARCHAR", "ENUM", "UUID", "JSON"))


def is_nested(kind: str) -> bool:
    return kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION", "BLOB", "BIT", "VARIANT", "GEOMETRY"))


@functools.cache
def scratch_root() -> Path:
    """The folder of this process in which every `Scratch` lies, made with the first: a DuckDB that may read little may
    read this."""
    path = Path(tempfile.gettempdir()) / f"quarterdeck-{secrets.token_hex(8)}"
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


class Scratch:
    """A folder of its owner's alone that goes when nobody holds it any more."""

    def __init__(self) -> None:
        # Each time anew: folders for temporary files are swept, and an agent runs for months.
        scratch_root().mkdir(mode=0o700, exist_ok=True)
        self.path = Path(tempfile.mkdtemp(dir=scratch_root()))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


@dataclasses.dataclass(frozen=True)
class Source:
    """A file and its columns (name → DuckDB type). `relation` is what stands behind FROM; `untyped` formats
    give every column as text."""

    path: Path
    relation: str
    columns: Mapping[str, str]
    untyped: bool
    format: Format = "parquet"
    scratch: Scratch | None = None
    """What the relation reads, gone with the source."""
    notes: tuple[Note, ...] = ()
    """What was not read as it stands."""

    def find(self, *names: str) -> str | None:
        """The first of `names` that the file has ("" is no name)."""
        return next((name for name in names if name and name in self.columns), None)

    def need(self, role: str, *names: str) -> str:
        """`find`, or a `Refusal` that says what was found and what was expected."""
        found = self.find(*names)
        if found is None:
            expected = " or ".join(repr(name) for name in dict.fromkeys(names) if name)
            held = ", ".join(list(self.columns)[:20]) or "no columns"
            raise Refusal(
                ExitCode.USAGE,
                f"{self.path.name}: no {role} column: expected {expected}, found {held}",
                "Name it in model.json under `columns`, or rename it and retry.",
                {"key": role, "expected": expected, "found": held},
            )
        return found


def open_at(connection: duckdb.DuckDBPyConnection, location: str, format: Format) -> Source:
    """`open_source` for a path as text, which may have a scheme (`store.monitor.parts`)."""
    if parts.is_remote(location):
        system, _ = parts.filesystem(location)
        connection.register_filesystem(system)
    return open_source(connection, Path(parts.name_of(location)), format, location)


def open_source(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    format: Format,
    location: str = "",
    *,
    apart: bool = False,
    name: str = "",
) -> Source:
    """Look at the file's schema. Raises `Refusal` (usage) when it cannot be read as `format`.

    `location` is where it lies, if `path` is only its name; `name` is what messages call it. `apart` is for connections
    of the store: DuckDB's reader of JSON holds some 250 MB, for which the store's memory has no room, so JSON lines are
    read once by a DuckDB of their own and left as Parquet.
    """
    place = pattern(location or str(path))
    try:
        if format == "parquet":
            relation = f"read_parquet({place}, hive_partitioning = false)"
        elif format == "csv":
            return _csv(connection, path, location, name or path.name)
        else:
            return _read_apart(path, place) if apart else _json_lines(connection, path, place)
        columns = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    except duckdb.Error as error:
        raise unreadable(Path(name) if name else path, error, location or str(path), format) from error
    _few_enough(path, len(columns))
    return Source(path, relation, {str(row[0]): str(row[1]) for row in columns}, False, format)


def _few_enough(path: Path, columns: int) -> None:
    if columns > MAX_COLUMNS:
        raise Refusal(ExitCode.USAGE, f"{path.name}: {columns} columns, at most {MAX_COLUMNS} are read")


def _csv(connection: duckdb.DuckDBPyConnection, path: Path, location: str, name: str) -> Source:
    """Text throughout: a word among numbers is one invalid value, not a file that cannot be read."""
    from store.monitor.files.csv_table import open_csv

    table = open_csv(connection, path, location, name=name)
    _few_enough(path, len(table.columns))
    names: dict[str, str] = {}
    notes = list(table.notes)
    taken: set[str] = set()
    for place, column in enumerate(table.columns):
        unique, number = column, 1
        while unique.lower() in taken:
            # DuckDB's names do not differ in case.
            unique, number = f"{column}_{number}", number + 1
        if unique != column:
            said = f"{name}: {column!r} differs from another column only in case"
            notes.append(Note("case", said, column=unique))
        taken.add(unique.lower())
        names[unique] = table.identifier(place)
    select = ", ".join(f"{place} AS {quoted(unique)}" for unique, place in names.items())
    relation = f"(SELECT {select} FROM {table.relation})"
    return Source(path, relation, dict.fromkeys(names, "VARCHAR"), True, "csv", table.scratch, tuple(notes))


def _json_lines(connection: duckdb.DuckDBPyConnection, path: Path, name: str) -> Source:
    lines = f"read_ndjson_objects({name}, hive_partitioning = false, maximum_object_size = 4194304)"
    keys = connection.execute(
        "SELECT DISTINCT key FROM (SELECT unnest(json_keys(json)) AS key"
        f" FROM (SELECT json FROM {lines} LIMIT {JSONL_SAMPLE}) WHERE json_type(json) = 'OBJECT')"
        f" LIMIT {MAX_COLUMNS}"
    ).fetchall()
    names = sorted(str(row[0]) for row in keys if "\0" not in str(row[0]))
    if not names:
        raise Refusal(ExitCode.USAGE, f"{path.name}: no JSON object with keys in its first {JSONL_SAMPLE} lines")
    words = ", ".join(literal(word) for word in NULL_WORDS)
    picked = ", ".join(
        f"CASE WHEN json_extract_string(json, {literal(_pointer(key))}) NOT IN ({words})"
        f" THEN json_extract_string(json, {literal(_pointer(key))}) END AS {quoted(key)}"
        for key in names
    )
    return Source(path, f"(SELECT {picked} FROM {lines})", dict.fromkeys(names, "VARCHAR"), True, "jsonl")


def _read_apart(path: Path, name: str) -> Source:
    scratch = Scratch()
    whole = scratch.path / "rows.parquet"
    with duckdb.connect(config=_APART) as connection:
        found = _json_lines(connection, path, name)
        connection.execute(f"COPY {found.relation} TO {literal(str(whole))} (FORMAT PARQUET)")
    relation = f"read_parquet({literal(str(whole))}, hive_partitioning = false)"
    return dataclasses.replace(found, relation=relation, scratch=scratch)


def _pointer(key: str) -> str:
    """RFC 6901."""
    return "/" + key.replace("~", "~0").replace("/", "~1")


def pattern(location: str) -> str:
    """The location as DuckDB's readers take it, quoted."""
    return literal(_unglobbed(location))


def _unglobbed(path: str) -> str:
    """The path with DuckDB's wildcards taken literally: a file named `*` is not every file."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)


def unreadable(path: Path, error: Exception, location: str = "", format: Format | None = None) -> Refusal:
    """`store.monitor.parts.unreadable` for a file that is called `path`."""
    return parts.unreadable(str(path), error, location, format)


# --- SQL over a column of any type -----------------------------------------------------------------------


def number_sql(column: str, kind: str) -> tuple[str, str | None]:
    """(the value as DOUBLE, a condition for "there is a value but it is no number" or None if it cannot be)."""
    name = quoted(column)
    if is_number(kind) or kind == "BOOLEAN":
        return f"CAST({name} AS DOUBLE)", None
    if is_text(kind):
        text = f"nullif(trim(CAST({name} AS VARCHAR)), '')"
        value = f"TRY_CAST({text} AS DOUBLE)"
        return value, f"({text} IS NOT NULL AND {value} IS NULL)"
    return "CAST(NULL AS DOUBLE)", f"({name} IS NOT NULL)"


def category_sql(column: str, kind: str) -> str:
    """The value as text; 1 and 1.0 are the same category, whatever the file's type."""
    name = quoted(column)
    if is_number(kind) and kind.startswith(_FRACTIONS):
        whole = f"isfinite(CAST({name} AS DOUBLE)) AND abs({name}) < 9007199254740992 AND {name} = trunc({name})"
        return f"CASE WHEN {whole} THEN CAST(CAST({name} AS BIGINT) AS VARCHAR) ELSE CAST({name} AS VARCHAR) END"
    return f"CAST({name} AS VARCHAR)"


def time_sql(column: str, kind: str) -> str:
    """Microseconds since the epoch as BIGINT, null where there is no time.

    Times without a zone are UTC. Numbers are seconds since the epoch, or milli- or microseconds by size.
    """
    name = quoted(column)
    if is_number(kind):
        return _epoch_sql(f"CAST({name} AS DOUBLE)")
    if is_temporal(kind) and kind.startswith(("TIMESTAMP", "DATE")):
        return f"epoch_us({name})"
    if not is_text(kind):
        return "CAST(NULL AS BIGINT)"
    text = f"trim(CAST({name} AS VARCHAR))"
    zoned = f"regexp_matches({text}, '[0-9]([zZ]|[+-][0-9]{{2}}(:?[0-9]{{2}})?)$') AND length({text}) > 10"
    return (
        f"CASE WHEN {zoned} THEN epoch_us(TRY_CAST({text} AS TIMESTAMPTZ))"
        f" ELSE coalesce(epoch_us(TRY_CAST({text} AS TIMESTAMP)), {_epoch_sql(f'TRY_CAST({text} AS DOUBLE)')}) END"
    )


def _epoch_sql(number: str) -> str:
    return (
        f"CASE WHEN isfinite({number}) AND abs({number}) < 1e18 THEN CAST({number} *"
        f" (CASE WHEN abs({number}) < 1e11 THEN 1e6 WHEN abs({number}) < 1e14 THEN 1e3 ELSE 1 END) AS BIGINT) END"
    )


def text_sql(column: str, kind: str) -> str:
    """An identifier as text; "" is null, 7 and 7.0 are one id."""
    return f"nullif({category_sql(column, kind)}, '')"


def canonical_sql(column: str, kind: str) -> str:
    """`store.monitor.bins.canonical` in SQL; NaN is no label."""
    name = quoted(column)
    if kind == "BOOLEAN":
        return f"CAST(CAST({name} AS INTEGER) AS VARCHAR)"
    if is_number(kind) and not kind.startswith(_FRACTIONS):
        return f"CAST({name} AS VARCHAR)"
    text = f"nullif(trim(CAST({name} AS VARCHAR)), '')"
    number = f"TRY_CAST({text} AS DOUBLE)"
    return (
        f"CASE WHEN lower({text}) = 'true' THEN '1' WHEN lower({text}) = 'false' THEN '0'"
        f" WHEN isnan({number}) THEN NULL"
        f" WHEN isfinite({number}) AND abs({number}) < 9007199254740992 AND {number} = trunc({number})"
        f" THEN CAST(CAST({number} AS BIGINT) AS VARCHAR) ELSE {text} END"
    )


def role_columns(manifests: Sequence[ModelManifest]) -> dict[str, list[str]]:
    """Role → the column names it may have: the manifests' own ones first, then the plain one."""
    roles: dict[str, list[str]] = {}
    for role in PLAIN.__struct_fields__:
        names = [getattr(manifest.columns, role) for manifest in manifests]
        roles[role] = list(dict.fromkeys([*(name for name in names if name), getattr(PLAIN, role)]))
    return roles
