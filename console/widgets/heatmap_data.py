"""What a heat map shows: values of features by windows, and how severe each of them is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

LEVELS = ("noise", "ok", "warning", "critical", "extreme")
WORDS = ("noise", "ok", "warn", "alarm", "alarm")
#: The last level begins at so many times the alarm's threshold: where all alarms, this tells which to look at.
EXTREME = 10.0

Order = Literal["worst", "matters", "window", "name"]
"""Features by the worst value in sight, by what their drift means for the model, by their value in the cursor's
window, or by name."""


@dataclass(frozen=True, slots=True)
class HeatmapMark:
    """A revision (`R`) or an alert (`!`) at a time."""

    at: float
    letter: str


@dataclass(frozen=True, slots=True)
class HeatmapData:
    """`values[feature][window]`, None where there is no data; `noise` has the same shape or is empty.

    `starts` are seconds since the epoch, rising; `warn` and `alarm` are thresholds of the statistic.
    """

    features: tuple[str, ...] = ()
    starts: tuple[float, ...] = ()
    window_seconds: float = 3600.0
    values: tuple[tuple[float | None, ...], ...] = ()
    noise: tuple[tuple[float | None, ...], ...] = ()
    warn: float = 0.1
    alarm: float = 0.25
    alarms: tuple[tuple[str, ...], ...] = ()
    """Of each cell the verdict, `warning`, `critical` or "", or empty: then the values alone decide."""
    marks: tuple[HeatmapMark, ...] = ()
    rows: tuple[int, ...] = ()
    """Rows seen in each window, or empty."""
    versions: tuple[str, ...] = ()
    """The version that made most of each window's predictions, or empty."""
    importance: tuple[float | None, ...] = ()
    """Each feature's share of the model's importances, or empty."""
    relevance: tuple[float | None, ...] = ()
    """How much each feature's drift matters, or empty."""
    basis: str = ""
    """What relevance rests on: `importance`, `correlation`, or "" when there is none."""
    statistic: str = "psi"
    title: str = ""
    why: str = ""
    """Why there is nothing to show."""


def severity(value: float | None, noise: float | None, warn: float, alarm: float) -> int | None:
    """0 below the noise floor; by what the value has beyond it 1 ok, 2 from `warn`, 3 from `alarm`, 4 from ten times
    `alarm`; None without a value. Of signed statistics the size counts."""
    if value is None or not math.isfinite(value):
        return None
    floor = noise or 0.0
    if abs(value) < floor:
        return 0
    return 1 + sum(abs(value) >= floor + limit for limit in (warn, alarm, EXTREME * alarm))


def level_at(data: HeatmapData, feature: int, window: int) -> int | None:
    """The `severity` of a cell; where there are verdicts, only what they call an alarm is one."""
    noise = data.noise[feature][window] if data.noise else None
    level = severity(data.values[feature][window], noise, data.warn, data.alarm)
    if level is None or not data.alarms:
        return level
    match data.alarms[feature][window]:
        case "critical":
            return max(3, level)
        case "":
            return min(1, level)
        case _:
            return 2


def part_of(level: int | None) -> str:
    """The component class of a level, without its prefix."""
    return "none" if level is None else LEVELS[level]


def worst(values: Sequence[float | None], shown: Sequence[int]) -> float | None:
    """The value of the greatest size among the windows in sight."""
    found = (values[window] for window in shown)
    return max((value for value in found if value is not None and math.isfinite(value)), key=abs, default=None)


def size_of(value: float | None) -> float:
    """What values are sorted by: their size, none below all."""
    return -1.0 if value is None else abs(value)
