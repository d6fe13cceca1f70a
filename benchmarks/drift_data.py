"""Files for the drift benchmarks: 20 numeric and 5 categorical columns, as many rows as asked for, made once."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

ROW_GROUP = 122_880
CATEGORIES = (5, 12, 50, 200, 1_000)
START = np.datetime64("2024-05-01T00:00:00", "us")


def folder() -> Path:
    """Where the files are kept between runs: the user's own folder under the system's temporary one."""
    made = Path(tempfile.gettempdir()) / f"quarterdeck-benchmarks-{os.getuid()}"
    made.mkdir(mode=0o700, exist_ok=True)
    return made


def drift_file(name: str, rows: int, seed: int, shift: float = 0.0, predictions: bool = False) -> Path:
    """The Parquet file of that name, of two thirds skewed or long-tailed numbers; made if it is not there.

    `shift` is added to the first three numbers. With `predictions` it has an id, a time within one day and a score.
    """
    path = folder() / f"{name}-{rows}-{seed}-{shift}{'-predictions' if predictions else ''}.parquet"
    if path.exists():
        return path
    draw = np.random.default_rng(seed)
    unfinished = path.with_suffix(".unfinished")
    writer: parquet.ParquetWriter | None = None
    for first in range(0, rows, ROW_GROUP):
        table = _table(draw, first, min(ROW_GROUP, rows - first), rows, shift, predictions)
        writer = writer or parquet.ParquetWriter(unfinished, table.schema)
        writer.write_table(table, row_group_size=ROW_GROUP)
    assert writer is not None
    writer.close()
    return unfinished.rename(path)


def _table(draw: np.random.Generator, first: int, rows: int, of: int, shift: float, predictions: bool) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    if predictions:
        numbers = np.arange(first, first + rows)
        columns["prediction_id"] = pa.array([f"p-{number:09d}" for number in numbers])
        columns["timestamp"] = pa.array(START + (numbers * (86_400_000_000 // of)).astype("timedelta64[us]"))
        columns["score"] = pa.array(draw.beta(2, 5, rows))
    for place in range(20):
        values = [
            draw.normal(place, 1 + place, rows),
            draw.lognormal(0, 1, rows),
            draw.gamma(2, 3, rows),
            draw.integers(0, 500, rows) / 4,
        ][place % 4]
        values = values + (shift if place < 3 else 0.0)
        columns[f"n{place:02d}"] = pa.array(values, mask=draw.random(rows) < 0.01 if place == 7 else None)
    for place, many in enumerate(CATEGORIES):
        shares = 1 / np.arange(1, many + 1)
        codes = draw.choice(many, rows, p=shares / shares.sum())
        names = pa.array([f"category-{number}" for number in range(many)])
        columns[f"c{place}"] = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), names).cast(pa.string())
    return pa.table(columns)
