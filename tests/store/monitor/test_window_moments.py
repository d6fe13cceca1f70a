"""Moments of a window are those of its values, however they came: cut into parts, files and windows, and rolled up."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.database import times
from store.monitor import distribution, readings, window_moments
from store.monitor.bins import FeatureBins
from store.monitor.compaction import compact
from store.monitor.reading import drift
from store.monitor.rules import compile_rule
from store.monitor.window_moments import Summing, WindowMoments, added
from store.protocol import Distribution, DistributionParams, SpanParams, ValueSummary
from store.settings import AlertSettings, MonitorSettings, Roll, RuleSettings
from tests.store.monitor.conftest import DEPLOYMENT, FLIGHT_COLUMNS, FLIGHT_FEATURES, FLIGHTS, Bench

FEATURES = (
    FeatureBins("x", "numeric", 0, [0.0, 5.0, 10.0]),
    FeatureBins("k", "categorical", 8, categories=["a"]),
    FeatureBins("y", "score", 11, [-1.0, 1.0]),
)
VALUE = st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 7.5])
ROWS = st.lists(st.tuples(st.integers(0, 4), VALUE, VALUE), min_size=1, max_size=60)


def summed(rows: list[tuple[int, float, float]], together: bool = True) -> WindowMoments:
    windows, x, y = (np.array(column) for column in zip(*rows, strict=True))
    summing = Summing(windows.astype(np.int64), 5, FEATURES)
    if together:
        summing.add([FEATURES[0], FEATURES[2]], [x.astype(float), y.astype(float)])
    else:
        summing.add([FEATURES[2]], [y.astype(float)])
        summing.add([FEATURES[0]], [x.astype(float)])
    return summing.found


@pytest.mark.parametrize("together", [True, False])
@given(rows=ROWS, chunk=st.integers(1, 9))
def test_they_are_those_of_the_finite_values(together: bool, rows: list[tuple[int, float, float]], chunk: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window_moments, "CHUNK_ROWS", chunk)
        found = summed(rows, together)
    for window in range(5):
        for place, feature in enumerate((FEATURES[0], FEATURES[2])):
            mine = [row[1 + place] for row in rows if row[0] == window and math.isfinite(row[1 + place])]
            summary = found.summary(window, place, feature)
            if not mine:
                assert summary is None
                continue
            assert summary is not None
            assert (summary.values, summary.low, summary.high) == (len(mine), min(mine), max(mine))
            assert summary.mean == pytest.approx(np.mean(mine), rel=1e-9, abs=1e-9)
            # What squares lose is relative to the distance from the centre.
            lost = 4e-15 * max((value - feature.centre) ** 2 for value in mine)
            assert summary.deviation**2 == pytest.approx(np.var(mine), rel=1e-9, abs=lost)


@given(rows=ROWS, homes=st.lists(st.integers(0, 3), min_size=60, max_size=60), order=st.permutations(range(4)))
def test_parts_add_to_the_same_bits_in_any_order(
    rows: list[tuple[int, float, float]], homes: list[int], order: list[int]
) -> None:
    parts = [[row for row, home in zip(rows, homes, strict=False) if home == part] for part in range(4)]
    made = [summed(part) if part else WindowMoments.nothing(5, 2) for part in parts]
    window = np.tile(np.arange(5), 4)
    first, second = added(made, window, 5), added([made[place] for place in order], window, 5)
    for name in ("sums", "lows", "highs"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()


def test_a_sum_that_no_float_holds_does_no_harm() -> None:
    found = summed([(0, 1.7e308, 1.0), (0, 1.7e308, 2.0)])
    summary = found.summary(0, 0, FEATURES[0])
    assert summary is not None
    assert (summary.values, summary.high) == (2, 1.7e308)
    other = found.summary(0, 1, FEATURES[2])
    assert other is not None
    assert other.mean == 1.5


# --- in the store ----------------------------------------------------------------------------------------


@pytest.fixture
def flights(bench: Bench) -> Bench:
    manifest = bench.register(columns=FLIGHT_COLUMNS, features=FLIGHT_FEATURES)
    bench.reference(manifest, bench.file(f"SELECT * FROM '{FLIGHTS}' WHERE month(scheduled_at) = 3"))
    return bench


def read(bench: Bench, feature: str, **params: Any) -> Distribution:
    asked = DistributionParams(DEPLOYMENT, feature, **params)
    return bench.database.reader.read(lambda c: distribution(c, asked))


def truth(bench: Bench, feature: str, months: str, path: Path = FLIGHTS) -> ValueSummary:
    # Single precision is read by its digits, as text of the same numbers is.
    values = f"SELECT {feature}::VARCHAR::DOUBLE AS v FROM '{path}' WHERE month(scheduled_at) IN ({months})"
    row = bench.maker.execute(f"SELECT count(v), avg(v), stddev_pop(v), min(v), max(v) FROM ({values})").fetchall()[0]
    return ValueSummary(int(row[0]), *(float(value) for value in row[1:]))


def same(found: ValueSummary | None, expected: ValueSummary) -> bool:
    assert found is not None
    assert (found.values, found.low, found.high) == (expected.values, expected.low, expected.high)
    assert found.mean == pytest.approx(expected.mean, rel=1e-9)
    assert found.deviation == pytest.approx(expected.deviation, rel=1e-9)
    return True


LATE = {"since": 1_714_500_000.0, "until": 1_714_700_000.0}
SPAN = {"since": 1_356_998_400.0, "until": 1_388_534_400.0}


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_a_span_has_the_moments_of_its_rows_whatever_the_format(flights: Bench, suffix: str) -> None:
    path = flights.file(f"SELECT * FROM '{FLIGHTS}' WHERE month(scheduled_at) IN (4, 5)", suffix)
    flights.predict(path)
    for feature in ("temperature_f", "pressure_mb", "precipitation_in"):
        found = read(flights, feature, **SPAN)
        assert same(found.summary, truth(flights, feature, "4, 5", path))
        assert same(found.reference_summary, truth(flights, feature, "3"))
    assert read(flights, "carrier", **SPAN).summary is None


def test_files_of_one_span_add_and_stay_when_they_are_rolled_up(flights: Bench) -> None:
    for part in range(5):
        flights.predict(
            flights.file(f"SELECT * FROM '{FLIGHTS}' WHERE month(scheduled_at) = 6 AND hash(flight_id) % 5 = {part}")
        )
    assert same(read(flights, "humidity_pct", **SPAN).summary, truth(flights, "humidity_pct", "6"))
    rows = flights.rows("SELECT count(*) FROM monitor_window")[0][0]
    # Recorded now; the horizon is in the future.
    assert compact(flights.database, (Roll(86_400, -2 * 86_400),)) > 0
    assert flights.rows("SELECT count(*) FROM monitor_window")[0][0] < rows / 50
    assert same(read(flights, "humidity_pct", **SPAN).summary, truth(flights, "humidity_pct", "6"))


def test_as_of_before_a_file_its_values_are_not_known(flights: Bench) -> None:
    flights.predict(flights.file(f"SELECT * FROM '{FLIGHTS}' WHERE month(scheduled_at) = 4"))
    before = times.now()
    flights.predict(flights.file(f"SELECT * FROM '{FLIGHTS}' WHERE month(scheduled_at) = 7"))
    found = read(flights, "temperature_f", at=before.timestamp(), **SPAN)
    assert same(found.summary, truth(flights, "temperature_f", "4"))
    assert read(flights, "temperature_f", at=(before - timedelta(hours=1)).timestamp(), **SPAN).summary is None


def test_windows_of_before_moments_were_kept_have_none(flights: Bench) -> None:
    flights.predict(flights.file(f"SELECT * FROM '{FLIGHTS}' WHERE month(scheduled_at) = 4"))
    flights.database.writer.change(
        lambda tx: tx.execute("UPDATE monitor_window SET sums = NULL, lows = NULL, highs = NULL").fetchall()
    )
    assert read(flights, "temperature_f", **SPAN).summary is None
    flights.predict(flights.file(f"SELECT * FROM '{FLIGHTS}' WHERE month(scheduled_at) = 5"))
    # Those of a part of the values are not told as those of all.
    assert read(flights, "temperature_f", **SPAN).summary is None
    may = {"since": 1_367_366_400.0, "until": 1_370_044_800.0}
    assert same(read(flights, "temperature_f", **may).summary, truth(flights, "temperature_f", "5"))


# --- what they make exact --------------------------------------------------------------------------------


@pytest.fixture
def beyond(bench: Bench) -> Bench:
    """Values ten times as large as any of the reference: its bins only know that they lie above."""
    bench.reference(bench.register(), bench.file("SELECT (i % 100)::DOUBLE AS x FROM range(2000) t(i)"))
    bench.predict(
        bench.file(
            "SELECT i AS prediction_id, TIMESTAMP '2024-05-01 10:00:00' + to_seconds(i) AS timestamp,"
            " (1000 + i % 300)::DOUBLE AS x FROM range(600) t(i)"
        )
    )
    return bench


def changes(bench: Bench) -> dict[str, float]:
    """Changes of mean and spread, and the distance, by numpy."""
    before, after = np.arange(2000) % 100.0, 1000 + np.arange(600) % 300.0
    change = (after.mean() - before.mean()) / before.std()
    return {"mean_change": change, "spread_change": after.std() / before.std() - 1, "wasserstein": change}


@pytest.mark.parametrize("name", ["mean_change", "spread_change", "wasserstein"])
def test_every_reading_of_a_change_knows_what_lies_beyond_the_bins(beyond: Bench, name: str) -> None:
    expected = pytest.approx(changes(beyond)[name], rel=1e-9)
    assert {one.name: one.value for one in read(beyond, "x", **LATE).statistics}[name] == expected
    asked = SpanParams(DEPLOYMENT, "1h", 1_714_557_600.0, 1_714_561_200.0, statistic=name)
    [row] = [row for row in beyond.database.reader.read(lambda c: list(drift(c, asked))) if row.found.feature == "x"]
    assert row.found.value == expected
    settings = RuleSettings(name="r", statistic=name, feature="x", window="1h", span=1)
    rule = compile_rule(settings, MonitorSettings(), AlertSettings())
    [reading] = beyond.database.reader.read(lambda c: readings.read(c, DEPLOYMENT, rule, [1_714_561_200]))[
        1_714_561_200
    ]
    assert reading.value == pytest.approx(abs(changes(beyond)[name]), rel=1e-9)


def test_where_moments_are_not_known_of_every_row_the_bins_decide(beyond: Bench) -> None:
    exact = read(beyond, "x", **LATE).statistics
    beyond.database.writer.change(lambda tx: tx.execute("UPDATE monitor_window SET sums = NULL").fetchall())
    beyond.predict(
        beyond.file(
            "SELECT 'more' || i AS prediction_id, TIMESTAMP '2024-05-01 10:00:00' AS timestamp, 1e6 AS x"
            " FROM range(10) t(i)"
        )
    )
    by_bins = {one.name: one.value for one in read(beyond, "x", **LATE).statistics}
    assert by_bins["mean_change"] is not None
    assert by_bins["mean_change"] < {one.name: one.value or 0.0 for one in exact}["mean_change"]
