"""Columns of every type as numbers and as categories."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from store.monitor import columns

UUID = uuid.UUID("c0ffee00-0000-4000-8000-000000000001")


def as_numbers(array: Any) -> list[Any]:
    found = columns.numbers(array)
    null = found.null if found.null is not None else np.zeros(len(array), bool)
    invalid = found.invalid if found.invalid is not None else np.zeros(len(array), bool)
    rows = zip(found.values, null, invalid, strict=True)
    return ["invalid" if bad else None if absent else float(value) for value, absent, bad in rows]


def as_categories(array: Any) -> list[Any]:
    found = columns.categories(array)
    return [None if code == len(found.names) else found.names[code] for code in found.codes]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([1.5, None, 2.0]), [1.5, None, 2.0]),
        (pa.array([1, None, 3], pa.int8()), [1.0, None, 3.0]),
        (pa.array([2**63], pa.uint64()), [float(2**63)]),
        (pa.array([1.5, None], pa.float32()), [1.5, None]),
        (pa.array([True, None, False]), [1.0, None, 0.0]),
        (pa.array([decimal.Decimal("1.25"), None]), [1.25, None]),
        (pa.array(["1.5", " 2 ", "", "hot", None]), [1.5, 2.0, None, "invalid", None]),
        (pa.array(["1.5", "hot", None, "1.5"]).dictionary_encode(), [1.5, "invalid", None, 1.5]),
        (pa.array([1.5, None, 1.5]).dictionary_encode(), [1.5, None, 1.5]),
        (pa.array([datetime.datetime(2024, 5, 1), None]), ["invalid", None]),  # noqa: DTZ001  (naive, as files are)
        (pa.array([[1.0], None]), ["invalid", None]),
        (pa.array([{"a": 1}, None]), ["invalid", None]),
        (pa.array([b"1", None]), ["invalid", None]),
        (pa.array([UUID.bytes, None], pa.uuid()), ["invalid", None]),
        (pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, None, 0], pa.int8())), [1.0, None, 0.0]),
        (pa.ExtensionArray.from_storage(pa.json_(), pa.array(["7", None, "{}"])), [7.0, None, "invalid"]),
        (pa.nulls(2), [None, None]),
    ],
)
def test_what_is_a_number_is_one_and_what_is_none_is_marked(array: Any, expected: list[Any]) -> None:
    assert as_numbers(array) == expected


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array(["a", None, "b", "a"]), ["a", None, "b", "a"]),
        (pa.array(["a", None, "b", "a"]).dictionary_encode(), ["a", None, "b", "a"]),
        (pa.array(["a", None, "b", "a"]).dictionary_encode().slice(1), [None, "b", "a"]),
        (pa.array([True, None, False]), ["true", None, "false"]),
        (pa.array([1, None, 2], pa.int16()), ["1", None, "2"]),
        (pa.array([1.0, None, 2.5, 0.1]), ["1", None, "2.5", "0.1"]),
        (pa.array([0.1], pa.float32()), ["0.1"]),
        (pa.array([-0.0, 0.0]), ["0", "0"]),
        (pa.array([decimal.Decimal("1.50")]), ["1.50"]),
        (pa.array([datetime.date(2024, 5, 1), None]), ["2024-05-01", None]),
        (pa.array([[1, 2], None]), ["[1, 2]", None]),
        (pa.array([UUID.bytes, None], pa.uuid()), [str(UUID), None]),
        (pa.array([UUID.bytes, None], pa.uuid()).slice(1), [None]),
        (pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, None, 0], pa.int8())), ["1", None, "0"]),
        (pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"a": 1}', None])), ['{"a": 1}', None]),
        (pa.nulls(2), [None, None]),
        (pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), pa.array(["x", None])), ["x", None, None]),
    ],
)
def test_a_category_has_the_name_that_duckdb_gives_it(array: Any, expected: list[Any]) -> None:
    assert as_categories(array) == expected


def test_more_categories_than_the_indices_can_count_leave_room_for_null() -> None:
    names = pa.array([f"n{number}" for number in range(128)])
    array = pa.DictionaryArray.from_arrays(pa.array([127, None], pa.int8()), names)
    assert as_categories(array) == ["n127", None]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (pa.int32(), "numeric"),
        (pa.decimal128(10, 2), "numeric"),
        (pa.bool_(), "categorical"),
        (pa.string_view(), "categorical"),
        (pa.dictionary(pa.int8(), pa.string()), "categorical"),
        (pa.timestamp("us"), "time"),
        (pa.date32(), "time"),
        (pa.duration("s"), "time"),
        (pa.list_(pa.int8()), "nested"),
        (pa.map_(pa.string(), pa.int8()), "nested"),
        (pa.binary(), "nested"),
    ],
)
def test_every_type_has_its_treatment(kind: Any, expected: str) -> None:
    assert columns.treatment(kind) == expected


def test_codes_that_a_writer_made_fractions_are_the_same_categories() -> None:
    table = columns.CategoryTable(["1", "2"])
    assert table.slots_of(["1.0", "2", "3.0"]).tolist() == [0, 1, 2, 3]
