"""The scan kernel: a part of some files becomes counts in given bins, the same wherever it is counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from store.monitor import columns, parts
from store.monitor.moments import Moments
from store.monitor.names import NEW_NAMES, Names
from store.monitor.parts import Part
from store.monitor.profile import Binned, Tally

#: Of categories that the reference knows but that have no slot, those are kept by name that hold at least this share
#: of a batch or row group: what holds as much of the whole is kept with a count that misses at most this share.
FREQUENT, FREQUENT_NAMES = 0.01, 10_000
#: Rows of a batch that DuckDB decodes from text.
BATCH_ROWS = 65_536


def count_part(part: Part, bins: Binned, places: Mapping[str, str] | None = None, new_names: int = NEW_NAMES) -> Tally:
    """The part's rows in `bins`: a pure function of the two. Features whose column it lacks are counted nowhere.

    `places` says which column holds a feature (default: the one of its name). Raises `Refusal` (usage).
    """
    wanted = {feature.name: (places or {}).get(feature.name, feature.name) for feature in bins.features}
    if part.format == "parquet":
        return _count_group(part, bins, wanted, new_names)
    return _count_text(part, bins, wanted, new_names)


def count_columns(
    arrays: Mapping[str, Any],
    rows: int,
    bins: Binned,
    new_names: int = NEW_NAMES,
    invalid: Mapping[str, Any] | None = None,
) -> Tally:
    """Decoded columns (feature → Arrow array of `rows` values) in `bins`.

    `invalid`: by feature, a column of marks for text that a reader already found to be no number.
    """
    found = np.zeros(bins.width, np.int64)
    moments: dict[str, Moments] = {}
    names: dict[str, Names] = {}
    common: dict[str, Names] = {}
    for name, array in arrays.items():
        feature = bins.by_name[name]
        at = slice(feature.offset, feature.offset + feature.width)
        if feature.kind != "categorical":
            values = columns.numbers(array)
            marks = (invalid or {}).get(name)
            wrong = values.invalid if marks is None else marks.to_numpy(zero_copy_only=False).astype(bool)
            found[at], moments[name] = bins.coders[name].tally(values.values, values.null, wrong)
            continue
        table = bins.tables[name]
        held = columns.categories(array)
        counted = np.bincount(held.codes, minlength=len(held.names) + 1)
        slots = table.slots_of(held.names)
        found[at] = np.bincount(slots, weights=counted, minlength=feature.width).astype(np.int64)
        without = np.flatnonzero((slots[:-1] >= table.other) & (slots[:-1] < slots[-1]) & (counted[:-1] > 0))
        if not len(without):
            continue
        called = table.canonical(held.names)
        new: dict[str, int] = {}
        for place in without[slots[without] >= table.new]:
            if columns.usable_category(called[place]):
                new[called[place]] = new.get(called[place], 0) + int(counted[place])
        names[name] = Names.of(((one, new[one]) for one in bins.new_among(name, list(new))), new_names)
        frequent = without[(slots[without] < table.new) & (counted[without] >= FREQUENT * len(held.codes))]
        if len(frequent):
            known = [(called[place], int(counted[place])) for place in frequent]
            common[name] = Names.of((pair for pair in known if columns.usable_category(pair[0])), FREQUENT_NAMES)
    return Tally(rows, found, moments, names, common)


def _count_group(part: Part, bins: Binned, wanted: Mapping[str, str], new_names: int) -> Tally:
    held = parts.open_parquet(part.path).types
    total = Tally.nothing(bins.width)
    by_column: dict[str, list[str]] = {}
    for name, column in wanted.items():
        if column in held:
            by_column.setdefault(column, []).append(name)
    for arrays in parts.read_columns(part, list(by_column)):
        of_feature = {name: arrays[column] for column in arrays for name in by_column[column]}
        total += count_columns(of_feature, 0, bins, new_names)
    return Tally(part.rows or 0, total.counts, total.moments, total.names, total.common)


def _count_text(part: Part, bins: Binned, wanted: Mapping[str, str], new_names: int) -> Tally:
    total = Tally.nothing(bins.width)
    for rows, arrays, marks in text_batches(part, bins, wanted):
        total += count_columns(arrays, rows, bins, new_names, marks)
    return total


def text_batches(
    part: Part, bins: Binned, wanted: Mapping[str, str]
) -> Iterator[tuple[int, dict[str, Any], dict[str, Any]]]:
    """Batches of a CSV or JSON lines file: rows, the features it has, marks of what is no number. Raises `Refusal`."""
    import duckdb

    from store.monitor import source

    with duckdb.connect() as connection:
        opened = source.open_at(connection, part.path, part.format)
        names = [name for name, column in wanted.items() if column in opened.columns]
        numeric = [name for name in names if bins.by_name[name].kind != "categorical"]
        select = ["true AS row"]
        for place, name in enumerate(names):
            value, invalid = source.number_sql(wanted[name], "VARCHAR")
            if name in numeric:
                select.append(f"{value} AS f{place}, coalesce({invalid}, false) AS i{place}")
            else:
                select.append(f"{source.category_sql(wanted[name], 'VARCHAR')} AS f{place}")
        try:
            reader = connection.sql(f"SELECT {', '.join(select)} FROM {opened.relation}").to_arrow_reader(BATCH_ROWS)
            for batch in reader:
                held = dict(zip(batch.schema.names, batch.columns, strict=True))
                arrays = {name: held[f"f{place}"] for place, name in enumerate(names)}
                marks = {name: held[f"i{place}"] for place, name in enumerate(names) if name in numeric}
                yield batch.num_rows, arrays, marks
        except duckdb.Error as error:
            raise parts.unreadable(part.path, error) from error


def text_columns(path: str, format: parts.Format) -> list[str]:
    """The columns of a CSV or JSON lines file. Raises `Refusal` (usage)."""
    import duckdb

    from store.monitor import source

    with duckdb.connect() as connection:
        return list(source.open_at(connection, path, format).columns)


def sample_text(part: Part, names: list[str], most: int) -> dict[str, Any]:
    """At most about twice `most` evenly spaced rows of some columns of a CSV or JSON lines file, as text."""
    import duckdb
    import pyarrow as pa

    from store.monitor import source

    with duckdb.connect() as connection:
        opened = source.open_at(connection, part.path, part.format)
        held = [name for name in names if name in opened.columns]
        select = ", ".join(source.quoted(name) for name in held)
        if not held:
            return {}
        step, first = 1, 0
        pieces: list[Any] = []
        try:
            reader = connection.sql(f"SELECT {select} FROM {opened.relation}").to_arrow_reader(BATCH_ROWS)
            for batch in reader:
                piece = batch.take(pa.array(np.arange(-first % step, batch.num_rows, step)))
                pieces.append(piece)
                first += batch.num_rows
                if sum(piece.num_rows for piece in pieces) > 2 * most:
                    table = pa.Table.from_batches(pieces)
                    pieces = table.take(pa.array(np.arange(0, table.num_rows, 2))).combine_chunks().to_batches()
                    step *= 2
        except duckdb.Error as error:
            raise parts.unreadable(part.path, error) from error
        if not pieces:
            return {}
        whole = pa.Table.from_batches(pieces)
        return {name: column.combine_chunks() for name, column in zip(held, whole.columns, strict=True)}
