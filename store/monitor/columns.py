"""A column as it was decoded, of whatever type, as the numbers or the categories that are counted."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Literal

import numpy as np

from store.monitor.bins import CATEGORY_LENGTH, Floats, Integers, Marks
from store.monitor.files.column_form import truth_value
from store.monitor.files.number_text import PLAIN, NumberForm
from store.monitor.names import Hashes, name_hashes

#: How a column of an Arrow type is treated where nothing else is declared.
Treatment = Literal["numeric", "categorical", "time", "nested", "names"]
#: Why columns so treated are not compared, for people.
NOT_COMPARED: dict[Treatment, str] = {
    "time": "a time",
    "nested": "nested or binary",
    "names": "names of rows that a writer added",
}

_WHOLE = 2.0**53
#: Values by which a column of single precision is judged.
_DIGITS_SAMPLE = 1_000
_ZEROS = re.compile(r"[.]0+$")
_TRUTHS = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false"}


@dataclasses.dataclass(frozen=True)
class Numbers:
    """Values as floats, NaN where there is none; `null` marks absent ones, `invalid` what is there but no number."""

    values: Floats
    null: Marks | None = None
    invalid: Marks | None = None


@dataclasses.dataclass(frozen=True)
class Categories:
    """`codes` number the rows' categories in `names`; a null, and an empty text, is coded len(names)."""

    codes: Integers
    names: list[str]


def treatment(arrow_type: Any) -> Treatment:
    """Numbers are binned; text, truth values and UUIDs are categories; times and nested values are not compared."""
    from pyarrow import types

    stored = _stored(arrow_type)
    if stored is not None:
        return treatment(stored)
    if types.is_dictionary(arrow_type):
        return treatment(arrow_type.value_type)
    if types.is_integer(arrow_type) or types.is_floating(arrow_type) or types.is_decimal(arrow_type):
        return "numeric"
    if types.is_temporal(arrow_type):
        return "time"
    if types.is_nested(arrow_type) or _is_binary(arrow_type):
        return "nested"
    return "categorical"


def _stored(arrow_type: Any) -> Any | None:
    """What the values of an extension type are kept as; null for other types and for UUIDs, which are text to all."""
    import pyarrow as pa

    if not isinstance(arrow_type, pa.BaseExtensionType) or _is_uuid(arrow_type):
        return None
    return arrow_type.storage_type


def _is_uuid(arrow_type: Any) -> bool:
    return getattr(arrow_type, "extension_name", "") == "arrow.uuid"


def is_text(arrow_type: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(arrow_type):
        return is_text(arrow_type.value_type)
    return bool(types.is_string(arrow_type) or types.is_large_string(arrow_type) or types.is_string_view(arrow_type))


def _is_binary(arrow_type: Any) -> bool:
    from pyarrow import types

    return bool(
        types.is_binary(arrow_type)
        or types.is_large_binary(arrow_type)
        or types.is_fixed_size_binary(arrow_type)
        or types.is_binary_view(arrow_type)
    )


def numbers(column: Any, form: NumberForm = PLAIN, origin: int = 0) -> Numbers:
    """An Arrow array of any type as numbers: truth values are 0 and 1, text is parsed as `form` says, all else is no
    number. What is returned is relative to `origin`."""
    import pyarrow as pa

    if origin and pa.types.is_integer(column.type):
        return _whole_numbers(column, origin)
    found = _numbers(column, form)
    return dataclasses.replace(found, values=found.values - origin) if origin else found


def _whole_numbers(column: Any, origin: int) -> Numbers:
    """Integers relative to `origin`, subtracted before they become floats: their differences are exact."""
    null = column.is_null().to_numpy(zero_copy_only=False) if column.null_count else None
    held = column.fill_null(0) if column.null_count else column
    whole = held.to_numpy(zero_copy_only=False)
    # Unsigned integers wrap around, so that values on both sides of the origin have their difference as signed ones.
    differences = whole.astype(np.uint64) - np.uint64(origin % 2**64)
    far = np.abs(whole.astype(np.float64) - float(origin)) > 2.0**62
    values = np.where(far, whole.astype(np.float64) - float(origin), differences.view(np.int64).astype(np.float64))
    if null is not None:
        values[null] = np.nan
    return Numbers(values, null)


def _numbers(column: Any, form: NumberForm) -> Numbers:
    import pyarrow as pa

    if _stored(column.type) is not None:
        return _numbers(column.storage, form)
    kind = column.type
    null = column.is_null().to_numpy(zero_copy_only=False) if column.null_count else None
    if pa.types.is_dictionary(kind):
        inner = _numbers(column.dictionary, form)
        places = _codes(column, 0)
        if not len(column.dictionary):
            return Numbers(np.full(len(column), np.nan), null)
        values = inner.values[places]
        hollow = inner.null[places] if inner.null is not None else np.zeros(len(column), bool)
        invalid = inner.invalid[places] if inner.invalid is not None else None
        if null is not None:
            values[null] = np.nan
            hollow = hollow | null
            invalid = invalid & ~null if invalid is not None else None
        return Numbers(values, hollow, invalid)
    if pa.types.is_float64(kind):
        return Numbers(column.to_numpy(zero_copy_only=False), null)
    if pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    elif pa.types.is_decimal(kind) or pa.types.is_float32(kind):
        column = written_doubles(column)
    if treatment(column.type) == "numeric":
        return Numbers(column.to_numpy(zero_copy_only=False).astype(np.float64), null)
    if pa.types.is_null(kind):
        return Numbers(np.full(len(column), np.nan), np.ones(len(column), bool))
    if is_text(kind):
        return _parsed(column, form)
    given = np.ones(len(column), bool) if null is None else ~null
    return Numbers(np.full(len(column), np.nan), null, given)


def written_doubles(column: Any) -> Any:
    """Decimals and single precision as the doubles that the same numbers in text are: Arrow's own cast of decimals is
    off by a bit in one of six, and 0.1 in single precision is 0.100000001 as it stands.

    Single precision that was never written with few digits stays as it is: nothing is won by its ninth digit, and
    printing it takes longer than all the counting.
    """
    import pyarrow as pa

    if pa.types.is_float32(column.type) and not _has_few_digits(column):
        return column.cast(pa.float64())
    return column.cast(pa.string()).cast(pa.float64())


def _has_few_digits(column: Any) -> bool:
    """Whether most of some values in single precision are numbers of at most six digits."""
    values = column.drop_null().to_numpy(zero_copy_only=False)
    values = values[np.isfinite(values) & (values != 0)][:_DIGITS_SAMPLE]
    if not len(values):
        return False
    exact = values.astype(np.float64)
    unit = 10.0 ** (np.floor(np.log10(np.abs(exact))) - 5)
    return bool(2 * ((np.rint(exact / unit) * unit).astype(np.float32) == values).sum() >= len(values))


def _parsed(column: Any, form: NumberForm) -> Numbers:
    """Text as DuckDB reads numbers; blank text and null words are null."""
    from store.monitor import source

    value, invalid = source.number_sql("c", "VARCHAR", form)
    table = _sql(column, f"SELECT {value} AS v, {invalid} AS i FROM texts")
    values, wrong = table.column("v").combine_chunks(), table.column("i").combine_chunks()
    marks = wrong.fill_null(False).to_numpy(zero_copy_only=False).astype(bool)
    absent = values.is_null().to_numpy(zero_copy_only=False)
    return Numbers(values.to_numpy(zero_copy_only=False).astype(np.float64), absent, marks)


def categories(column: Any) -> Categories:
    """An Arrow array of any type as categories, named as DuckDB writes the value; 1 and 1.0 are one category."""
    import pyarrow as pa

    if _stored(column.type) is not None:
        return categories(column.storage)
    if not pa.types.is_dictionary(column.type):
        if _is_uuid(column.type) or (treatment(column.type) == "nested" and not _is_binary(column.type)):
            column = _sql(column, "SELECT CAST(c AS VARCHAR) AS c FROM texts").column("c").combine_chunks()
        column = column.dictionary_encode()
    names = _names(column.dictionary)
    codes = _codes(column, len(names))
    if None in names or "" in names or len(set(names)) < len(names):
        # A dictionary may hold null, or names that become one (1 and 1.0).
        merged: dict[str, int] = {}
        places = [merged.setdefault(name, len(merged)) if name else -1 for name in names]
        lookup = np.array([len(merged) if place < 0 else place for place in places] + [len(merged)], np.int64)
        return Categories(lookup[codes], list(merged))
    return Categories(codes, [name for name in names if name is not None])


def _codes(column: Any, null: int) -> Integers:
    """The indices of a dictionary array, `null` where there is none."""
    indices = column.indices
    if not indices.null_count:
        return np.asarray(indices.to_numpy(zero_copy_only=False))
    held = np.frombuffer(indices.buffers()[1], indices.type.to_pandas_dtype(), len(indices), _start(indices))
    absent = indices.is_null().to_numpy(zero_copy_only=False)
    # Not Arrow's own filling: its compute functions take 30 ms to import.
    return np.where(absent, null, held.astype(np.int64))


def _start(array: Any) -> int:
    return int(array.offset * array.type.bit_width // 8)


def _names(distinct: Any) -> list[str | None]:
    from pyarrow import types

    kind = distinct.type
    if is_text(kind):
        # Truth words are the same whoever wrote them.
        return [_TRUTHS.get(name, name) for name in distinct.to_pylist()]
    if types.is_boolean(kind):
        return [None if value is None else "true" if value else "false" for value in distinct.to_pylist()]
    if types.is_integer(kind):
        return [None if value is None else str(value) for value in distinct.to_pylist()]
    if types.is_floating(kind):
        return [None if not known else _number_name(value) for value, known in _floats(distinct)]
    if types.is_null(kind):
        return [None] * len(distinct)
    from store.monitor import source

    duckdb_kind = "DECIMAL" if types.is_decimal(kind) else "VARCHAR"
    text = source.category_sql("c", duckdb_kind)
    return list(_sql(distinct, f"SELECT {text} AS c FROM texts").column("c").to_pylist())


def _floats(distinct: Any) -> list[tuple[Any, bool]]:
    values = distinct.to_numpy(zero_copy_only=False)
    known = distinct.is_valid().to_numpy(zero_copy_only=False)
    return list(zip(values, known, strict=True))


def _number_name(value: Any) -> str:
    if np.isfinite(value) and abs(float(value)) < _WHOLE and float(value) == int(value):
        return str(int(value))
    return str(value)


def _sql(column: Any, query: str) -> Any:
    """The result of a query over the column `c` of `texts`, in the rows' order."""
    import duckdb
    import pyarrow as pa

    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        connection.register("texts", pa.table({"c": column}))
        return connection.sql(query).to_arrow_table()


class CategoryTable:
    """Category → slot of a feature: its place in `names`, else other; nulls have the last slot.

    A value that another format writes otherwise finds its category: truth words whatever their case (t, f, 1 and 0,
    too, where the feature holds nothing but truth values), whole numbers with decimals of zero (7.0 for 7).

    With `tail_groups` T, other is 2 T slots (`FeatureBins`): by the lowest bits of the name's hash, after T where it is
    not among `known` (hashes, ascending), the categories of the reference that have no slot; null: all are known.
    """

    def __init__(self, names: list[str], tail_groups: int = 0, feature: str = "", known: Hashes | None = None) -> None:
        self.names = names
        self._groups, self._feature, self._known = tail_groups, feature, known
        self._places = {name: place for place, name in enumerate(names)}
        words = {name.lower() for name in names}
        self._letters = bool(words) and words <= {"true", "false", "t", "f"} and words not in ({"t"}, {"f"})
        truths = {value: name for name in names if (value := truth_value(name, self._letters)) is not None}
        # Categories that differ in case alone stay apart.
        known_truths = sum(truth_value(name, self._letters) is not None for name in names)
        self._truths = truths if len(truths) == known_truths else {}
        self._codes = bool(names) and all(name.lstrip("-").isdigit() for name in names)

    @property
    def other(self) -> int:
        """The first slot of what has none of its own."""
        return len(self.names)

    @property
    def new(self) -> int:
        """The first slot of what is not known; without `tail_groups`, of what has no slot."""
        return len(self.names) + self._groups

    def slots_of(self, found: list[str]) -> Integers:
        """The slot of each name, and after them that of null."""
        places, other = self._places, self.other
        found = self.canonical(found)
        null = other + max(1, 2 * self._groups)
        slots = np.array([places.get(name, other) for name in found] + [null], np.int64)
        if self._groups:
            rest = np.flatnonzero(slots == other)
            if len(rest):
                slots[rest] += self._tail([found[place] for place in rest])
        return slots

    def canonical(self, found: list[str]) -> list[str]:
        """The names as the feature has them."""
        if not self._codes and not self._truths:
            return found
        return [name if name in self._places else self._written_otherwise(name) for name in found]

    def _written_otherwise(self, name: str) -> str:
        if self._codes:
            return _ZEROS.sub("", name.strip())
        value = truth_value(name, self._letters)
        return self._truths.get(value, name) if value is not None else name

    def _tail(self, names: list[str]) -> Integers:
        hashes = name_hashes(self._feature, names)
        groups = (hashes % np.uint64(self._groups)).astype(np.int64)
        if self._known is None:
            return groups
        new = np.ones(len(names), bool)
        if len(self._known):
            places = np.minimum(np.searchsorted(self._known, hashes), len(self._known) - 1)
            new = self._known[places] != hashes
        # Names that are too long to be kept are not known by name: they are not called new.
        new &= np.fromiter(map(usable_category, names), bool, len(names))
        return np.where(new, groups + self._groups, groups)


def usable_category(name: str) -> bool:
    return len(name) <= CATEGORY_LENGTH and "\0" not in name
