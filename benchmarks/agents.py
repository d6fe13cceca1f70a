"""A real agent on a store, and the files that arrive for it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import ROOT
from benchmarks.seed import RUNS, copy_of, seeded_store
from console.link import Client
from store.protocol import Empty, ListParams, Refusal

QUARTERDECK = (sys.executable, "-m", "console.cli")


@contextlib.contextmanager
def agent_on(store: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An agent process that answers; it is stopped at the end."""
    process = subprocess.Popen([sys.executable, "-m", "store.agent", "--store", str(store)], cwd=ROOT)
    try:
        connect(store).close()
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def connect(store: Path, seconds: float = 60.0) -> Client:
    """A connection to the agent of `store`, as soon as it answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return Client.connect(store, start_agent=False, client="benchmark")
        except Refusal:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


@contextlib.contextmanager
def seeded_agent(runs: int = RUNS) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """A copy of the seeded store with its agent."""
    with tempfile.TemporaryDirectory(prefix="quarterdeck-") as folder:
        store = copy_of(seeded_store(runs), Path(folder))
        with agent_on(store) as process:
            yield store, process


def write_run(folder: Path, name: str, auc: float = 0.75) -> Path:
    """A finished run as files in `folder/NAME` (not yet where the agent looks)."""
    run = folder / name
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"status": "finished", "owner": "benchmark"}))
    (run / "params.json").write_text(json.dumps({"optimizer": "v1", "max_depth": "v6"}))
    (run / "metrics.jsonl").write_text(json.dumps({"metric": "auc", "step": 1, "value": auc}) + "\n")
    return run


def total_runs(client: Client, filter_text: str = "") -> int:
    page = client.call("list", ListParams(kind="runs", filter=filter_text, limit=1, columns=["name"]))
    return int(page.total)


def memory_bytes(pid: int) -> int:
    """Resident memory that is the process's own."""
    import psutil

    return int(psutil.Process(pid).memory_full_info().uss)


def cpu_seconds(pid: int) -> float:
    """User and system time of the process and its ended children."""
    import psutil

    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def waited_seconds(pid: int) -> float:
    """For how long the threads of the process were ready to run while others had the processors (Linux)."""
    waited = 0
    for stat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        # A thread may end in between.
        with contextlib.suppress(OSError):
            waited += int(stat.read_text().split()[1])
    return waited / 1e9


def settled(client: Client, seconds: float = 60.0) -> None:
    """Waits until nothing waits to be taken in."""
    deadline = time.monotonic() + seconds
    while client.call("status", Empty()).queue:
        if time.monotonic() > deadline:
            raise TimeoutError(f"arrivals still wait after {seconds} s")
        time.sleep(0.05)
