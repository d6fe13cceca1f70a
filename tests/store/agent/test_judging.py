"""Decisions are read and made one after another: what is read for one is not held while the writer is busy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.agent import judging as judging_module
from store.agent.judging import Judging
from store.database import Database, times
from store.governance.journal import Journal
from store.monitor.sums import Sums
from store.settings import AlertSettings, MonitorSettings


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "metadata.duckdb", Journal)
    yield opened
    opened.close()


class Steps:
    """What was read and what was decided, in order; `begun` and `done` tell of the first and the last of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, last: str) -> None:
        self.taken: list[tuple[str, str]] = []
        self.begun, self.done = threading.Event(), threading.Event()
        self._last = last
        monkeypatch.setattr(judging_module, "foresee", self._foresee)
        monkeypatch.setattr(judging_module, "evaluate", self._evaluate)

    def _foresee(self, _connection: object, deployment: str, _rules: object) -> Sums:
        self.taken.append(("read", deployment))
        self.begun.set()
        return Sums()

    def _evaluate(self, _tx: object, deployment: str, *_: object) -> None:
        self.taken.append(("decided", deployment))
        if deployment == self._last:
            self.done.set()


def test_the_next_is_read_once_the_one_before_is_decided(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"m{number}@production" for number in range(8)]
    steps = Steps(monkeypatch, names[-1])
    judging = Judging(database, MonitorSettings(), AlertSettings(), [])
    for name in names:
        judging.committed({"windows": {name}}, times.now())
    assert steps.done.wait(30)
    judging.close()
    assert steps.taken == [(step, name) for name in names for step in ("read", "decided")]


def test_closing_waits_for_the_decision_under_way(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch, "m@production")
    judging = Judging(database, MonitorSettings(), AlertSettings(), [])
    judging.committed({"windows": {"m@production"}}, times.now())
    assert steps.begun.wait(30)
    judging.close()
    assert steps.taken == [("read", "m@production"), ("decided", "m@production")]


def test_a_writer_that_is_closed_holds_up_no_decision(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch, "m@production")
    judging = Judging(database, MonitorSettings(), AlertSettings(), [])
    database.writer.close()
    judging.committed({"windows": {"m@production"}}, times.now())
    assert steps.begun.wait(30)
    judging.close()
    assert steps.taken == [("read", "m@production")]
