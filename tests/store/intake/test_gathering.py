"""Predictions that keep coming share a transaction; the first after a pause, and everything else, does not wait."""

from __future__ import annotations

import pytest

from store.intake import intake
from tests.store.intake.running import Running, eventually

HEAD = "timestamp,prediction_id,score\n"


@pytest.fixture
def gathering(store: Running, monkeypatch: pytest.MonkeyPatch) -> Running:
    """One file was recorded just now, and those that follow would wait for a long time."""
    monkeypatch.setattr(intake, "GATHER", 10_000.0)
    store.put("models/m/1/model.json", {"task": "binary"})
    eventually(lambda: store.rows("SELECT * FROM model_version"))
    put(store, 0)
    eventually(lambda: arrived(store) == 1)
    return store


def put(store: Running, number: int) -> None:
    store.put(f"predictions/m@production/{number}.csv", f"{HEAD}2013-01-01 00:0{number}:00,p{number},0.7\n")


def arrived(store: Running) -> int:
    return int(store.one("SELECT count(*) FROM monitor_arrival"))


def transactions(store: Running) -> list[int]:
    """How many files each transaction recorded."""
    return [row[0] for row in store.rows("SELECT count(*) FROM monitor_arrival GROUP BY recorded_at ORDER BY ALL")]


def test_a_full_batch_is_recorded_together(gathering: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "BATCH", 3)
    for number in (1, 2, 3):
        put(gathering, number)
    eventually(lambda: arrived(gathering) == 4)
    assert transactions(gathering) == [1, 3]


def test_a_run_does_not_wait_and_takes_along_what_does(gathering: Running) -> None:
    for number in (1, 2):
        put(gathering, number)
    eventually(lambda: gathering.intake.status().waiting == 2)
    gathering.put("runs/r/run.json", {"status": "finished"})
    eventually(lambda: gathering.rows("SELECT * FROM run"))
    eventually(lambda: gathering.put("runs/s/run.json", {"status": "finished"}) and arrived(gathering) == 3)


def test_what_waited_is_taken_in_after_a_restart(gathering: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    put(gathering, 1)
    eventually(lambda: gathering.intake.status().waiting == 1)
    monkeypatch.setattr(intake, "GATHER", 0.0)
    gathering.restart()
    eventually(lambda: arrived(gathering) == 2)
    assert gathering.one("SELECT sum(row_count) FROM monitor_window") == 2
