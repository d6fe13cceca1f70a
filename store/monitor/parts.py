"""Files of any number and size, local or on object storage, cut into parts that are counted independently."""

from __future__ import annotations

import dataclasses
import functools
import glob
import os
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from store.monitor import columns
from store.protocol import ExitCode, Refusal

Format = Literal["parquet", "csv", "jsonl"]

SUFFIXES: dict[str, Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
#: Cells decoded at a time: a row group of a million rows is read a few columns at a time.
CELLS_AT_ONCE = 1_000_000
MAX_COLUMNS = 2_000

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_WILD = re.compile(r"[*?\[]")


@dataclasses.dataclass(frozen=True)
class Part:
    """The unit of work: one row group of a Parquet file.

    Which parts there are depends on the files alone, never on threads or hosts. `first_row` counts over all the files.
    """

    path: str
    group: int
    first_row: int
    rows: int


def is_remote(path: str) -> bool:
    """Whether the path has a scheme and is read through fsspec."""
    return bool(_SCHEME.match(path))


def name_of(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2] or path


def find_files(text: str) -> list[str]:
    """The files that a path, a folder (searched to any depth), a glob or a URL of one of these names, sorted; local
    ones by their absolute paths: the processes of a cluster stand in another folder.

    Hidden files and files of other kinds in a folder are passed over. Raises `Refusal` (usage) when there is none.
    """
    if is_remote(text):
        found = _find_remote(text)
    elif Path(text).is_dir():
        found = [
            os.path.join(folder, name)  # noqa: PTH118 (paths stay text: they may be URLs)
            for folder, folders, names in os.walk(text)
            for name in _visible(folders, names)
        ]
    elif Path(text).exists():
        found = [text]
    elif _WILD.search(text):
        found = [path for path in glob.glob(text, recursive=True) if Path(path).is_file() and _is_data(path)]  # noqa: PTH207
    else:
        raise Refusal(ExitCode.USAGE, f"There is no file, folder or glob {text!r}.", "Name it from where you are.")
    if not found:
        raise Refusal(
            ExitCode.USAGE, f"{text}: no .parquet, .csv or .jsonl file there.", "Files of other kinds are passed over."
        )
    return sorted(path if is_remote(path) else os.path.abspath(path) for path in found)  # noqa: PTH100


def format_of(path: str) -> Format:
    found = SUFFIXES.get(Path(name_of(path)).suffix.lower())
    if found is None:
        raise Refusal(ExitCode.USAGE, f"{name_of(path)}: not a .parquet, .csv or .jsonl file.")
    return found


def format_of_bits(path: Path) -> Format:
    """The format of a file that has no name to tell it by. Raises OSError."""
    with path.open("rb") as file:
        first = file.read(64)
    if first.startswith(b"PAR1"):
        return "parquet"
    return "jsonl" if first.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else "csv"


def _visible(folders: list[str], names: list[str]) -> Iterator[str]:
    folders[:] = sorted(folder for folder in folders if not folder.startswith((".", "_")))
    return (name for name in names if not name.startswith((".", "_")) and _is_data(name))


def _is_data(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES


def _find_remote(text: str) -> list[str]:
    system, inner = filesystem(text)
    scheme = text.partition("://")[0]
    try:
        if _WILD.search(inner):
            found = [path for path in system.glob(inner) if _is_data(path)]
        elif system.isdir(inner):
            found = [path for path in system.find(inner) if _is_data(path)]
        else:
            found = [inner] if system.exists(inner) else []
    except Exception as error:  # whatever the storage's own library raises
        raise unreadable(text, error) from error
    if not found:
        raise Refusal(ExitCode.USAGE, f"There is no file, folder or glob {text!r}.", "Are the credentials right?")
    return [path if is_remote(path) else f"{scheme}://{path}" for path in found]


def filesystem(path: str) -> tuple[Any, str]:
    """fsspec's file system of a URL, and the path inside it. Raises `Refusal` when fsspec or its driver is absent."""
    scheme = path.partition("://")[0]
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise Refusal(
            ExitCode.USAGE,
            f"{path}: reading {scheme}:// needs fsspec.",
            "pip install 'quarterdeck[remote]', and the file system of the bucket (s3fs, gcsfs …).",
        ) from error
    try:
        system, inner = url_to_fs(path)
    except (ImportError, ValueError) as error:
        raise Refusal(ExitCode.USAGE, f"{path}: {error}", "fsspec reads what its installed drivers know.") from error
    return system, str(inner)


def unreadable(path: str, error: Exception, location: str = "", format: Format | None = None) -> Refusal:
    """What is wrong with a file that is called `path`, and what helps.

    `location` is where it lies and `format` its format, where its name does not tell. Of JSON lines it is said which
    line is at fault.
    """
    lines = str(error).splitlines() or [type(error).__name__]
    message = f"{name_of(path)} cannot be read: {lines[0][:300]}"
    if is_remote(path):
        return Refusal(ExitCode.USAGE, message, "Does its storage serve parts of a file?")
    if isinstance(error, OSError) and error.errno is not None:
        return Refusal(ExitCode.USAGE, message, "Is it there, and may it be read?")
    known = format or SUFFIXES.get(Path(name_of(path)).suffix.lower())
    if known == "jsonl":
        from store.monitor.files import json_lines_fault

        found = json_lines_fault.refusal(name_of(path), location or path)
        return found or Refusal(ExitCode.USAGE, message, "Every line of it must be one JSON object.")
    if known == "csv":
        return Refusal(ExitCode.USAGE, message, "Was it changed while it was read?")
    return Refusal(ExitCode.USAGE, message, "Write it again whole and retry.")


#: Up to here doubles hold every integer.
_WHOLE = 1 << 53

# --- Parquet ---------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class ParquetFile:
    """An open file, and its columns (name → Arrow type, as written). Text is read as dictionaries, as it is stored."""

    file: Any
    types: dict[str, Any]

    @property
    def group_rows(self) -> list[int]:
        metadata = self.file.metadata
        return [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]

    def has_values(self, name: str) -> bool:
        """Whether the column may hold a value: False where its statistics say that every one is null."""
        metadata = self.file.metadata
        place = self._places.get(name)
        if place is None:
            return True
        for group in range(metadata.num_row_groups):
            column = metadata.row_group(group).column(place)
            statistics = column.statistics
            if statistics is None or not statistics.has_null_count or statistics.null_count < column.num_values:
                return True
        return False

    def integer_range(self, name: str) -> tuple[int, int] | None:
        """The least and the greatest value of a column of integers, by its statistics; None where they do not say."""
        metadata, place = self.file.metadata, self._places.get(name)
        found: list[int] = []
        for group in range(metadata.num_row_groups) if place is not None else ():
            statistics = metadata.row_group(group).column(place).statistics
            if statistics is None or not statistics.has_min_max:
                continue
            if not isinstance(statistics.min, int) or not isinstance(statistics.max, int):
                return None
            found += [statistics.min, statistics.max]
        return (min(found), max(found)) if found else None

    def has_long_decimals(self, name: str) -> bool:
        """Whether the column's statistics show decimals beyond 2^53, which not all doubles tell apart."""
        from pyarrow import types

        place = self._places.get(name)
        if place is None or not types.is_decimal(self.types[name]):
            return False
        metadata = self.file.metadata
        for group in range(metadata.num_row_groups):
            statistics = metadata.row_group(group).column(place).statistics
            if statistics is not None and statistics.has_min_max and max(-statistics.min, statistics.max) > _WHOLE:
                return True
        return False

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        """Flat column → its place among the leaves."""
        schema = self.file.metadata.schema
        return {schema.column(at).path: at for at in range(len(schema))}


class _Opened(threading.local):
    """The Parquet file that this thread read last: row groups of one file come one after the other."""

    key: tuple[object, ...] = ()
    file: ParquetFile | None = None


_opened = _Opened()


def open_parquet(path: str) -> ParquetFile:
    """The file, kept open for this thread until the next one. Raises `Refusal` (usage) when it cannot be read."""
    try:
        key = _key(path)
        if _opened.key == key and _opened.file is not None:
            return _opened.file
        close_parquet()
        opened = _opened.file = _open(path)
    except _UNREADABLE as error:
        raise unreadable(path, error) from error
    _opened.key = key
    return opened


def _key(path: str) -> tuple[object, ...]:
    """What says that it is still the same file."""
    if is_remote(path):
        return (path,)
    found = os.stat(path)  # noqa: PTH116
    return path, found.st_ino, found.st_size, found.st_mtime_ns


_UNREADABLE = (OSError, ValueError, KeyError, RuntimeError, NotImplementedError)


def _open(path: str) -> ParquetFile:
    import pyarrow.parquet as parquet

    if is_remote(path):
        system, inner = filesystem(path)
        source, more = system.open(inner, "rb"), {"pre_buffer": True}
    else:
        # Not memory-mapped: a file that is cut short while it is read must not kill the process.
        source, more = path, {}
    plain = parquet.ParquetFile(source, **more)
    types = {field.name: field.type for field in plain.schema_arrow}
    texts = [name for name, kind in types.items() if columns.is_text(kind)]
    if not texts:
        return ParquetFile(plain, types)
    return ParquetFile(parquet.ParquetFile(source, metadata=plain.metadata, read_dictionary=texts, **more), types)


def close_parquet() -> None:
    """Let go of the file that this thread read last."""
    if _opened.file is not None:
        _opened.file.file.close(force=True)
    _opened.key, _opened.file = (), None


def read_columns(part: Part, wanted: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The part's columns as Arrow arrays, as many at a time as `CELLS_AT_ONCE` allows. Raises `Refusal`."""
    at_once = max(1, CELLS_AT_ONCE // max(1, part.rows))
    for start in range(0, len(wanted), at_once):
        yield read_group(part, wanted[start : start + at_once])


def read_group(part: Part, wanted: Sequence[str]) -> dict[str, Any]:
    """Some columns of a row group as Arrow arrays. Raises `Refusal`."""
    file = open_parquet(part.path).file
    try:
        table = file.read_row_group(part.group, columns=list(wanted), use_threads=False)
    except _UNREADABLE as error:
        close_parquet()
        raise unreadable(part.path, error) from error
    return {
        name: column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        for name, column in zip(table.column_names, table.columns, strict=True)
    }


def parts_of(paths: Sequence[str]) -> list[Part]:
    """The parts of Parquet files in order, without empty ones. Raises `Refusal` (usage) for unreadable footers."""
    found: list[Part] = []
    first = 0
    for path in paths:
        for group, rows in enumerate(open_parquet(path).group_rows):
            if rows:
                found.append(Part(path, group, first, rows))
                first += rows
    return found
