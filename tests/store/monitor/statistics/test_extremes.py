"""Windows without rows, and numbers near the ends of what a number can be: no warning, and nothing computed on NaN."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from store.monitor.bins import FeatureBins, Integers, NumericCoder, numeric_edges
from store.monitor.statistics import causes, statistics_of
from store.monitor.statistics.catalogue import CATEGORICAL, NUMERIC
from store.monitor.statistics.groups import psi_groups

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
LETTERS = FeatureBins("k", "categorical", 0, categories=["AA", "UA", "DL"])
ONE = FeatureBins("k", "categorical", 0, categories=["AA"])


def numeric() -> tuple[FeatureBins, Integers, Integers]:
    """Normal numbers: the feature, the reference's counts, those of a window that is shifted and wider."""
    rng = np.random.default_rng(7)
    before, after = rng.normal(0.0, 1.0, 3_000), rng.normal(0.5, 1.5, 1_000)
    edges = numeric_edges(before)
    feature, coder = FeatureBins("x", "numeric", 0, edges), NumericCoder(edges)
    was, now = (np.bincount(coder.finite(values), minlength=feature.width) for values in (before, after))
    return feature, was, now


@pytest.mark.parametrize("name", sorted({*NUMERIC, *CATEGORICAL}))
def test_a_window_without_rows_has_no_value_and_no_noise_floor(name: str) -> None:
    number, before, after = numeric()
    cases = [
        (number, before, after),
        (LETTERS, np.array([500, 300, 200, 0, 0]), np.array([51, 30, 19, 0, 0])),
        (ONE, np.array([500, 0, 0]), np.array([51, 0, 0])),
    ]
    for feature, was, now in cases:
        if name not in (NUMERIC if feature.kind == "numeric" else CATEGORICAL):
            continue
        found = statistics_of(name, feature, psi_groups(feature, was), was, np.stack([now, now * 0]))
        assert found.at(1).value is None
        assert found.at(1).noise_floor is None
        some = found.at(0)
        assert some.value is not None
        assert some.noise_floor is not None
        assert math.isfinite(some.noise_floor)


@pytest.mark.parametrize("power", [-700, 950], ids=["tiny", "huge"])
@pytest.mark.parametrize("name", NUMERIC)
def test_no_statistic_depends_on_the_unit_of_measurement(name: str, power: int) -> None:
    feature, was, now = numeric()
    scaled = msgspec.structs.replace(feature, edges=[math.ldexp(edge, power) for edge in feature.edges])
    groups = psi_groups(feature, was)
    one = statistics_of(name, feature, groups, was, now[None, :]).at(0)
    other = statistics_of(name, scaled, groups, was, now[None, :]).at(0)
    assert one.value is not None
    assert other.value == pytest.approx(one.value, rel=1e-12)
    assert other.noise_floor == pytest.approx(one.noise_floor, rel=1e-12)


@pytest.mark.parametrize("power", [-700, 950], ids=["tiny", "huge"])
def test_causes_of_tiny_and_huge_numbers_are_those_of_others(power: int) -> None:
    feature, was, now = numeric()
    scaled = msgspec.structs.replace(feature, edges=[math.ldexp(edge, power) for edge in feature.edges])
    ones, others = causes(feature, was, now), causes(scaled, was, now)
    assert ones
    assert [(cause.code, cause.weight) for cause in others] == [
        (cause.code, pytest.approx(cause.weight)) for cause in ones
    ]
