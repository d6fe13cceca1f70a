"""A store filled the way users fill one: files into the inbox, then the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from store.protocol import ListParams
from tests.driver import RunningAgent, wait_for

QUARTERDECK = (sys.executable, "-m", "console.cli")
MODEL = "flight-delay"
DEPLOYMENT = f"{MODEL}@production"
RUNS = 40


def quarterdeck(store: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """A command of the command line on `store`, as a process."""
    return subprocess.run(
        [*QUARTERDECK, *arguments, "--store", str(store)],
        check=check,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


def write_model(store: Path, version: str, model: str = MODEL) -> None:
    """An opaque model version that arrives whole."""
    making = store / "making" / f"{model}-{version}"
    making.mkdir(parents=True)
    (making / "model.bin").write_bytes(f"bits of {version}".encode())
    manifest = {"model": model, "version": version, "artifact": "model.bin", "metrics": {"auc": 0.7}}
    (making / "model.json").write_text(json.dumps(manifest))
    (store / "inbox" / "models" / model).mkdir(parents=True, exist_ok=True)
    making.rename(store / "inbox" / "models" / model / version)


def write_run(store: Path, name: str, auc: float = 0.7) -> None:
    making = store / "making" / name
    making.mkdir(parents=True)
    (making / "run.json").write_text(json.dumps({"status": "finished", "owner": "ada"}))
    (making / "params.json").write_text(json.dumps({"depth": 4}))
    (making / "metrics.jsonl").write_text(json.dumps({"metric": "auc", "step": 1, "value": auc}) + "\n")
    making.rename(store / "inbox" / "runs" / name)


def wait_for_rows(agent: RunningAgent, kind: str, count: int) -> None:
    """Until the listing has at least so many rows."""
    with agent.client() as client:
        wait_for(f"{count} {kind}", lambda: client.call("list", ListParams(kind, limit=1)).total >= count)


def fill(agent: RunningAgent) -> None:
    """Forty runs, two versions of a model, the first of them in production."""
    for number in range(RUNS):
        write_run(agent.store, f"train-{number:02d}", auc=0.5 + number / 100)
    # One after the other, so that the second is the newer one.
    write_model(agent.store, "1")
    wait_for_rows(agent, "versions", 1)
    write_model(agent.store, "2")
    wait_for_rows(agent, "runs", RUNS)
    wait_for_rows(agent, "versions", 2)
    quarterdeck(agent.store, "promote", f"{MODEL}@1", "--to", "production", "--reason", "first", "--wait")
