"""Noise floors: chance alone stays below them about 95 times in 100."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.simulated import Cell, reference, windows
from store.monitor.statistics import CATEGORICAL, NUMERIC, statistics_of

REFERENCES, EACH = 30, 60


def below(name: str, cell: Cell) -> float:
    """The share of windows of an unchanged feature whose value is at or below the floor."""
    generator = np.random.default_rng(21)
    held: list[float] = []
    for _ in range(REFERENCES):
        against = reference(cell, generator, features=1)
        feature = against.features[0]
        current = windows(cell, against, generator, EACH)
        found = statistics_of(name, feature, against.groups[feature.name], against.counts, current)
        held += (np.abs(found.values) <= found.noise_floors).tolist()
    return float(np.mean(held))


@pytest.mark.parametrize("name", NUMERIC)
@pytest.mark.parametrize("rows", [200, 1_000])
def test_of_a_numeric_feature(name: str, rows: int) -> None:
    assert 0.91 <= below(name, Cell(5_000, rows)) <= 1.0


@pytest.mark.parametrize("name", CATEGORICAL)
@pytest.mark.parametrize("shape", ["even", "zipf"])
def test_of_a_categorical_feature(name: str, shape: str) -> None:
    assert 0.88 <= below(name, Cell(5_000, 500, 50, shape)) <= 1.0  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["psi", "js", "hellinger", "tv", "ks", "wasserstein", "mean_change", "cvm"])
def test_it_is_not_far_too_high_either(name: str) -> None:
    assert below(name, Cell(5_000, 1_000)) <= 0.985
