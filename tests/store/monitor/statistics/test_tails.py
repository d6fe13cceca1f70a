"""Tails of distributions against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from store.monitor.statistics import tails


def test_log_gamma_is_scipys() -> None:
    x = np.concatenate([np.linspace(1e-6, 20, 2_000), np.geomspace(20, 1e8, 200)])
    np.testing.assert_allclose(tails.log_gamma(x), special.gammaln(x), rtol=1e-12, atol=1e-12)


def test_the_gamma_tail_is_scipys_far_out_too() -> None:
    shape, x = np.geomspace(0.01, 500, 80)[:, None], np.geomspace(1e-4, 2_000, 120)[None, :]
    expected = special.gammaincc(shape, x)
    found = tails.gamma_tail(shape, x)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)
    held = expected > 1e-250
    np.testing.assert_allclose(found[held], expected[held], rtol=1e-9)


@pytest.mark.parametrize(("x", "expected"), [(-1.0, 1.0), (0.0, 1.0), (np.inf, 0.0), (np.nan, np.nan)])
def test_the_gamma_tail_at_the_ends(x: float, expected: float) -> None:
    np.testing.assert_equal(float(tails.gamma_tail(2.0, x)), expected)


def test_the_chi_square_tail_is_scipys() -> None:
    x, freedom = np.linspace(0, 300, 200)[:, None], np.arange(1, 210, 7)[None, :]
    np.testing.assert_allclose(tails.chi_square_tail(x, freedom), stats.chi2.sf(x, freedom), atol=1e-11)


@pytest.mark.parametrize("freedom", [1, 2, 9, 49, 199])
def test_the_chi_square_quantile_is_scipys(freedom: int) -> None:
    assert tails.chi_square_quantile(freedom, 0.95) == pytest.approx(stats.chi2.ppf(0.95, freedom), rel=1e-9)


def test_kolmogorovs_tail_is_scipys() -> None:
    x = np.linspace(0, 5, 2_001)
    np.testing.assert_allclose(tails.kolmogorov_tail(x), special.kolmogorov(x), atol=1e-12)


def test_the_normal_tail_is_scipys() -> None:
    x = np.linspace(-8, 30, 500)
    np.testing.assert_allclose(tails.normal_tail(x), stats.norm.sf(x), rtol=1e-9, atol=1e-300)


def test_constants_are_the_95_per_cent_points() -> None:
    assert special.kolmogorov(tails.KOLMOGOROV_95) == pytest.approx(0.05, abs=1e-9)
    assert stats.norm.ppf(0.975) == pytest.approx(tails.NORMAL_95_TWO_SIDED, abs=1e-9)
