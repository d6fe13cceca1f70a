"""How a replay is told, by the command and on the screen alike."""

from __future__ import annotations

from itertools import pairwise

from console.text import number
from store.protocol import ReplayLine

#: Points of a line's small timeline.
POINTS = 24


def threshold_words(line: ReplayLine) -> str:
    """The threshold of a line; the rule's own one says so."""
    if line.threshold is None:
        return "as the rule has it"
    return f"{number(line.threshold)} (the rule's)" if line.own else number(line.threshold)


def thinned(counts: list[int], points: int = POINTS) -> list[float | None]:
    """At most `points` values, each the most of its stretch, so that what fired once is seen."""
    if len(counts) <= points:
        return [float(count) for count in counts]
    cuts = [round(place * len(counts) / points) for place in range(points + 1)]
    return [float(max(counts[low:high])) for low, high in pairwise(cuts)]
