"""The presets say what the monitors themselves said of the same data (recorded by data/make_presets.py)."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from store.monitor import presets
from store.monitor.bins import FeatureBins
from tests.store.monitor.presets.counting import Counted, counted

DATA = Path(__file__).parents[1] / "data"
sys.path.insert(0, str(DATA))

from preset_data import cases  # noqa: E402  # beside the script that records, which runs elsewhere

CASES = (
    "flights march, april",
    "flights march, july",
    "flights march, every second",
    "flights small, april",
    "flights small, the same",
    "synthetic, the same",
    "synthetic, moved",
    "synthetic small, moved",
)
#: Chunks of some 400 rows and more; the small cases have 50 to 80.
LARGE = ("flights march, april", "flights march, july", "flights march, every second", *CASES[5:7])


@functools.cache
def data(case: str) -> Counted:
    return counted(*_cases()[case])


@functools.cache
def _cases() -> dict[str, Any]:
    return cases()


@functools.cache
def recorded(peer: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DATA / f"presets_{peer}.json").read_text())
    return found


def outside(counts: Counted, feature: FeatureBins) -> float:
    """Share of the current values beyond the reference's range."""
    held = counts.current[feature.offset : feature.offset + feature.missing_from]
    return 0.0 if feature.kind == "categorical" else float((held[0] + held[-1]) / held.sum())


@pytest.mark.parametrize("case", CASES)
def test_evidently_gives_the_same_verdict_on_every_column_and_on_the_whole(case: str) -> None:
    counts, peer = data(case), recorded("evidently")[case]
    found = presets.named("evidently").judge(counts.features, counts.reference, counts.current)
    assert {row.feature: row.drifted for row in found.rows} == {
        name: column["drifted"] for name, column in peer["columns"].items()
    }
    assert (found.drifted, found.share) == (peer["drifted"], pytest.approx(peer["share"]))


@pytest.mark.parametrize("case", CASES)
def test_evidently_chooses_the_same_test_and_comes_to_the_same_value(case: str) -> None:
    counts, peer = data(case), recorded("evidently")[case]["columns"]
    methods = {
        "js_nats": "Jensen-Shannon distance",
        "wasserstein": "Wasserstein distance (normed)",
        "ks_p": "K-S p_value",
        "chi2_p": "chi-square p_value",
        "z_p": "Z-test p_value",
    }
    features = {feature.name: feature for feature in counts.features}
    for row in presets.named("evidently").judge(counts.features, counts.reference, counts.current).rows:
        expected = peer[row.feature]
        assert methods[row.statistic] == expected["method"], row.feature
        assert row.threshold == expected["threshold"]
        assert row.value is not None
        off = outside(counts, features[row.feature])
        if row.statistic == "wasserstein":
            # Beyond the reference's range the distance is a lower bound; within it 4 % and 0.003 are the bins'.
            assert row.value <= expected["value"] * 1.04 + 0.003
            if off < 0.001:
                assert row.value == pytest.approx(expected["value"], rel=0.04, abs=0.003), row.feature
        elif row.statistic == "ks_p":
            # p-values that decide nothing differ by more: D is known to 1/128 only.
            assert row.value == pytest.approx(expected["value"], abs=0.01 if expected["value"] < 0.1 else 0.2)
        else:
            assert row.value == pytest.approx(expected["value"], abs=1e-9), row.feature


@pytest.mark.parametrize("case", CASES)
def test_whylogs_gives_the_same_verdict_on_every_column(case: str) -> None:
    counts, peer = data(case), recorded("whylogs")[case]["columns"]
    found = presets.named("whylogs").judge(counts.features, counts.reference, counts.current)
    assert {row.feature: row.drifted for row in found.rows} == {
        name: column["category"] == "DRIFT" for name, column in peer.items()
    }


@pytest.mark.parametrize("case", CASES)
def test_whylogs_comes_to_the_same_p_values(case: str) -> None:
    counts, peer = data(case), recorded("whylogs")[case]["columns"]
    for row in presets.named("whylogs").judge(counts.features, counts.reference, counts.current).rows:
        # The sketches of whylogs err, our bins do: p-values that decide nothing differ by more.
        near = 1e-6 if row.statistic == "chi2_p" else 0.01 if peer[row.feature]["value"] < 0.1 else 0.12
        assert row.value == pytest.approx(peer[row.feature]["value"], abs=near), row.feature


@pytest.mark.parametrize("case", CASES[:7])
def test_nannyml_gives_the_same_verdict_on_every_chunk_that_is_not_at_the_threshold(case: str) -> None:
    counts, peer = data(case), recorded("nannyml")[case]["columns"]
    every, _ = presets.named("nannyml").judge_windows(
        counts.features, counts.reference, counts.current_chunks, counts.reference_chunks
    )
    decided = 0
    for part in every:
        expected = peer[part.feature]
        values = np.array(expected["values"])
        # Where the peer's value and its threshold are this close, how one row fell decides.
        clear = np.abs(values - expected["threshold"]) > (0.03 if case in LARGE else 0.12)
        decided += int(clear.sum())
        assert (part.drifted == np.array(expected["drifted"]))[clear].all(), part.feature
    assert decided >= 25


@pytest.mark.parametrize("case", CASES[:3])
def test_nannyml_gives_the_same_verdicts_on_every_chunk_of_real_months(case: str) -> None:
    counts, peer = data(case), recorded("nannyml")[case]["columns"]
    every, _ = presets.named("nannyml").judge_windows(
        counts.features, counts.reference, counts.current_chunks, counts.reference_chunks
    )
    assert {part.feature: part.drifted.tolist() for part in every} == {
        name: column["drifted"] for name, column in peer.items()
    }


@pytest.mark.parametrize("case", LARGE)
def test_nannyml_comes_to_the_same_distances_and_thresholds(case: str) -> None:
    counts, peer = data(case), recorded("nannyml")[case]["columns"]
    every, _ = presets.named("nannyml").judge_windows(
        counts.features, counts.reference, counts.current_chunks, counts.reference_chunks
    )
    kinds = {feature.name: feature.kind for feature in counts.features}
    for part in every:
        exact = kinds[part.feature] == "categorical"
        np.testing.assert_allclose(part.values, peer[part.feature]["values"], rtol=0, atol=1e-9 if exact else 0.05)
        assert part.thresholds[0] == pytest.approx(peer[part.feature]["threshold"], abs=1e-9 if exact else 0.05)
