"""The console on an agent that is stopped: it says so with the process and what helps, and goes on afterwards."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from pty_driver import Session

from tests.driver import RunningAgent
from tests.filled_store import QUARTERDECK, fill

FLEET = r"flight-delay@prod"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    with RunningAgent(tmp_path_factory.mktemp("store")) as running:
        fill(running)
        yield running


@pytest.fixture
def pid(agent: RunningAgent) -> Iterator[int]:
    assert agent.process
    yield agent.process.pid
    os.kill(agent.process.pid, signal.SIGCONT)


def opened(agent: RunningAgent, columns: int, lines: int, home: Path) -> Session:
    env = {"HOME": str(home), "XDG_STATE_HOME": str(home)}
    return Session([*QUARTERDECK, "--store", str(agent.store)], columns=columns, lines=lines, env=env)


@pytest.mark.parametrize(("columns", "lines"), [(120, 40), (80, 24)])
def test_nobody_touches_the_keys(agent: RunningAgent, pid: int, columns: int, lines: int, tmp_path: Path) -> None:
    with opened(agent, columns, lines, tmp_path) as console:
        console.wait_for(FLEET)
        console.wait_for(r"live")
        os.kill(pid, signal.SIGSTOP)
        # The bound is 5 s; a loaded machine is given more.
        console.wait_for(rf"(?s)agent silent.*process {pid}, stopped by a signal", 15)
        text = " ".join(console.text.split())
        assert f"kill -CONT {pid}" in text
        assert "agent stop --force" in text
        assert FLEET in console.text, "what was known stays on the screen"
        os.kill(pid, signal.SIGCONT)
        console.wait_for(r" live")
        console.wait_gone("kill -CONT")


def test_a_key_that_needs_the_agent_is_answered_at_once(agent: RunningAgent, pid: int, tmp_path: Path) -> None:
    with opened(agent, 120, 40, tmp_path) as console:
        console.wait_for(FLEET)
        console.wait_for(r"live")
        os.kill(pid, signal.SIGSTOP)
        console.send("R")
        console.wait_for(rf"Roll back: (waiting for the agent, process {pid}|The agent does not answer)", 10)
        console.wait_for(r"agent silent", 15)
        console.send("R")
        console.wait_for(rf"Roll back: The agent does not answer: process {pid}", 10)


def test_opening_it_on_a_stopped_agent_says_so_at_the_prompt(agent: RunningAgent, pid: int, tmp_path: Path) -> None:
    os.kill(pid, signal.SIGSTOP)
    with opened(agent, 120, 40, tmp_path) as console:
        console.wait_for(rf"process {pid}, stopped by a signal")
        assert console.wait_end() == 3
        assert "Traceback" not in console.text
