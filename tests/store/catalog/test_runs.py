"""Runs: what arrives in pieces becomes one run, the same arrival twice changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from store.catalog import run_columns, run_metrics, runs
from store.catalog.listing import Listings
from store.catalog.listings import runs_listing
from store.catalog.runs import MetricPoint, RunArrival
from store.database import Actor, Database, migrate
from store.governance.journal import Journal
from store.protocol import ListParams, MetricSeries, Refusal, RunMetricsParams

START = datetime(2026, 1, 1, tzinfo=UTC)
ACTOR = Actor("tester", "intake")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "metadata.duckdb", Journal)
    yield opened
    opened.close()


def record(database: Database, *arrivals: RunArrival) -> dict[str, int]:
    return database.writer.change(lambda tx: runs.record(tx, arrivals, ACTOR))


def rows(database: Database, sql: str) -> list[tuple[Any, ...]]:
    return database.reader.read(lambda c: c.execute(sql).fetchall())


def points(values: list[float]) -> list[MetricPoint]:
    return [MetricPoint("loss", step, START + timedelta(seconds=step), value) for step, value in enumerate(values)]


def test_pieces_of_a_run_add_up_to_one_present_row(database: Database) -> None:
    record(database, RunArrival("r", status="running", params={"lr": "0.1"}))
    record(database, RunArrival("r", points=points([3.0, 2.0])))
    record(database, RunArrival("r", status="finished"))
    assert rows(database, "SELECT status, p1_lr, m2_loss FROM run WHERE superseded_at IS NULL") == [
        ("finished", "0.1", 2.0)
    ]
    assert rows(database, "SELECT count(*), count(DISTINCT sequence) FROM run") == [(3, 1)]


def test_the_same_arrival_twice_is_one_fact_and_one_journal_row(database: Database) -> None:
    arrival = RunArrival("r", status="finished", started_at=START, params={"lr": "0.1"}, tags={"a": "b"})
    assert record(database, arrival) == record(database, arrival)
    assert rows(database, "SELECT count(*) FROM run") == [(1,)]
    assert rows(database, "SELECT count(*) FROM journal") == [(1,)]


def test_keys_that_differ_only_by_case_or_punctuation_stay_apart(database: Database) -> None:
    record(database, RunArrival("r", params={"LR": "1", "lr": "2", "l-r": "3", "l r": "4", 'x"; DROP TABLE run': "5"}))
    names = dict(rows(database, "FROM run_column"))
    assert len(set(map(str.lower, names.values()))) == 5
    assert rows(database, f'SELECT "{names["param.LR"]}", "{names["param.lr"]}" FROM run') == [("1", "2")]


def test_keys_past_the_limit_are_kept_in_the_overflow(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_columns, "LIMIT", 2)
    record(database, RunArrival("r", params={"a": "1", "b": "2", "c": "3"}))
    record(database, RunArrival("r", params={"d": "4"}))
    assert rows(database, "SELECT overflow FROM run WHERE superseded_at IS NULL") == [
        ('{"param.c":"3","param.d":"4"}',)
    ]


def test_a_thinned_series_keeps_ends_and_spikes(database: Database) -> None:
    values = [1.0] * 5000
    values[1234], values[4321] = 99.0, -99.0
    record(database, RunArrival("r", points=points(values)))
    found = database.reader.read(lambda c: run_metrics.metrics(c, RunMetricsParams("r", points=100)))
    (series,) = found.series
    assert series.total == 5000
    assert len(series.values) <= 100
    assert {99.0, -99.0} <= set(series.values)
    assert (series.steps[0], series.steps[-1]) == (0, 4999)
    assert series.steps == sorted(series.steps)


def test_nan_and_infinities_travel_as_texts(database: Database) -> None:
    record(database, RunArrival("r", points=points([1.0, float("nan"), float("inf"), float("-inf"), float("nan")])))
    (series,) = database.reader.read(lambda c: run_metrics.metrics(c, RunMetricsParams("r"))).series
    assert series.values == [1.0, "nan", "inf", "-inf", "nan"]
    assert (series.last, series.lowest, series.highest) == ("nan", "-inf", "inf")
    back = msgspec.json.decode(msgspec.json.encode(series), type=MetricSeries)
    assert back == series


def test_of_nothing_but_nan_the_least_is_nan(database: Database) -> None:
    record(database, RunArrival("r", points=points([float("nan")] * 3)))
    (series,) = database.reader.read(lambda c: run_metrics.metrics(c, RunMetricsParams("r"))).series
    assert (series.last, series.lowest, series.highest, series.total) == ("nan", "nan", "nan", 3)


def test_metrics_of_an_unknown_run_are_refused(database: Database) -> None:
    with pytest.raises(Refusal, match="There is no run 'nosuch'"):
        database.reader.read(lambda c: run_metrics.metrics(c, RunMetricsParams("nosuch")))


NAN, INF = float("nan"), float("inf")


def cells(database: Database, column: str, **params: Any) -> dict[str, Any]:
    """Run → its cell, in the order of the page."""
    listing = Listings([runs_listing(params.pop("silent_after", 3600.0))])
    page = database.reader.read(lambda c: listing.page(c, ListParams("runs", **params)))
    place = [one.name for one in page.columns].index(column)
    return {str(row[0]): row[place] for row in page.rows}


def test_a_metric_that_ended_as_nan_is_told_from_one_that_was_never_logged(database: Database) -> None:
    ends = {"low": 1.0, "nan": NAN, "inf": INF, "minus": -INF, "high": 5.0}
    record(
        database,
        *(RunArrival(name, points=points([0.5, end])) for name, end in ends.items()),
        RunArrival("never", status="finished"),
    )
    column = "metric.loss"
    # Numbers with the infinities at their ends, then NaN, then what is absent: whichever way.
    up = cells(database, column, sort=column)
    assert list(up.items()) == [
        ("minus", "-inf"), ("low", 1.0), ("high", 5.0), ("inf", "inf"), ("nan", "nan"), ("never", None)
    ]  # fmt: skip
    down = cells(database, column, sort=f"{column}:desc")
    assert list(down) == ["inf", "high", "low", "minus", "nan", "never"]
    assert set(cells(database, column, filter="metric.loss=nan")) == {"nan"}
    assert set(cells(database, column, filter="metric.loss=inf")) == {"inf"}
    assert set(cells(database, column, filter="metric.loss>2")) == {"high", "inf"}
    assert set(cells(database, column, filter="metric.loss<2")) == {"low", "minus"}
    assert set(cells(database, column, filter="metric.loss!=nan")) == {"low", "high", "inf", "minus", "never"}
    assert set(cells(database, column, filter="!metric.loss>2")) == {"low", "minus", "nan", "never"}


def test_nan_again_is_no_new_fact(database: Database) -> None:
    record(database, RunArrival("r", points=points([NAN])))
    record(database, RunArrival("r", params={"a": "1"}))
    record(database, RunArrival("r", params={"a": "1"}))
    assert rows(database, "SELECT count(*) FROM run") == [(2,)]


def test_infinite_metrics_past_the_column_limit_are_kept(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_columns, "LIMIT", 0)
    record(database, RunArrival("r", points=points([INF, -INF, NAN])))
    assert rows(database, "SELECT overflow FROM run") == [('{"metric.loss":"nan"}',)]


def stepped(*steps: int, metric: str = "loss") -> list[MetricPoint]:
    return [MetricPoint(metric, step, START + timedelta(seconds=place), step / 10) for place, step in enumerate(steps)]


def attempts(database: Database) -> list[tuple[Any, ...]]:
    return rows(database, "SELECT step, attempt FROM metric_point WHERE metric = 'loss' ORDER BY rowid")


@pytest.mark.parametrize("cut", [0, 3, 6, 8, 9])
def test_steps_that_repeat_are_the_next_attempt_however_they_arrived(database: Database, cut: int) -> None:
    logged = stepped(*range(1, 8), 4, 5, 6)
    record(database, RunArrival("r", status="running", points=logged[:cut]))
    record(database, RunArrival("r", points=logged[cut:]))
    assert attempts(database) == [(step, 1) for step in range(1, 8)] + [(4, 2), (5, 2), (6, 2)]
    found = database.reader.read(lambda c: run_metrics.metrics(c, RunMetricsParams("r")))
    assert found.attempts == 2
    (series,) = found.series
    assert series.last == 0.6 == cells(database, "metric.loss")["r"]
    assert series.steps == [1, 2, 3, 4, 5, 6, 7, 4, 5, 6]
    assert series.attempts == [1] * 7 + [2] * 3
    assert cells(database, "attempts") == {"r": 2}


def test_a_step_that_comes_late_or_twice_in_a_row_is_no_new_attempt(database: Database) -> None:
    record(database, RunArrival("r", points=stepped(1, 2, 4, 3, 5, 5, 5, 6)))
    record(database, RunArrival("r", points=stepped(6, 8)))
    record(database, RunArrival("r", points=stepped(7)))
    assert {attempt for _, attempt in attempts(database)} == {1}


def test_another_metric_of_the_same_resume_is_of_the_same_attempt(database: Database) -> None:
    record(database, RunArrival("r", points=[*stepped(*range(10)), *stepped(0, 5, metric="val")]))
    record(database, RunArrival("r", points=[*stepped(4, 5, 6), *stepped(5, metric="val"), *stepped(7)]))
    record(database, RunArrival("other", points=stepped(1, 2)))
    assert rows(database, "SELECT DISTINCT metric, attempt FROM metric_point WHERE attempt = 2 ORDER BY 1") == [
        ("loss", 2), ("val", 2)
    ]  # fmt: skip
    assert cells(database, "attempts") == {"other": 1, "r": 2}


def test_a_third_attempt_and_a_file_that_began_anew(database: Database) -> None:
    # Resumed at 2, and then at 1, before the second attempt's own beginning.
    record(database, RunArrival("r", points=stepped(1, 2, 3, 2, 3, 1, 2)))
    assert [attempt for _, attempt in attempts(database)] == [1, 1, 1, 2, 2, 3, 3]
    record(database, RunArrival("r", new_attempt=True))
    record(database, RunArrival("r", points=stepped(9), new_attempt=True))
    assert attempts(database)[-1] == (9, 4)
    assert rows(database, "SELECT attempts FROM run WHERE superseded_at IS NULL") == [(4,)]


def test_points_recorded_before_attempts_were_told_apart_are_the_first(database: Database) -> None:
    record(database, RunArrival("r", points=stepped(1, 2, 3)))
    database.writer.change(lambda tx: tx.execute("UPDATE metric_point SET attempt = NULL"))
    database.writer.change(lambda tx: tx.execute("UPDATE run SET attempts = NULL, last_word_at = NULL"))
    record(database, RunArrival("r", points=stepped(2, 3)))
    assert attempts(database) == [(1, None), (2, None), (3, None), (2, 2), (3, 2)]
    (series,) = database.reader.read(lambda c: run_metrics.metrics(c, RunMetricsParams("r"))).series
    assert series.attempts == [1, 1, 1, 2, 2]


def test_a_running_run_that_gave_no_word_is_said_to_be_silent_as_of_any_moment(database: Database) -> None:
    now = datetime.now(UTC)
    old = now - timedelta(hours=3, minutes=10)
    last = MetricPoint("loss", 1, old, 0.5)
    record(
        database,
        RunArrival("gone", status="running", points=[last]),
        RunArrival("heard", status="running", points=[last], word_at=now - timedelta(minutes=5)),
        RunArrival("ended", status="finished", points=[last]),
        RunArrival("never", status="running", started_at=now - timedelta(days=4)),
    )
    assert cells(database, "silence") == {
        "never": "no word for 4 d", "ended": None, "heard": None, "gone": "no word for 3 h"
    }  # fmt: skip
    assert cells(database, "silence", silent_after=60.0)["heard"] == "no word for 5 min"
    assert set(cells(database, "silence", filter='silence:"no word"')) == {"never", "gone"}
    later = (now + timedelta(days=3)).timestamp()
    assert cells(database, "silence", at=later)["heard"] == "no word for 3 d"
    page = database.reader.read(lambda c: run_metrics.metrics(c, RunMetricsParams("gone")))
    assert (page.silence, page.last_metric) == ("no word for 3 h", pytest.approx(old.timestamp()))
    assert page.last_word == pytest.approx(old.timestamp())
    record(database, RunArrival("gone", status="killed"))
    assert cells(database, "silence")["gone"] is None


def test_a_word_from_the_future_is_of_now(database: Database) -> None:
    """A training host whose clock runs ahead does not hide its own end."""
    ahead = datetime.now(UTC) + timedelta(days=2)
    record(database, RunArrival("r", status="running", points=[MetricPoint("loss", 1, ahead, 0.5)]))
    later = (datetime.now(UTC) + timedelta(hours=5)).timestamp()
    assert cells(database, "silence", at=later) == {"r": "no word for 5 h"}


def test_runs_recorded_by_an_earlier_version_stay_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metadata.duckdb"
    all_of_them = migrate.migrations()
    monkeypatch.setattr(migrate, "migrations", lambda: [one for one in all_of_them if one.number < 15])
    older = Database.open(path, Journal)
    heard = (datetime.now(UTC) - timedelta(hours=2, minutes=1)).replace(tzinfo=None)

    def fill(tx: Any) -> None:
        tx.execute('ALTER TABLE run ADD COLUMN "m1_loss" DOUBLE')
        tx.execute("INSERT INTO run_column VALUES ('metric.loss', 'm1_loss')")
        tx.execute(
            "INSERT INTO run (sequence, name, status, effective_at, recorded_at, m1_loss)"
            " VALUES (1, 'old', 'running', TIMESTAMP '2020-01-01', ?, 0.5)",
            [heard],
        )
        tx.execute("INSERT INTO metric_point VALUES (1, 'loss', 1, ?, 0.5, ?)", [heard, heard])

    older.writer.change(fill)
    older.close()
    monkeypatch.undo()
    opened = Database.open(path, Journal)
    # Not its start years ago: the last that is known of it is when its row was written.
    assert cells(opened, "silence") == {"old": "no word for 2 h"}
    assert cells(opened, "attempts") == {"old": None}
    assert cells(opened, "last_metric") == {"old": None}
    found = opened.reader.read(lambda c: run_metrics.metrics(c, RunMetricsParams("old")))
    assert (found.attempts, found.series[0].last, found.series[0].attempts) == (1, 0.5, [1])
    opened.writer.change(lambda tx: runs.record(tx, [RunArrival("old", points=stepped(1, 2, 1))], ACTOR))
    assert cells(opened, "attempts") == {"old": 2}
    opened.close()
