"""Runs: what arrives in pieces becomes one run, the same arrival twice changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from store.catalog import run_columns, runs
from store.catalog.runs import MetricPoint, RunArrival
from store.database import Actor, Database
from store.governance.journal import Journal
from store.protocol import Refusal, RunMetricsParams

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
    found = database.reader.read(lambda c: runs.metrics(c, RunMetricsParams("r", points=100)))
    (series,) = found.series
    assert series.total == 5000
    assert len(series.values) <= 100
    assert {99.0, -99.0} <= set(series.values)
    assert (series.steps[0], series.steps[-1]) == (0, 4999)
    assert series.steps == sorted(series.steps)


def test_nan_points_travel_as_null(database: Database) -> None:
    record(database, RunArrival("r", points=points([1.0, float("nan"), float("inf")])))
    (series,) = database.reader.read(lambda c: runs.metrics(c, RunMetricsParams("r"))).series
    assert series.values == [1.0, None, None]


def test_metrics_of_an_unknown_run_are_refused(database: Database) -> None:
    with pytest.raises(Refusal, match="There is no run 'nosuch'"):
        database.reader.read(lambda c: runs.metrics(c, RunMetricsParams("nosuch")))
