"""What was odd about files is told of their deployment: nothing that was left out goes unsaid."""

from __future__ import annotations

from store.monitor.oddities import Oddity, oddities
from tests.store.monitor.conftest import DEPLOYMENT, Bench

ROWS = "'p' || i AS prediction_id, TIMESTAMP '2024-05-01' AS timestamp, i % 100 AS x, 1 AS prediction"


def told(bench: Bench) -> dict[tuple[str, str], Oddity]:
    found = bench.database.reader.read(lambda c: oddities(c, DEPLOYMENT))
    return {(one.kind, one.what): one for one in found}


def fed(bench: Bench) -> Bench:
    bench.reference(bench.register(features={"x": "numeric"}), bench.file("SELECT i % 100 AS x FROM range(5000) t(i)"))
    return bench


def test_a_clean_file_is_not_odd(bench: Bench) -> None:
    fed(bench).predict(bench.file(f"SELECT {ROWS} FROM range(500) t(i)"))
    assert told(bench) == {}


def test_rows_of_the_future_are_said_though_no_window_has_them(bench: Bench) -> None:
    late = "SELECT * REPLACE (timestamp + INTERVAL 900 YEAR AS timestamp)"
    fed(bench).predict(bench.file(f"{late} FROM (SELECT {ROWS} FROM range(500) t(i))"))
    [odd] = told(bench).values()
    assert (odd.kind, odd.what, odd.note.rows, odd.files) == (
        "predictions",
        "rows with a time before 1900 or in the future are left out",
        500,
        1,
    )


def test_what_is_odd_about_every_file_is_said_once(bench: Bench) -> None:
    fed(bench)
    for number in range(3):
        twice = f"SELECT {ROWS} FROM range({number}00, {number}10) t(i)"
        rows = f"SELECT *, 'n/a' AS x FROM (SELECT * EXCLUDE (x) FROM ({twice} UNION ALL {twice}))"
        bench.predict(bench.file(rows))
    found = told(bench)
    repeated = found["predictions", "rows repeat a prediction_id: the first counts"]
    assert (repeated.note.rows, repeated.files) == (30, 3)
    turned = found["predictions", "column 'x' is VARCHAR, the reference has numbers"]
    assert (turned.note.rows, turned.files) == (None, 3)


def test_labels_of_ids_that_were_never_predicted_are_said(bench: Bench) -> None:
    fed(bench).predict(bench.file(f"SELECT {ROWS} FROM range(500) t(i)"))
    bench.label(bench.file("SELECT 'p' || i AS prediction_id, 1 AS label FROM range(400, 700) t(i)"))
    odd = told(bench)["labels", "rows had no prediction of their id yet"]
    assert (odd.note.rows, odd.files) == (200, 1)


def test_as_of_before_the_file_came_nothing_was_odd(bench: Bench) -> None:
    fed(bench).predict(bench.file(f"SELECT * EXCLUDE (x) FROM (SELECT {ROWS} FROM range(500) t(i))"))
    assert ("predictions", "version 1: no column for x") in told(bench)
    [(before,)] = bench.rows("SELECT min(recorded_at) - INTERVAL 1 SECOND FROM monitor_arrival")
    assert bench.database.reader.read(lambda c: oddities(c, DEPLOYMENT, before)) == []
