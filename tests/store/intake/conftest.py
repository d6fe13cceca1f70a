"""A real store with intake running on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.intake.running import Running


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path / "store").start()
    yield running
    running.close()
