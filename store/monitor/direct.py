"""Small Parquet files of plain types without a query: planning one costs more than such a file holds."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from store.monitor import columns
from store.monitor.bins import FeatureBins
from store.monitor.kernel import BATCH_ROWS
from store.monitor.source import Source, pattern


@dataclasses.dataclass(frozen=True)
class Small:
    """A file of one batch, decoded."""

    table: Any
    source: Source


@dataclasses.dataclass(frozen=True)
class Selected:
    """Columns by role (null: the file has none), and the watched features as they are to be called in a batch."""

    time: str
    identity: str
    answer: str | None
    score: str | None
    features: Sequence[tuple[str, FeatureBins, str]]
    """(name in the batch, the feature, its column)."""
    zone: str = ""
    """Declared for times that name none; "" is UTC."""


def open_small(path: Path) -> Small | None:
    """The file, if it is small and its columns are numbers, text, truth values and times; null where a query is needed
    (or would say better what is wrong with it)."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        # Spark's INT96 holds any year; in nanoseconds the year 9999 would become another one.
        with parquet.ParquetFile(str(path), coerce_int96_timestamp_unit="us") as file:
            names = file.schema_arrow.names
            if not 0 < file.metadata.num_rows <= BATCH_ROWS or len(set(map(str.lower, names))) < len(names):
                return None
            kinds = {field.name: duckdb_kind(field.type) for field in file.schema_arrow}
            if None in kinds.values():
                return None
            table = file.read(use_threads=False)
    except (OSError, pa.ArrowException, ValueError):
        return None
    named = {name: kind for name, kind in kinds.items() if kind is not None}
    relation = f"read_parquet({pattern(str(path))}, hive_partitioning = false)"
    return Small(table, Source(path, relation, named, str(path)))


def duckdb_kind(arrow_type: Any) -> str | None:
    """The DuckDB type of a plain Arrow type; null for others."""
    from pyarrow import types

    if types.is_timestamp(arrow_type):
        if arrow_type.unit == "ns":
            return "TIMESTAMPTZ_NS" if arrow_type.tz else "TIMESTAMP_NS"
        return "TIMESTAMP WITH TIME ZONE" if arrow_type.tz else "TIMESTAMP"
    if columns.is_text(arrow_type) and not types.is_dictionary(arrow_type):
        return "VARCHAR"
    return _KINDS.get(str(arrow_type))


_KINDS = {
    "bool": "BOOLEAN",
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "uint8": "UTINYINT",
    "uint16": "USMALLINT",
    "uint32": "UINTEGER",
    "uint64": "UBIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
}


def batch(small: Small, selected: Selected) -> Any | None:
    """The record batch that the query of `store.monitor.scan` would give; null where only the query knows how."""
    import pyarrow as pa

    table = small.table
    held: Mapping[str, Any] = {
        name: column.combine_chunks() for name, column in zip(table.column_names, table.columns, strict=True)
    }
    held = {name: column.chunk(0) if isinstance(column, pa.ChunkedArray) else column for name, column in held.items()}
    found: dict[str, Any] = {}
    roles: list[tuple[str, str | None, Callable[[Any], Any | None], Any]] = [
        ("event_us", selected.time, functools.partial(_microseconds, zone=selected.zone), pa.int64()),
        ("prediction_id", selected.identity, _identity, pa.string()),
        ("prediction", selected.answer, _answer, pa.string()),
        ("score", selected.score, _number, pa.float64()),
    ]
    for name, column, convert, kind in roles:
        array = convert(held[column]) if column is not None else pa.nulls(table.num_rows, kind)
        if array is None:
            return None
        found[name] = array
    # Numbers of the distinct ids: they show as well as hashes whether any repeats.
    found["id_hash"] = found["prediction_id"].dictionary_encode().indices
    for name, feature, column in selected.features:
        array = _category(held[column]) if feature.kind == "categorical" else _feature_number(held[column], feature)
        if array is None:
            return None
        found[name] = array
    return pa.RecordBatch.from_arrays(list(found.values()), list(found))


def _microseconds(array: Any, zone: str = "") -> Any | None:
    """As `store.monitor.files.times.time_sql`: nanoseconds are cut off, also of times before the epoch."""
    import numpy as np
    import pyarrow as pa

    if not pa.types.is_timestamp(array.type) or (zone and not array.type.tz):
        return None
    if array.type.unit != "ns":
        try:
            return array.cast(pa.timestamp("us", array.type.tz)).cast(pa.int64())
        except pa.ArrowInvalid:
            return None
    nanoseconds = array.cast(pa.int64())
    absent = nanoseconds.is_null().to_numpy(zero_copy_only=False)
    return pa.array(np.floor_divide(nanoseconds.fill_null(0).to_numpy(), 1000), mask=absent)


def _identity(array: Any) -> Any | None:
    import pyarrow as pa
    import pyarrow.compute as compute

    if pa.types.is_integer(array.type):
        return array.cast(pa.string())
    if not columns.is_text(array.type):
        return None
    text = array.cast(pa.string())
    if compute.any(compute.match_substring_regex(text, r"^\s|\s$|\.0+$")).as_py():
        # 7.0 and " 7 " are 7: only the query knows.
        return None
    return compute.if_else(compute.equal(text, ""), pa.scalar(None, pa.string()), text)


def _answer(array: Any) -> Any | None:
    import pyarrow as pa

    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int8())
    return array.cast(pa.string()) if pa.types.is_integer(array.type) else None


def _number(array: Any) -> Any | None:
    import pyarrow as pa

    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int8())
    if pa.types.is_float64(array.type):
        return array
    if pa.types.is_float32(array.type):
        return columns.written_doubles(array)
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        return array.cast(pa.float64(), safe=False)
    return None


def _feature_number(array: Any, feature: FeatureBins) -> Any | None:
    """As `_number`; integers of a feature with an origin stay what they are until it is subtracted."""
    import pyarrow as pa

    return array if feature.origin and pa.types.is_integer(array.type) else _number(array)


def _category(array: Any) -> Any | None:
    import pyarrow as pa

    return None if pa.types.is_timestamp(array.type) or pa.types.is_floating(array.type) else array
