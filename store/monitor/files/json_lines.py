"""JSON lines: the keys of all lines, however late they come, and lines that need cleaning before SQL can read them."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterator
from typing import Any

import duckdb

from store.monitor import parts
from store.monitor.files.quoting import pattern
from store.monitor.files.scratch import Scratch
from store.monitor.notes import Note
from store.protocol import ExitCode, Refusal

MAX_OBJECT_BYTES = 4_194_304


@dataclasses.dataclass(frozen=True)
class JsonLines:
    """`keys` as they stand in the file, in the order of their names, and the `fields` they are called by at
    `location`."""

    location: str
    keys: tuple[str, ...]
    fields: tuple[str, ...]
    notes: tuple[Note, ...] = ()
    scratch: Scratch | None = None

    @property
    def maps(self) -> str:
        """A relation (m): each line as a map from field to text."""
        return _maps(self.location)


def _objects(location: str) -> str:
    return (
        f"read_ndjson_objects({pattern(location)}, hive_partitioning = false, maximum_object_size = {MAX_OBJECT_BYTES})"
    )


def _maps(location: str) -> str:
    return f"(SELECT CAST(json AS MAP(VARCHAR, VARCHAR)) AS m FROM {_objects(location)})"


def open_lines(connection: duckdb.DuckDBPyConnection, location: str, name: str) -> JsonLines:
    """Find the keys of every line. Raises `Refusal` (usage) when a line is no JSON or no line is an object.

    Lines that SQL cannot read as they are (no object, a key twice, keys that differ in case alone or are empty) are
    written anew, once; lines that are no objects are left out, and of a key that comes twice the last value counts.
    """
    try:
        keys = _keys(connection, location)
        plain = len({key.lower() for key in keys}) == len(keys) and all(key and "\0" not in key for key in keys)
    except duckdb.ConversionException:
        keys, plain = (), False
    if plain and keys:
        return JsonLines(location, keys, keys)
    cleaned = _cleaned(location, name)
    if not cleaned.keys:
        raise Refusal(
            ExitCode.USAGE,
            f"{name}: no line holds a JSON object with keys",
            'Each line is to be one object, such as {"prediction_id": "7", "score": 0.5}.',
        )
    return cleaned


def _keys(connection: duckdb.DuckDBPyConnection, location: str) -> tuple[str, ...]:
    rows = connection.execute(f"SELECT DISTINCT unnest(map_keys(m)) AS k FROM {_maps(location)} ORDER BY k").fetchall()
    return tuple(str(row[0]) for row in rows)


def _cleaned(location: str, name: str) -> JsonLines:
    scratch = Scratch()
    path = scratch.path / "lines.jsonl"
    fields: dict[str, str] = {}
    others: list[int] = []
    repeated: list[int] = []
    with path.open("w", encoding="utf-8") as out:
        for number, line in _lines(location):
            pairs = _pairs(line, name, number)
            if not isinstance(pairs, list):
                others.append(number)
                continue
            document = dict(pairs)
            if len(document) < len(pairs):
                repeated.append(number)
            out.write(json.dumps({fields.setdefault(key, f"k{len(fields)}"): value for key, value in document.items()}))
            out.write("\n")
    notes = []
    if others:
        text = f"lines that are no JSON objects are left out, the first is line {others[0]}"
        notes.append(Note("left_out.lines", text, len(others)))
    if repeated:
        text = f"lines hold a key twice: the last value counts, the first is line {repeated[0]}"
        notes.append(Note("repeated_keys", text, len(repeated)))
    keys = tuple(sorted(fields))
    return JsonLines(str(path), keys, tuple(fields[key] for key in keys), tuple(notes), scratch)


class _Pairs(list[tuple[str, Any]]):
    """The pairs of an object: not to be taken for an array."""


def _pairs(line: str, name: str, number: int) -> Any:
    """The (key, value) pairs of a line's object; what is no object as it is."""
    try:
        parsed = json.loads(line, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        raise Refusal(
            ExitCode.USAGE,
            f"{name}: line {number} is not JSON: found {line[:60]!r}, expected one object a line",
            "Fix the line or remove it.",
            {"key": f"line {number}", "found": line[:60], "expected": "one JSON object"},
        ) from error
    return [(key, _plain(value)) for key, value in parsed] if isinstance(parsed, _Pairs) else None


def _plain(value: Any) -> Any:
    if isinstance(value, _Pairs):
        return {key: _plain(inner) for key, inner in value}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _lines(location: str) -> Iterator[tuple[int, str]]:
    if parts.is_remote(location):
        system, inner = parts.filesystem(location)
        raw = system.open(inner, "rb")
    else:
        raw = open(location, "rb")  # noqa: PTH123, SIM115 (a location is text: it may be a URL)
    with io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace") as text:
        for number, line in enumerate(text, 1):
            if line.strip():
                yield number, line
