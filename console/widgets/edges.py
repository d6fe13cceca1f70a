"""Names bins by their edges, with no more digits than tell neighbouring edges apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from console import text
from console.glyphs import glyphs

Span = tuple[float | None, float | None]

#: An edge may be said wrong by this share of its distance to the nearest other edge.
_NEAR = 0.25


def span_labels(spans: Sequence[Span]) -> list[str]:
    """A label for each (low, high), None where a bin is open: `< 26`, `26 … 28`, `> 60`; a bin of one value is
    that value. Edges are aligned, so that a column of labels reads as one of numbers."""
    edges = sorted({edge for span in spans for edge in span if edge is not None and math.isfinite(edge)})
    said = dict(zip(edges, short(edges), strict=True))
    inner = [said[low] for low, high in spans if low in said and high in said and low != high]
    wide = max((len(word) for word in inner), default=0)
    labels = []
    for low, high in spans:
        below, above = said.get(low) if low is not None else None, said.get(high) if high is not None else None
        if below is None and above is None:
            labels.append("all")
        elif below is None:
            labels.append(f"< {above}")
        elif above is None:
            labels.append(f"> {below}")
        elif low == high:
            labels.append(below)
        else:
            labels.append(f"{below.rjust(wide)} {glyphs().ellipsis} {above}")
    return labels


def short(edges: Sequence[float]) -> list[str]:
    """Rising numbers as briefly as still tells each from its neighbours."""
    gaps = [right - left for left, right in pairwise(edges)]
    said = []
    for place, edge in enumerate(edges):
        gap = min(gaps[max(0, place - 1) : place + 1], default=abs(edge) or 1.0)
        # Far apart, 0.2 and 0.9 are still not 0 and 1: what lies below the first would be called negative.
        said.append(_brief(edge, min(gap, abs(edge)) if abs(edge) > gap / 100 else gap))
    return said


def _brief(value: float, gap: float) -> str:
    if abs(value) >= 1e6 or (value and abs(value) < 1e-4):
        return text.number(value)
    for decimals in range(10):
        if abs(round(value, decimals) - value) <= _NEAR * gap:
            break
    return f"{round(value, decimals) + 0.0:,.{decimals}f}"
