"""Integers that no double holds keep their differences: as features, categories and ids, in every format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from store.monitor.comparing import compare
from store.protocol import ComparedFeature, DriftRequest
from store.settings import MonitorSettings

SUFFIXES = ("parquet", "csv", "jsonl")


def write(frame: pd.DataFrame, path: Path) -> str:
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_json(path, orient="records", lines=True)
    return str(path)


def compared(reference: pd.DataFrame, current: pd.DataFrame, folder: Path, suffix: str) -> ComparedFeature:
    paths = write(current, folder / f"current.{suffix}"), write(reference, folder / f"reference.{suffix}")
    [feature] = compare(DriftRequest(*paths), MonitorSettings()).features
    return feature


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("base", "kind"), [(2**60, "int64"), (-(2**62), "int64"), (2**64 - 10_000, "uint64")])
def test_their_drift_is_that_of_their_differences(tmp_path: Path, suffix: str, base: int, kind: str) -> None:
    draw = np.random.default_rng(1)
    before, after = draw.integers(0, 1_000, 5_000), draw.integers(60, 1_060, 3_000)
    frames = [
        pd.DataFrame({"x": np.array([base + int(value) for value in values], kind)}) for values in (before, after)
    ]
    feature = compared(*frames, tmp_path, suffix)
    found = {statistic.statistic: statistic.value for statistic in feature.statistics}
    assert found["ks"] == pytest.approx(stats.ks_2samp(before, after).statistic, abs=1 / 128)
    change = (after.mean() - before.mean()) / before.std()
    assert found["mean_change"] == pytest.approx(change, rel=1e-6)
    assert feature.mean == pytest.approx(base + after.mean(), rel=1e-15)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_neighbours_are_two_values(tmp_path: Path, suffix: str) -> None:
    before, after = np.arange(1_000) % 2, np.arange(1_000) % 10 == 0
    frames = [pd.DataFrame({"x": 2**53 + values.astype(np.int64)}) for values in (before, after)]
    feature = compared(*frames, tmp_path, suffix)
    # Half are the greater one in the reference, a tenth now: psi = 0.4 ln 5 + 0.4 ln 1.8.
    assert feature.value == pytest.approx(0.4 * np.log(0.5 / 0.1) + 0.4 * np.log(0.9 / 0.5), rel=1e-9)
