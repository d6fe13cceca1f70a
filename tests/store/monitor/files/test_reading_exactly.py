"""What a number is worth, and what a column is, does not depend on the type or the format that it was written in."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from scipy.stats import chi2_contingency

from store.monitor import columns, source
from store.monitor.bins import FeatureBins, canonical
from store.monitor.comparing import compare
from store.monitor.files.table_files import open_files
from store.monitor.slices import slice_sql
from store.monitor.source import Source
from store.protocol import DriftReport, DriftRequest
from store.settings import MonitorSettings

Write = Callable[[pd.DataFrame, Path], Any]
WRITERS: dict[str, Write] = {
    "parquet": lambda frame, path: frame.to_parquet(path),
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True, double_precision=15),
}


def drift(current: Path, reference: Path) -> DriftReport:
    return compare(DriftRequest(str(current), str(reference)), MonitorSettings())


def written(frame: pd.DataFrame, folder: Path, name: str) -> dict[str, Path]:
    paths = {suffix: folder / f"{name}.{suffix}" for suffix in WRITERS}
    for suffix, path in paths.items():
        WRITERS[suffix](frame, path)
    return paths


# --- numbers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("precision", "scale"), [(12, 3), (9, 2), (38, 10)])
def test_a_decimal_is_the_double_that_its_digits_say(precision: int, scale: int) -> None:
    draw = np.random.default_rng(0)
    decimals = [Decimal(f"{value:.{scale}f}") for value in draw.normal(0, 100, 5000)] + [None]
    read = columns.numbers(pa.array(decimals, pa.decimal128(precision, scale)))
    assert read.values[:-1].tolist() == [float(str(value)) for value in decimals[:-1]]
    assert read.null is not None
    assert read.null.tolist() == [False] * 5000 + [True]


def test_single_precision_is_the_double_that_its_digits_say() -> None:
    texts = ["0.1", "0.7", "-2.3", "16777216", "1e-40", "3.4e38", "0.12345679", "inf"]
    single = pa.array(np.array(texts, np.float32))
    assert columns.numbers(single).values.tolist() == [float(text) for text in texts]
    assert np.isnan(columns.numbers(pa.array([float("nan")], pa.float32())).values).all()


# --- long integers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [2**60, 2**64 - 8])
def test_integers_beyond_doubles_keep_their_differences(tmp_path: Path, first: int) -> None:
    draw = np.random.default_rng(1)
    values = np.array([first + step for step in range(5)], np.uint64)
    before = draw.choice(values, 2000)
    after = draw.choice(values, 2000, p=[0.6, 0.3, 0.05, 0.03, 0.02])
    references = written(pd.DataFrame({"key": before}), tmp_path, "before")
    currents = written(pd.DataFrame({"key": after}), tmp_path, "after")
    table = np.array([[(side == value).sum() for value in values] for side in (before, after)])
    assert chi2_contingency(table).pvalue < 1e-50
    share, was = table[1] / 2000, table[0] / 2000
    right = float(((share - was) * np.log(share / was)).sum())
    for reference, current in product(references.values(), currents.values()):
        report = drift(current, reference)
        [found] = report.features
        assert (found.kind, found.alarm) == ("numeric", True)
        assert found.value == pytest.approx(right, rel=0.02)


def test_long_integers_that_doubles_tell_apart_are_numbers(tmp_path: Path) -> None:
    """Nanoseconds since 1970, a minute apart."""
    times = 1_790_000_000_000_000_000 + 60_000_000_000 * np.arange(3000)
    for path in written(pd.DataFrame({"at_ns": times}), tmp_path, "t").values():
        assert open_files([str(path)]).columns["at_ns"].treatment == "numeric"


# --- names of rows ---------------------------------------------------------------------------------------


def test_the_index_that_pandas_writes_is_no_feature(tmp_path: Path) -> None:
    draw = np.random.default_rng(2)

    def frame(rows: int) -> pd.DataFrame:
        return pd.DataFrame({"x": draw.normal(0, 1, rows), "c": draw.choice(["a", "b"], rows)})

    train = frame(6000).sample(3000, random_state=1)
    train.to_parquet(tmp_path / "train.parquet")
    train.to_csv(tmp_path / "train.csv")
    pd.read_csv(tmp_path / "train.csv").to_parquet(tmp_path / "again.parquet")
    frame(500).to_csv(tmp_path / "current.csv")
    frame(500).to_json(tmp_path / "current.jsonl", orient="records", lines=True)
    assert "__index_level_0__" in parquet.read_schema(tmp_path / "train.parquet").names
    for reference, current in product(
        ("train.parquet", "train.csv", "again.parquet"), ("current.csv", "current.jsonl")
    ):
        report = drift(tmp_path / current, tmp_path / reference)
        assert sorted(feature.feature for feature in report.features) == ["c", "x"]
        assert not any(feature.alarm for feature in report.features)
        assert set(report.left_out_reasons.values()) == {"row_names"}


# --- words among numbers ---------------------------------------------------------------------------------


def test_a_word_for_a_missing_number_does_not_drop_the_number(tmp_path: Path) -> None:
    """One row in ten, in text of any format: they are values of a wrong type."""
    draw = np.random.default_rng(3)

    def frame() -> pd.DataFrame:
        numbers = pd.Series(draw.normal(0, 1, 3000).round(3)).astype(str)
        numbers[::10] = "-"
        return pd.DataFrame({"x": numbers})

    references, currents = written(frame(), tmp_path, "before"), written(frame(), tmp_path, "after")
    values = set()
    for reference, current in product(references.values(), currents.values()):
        [found] = drift(current, reference).features
        assert (found.kind, found.alarm) == ("numeric", False)
        values.add(found.value)
    assert len(values) == 1


def test_postal_codes_of_two_countries_are_text(tmp_path: Path) -> None:
    codes = [*(f"{number:05d}" for number in range(1000, 1900)), *["SW1A 1AA"] * 100]
    for path in written(pd.DataFrame({"code": codes}), tmp_path, "codes").values():
        assert open_files([str(path)]).columns["code"].treatment == "categorical"


# --- many files ------------------------------------------------------------------------------------------


def test_an_empty_shard_says_nothing_of_a_columns_type(tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    shards.mkdir()
    parquet.write_table(pa.table({"k": pa.nulls(0), "c": pa.nulls(0)}), shards / "0.parquet")
    k, c = np.arange(100) % 7, ["a", "b"] * 50
    parquet.write_table(pa.table({"k": k, "c": pa.array(c, pa.large_string())}), shards / "1.parquet")
    parquet.write_table(pa.table({"k": k, "c": pa.array(c).dictionary_encode()}), shards / "2.parquet")
    parquet.write_table(pa.table({"k": k, "c": c}), tmp_path / "whole.parquet")
    report = drift(shards, tmp_path / "whole.parquet")
    assert [feature.notes for feature in report.features] == [[], []]


# --- null words that are categories ----------------------------------------------------------------------


def test_a_null_word_that_the_reference_has_as_a_category_needs_no_quotes(tmp_path: Path) -> None:
    """pandas quotes no text unless it must."""
    draw = np.random.default_rng(4)

    def frame() -> pd.DataFrame:
        region = draw.choice(np.array(["NA", "EU", "null", None], object), 2000)
        return pd.DataFrame({"region": region, "x": pd.Series(draw.normal(0, 1, 2000)).where(draw.random(2000) < 0.9)})

    before, after = frame(), frame()
    before["region"] = before["region"].replace("null", "US")
    currents = written(after, tmp_path, "after")
    table = pd.DataFrame({"before": before["region"], "after": after["region"].replace("null", None)})
    shares = [table[side].fillna("missing").value_counts(normalize=True) for side in table]
    assert abs(shares[0]["NA"] - shares[1]["NA"]) < 0.05
    for reference in written(before, tmp_path, "before").values():
        if reference.suffix == ".csv":
            continue
        report = drift(currents["csv"], reference)
        region = next(feature for feature in report.features if feature.feature == "region")
        rows = int((after["region"] == "NA").sum())
        text = f"{rows:,} unquoted values of 'region' in after.csv are categories of the reference, not missing ('NA')"
        assert f"current: {text}" in report.notes
        missing = next(cause for cause in region.causes if cause.startswith("nulls"))
        assert missing.endswith("50 %"), "null is no category of the reference"
        assert "NA" not in " ".join(region.causes)
        x = next(feature for feature in report.features if feature.feature == "x")
        assert not x.alarm


_TRUTHS = [("t", "f"), ("T", "F"), ("true", "false"), ("True", "FALSE"), ("1", "0"), ("1.0", "0")]

# --- labels, scores and slices ---------------------------------------------------------------------------


@pytest.mark.parametrize("words", _TRUTHS)
def test_truth_values_are_one_label_however_they_are_written(words: tuple[str, str]) -> None:
    assert [canonical(word, letters=True) for word in words] == ["1", "0"]
    sql = source.canonical_sql("label", "VARCHAR", letters=True)
    query = f"SELECT {sql} FROM (SELECT unnest(?::VARCHAR[]) AS label)"
    assert duckdb.execute(query, [list(words)]).fetchall() == [("1",), ("0",)]
    truth = FeatureBins("flag", "categorical", 0, categories=["false", "true"])
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE flags (flag VARCHAR)")
        connection.executemany("INSERT INTO flags VALUES (?)", [[word] for word in words])
        found = Source(Path("flags"), "flags", {"flag": "VARCHAR"}, "flags")
        rows = connection.execute(f"SELECT {slice_sql(found, 'flag', truth)} FROM flags").fetchall()
    assert rows == [("true",), ("false",)]


def test_letters_are_classes_of_a_multiclass_task() -> None:
    sql = source.canonical_sql("label", "VARCHAR")
    query = f"SELECT {sql} FROM (SELECT unnest(['t', 'f', 'x']) AS label)"
    assert duckdb.execute(query).fetchall() == [("t",), ("f",), ("x",)]


def test_a_score_in_single_precision_reaches_the_threshold_that_it_was_written_as() -> None:
    number, _ = source.number_sql("score", "FLOAT")
    query = f"SELECT {number} >= 0.7::DOUBLE, {number} FROM (SELECT 0.7::FLOAT AS score)"
    assert duckdb.execute(query).fetchall() == [(True, 0.7)]
