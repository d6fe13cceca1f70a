"""A part of some files becomes counts: the same in any order, in any format, and numpy's."""

from __future__ import annotations

import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as parquet
import pytest

from store.monitor import binning, counting, parts
from store.monitor.binning import Profile
from store.monitor.bins import plain
from store.monitor.files.table_files import TableFiles, open_files
from store.monitor.profile import Tally, total
from store.protocol import Refusal

ROWS = 5_000


def table(seed: int, rows: int = ROWS) -> pa.Table:
    draw = np.random.default_rng(seed)
    return pa.table(
        {
            "x": pa.array(np.round(draw.lognormal(0, 1, rows), 3), mask=draw.random(rows) < 0.05),
            "n": draw.integers(-5, 5, rows),
            "k": pa.array([f"c{number}" for number in draw.integers(0, 30, rows)], mask=draw.random(rows) < 0.02),
        }
    )


def write(path: Path, rows: pa.Table, group: int = 700) -> str:
    if path.suffix == ".parquet":
        parquet.write_table(rows, path, row_group_size=group)
    elif path.suffix == ".csv":
        pyarrow.csv.write_csv(rows, path)
    else:
        path.write_text(rows.to_pandas().to_json(orient="records", lines=True))
    return str(path)


@pytest.fixture
def reference(tmp_path: Path) -> Profile:
    return binning.profile(open_files([write(tmp_path / "reference.parquet", table(1))]))


def counted(files: TableFiles, bins: Profile) -> Tally:
    return total((counting.count_part(part, bins) for part in files.parts), bins.width)


def same(one: Tally, other: Tally) -> bool:
    return (
        one.rows == other.rows
        and (one.counts == other.counts).all()
        and one.moments == other.moments
        and one.names == other.names
    )


def test_the_reference_counts_itself(reference: Profile, tmp_path: Path) -> None:
    again = counted(open_files([str(tmp_path / "reference.parquet")]), reference)
    assert (again.counts == reference.counts).all()
    assert again.rows == reference.rows == ROWS


def test_parts_in_any_order_from_any_process_add_to_the_same_bits(reference: Profile, tmp_path: Path) -> None:
    path = write(tmp_path / "current.parquet", table(2))
    found = open_files([path])
    assert len(found.parts) == 8
    whole = counted(found, reference)
    for seed in range(5):
        shuffled = list(found.parts)
        random.Random(seed).shuffle(shuffled)
        bins = pickle.loads(pickle.dumps(reference))
        pieces = [pickle.loads(pickle.dumps(counting.count_part(part, bins))) for part in shuffled]
        tree = [sum(pieces[start::3], Tally.nothing(reference.width)) for start in range(3)]
        assert same(sum(tree, Tally.nothing(reference.width)), whole)


def test_the_counts_do_not_depend_on_how_rows_are_grouped(reference: Profile, tmp_path: Path) -> None:
    tallies = [
        counted(open_files([write(tmp_path / f"{group}.parquet", table(2), group)]), reference)
        for group in (100, 999, ROWS)
    ]
    assert same(tallies[0], tallies[1])
    assert same(tallies[1], tallies[2])


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_every_format_gives_the_same_counts(reference: Profile, tmp_path: Path, suffix: str) -> None:
    expected = counted(open_files([write(tmp_path / "current.parquet", table(2))]), reference)
    found = counted(open_files([write(tmp_path / f"current.{suffix}", table(2))]), reference)
    assert same(found, expected)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_every_format_gives_the_same_reference(reference: Profile, tmp_path: Path, suffix: str) -> None:
    found = binning.profile(open_files([write(tmp_path / f"reference.{suffix}", table(1))]))
    by_name = {feature.name: feature for feature in found.features}
    for feature in reference.features:
        other = by_name[feature.name]
        assert (other.kind, other.edges, other.categories) == (feature.kind, feature.edges, feature.categories)
        assert found.of(other).tolist() == reference.of(feature).tolist()


def test_counts_are_numpys(reference: Profile, tmp_path: Path) -> None:
    rows = table(2)
    tally = counted(open_files([write(tmp_path / "current.parquet", rows)]), reference)
    values = rows["x"].drop_null().to_numpy()
    feature = reference.by_name["x"]
    full = np.append(feature.edges[:-1], np.nextafter(feature.edges[-1], np.inf))
    expected = np.histogram(values, np.concatenate([[-np.inf], full, [np.inf]]))[0]
    found = tally.counts[feature.offset : feature.offset + feature.width]
    assert found[: feature.bins + 2].tolist() == expected.tolist()
    assert found[feature.null_slot] == rows["x"].null_count
    assert tally.moments["x"].mean == pytest.approx(values.mean(), rel=1e-9)


def test_a_folder_of_many_files_is_one_reference(tmp_path: Path) -> None:
    whole = table(3)
    (tmp_path / "a" / "deep").mkdir(parents=True)
    for place, name in enumerate(["a/1.parquet", "a/deep/2.parquet", "a/deep/3.csv"]):
        write(tmp_path / name, whole.slice(place * 1_000, 1_000))
    (tmp_path / "a" / ".hidden.parquet").write_bytes(b"no")
    (tmp_path / "a" / "README.md").write_text("no")
    found = binning.profile(open_files(parts.find_files(str(tmp_path / "a"))))
    assert found.rows == 3_000
    assert sum(found.of(found.by_name["k"])) == 3_000


def test_a_glob_names_files(tmp_path: Path) -> None:
    for name in ("b-1.parquet", "b-2.parquet", "c-1.parquet"):
        write(tmp_path / name, table(1, 10))
    assert [Path(path).name for path in parts.find_files(str(tmp_path / "b-*"))] == ["b-1.parquet", "b-2.parquet"]


def test_a_file_named_like_a_pattern_is_only_itself(tmp_path: Path) -> None:
    path = write(tmp_path / "*.parquet", table(1, 10))
    write(tmp_path / "other.parquet", table(1, 10))
    assert parts.find_files(path) == [path]


def test_a_wide_row_group_is_read_a_few_columns_at_a_time(
    reference: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "current.parquet", table(2), ROWS)
    files = open_files([path])
    expected = counted(files, reference)
    monkeypatch.setattr(parts, "CELLS_AT_ONCE", ROWS)
    read: list[int] = []
    once = parts.read_group
    monkeypatch.setattr(parts, "read_group", lambda part, wanted: (read.append(len(wanted)), once(part, wanted))[1])
    assert same(counted(files, reference), expected)
    assert read == [1, 1, 1]


def test_the_sample_of_a_long_reference_only_places_the_edges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binning, "QUANTILE_SAMPLE", 500)
    monkeypatch.setattr(binning, "SAMPLED_PARTS", 3)
    rows = table(4)
    found = binning.profile(open_files([write(tmp_path / "reference.parquet", rows, 100)]))
    feature = found.by_name["x"]
    values = rows["x"].drop_null().to_numpy()
    assert (feature.edges[0], feature.edges[-1]) == (values.min(), values.max())
    assert found.of(feature)[1 : feature.bins + 1].sum() == len(values)
    assert found.of(feature)[0] == found.of(feature)[feature.bins + 1] == 0
    assert sum(found.of(found.by_name["k"])) == ROWS


def test_a_constant_but_for_rare_values_keeps_a_bin_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binning, "QUANTILE_SAMPLE", 10)
    values = np.full(1_000, 3.0)
    values[[501, 502, 503]] = [2.0, 4.0, 4.5]
    found = binning.profile(open_files([write(tmp_path / "reference.parquet", pa.table({"x": values}))]))
    [feature] = found.features
    assert feature.edges == [2.0, 3.0, np.nextafter(3.0, 4.0), 4.5]
    assert found.of(feature).tolist() == [0, 1, 997, 2, 0, 0, 0, 0, 0]


def test_text_that_names_its_rows_is_no_category(tmp_path: Path) -> None:
    rows = pa.table({"id": [f"r{number}" for number in range(3_000)], "x": np.arange(3_000.0)})
    found = binning.profile(open_files([write(tmp_path / "reference.parquet", rows)]))
    assert [feature.name for feature in found.features] == ["x"]
    assert found.left_out == {"id": "text that names its rows, not compared"}


def test_ten_thousand_categories_are_counted_and_two_hundred_keep_their_names(tmp_path: Path) -> None:
    draw = np.random.default_rng(6)
    codes = np.concatenate([np.repeat(np.arange(300), 100), draw.integers(300, 10_000, 20_000)])
    rows = pa.table({"k": [f"c{code:05d}" for code in codes]})
    found = binning.profile(open_files([write(tmp_path / "reference.parquet", rows, 10_000)]))
    [feature] = found.features
    assert feature.categories == [f"c{code:05d}" for code in range(200)]
    assert plain(feature, found.of(feature))[1].tolist() == [100] * 200 + [30_000, 0]


def test_new_categories_are_kept_by_name_and_rare_ones_are_not_new(reference: Profile, tmp_path: Path) -> None:
    path = write(tmp_path / "current.parquet", pa.table({"k": ["new", "c1", "new", None, "x" * 300]}))
    tally = counted(open_files([path]), reference)
    assert dict(tally.names["k"].counts) == {"new": 2}
    feature = reference.by_name["k"]
    assert tally.counts[feature.offset + feature.bins : feature.offset + feature.width].tolist() == [3, 1]


def test_a_feature_that_the_file_lacks_is_counted_nowhere(reference: Profile, tmp_path: Path) -> None:
    tally = counted(open_files([write(tmp_path / "current.parquet", pa.table({"n": [1, 2]}))]), reference)
    feature = reference.by_name["x"]
    assert tally.rows == 2
    assert tally.counts[feature.offset : feature.offset + feature.width].sum() == 0


@pytest.mark.parametrize(
    ("name", "content"), [("bad.parquet", b"PAR1 no"), ("bad.csv", b"\xff\xfe\x00"), ("bad.jsonl", b"{")]
)
def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(Refusal, match=r"bad\."):
        binning.profile(open_files([str(path)]))


def test_a_file_that_was_replaced_is_read_again(reference: Profile, tmp_path: Path) -> None:
    path = tmp_path / "current.parquet"
    first = counted(open_files([write(path, table(2, 10))]), reference)
    other = tmp_path / "other.parquet"
    write(other, table(3, 20))
    other.rename(path)
    second = counted(open_files([str(path)]), reference)
    assert (first.rows, second.rows) == (10, 20)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_files_on_object_storage_give_the_same_counts(reference: Profile, tmp_path: Path, suffix: str) -> None:
    fsspec: Any = pytest.importorskip("fsspec")
    path = write(tmp_path / f"current.{suffix}", table(2))
    memory = fsspec.filesystem("memory")
    with memory.open(f"/{suffix}/day/current.{suffix}", "wb") as remote:
        remote.write(Path(path).read_bytes())
    expected = counted(open_files([path]), reference)
    for url in (
        f"memory://{suffix}/day",
        f"memory://{suffix}/*/current.{suffix}",
        f"memory://{suffix}/day/current.{suffix}",
    ):
        assert same(counted(open_files(parts.find_files(url)), reference), expected)


def test_a_url_that_names_nothing_is_refused() -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(Refusal, match=r"There is no file, folder or glob 'memory://nowhere/x\.parquet'"):
        parts.find_files("memory://nowhere/x.parquet")


def test_a_scheme_that_nothing_reads_is_refused() -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(Refusal, match=r"gopher://x/y\.parquet"):
        parts.find_files("gopher://x/y.parquet")


def test_a_reference_read_by_columns_is_the_one_read_by_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "reference.parquet", table(5))
    monkeypatch.setattr(binning, "QUANTILE_SAMPLE", 700)
    by_columns = binning.profile(open_files([path]))
    monkeypatch.setattr(binning, "ROWS_BY_COLUMN", 0)
    by_parts = binning.profile(open_files([path]))
    assert by_columns.features == by_parts.features
    assert (by_columns.counts == by_parts.counts).all()
    assert same(by_columns.tally, by_parts.tally)
    assert np.array_equal(by_columns.rare, by_parts.rare)


def test_a_file_that_is_sorted_by_a_feature_has_even_bins_all_the_same(tmp_path: Path) -> None:
    rows = pa.table({"x": np.sort(np.random.default_rng(7).normal(size=20_000))})
    found = binning.profile(open_files([write(tmp_path / "reference.parquet", rows, 100)]))
    inside = found.counts[1 : found.features[0].bins + 1]
    assert inside.max() <= 1.02 * 20_000 / 128
