"""Which drifted features matter: importances that model.json gives, else what went with worse performance."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from store.catalog.listing import Listings
from store.catalog.manifest import ModelManifest
from store.monitor import heatmap
from store.monitor.listings import listings
from store.monitor.relevance import declared, excess, spearman
from store.protocol import Heatmap, ListParams, SpanParams
from tests.store.monitor.conftest import DEPLOYMENT, Bench

#: Twenty days of 500 rows. `guilty` drifts on odd days, when the score is worth nothing; `innocent` on each third day.
MADE = (
    "SELECT i AS prediction_id, TIMESTAMP '2024-05-01' + to_seconds(i * 172.8) AS timestamp, i // 500 AS day,"
    " (hash(i) % 1000) / 1000.0 + 0.8 * (i // 500 % 2) AS guilty,"
    " (hash(i + 7) % 1000) / 1000.0 + 0.8 * (i // 500 % 3 = 0)::INT AS innocent,"
    " (hash(i + 9) % 1000) / 1000.0 AS steady,"
    " (hash(i + 1) % 2)::INT AS label,"
    " CASE WHEN i // 500 % 2 = 0 THEN 0.3 + 0.4 * (hash(i + 1) % 2) ELSE 0.5 END"
    " + (hash(i + 3) % 300) / 1000.0 - 0.15 AS score"
    " FROM range(10000) t(i)"
)
FEATURES: Any = {"guilty": "numeric", "innocent": "numeric", "steady": "numeric"}


def watched(bench: Bench, **manifest: Any) -> Bench:
    known = bench.register(features=FEATURES, **manifest)
    bench.reference(known, bench.file(f"SELECT * FROM ({MADE}) WHERE day IN (2, 4, 8, 10, 14, 16)"))
    bench.predict(bench.file(f"SELECT * EXCLUDE (label, day) FROM ({MADE})"))
    bench.label(bench.file(f"SELECT prediction_id, label FROM ({MADE})"))
    return bench


def read(bench: Bench) -> tuple[Heatmap, dict[str, tuple[float | None, float | None, float | None]]]:
    found = bench.database.reader.read(lambda c: heatmap(c, SpanParams(DEPLOYMENT)))
    told = zip(found.importance, found.correlation, found.relevance, strict=True)
    return found, dict(zip(found.features, told, strict=True))


def test_without_importances_what_went_with_worse_performance_matters(bench: Bench) -> None:
    found, told = read(watched(bench))
    assert found.relevance_basis == "correlation"
    guilty, innocent = told["guilty"], told["innocent"]
    assert guilty[0] is None
    assert guilty[1] is not None and guilty[1] > 0.7
    assert innocent[1] is not None and abs(innocent[1]) < 0.3
    assert max(told, key=lambda name: told[name][2] or 0.0) == "guilty"


def test_importances_of_model_json_weigh_the_drift(bench: Bench) -> None:
    found, told = read(watched(bench, extra={"importance": {"innocent": -3, "steady": 1}}))
    assert found.relevance_basis == "importance"
    assert [told[name][0] for name in ("innocent", "steady", "guilty")] == [0.75, 0.25, None]
    assert told["guilty"][2] == 0.0
    assert max(told, key=lambda name: told[name][2] or 0.0) == "innocent"


def test_estimates_stand_in_for_labels_that_have_not_come(bench: Bench) -> None:
    # On odd days the scores keep to the middle, where the calibration knows least.
    unsure = "CASE WHEN day % 2 = 1 THEN 0.4 + chance / 5 ELSE chance END AS score"
    made = f"SELECT * EXCLUDE (score, label), {unsure}, (hash(prediction_id + 5) % 1000 < 1000 * chance)::INT AS label"
    rows = f"{made} FROM (SELECT *, (hash(prediction_id + 4) % 1000) / 1000.0 AS chance FROM ({MADE}))"
    known = bench.register(features=FEATURES)
    bench.reference(known, bench.file(f"SELECT * FROM ({rows}) WHERE day % 2 = 0"))
    bench.predict(bench.file(f"SELECT * EXCLUDE (label, day) FROM ({rows})"))
    _, told = read(bench)
    assert told["guilty"][1] is not None and told["guilty"][1] > 0.7


def test_a_few_windows_make_no_correlation(bench: Bench) -> None:
    bench = watched(bench)
    found = bench.database.reader.read(lambda c: heatmap(c, SpanParams(DEPLOYMENT, count=5)))
    assert (set(found.correlation), set(found.relevance), found.relevance_basis) == ({None}, {None}, "")


def test_drift_can_be_listed_by_what_matters(bench: Bench) -> None:
    bench = watched(bench)
    book = Listings(listings())
    page = bench.database.reader.read(lambda c: book.page(c, ListParams("drift", sort="relevance:desc", limit=10)))
    place = [column.name for column in page.columns].index("feature")
    assert {row[place] for row in page.rows} <= {"guilty", "score"}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=30))
def test_rank_correlation_is_scipys(pairs: list[tuple[int, int]]) -> None:
    first, second = (np.array(side, float) for side in zip(*pairs, strict=True))
    found = spearman(first, second)
    if found is None:
        assert len(set(first)) == 1 or len(set(second)) == 1
    else:
        assert found == pytest.approx(spearmanr(first, second).statistic, abs=1e-12)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"a": 3, "b": 1}, {"a": 0.75, "b": 0.25}),
        ({"a": "x", "b": float("nan")}, {}),
        ([1], {}),
        ({"a": 0}, {}),
        (None, {}),
    ],
)
def test_importances_are_shares_or_nothing(given: Any, expected: dict[str, float]) -> None:
    assert declared(msgspec.structs.replace(ModelManifest("m", "1"), extra={"importance": given})) == expected


@pytest.mark.parametrize(
    ("value", "noise", "expected"), [(0.5, 0.1, 4.0), (0.05, 0.1, 0.0), (-0.5, None, 5.0), (None, 0.1, None)]
)
def test_drift_counts_beyond_its_noise_in_units_of_the_threshold(
    value: float | None, noise: float | None, expected: float | None
) -> None:
    assert excess(value, noise, 0.1) == (None if expected is None else pytest.approx(expected))
