"""Categories that the reference does not hold are kept by name and counted, within bounds, and only they."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from store.monitor import distribution, kernel
from store.monitor import reference as references
from store.monitor.compaction import compact
from store.monitor.names import Names
from store.protocol import Distribution, DistributionParams
from store.settings import Roll
from tests.store.monitor.conftest import DEPLOYMENT, Bench

REFERENCE = "SELECT i AS prediction_id, 'c' || (i % 3) AS k, i % 2 AS code, i % 7 = 0 AS flag FROM range(400) t(i)"


def rows(categories: str, count: int = 60, begin: int = 0) -> str:
    return (
        f"SELECT 'p' || i AS prediction_id, TIMESTAMP '2024-05-01 10:00:00' + to_seconds(i * 7) AS timestamp,"
        f" {categories} FROM range({begin}, {begin + count}) t(i)"
    )


@pytest.fixture
def watched(bench: Bench) -> Bench:
    manifest = bench.register(features={"k": "categorical", "code": "categorical", "flag": "categorical"})
    bench.reference(manifest, bench.file(REFERENCE))
    return bench


def read(bench: Bench, feature: str = "k", **params: Any) -> Distribution:
    asked = DistributionParams(DEPLOYMENT, feature, 1_714_500_000.0, 1_714_700_000.0, **params)
    return bench.database.reader.read(lambda c: distribution(c, asked))


def new(bench: Bench, feature: str = "k", **params: Any) -> dict[str, int]:
    return {one.name: one.rows for one in read(bench, feature, **params).new}


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_they_are_named_with_their_rows_whatever_the_format(watched: Bench, suffix: str) -> None:
    watched.predict(watched.file(rows("'c' || (i % 5) AS k, i % 4 AS code, NULL::BOOLEAN AS flag"), suffix))
    assert new(watched) == {"c3": 12, "c4": 12}
    assert new(watched, "code") == {"2": 15, "3": 15}
    assert new(watched, "flag") == {}


def test_a_large_file_names_them_like_a_small_one(watched: Bench) -> None:
    watched.predict(
        watched.file(
            "SELECT i AS prediction_id, TIMESTAMP '2024-05-01 10:00:00' + to_seconds(i % 7000) AS timestamp,"
            " 'c' || (i % 4) AS k FROM range(200000) t(i)"
        )
    )
    assert new(watched) == {"c3": 50_000}


def test_files_and_windows_add(watched: Bench) -> None:
    for begin in (0, 60, 120):
        watched.predict(watched.file(rows("CASE WHEN i % 2 = 0 THEN 'new' ELSE 'c1' END AS k", 60, begin)))
    assert new(watched) == {"new": 90}
    assert read(watched).new_total == 1
    compact(watched.database, (Roll(86_400, -2 * 86_400),))
    assert watched.rows("SELECT count(*), sum(len(names)) FROM monitor_new_category") == [(1, 1)]
    assert new(watched) == {"new": 90}


def test_the_most_frequent_comes_first(watched: Bench) -> None:
    watched.predict(watched.file(rows("CASE WHEN i < 5 THEN 'few' WHEN i < 20 THEN 'more' ELSE 'c0' END AS k")))
    assert [one.name for one in read(watched).new] == ["more", "few"]


def test_what_is_rare_in_the_reference_is_not_new(bench: Bench) -> None:
    manifest = bench.register(features={"k": "categorical"})
    bench.reference(manifest, bench.file("SELECT i AS prediction_id, 'c' || (i % 300) AS k FROM range(3000) t(i)"))
    bench.predict(bench.file(rows("'c' || (250 + i % 60) AS k")))
    assert sorted(new(bench)) == [f"c{number}" for number in range(300, 310)]


def test_the_reference_is_known_again_after_a_restart(bench: Bench) -> None:
    manifest = bench.register(features={"k": "categorical"})
    bench.reference(manifest, bench.file("SELECT i AS prediction_id, 'c' || (i % 300) AS k FROM range(3000) t(i)"))
    references._kept.clear()
    bench.predict(bench.file(rows("'c' || (270 + i % 40) AS k")))
    assert len(new(bench)) == 10


def test_a_reference_of_before_rare_ones_were_kept_names_none_where_it_cannot_tell(bench: Bench) -> None:
    manifest = bench.register(features={"k": "categorical"})
    bench.reference(manifest, bench.file("SELECT i AS prediction_id, 'c' || (i % 300) AS k FROM range(3000) t(i)"))
    bench.database.writer.change(lambda tx: tx.execute("UPDATE monitor_reference SET rare = NULL").fetchall())
    references._kept.clear()
    bench.predict(bench.file(rows("'c' || (290 + i % 20) AS k")))
    assert new(bench) == {}
    assert read(bench).new_total is None


def test_over_windows_of_before_names_were_kept_how_many_there_are_is_not_known(watched: Bench) -> None:
    watched.predict(watched.file(rows("'old' AS k", 60)))
    assert read(watched).new_total == 1
    watched.database.writer.change(lambda tx: tx.execute("UPDATE monitor_window SET sums = NULL").fetchall())
    watched.predict(watched.file(rows("'new' AS k", 60, 60)))
    assert read(watched).new_total is None
    assert "new" in new(watched)


def test_of_very_many_some_are_kept_and_their_number_is_estimated(watched: Bench) -> None:
    watched.predict(watched.file(rows("'n' || i AS k", 5_000)))
    watched.predict(watched.file(rows("'n' || (i - 5000) AS k", 5_000, 5_000)))
    found = read(watched)
    assert found.new_estimated
    assert len(found.new) == kernel.WINDOW_NAMES
    assert found.new_total == pytest.approx(5_000, rel=0.5)
    kept = Names.of([(f"n{i}", 1) for i in range(5_000)], kernel.WINDOW_NAMES).counts
    # Both files hold every name: whichever are kept, none of their rows is lost.
    assert {one.name: one.rows for one in found.new} == dict.fromkeys(kept, 2)


def test_names_too_long_to_keep_are_counted_as_other_only(watched: Bench) -> None:
    watched.predict(watched.file(rows("CASE WHEN i = 0 THEN repeat('x', 1000) ELSE 'y' END AS k")))
    assert new(watched) == {"y": 59}


def test_as_of_before_they_came_there_are_none(watched: Bench) -> None:
    watched.predict(watched.file(rows("'new' AS k")))
    moment = watched.rows("SELECT epoch(max(recorded_at)) FROM monitor_new_category")[0][0]
    assert new(watched, at=moment) == {"new": 60}
    assert new(watched, at=moment - 1) == {}


def test_hashes_of_features_with_the_same_category_differ() -> None:
    from store.monitor.names import name_hashes

    assert not np.array_equal(name_hashes("a", ["x"]), name_hashes("b", ["x"]))
