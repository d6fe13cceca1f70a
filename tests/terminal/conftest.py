"""A real store with its real agent, filled through files and the command line, for every test of this folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pty_driver import Session

QUARTERDECK = (sys.executable, "-m", "console.cli")
MODEL = "flight-delay"
DEPLOYMENT = f"{MODEL}@production"


def quarterdeck(store: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """A command of the command line on `store`."""
    return subprocess.run(
        [*QUARTERDECK, *arguments, "--store", str(store)],
        check=check,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


def write_model(store: Path, version: str, model: str = MODEL) -> None:
    """An opaque model that arrives whole."""
    making = store / "making" / f"{model}-{version}"
    making.mkdir(parents=True)
    (making / "model.bin").write_bytes(f"bits of {version}".encode())
    manifest = {
        "model": model,
        "version": version,
        "task": "binary",
        "flavour": "opaque",
        "artifact": "model.bin",
        "metrics": {"auc": 0.7},
    }
    (making / "model.json").write_text(json.dumps(manifest))
    (store / "inbox" / "models" / model).mkdir(parents=True, exist_ok=True)
    making.rename(store / "inbox" / "models" / model / version)


def write_run(store: Path, name: str) -> None:
    making = store / "making" / name
    making.mkdir(parents=True)
    (making / "run.json").write_text(json.dumps({"status": "finished", "owner": "ada"}))
    (making / "params.json").write_text(json.dumps({"depth": 4}))
    (making / "metrics.jsonl").write_text(json.dumps({"metric": "auc", "step": 1, "value": 0.7}) + "\n")
    making.rename(store / "inbox" / "runs" / name)


def wait_for_rows(store: Path, kind: str, count: int) -> None:
    """Asks again until the listing has so many rows; the agent's own deadline is the limit."""
    for _ in range(300):
        rows = json.loads(quarterdeck(store, "ls", kind, "--limit", "0", "--json").stdout)
        if len(rows) >= count:
            return
    raise AssertionError(f"{len(rows)} of {count} {kind}: {rows}")


def fill(store: Path) -> None:
    """Forty runs, two versions of a model, the first of them in production."""
    quarterdeck(store, "agent", "start")
    for number in range(40):
        write_run(store, f"train-{number:02d}")
    write_model(store, "1")
    write_model(store, "2")
    wait_for_rows(store, "runs", 40)
    wait_for_rows(store, "versions", 2)
    quarterdeck(store, "promote", f"{MODEL}@1", "--to", "production", "--reason", "first", "--wait")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One filled store a module; its agent is stopped at the end."""
    folder = tmp_path_factory.mktemp("store")
    fill(folder)
    yield folder
    quarterdeck(folder, "agent", "stop", check=False)


@pytest.fixture
def open_console(store: Path) -> Iterator[Callable[..., Session]]:
    """`open_console(columns=…, lines=…, env=…)`: the real command on a terminal of its own."""
    opened: list[Session] = []

    def start(*, columns: int = 120, lines: int = 40, env: dict[str, str] | None = None) -> Session:
        history = {"XDG_STATE_HOME": os.fspath(store / "state"), "HOME": os.fspath(store / "home")}
        session = Session(
            [*QUARTERDECK, "--store", str(store)], columns=columns, lines=lines, env={**history, **(env or {})}
        )
        opened.append(session)
        return session

    yield start
    for session in opened:
        session.__exit__()
