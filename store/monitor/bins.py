"""Bins: where the values of a feature are counted, fixed once by the reference of a model version."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from store.monitor.moments import EXACT_ROWS, Grid, Moments, moments_of

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Marks = npt.NDArray[np.bool_]
FeatureKind = Literal["numeric", "categorical", "score"]

INTERIOR_BINS = 128
CATEGORIES = 200
#: Groups that the categories beyond those are counted in, by a hash of their names: a power of two, so that fewer
#: groups are unions of these.
TAIL_GROUPS = 512
#: A category's name longer than this is counted as "other": names are kept, megabytes are not.
CATEGORY_LENGTH = 200
#: References beyond this many rows give their quantiles by an evenly spaced sample of about this size.
QUANTILE_SAMPLE = 100_000
#: The pseudo-features that hold what the model answered.
SCORE, PREDICTION = "score", "prediction"
#: What the labels are called among the features; a feature of that name takes their place.
LABEL = "label"

_LOOKUP_CELLS = 8192


#: Edges for the scores of a version whose reference holds none: hundredths and quarter steps of logit.
COARSE_SCORE_EDGES: list[float] = np.unique(
    np.concatenate([np.linspace(0.0, 1.0, 101), 1.0 / (1.0 + np.exp(-np.arange(-64, 65) / 4))])
).tolist()


class FeatureBins(msgspec.Struct, frozen=True):
    """One feature's bins, and where its counts stand in the version's vector of counts.

    Numeric (and score): slot 0 counts values below `edges[0]`, slots 1 … k the bins
    `edges[i] <= x < edges[i + 1]` (the last one closed), then above, null, NaN, infinite, and not a number
    at all. Categorical: one slot a category of the reference (most frequent first), then other, then null.
    With `tail_groups` T (of references that hold more categories than have slots) other is 2 T slots: T groups, by
    the hash of the name, of categories that the reference holds too, then T groups of those that it does not.
    A feature that a file lacks adds to no slot.

    `origin` is taken from every value before anything else: 0, but for integers that a double cannot hold, whose
    differences it then holds. Edges and moments are relative to it.
    """

    name: str
    kind: FeatureKind
    offset: int
    edges: list[float] = []
    categories: list[str] = []
    origin: int = 0
    tail_groups: int = 0
    tail_categories: int = 0
    """How many categories the reference holds in its tail (about, beyond `store.monitor.binning.REFERENCE_NAMES`)."""
    singles: int = 0
    """How many categories the reference holds once: of tailed features. Their share of its rows is the share of new
    categories that a window of the same distribution holds (Good 1953)."""
    tail_known: bool = True
    """Whether the names of the whole tail are known; else no category counts as new."""

    @property
    def bins(self) -> int:
        """Bins or categories of the reference itself."""
        return len(self.edges) - 1 if self.kind != "categorical" else len(self.categories)

    @property
    def width(self) -> int:
        """Slots taken in the vector of counts."""
        return self.bins + (6 if self.kind != "categorical" else 1 + max(1, 2 * self.tail_groups))

    @property
    def centre(self) -> float:
        """What sums of moments are taken from (`store.monitor.window_moments`): fixed, for stores hold such sums."""
        return self.edges[len(self.edges) // 2]

    @property
    def null_slot(self) -> int:
        return self.bins + (2 if self.kind != "categorical" else max(1, 2 * self.tail_groups))

    @property
    def new_slots(self) -> slice:
        """Of a categorical feature: what counts categories that the reference does not hold (without `tail_groups`
        those that it holds and that have no slot are among them)."""
        return slice(self.bins + self.tail_groups, self.null_slot)

    @property
    def missing_from(self) -> int:
        """The first slot that counts values that are missing: null, and NaN, infinite, invalid if numeric."""
        return self.null_slot


def numeric_edges(values: Floats, bins: int = INTERIOR_BINS) -> list[float]:
    """Edges (ascending, first = minimum, last = maximum) of at most `bins` quantile bins of `values`.

    Up to `bins` distinct values get a bin each, divided half-way between neighbours, and so does, of more, a value
    that fills quantiles by itself (the zeros of rain); a constant has one bin that holds nothing else. Non-finite
    values are ignored; no finite value gives [0, 0].
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return [0.0, 0.0]
    low, high = float(finite.min()), float(finite.max())
    ordered = np.sort(finite[:: max(1, len(finite) // QUANTILE_SAMPLE)])
    first = np.flatnonzero(ordered[1:] != ordered[:-1])
    if len(first) < bins:
        distinct = ordered[np.append(first, len(ordered) - 1)]
        splits = _halfway(distinct[:-1], distinct[1:])
    else:
        splits = ordered[(np.arange(1, bins) * len(ordered)) // bins]
        # Else a bin would hold it and what follows: its share alone, not 1 / bins, would bound what bins miss.
        full = np.unique(splits[np.append(splits[0] == low, splits[1:] == splits[:-1])])
        full = full[full < ordered[-1]]
        after = ordered[np.searchsorted(ordered, full, side="right")]
        splits = np.concatenate([splits, _halfway(full, after)])
    splits = np.unique(splits)
    splits = splits[(splits > low) & (splits <= high)]
    return [low, *(float(split) for split in splits), high]


def _halfway(values: Floats, following: Floats) -> Floats:
    """Exact enough: where it rounds to a value, the one that follows begins its own bin."""
    found: Floats = values / 2 + following / 2
    return np.where(found <= values, following, found)


def distinct_values(edges: Floats) -> Floats | None:
    """The distinct values that `numeric_edges` divided half-way between neighbours; null where they were too many.

    The edges between them give them back one by one from the lowest; that this ends at the highest is the proof.
    """
    low, high = float(edges[0]), float(edges[-1])
    if low == high:
        return np.array([low])
    values = [low]
    for split in edges[1:-1]:
        values.append(2 * float(split) - values[-1])
    found = np.array(values)
    inside = (found[1:] > edges[1:-1]).all() and (found[:-1] < edges[1:-1]).all()
    return found if inside and abs(found[-1] - high) <= 1e-9 * (high - low) else None


class NumericCoder:
    """Value → slot for numeric bins, by a lookup table that is exact: about ten times a binary search.

    The table divides the span of the inner edges into cells, evenly or (long tails) by the leading bits of positive
    numbers; what lies outside falls into its first and last. A cell that holds one edge at most gives its first
    slot plus one comparison. Values in cells that hold more (edges that lie extremely close) are searched for.
    """

    def __init__(self, edges: Sequence[float]) -> None:
        full = np.asarray(edges, dtype=np.float64)
        self.low, self.high = float(full[0]), float(full[-1])
        with np.errstate(over="ignore"):
            self.full = np.append(full[:-1], np.nextafter(full[-1], math.inf))
        self.bins = len(full) - 1
        self._inner = self.full[1:-1] if len(self.full) > 3 else self.full
        self._cells = self._shift = self._base = 0
        self._origin, self._scale = self.low, 1.0
        with np.errstate(over="ignore"):
            held = self._best_table()
            reach = max(abs(self.high - self._origin) * self._scale, abs(self.low - self._origin) * self._scale)
        # So wide that its steps would overflow: measured in steps of its own.
        origin, scale = (self._origin, self._scale) if reach < 2.0**100 else (0.0, 2.0**-1000)
        self.grid = Grid.over(self.low, self.high, origin, scale)
        if self._cells:
            self._first = (np.cumsum(held) - held).astype(np.uint16)
            self._edge = np.full(self._cells, math.inf)
            with np.errstate(over="ignore"):
                self._edge[self._keys(self.full)] = self.full
            self._crowded = held > 1 if held.max() > 1 else None

    def _best_table(self) -> Integers:
        """Choose the way from value to cell; how many edges each cell holds (no cells: search)."""
        nothing = np.zeros(0, np.int64)
        if self.bins == 1:
            return nothing
        with np.errstate(all="ignore"):
            span = float(self._inner[-1] - self._inner[0])
            step = (_LOOKUP_CELLS - 4) / span if span > 0 else math.inf
        if not (math.isfinite(span) and 0 < step < math.inf):
            return nothing
        start = float(self._inner[0]) - 2 / step
        self._origin, self._scale, self._cells = start, step, _LOOKUP_CELLS
        held = np.bincount(self._keys(self.full), minlength=self._cells)
        if held.max() == 1 or self.low < 0 or self._inner[0] <= 0:
            return held
        leading = self._inner.view(np.int64) >> 40
        shift = 40 + max(0, int(leading[-1] - leading[0]).bit_length() - 13)
        base = int(self._inner[0].view(np.int64) >> shift) - 1
        if base < 0:
            # Zero and minus zero must fall into one cell, the first.
            return held
        cells = int(self._inner[-1].view(np.int64) >> shift) - base + 2
        self._shift, self._base, self._cells = shift, base, cells
        by_bits = np.bincount(self._keys(self.full), minlength=cells)
        if by_bits.max() < held.max():
            return by_bits
        self._shift, self._cells = 0, _LOOKUP_CELLS
        return held

    def _scaled(self, values: Floats) -> Floats:
        scaled = values - self._origin
        scaled *= self._scale
        return scaled

    def _keys(self, values: Floats, scaled: Floats | None = None) -> npt.NDArray[np.int32]:
        """The cell of each value: monotone in the value, so an edge in another cell needs no comparison."""
        if self._shift:
            # The bits of positive floats order as the floats do; negative ones are negative integers.
            leading = values.view(np.int64) >> self._shift
            leading -= self._base
            return np.clip(leading, 0, self._cells - 1, out=leading).astype(np.int32)
        return np.clip(self._scaled(values) if scaled is None else scaled, 0, self._cells - 1).astype(np.int32)

    def finite(self, values: Floats) -> Integers:
        """Slots 0 (below) to bins + 1 (above) of finite `values`."""
        slots = np.empty(len(values), np.int64)
        self._fill(values, slots, None)
        return slots

    def _fill(self, values: Floats, slots: Integers, moments: list[Moments] | None) -> None:
        values = np.ascontiguousarray(values)
        with np.errstate(over="ignore"):
            for start in range(0, len(values), EXACT_ROWS):
                part = values[start : start + EXACT_ROWS]
                scaled = None if self._shift or not self._cells else self._scaled(part)
                slots[start : start + len(part)] = self._slots(part, scaled)
                if moments is not None:
                    if scaled is None or self.grid.scale != self._scale:
                        scaled = (part - self.grid.origin) * self.grid.scale
                    moments.append(moments_of(part, scaled, self.grid, self.low, self.high))

    def _slots(self, part: Floats, scaled: Floats | None) -> npt.NDArray[np.integer[Any]]:
        if not self._cells:
            return np.searchsorted(self.full, part, side="right")
        keys = self._keys(part, scaled)
        found = self._first.take(keys)
        found += part >= self._edge.take(keys)
        if self._crowded is not None:
            hard = self._crowded.take(keys)
            if hard.any():
                found[hard] = np.searchsorted(self.full, part[hard], side="right")
        return found

    def slots(self, values: Floats, null: Marks | None, invalid: Marks | None) -> Integers:
        """Slots of `values`, whose nulls (marked in `null`, NaN in `values`) may be what `invalid` marks."""
        odd = ~np.isfinite(values)
        if not odd.any():
            return self.finite(values)
        slots = self.finite(np.where(odd, self.low, values))
        after = self.bins + 2
        slots[odd] = np.where(np.isnan(values[odd]), after + 1, after + 2)
        if null is not None:
            slots[null] = after
        if invalid is not None:
            slots[invalid] = after + 3
        return slots

    def tally(self, values: Floats, null: Marks | None, invalid: Marks | None) -> tuple[Integers, Moments]:
        """Counts by slot of `values` (as for `slots`), and the moments of the finite ones."""
        finite = np.isfinite(values)
        plain = values if finite.all() else values[finite]
        slots = np.empty(len(plain), np.int64)
        moments: list[Moments] = []
        self._fill(plain, slots, moments)
        counts = np.bincount(slots, minlength=self.bins + 6)
        if len(plain) < len(values):
            absent = int(null.sum()) if null is not None else 0
            wrong = int(invalid.sum()) if invalid is not None else 0
            no_number = int(np.isnan(values).sum())
            # What is invalid is null or NaN in `values`; which of the two is the source's choice.
            both = int((null & invalid).sum()) if null is not None and invalid is not None else 0
            counts[self.bins + 2 :] = [
                absent - both,
                no_number - absent - (wrong - both),
                len(values) - len(plain) - no_number,
                wrong,
            ]
        return counts, sum(moments, Moments())


def display_labels(feature: FeatureBins) -> list[str]:
    """A name for every slot, in order."""
    if feature.kind == "categorical":
        other = ["(other)"]
        if feature.tail_groups:
            numbers = range(feature.tail_groups)
            other = [f"({what}, group {number})" for what in ("rare", "new") for number in numbers]
        return [*feature.categories, *other, "(null)"]
    spans = [f"{_short(low)} … {_short(high)}" for low, high in zip(feature.edges, feature.edges[1:], strict=False)]
    low, high = placed(feature.edges[0], feature.origin), placed(feature.edges[-1], feature.origin)
    return [f"< {low}", *spans, f"> {high}", "(null)", "(NaN)", "(infinite)", "(not a number)"]


def plain(feature: FeatureBins, counts: Integers) -> tuple[FeatureBins, Integers]:
    """The feature without a tail, and its counts (… × slots) with all that has no slot of its own in one: "other"."""
    if not feature.tail_groups:
        return feature, counts
    other = counts[..., feature.bins : feature.null_slot].sum(axis=-1, keepdims=True)
    folded = np.concatenate([counts[..., : feature.bins], other, counts[..., feature.null_slot :]], axis=-1)
    return msgspec.structs.replace(feature, tail_groups=0, tail_categories=0, singles=0), folded


def _short(value: float) -> str:
    return f"{value:.4g}"


def placed(value: float, origin: int) -> str:
    """A value relative to an origin, for people: the origin in full, beside which four digits would show nothing."""
    return f"{origin:,} + {_short(value)}" if origin else _short(value)


def canonical(value: Any, letters: bool = False) -> str:
    """A label or class as text that does not depend on its file's type: 1, 1.0, true and "1" are "1".

    With `letters`, as in binary tasks, "t" is "1" and "f" is "0".
    The same rule in SQL is `store.monitor.source.canonical_sql`.
    """
    if isinstance(value, bool):
        return "1" if value else "0"
    text = str(value).strip()
    if text.lower() in (("true", "false", "t", "f") if letters else ("true", "false")):
        return "1" if text[0] in "tT" else "0"
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if math.isfinite(number) and number == int(number) and abs(number) < 2**53 else text
