"""SageMaker and TFDV cannot be run here: their presets are held against their published formulas on the raw values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from store.monitor import presets
from store.monitor.bins import Floats
from store.monitor.presets import Judgement, PresetRow
from tests.store.monitor.presets.counting import counted
from tests.store.monitor.presets.test_parity import CASES, _cases


def judge(preset: str, reference: pd.DataFrame, current: pd.DataFrame) -> Judgement:
    counts = counted(reference, current)
    return presets.named(preset).judge(counts.features, counts.reference, counts.current)


def rows(found: Judgement, feature: str) -> dict[str, PresetRow]:
    return {row.statistic: row for row in found.rows if row.feature == feature}


@pytest.mark.parametrize("case", CASES)
def test_sagemaker_equals_linf_robust_of_the_values(case: str) -> None:
    reference, current = _cases()[case]
    found = judge("sagemaker", reference, current)
    for name in reference:
        before, after = reference[name].dropna(), current[name].dropna()
        n, m = len(before), len(after)
        if pd.api.types.is_numeric_dtype(before):
            simple, near = ks_2samp(before, after).statistic, 1 / 128
        else:
            shares = before.value_counts(normalize=True), after.value_counts(normalize=True)
            simple, near = shares[0].sub(shares[1], fill_value=0).abs().max(), 1e-9
        row = rows(found, name)["linf_robust"]
        expected = max(0.0, simple - 1.8 * np.sqrt((n + m) / (n * m)))
        assert row.value == pytest.approx(expected, abs=near)
        if abs(expected - 0.1) > near:
            assert row.drifted == (expected > 0.1)


def test_sagemaker_makes_the_checks_of_suggested_constraints() -> None:
    reference = pd.DataFrame({"a": np.arange(1000.0) % 100, "b": ["x", "y"] * 500, "c": np.arange(1000.0)})
    current = pd.DataFrame({"a": [np.nan, *(np.arange(999.0) % 100 - 1)], "b": ["x", "z"] * 500, "c": [np.nan] * 1000})
    found = judge("sagemaker", reference, current)
    assert set(rows(found, "a")) == {"linf_robust", "completeness", "non_negative"}
    assert rows(found, "a")["completeness"].value == pytest.approx(0.999)
    assert rows(found, "b")["known_values"].value == 0.5
    assert rows(found, "c")["linf_robust"].drifted is None
    assert rows(found, "c")["completeness"].drifted
    assert found.drifted


def test_sagemaker_reports_a_column_that_is_gone() -> None:
    reference = pd.DataFrame({"a": np.arange(1000.0), "b": np.arange(1000.0)})
    counts = counted(reference, reference)
    gone = counts.current.copy()
    gone[counts.features[1].offset :] = 0
    found = presets.named("sagemaker").judge(counts.features, counts.reference, gone)
    assert [row.statistic for row in found.rows if row.drifted] == ["missing_column"]


def tfdv_divergence(before: Floats, after: Floats) -> float:
    """metrics.cc on the standard histograms of both: ten equal-width buckets, cut at all edges of both."""
    edges = [np.linspace(part.min(), part.max(), 11) for part in (before, after)]
    joint = np.union1d(*edges)
    spread = []
    for part, own in zip((before, after), edges, strict=True):
        held, _ = np.histogram(part, own)
        cumulative = np.concatenate([[0.0], np.cumsum(held)]) / len(part)
        spread.append(np.diff(np.interp(joint, own, cumulative, left=0.0, right=1.0)))
    p, q = spread
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(p > 0, p * np.log2(p / middle), 0.0).sum()
        right = np.where(q > 0, q * np.log2(q / middle), 0.0).sum()
    return float((left + right) / 2)


@pytest.mark.parametrize("case", CASES)
def test_vertex_comes_to_the_distances_of_tfdv_and_to_its_verdicts(case: str) -> None:
    reference, current = _cases()[case]
    found = judge("vertex", reference, current)
    for name in reference:
        before, after = reference[name].dropna(), current[name].dropna()
        if not pd.api.types.is_numeric_dtype(before):
            shares = before.value_counts(normalize=True), after.value_counts(normalize=True)
            expected = float(shares[0].sub(shares[1], fill_value=0).abs().max())
            row, near = rows(found, name)["linf"], 1e-9
            # New categories are one category here: their largest share is not known apart.
            known = set(after) <= set(before)
        else:
            expected = tfdv_divergence(before.to_numpy(np.float64), after.to_numpy(np.float64))
            row, near = rows(found, name)["js_divergence"], 0.1
            # The window's buckets reach to its extremes, which counts do not know beyond the reference's range.
            known = bool(after.between(before.min(), before.max()).all())
        if known:
            assert row.value == pytest.approx(expected, abs=near), name
            assert row.drifted == (expected > 0.3)


def test_vertex_takes_nan_for_different_from_everything_and_leaves_null_out() -> None:
    reference = pd.DataFrame({"a": np.arange(1000.0)})
    counts = counted(reference, reference)
    slot = counts.features[0].null_slot
    null, nan = counts.current.copy(), counts.current.copy()
    null[slot] += 1000
    nan[slot + 1] += 1000
    preset = presets.named("vertex")
    assert preset.judge(counts.features, counts.reference, null).rows[0].value == pytest.approx(0.0)
    assert preset.judge(counts.features, counts.reference, nan).rows[0].drifted
