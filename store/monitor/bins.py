"""Bins: where the values of a feature are counted, fixed once by the reference of a model version."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
FeatureKind = Literal["numeric", "categorical", "score"]

INTERIOR_BINS = 128
CATEGORIES = 200
#: A category's name longer than this is counted as "other": names are kept, megabytes are not.
CATEGORY_LENGTH = 200
#: References beyond this many rows give their quantiles by an evenly spaced sample of about this size.
QUANTILE_SAMPLE = 200_000
#: The pseudo-features that hold what the model answered.
SCORE, PREDICTION = "score", "prediction"

_LOOKUP_CELLS = 8192
_LOOKUP_CHUNK = 16_384


#: Edges for the scores of a version whose reference holds none: hundredths and quarter steps of logit.
COARSE_SCORE_EDGES: list[float] = np.unique(
    np.concatenate([np.linspace(0.0, 1.0, 101), 1.0 / (1.0 + np.exp(-np.arange(-64, 65) / 4))])
).tolist()


class FeatureBins(msgspec.Struct, frozen=True):
    """One feature's bins, and where its counts stand in the version's vector of counts.

    Numeric (and score): slot 0 counts values below `edges[0]`, slots 1 … k the bins
    `edges[i] <= x < edges[i + 1]` (the last one closed), then above, null, NaN, infinite, and not a number
    at all. Categorical: one slot a category of the reference (most frequent first), then other, then null.
    A feature that a file lacks adds to no slot.
    """

    name: str
    kind: FeatureKind
    offset: int
    edges: list[float] = []
    categories: list[str] = []

    @property
    def bins(self) -> int:
        """Bins or categories of the reference itself."""
        return len(self.edges) - 1 if self.kind != "categorical" else len(self.categories)

    @property
    def width(self) -> int:
        """Slots taken in the vector of counts."""
        return self.bins + (6 if self.kind != "categorical" else 2)

    @property
    def null_slot(self) -> int:
        return self.bins + (2 if self.kind != "categorical" else 1)

    @property
    def missing_from(self) -> int:
        """The first slot that counts values that are missing: null, and NaN, infinite, invalid if numeric."""
        return self.null_slot


def numeric_edges(values: Floats, bins: int = INTERIOR_BINS) -> list[float]:
    """Edges (ascending, first = minimum, last = maximum) of at most `bins` quantile bins of `values`.

    Up to `bins` distinct values get a bin each, divided half-way between neighbours; a constant has one
    bin that holds nothing else. Non-finite values are ignored; no finite value gives [0, 0].
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return [0.0, 0.0]
    low, high = float(finite.min()), float(finite.max())
    ordered = np.sort(finite[:: max(1, len(finite) // QUANTILE_SAMPLE)])
    distinct = np.unique(ordered)
    if len(distinct) <= bins:
        # Half-way is exact enough: where it rounds to a neighbour, that neighbour begins its own bin.
        splits = distinct[:-1] + (distinct[1:] - distinct[:-1]) / 2
        splits = np.where(splits <= distinct[:-1], distinct[1:], splits)
    else:
        splits = ordered[(np.arange(1, bins) * len(ordered)) // bins]
    splits = np.unique(splits)
    splits = splits[(splits > low) & (splits <= high)]
    return [low, *(float(split) for split in splits), high]


class NumericCoder:
    """Value → slot for numeric bins, by a lookup table that is exact: about ten times a binary search.

    A cell of the table holds at most one edge, so a cell's first slot plus one comparison is the answer;
    edges that lie too close for that fall back to `numpy.searchsorted`.
    """

    def __init__(self, edges: Sequence[float]) -> None:
        full = np.asarray(edges, dtype=np.float64)
        with np.errstate(over="ignore"):
            self.full = np.append(full[:-1], np.nextafter(full[-1], math.inf))
        self.bins = len(full) - 1
        self._low = float(self.full[0])
        with np.errstate(all="ignore"):
            span = float(self.full[-1]) - self._low
            self._scale = _LOOKUP_CELLS / span if span > 0 else math.inf
            fits = math.isfinite(span) and math.isfinite(self._scale)
            keys = self._keys(self.full) if fits else np.zeros(2, np.int32)
        self._lookup = fits and len(np.unique(keys)) == len(self.full)
        if self._lookup:
            held = np.zeros(_LOOKUP_CELLS, np.uint16)
            held[keys] = 1
            self._first = (np.cumsum(held, dtype=np.uint16) - held).astype(np.uint16)
            self._edge = np.full(_LOOKUP_CELLS, math.inf)
            self._edge[keys] = self.full

    def _keys(self, values: Floats) -> npt.NDArray[np.int32]:
        scaled = values - self._low
        scaled *= self._scale
        np.clip(scaled, 0, _LOOKUP_CELLS - 1, out=scaled)
        return scaled.astype(np.int32)

    def finite(self, values: Floats) -> Integers:
        """Slots 0 (below) to bins + 1 (above) of finite `values`."""
        if not self._lookup:
            return np.searchsorted(self.full, values, side="right").astype(np.int64)
        slots = np.empty(len(values), np.int64)
        with np.errstate(over="ignore"):
            for start in range(0, len(values), _LOOKUP_CHUNK):
                part = values[start : start + _LOOKUP_CHUNK]
                keys = self._keys(part)
                found = self._first.take(keys)
                found += part >= self._edge.take(keys)
                slots[start : start + len(part)] = found
        return slots

    def slots(
        self, values: Floats, null: npt.NDArray[np.bool_] | None, invalid: npt.NDArray[np.bool_] | None
    ) -> Integers:
        """Slots of `values`, whose nulls (marked in `null`, NaN in `values`) may be what `invalid` marks."""
        odd = ~np.isfinite(values)
        if not odd.any():
            return self.finite(values)
        slots = self.finite(np.where(odd, self._low, values))
        after = self.bins + 2
        slots[odd] = np.where(np.isnan(values[odd]), after + 1, after + 2)
        if null is not None:
            slots[null] = after
        if invalid is not None:
            slots[invalid] = after + 3
        return slots


def display_labels(feature: FeatureBins) -> list[str]:
    """A name for every slot, in order."""
    if feature.kind == "categorical":
        return [*feature.categories, "(other)", "(null)"]
    spans = [f"{_short(low)} … {_short(high)}" for low, high in zip(feature.edges, feature.edges[1:], strict=False)]
    low, high = _short(feature.edges[0]), _short(feature.edges[-1])
    return [f"< {low}", *spans, f"> {high}", "(null)", "(NaN)", "(infinite)", "(not a number)"]


def _short(value: float) -> str:
    return f"{value:.4g}"


def canonical(value: Any) -> str:
    """A label or class as text that does not depend on its file's type: 1, 1.0, true and "1" are "1".

    The same rule in SQL is `store.monitor.source.canonical_sql`.
    """
    if isinstance(value, bool):
        return "1" if value else "0"
    text = str(value).strip()
    if text.lower() in ("true", "false"):
        return "1" if text.lower() == "true" else "0"
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if math.isfinite(number) and number == int(number) and abs(number) < 2**53 else text
