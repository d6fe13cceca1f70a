"""A feature of many categories in the store: counted by every way of reading, kept, added up, and watched."""

from __future__ import annotations

import numpy as np
import pytest

from store.catalog.listing import Listings
from store.monitor import distribution, heatmap, reading
from store.monitor.bins import FeatureBins, Integers
from store.monitor.compaction import compact
from store.monitor.comparing import compare
from store.monitor.listings import listings
from store.monitor.reference import load_reference
from store.protocol import Distribution, DistributionParams, DriftRequest, Heatmap, ListParams, SpanParams
from store.settings import MonitorSettings, Roll
from tests.store.monitor.conftest import DEPLOYMENT, Bench

#: Each of a thousand shops in twenty rows.
REFERENCE = "SELECT i AS prediction_id, 'shop' || (i % 1000) AS k FROM range(20000) t(i)"
SPAN = (1_714_500_000.0, 1_714_700_000.0)


def rows(shop: str, count: int, seconds: int = 7) -> str:
    return (
        f"SELECT 'p' || i AS prediction_id, TIMESTAMP '2024-05-01 10:00:00' + to_seconds(i * {seconds} % 7000)"
        f" AS timestamp, {shop} AS k FROM range({count}) t(i)"
    )


HEALTHY = "'shop' || (hash(i) % 1000)"
#: One row of twenty in a shop beyond the 200 that have slots, one of fifty in one that the reference lacks.
RISEN = "CASE WHEN i % 20 = 0 THEN 'shop999' WHEN i % 50 = 1 THEN 'elsewhere' ELSE 'shop' || (hash(i) % 1000) END"


@pytest.fixture
def watched(bench: Bench) -> Bench:
    bench.reference(bench.register(features={"k": "categorical"}), bench.file(REFERENCE))
    return bench


def stored(bench: Bench) -> tuple[FeatureBins, Integers]:
    """The feature, and the counts of all windows in its slots."""
    found = bench.database.reader.read(lambda c: load_reference(c, "m", "1"))
    assert found is not None
    feature = found.by_name["k"]
    counts = np.zeros(feature.width, np.int64)
    for slot, number in bench.rows(
        "SELECT slot, sum(n) FROM (SELECT unnest(slots) AS slot, unnest(counts) AS n FROM monitor_window) GROUP BY ALL"
    ):
        if feature.offset <= slot < feature.offset + feature.width:
            counts[slot - feature.offset] = number
    return feature, counts


def read(bench: Bench) -> Distribution:
    return bench.database.reader.read(lambda c: distribution(c, DistributionParams(DEPLOYMENT, "k", *SPAN)))


def psi(bench: Bench) -> float | None:
    return next(one.value for one in read(bench).statistics if one.name == "psi")


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_the_store_says_what_the_command_says_whatever_the_format(watched: Bench, suffix: str) -> None:
    path = watched.file(rows(RISEN, 5_000), suffix)
    watched.predict(path)
    asked = DriftRequest(str(path), str(watched.file(REFERENCE)), features=["k"])
    [told] = compare(asked, MonitorSettings()).features
    assert told.alarm
    assert psi(watched) == pytest.approx(told.value)
    feature, counts = stored(watched)
    assert counts.sum() == 5_000
    assert counts[feature.new_slots].sum() == 100


def test_a_large_file_is_counted_like_a_small_one(watched: Bench) -> None:
    """More rows than are read without a query, and more than one batch."""
    watched.predict(watched.file(rows(HEALTHY, 150_000)))
    feature, counts = stored(watched)
    named = {name: place for place, name in enumerate(feature.categories)}
    expected = dict(watched.maker.execute(f"SELECT k, count(*) FROM ({rows(HEALTHY, 150_000)}) GROUP BY k").fetchall())
    assert {name: int(counts[place]) for name, place in named.items()} == {name: expected[name] for name in named}
    assert counts[feature.bins : feature.null_slot].sum() == 150_000 - sum(expected[name] for name in named)
    assert not counts[feature.new_slots].any()


def test_a_healthy_window_is_steady(watched: Bench) -> None:
    watched.predict(watched.file(rows(HEALTHY, 5_000)))
    asked = SpanParams(DEPLOYMENT, "1d", *SPAN)
    steady = watched.database.reader.read(lambda c: [row.found for row in reading.drift(c, asked, MonitorSettings())])
    assert [(one.feature, one.state) for one in steady if one.feature == "k"] == [("k", "steady")]


def test_its_alarm_names_what_is_new(watched: Bench) -> None:
    watched.predict(watched.file(rows(RISEN, 5_000)))
    asked = SpanParams(DEPLOYMENT, "1d", *SPAN)
    [found] = [
        row.found
        for row in watched.database.reader.read(lambda c: list(reading.drift(c, asked, MonitorSettings())))
        if row.found.feature == "k"
    ]
    assert found.state == "drifted"
    assert found.causes
    told = read(watched).causes
    known, query = Listings(listings()), ListParams("drift", window="1d")
    page = watched.database.reader.read(lambda c: known.page(c, query))
    names = [column.name for column in page.columns]
    # The listing says what the feature's page says, by name.
    [row] = [dict(zip(names, cells, strict=True)) for cells in page.rows if cells[names.index("feature")] == "k"]
    assert row["causes"] == "; ".join(told)
    assert "new: elsewhere 2.0 %" in told
    # Which shop it is the store does not know, but that one rose.
    [risen] = [cause for cause in told if cause.startswith("one group of rare values 0.")]
    assert risen.endswith("→ 5.2 %") or risen.endswith("→ 5.1 %") or risen.endswith("→ 5.0 %")
    cells: Heatmap = watched.database.reader.read(lambda c: heatmap(c, asked))
    assert "k" in cells.features


def test_rolling_up_keeps_every_count(watched: Bench) -> None:
    watched.predict(watched.file(rows(RISEN, 5_000)))
    before, value = stored(watched)[1], psi(watched)
    compact(watched.database, (Roll(86_400, -2 * 86_400),))
    np.testing.assert_array_equal(stored(watched)[1], before)
    assert psi(watched) == pytest.approx(value)


def test_files_add_in_any_order(watched: Bench) -> None:
    for first in (2_500, 0):
        watched.predict(watched.file(f"SELECT * FROM ({rows(RISEN, 5_000)}) LIMIT 2500 OFFSET {first}"))
    halves = stored(watched)[1]
    (watched.folder / "whole").mkdir()
    whole = Bench(watched.folder / "whole")
    try:
        whole.reference(whole.register(features={"k": "categorical"}), whole.file(REFERENCE))
        whole.predict(whole.file(rows(RISEN, 5_000)))
        np.testing.assert_array_equal(stored(whole)[1], halves)
    finally:
        whole.close()
