"""What arrived, as DuckDB reads it: a file's columns, and SQL that reads them whatever type they came in."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from store.catalog.manifest import PLAIN, ModelManifest
from store.monitor import parts
from store.monitor.files.null_words import NULL_WORDS
from store.monitor.files.number_text import PLAIN as PLAIN_NUMBERS
from store.monitor.files.number_text import NumberForm, number_text_sql
from store.monitor.files.quoting import literal as literal
from store.monitor.files.quoting import pattern as pattern
from store.monitor.files.quoting import quoted as quoted
from store.monitor.files.table_files import TableFiles
from store.monitor.files.text_rules import DEFAULT_RULES, TextRules
from store.monitor.files.typed_copy import TextFile, TypedCopy, typed_copies
from store.monitor.notes import Note
from store.monitor.parts import Format as Format
from store.protocol import ExitCode, Refusal

VERSION_COLUMN = "model_version"
MAX_COLUMNS = 2_000
_NUMBERED = re.compile(r"(.+)_\d+")

_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL", "BIGNUM")
_FRACTIONS = ("FLOAT", "DOUBLE", "DECIMAL")


def is_number(kind: str) -> bool:
    return not is_nested(kind) and kind.removeprefix("U").startswith(_NUMBERS)


def is_temporal(kind: str) -> bool:
    return not is_nested(kind) and kind.startswith(("TIMESTAMP", "DATE", "TIME", "INTERVAL"))


def is_text(kind: str) -> bool:
    return not is_nested(kind) and kind.startswith(("VARCHAR", "ENUM", "UUID", "JSON"))


def is_nested(kind: str) -> bool:
    return kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION", "BLOB", "BIT", "VARIANT", "GEOMETRY"))


@dataclasses.dataclass(frozen=True)
class Source:
    """A file and its columns (name → DuckDB type). `relation` is what stands behind FROM; text files are read by a
    typed copy, which `location` names."""

    path: Path
    relation: str
    columns: Mapping[str, str]
    location: str
    copy: TypedCopy | None = None
    fields: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """What SQL calls columns whose names differ in case alone from others', which it does not tell apart."""

    def field(self, column: str) -> str:
        """What the column is called in `relation`."""
        return self.fields.get(column, column)

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was odd about how it reads."""
        return self.copy.notes if self.copy else ()

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


def open_source(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    format: Format,
    rules: TextRules = DEFAULT_RULES,
    name: str = "",
) -> Source:
    """Look at the file's schema. Raises `Refusal` (usage) when it cannot be read as `format`.

    `name` is what messages call the file (default: the path's name).
    """
    copy = typed_copies([TextFile(str(path), format, name or path.name)], rules)[0] if format != "parquet" else None
    return _described(connection, path, copy.path if copy else str(path), copy)


def _described(connection: duckdb.DuckDBPyConnection, path: Path, location: str, copy: TypedCopy | None) -> Source:
    relation = f"read_parquet({pattern(location)}, hive_partitioning = false)"
    try:
        described = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    except duckdb.Error as error:
        raise unreadable(path, error) from error
    if len(described) > MAX_COLUMNS:
        raise Refusal(ExitCode.USAGE, f"{path.name}: {len(described)} columns, at most {MAX_COLUMNS} are read")
    fields = [str(row[0]) for row in described]
    names = _own_names(location, fields)
    kinds = {name: str(row[1]) for name, row in zip(names, described, strict=True)}
    renamed = {name: field for name, field in zip(names, fields, strict=True) if name != field}
    return Source(path, relation, kinds, location, copy, renamed)


def _own_names(location: str, fields: Sequence[str]) -> Sequence[str]:
    """The file's own names of columns, of which DuckDB may have made `score_1` beside `Score`."""
    lowered = {field.lower() for field in fields}
    numbered = (_NUMBERED.fullmatch(field.lower()) for field in fields)
    if not any(match and match[1] in lowered for match in numbered):
        return fields
    import pyarrow.parquet as parquet

    names: list[str] = parquet.read_schema(location).names
    return names if len(set(names)) == len(names) == len(fields) else fields


def source_of(connection: duckdb.DuckDBPyConnection, path: Path, files: TableFiles) -> Source:
    """One file that was opened already. Raises `Refusal` (usage)."""
    return _described(connection, path, files.paths[0], files.copies[0] if files.copies else None)


def unreadable(path: Path, error: Exception, location: str = "", format: Format | None = None) -> Refusal:
    """`store.monitor.parts.unreadable` for a file that is called `path`."""
    return parts.unreadable(str(path), error, location, format)


# --- SQL over a column of any type -----------------------------------------------------------------------


def number_sql(column: str, kind: str, form: NumberForm = PLAIN_NUMBERS) -> tuple[str, str | None]:
    """(the value as DOUBLE, a condition for "there is a value but it is no number" or None if it cannot be).

    Of text, truth words are 1 and 0, null words are null, and `form` says how numbers are written.
    """
    name = quoted(column)
    if kind == "FLOAT":
        # By its digits: 0.7 in single precision is less than 0.7.
        return f"CAST(CAST({name} AS VARCHAR) AS DOUBLE)", None
    if is_number(kind) or kind == "BOOLEAN":
        return f"CAST({name} AS DOUBLE)", None
    if is_text(kind):
        text = f"trim(CAST({name} AS VARCHAR))"
        truth = f"CASE WHEN lower({text}) IN ('true', 't') THEN 1.0 WHEN lower({text}) IN ('false', 'f') THEN 0.0 END"
        value = f"coalesce({number_text_sql(text, form)}, {truth})"
        words = ", ".join(map(literal, NULL_WORDS))
        return value, f"({value} IS NULL AND {text} NOT IN ({words}))"
    return "CAST(NULL AS DOUBLE)", f"({name} IS NOT NULL)"


def category_sql(column: str, kind: str) -> str:
    """The value as text; 1 and 1.0 are the same category, whatever the file's type, and so are True and true."""
    name = quoted(column)
    if is_text(kind):
        text = f"CAST({name} AS VARCHAR)"
        truth = f"WHEN {text} IN ('True', 'TRUE') THEN 'true' WHEN {text} IN ('False', 'FALSE') THEN 'false'"
        return f"CASE {truth} ELSE {text} END"
    if is_number(kind) and kind.startswith(_FRACTIONS):
        whole = f"isfinite(CAST({name} AS DOUBLE)) AND abs({name}) < 9007199254740992 AND {name} = trunc({name})"
        return f"CASE WHEN {whole} THEN CAST(CAST({name} AS BIGINT) AS VARCHAR) ELSE CAST({name} AS VARCHAR) END"
    return f"CAST({name} AS VARCHAR)"


def text_sql(column: str, kind: str) -> str:
    """An identifier as text, whatever its type: 7, 7.0, "7" and " 7 " are one id, "007" is another; "" is null."""
    if not is_text(kind):
        return category_sql(column, kind)
    text = f"CAST({quoted(column)} AS VARCHAR)"
    return (
        f"nullif(CASE WHEN contains({text}, '.') THEN regexp_replace(trim({text}), '^(-?[1-9][0-9]*|0)[.]0+$', '\\1')"
        f" ELSE trim({text}) END, '')"
    )


def canonical_sql(column: str, kind: str, letters: bool = False) -> str:
    """`store.monitor.bins.canonical` in SQL; NaN is no label."""
    true, false = ("'true', 't'", "'false', 'f'") if letters else ("'true'", "'false'")
    name = quoted(column)
    if kind == "BOOLEAN":
        return f"CAST(CAST({name} AS INTEGER) AS VARCHAR)"
    if is_number(kind) and not kind.startswith(_FRACTIONS):
        return f"CAST({name} AS VARCHAR)"
    text = f"nullif(trim(CAST({name} AS VARCHAR)), '')"
    number = f"TRY_CAST({text} AS DOUBLE)"
    return (
        f"CASE WHEN lower({text}) IN ({true}) THEN '1' WHEN lower({text}) IN ({false}) THEN '0'"
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
