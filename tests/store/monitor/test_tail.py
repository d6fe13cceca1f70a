"""Categories beyond the 200 that have slots: counted by hash, exactly and in any order, and watched like the others."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from benchmarks.calibration import FOUND_AT_LEAST, MANY_CELLS, quarterdeck, rates
from benchmarks.simulated import Cell, reference, windows
from store.monitor import binning, counting, parts, presets, quality
from store.monitor.bins import TAIL_GROUPS, FeatureBins, display_labels, plain
from store.monitor.category_bins import distinct_at_least
from store.monitor.columns import CategoryTable
from store.monitor.comparing import compare
from store.monitor.files.table_files import open_files
from store.monitor.names import name_hashes
from store.monitor.profile import total
from store.monitor.statistics import STATISTICS, psi_groups, statistic, statistics_for, thresholds
from store.monitor.statistics.groups import grouped
from store.protocol import ComparedFeature, DriftRequest
from store.settings import MonitorSettings


def shops(draw: np.random.Generator, number: int, rows: int) -> list[str]:
    return [f"shop{place:05}" for place in draw.integers(0, number, rows)]


def write(folder: Path, name: str, values: list[str | None], group: int = 100_000) -> str:
    path = folder / f"{name}.parquet"
    parquet.write_table(pa.table({"k": pa.array(values, pa.string())}), path, row_group_size=group)
    return str(path)


def judged(folder: Path, before: list[str | None], after: list[str | None], format: str = "parquet") -> ComparedFeature:
    paths = write(folder, "before", before), write(folder, "after", after)
    if format == "csv":
        for path in paths:
            csv.write_csv(parquet.read_table(path), path.replace(".parquet", ".csv"))
        paths = tuple(path.replace(".parquet", ".csv") for path in paths)  # type: ignore[assignment]
    [found] = compare(DriftRequest(paths[1], paths[0]), MonitorSettings()).features
    return found


def by_statistic(found: ComparedFeature) -> dict[str, tuple[float, float]]:
    """Statistic → (value, noise floor)."""
    return {one.statistic: (one.value or 0.0, one.noise_floor or 0.0) for one in found.statistics}


def hash_by_hand(feature: str, name: str) -> int:
    """MurmurHash3's finalizer over two checksums, in Python's own integers."""
    data = f"{feature}\0{name}".encode()
    mixed = zlib.crc32(data) << 32 | zlib.adler32(data)
    for multiplier in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        mixed = (mixed ^ mixed >> 33) * multiplier % 2**64
    return mixed ^ mixed >> 33


def test_the_tail_is_counted_by_the_hashes_of_its_names(tmp_path: Path) -> None:
    values = shops(np.random.default_rng(1), 900, 20_000)
    made = binning.profile(open_files([write(tmp_path, "r", values, 3_000)]))
    [feature] = made.features
    expected = np.zeros(TAIL_GROUPS, np.int64)
    for name in values:
        if name not in feature.categories:
            expected[hash_by_hand("k", name) % TAIL_GROUPS] += 1
    tail = made.of(feature)[feature.bins : feature.bins + TAIL_GROUPS]
    np.testing.assert_array_equal(tail, expected)
    assert made.of(feature).sum() == 20_000
    assert (feature.tail_categories, feature.tail_known) == (700, True)
    assert not made.of(feature)[feature.new_slots].any()


def test_what_the_reference_lacks_stands_apart_from_its_tail_and_null_from_both(tmp_path: Path) -> None:
    made = binning.profile(open_files([write(tmp_path, "r", shops(np.random.default_rng(1), 900, 20_000))]))
    [feature] = made.features
    rare = next(f"shop{place:05}" for place in range(900) if f"shop{place:05}" not in feature.categories)
    path = write(tmp_path, "c", [rare, rare, "elsewhere", None, "x" * 300, feature.categories[0]])
    [part] = parts.parts_of([path])
    tally = counting.count_part(part, made)
    counts = made.of(feature) * 0 + tally.counts
    known = slice(feature.bins, feature.bins + TAIL_GROUPS)
    # What is too long to be kept by name is not called new.
    assert int(counts[known].sum()) == 3
    assert int(counts[feature.new_slots].sum()) == 1
    assert (counts[0], counts[feature.null_slot]) == (1, 1)
    assert tally.names["k"].counts == {"elsewhere": 1}


@pytest.mark.parametrize("group", [700, 5_000])
def test_counts_do_not_depend_on_how_rows_are_cut(tmp_path: Path, group: int) -> None:
    draw = np.random.default_rng(2)
    made = binning.profile(open_files([write(tmp_path, "r", shops(draw, 3_000, 20_000))]))
    values = shops(draw, 4_000, 5_000)
    whole = counting.count_part(parts.parts_of([write(tmp_path, "w", values)])[0], made)
    cut = [counting.count_part(part, made) for part in parts.parts_of([write(tmp_path, "c", values, group)])]
    for some in (cut, cut[::-1]):
        added = total(some, made.width)
        np.testing.assert_array_equal(added.counts, whole.counts)
        assert added.names["k"].counts == whole.names["k"].counts


def test_a_reference_of_many_row_groups_has_the_same_bins_as_one_of_one(tmp_path: Path) -> None:
    values = shops(np.random.default_rng(3), 2_000, 30_000)
    one, many = (
        binning.profile(open_files([write(tmp_path, name, values, size)]))
        for name, size in (("a", 100_000), ("b", 999))
    )
    assert one.features == many.features
    np.testing.assert_array_equal(one.counts, many.counts)
    np.testing.assert_array_equal(one.rare, many.rare)


def test_nearly_as_many_categories_as_rows_are_categories_still(tmp_path: Path) -> None:
    """Most rows hold another one, but that they repeat at all says that there are not many more."""
    [feature] = binning.profile(
        open_files([write(tmp_path, "r", shops(np.random.default_rng(4), 8_000, 9_000))])
    ).features
    assert feature.tail_known
    names = binning.profile(open_files([write(tmp_path, "i", [f"r{number * 9 // 10}" for number in range(9_000)])]))
    assert names.features == ()


def test_the_number_of_names_is_estimated_from_how_often_they_repeat() -> None:
    held = len(np.unique(np.random.default_rng(1).integers(0, 40_000, 30_000)))
    assert distinct_at_least(held, 30_000) == pytest.approx(40_000, rel=0.02)
    assert distinct_at_least(500, 500) == np.inf


def test_a_hundred_thousand_categories_are_watched_and_ids_are_not(tmp_path: Path) -> None:
    draw = np.random.default_rng(4)
    made = binning.profile(open_files([write(tmp_path, "r", shops(draw, 100_000, 300_000))]))
    [feature] = made.features
    assert feature.tail_known
    assert feature.tail_categories == pytest.approx(95_000 - 200, rel=0.01)
    names = binning.profile(open_files([write(tmp_path, "i", [f"r{number}" for number in range(300_000)])]))
    assert names.features == ()
    assert names.left_out == {"k": "text that names its rows, not compared"}


def test_a_column_with_as_many_categories_as_rows_is_watched_whatever_the_draw(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    for number in range(4):
        names = [f"k{place}" for place in rng.integers(0, 8_000, 8_000)]
        assert binning.profile(open_files([write(tmp_path, f"{number}", names)])).left_out == {}


@pytest.mark.parametrize("format", ["parquet", "csv"])
@pytest.mark.parametrize("number", [201, 300, 5_000])
def test_a_flat_column_that_collapses_moves_every_statistic(tmp_path: Path, number: int, format: str) -> None:
    draw = np.random.default_rng(5)
    found = judged(tmp_path, [*shops(draw, number, 20_000)], ["shop00007"] * 2_000, format)
    assert found.alarm
    for name, (value, floor) in by_statistic(found).items():
        limit = thresholds(name, MonitorSettings())[0]
        if name not in ("chi2", "new_categories"):
            assert value > floor + limit, name
    assert any("shop00007" in cause for cause in found.causes)


@pytest.mark.parametrize("number", [300, 5_000, 50_000])
def test_a_healthy_flat_column_is_quiet_in_every_statistic(tmp_path: Path, number: int) -> None:
    draw = np.random.default_rng(6)
    found = judged(tmp_path, [*shops(draw, number, max(60_000, 4 * number))], [*shops(draw, number, 5_000)])
    assert not found.alarm
    for name, (value, floor) in by_statistic(found).items():
        if name != "chi2":
            assert value <= floor + thresholds(name, MonitorSettings())[0], name


def test_half_of_the_shops_closing_is_found_whichever_half(tmp_path: Path) -> None:
    draw = np.random.default_rng(7)
    for number in (150, 300):
        left = draw.choice(number, number // 2, replace=False)
        found = judged(
            tmp_path, [*shops(draw, number, 20_000)], [f"shop{place:05}" for place in draw.choice(left, 5_000)]
        )
        assert found.alarm
        assert any(cause.startswith("vanished: ") for cause in found.causes)


@pytest.mark.parametrize("cell", MANY_CELLS[::2], ids=lambda cell: cell.name)
def test_a_rare_category_that_rises_to_a_twentieth_is_found(cell: Cell) -> None:
    false, found = rates(cell, {"quarterdeck": quarterdeck}, 50, seed=2)["quarterdeck"]
    assert false <= 1 / 50
    assert found >= FOUND_AT_LEAST - 2 / 50


def test_a_frequent_rare_category_is_named_with_its_shares(tmp_path: Path) -> None:
    draw = np.random.default_rng(8)
    before = shops(draw, 5_000, 50_000)
    after = [*shops(draw, 5_000, 4_750), *(["shop04321"] * 250)]
    found = judged(tmp_path, [*before], [*after])
    assert found.alarm
    share = before.count("shop04321") / 500
    assert found.causes == [f"shares: shop04321 {share:.2g} % → 5.0 %"]


def test_fewer_groups_are_unions_of_the_finest() -> None:
    against = reference(Cell(20_000, 0, 1_000), np.random.default_rng(9), features=1)
    [feature] = against.features
    groups = psi_groups(feature, against.counts)
    finest = groups.at(groups.hashed)
    for number in (2, 16, 256):
        coarse = groups.at(number)
        assert len({(fine, large) for fine, large in zip(finest, coarse, strict=True)}) == len(np.unique(finest))
        np.testing.assert_allclose(grouped(coarse, against.counts).sum(), against.counts.sum())


def test_values_are_those_of_the_groups_worked_out_by_hand() -> None:
    against = reference(Cell(20_000, 0, 1_000), np.random.default_rng(9), features=1)
    [feature] = against.features
    current = windows(Cell(20_000, 5_000, 1_000), against, np.random.default_rng(3), 1, moved=True)[0]
    groups = psi_groups(feature, against.counts)
    slots = groups.at(groups.number(5_000))
    p, q = (
        np.array([counts[slots == group].sum() for group in range(slots.max() + 1)])
        for counts in (against.counts, current)
    )
    used, p, q = (p + q) > 0, p / p.sum(), q / q.sum()
    floored = np.maximum(p, 1e-4), np.maximum(q, 1e-4)
    psi = float(((floored[1] - floored[0]) * np.log(floored[1] / floored[0]))[used].sum())
    assert statistic("psi", feature, groups, against.counts, current).value == pytest.approx(psi, abs=1e-9)
    assert statistic("tv", feature, groups, against.counts, current).value == pytest.approx(
        float(np.abs(p - q).sum() / 2)
    )
    assert statistic("linf", feature, groups, against.counts, current).value == pytest.approx(
        float(np.abs(p - q).max())
    )


def test_a_feature_of_before_there_were_tails_reads_as_it_was_stored() -> None:
    stored = b'{"name":"k","kind":"categorical","offset":3,"edges":[],"categories":["a","b"]}'
    feature = msgspec.json.decode(stored, type=FeatureBins)
    assert (feature.tail_groups, feature.width, feature.null_slot, feature.new_slots) == (0, 4, 3, slice(2, 3))
    counts = np.array([50, 30, 20, 5])
    assert statistic("new_categories", feature, psi_groups(feature, counts), counts, counts).value == 0
    assert {*statistics_for(feature)} <= {*STATISTICS}


def test_every_slot_has_a_name() -> None:
    feature = FeatureBins("k", "categorical", 0, categories=["a"], tail_groups=TAIL_GROUPS)
    assert len(display_labels(feature)) == feature.width == 1 + 2 * TAIL_GROUPS + 1


def test_whole_numbers_written_with_a_point_fall_into_the_same_group() -> None:
    table = CategoryTable(["1", "2"], TAIL_GROUPS, "k", np.sort(name_hashes("k", ["77"])))
    slots = table.slots_of(["77.0", "77", "78"]).tolist()
    assert slots[0] == slots[1] < 2 + TAIL_GROUPS <= slots[2]


@pytest.mark.parametrize("name", presets.NAMES)
def test_other_monitors_see_one_category_in_place_of_the_tail(name: str) -> None:
    against = reference(Cell(20_000, 0, 1_000), np.random.default_rng(9), features=1)
    [feature] = against.features
    current = windows(Cell(20_000, 2_000, 1_000), against, np.random.default_rng(3), 2)
    flat, before = plain(feature, against.counts)
    assert flat.width == feature.bins + 2
    mine = presets.named(name).judge_windows([feature], against.counts, current)
    theirs = presets.named(name).judge_windows([flat], before, plain(feature, current)[1])
    for one, other in zip(mine[0], theirs[0], strict=True):
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.drifted, other.drifted)


def test_quality_calls_only_more_new_categories_than_chance_brings_out_of_range() -> None:
    draw = np.random.default_rng(10)
    against: Any = reference(Cell(20_000, 0, 5_000), draw, features=1)
    [feature] = against.features
    against.rows = 20_000
    healthy = windows(Cell(20_000, 5_000, 5_000), against, draw, 20)
    for window in healthy:
        [share] = [one for one in quality.shares(against, feature, window, 5_000) if one.check == "out_of_range"]
        assert share.value is not None
        assert share.noise is not None
        assert 0 < share.value <= quality.LIMITS["out_of_range"] + share.noise
    window[feature.new_slots.start] += 2_000
    [share] = [one for one in quality.shares(against, feature, window, 7_000) if one.check == "out_of_range"]
    assert share.value is not None
    assert share.value > quality.LIMITS["out_of_range"] + (share.noise or 0.0)
