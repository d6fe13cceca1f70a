"""Tails of the distributions that the tests need: gamma and chi-square, Kolmogorov, normal (no scipy in the agent)."""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

from store.monitor.bins import Floats

_ITERATIONS = 2_000
_SMALL = 1e-300
#: Up to so many numbers are taken one by one.
_FEW = 64
#: A normal quantile is roughly this much of √(−2 ln tail): a start, no more.
_LEVEL_Z = 0.7
#: Stirling's series 1/(12x) − 1/(360x³) + …, in powers of 1/x² (Abramowitz & Stegun 6.1.41).
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
_SHIFT = 8


def log_gamma(x: npt.ArrayLike) -> Floats:
    """ln Γ(x) for x > 0, element by element, to about 1e-13 relative."""
    values = np.asarray(x, np.float64)
    # Below 8 the argument is raised by Γ(x) = Γ(x + 8) / (x (x + 1) … (x + 7)).
    small = values < _SHIFT
    raised = np.where(small, values + _SHIFT, values)
    inverse = 1.0 / raised
    square = inverse * inverse
    series = np.zeros_like(raised)
    for term in reversed(_STIRLING):
        series = series * square + term
    found = (raised - 0.5) * np.log(raised) - raised + 0.5 * math.log(2 * math.pi) + series * inverse
    if small.any():
        low = values[small]
        product = np.ones_like(low)
        for step in range(_SHIFT):
            product *= low + step
        found[small] -= np.log(product)
    return found


def gamma_tail(shape: npt.ArrayLike, x: npt.ArrayLike) -> Floats:
    """Q(shape, x) = Γ(shape, x) / Γ(shape), the upper tail of a gamma of unit scale; 1 where x ≤ 0, NaN stays NaN.

    Series below shape + 1, Lentz's continued fraction above (Numerical Recipes, 6.2).
    """
    a, at = np.broadcast_arrays(np.asarray(shape, np.float64), np.asarray(x, np.float64))
    if a.size <= _FEW:
        tails = [_tail(one, other) for one, other in zip(a.ravel().tolist(), at.ravel().tolist(), strict=True)]
        return np.array(tails, np.float64).reshape(a.shape)
    found = np.ones(a.shape)
    found[np.isnan(a) | np.isnan(at)] = np.nan
    positive = (at > 0) & np.isfinite(at) & (a > 0)
    found[np.isposinf(at)] = 0.0
    below = positive & (at < a + 1)
    if below.any():
        found[below] = 1.0 - _series(a[below], at[below])
    above = positive & ~below
    if above.any():
        found[above] = _fraction(a[above], at[above])
    return found


def _tail(a: float, x: float) -> float:
    """`gamma_tail` of one number: numpy's overhead would be most of its time."""
    if math.isnan(a) or math.isnan(x):
        return math.nan
    if x <= 0 or a <= 0:
        return 1.0
    if math.isinf(x):
        return 0.0
    scale = math.exp(max(a * math.log(x) - x - math.lgamma(a), -745.0))
    if x < a + 1:
        term = total = 1.0 / a
        for step in range(1, _ITERATIONS):
            term *= x / (a + step)
            total += term
            if term < total * 1e-16:
                break
        return 1.0 - min(total * scale, 1.0)
    b, c = x + 1.0 - a, 1.0 / _SMALL
    d = 1.0 / b
    found = d
    for step in range(1, _ITERATIONS):
        factor = -step * (step - a)
        b += 2.0
        d = factor * d + b
        d = 1.0 / (d if abs(d) >= _SMALL else _SMALL)
        c = b + factor / c
        c = c if abs(c) >= _SMALL else _SMALL
        found *= d * c
        if abs(d * c - 1.0) < 1e-15:
            break
    return min(max(found * scale, 0.0), 1.0)


def _scale(a: Floats, x: Floats) -> Floats:
    return np.exp(np.maximum(a * np.log(x) - x - log_gamma(a), -745.0))


def _series(a: Floats, x: Floats) -> Floats:
    term = 1.0 / a
    total = term.copy()
    over = a.copy()
    for _ in range(_ITERATIONS):
        over = over + 1.0
        term = term * (x / over)
        total += term
        if (term < total * 1e-16).all():
            break
    return np.minimum(total * _scale(a, x), 1.0)


def _fraction(a: Floats, x: Floats) -> Floats:
    b = x + 1.0 - a
    c = np.full_like(a, 1.0 / _SMALL)
    d = 1.0 / b
    h = d.copy()
    for step in range(1, _ITERATIONS):
        factor = -step * (step - a)
        b = b + 2.0
        d = factor * d + b
        d = 1.0 / np.where(np.abs(d) < _SMALL, _SMALL, d)
        c = b + factor / c
        c = np.where(np.abs(c) < _SMALL, _SMALL, c)
        delta = d * c
        h *= delta
        if (np.abs(delta - 1.0) < 1e-15).all():
            break
    return np.clip(h * _scale(a, x), 0.0, 1.0)


def chi_square_tail(x: npt.ArrayLike, freedom: npt.ArrayLike) -> Floats:
    """P(χ² ≥ x) with `freedom` degrees of freedom (scipy's `chi2.sf`)."""
    return gamma_tail(np.asarray(freedom, np.float64) / 2, np.asarray(x, np.float64) / 2)


@functools.lru_cache(4096)
def gamma_quantile(shape: float, level: float) -> float:
    """The x that a gamma of unit scale stays below with probability `level`, to 1e-12 relative.

    Newton's method from Wilson and Hilferty's cube, held between bounds that only close in.
    """
    low, high = 0.0, shape + 10.0 * math.sqrt(shape) + 10.0
    while _tail(shape, high) > 1 - level:
        low, high = high, high * 2
    at = (low + high) / 2
    if shape > 0.5:
        z = _LEVEL_Z * math.sqrt(-2 * math.log(1 - level)) / 3 / math.sqrt(shape)
        at = min(max(shape * (1 - 1 / (9 * shape) + z) ** 3, low + high * 1e-9), high)
    for _ in range(200):
        over = _tail(shape, at) - (1 - level)
        low, high = (at, high) if over > 0 else (low, at)
        density = math.exp(max((shape - 1) * math.log(at) - at - math.lgamma(shape), -700.0))
        following = at + over / density
        if not low < following < high:
            following = (low + high) / 2
        if abs(following - at) <= 1e-13 * following:
            return following
        at = following
    return at


def chi_square_quantile(freedom: float, level: float) -> float:
    """scipy's `chi2.ppf(level, freedom)`; 0 without a degree of freedom."""
    return 2 * gamma_quantile(freedom / 2, level) if freedom > 0 else 0.0


def kolmogorov_tail(x: npt.ArrayLike) -> Floats:
    """P(K ≥ x) of Kolmogorov's limit distribution (scipy's `special.kolmogorov`)."""
    at = np.asarray(x, np.float64)
    steps = np.arange(1, 12, dtype=np.float64)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        # Two series of the same function: one converges at once for small x, the other for large.
        odd = (2 * steps - 1) ** 2
        small = 1 - math.sqrt(2 * math.pi) / at * np.exp(-odd * math.pi**2 / (8 * at[..., None] ** 2)).sum(axis=-1)
        large = 2 * ((-1) ** (steps - 1) * np.exp(-2 * steps**2 * at[..., None] ** 2)).sum(axis=-1)
        found = np.where(at <= 0, 1.0, np.where(at < 0.82, small, large))
    return np.where(np.isnan(at), np.nan, np.clip(found, 0.0, 1.0))


def normal_tail(x: npt.ArrayLike) -> Floats:
    """P(Z ≥ x) of the standard normal (scipy's `norm.sf`)."""
    at = np.asarray(x, np.float64)
    tails = [math.erfc(value) / 2 for value in (at / math.sqrt(2)).ravel().tolist()]
    return np.array(tails, np.float64).reshape(at.shape)


#: z with P(|Z| < z) = 95 %, z with P(Z < z) = 95 %, Kolmogorov's and Cramér-von Mises' 95 % points.
NORMAL_95_TWO_SIDED = 1.959963984540054
KOLMOGOROV_95 = 1.3580986393225505
CRAMER_VON_MISES_95 = 0.46136287
