"""What every preset does with odd features, and how the values within bins are reckoned."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.monitor import presets
from store.monitor.bins import FeatureBins, numeric_edges
from store.monitor.presets.p_values import goodness_p, proportion_p, smirnov_p
from store.monitor.presets.spread import Spread, distinct_values
from store.protocol import ExitCode, Refusal
from tests.store.monitor.presets.counting import counted


def test_a_preset_that_is_not_known_is_refused_with_the_names_of_those_that_are() -> None:
    with pytest.raises(Refusal) as refused:
        presets.named("alibi")
    assert refused.value.code == ExitCode.USAGE
    assert "evidently, nannyml, sagemaker, vertex, whylogs" in refused.value.hint


def test_tfdv_is_another_name_of_vertex() -> None:
    assert presets.named("tfdv") is presets.named("vertex")


@pytest.mark.parametrize("name", presets.NAMES)
def test_nothing_has_drifted_from_itself(name: str) -> None:
    frame = pd.DataFrame({"a": np.linspace(0, 1, 5000), "b": ["x", "y", "z", "x", "x"] * 1000, "c": [1, 2] * 2500})
    counts = counted(frame, frame)
    assert not presets.named(name).judge(counts.features, counts.reference, counts.current).drifted


@pytest.mark.parametrize("name", presets.NAMES)
def test_everything_has_drifted_from_another_range_and_other_names(name: str) -> None:
    before = pd.DataFrame({"a": np.linspace(0, 1, 5000), "b": ["x", "y", "z", "x", "x"] * 1000, "c": [1, 2] * 2500})
    after = pd.DataFrame({"a": np.linspace(5, 6, 5000), "b": ["p", "q", "r", "p", "p"] * 1000, "c": [7, 8] * 2500})
    counts = counted(before, after)
    found = presets.named(name).judge(counts.features, counts.reference, counts.current)
    assert found.drifted and found.share == 1.0


@pytest.mark.parametrize("name", presets.NAMES)
@pytest.mark.parametrize("kind", ["constant", "all null", "one row", "no rows", "infinite"])
def test_odd_columns_are_judged_without_an_error(name: str, kind: str) -> None:
    odd = {
        "constant": np.ones(500),
        "all null": np.full(500, np.nan),
        "one row": np.array([3.0]),
        "infinite": np.array([np.inf, -np.inf, 1.0, 2.0] * 100),
    }
    frame = pd.DataFrame({"a": odd.get(kind, np.ones(500))})
    counts = counted(pd.concat([frame] * 20), pd.concat([frame] * 20))
    current = np.zeros_like(counts.current) if kind == "no rows" else counts.current
    rows = presets.named(name).judge(counts.features, counts.reference, current).rows
    if kind in ("all null", "no rows"):
        assert rows[0].value is None and rows[0].drifted is None and rows[0].why
    else:
        assert rows[0].drifted is False


@pytest.mark.parametrize("name", presets.NAMES)
def test_many_windows_are_judged_as_each_alone(name: str) -> None:
    draw = np.random.default_rng(7)
    frame = pd.DataFrame(
        {"a": draw.normal(size=2000), "b": draw.choice(list("pqrs"), 2000), "c": draw.poisson(2, 2000)}
    )
    counts = counted(frame, frame)
    preset = presets.named(name)
    every, verdicts = preset.judge_windows(counts.features, counts.reference, counts.current_chunks)
    for place, chunk in enumerate(counts.current_chunks):
        alone = preset.judge(counts.features, counts.reference, chunk)
        together = [part.row(place) for part in every if not part.check or part.drifted[place]]
        assert [(row.feature, row.statistic, row.drifted) for row in alone.rows] == [
            (row.feature, row.statistic, row.drifted) for row in together
        ]
        assert [row.value for row in alone.rows] == pytest.approx([row.value for row in together], rel=1e-9)
        assert alone.drifted == verdicts[place]


def test_nannyml_learns_its_threshold_from_the_references_own_chunks() -> None:
    level = np.repeat(np.arange(10.0), 500) + np.tile(np.linspace(0, 1, 500), 10)
    counts = counted(pd.DataFrame({"a": level}), pd.DataFrame({"a": level[:500]}))
    preset = presets.named("nannyml")
    known = preset.judge(counts.features, counts.reference, counts.current, counts.reference_chunks).rows[0]
    dealt = preset.judge(counts.features, counts.reference, counts.current).rows[0]
    assert known.threshold is not None and dealt.threshold is not None
    # Every tenth of the reference is at a level of its own: to a deal by chance that is drift, to NannyML it is not.
    assert (known.drifted, dealt.drifted) == (False, True)


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=60))
def test_distinct_values_come_back_from_the_edges_between_them(values: list[int]) -> None:
    numbers = np.array(values, np.float64) / 4
    found = distinct_values(np.array(numeric_edges(numbers)))
    assert found is not None
    np.testing.assert_allclose(found, np.unique(numbers), atol=1e-9)


def test_quantile_bins_of_many_values_are_not_taken_for_distinct_values() -> None:
    draw = np.random.default_rng(3)
    for values in (draw.normal(size=5000), draw.exponential(size=300), np.arange(1000.0)):
        assert distinct_values(np.array(numeric_edges(values))) is None


def test_moments_and_wasserstein_of_bins_are_close_to_those_of_the_values() -> None:
    from scipy.stats import skew, wasserstein_distance

    draw = np.random.default_rng(5)
    for sample, other in (
        (draw.normal(size=20_000), draw.normal(0.3, 1.0, 20_000)),
        (draw.exponential(size=20_000), 0.8 * draw.exponential(size=20_000)),
    ):
        feature = FeatureBins("a", "numeric", 0, numeric_edges(sample))
        edges = np.array(feature.edges)
        counts = [np.histogram(values, edges)[0] for values in (sample, other)]
        slots = np.concatenate([[0], counts[0], [0, 0, 0, 0, 0]])
        spread = Spread(feature, slots)
        found = spread.moments(counts[0])
        assert found.mean == pytest.approx(sample.mean(), abs=0.005)
        assert found.deviation == pytest.approx(sample.std(), rel=0.02)
        assert found.skewness == pytest.approx(skew(sample), abs=0.3)
        shares = [np.concatenate([[0], part, [0]]) / part.sum() for part in counts]
        distance = float(spread.wasserstein(shares[0], shares[1][None, :])[0])
        assert distance == pytest.approx(wasserstein_distance(sample, other), rel=0.03)


def test_p_values_are_those_of_scipy() -> None:
    from scipy.stats import chisquare, kstwo

    before, after = np.array([[30.0, 50.0, 20.0]]), np.array([[9.0, 28.0, 3.0]])
    expected = before[0] * after.sum() / before.sum()
    assert goodness_p(before, after)[0] == pytest.approx(chisquare(after[0], expected).pvalue, abs=1e-12)
    assert goodness_p(before, np.array([[9.0, 28.0, 0.0]]))[0] > 0
    assert goodness_p(np.array([[30.0, 0.0]]), np.array([[30.0, 1.0]]))[0] == 0
    a, b = np.array([[80.0, 20.0]]), np.array([[30.0, 20.0]])
    z = (0.8 - 0.6) / np.sqrt(110 / 150 * 40 / 150 * (1 / 100 + 1 / 50))
    from scipy.stats import norm

    assert proportion_p(a, b)[0] == pytest.approx(2 * norm.sf(z), abs=1e-12)
    # D of these is 0.2; the exact distribution of one sample of 100 · 50 / 150 values is whylogs' own.
    assert smirnov_p(a, b, exact=True)[0] == pytest.approx(kstwo.sf(0.2, 33), abs=0.01)
