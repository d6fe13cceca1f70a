"""A worker is bounded: what it takes too much of, and how it dies, ends in words and costs nobody else anything."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from store.catalog.manifest import ModelManifest
from store.monitor.workers import process
from store.monitor.workers.messages import Compared, Comparison, File
from store.protocol import ExitCode, Refusal
from tests.store.monitor.conftest import FLIGHTS


def asked(**changes: Any) -> Compared:
    file = File(str(FLIGHTS), "parquet")
    known = {
        "manifest": ModelManifest("m", "1"), "version": "1", "only_version": False,
        "features": {"temperature_f": "numeric"}, "reference": file, "files": [file],
        "since": 0.0, "until": 2e9, "limit": 2000,
    }  # fmt: skip
    return Compared(**{**known, **changes})


def refused(request: Compared, **limits: Any) -> Refusal:
    with pytest.raises(Refusal) as found:
        process.run("multivariate", request, Comparison, **limits)
    assert found.value.code is ExitCode.REFUSED
    return found.value


def test_a_worker_that_takes_too_long_is_stopped() -> None:
    began = time.monotonic()
    assert refused(asked(), seconds=0.2).message == "The multivariate worker took more than 0.2 s and was stopped."
    assert time.monotonic() - began < 10


def test_a_worker_that_needs_too_much_memory_says_so() -> None:
    assert refused(asked(), memory_bytes=600 << 20).message == "The worker needs more than 600 MiB of memory."


def test_workers_end_when_the_agent_stops() -> None:
    ended: list[str] = []

    def run() -> None:
        ended.append(refused(asked(limit=50_000)).message)

    waiting = threading.Thread(target=run)
    waiting.start()
    while not process._alive:
        time.sleep(0.01)
    process.stop_all()
    waiting.join(20)
    assert ended == ["The multivariate worker failed: it said nothing"]


def test_a_worker_imports_nothing_from_the_folder_it_starts_in(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "store.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    found = process.run("multivariate", asked(limit=100, features={"temperature_f": "numeric"}), Comparison)
    assert found.rows > 0


def test_the_agents_process_never_imports_scikit_learn() -> None:
    import subprocess

    code = (
        "import sys, store.agent.service, store.monitor.multivariate, store.monitor.performance_reading;"
        "print([name for name in ('sklearn', 'pandas', 'scipy') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.strip() == "[]"
