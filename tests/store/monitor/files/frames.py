"""Frames of all kinds of values, drawn at random, and the same frame written in every format."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
from hypothesis import strategies as st

Frame = dict[str, tuple[str, list[Any]]]
"""Column → (kind, values; None is null)."""

_WORDS = [
    *("a", "EU", "NA", "None", "null", "nan", "true", "True", "FALSE", "t", "f", "no", "-", "?", "a,b", 'q"q', "x;y"),
    *("two\nlines", " padded", "padded ", "Köln", "日本", "1", "2", "1.0", "007", "2020-01-01", "5%", "1,5", "#", "{}"),
]
_NAMES = ["x", "X", "a b", "a.b", "a,b", "a[0]", 'q"', "NA", "null", "Größe", "true", "k1", "k2", "select"]

_finite = st.floats(allow_nan=False, allow_infinity=False, width=64)
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(-50, 50),
    "long": st.integers(-(2**63), 2**63 - 1),
    "unsigned": st.integers(0, 2**64 - 1),
    "float": st.one_of(_finite, st.floats(-10, 10).map(lambda value: round(value, 2))),
    "bool": st.booleans(),
    "text": st.sampled_from(_WORDS),
    "category": st.sampled_from(["red", "green", "blue", "NA", "None", ""]),
    "truth text": st.sampled_from(["True", "False"]),
    "letters": st.sampled_from(["t", "f"]),
    "code": st.sampled_from(["01067", "10115", "80331"]),
    "timestamp": st.datetimes(datetime.fromisoformat("2001-01-01"), datetime.fromisoformat("2030-01-01")),
    "date": st.dates(date(2001, 1, 1), date(2030, 1, 1)),
    "nothing": st.none(),
}
_TYPES = {
    "int": pa.int64(),
    "long": pa.int64(),
    "unsigned": pa.uint64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us"),
    "date": pa.date32(),
    "nothing": pa.null(),
}


@st.composite
def frames(draw: st.DrawFn) -> tuple[Frame, Frame]:
    """A reference and a current frame of the same columns."""
    names = draw(st.lists(st.sampled_from(_NAMES), min_size=1, max_size=5, unique=True))
    kinds = {name: draw(st.sampled_from(sorted(_VALUES))) for name in names}
    return _frame(draw, kinds), _frame(draw, kinds)


def _frame(draw: st.DrawFn, kinds: dict[str, str]) -> Frame:
    rows = draw(st.integers(1, 12))
    repeat = draw(st.sampled_from([1, 1, 7]))
    frame: Frame = {}
    for name, kind in kinds.items():
        one = st.one_of(st.none(), _VALUES[kind]) if draw(st.booleans()) else _VALUES[kind]
        frame[name] = kind, draw(st.lists(one, min_size=rows, max_size=rows)) * repeat
    return frame


def write(frame: Frame, path: Path) -> str:
    """Write the frame in the format of the path's suffix."""
    {".parquet": _parquet, ".csv": _csv, ".jsonl": _jsonl}[path.suffix](frame, path)
    return str(path)


def _parquet(frame: Frame, path: Path) -> None:
    arrays = [pa.array(values, _TYPES.get(kind, pa.string())) for kind, values in frame.values()]
    parquet.write_table(pa.Table.from_arrays(arrays, names=list(frame)), path, row_group_size=5)


def _csv(frame: Frame, path: Path) -> None:
    """Text in quotes, as R and pandas (QUOTE_NONNUMERIC) write it: only so NA the category is told from NA."""
    lines = [list(frame), *zip(*(values for _, values in frame.values()), strict=True)]
    path.write_text("".join(",".join(map(_cell, line)) + "\r\n" for line in lines), newline="")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    return repr(value) if isinstance(value, float) else str(value)


def _jsonl(frame: Frame, path: Path) -> None:
    rows = zip(*(values for _, values in frame.values()), strict=True)
    path.write_text(
        "".join(json.dumps(dict(zip(frame, row, strict=True)), default=str, allow_nan=False) + "\n" for row in rows)
    )
