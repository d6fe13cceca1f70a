"""What is read of the store, and where: the ends of the data, counts once, decisions outside the writer."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.database import Database, Transaction, times
from store.governance.journal import Journal
from store.monitor import counts, evaluate, record_predictions, scan_predictions
from store.monitor.judge import foresee
from store.monitor.reference import load_reference
from store.monitor.remembered import Answers
from store.monitor.rules import compiled
from store.monitor.sums import Sums
from store.monitor.windows import DAY, window
from store.settings import AlertSettings, MonitorSettings
from tests.store.monitor.conftest import DEPLOYMENT, Bench

SETTINGS = MonitorSettings(alert_span=1, open_after=1, min_rows=100)
RULES = compiled(SETTINGS, AlertSettings())
FIRST = datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC)


@pytest.fixture
def watched(bench: Bench) -> Bench:
    """Four days, of which the second one drifted."""
    bench.reference(bench.register(), bench.file("SELECT (i % 1000)::DOUBLE AS x FROM range(20000) t(i)"))
    for number, shift in enumerate((0, 800, 0, 0)):
        bench.predict(
            bench.file(
                f"SELECT 'd{number}-' || i AS prediction_id, TIMESTAMP '2024-05-01' + to_days({number}) AS timestamp,"
                f" (i * 7 % 1000 + {shift})::DOUBLE AS x FROM range(500) t(i)"
            )
        )
    return bench


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    opened = Database.open(tmp_path_factory.mktemp("store") / "metadata.duckdb", Journal)
    yield opened
    opened.close()


@given(
    rows=st.lists(st.tuples(st.sampled_from(["a@p", "b@p"]), st.integers(0, 9), st.integers(0, 9)), max_size=30),
    at=st.integers(0, 9) | st.none(),
)
def test_the_ends_of_the_data_are_the_least_and_the_greatest(
    database: Database, rows: list[tuple[str, int, int]], at: int | None
) -> None:
    moments = [FIRST + datetime.timedelta(days=number) for number in range(10)]
    known = [times.to_db(moments[event]) for name, event, r in rows if name == "a@p" and (at is None or r <= at)]
    with database.cursor() as cursor:
        cursor.execute("DELETE FROM monitor_window")
        for deployment, event, recorded in rows:
            cursor.execute(
                "INSERT INTO monitor_window BY NAME SELECT $1 AS deployment, '1' AS version, $2 AS window_start,"
                " 60 AS window_seconds, '' AS reference, 1 AS row_count, $2 AS first_at, $2 AS last_at,"
                " [] AS slots, [] AS counts, '' AS arrival, $3 AS recorded_at",
                [deployment, times.to_db(moments[event]), times.to_db(moments[recorded])],
            )
    moment = moments[at] if at is not None else None
    read = database.reader.read
    assert read(lambda c: counts.first_data(c, "a@p", moment)) == min(known, default=None)
    assert read(lambda c: counts.last_data(c, "a@p", moment)) == max(known, default=None)


def test_a_part_of_what_is_held_is_what_the_store_says_of_it(watched: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = watched.database.reader.read(lambda c: load_reference(c, "m", "1"))
    assert reference is not None
    days = window("1d", 60)
    first = int(FIRST.timestamp())

    def read(sums: Sums, since: int, until: int) -> Any:
        asked = (DEPLOYMENT, "1", reference, days, first + since * DAY, first + until * DAY)
        return watched.database.reader.read(lambda c: sums.of(c, *asked))  # type: ignore[arg-type]

    alone = {(since, until): read(Sums(), since, until) for since in range(4) for until in range(since + 1, 5)}
    held = Sums()
    read(held, 0, 4)
    monkeypatch.setattr(counts, "slot_sums", _forbidden)
    for (since, until), (starts, dense) in alone.items():
        if until <= 4:
            found = read(held, since, until)
            np.testing.assert_array_equal(found[0], starts)
            np.testing.assert_array_equal(found[1], dense)
    with pytest.raises(AssertionError, match="read again"):
        read(held, 0, 5)


def test_a_decision_takes_what_was_read_before(watched: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    sums = watched.database.reader.read(lambda c: foresee(c, DEPLOYMENT, RULES))
    assert sums is not None
    monkeypatch.setattr(counts, "slot_sums", _forbidden)
    watched.database.writer.change(
        lambda tx: evaluate(tx, DEPLOYMENT, SETTINGS, AlertSettings(), RULES, settle=False, sums=sums)
    )
    found = watched.rows("SELECT feature, event FROM monitor_alert_event WHERE rule = 'drift' AND feature = 'x'")
    assert ("x", "opened") in found


def test_what_windows_say_together_is_of_the_counts_that_are_held(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.reference(bench.register(), bench.file("SELECT (i % 1000)::DOUBLE AS x FROM range(20000) t(i)"))
    bench.predict(
        bench.file(
            "SELECT 'd' || i AS prediction_id, TIMESTAMP '2024-05-01' + to_days((i // 50)::INTEGER) AS timestamp,"
            " (i * 7 % 1000 + 800)::DOUBLE AS x FROM range(300) t(i)"
        )
    )
    sums = bench.database.reader.read(lambda c: foresee(c, DEPLOYMENT, RULES))
    monkeypatch.setattr(counts, "slot_sums", _forbidden)
    bench.database.writer.change(
        lambda tx: evaluate(tx, DEPLOYMENT, SETTINGS, AlertSettings(), RULES, settle=False, sums=sums)
    )
    assert bench.rows("SELECT state FROM monitor_alert_now WHERE rule = 'drift' AND feature = 'x'") == [("open",)]


def test_rows_that_come_while_it_is_decided_do_not_lack_their_features(watched: Bench) -> None:
    sums = watched.database.reader.read(lambda c: foresee(c, DEPLOYMENT, RULES))
    watched.predict(
        watched.file(
            "SELECT 'late' || i AS prediction_id, TIMESTAMP '2024-05-03' AS timestamp, (i % 1000)::DOUBLE AS x"
            " FROM range(3000) t(i)"
        )
    )
    watched.database.writer.change(
        lambda tx: evaluate(tx, DEPLOYMENT, SETTINGS, AlertSettings(), RULES, settle=False, sums=sums)
    )
    assert watched.rows("SELECT feature, message FROM monitor_alert_event WHERE rule = 'missing'") == []


def test_what_a_change_read_before_it_was_rolled_back_is_read_again(watched: Bench) -> None:
    sums = watched.database.reader.read(lambda c: foresee(c, DEPLOYMENT, RULES))
    path = watched.file(
        "SELECT 'n' || i || '-' || day AS prediction_id, TIMESTAMP '2024-05-05' + to_days(day) AS timestamp,"
        " (i * 7 % 1000 + 800)::DOUBLE AS x FROM range(500) t(i), range(2) d(day)"
    )
    scan = watched.database.reader.read(
        lambda c: scan_predictions(c, path, "parquet", DEPLOYMENT, path.name, watched.settings)
    )

    def decide(tx: Transaction) -> None:
        evaluate(tx, DEPLOYMENT, SETTINGS, AlertSettings(), RULES, settle=False, sums=sums)

    def fail(tx: Transaction) -> None:
        record_predictions(tx, scan)
        decide(tx)
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="disk"):
        watched.database.writer.change(fail)
    watched.predict(
        watched.file(
            "SELECT 'c' || i || '-' || day AS prediction_id, TIMESTAMP '2024-05-05' + to_days(day) AS timestamp,"
            " (i * 7 % 1000)::DOUBLE AS x FROM range(500) t(i), range(2) d(day)"
        )
    )
    watched.database.writer.change(decide)
    found = watched.rows(
        "SELECT epoch(window_end), value < 0.1 FROM monitor_alert_event WHERE rule = 'drift'"
        " ORDER BY ordinal DESC LIMIT 1"
    )
    assert found == [(FIRST.timestamp() + 5 * DAY, True)]


def test_nothing_is_foreseen_where_no_window_ended(watched: Bench) -> None:
    watched.database.writer.change(lambda tx: evaluate(tx, DEPLOYMENT, SETTINGS, AlertSettings(), RULES))
    assert watched.database.reader.read(lambda c: foresee(c, DEPLOYMENT, RULES)) is None


def test_a_small_file_of_a_known_version_asks_the_store_nothing(watched: Bench) -> None:
    answers = Answers()
    path = watched.file(
        "SELECT 'n' || i AS prediction_id, TIMESTAMP '2024-05-09' AS timestamp, i::DOUBLE AS x FROM range(50) t(i)"
    )

    def scan(connection: Any) -> int:
        return scan_predictions(
            connection, path, "parquet", DEPLOYMENT, "digest", watched.settings, remembered=answers
        ).counted

    assert watched.database.reader.read(scan) == 50
    assert scan(_forbidden) == 50


def _forbidden(*_: object) -> Any:
    raise AssertionError("read again")
