"""Fixtures of the demo's tests: what train.py made once, a target to point with, scorers that are stopped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from demo_processes import FLIGHTS, Scorer, Target, run_script


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An inbox with both versions of the story as train.py leaves it."""
    inbox = tmp_path_factory.mktemp("trained")
    common = ("--data", FLIGHTS, "--inbox", inbox)
    first = ("--version", 1, "--train", "2013-01..2013-02", "--reference", "2013-03")
    second = ("--version", 2, "--train", "2013-01..2013-06", "--hold-out", 6)
    with ThreadPoolExecutor(2) as both:
        list(both.map(lambda version: run_script("train.py", *common, *version), (first, second)))
    return inbox


@pytest.fixture
def target(trained: Path, tmp_path: Path) -> Target:
    return Target(trained, tmp_path)


@pytest.fixture
def start_scorer(tmp_path: Path) -> Iterator[Callable[..., Scorer]]:
    started: list[Scorer] = []

    def start(*arguments: object) -> Scorer:
        started.append(Scorer(tmp_path, *arguments))
        return started[-1]

    yield start
    for scorer in started:
        scorer.stop()
