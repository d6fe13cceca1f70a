"""What labels tell of slices, classes and quantiles: against scikit-learn on the rows themselves."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn import metrics as sk

from store.catalog.listing import Listings
from store.monitor import performance_over_time
from store.monitor.listings import listings
from store.monitor.slices import MAX_VALUES, NULL, OTHER
from store.protocol import ExitCode, ListParams, Performance, PerformanceParams, Refusal
from tests.store.monitor.conftest import DEPLOYMENT, Bench

ROWS = 600
#: A score that knows more of the label in some places than in others; `place` is null for a few.
MADE = (
    "SELECT i AS prediction_id, TIMESTAMP '2024-05-01' + to_minutes((i * 7)::INT) AS timestamp, (i % 17)::DOUBLE AS x,"
    " CASE WHEN i % 50 = 0 THEN NULL ELSE 'p' || (i % 3) END AS place, (i * 31 % 97) / 97.0 AS score,"
    " ((i * 31 % 97) / 97.0 + 0.5 * sin(i * (1 + i % 3)) > 0.5)::INT AS truth,"
    f" timestamp + to_hours((1 + i % 9)::INT) AS known_at FROM range({ROWS}) t(i)"
)
PREDICTED = f"SELECT prediction_id, timestamp, x, place, score FROM ({MADE})"
LABELLED = f"SELECT prediction_id, truth AS label, known_at AS timestamp FROM ({MADE})"


def read(bench: Bench, **params: Any) -> Performance:
    asked = msgspec.convert({"deployment": DEPLOYMENT, "window": "1mo", **params}, PerformanceParams)
    return bench.database.reader.read(lambda c: performance_over_time(c, asked))


def lines(found: Performance, metric: str) -> dict[str, float | None]:
    return {line.slice: line.values[0] for line in found.lines if line.metric == metric and line.kind == "realised"}


@pytest.fixture
def sliced(bench: Bench) -> Bench:
    bench.reference(bench.register(slices=["place"], features={"x": "numeric"}), bench.file(f"{PREDICTED} LIMIT 300"))
    return bench


def truth(bench: Bench) -> Any:
    return bench.maker.execute(f"SELECT coalesce(place, '{NULL}') AS place, score, truth FROM ({MADE})").fetchnumpy()


@pytest.mark.parametrize("order", ["predictions first", "labels first"])
def test_each_slice_has_the_metrics_of_its_own_rows(sliced: Bench, order: str) -> None:
    steps = [lambda: sliced.predict(sliced.file(PREDICTED)), lambda: sliced.label(sliced.file(LABELLED))]
    for step in steps if order == "predictions first" else reversed(steps):
        step()
    found = lines(read(sliced, metrics=["auc", "f1", "ece"], slice="place"), "auc")
    rows = truth(sliced)
    places = {str(place): rows["place"] == place for place in np.unique(rows["place"])} | {"": np.ones(ROWS, bool)}
    assert found.keys() == places.keys()
    for place, mask in places.items():
        assert found[place] == pytest.approx(sk.roc_auc_score(rows["truth"][mask], rows["score"][mask]), abs=1e-9)


def test_corrected_labels_correct_the_slices(sliced: Bench) -> None:
    sliced.predict(sliced.file(PREDICTED))
    sliced.label(sliced.file(f"SELECT * REPLACE (1 - label AS label) FROM ({LABELLED})"))
    sliced.label(sliced.file(LABELLED))
    rows = truth(sliced)
    mask = rows["place"] == "p1"
    expected = sk.accuracy_score(rows["truth"][mask], rows["score"][mask] >= 0.5)
    assert lines(read(sliced, metrics=["accuracy"], slice="place"), "accuracy")["p1"] == pytest.approx(expected)
    assert sliced.rows("SELECT sum(labelled) FROM monitor_performance_slice") == [(ROWS,)]


def test_slices_that_nobody_counts_are_refused_with_those_that_are(sliced: Bench) -> None:
    sliced.predict(sliced.file(PREDICTED))
    sliced.label(sliced.file(LABELLED))
    with pytest.raises(Refusal) as refused:
        read(sliced, slice="altitude")
    assert (refused.value.code, refused.value.hint) == (ExitCode.USAGE, "Slices: place.")


def test_values_beyond_the_bound_are_counted_together(bench: Bench) -> None:
    bench.reference(bench.register(slices=["tail"], features={"x": "numeric"}), bench.file(f"{PREDICTED} LIMIT 300"))
    bench.predict(bench.file(f"SELECT *, 't' || (prediction_id % 200) AS tail FROM ({PREDICTED})"))
    bench.label(bench.file(LABELLED))
    counted = dict(bench.rows("SELECT value, sum(labelled) FROM monitor_performance_slice GROUP BY value"))
    assert len(counted) == MAX_VALUES + 1
    assert sum(counted.values()) == ROWS
    assert counted[OTHER] == ROWS - MAX_VALUES * ROWS // 200


def test_a_numeric_slice_column_is_cut_at_the_references_quartiles(bench: Bench) -> None:
    source = "SELECT *, prediction_id::DOUBLE AS age FROM"
    manifest = bench.register(protected=["age"], features={"age": "numeric"})
    bench.reference(manifest, bench.file(f"{source} ({PREDICTED})"))
    bench.predict(bench.file(f"{source} ({PREDICTED})"))
    bench.label(bench.file(LABELLED))
    counted = dict(bench.rows("SELECT value, sum(labelled) FROM monitor_performance_slice GROUP BY value"))
    assert sorted(counted.values()) == [150, 150, 150, 150]


def test_a_file_without_the_slice_column_counts_in_the_whole_alone(sliced: Bench) -> None:
    sliced.predict(sliced.file(f"SELECT * EXCLUDE (place) FROM ({PREDICTED})"))
    sliced.label(sliced.file(LABELLED))
    assert sum(read(sliced).labelled) == ROWS
    assert sliced.rows("SELECT count(*) FROM monitor_performance_slice") == [(0,)]


def test_slices_are_listed_when_they_are_asked_for(sliced: Bench) -> None:
    sliced.predict(sliced.file(PREDICTED))
    sliced.label(sliced.file(LABELLED))
    book = Listings(listings())

    def slices(**params: Any) -> set[Any]:
        asked = ListParams("performance", window="1mo", limit=1000, **params)
        page = sliced.database.reader.read(lambda c: book.page(c, asked))
        place = [column.name for column in page.columns].index("slice")
        assert len({row[0] for row in page.rows}) == page.total
        return {row[place] for row in page.rows}

    assert slices() == {""}
    assert slices(filter="slice:p[01]") == {"place=p0", "place=p1"}
    assert slices(scope={"slice": "*"}) == {"", "place=p0", "place=p1", "place=p2", f"place={NULL}"}


# --- multiclass ------------------------------------------------------------------------------------------

CLASSED = (
    "SELECT i AS prediction_id, TIMESTAMP '2024-05-01' AS timestamp, (i % 17)::DOUBLE AS x,"
    " ['red', 'green', 'blue'][1 + i * 13 % 7 % 3] AS prediction, 0.5 + (i % 50) / 100.0 AS score,"
    " ['red', 'green', 'blue', 'grey'][1 + i * 11 % 5 % 4] AS truth FROM range(400) t(i)"
)


@pytest.mark.parametrize(
    ("metric", "oracle"), [("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)]
)
@pytest.mark.parametrize("with_reference", [True, False])
def test_multiclass_metrics_are_macro_averages(bench: Bench, metric: str, oracle: Any, with_reference: bool) -> None:
    manifest = bench.register(task="multiclass", features={"x": "numeric"})
    before = f"SELECT * EXCLUDE (truth), truth AS label FROM ({CLASSED}) LIMIT 200"
    bench.reference(manifest, bench.file(before) if with_reference else None)
    bench.predict(bench.file(f"SELECT * EXCLUDE (truth) FROM ({CLASSED})"))
    bench.label(bench.file(f"SELECT prediction_id, truth AS label FROM ({CLASSED})"))
    rows = bench.maker.execute(f"SELECT truth, prediction FROM ({CLASSED})").fetchnumpy()
    expected = oracle(rows["truth"].astype(str), rows["prediction"].astype(str), average="macro", zero_division=0)
    assert lines(read(bench, metrics=[metric]), metric)[""] == pytest.approx(expected, abs=1e-12)


def test_a_multiclass_estimate_that_needs_every_classs_probability_says_so(bench: Bench) -> None:
    """Prediction files carry the probability of the answer alone: enough for accuracy, for nothing else."""
    manifest = bench.register(task="multiclass", features={"x": "numeric"})
    bench.reference(manifest, bench.file(f"SELECT *, truth AS label FROM ({CLASSED})"))
    bench.predict(bench.file(f"SELECT * EXCLUDE (truth) FROM ({CLASSED})"))
    book = Listings(listings())
    asked = ListParams("performance", window="1mo", filter="kind=estimated", limit=100)
    page = bench.database.reader.read(lambda c: book.page(c, asked))
    names = [column.name for column in page.columns]
    found = {row[names.index("metric")]: (row[names.index("value")], row[names.index("why")]) for row in page.rows}
    assert found.keys() == {"accuracy", "precision", "recall", "f1"}
    assert isinstance(found.pop("accuracy")[0], float)
    assert set(found.values()) == {(None, "needs the probability of every class")}
    line = next(line for line in read(bench, metrics=["f1"]).lines if line.kind == "estimated")
    assert (set(line.values), line.why) == ({None}, "needs the probability of every class")


def test_a_multiclass_reference_has_its_own_macro_averages(bench: Bench) -> None:
    manifest = bench.register(task="multiclass", features={"x": "numeric"})
    bench.reference(manifest, bench.file(f"SELECT * EXCLUDE (truth), truth AS label FROM ({CLASSED})"))
    bench.predict(bench.file(f"SELECT * EXCLUDE (truth) FROM ({CLASSED}) LIMIT 5"))
    bench.label(bench.file(f"SELECT prediction_id, truth AS label FROM ({CLASSED})"))
    rows = bench.maker.execute(f"SELECT truth, prediction FROM ({CLASSED})").fetchnumpy()
    expected = sk.f1_score(rows["truth"].astype(str), rows["prediction"].astype(str), average="macro")
    realised = next(line for line in read(bench, metrics=["f1"]).lines if line.kind == "realised")
    assert realised.reference == pytest.approx(expected, abs=1e-12)


# --- quantiles -------------------------------------------------------------------------------------------

FORECAST = (
    "SELECT i AS prediction_id, TIMESTAMP '2024-05-01' AS timestamp, i::DOUBLE AS prediction, i - 10.0 AS {low},"
    " i + 10.0 AS {high}, i + (i * 7 % 31) - 12.0 AS truth FROM range(310) t(i)"
)


@pytest.mark.parametrize("named", [True, False])
def test_coverage_is_the_share_of_labels_between_the_outer_quantiles(bench: Bench, named: bool) -> None:
    extra = {"quantiles": {"0.1": "low", "0.9": "high"}} if named else {}
    bench.reference(bench.register(task="regression", extra=extra), None)
    rows = FORECAST.format(
        **({"low": "low", "high": "high"} if named else {"low": "prediction_q1", "high": "prediction_q9"})
    )
    bench.predict(bench.file(f"SELECT * EXCLUDE (truth) FROM ({rows})"))
    bench.label(bench.file(f"SELECT prediction_id, truth AS label FROM ({rows})"))
    found = read(bench, metrics=["coverage", "coverage_q1", "coverage_q9"])
    # Errors are -12 … 18, evenly: -10 … 10 are 21 of 31.
    assert lines(found, "coverage")[""] == pytest.approx(21 / 31)
    assert lines(found, "coverage_q1")[""] == pytest.approx(3 / 31)
    assert lines(found, "coverage_q9")[""] == pytest.approx(23 / 31)


def test_a_regression_without_quantiles_says_so(bench: Bench) -> None:
    bench.reference(bench.register(task="regression"), None)
    rows = FORECAST.format(low="a", high="b")
    bench.predict(bench.file(f"SELECT prediction_id, timestamp, prediction FROM ({rows})"))
    bench.label(bench.file(f"SELECT prediction_id, truth AS label FROM ({rows})"))
    book = Listings(listings())
    asked = ListParams("performance", filter="metric=coverage", window="1mo")
    page = bench.database.reader.read(lambda c: book.page(c, asked))
    names = [column.name for column in page.columns]
    assert [(row[names.index("value")], row[names.index("why")]) for row in page.rows] == [
        (None, "no predicted quantiles around the median")
    ]
