"""Old counts are rolled up: sums stay, `--at` still answers, and nothing that stops it on the way does harm."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.database import Database, Transaction, times
from store.governance.journal import Journal
from store.monitor import performance_over_time
from store.monitor.compaction import TABLES, _portions, _roll_up, compact
from store.protocol import PerformanceParams, Refusal
from store.settings import MonitorSettings, Roll, load

HOUR, DAY = 3600, 86_400
#: A full day, ten days ago.
START = times.now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=10)
HOURLY = Roll(HOUR, 2 * DAY)
DAILY = Roll(DAY, 5 * DAY)

#: (minutes until it was recorded, minutes from START to its window, slots and counts)
ROW = st.tuples(
    st.integers(0, 4000), st.integers(-200, 3000), st.dictionaries(st.integers(0, 5), st.integers(1, 9), max_size=3)
)


def put(database: Database, rows: list[tuple[int, int, dict[int, int]]]) -> None:
    def change(tx: Transaction) -> None:
        for number, (recorded, window, counts) in enumerate(rows):
            start, at = START + timedelta(minutes=window), START + timedelta(minutes=recorded, seconds=7)
            tx.execute(
                "INSERT INTO monitor_window BY NAME SELECT 'm@production' AS deployment, '1' AS version,"
                " ?::TIMESTAMP AS window_start, 60 AS window_seconds, 'r' AS reference, ?::BIGINT AS row_count,"
                " ?::TIMESTAMP AS first_at, ?::TIMESTAMP AS last_at, ?::UINTEGER[] AS slots, ?::UINTEGER[] AS counts,"
                " ? AS arrival, ?::TIMESTAMP AS recorded_at",
                [times.to_db(start), sum(counts.values()), times.to_db(start), times.to_db(start), sorted(counts),
                 [counts[slot] for slot in sorted(counts)], f"f{number}", times.to_db(at)],
            )  # fmt: skip
            tx.execute(
                "INSERT INTO monitor_performance VALUES ('m@production', '1', ?, 60, ?, ?, ?, ?, 'l', ?)",
                [times.to_db(start), len(counts), sorted(counts), [-counts[slot] for slot in sorted(counts)],
                 [0.1 * len(counts), 1.0], times.to_db(at)],
            )  # fmt: skip

    database.writer.change(change)


def sums(database: Database, at: datetime | None, width: int) -> dict[tuple[int, int], int]:
    """(window, slot) → count, as known `at`; slot -1 counts rows."""
    bucket = f"floor(epoch(window_start) / {width})::BIGINT"
    rows = database.reader.read(
        lambda c: c.execute(
            f"SELECT w, slot, sum(n) FROM (SELECT {bucket} AS w, unnest(slots) AS slot, unnest(counts) AS n"
            " FROM monitor_window WHERE $1 IS NULL OR recorded_at <= $1) GROUP BY ALL UNION ALL"
            f" SELECT {bucket}, -1, sum(row_count) FROM monitor_window WHERE $1 IS NULL OR recorded_at <= $1"
            " GROUP BY ALL",
            [times.to_db(at) if at else None],
        ).fetchall()
    )
    return {(int(row[0]), int(row[1])): int(row[2]) for row in rows if row[2]}


def count(database: Database, table: str = "monitor_window") -> int:
    return int(database.reader.read(lambda c: c.execute(f"SELECT count(*) FROM {table}").fetchall())[0][0])


@pytest.fixture
def database(tmp_path: Path) -> Any:
    opened = Database.open(tmp_path / "metadata.duckdb", Journal)
    yield opened
    opened.close()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, max_size=12))
def test_every_sum_is_as_it_was_now_and_at_every_full_hour(
    rows: list[tuple[int, int, dict[int, int]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    opened = Database.open(tmp_path_factory.mktemp("store") / "metadata.duckdb", Journal)
    try:
        put(opened, rows)
        moments = [None, *(START + timedelta(hours=hour) for hour in (0, 1, 5, 24, 30, 66, 70))]
        before = {at: sums(opened, at, HOUR) for at in moments}
        compact(opened, (HOURLY,))
        assert {at: sums(opened, at, HOUR) for at in moments} == before
        compact(opened, (HOURLY, DAILY))
        days = [None, *(START + timedelta(days=day) for day in (0, 1, 2, 3))]
        daily = {at: sums(opened, at, DAY) for at in days}
        compact(opened, (HOURLY, DAILY))
        assert {at: sums(opened, at, DAY) for at in days} == daily
    finally:
        opened.close()


def test_rows_of_an_hour_that_were_recorded_in_an_hour_become_one(database: Database) -> None:
    put(database, [(minute, minute, {1: 2, 3: 1}) for minute in range(60)])
    assert compact(database, (HOURLY,)) == 118
    rows = database.reader.read(
        lambda c: c.execute(
            "SELECT window_start, window_seconds, row_count, slots, counts, files,"
            " epoch(recorded_at - first_recorded_at) FROM monitor_window"
        ).fetchall()
    )
    assert rows == [(times.to_db(START), HOUR, 180, [1, 3], [120, 60], 60, 59 * 60.0)]


def test_performance_is_added_up_with_its_sums(database: Database) -> None:
    put(database, [(minute, minute, {1: 2}) for minute in range(10)])
    compact(database, (HOURLY,))
    rows = database.reader.read(
        lambda c: c.execute("SELECT labelled, slots, counts, sums FROM monitor_performance").fetchall()
    )
    assert rows == [(10, [1], [-20], [1.0, 10.0])]


def test_a_late_row_stands_beside_what_was_rolled_up(database: Database) -> None:
    put(database, [(minute, minute, {1: 1}) for minute in range(60)])
    compact(database, (HOURLY,))
    put(database, [(4000, 5, {1: 1})])
    before = sums(database, START + timedelta(hours=1), HOUR)
    compact(database, (HOURLY,))
    assert count(database) == 2
    assert sums(database, START + timedelta(hours=1), HOUR) == before
    assert sums(database, None, HOUR)[int(START.timestamp()) // HOUR, 1] == 61


def test_labels_kept_by_the_hour_are_not_shown_as_of_its_first_quarter(database: Database) -> None:
    """Late labels are kept in hours at once, while the predictions of that time are still kept by the minute."""
    put(database, [(4000, minute, {1: 1}) for minute in range(60)])
    database.writer.change(
        lambda tx: tx.execute(
            "UPDATE monitor_performance SET window_start = ?, window_seconds = ?", [times.to_db(START), HOUR]
        )
    )
    since = START.timestamp()
    asked = PerformanceParams("m@production", window="15m", since=since, until=since + HOUR)
    found = database.reader.read(lambda c: performance_over_time(c, asked))
    assert (found.window_seconds, found.starts) == (HOUR, [since])
    assert (found.rows, found.labelled) == ([60], [60])


def test_what_is_young_is_left_alone(database: Database) -> None:
    minutes = (times.now() - START) / timedelta(minutes=1)
    put(database, [(int(minutes) - back, back, {1: 1}) for back in range(1, 47 * 60, 60)])
    before = count(database)
    assert compact(database, (HOURLY,)) == 0
    assert count(database) == before


def test_doing_it_again_changes_nothing(database: Database) -> None:
    put(database, [(minute, minute, {1: 1}) for minute in range(300)])
    compact(database, (HOURLY, DAILY))
    left = count(database)
    assert compact(database, (HOURLY, DAILY)) == 0
    assert count(database) == left == 1


def test_an_end_in_the_middle_loses_and_doubles_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each portion is whole or not there: the first ones are done, one fails after it deleted, the rest never began."""
    monkeypatch.setattr("store.monitor.compaction.PORTION", 60)
    put(database, [(minute, minute, {minute % 4: 1}) for minute in range(300)])
    before = sums(database, None, HOUR)
    portions = database.reader.read(lambda c: _portions(TABLES[0], HOURLY, times.now().timestamp() - 2 * DAY, c))
    assert len(portions) == 5
    database.writer.change(lambda tx: _roll_up(portions[0], tx))

    def die(tx: Transaction) -> None:
        _roll_up(portions[1], tx)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        database.writer.change(die)
    assert sums(database, None, HOUR) == before
    assert count(database) == 241
    compact(database, (HOURLY,))
    assert sums(database, None, HOUR) == before
    assert count(database) == 5


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('["1h"]', "1h after 2d"),
        ('["7m after 1d"]', "part of a day"),
        ('["1d after 2d", "1h after 9d"]', "ever wider"),
        ('["1h after 9d", "1d after 2d"]', "ever greater age"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_in_words(tmp_path: Path, written: str, said: str) -> None:
    (tmp_path / "quarterdeck.toml").write_text(f"[monitor]\ncompact = {written}\n")
    with pytest.raises(Refusal, match=said):
        load(tmp_path)


def test_widths_below_the_base_window_roll_nothing() -> None:
    assert MonitorSettings(base_window_seconds=DAY).rolls == (Roll(DAY, 180 * DAY),)
