"""Which files a worker looks at for the errors of a regression, and what is kept of its answer."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import duckdb
import pytest

from store.catalog.manifest import ModelManifest
from store.catalog.objects import Objects
from store.database import Layout, migrate, times
from store.monitor.compaction import compact
from store.monitor.errors import Expecting, next_files, record_errors
from store.monitor.workers.messages import Errors, WindowErrors
from store.settings import MonitorSettings
from tests.store.monitor.conftest import DEPLOYMENT, Bench

HOUR = 3600
#: Ten days ago, at a full hour.
START = int(times.now().timestamp()) // 86_400 * 86_400 - 10 * 86_400
ROWS = (
    f"SELECT i AS prediction_id, make_timestamp({START}000000 + i * 60000000) AS timestamp, (i % 7)::DOUBLE AS x,"
    " (i % 11)::DOUBLE AS prediction"
)


@pytest.fixture
def regression(bench: Bench) -> Bench:
    """A regression whose reference is among the objects, with one file of predictions that intake saw."""
    path = bench.file(f"{ROWS}, (i % 5)::DOUBLE AS label FROM range(400) t(i)")
    digest = Objects(layout(bench).objects).keep(path)[0]
    manifest = bench.register(task="regression", reference="reference.parquet")
    bench.reference(manifest, path)
    bench.database.writer.change(lambda tx: tx.execute("UPDATE model_version SET reference_digest = ?", [digest]))
    take(bench, 0)
    return bench


def layout(bench: Bench) -> Layout:
    made = Layout(bench.folder)
    made.create()
    return made


def take(bench: Bench, first: int) -> str:
    """A file of 120 predictions, a minute each; its digest."""
    path = bench.file(f"{ROWS} FROM range({first}, {first + 120}) t(i)")
    digest = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    bench.predict(path, digest)
    bench.database.writer.change(
        lambda tx: tx.execute(
            "INSERT INTO arrival (path_key, identity, path, kind, digest, outcome, recorded_at)"
            " VALUES (?, 1, ?, 'predictions', ?, 'taken', ?)",
            [first, str(path), digest, tx.now_db],
        )
    )
    return digest


def due(bench: Bench) -> Expecting | None:
    return bench.database.reader.read(lambda c: next_files(c, layout(bench), DEPLOYMENT, bench.settings))


def answered(bench: Bench, task: Expecting, rows: int = 1) -> int:
    """As if the worker expected an error of 2 in every minute of every file."""
    windows = [
        WindowErrors(arrival, START + 60 * minute, rows, [2.0 * rows, 4.0 * rows, 0.1, 0.1])
        for arrival in task.arrivals
        for minute in range(120)
    ]
    found = Errors(windows, 400, [])
    return bench.database.writer.change(lambda tx: record_errors(tx, task, found, bench.settings))


def test_each_file_is_looked_at_once_though_its_counts_are_rolled_up(regression: Bench) -> None:
    task = due(regression)
    assert task is not None and task.request is not None
    answered(regression, task)
    assert due(regression) is None
    before = regression.rows("SELECT sum(row_count), sum(sums[1]) FROM monitor_estimate")
    regression.database.writer.change(
        lambda tx: tx.execute("UPDATE monitor_estimate SET recorded_at = ?", [times.to_db(tx.now - timedelta(days=9))])
    )
    # Two files in an hour become one row, which says of no file that it is in it.
    answered_again = take(regression, 400)
    second = due(regression)
    assert second is not None and second.arrivals == (answered_again,)
    answered(regression, second)
    regression.database.writer.change(
        lambda tx: tx.execute("UPDATE monitor_estimate SET recorded_at = ?", [times.to_db(tx.now - timedelta(days=9))])
    )
    assert compact(regression.database, regression.settings.rolls) > 0
    assert regression.rows("SELECT DISTINCT arrival FROM monitor_estimate") == [("",)]
    assert due(regression) is None
    after = regression.rows("SELECT sum(row_count), sum(sums[1]) FROM monitor_estimate")
    assert after == [(2 * before[0][0], 2 * before[0][1])]


def test_an_answer_that_is_recorded_twice_counts_once(regression: Bench) -> None:
    task = due(regression)
    assert task is not None
    assert answered(regression, task) == 2
    assert answered(regression, task) == 0
    assert regression.rows("SELECT sum(row_count), sum(sums[2]) FROM monitor_estimate") == [(120, 480.0)]


def test_old_rows_are_kept_by_the_hour_and_young_ones_by_the_minute(regression: Bench) -> None:
    task = due(regression)
    assert task is not None
    answered(regression, task)
    assert regression.rows("SELECT window_seconds, count(*) FROM monitor_estimate GROUP BY ALL") == [(HOUR, 2)]
    regression.settings = MonitorSettings(compact=())
    take(regression, 200)
    task = due(regression)
    assert task is not None
    assert answered(regression, task) == 120


def test_a_file_that_told_nothing_is_not_asked_again(regression: Bench) -> None:
    task = due(regression)
    assert task is not None
    regression.database.writer.change(lambda tx: record_errors(tx, task, None, regression.settings))
    assert due(regression) is None
    assert regression.rows("SELECT count(*) FROM monitor_estimate") == [(0,)]


def test_a_store_whose_estimates_were_rolled_up_already_does_not_begin_anew() -> None:
    """What migration 11 makes of a store of before: two files rolled up, one not, and one that came later."""
    connection = duckdb.connect()
    for each in migrate.migrations():
        if each.number < 11:
            connection.execute(each.sql)
    connection.execute(
        "INSERT INTO monitor_file SELECT 'm@p', '1', 'f' || i, now(), now(), 1, make_timestamp(i * 1000000)"
        " FROM range(4) t(i)"
    )
    for arrival, second in (("", 1), ("f2", 2)):
        connection.execute(
            "INSERT INTO monitor_estimate VALUES ('m@p', '1', make_timestamp(0), 60, 1, [], ?, make_timestamp(?))",
            [arrival, second * 1_000_000],
        )
    connection.execute(next(each.sql for each in migrate.migrations() if each.number == 11))
    found = connection.execute("SELECT arrival FROM monitor_estimated ORDER BY 1").fetchall()
    assert found == [("f0",), ("f1",), ("f2",)]


def test_only_regressions_have_errors(bench: Bench) -> None:
    bench.reference(ModelManifest("m", "1"), None)
    bench.register()
    take(bench, 0)
    assert due(bench) is None
