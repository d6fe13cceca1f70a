"""What the screens and listings show, on the real flights and as of past moments."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import msgspec
import numpy as np
import pytest

from store.catalog.listing import Listings
from store.catalog.manifest import ColumnNames
from store.monitor import Fleet, distribution, heatmap, performance_over_time, summary
from store.monitor.bins import Floats
from store.monitor.listings import listings
from store.protocol import (
    Distribution,
    DistributionParams,
    ExitCode,
    Heatmap,
    ListParams,
    Page,
    Performance,
    PerformanceParams,
    Refusal,
    SpanParams,
)
from store.settings import MonitorSettings
from tests.store.monitor.conftest import DEPLOYMENT, FLIGHT_COLUMNS, FLIGHT_FEATURES, FLIGHTS, Bench

#: A made-up score that knows a little of the delay: enough for metrics to be computed.
SCORED = (
    "SELECT * EXCLUDE (arrival_delay_min), (arrival_delay_min > 15)::INT AS was_late,"
    " 0.2 + 0.6 * (hash(flight_id) % 1000) / 1000.0 + 0.1 * coalesce((arrival_delay_min > 15)::INT, 0) AS p_late"
    f" FROM '{FLIGHTS}'"
)


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(Path(tmp_path_factory.mktemp("flights")))
    manifest = bench.register(columns=FLIGHT_COLUMNS, features=FLIGHT_FEATURES)
    bench.reference(manifest, bench.file(f"{SCORED} WHERE month(scheduled_at) = 3"))
    bench.predict(bench.file(f"SELECT * EXCLUDE (was_late) FROM ({SCORED}) WHERE month(scheduled_at) BETWEEN 4 AND 8"))
    bench.label(bench.file(f"SELECT flight_id, was_late, landed_at FROM ({SCORED}) WHERE month(scheduled_at) < 8"))
    yield bench
    bench.close()


def bench_rows(column: str) -> dict[int, Floats]:
    """Month → the column's finite values."""
    found = duckdb.sql(f"SELECT month(scheduled_at) AS m, {column} AS v FROM ({SCORED})").fetchnumpy()
    values = np.ma.filled(found["v"].astype(np.float64), np.nan)
    return {month: values[(found["m"] == month) & np.isfinite(values)] for month in (3, 7)}


def psi_of_deciles(before: Floats, after: Floats) -> float:
    """Population stability index over the distinct deciles of `before`, with a floor of 0.0001."""
    inner = np.unique(np.quantile(before, np.linspace(0, 1, 11)))[1:-1]
    p, q = (
        np.maximum(np.bincount(np.searchsorted(inner, x, side="right"), minlength=len(inner) + 1) / len(x), 1e-4)
        for x in (before, after)
    )
    return float(((q - p) * np.log(q / p)).sum())


def read_heatmap(bench: Bench, **params: object) -> Heatmap:
    asked = msgspec.convert({"deployment": DEPLOYMENT, **params}, SpanParams)
    return bench.database.reader.read(lambda c: heatmap(c, asked))


def read_performance(bench: Bench, **params: object) -> Performance:
    asked = msgspec.convert({"deployment": DEPLOYMENT, **params}, PerformanceParams)
    return bench.database.reader.read(lambda c: performance_over_time(c, asked))


def read_distribution(bench: Bench, **params: object) -> Distribution:
    asked = msgspec.convert({"deployment": DEPLOYMENT, **params}, DistributionParams)
    return bench.database.reader.read(lambda c: distribution(c, asked))


def read_list(bench: Bench, kind: str, **params: object) -> Page:
    asked = msgspec.convert({"kind": kind, **params}, ListParams)
    return bench.database.reader.read(lambda c: Listings(listings()).page(c, asked))


def test_temperatures_psi_in_summer_is_that_of_textbook_deciles(flights: Bench) -> None:
    found = read_heatmap(flights, window="1mo")
    assert found.features[0] == "temperature_f"
    july = found.starts.index(datetime(2013, 7, 1, tzinfo=UTC).timestamp())
    value = found.values[0][july]
    rows = bench_rows("temperature_f")
    assert value == pytest.approx(psi_of_deciles(rows[3], rows[7]), rel=0.02)


def test_carriers_hardly_drift(flights: Bench) -> None:
    found = read_heatmap(flights, window="1mo")
    assert max(value or 0 for value in found.values[found.features.index("carrier")]) < 0.05


def test_coarse_windows_hold_the_rows_of_the_fine_ones(flights: Bench) -> None:
    months, days = read_heatmap(flights, window="1mo"), read_heatmap(flights, window="1d", count=200)
    assert sum(months.rows) == sum(days.rows) == 144_176


def test_a_heat_map_can_cross_the_wire(flights: Bench) -> None:
    found = read_heatmap(flights, window="1d")
    assert msgspec.json.decode(msgspec.json.encode(found), type=Heatmap) == found


def test_the_last_windows_are_shown_where_no_span_is_asked_for(flights: Bench) -> None:
    found = read_heatmap(flights, window="1d", count=5)
    assert len(found.starts) == 5
    assert found.starts[-1] == datetime(2013, 8, 31, tzinfo=UTC).timestamp()


def test_as_of_a_moment_before_the_data_there_is_nothing_and_why(flights: Bench) -> None:
    found = read_heatmap(flights, at=1000.0)
    assert (found.starts, found.why) == ([], f"No predictions of {DEPLOYMENT} have arrived by then.")


def test_windows_that_are_no_multiple_of_the_finest_are_refused(flights: Bench) -> None:
    asked = SpanParams(DEPLOYMENT, "15m")
    with pytest.raises(Refusal, match="the finest that are kept are of 3600 seconds") as refused:
        flights.database.reader.read(lambda c: heatmap(c, asked, MonitorSettings(base_window_seconds=3600)))
    assert refused.value.code is ExitCode.USAGE


def test_where_only_wide_windows_are_kept_those_are_answered(flights: Bench) -> None:
    found = read_heatmap(flights, window="5m", count=3)
    assert found.window_seconds == 3600
    assert found.starts == [datetime(2013, 8, 31, hour, tzinfo=UTC).timestamp() for hour in (21, 22, 23)]


def test_what_just_happened_is_kept_by_the_minute(bench: Bench) -> None:
    bench.reference(bench.register(), bench.file("SELECT i AS x FROM range(100) t(i)"))
    now = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=2)
    select = (
        f"SELECT i AS prediction_id, TIMESTAMP '{now:%Y-%m-%d %H:%M}' + to_minutes((i % 3)::INT) AS timestamp, 7 AS x"
    )
    bench.predict(bench.file(f"{select} FROM range(30) t(i)"))
    found = read_heatmap(bench, window="1m")
    assert (found.window_seconds, found.rows) == (60, [10, 10, 10])


def test_an_unknown_window_is_refused_with_the_known_ones(flights: Bench) -> None:
    with pytest.raises(Refusal, match="No window 'fortnight'"):
        read_heatmap(flights, window="fortnight")


def test_a_span_of_too_many_windows_is_refused(flights: Bench) -> None:
    with pytest.raises(Refusal, match="more than 5,000 windows of 1h"):
        read_heatmap(flights, window="1h", since=0.0)


@pytest.mark.parametrize("feature", ["temperature_f", "carrier", "score"])
def test_shares_of_a_distribution_add_up(flights: Bench, feature: str) -> None:
    found = read_distribution(flights, feature=feature, bars=12)
    assert sum(found.reference) == pytest.approx(1)
    assert sum(found.current) == pytest.approx(1)
    assert len(found.labels) == len(found.reference) == len(found.current)


def test_bars_of_a_number_say_their_edges_without_gaps_and_categories_have_none(flights: Bench) -> None:
    found = read_distribution(flights, feature="temperature_f", bars=12)
    bars = [edge for edge in found.edges if edge != (None, None)]
    assert len(found.edges) == len(found.labels)
    assert (bars[0][0], bars[-1][1]) == (None, None)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(bars))
    assert read_distribution(flights, feature="carrier").edges == []


def test_a_distribution_carries_its_statistics_and_noise(flights: Bench) -> None:
    july = datetime(2013, 7, 1, tzinfo=UTC).timestamp()
    found = read_distribution(flights, feature="temperature_f", since=july, until=july + 31 * 86_400)
    psi = found.statistics[0]
    assert (psi.name, psi.threshold) == ("psi", 0.1)
    rows = bench_rows("temperature_f")
    assert psi.value == pytest.approx(psi_of_deciles(rows[3], rows[7]), rel=0.02)


def test_an_unknown_feature_is_refused_with_the_known_ones(flights: Bench) -> None:
    with pytest.raises(Refusal, match="has no feature 'mood'") as refused:
        read_distribution(flights, feature="mood")
    assert "carrier" in refused.value.hint


def test_months_without_labels_have_null_metrics(flights: Bench) -> None:
    found = read_performance(flights, window="1mo", metrics=["auc"])
    assert found.labelled[-1] == 0
    assert found.lines[0].values[-1] is None
    assert all(value is not None for value in found.lines[0].values[:-1])


def test_the_metric_on_the_reference_stands_beside(flights: Bench) -> None:
    line = read_performance(flights, metrics=["auc"]).lines[0]
    assert line.reference == pytest.approx(0.66, abs=0.05)


def test_an_unknown_metric_is_refused(flights: Bench) -> None:
    with pytest.raises(Refusal, match="No metric 'mood'"):
        read_performance(flights, metrics=["mood"])


def test_drift_rows_have_designs_names(flights: Bench) -> None:
    page = read_list(flights, "drift", window="1mo", limit=3)
    assert [column.name for column in page.columns][1:] == [
        "deployment",
        "version",
        "feature",
        "window_start",
        "window_end",
        "statistic",
        "value",
        "noise_floor",
        "threshold",
        "reference_rows",
        "rows",
        "alarm",
        "why",
        "p_value",
        "q_value",
        "severity",
        "guarantee",
        "importance",
        "correlation",
        "relevance",
        "state",
        "reason",
        "causes",
    ]
    assert page.rows[0][3] == "temperature_f"


def test_a_filter_chooses_the_statistics_that_are_listed(flights: Bench) -> None:
    page = read_list(flights, "drift", window="1mo", filter="statistic:^(ks|tv)$ feature=temperature_f")
    assert {row[6] for row in page.rows} == {"ks", "tv"}


def test_a_listing_of_an_unknown_statistic_is_refused_with_the_known_ones(flights: Bench) -> None:
    with pytest.raises(Refusal, match="No statistic 'mood'") as refused:
        read_list(flights, "drift", filter="statistic=mood")
    assert "wasserstein" in refused.value.hint


def test_a_statistic_that_a_feature_does_not_have_is_null_and_says_why(flights: Bench) -> None:
    page = read_list(flights, "drift", window="1mo", filter="statistic=ks feature=carrier")
    assert {(row[7], row[13]) for row in page.rows} == {(None, "ks is not for categorical features")}


def test_a_statistic_leaves_features_it_is_not_for_out_of_the_heat_map(flights: Bench) -> None:
    found = read_heatmap(flights, window="1mo", statistic="wasserstein")
    assert "temperature_f" in found.features
    assert "carrier" not in found.features


def test_the_heat_map_marks_the_alarms(flights: Bench) -> None:
    found = read_heatmap(flights, window="1mo")
    july = found.starts.index(datetime(2013, 7, 1, tzinfo=UTC).timestamp())
    assert found.alarms[found.features.index("temperature_f")][july] == "critical"
    assert set(found.alarms[found.features.index("carrier")]) == {""}


def test_a_distribution_has_every_statistic_of_its_kind(flights: Bench) -> None:
    numeric = {one.name for one in read_distribution(flights, feature="temperature_f").statistics}
    categorical = {one.name for one in read_distribution(flights, feature="carrier").statistics}
    assert {"wasserstein", "ks", "cvm", "median_change", "above_range"} <= numeric - categorical
    assert {"new_categories", "vanished_categories"} <= categorical - numeric


def test_an_alarm_in_the_listing_names_its_guarantee(flights: Bench) -> None:
    row = read_list(flights, "drift", window="1mo", limit=1).rows[0]
    assert row[12] is True
    assert "Benjamini-Hochberg" in str(row[17])


@pytest.mark.parametrize("kind", ["windows", "drift", "performance", "alerts"])
def test_rows_of_a_listing_have_unique_ids(flights: Bench, kind: str) -> None:
    rows = read_list(flights, kind, limit=10_000).rows
    assert len({row[0] for row in rows}) == len(rows)


@pytest.mark.parametrize("kind", ["windows", "drift", "performance", "alerts"])
def test_a_listing_as_of_before_the_data_is_empty(flights: Bench, kind: str) -> None:
    assert read_list(flights, kind, at=1000.0).total == 0


def test_the_summary_names_the_worst_feature_and_the_last_data(flights: Bench) -> None:
    found = flights.database.reader.read(summary)[DEPLOYMENT]
    assert found.worst_value is not None
    assert found.worst_value > 5
    assert found.metric == "auc"
    assert found.last_data is not None
    assert found.last_data.date().isoformat() == "2013-08-31"
    assert len(found.traffic) == 24


def test_a_kept_summary_follows_what_arrives(bench: Bench) -> None:
    fleet = Fleet()
    bench.register()
    for hour in (1, 2):
        bench.predict(bench.file(f"SELECT {hour} AS prediction_id, TIMESTAMP '2024-05-01 0{hour}:00' AS timestamp"))
        found = bench.database.reader.read(fleet.summary)[DEPLOYMENT]
        assert found.last_data == datetime(2024, 5, 1, hour, tzinfo=UTC)


def test_a_revision_is_marked_where_event_time_first_saw_it(bench: Bench) -> None:
    bench.register()
    bench.database.writer.change(
        lambda tx: tx.execute(
            "INSERT INTO deployment_revision BY NAME SELECT ? AS deployment, 1 AS revision, 'm' AS model, 'production'"
            " AS environment, 'local' AS target, 'promote' AS action, '{\"1\": 1.0}' AS versions, '{}' AS before,"
            " '{}' AS digests, 'me' AS actor, 'cli' AS via, '' AS reason, '' AS request_id, 1 AS sequence,"
            " now()::TIMESTAMP AS recorded_at",
            [DEPLOYMENT],
        )
    )
    for hour in (3, 1):
        bench.predict(bench.file(f"SELECT {hour} AS prediction_id, TIMESTAMP '2024-05-01 0{hour}:00' AS timestamp"))
    marks = read_heatmap(bench, window="1d").marks
    assert [(mark.kind, mark.label, mark.at) for mark in marks] == [
        ("revision", "v1", datetime(2024, 5, 1, 3, tzinfo=UTC).timestamp())
    ]


def test_a_population_that_hardly_changes_raises_no_alarm(bench: Bench) -> None:
    people = FLIGHTS.parent / "employment_ma.parquet"
    bench.reference(
        bench.register(columns=ColumnNames(id="person_id")), bench.file(f"SELECT * FROM '{people}' WHERE year = 2015")
    )
    bench.predict(bench.file(f"SELECT *, make_timestamp(year, 7, 1, 0, 0, 0.0) AS timestamp FROM '{people}'"))
    page = read_list(bench, "drift", window="1y", limit=1000)
    alarms = [row[3] for row in page.rows if row[12] and row[3] != "year"]
    assert (page.total > 20, alarms) == (True, [])
