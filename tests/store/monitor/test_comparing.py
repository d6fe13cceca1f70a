"""Two sets of files compared: what drifted, what is odd, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as parquet
import pytest

from store.monitor.comparing import compare
from store.protocol import ComparedFeature, DriftReport, DriftRequest, ExitCode, Refusal
from store.settings import MonitorSettings

ROWS = 2_000


def normal(seed: int, shift: float = 0.0, rows: int = ROWS) -> Any:
    return np.random.default_rng(seed).normal(shift, 1.0, rows)


def letters(seed: int, kinds: str = "aaabbc", rows: int = ROWS) -> Any:
    return np.random.default_rng(seed).choice(list(kinds), rows)


class Pair:
    """Two Parquet files made of columns."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, name: str, columns: dict[str, Any]) -> str:
        path = self._folder / f"{name}.parquet"
        parquet.write_table(pa.table(columns), path)
        return str(path)

    def compare(self, reference: dict[str, Any], current: dict[str, Any], **request: Any) -> DriftReport:
        before, after = self.write("reference", reference), self.write("current", current)
        return compare(DriftRequest(after, before, **request), MonitorSettings())

    def feature(self, before: Any, after: Any) -> ComparedFeature:
        """The verdict on one column `x` beside one that stays as it was."""
        steady = normal(9)
        report = self.compare({"x": before, "y": steady[: len(before)]}, {"x": after, "y": steady[: len(after)]})
        return next(feature for feature in report.features if feature.feature == "x")


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def test_a_shift_is_found_and_comes_first(pair: Pair) -> None:
    report = pair.compare(
        {"steady": normal(1), "moved": normal(2), "k": letters(3)},
        {"steady": normal(4), "moved": normal(5, 0.7), "k": letters(6)},
    )
    assert [feature.alarm for feature in report.features] == [True, False, False]
    moved = report.features[0]
    assert moved.feature == "moved"
    assert moved.guarantee == "window"
    assert moved.reference_mean == pytest.approx(normal(2).mean(), rel=1e-9)
    assert moved.mean == pytest.approx(normal(5, 0.7).mean(), rel=1e-9)


def test_every_statistic_is_told_for_every_feature(pair: Pair) -> None:
    report = pair.compare({"x": normal(1), "k": letters(2)}, {"x": normal(3), "k": letters(4)})
    told = {feature.feature: {value.statistic for value in feature.statistics} for feature in report.features}
    assert {"psi", "js", "hellinger", "tv", "kl", "ks", "wasserstein", "chi2", "mean_change"} <= told["x"]
    assert {"psi", "js", "chi2", "linf", "new_categories", "vanished_categories"} <= told["k"]


def test_the_binned_ks_is_within_a_bin_of_scipys(pair: Pair) -> None:
    stats = pytest.importorskip("scipy.stats")
    before, after = normal(1), normal(2, 0.3)
    [value] = [one for one in pair.feature(before, after).statistics if one.statistic == "ks"]
    assert value.value == pytest.approx(stats.ks_2samp(before, after).statistic, abs=1 / 128)


@pytest.mark.parametrize("shift", [0.3, 40.0])
def test_changes_of_mean_and_spread_are_numpys_even_beyond_the_references_range(pair: Pair, shift: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    before, after = normal(1), normal(2, shift) * 1.5
    told = {one.statistic: one.value for one in pair.feature(before, after).statistics}
    assert told["mean_change"] == pytest.approx((after.mean() - before.mean()) / before.std(), rel=1e-9)
    assert told["spread_change"] == pytest.approx(after.std() / before.std() - 1, rel=1e-9)
    distance = stats.wasserstein_distance(before, after) / before.std()
    assert told["wasserstein"] == pytest.approx(distance, rel=1e-9 if shift > 10 else 0.05)


def test_what_is_judged_by_is_what_is_told(pair: Pair) -> None:
    report = pair.compare({"x": normal(1)}, {"x": normal(2, 40.0)}, statistic="mean_change")
    [found] = report.features
    [told] = [one.value for one in found.statistics if one.statistic == "mean_change"]
    assert (found.value, found.alarm) == (told, True)
    assert told is not None and told > 30


def test_the_small_pictures_are_shares_of_all_values(pair: Pair) -> None:
    found = pair.feature(normal(1), normal(2, 1.0))
    assert sum(found.reference_shape) == pytest.approx(1.0)
    assert sum(found.shape) == pytest.approx(1.0)
    middle = len(found.shape) // 2
    assert sum(found.shape[middle:]) > sum(found.reference_shape[middle:])


# --- what arrives ----------------------------------------------------------------------------------------


def test_a_constant_stays_steady_and_what_leaves_it_drifts(pair: Pair) -> None:
    constant = np.full(ROWS, 3.0)
    assert not pair.feature(constant, constant).alarm
    assert pair.feature(constant, np.where(np.arange(ROWS) % 2, 3.0, 3.5)).alarm


def test_all_null_is_steady_beside_all_null_and_drifts_beside_values(pair: Pair) -> None:
    nothing = pa.nulls(ROWS, pa.float64())
    assert not pair.feature(nothing, nothing).alarm
    assert pair.feature(normal(1), nothing).alarm
    assert pair.feature(nothing, normal(1)).alarm
    assert pair.feature(normal(1), pa.nulls(ROWS)).alarm


def test_one_row_is_compared_and_alarms_nobody(pair: Pair) -> None:
    found = pair.feature(normal(1), np.array([50.0]))
    assert (found.rows, found.alarm) == (1, False)
    assert found.value is not None


def test_a_reference_of_one_row_says_nothing_of_what_is_usual(pair: Pair) -> None:
    found = pair.feature(np.array([50.0]), normal(1))
    assert (found.reference_rows, found.alarm) == (1, False)


def test_a_new_column_is_said(pair: Pair) -> None:
    report = pair.compare({"x": normal(1)}, {"x": normal(2), "extra": normal(3)})
    assert report.notes == ["not in the reference: extra"]
    assert [feature.feature for feature in report.features] == ["x"]


def test_a_missing_column_is_an_alarm_without_a_value(pair: Pair) -> None:
    report = pair.compare({"x": normal(1), "gone": normal(2)}, {"x": normal(3)})
    gone = report.features[0]
    assert (gone.feature, gone.alarm, gone.severity, gone.value) == ("gone", True, "critical", None)
    assert gone.why == "the current files have no such column"


def test_reordered_columns_change_nothing(pair: Pair) -> None:
    before = {"x": normal(1), "k": letters(2)}
    after = {"x": normal(3), "k": letters(4)}
    report = pair.compare(before, after)
    assert pair.compare(before, dict(reversed(after.items()))) == report


def test_ten_thousand_new_categories_are_counted_and_named_in_part(pair: Pair) -> None:
    many = [f"new-{number}" for number in range(10_000)]
    [found] = pair.compare({"x": letters(1)}, {"x": many}).features
    assert found.alarm
    assert len(found.new_categories) == 5
    assert found.notes[0].startswith("about ")
    assert "new categories: new-" in found.notes[0]


def test_a_category_that_is_only_too_rare_for_a_slot_of_its_own_is_not_new(pair: Pair) -> None:
    draw = np.random.default_rng(1)
    before, after = (pa.array([f"c{code}" for code in draw.integers(0, 400, 5_000)]) for _ in range(2))
    [found] = pair.compare({"x": before}, {"x": after}).features
    assert set(found.new_categories) <= set(after.to_pylist()) - set(before.to_pylist())


def test_a_number_that_turned_to_text_is_said_and_parsed(pair: Pair) -> None:
    numbers = normal(1)
    parsed = pair.feature(numbers, pa.array([str(value) for value in numbers]))
    assert parsed.notes == ["was double in the reference, now text"]
    assert parsed.value == pytest.approx(0.0, abs=1e-12)
    words = pair.feature(numbers, pa.array(["hot"] * ROWS))
    assert words.alarm


def test_a_category_that_turned_to_a_number_is_other_categories(pair: Pair) -> None:
    found = pair.feature(letters(1), normal(2))
    assert found.alarm
    assert "was text in the reference, now double" in found.notes


def test_a_category_that_turned_from_codes_to_fractions_is_the_same(pair: Pair) -> None:
    codes = np.random.default_rng(1).integers(0, 3, ROWS)
    found = pair.feature(pa.array([str(code) for code in codes]), codes.astype(float))
    assert (found.alarm, found.value) == (False, 0.0)


@pytest.mark.parametrize("after", [pa.array([[1.0]] * ROWS), pa.array([{"a": 1}] * ROWS)])
def test_a_number_that_turned_to_something_nested_is_no_number(pair: Pair, after: Any) -> None:
    found = pair.feature(normal(1), after)
    assert found.alarm
    assert found.notes[0].startswith("was double in the reference, now ")


def test_infinity_and_nan_are_counted_apart_and_leave_the_mean_alone(pair: Pair) -> None:
    values = normal(1)
    odd = values.copy()
    odd[:400:2], odd[1:400:2] = np.inf, np.nan
    found = pair.feature(values, odd)
    assert found.alarm
    assert found.mean == pytest.approx(values[400:].mean(), rel=1e-9)
    assert pair.feature(odd, odd).value == pytest.approx(0.0, abs=1e-12)


def test_truth_values_are_two_categories(pair: Pair) -> None:
    found = pair.feature(normal(1) > 0, normal(2) > 1)
    assert (found.kind, found.shape_labels[:2], found.alarm) == ("categorical", ["false", "true"], True)


def test_times_and_nested_values_are_left_out_and_said_also_when_they_lie_in_the_future(pair: Pair) -> None:
    future = pa.array(np.full(ROWS, np.datetime64("2200-01-01T00:00:00", "us")))
    columns = {"x": normal(1), "at": future, "list": pa.array([[1]] * ROWS), "raw": pa.array([b"x"] * ROWS)}
    report = pair.compare(columns, columns)
    assert [feature.feature for feature in report.features] == ["x"]
    assert report.left_out == {
        "at": "timestamp[us]: a time, not compared",
        "list": "list<element: int64>: nested or binary, not compared",
        "raw": "binary: nested or binary, not compared",
    }


@pytest.mark.parametrize("name", ["prediction_id", "other_id"])
def test_duplicate_ids_change_nothing_here_and_ids_are_not_compared(pair: Pair, name: str) -> None:
    ids = pa.array([f"id-{number}" for number in range(ROWS)])
    report = pair.compare({"x": normal(1), name: ids}, {"x": normal(2), name: ids.take([0] * ROWS)})
    assert list(report.left_out) == [name]
    assert report.features[0].rows == ROWS


def test_numbers_of_predictions_are_ids_too_unless_they_are_asked_for(pair: Pair) -> None:
    before, after = (
        {"x": normal(seed), "prediction_id": np.arange(ROWS) + first} for seed, first in ((1, 0), (2, ROWS))
    )
    report = pair.compare(before, after)
    assert ([one.feature for one in report.features], report.features[0].alarm) == (["x"], False)
    assert report.left_out == {"prediction_id": "it names the predictions, not compared"}
    [asked] = pair.compare(before, after, features=["prediction_id"]).features
    assert asked.alarm


# --- judged or not --------------------------------------------------------------------------------------


def state(found: ComparedFeature) -> tuple[str, str]:
    return found.state, found.reason


def test_each_feature_is_steady_drifted_or_not_judged_with_the_reason(pair: Pair) -> None:
    nothing = pa.nulls(ROWS, pa.float64())
    assert state(pair.feature(normal(1), normal(2))) == ("steady", "")
    assert state(pair.feature(normal(1), normal(2, 3.0))) == ("drifted", "")
    assert state(pair.feature(normal(1), normal(2, rows=30))) == ("not judged", "few_rows")
    assert state(pair.feature(normal(1, rows=30), normal(2))) == ("not judged", "few_reference_rows")
    assert state(pair.feature(nothing, nothing)) == ("not judged", "no_reference_values")
    # What the reference lacks and the current rows have is found by the test, and the other way round.
    assert state(pair.feature(nothing, normal(1))) == ("drifted", "")
    assert state(pair.feature(normal(1), nothing)) == ("drifted", "")


def test_text_where_numbers_were_is_judged(pair: Pair) -> None:
    words = pa.array(["?"] * ROWS)
    assert state(pair.feature(normal(1), words)) == ("drifted", "")
    mixed = pa.array(["?" if place % 10 == 0 else f"{value}" for place, value in enumerate(normal(2))])
    assert state(pair.feature(normal(1), mixed)) == ("drifted", "")


def test_columns_that_are_left_out_have_a_reason_code(pair: Pair) -> None:
    at = pa.array(np.full(ROWS, np.datetime64("2024-01-01T00:00:00", "us")))
    ids = pa.array([f"id-{number}" for number in range(ROWS)])
    columns = {"x": normal(1), "at": at, "list": pa.array([[1]] * ROWS), "row": ids, "prediction_id": ids}
    report = pair.compare(columns, columns)
    assert report.left_out_reasons == {
        "at": "time", "list": "nested", "row": "row_names", "prediction_id": "prediction_id",
    }  # fmt: skip
    assert report.left_out_reasons.keys() == report.left_out.keys()
    assert pair.compare(columns, columns, features=["at", "x*"]).requested == ["at"]


@pytest.mark.parametrize("preset", ["evidently", "nannyml", "sagemaker", "vertex", "whylogs"])
def test_a_preset_judges_nothing_of_a_feature_without_values(pair: Pair, preset: str) -> None:
    nothing = pa.nulls(ROWS, pa.float64())
    before = {"x": normal(1), "void": nothing, "gone": normal(3)}
    report = pair.compare(before, {"x": normal(2, rows=500), "void": nothing.slice(0, 500)}, preset=preset)
    found = {feature.feature: state(feature) for feature in report.features}
    assert found["void"] == ("not judged", "no_reference_values")
    assert found["gone"] == ("drifted", "absent")
    nothing_there = pair.compare({"void": nothing}, {"void": nothing}, preset=preset)
    assert (nothing_there.preset_drifted, nothing_there.features[0].state) == (None, "not judged")


# --- files that lack a column ----------------------------------------------------------------------------


class Folders:
    """A reference and a current folder of files of 1,000 rows, some of which lack the column `some`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def compare(self, reference: list[bool], current: list[bool], suffix: str = "parquet") -> ComparedFeature:
        for name, parts in (("reference", reference), ("current", current)):
            for place, has in enumerate(parts):
                path = self._folder / name / f"{place}.{suffix}"
                path.parent.mkdir(exist_ok=True)
                columns = {"x": normal(place, rows=1000)} | ({"some": normal(place + 50, rows=1000)} if has else {})
                if suffix == "parquet":
                    parquet.write_table(pa.table(columns), path)
                else:
                    csv.write_csv(pa.table(columns), path)
        request = DriftRequest(str(self._folder / "current"), str(self._folder / "reference"))
        return next(one for one in compare(request, MonitorSettings()).features if one.feature == "some")


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_column_that_half_of_the_files_lack_is_an_alarm_with_its_share(folders: Folders, suffix: str) -> None:
    found = folders.compare([True, True], [True, False], suffix)
    assert (found.alarm, found.state, found.reason, found.severity) == (True, "drifted", "absent", "warning")
    assert (found.absent_share, found.reference_absent_share, found.rows) == (0.5, 0.0, 1000)
    assert found.why == "absent in 50% of the rows: not every file has the column"


def test_a_column_that_most_files_lack_is_critical(folders: Folders) -> None:
    found = folders.compare([True], [True, False, False])
    assert (found.severity, found.absent_share) == ("critical", pytest.approx(2 / 3))
    assert found.why.startswith("absent in 66.7% of the rows")


def test_a_column_that_files_of_the_reference_lack_is_said(folders: Folders) -> None:
    found = folders.compare([True, False], [True, True])
    assert (found.alarm, found.state) == (False, "steady")
    assert found.reference_absent_share == 0.5
    assert found.notes == ["absent in 50% of the reference's rows: not every file has the column"]


def test_a_column_that_as_many_files_lacked_before_is_no_alarm(folders: Folders) -> None:
    found = folders.compare([True, False], [True, False])
    assert (found.alarm, found.absent_share, found.reference_absent_share) == (False, 0.5, 0.5)
    assert len(found.notes) == 2


# --- what is asked ---------------------------------------------------------------------------------------


def test_features_may_be_chosen_by_name_and_by_glob(pair: Pair) -> None:
    columns = {"a1": normal(1), "a2": normal(2), "b": normal(3), "c*": normal(4)}
    report = pair.compare(columns, columns, features=["a?", "c*"])
    assert {feature.feature for feature in report.features} == {"a1", "a2", "c*"}


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"features": ["speed"]}, "The reference has no column 'speed'"),
        ({"statistic": "vibes"}, "No statistic 'vibes'"),
        ({"preset": "alibi"}, "No preset 'alibi'"),
    ],
)
def test_what_there_is_not_is_refused(pair: Pair, request_: dict[str, Any], message: str) -> None:
    with pytest.raises(Refusal, match=message) as refused:
        pair.compare({"x": normal(1)}, {"x": normal(2)}, **request_)
    assert refused.value.code is ExitCode.USAGE


@pytest.mark.parametrize("empty", ["reference", "current"])
def test_files_without_rows_are_refused(pair: Pair, empty: str) -> None:
    columns = {name: {"x": normal(1, rows=0 if name == empty else 10)} for name in ("reference", "current")}
    with pytest.raises(Refusal, match=rf"{empty}\.parquet: no rows"):
        pair.compare(columns["reference"], columns["current"])


def test_a_reference_with_nothing_to_compare_is_refused_with_the_reason(pair: Pair) -> None:
    nested = {"list": pa.array([[1]])}
    with pytest.raises(Refusal, match=r"nothing to compare\. list: list<element: int64>: nested or binary"):
        pair.compare(nested, nested)


def test_steps_are_told_up_to_the_last(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table({"x": normal(1)}), path, row_group_size=500)
    told: list[tuple[int, int]] = []
    compare(DriftRequest(str(path), str(path)), MonitorSettings(), lambda done, parts: told.append((done, parts)))
    assert told == [(done, 8) for done in range(1, 9)]


def test_values_that_are_none_of_the_features_are_counted_by_reason(pair: Pair) -> None:
    numbers = normal(1)
    words = [str(value) for value in numbers]
    words[:9] = ["?", "?", "unknown", None, None, "nan", "inf", "-inf", "inf"]  # type: ignore[list-item]
    found = pair.feature(numbers, pa.array(words))
    assert found.dropped == {"type_errors": 3, "null": 2, "nan": 1, "infinite": 3}
    assert found.reference_dropped == {}
    gone = pair.compare({"x": numbers, "y": numbers}, {"y": numbers})
    assert next(one for one in gone.features if one.feature == "x").dropped == {"absent": ROWS}
