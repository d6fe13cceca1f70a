"""Thresholds learnt from healthy windows: by hour of the week where there is enough history, else more coarsely."""

from __future__ import annotations

import dataclasses
import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from store.monitor.bins import Floats, Integers
from store.monitor.rules import Learn
from store.monitor.windows import DAY, HOUR, WEEK, Window

#: The median absolute deviation of a normal distribution, of its standard deviation.
_MAD = 0.6745
_DAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")
#: A usual level (a median) is known from fewer windows than a quantile.
LEAST_USUAL = 3
#: A distance must be so much above its usual level, however little healthy windows vary.
MARGIN = 0.1


@dataclasses.dataclass(frozen=True)
class Past:
    """Values of one feature and version over earlier (or healthy) decisions, each over [begin, end)."""

    begins: Integers
    ends: Integers
    values: Floats


@dataclasses.dataclass(frozen=True)
class Learnt:
    """`threshold` is passed by a value on its bad side; a value on the good side of `quiet` is healthy again."""

    threshold: float
    quiet: float
    windows: int
    said: str
    """From what: `28 healthy Tuesdays`."""


def healthy(past: Past, learn: Learn, begin: int, end: int, bad: list[tuple[float, float]]) -> npt.NDArray[np.bool_]:
    """Which of `past` the decision over [begin, end) may learn from.

    Leave-one-out: what shares a moment with the decision is left out, so that nothing is compared with itself.
    So is what overlaps a span of `bad`, while the alert was on.
    """
    if learn.since is not None and learn.until is not None:
        held = (past.begins >= learn.since) & (past.ends <= learn.until)
    else:
        held = (past.begins >= begin - learn.last) & (past.ends <= begin)
    held &= (past.ends <= begin) | (past.begins >= end)
    for since, until in bad:
        held &= (past.ends <= since) | (past.begins >= until)
    return held


def learn_quantile(
    past: Past, learn: Learn, window: Window, begin: int, end: int, above: bool, bad: list[tuple[float, float]]
) -> Learnt | None:
    """The level that the share `quantile` of healthy windows of this kind stays within; null with too few of them.

    With enough windows (n + 1 ≥ 1 / (1 − quantile)) it is the order statistic ⌈(n + 1) quantile⌉, which a further
    exchangeable window passes with a chance of at most 1 − quantile (split conformal prediction; Vovk, Gammerman
    & Shafer 2005). With fewer: the greatest, or median + z · MAD / 0.6745 where that is more (of logarithms where
    all values are positive and high ones bad: distances have long tails).
    """
    chosen = _alike(past, healthy(past, learn, begin, end, bad), window, end, learn.least)
    if chosen is None:
        return None
    values, kind = chosen
    sign = 1.0 if above else -1.0
    ordered = np.sort(sign * values)
    count, middle = len(ordered), float(np.median(ordered))
    place = math.ceil((count + 1) * learn.quantile)
    if place <= count:
        limit = float(ordered[place - 1])
    else:
        limit = max(float(ordered[-1]), _beyond_seen(ordered, learn.quantile))
    if above and ordered[0] >= 0:
        limit = max(limit, middle * (1 + MARGIN))
    return Learnt(sign * limit, sign * (middle + limit) / 2, count, f"{count} healthy {kind}")


def _beyond_seen(ordered: Floats, quantile: float) -> float:
    """The quantile of the normal (or log-normal) that has the median and the spread of `ordered` (ascending)."""
    scaled = np.log(ordered) if ordered[0] > 0 else ordered
    middle = float(np.median(scaled))
    limit = middle + NormalDist().inv_cdf(quantile) * float(np.median(np.abs(scaled - middle))) / _MAD
    return math.exp(min(limit, 700.0)) if ordered[0] > 0 else limit


def learn_usual(
    past: Past, learn: Learn, window: Window, begin: int, end: int, change: float, bad: list[tuple[float, float]]
) -> Learnt | None:
    """The level a share of `change` below the usual: the median of the same hour or day of the week.

    Where there is no history of that hour or day yet, below the least of at least a week.
    """
    mask = healthy(past, learn, begin, end, bad)
    chosen = _alike(past, mask, window, end, min(learn.least, LEAST_USUAL))
    if chosen is None:
        return None
    values, kind = chosen
    usual = float(np.median(values))
    if kind == "windows" and window.seconds < WEEK:
        covered = float((past.ends[mask] - past.begins[mask]).sum())
        if covered < WEEK or len(values) < learn.least:
            return None
        usual, kind = float(values.min()), "windows, the least"
    return Learnt(usual * (1 - change), usual * (1 - 0.8 * change), len(values), f"{len(values)} healthy {kind}")


def _alike(past: Past, mask: npt.NDArray[np.bool_], window: Window, end: int, least: int) -> tuple[Floats, str] | None:
    """(values, what they are) of the finest kind of window that there are `least` of."""
    last = end - min(window.seconds, DAY)
    for names, period, width in _LEVELS:
        if window.seconds > width:
            continue
        # The last window of a decision's span says which hour or day the decision is of.
        starts = past.ends - min(window.seconds, DAY)
        same = mask & (_place(starts, period, width) == _place(np.array([last]), period, width)[0])
        if int(same.sum()) >= least:
            return past.values[same], names(last)
    if int(mask.sum()) >= least:
        return past.values[mask], "windows"
    return None


def _place(starts: Integers, period: int, width: int) -> Integers:
    place: Integers = (starts - 4 * DAY) % period // width
    return place


def _hour(start: int) -> str:
    return f"{start % DAY // HOUR:02d}:00"


def _day(start: int) -> str:
    return _DAYS[(start - 4 * DAY) % WEEK // DAY]


_LEVELS = (
    (lambda start: f"{_day(start)} at {_hour(start)}", WEEK, HOUR),
    (lambda start: f"windows at {_hour(start)}", DAY, HOUR),
    (_day, WEEK, DAY),
)
