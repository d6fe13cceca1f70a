"""What a heat map shows: values of features by windows, and how severe each of them is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

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
    reasons: tuple[tuple[str, ...], ...] = ()
    """Of each cell in words why it was not judged, "" where it was, or empty."""
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
    of: int = 0
    """How many features there are in all, where `features` are those that pass a filter."""
    title: str = ""
    why: str = ""
    """Why there is nothing to show."""


def severity(value: float | None, noise: float | None, warn: float, alarm: float) -> int | None:
    """0 below the noise floor; by what the value has beyond it 1 ok, 2 from `warn`, 3 from `alarm`, 4 from ten times
    `alarm`; None without a value. Of signed statistics the size counts."""
    if value is None or not math.isfinite(value):
        return None
    size, floor = abs(value), noise or 0.0
    if size < floor:
        return 0
    if size < floor + warn:
        return 1
    if size < floor + alarm:
        return 2
    return 3 if size < floor + EXTREME * alarm else 4


def level_at(data: HeatmapData, feature: int, window: int) -> int | None:
    """The `severity` of a cell; where there are verdicts, only what they call an alarm is one. None without a value,
    and of a cell that was not judged."""
    if reason_at(data, feature, window):
        return None
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


def reason_at(data: HeatmapData, feature: int, window: int) -> str:
    """Why a cell was not judged, in words; "" where it was, and where there is no data."""
    return data.reasons[feature][window] if data.reasons else ""


def part_of(level: int | None) -> str:
    """The component class of a level, without its prefix."""
    return "none" if level is None else LEVELS[level]


class Rank(NamedTuple):
    """How bad a cell is: by its verdict, then by how far its value is beyond the noise; of equals the later window."""

    level: int
    beyond: float
    window: int


#: Of a row without windows.
NO_RANK = Rank(-1, 0.0, -1)


def ranks(data: HeatmapData) -> tuple[tuple[Rank, ...], ...]:
    """The rank of each cell, level -1 where there is no value. A great value of a few rows is noise: it ranks below a
    lesser one that is none."""
    windows = range(len(data.starts))
    return tuple(tuple(_rank(data, row, window) for window in windows) for row in range(len(data.values)))


def _rank(data: HeatmapData, feature: int, window: int) -> Rank:
    level, value = level_at(data, feature, window), data.values[feature][window]
    if level is None or value is None:
        return Rank(-1, 0.0, window)
    noise = data.noise[feature][window] if data.noise else None
    return Rank(level, abs(value) - (noise or 0.0), window)


def worst(row: Sequence[Rank], shown: range) -> Rank:
    """The worst cell of a feature among the windows in sight."""
    return max(row[shown.start : shown.stop], default=NO_RANK)


def episodes(row: Sequence[Rank]) -> list[tuple[int, int]]:
    """(first, last) window of each run of alarms, oldest first; windows without a value do not end a run."""
    found: list[tuple[int, int]] = []
    running = False
    for rank in row:
        if rank.level >= 2:
            found.append((found.pop()[0], rank.window) if running else (rank.window, rank.window))
            running = True
        elif rank.level >= 0:
            running = False
    return found


class Episode(NamedTuple):
    """A run of alarms of the feature that stands in `row`, from the window `first` to `last`."""

    row: int
    first: int
    last: int


def all_episodes(found: Sequence[Sequence[Rank]], order: Sequence[int]) -> list[Episode]:
    """Every run of alarms as it is gone through: the features from the top, of each the newest first."""
    return [Episode(row, *run) for row, index in enumerate(order) for run in reversed(episodes(found[index]))]
