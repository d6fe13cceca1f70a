"""A store with three registered versions of a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from release_bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "store")
    made.register("1", "2", "3")
    yield made
    made.close()
