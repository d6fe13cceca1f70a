"""Parquet, CSV and JSON lines files read for their rows, schema and profile, in a DuckDB that can do nothing else."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import NamedTuple

import duckdb
import msgspec

from store.catalog.datasets import ColumnProfile
from store.database.rows import first_row
from store.intake.clean import clean_line, clean_name
from store.intake.recognise import Format
from store.intake.trouble import Trouble
from store.intake.versions import from_refusal
from store.monitor.files.null_words import NULL_WORDS
from store.monitor.files.scratch import scratch_root
from store.monitor.files.text_rules import TextRules
from store.monitor.files.typed_copy import TextFile, typed_copies
from store.protocol import Refusal

#: The profile counts this many rows at most; the row count is always that of the whole file.
PROFILE_ROWS = 5_000_000
PROFILE_COLUMNS = 500
MAX_COLUMNS = 5_000
_TEXT = 120
#: What messages call the file; whoever asks knows its name.
_NAME = "the file"
#: What columns are that a typed copy leaves as text.
_TEXT_TYPES = {"time": "time (text)", "nested": "nested (text)"}


class Profile(NamedTuple):
    rows: int
    columns: list[ColumnProfile]


class Sandbox:
    """An in-memory DuckDB that reads files below the given folders, and copies of them, and nothing else.

    It is apart from the store's own database: a file that drives DuckDB into a fatal error invalidates this
    instance, which is then replaced. No extension can be loaded, no network reached, no setting changed.
    """

    def __init__(self, folders: Sequence[str], memory_limit: str = "1GB") -> None:
        self._folders = (*folders, str(scratch_root()))
        self._allowed: list[str] = []
        """Where the folders really lay when the instance was made: a watched one may be a link that is led elsewhere,
        or come later, and what an instance may read cannot be changed."""
        self._memory_limit = memory_limit
        self._lock = threading.Lock()
        self._root: duckdb.DuckDBPyConnection | None = None

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A cursor for the calling thread, which may read the folders where they lie now."""
        with self._lock:
            allowed = [os.path.realpath(folder) for folder in self._folders]
            if self._root is None or allowed != self._allowed:
                self._allowed = allowed
                self._root = self._connect()
            return self._root.cursor()

    def renew(self) -> None:
        """Replace the instance after a fatal error; cursors at work on the old one fail on their own."""
        with self._lock:
            self._root = None

    def close(self) -> None:
        with self._lock:
            if self._root is not None:
                self._root.close()
                self._root = None

    def _connect(self) -> duckdb.DuckDBPyConnection:
        config: dict[str, str | bool | int | float | list[str]] = {
            "threads": 2,
            "memory_limit": self._memory_limit,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "python_enable_replacements": False,
            "temp_directory": "",
        }
        connection = duckdb.connect(":memory:", config=config)
        # Several files come by the same /proc/self/fd name: nothing of one may be answered for another.
        connection.execute("SET enable_external_file_cache = false")
        connection.execute("SET allowed_directories = ?", [self._allowed])
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        return connection


def profile(sandbox: Sandbox, path: str, form: Format, null_words: Sequence[str] = NULL_WORDS) -> Profile:
    """Rows, schema and per-column nulls, least, greatest and distinct (approximate) of the file at `path`.

    CSV and JSON lines are read as the monitor reads them, by a typed copy. Raises `Trouble` with what was found wrong.
    """
    rules = TextRules(null_words=null_words)
    try:
        copy = None if form == "parquet" else typed_copies([TextFile(path, form, _NAME)], rules)[0]
    except Refusal as refusal:
        raise _refused(refusal, form) from refusal
    relation = "read_parquet($path, hive_partitioning = false, union_by_name = false)"
    location = copy.path if copy else path
    connection = sandbox.cursor()
    try:
        described = connection.execute(f"DESCRIBE SELECT * FROM {relation}", {"path": location}).fetchall()
        if len(described) > MAX_COLUMNS:
            raise Trouble.wrong("columns", f"{len(described):,} columns", f"at most {MAX_COLUMNS:,}")
        names = [(str(row[0]), str(row[1])) for row in described]
        found = _scan(connection, relation, location, names)
    except duckdb.FatalException:
        sandbox.renew()
        raise Trouble.wrong("content", "something that DuckDB could not survive", f"a whole {form} file") from None
    except duckdb.OutOfMemoryException as error:
        raise Trouble.wrong("content", "more than fits into the memory set aside", f"a {form} file") from error
    except (duckdb.Error, UnicodeDecodeError, RecursionError) as error:
        raise unreadable(error, form) from error
    finally:
        connection.close()
    if copy is None:
        return found
    # By place: DuckDB gives another name to columns that differ in case alone.
    kinds = (text.kind for text in copy.forms.values())
    columns = [
        msgspec.structs.replace(column, type=_TEXT_TYPES.get(kind, column.type))
        for kind, column in zip(kinds, found.columns, strict=True)
    ]
    return Profile(found.rows, columns)


def _refused(refusal: Refusal, form: str) -> Trouble:
    """What the monitor's readers refused, in the words of intake."""
    words = refusal.message.removeprefix(_NAME).removeprefix(" cannot be read").removeprefix(": ")
    trouble = from_refusal(refusal)
    reason = f"cannot be read as {form}: {words}"
    return Trouble(reason, key=trouble.key, found=trouble.found, expected=trouble.expected)


def unreadable(error: Exception, form: str) -> Trouble:
    """What DuckDB said, in one line and without the query."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = clean_line(lines[0] if lines else type(error).__name__, 300)
    if "/proc/self/fd/" in said:
        said = _without_descriptor(said)
    return Trouble(f"cannot be read as {form}: {said}", key="content", found=said, expected=f"a whole {form} file")


def _without_descriptor(text: str) -> str:
    head, _, tail = text.partition("/proc/self/fd/")
    return head + "the file" + tail.lstrip("0123456789")


def _scan(connection: duckdb.DuckDBPyConnection, relation: str, path: str, names: Sequence[tuple[str, str]]) -> Profile:
    shown = names[:PROFILE_COLUMNS]
    parts = ["count(*)"]
    for name, kind in shown:
        quoted = '"' + name.replace('"', '""') + '"'
        parts += [f"count({quoted})", *_extremes(quoted, kind)]
    counted = ", ".join(parts)
    row = first_row(
        connection.execute(f"SELECT {counted} FROM (SELECT * FROM {relation} LIMIT {PROFILE_ROWS})", {"path": path})
    )
    if row is None:
        raise Trouble.wrong("content", "nothing", "rows")
    rows, whole = int(row[0]), int(row[0])
    if rows == PROFILE_ROWS:
        counted_all = first_row(connection.execute(f"SELECT count(*) FROM {relation}", {"path": path}))
        whole = int(counted_all[0]) if counted_all else rows
    columns = []
    for place, (name, kind) in enumerate(names):
        if place >= len(shown):
            columns.append(ColumnProfile(clean_name(name), clean_line(kind, 200)))
            continue
        present, least, greatest, distinct = row[1 + 4 * place : 5 + 4 * place]
        columns.append(
            ColumnProfile(
                clean_name(name),
                clean_line(kind, 200),
                nulls=rows - int(present),
                distinct=None if distinct is None else int(distinct),
                minimum=None if least is None else clean_line(str(least), _TEXT),
                maximum=None if greatest is None else clean_line(str(greatest), _TEXT),
            )
        )
    return Profile(whole, columns)


def _extremes(quoted: str, kind: str) -> tuple[str, str, str]:
    """SQL for least, greatest and distinct; nested values and blobs have none that anybody reads."""
    if kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION", "BLOB", "BIT", "VARIANT", "GEOMETRY")):
        return "NULL", "NULL", "NULL"
    text = f"left({quoted}::VARCHAR, {_TEXT})"
    if kind.startswith(("VARCHAR", "ENUM", "JSON")):
        return f"min({text})", f"max({text})", f"approx_count_distinct({quoted})"
    return f"min({quoted})::VARCHAR", f"max({quoted})::VARCHAR", f"approx_count_distinct({quoted})"
