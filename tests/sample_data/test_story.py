"""The story end to end: the conductor, the agent, the scorer, and an operator at the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from demo_processes import DEMO, DEPLOYMENT

from console.demo import read_news

PATIENCE = 120.0


class Store:
    """A store on which the story is played, asked through the command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def quarterdeck(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "console.cli", *arguments, "--store", str(self.folder)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ls(self, kind: str, *options: str) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = json.loads(self.quarterdeck("ls", kind, "--json", "--limit", "0", *options))
        return rows

    def await_row(self, kind: str, **wanted: object) -> dict[str, object]:
        """The first row with these values, waited for."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for row in self.ls(kind):
                if wanted.items() <= row.items():
                    return row
        raise AssertionError(f"no row of {kind} with {wanted}: {self.ls(kind)}")

    def await_served_by(self, version: str, after: str = "") -> str:
        """The first day after the day `after` whose predictions came from `version`, waited for."""
        folder = self.folder / "inbox" / "predictions" / DEPLOYMENT
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for path in sorted(folder.glob("[!.]*.parquet")):
                served = set(pd.read_parquet(path, columns=["model_version"])["model_version"])
                if path.stem > after and served == {version}:
                    return path.stem
        raise AssertionError(f"version {version} served no day after {after!r}")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(tmp_path / "store")
    yield found
    subprocess.run(
        [sys.executable, "-m", "console.cli", "agent", "stop", "--store", str(found.folder)],
        capture_output=True,
        check=False,
    )


def play(store: Store, *options: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(DEMO / "play.py"), "--store", str(store.folder), "--exit-at-end", *options],
        stdout=subprocess.DEVNULL,
        env=os.environ,
    )


def test_the_first_days_of_the_story(store: Store) -> None:
    conductor = play(store, "--until", "2013-03-04", "--speed", "10")
    assert conductor.wait(PATIENCE) == 0, (store.folder / "log" / "demo.log").read_text()
    assert read_news(store.folder) == "the demo is over: no more data comes"
    (deployment,) = store.ls("deployments")
    assert (deployment["id"], deployment["effective"]) == (DEPLOYMENT, {"1": 1.0})
    (run,) = store.ls("runs")
    assert run["status"] == "finished"
    (version,) = store.ls("versions")
    assert version["id"] == "flight-delay@1"
    assert store.ls("quarantine") == []
    rows = sum(len(pd.read_parquet(path)) for path in (store.folder / "inbox" / "predictions" / DEPLOYMENT).iterdir())
    windows = store.ls("windows", "--window", "1d")
    assert sum(int(str(window["rows"])) for window in windows) == rows


@pytest.mark.soak
def test_the_operator_promotes_version_2_and_rolls_back(store: Store) -> None:
    conductor = play(store, "--from", "2013-06-28", "--until", "2013-09-30", "--speed", "1")
    try:
        store.await_row("versions", id="flight-delay@2")
        assert store.ls("deployments")[0]["effective"] == {"1": 1.0}, "version 2 waits for the operator"
        store.quarterdeck("promote", "flight-delay@2", "--to", "production", "--reason", "knows summer", "--wait")
        second = store.await_served_by("2")
        store.quarterdeck("rollback", DEPLOYMENT, "--reason", "autumn", "--wait")
        store.await_served_by("1", after=second)
    finally:
        conductor.terminate()
        conductor.wait()
    assert [row["action"] for row in store.ls("revisions", "--sort", "revision")] == ["promote", "promote", "rollback"]
