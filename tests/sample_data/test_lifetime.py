"""The demo's processes: however the console or the conductor ends, nothing of them stays."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from agent_end import agents_of
from lifeline import set_on

from console.demo import run_demo, sample_data
from store.protocol import ExitCode, Refusal

PATIENCE = 20


class Headless:
    """`quarterdeck demo --headless` in the middle of training version 1, with its conductor and its trainer."""

    def __init__(self, scratch: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "console.cli", "demo", "--headless"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(scratch)},
        )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert "training version 1" in said
        (self.conductor,) = psutil.Process(self.process.pid).children()
        self.trainer = next(child for child in self.conductor.children() if "train.py" in " ".join(child.cmdline()))
        (self.store,) = scratch.glob("quarterdeck-demo-*")


@pytest.fixture
def headless(tmp_path: Path) -> Iterator[Headless]:
    started = Headless(tmp_path)
    yield started
    for process in (started.process, started.conductor, started.trainer):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            pass
    started.process.wait()
    assert started.process.stdout is not None
    started.process.stdout.close()


def gone(*processes: psutil.Process) -> bool:
    return not psutil.wait_procs(processes, PATIENCE)[1]


def test_a_killed_console_takes_everything_with_it(headless: Headless) -> None:
    agents = [psutil.Process(process) for process in agents_of(headless.store)]
    assert agents
    headless.process.kill()
    assert gone(headless.conductor, headless.trainer, *agents)
    assert not headless.store.exists()


def test_a_killed_conductor_takes_the_trainer_and_the_store_with_it(headless: Headless) -> None:
    agents = [psutil.Process(process) for process in agents_of(headless.store)]
    headless.conductor.kill()
    assert gone(headless.trainer, *agents)
    headless.process.wait(PATIENCE)
    assert not headless.store.exists()


def test_a_conductor_that_is_asked_to_end_ends_its_trainer(headless: Headless) -> None:
    headless.conductor.terminate()
    assert gone(headless.conductor, headless.trainer)


def test_the_sample_data_is_found_in_a_checkout() -> None:
    assert (sample_data() / "flights_2013.parquet").is_file()


def test_without_a_terminal_the_demo_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(Refusal) as refused:
        run_demo()
    assert refused.value.code is ExitCode.USAGE
    assert "needs a terminal" in refused.value.message


def test_a_script_run_by_hand_has_no_lifeline(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    import lifeline

    monkeypatch.delenv(lifeline.VARIABLE, raising=False)
    lifeline.die_with_parent()
    assert "lifeline" not in [thread.name for thread in threading.enumerate()]


def test_a_signal_in_the_middle_of_a_wait_stops_all_the_same() -> None:
    stopping = threading.Event()
    before = signal.getsignal(signal.SIGUSR1)
    set_on(stopping, signal.SIGUSR1)
    try:
        # As `stopping.wait()` holds it; a handler that set the event itself would wait here for ever.
        with stopping._cond:  # type: ignore[attr-defined]
            os.kill(os.getpid(), signal.SIGUSR1)
        assert stopping.wait(PATIENCE)
    finally:
        signal.signal(signal.SIGUSR1, before)
