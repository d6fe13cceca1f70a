"""The real command on a real store with its real agent, for every test of this folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pty_driver import Session

from tests.driver import RunningAgent
from tests.filled_store import QUARTERDECK, fill


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One filled store a module."""
    with RunningAgent(tmp_path_factory.mktemp("store")) as agent:
        fill(agent)
        yield agent.store


@pytest.fixture
def open_console(store: Path) -> Iterator[Callable[..., Session]]:
    """`open_console(columns=…, lines=…, env=…)`: the real command on a terminal of its own."""
    opened: list[Session] = []

    def start(*, columns: int = 120, lines: int = 40, env: dict[str, str] | None = None) -> Session:
        own_home = {"HOME": os.fspath(store / "home"), "XDG_STATE_HOME": os.fspath(store / "state")}
        command = [*QUARTERDECK, "--store", str(store)]
        session = Session(command, columns=columns, lines=lines, env={**own_home, **(env or {})})
        opened.append(session)
        return session

    yield start
    for session in opened:
        session.__exit__()
