"""What a statistic says of the windows it was computed for."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from store.monitor.bins import Floats

#: Share of null samples that stay below a noise floor.
NOISE_LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Value:
    """A statistic with the level that chance alone stays below 95 times in 100 on samples of these sizes.

    `p_value` is that of the statistic's own test, where it has one; `why` says why the value is null.
    """

    value: float | None
    noise_floor: float | None = None
    why: str = ""
    p_value: float | None = None


@dataclasses.dataclass(frozen=True)
class Values:
    """A statistic of many windows at once (windows,); NaN where it cannot be computed, for the reason `why`."""

    values: Floats
    noise_floors: Floats
    why: str = ""
    p_values: Floats | None = None

    def at(self, place: int) -> Value:
        value = float(self.values[place])
        if math.isnan(value):
            return Value(None, None, self.why or "no values in this window")
        floor = float(self.noise_floors[place])
        p = None if self.p_values is None else float(self.p_values[place])
        return Value(
            value, None if math.isnan(floor) else floor, "", None if p is None or math.isnan(p) else min(1.0, p)
        )


def nothing(windows: int, why: str = "the reference holds no values of this feature") -> Values:
    """No value in any of so many windows, and why."""
    missing = np.full(windows, np.nan)
    return Values(missing, missing, why)
