"""What moments of the values themselves say better than bins: where values lie outside the reference's range, bins only
know that they do."""

from __future__ import annotations

import math
from typing import Protocol

REFINED = ("mean_change", "spread_change", "wasserstein")


class Described(Protocol):
    """Values by their number, mean and standard deviation (of the population)."""

    @property
    def values(self) -> int: ...
    @property
    def mean(self) -> float: ...
    @property
    def deviation(self) -> float: ...


def refined(name: str, value: float, before: Described, after: Described) -> float:
    """`value`, a statistic by the bins, or what the moments of reference and window say of it.

    Changes of mean and spread are those of the values (numpy's `mean` and `std`). No Wasserstein-1 distance is less
    than the change of the mean, and where all values lie beyond the reference's it is just that.
    """
    deviation = before.deviation
    if not deviation > 0 or not math.isfinite(deviation) or not after.values:
        return value
    change = (after.mean - before.mean) / deviation
    spread = after.deviation / deviation - 1
    found = {"mean_change": change, "spread_change": spread, "wasserstein": max(value, abs(change))}.get(name, value)
    return found if math.isfinite(found) else value
