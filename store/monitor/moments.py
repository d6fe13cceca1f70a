"""Moments that add exactly: sums of values and of their squares as integers on a grid that the reference fixes."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: Values inside the reference's range are held to its width / 2 ** GRID_BITS.
GRID_BITS = 36
#: Rows whose sums on the grid stay below 2 ** 53, where floating point adds integers exactly.
EXACT_ROWS = 65_536
_FAR = 2.0**400


@dataclasses.dataclass(frozen=True)
class Grid:
    """y = (x - origin) * scale; sums are of round(y * 2 ** total_bits) and round(y * y * 2 ** square_bits)."""

    origin: float
    scale: float
    total_bits: int
    square_bits: int

    @classmethod
    def over(cls, low: float, high: float, origin: float, scale: float) -> Grid:
        """The grid on which values in [low, high] are integers below 2 ** GRID_BITS."""
        with np.errstate(over="ignore"):
            reach = max(abs((low - origin) * scale), abs((high - origin) * scale))
        bits = math.frexp(reach)[1] if 0 < reach < math.inf else 0
        return cls(origin, scale, min(GRID_BITS - bits, 60), min(2 * GRID_BITS - 2 * bits, 120))


@dataclasses.dataclass(frozen=True)
class Moments:
    """Finite values of one feature: integers and extremes, so that any order of adding gives the same bits.

    `total` and `squares` are in the units of `grid`, the same for all that is added (null without values).
    No values: low is inf, high is -inf.
    """

    grid: Grid | None = None
    values: int = 0
    total: int = 0
    squares: int = 0
    low: float = math.inf
    high: float = -math.inf

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.grid or other.grid,
            self.values + other.values,
            self.total + other.total,
            self.squares + other.squares,
            min(self.low, other.low),
            max(self.high, other.high),
        )

    @property
    def mean(self) -> float:
        """Not a number without values."""
        grid = self.grid
        if not self.values or grid is None:
            return math.nan
        return grid.origin + _ratio(self.total, self.values, grid.total_bits) / grid.scale

    @property
    def deviation(self) -> float:
        """Standard deviation of the population (divided by the number of values)."""
        grid = self.grid
        if not self.values or grid is None:
            return math.nan
        mean = _ratio(self.total, self.values, grid.total_bits)
        # The difference of two large numbers is taken between integers: floats would lose it.
        shift = 2 * grid.total_bits - grid.square_bits
        left = self.squares * self.values << max(shift, 0)
        right = self.total * self.total << max(-shift, 0)
        if left <= right:
            return 0.0
        spread = math.sqrt(_ratio(left - right, self.values**2, max(2 * grid.total_bits, grid.square_bits)))
        return min(spread, math.inf) / grid.scale if math.isfinite(mean) else math.nan


def _ratio(integer: int, count: int, bits: int) -> float:
    """integer / count / 2 ** bits, correctly rounded; infinite where it is too large for a float."""
    try:
        return (integer << max(-bits, 0)) / (count << max(bits, 0))
    except OverflowError:
        return math.copysign(math.inf, integer)


def moments_of(values: Floats, scaled: Floats, grid: Grid, low: float, high: float) -> Moments:
    """Moments of at most EXACT_ROWS finite `values`, given (values - origin) * scale in `scaled` (overwritten).

    `low` and `high` bound the reference; values beyond 2 ** 400 steps of the scale count as that far.
    """
    if not len(values):
        return Moments()
    least, most = float(values.min()), float(values.max())
    if least < low or most > high:
        np.clip(scaled, -_FAR, _FAR, out=scaled)
        add = exact_sum
    else:
        add = _plain_sum
    # Minus zero and zero are equal, and which one a minimum gives depends on the order.
    least, most = least + 0.0, most + 0.0
    squares = scaled * scaled
    squares *= 2.0 ** (grid.square_bits - GRID_BITS)
    upper = np.rint(squares)
    # What one integer cannot hold goes to a second one: the bulk under a long tail has small squares.
    squares -= upper
    squares *= 2.0**GRID_BITS
    np.rint(squares, out=squares)
    scaled *= 2.0**grid.total_bits
    np.rint(scaled, out=scaled)
    return Moments(grid, len(values), add(scaled), (add(upper) << GRID_BITS) + _plain_sum(squares), least, most)


def _plain_sum(whole: Floats) -> int:
    return int(whole.sum())


def exact_sum(whole: Floats) -> int:
    """The sum of integers of any size held as floats."""
    if not len(whole):
        return 0
    reach = max(-float(whole.min()), float(whole.max()))
    if reach * len(whole) < 2.0**53:
        return int(whole.sum())
    if reach < 2.0**52:
        upper = np.floor(whole * 2.0**-26)
        return (int(upper.sum()) << 26) + int((whole - upper * 2.0**26).sum())
    large = np.abs(whole) >= 2.0**52
    found, counts = np.unique(whole[large], return_counts=True)
    rest = sum(int(value) * int(count) for value, count in zip(found, counts, strict=True))
    return rest + exact_sum(whole[~large])
