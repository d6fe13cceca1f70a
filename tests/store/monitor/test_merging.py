"""Counts add: however a stream is cut into files, and whichever of label and prediction comes first."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.store.monitor.conftest import Bench

PREDICTIONS = (
    "SELECT i AS prediction_id, TIMESTAMP '2024-05-01' + to_minutes((i * 37)::INT) AS timestamp,"
    " (i * 7919 % 101)::DOUBLE AS x, 'c' || (i % 5) AS k, (i * 31 % 97) / 97.0 AS score FROM range(60) t(i)"
)
LABELS = (
    "SELECT i AS prediction_id, (i * 17 % 3 = 0)::INT AS label, TIMESTAMP '2024-06-01' AS timestamp FROM range(60) t(i)"
)


def fresh(folder: str) -> Bench:
    bench = Bench(Path(folder))
    bench.reference(
        bench.register(), bench.file("SELECT (i % 100)::DOUBLE AS x, 'c' || (i % 4) AS k FROM range(400) t(i)")
    )
    return bench


def state(bench: Bench) -> tuple[Any, ...]:
    return bench.counts(), bench.performance(), [pytest.approx(value, abs=1e-9) for value in bench.sums()]


@pytest.fixture(scope="module")
def whole() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        bench = fresh(folder)
        bench.predict(bench.file(PREDICTIONS))
        bench.label(bench.file(LABELS))
        yield state(bench)
        bench.close()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(0, 3), min_size=60, max_size=60),
    st.lists(st.integers(0, 3), min_size=60, max_size=60),
    st.permutations(["p0", "p1", "p2", "p3", "l0", "l1", "l2", "l3"]),
)
def test_any_cut_into_files_in_any_order_gives_the_same_sums(
    whole: Any, predicted_in: list[int], labelled_in: list[int], order: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = fresh(folder)
        for name in order:
            homes, rows = (predicted_in, PREDICTIONS) if name[0] == "p" else (labelled_in, LABELS)
            mine = [i for i, home in enumerate(homes) if home == int(name[1])]
            path = bench.file(f"SELECT * FROM ({rows}) WHERE prediction_id IN (SELECT unnest({mine}::INT[]))")
            (bench.predict if name[0] == "p" else bench.label)(path)
        assert state(bench) == whole
        bench.close()


@pytest.fixture
def predicted(bench: Bench) -> Bench:
    bench.reference(bench.register(), None)
    bench.predict(bench.file(PREDICTIONS))
    return bench


def labelled(bench: Bench) -> int:
    return int(bench.rows("SELECT coalesce(sum(labelled), 0) FROM monitor_performance")[0][0])


def test_the_same_label_in_another_file_is_no_new_fact(predicted: Bench) -> None:
    predicted.label(predicted.file(LABELS))
    again = predicted.label(predicted.file(LABELS))
    assert (again.labels, again.joined, labelled(predicted)) == (0, 0, 60)


def test_a_corrected_label_replaces_what_the_first_one_added(predicted: Bench) -> None:
    predicted.label(predicted.file(f"SELECT * REPLACE (1 - label AS label) FROM ({LABELS})"))
    corrected = predicted.label(predicted.file(LABELS))
    with tempfile.TemporaryDirectory() as folder:
        once = Bench(Path(folder))
        once.reference(once.register(), None)
        once.predict(once.file(PREDICTIONS))
        once.label(once.file(LABELS))
        assert corrected.corrected == 60
        assert predicted.performance() == once.performance()
        assert predicted.sums() == pytest.approx(once.sums(), abs=1e-9)
        once.close()


def test_labels_of_unknown_ids_wait(predicted: Bench) -> None:
    taken = predicted.label(predicted.file("SELECT 999 AS prediction_id, 1 AS label"))
    assert (taken.joined, taken.waiting, labelled(predicted)) == (0, 1, 0)


def test_a_label_counts_in_the_window_of_its_prediction(predicted: Bench) -> None:
    predicted.label(predicted.file("SELECT 59 AS prediction_id, 1 AS label, TIMESTAMP '2025-01-01' AS timestamp"))
    rows = predicted.rows("SELECT window_start::VARCHAR FROM monitor_performance")
    assert rows == [("2024-05-02 12:00:00",)]


def test_of_several_labels_in_one_file_the_latest_counts(predicted: Bench) -> None:
    predicted.label(
        predicted.file(
            "SELECT 5 AS prediction_id, 1 AS label, TIMESTAMP '2024-07-01' AS timestamp"
            " UNION ALL SELECT 5, 0, TIMESTAMP '2024-06-01'"
        )
    )
    assert predicted.rows("SELECT label FROM monitor_label") == [("1",)]


@pytest.mark.parametrize("label", ["1", "1.0", "true", "'1'", "'True'"])
def test_a_positive_label_is_known_whatever_its_type(predicted: Bench, label: str) -> None:
    predicted.label(predicted.file(f"SELECT 59 AS prediction_id, {label} AS label"))
    assert predicted.rows("SELECT label FROM monitor_label") == [("1",)]
