"""The scan kernel by windows: rows of a part of a file become sparse counts per window of event time and slot, the
moments of numbers, and the names of categories that the reference does not hold."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from store.monitor import columns, parts
from store.monitor.bins import FeatureBins, Floats, Integers, Marks
from store.monitor.columns import Numbers
from store.monitor.files.number_text import PLAIN, NumberForm
from store.monitor.names import Names
from store.monitor.parts import Part
from store.monitor.profile import Binned
from store.monitor.window_moments import Summing, WindowMoments, added, numeric

#: Rows of a batch: of 16,384 to 122,880 the fastest that was measured.
BATCH_ROWS = 65_536
#: Up to so many rows, and so many slots of all their windows together, all features are counted in one go.
_FEW_ROWS, _FEW_CELLS = 4_096, 1 << 20
_THREADS = 2
_AHEAD = 4
#: New categories that a window of a file keeps by name.
WINDOW_NAMES = 100
#: (window, feature) → the names of its new categories.
NewNames = Mapping[tuple[int, str], Names]


@dataclasses.dataclass(frozen=True)
class Watched:
    """A feature, and the column of the batches that holds its values."""

    feature: FeatureBins
    place: str


@dataclasses.dataclass(frozen=True)
class WindowCounts:
    """Counts by window, sparse: window i has slots[ends[i]:ends[i + 1]]. Starts count base windows from the epoch."""

    starts: Integers
    rows: Integers
    first: Integers
    """Earliest event time, microseconds since the epoch."""
    last: Integers
    ends: Integers
    slots: Integers
    counts: Integers
    moments: WindowMoments
    names: NewNames
    """By window as `starts` numbers it."""


@dataclasses.dataclass(frozen=True)
class Partial:
    """Counts of some rows by window: partials of any parts in any order merge to the same `WindowCounts`.

    A key is window * width + slot, with windows counted from the epoch.
    """

    starts: Integers
    rows: Integers
    first: Integers
    last: Integers
    keys: Integers
    counts: Integers
    moments: WindowMoments
    names: NewNames = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class _Column:
    """A feature of some rows: the slot of each (counted from the feature's own first; may be overwritten), and its
    values if it is numeric. `codes` number the rows' categories where `new` names some that are new."""

    feature: FeatureBins
    slots: Integers
    values: Floats | None = None
    codes: Integers | None = None
    new: Mapping[int, str] = dataclasses.field(default_factory=dict)

    def counted(self, marks: Marks) -> _Column:
        """Of the marked rows alone."""
        values = self.values[marks] if self.values is not None else None
        codes = self.codes[marks] if self.codes is not None else None
        return _Column(self.feature, self.slots[marks], values, codes, self.new)


def count_batches(
    batches: Iterator[Any], bins: Binned | None, watched: list[Watched], base_seconds: int
) -> WindowCounts:
    """Counts of Arrow record batches with a column `event_us` (no nulls) and the watched columns.

    More than one batch is counted on two threads while DuckDB decodes the next; few are held at a time.
    """

    def partial(batch: Any) -> Partial:
        held = dict(zip(batch.schema.names, batch.columns, strict=True))
        read = (_batch_column(held, column, bins) for column in watched if bins is not None)
        return _count(held["event_us"].to_numpy(), read, base_seconds, bins)

    return merge(_in_threads(partial, batches), bins)


def count_part(
    part: Part,
    bins: Binned | None,
    places: Mapping[str, str],
    times: Integers,
    counted: Marks | None,
    base_seconds: int,
    forms: Mapping[str, NumberForm] | None = None,
) -> Partial:
    """Counts of a row group by window: a pure function of its arguments. Raises `Refusal` (usage).

    `places`: feature → the column that holds it; `forms`: how columns of text write numbers; `times` (rows,) in
    microseconds since the epoch; `counted` marks the rows that count (null: all).
    """
    if counted is not None:
        times = times[counted]
    if not len(times):
        nothing = np.zeros(0, np.int64)
        none = WindowMoments.nothing(0, _numeric(bins))
        return Partial(nothing, nothing, nothing, nothing, nothing, nothing, none)
    return _count(times, _part_columns(part, bins, places, counted, forms or {}), base_seconds, bins)


def count_parts(work: Callable[[Part], Partial], found: Sequence[Part], bins: Binned | None) -> WindowCounts:
    """The parts' partials, made two at a time and merged."""
    return merge(_in_threads(work, iter(found)), bins)


def _numeric(bins: Binned | None) -> int:
    return len(numeric(bins.features)) if bins else 0


def _in_threads(work: Callable[[Any], Partial], tasks: Iterator[Any]) -> Iterable[Partial]:
    first = next(tasks, None)
    second = next(tasks, None) if first is not None else None
    if first is None:
        return []
    if second is None:
        return [work(first)]
    done: list[Partial] = []
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="count") as pool:
        waiting: deque[Future[Partial]] = deque([pool.submit(work, first), pool.submit(work, second)])
        for task in tasks:
            if len(waiting) >= _AHEAD:
                done.append(waiting.popleft().result())
            waiting.append(pool.submit(work, task))
        done += [future.result() for future in waiting]
    return done


def _part_columns(
    part: Part,
    bins: Binned | None,
    places: Mapping[str, str],
    counted: Marks | None,
    forms: Mapping[str, NumberForm],
) -> Iterator[_Column]:
    if bins is None:
        return
    held = parts.open_parquet(part.path).types
    by_column: dict[str, list[FeatureBins]] = {}
    for feature in bins.features:
        if places.get(feature.name) in held:
            by_column.setdefault(places[feature.name], []).append(feature)
    for arrays in parts.read_columns(part, list(by_column)):
        for column, array in arrays.items():
            for feature in by_column[column]:
                read = _column(array, feature, bins, forms.get(column, PLAIN))
                yield read if counted is None else read.counted(counted)


def _column(array: Any, feature: FeatureBins, bins: Binned, form: NumberForm = PLAIN) -> _Column:
    """An Arrow array of any type as the feature."""
    if feature.kind != "categorical":
        return _numbers(columns.numbers(array, form, feature.origin), feature, bins)
    found = columns.categories(array)
    table = bins.tables[feature.name]
    slots = table.slots_of(found.names)
    taken = slots.take(found.codes)
    others = np.flatnonzero((slots[:-1] >= table.new) & (slots[:-1] < slots[-1]))
    if not len(others):
        return _Column(feature, taken)
    called = table.canonical(found.names)
    usable = {int(code): called[code] for code in others if columns.usable_category(called[code])}
    unknown = set(bins.new_among(feature.name, list(dict.fromkeys(usable.values()))))
    new = {code: name for code, name in usable.items() if name in unknown}
    return _Column(feature, taken, None, found.codes, new)


def _numbers(numbers: Numbers, feature: FeatureBins, bins: Binned) -> _Column:
    coder = bins.coders[feature.name]
    return _Column(feature, coder.slots(numbers.values, numbers.null, numbers.invalid), numbers.values)


def _batch_column(held: dict[str, Any], column: Watched, bins: Binned) -> _Column:
    return _column(held[column.place], column.feature, bins)


def _count(times: Integers, read: Iterable[_Column], base_seconds: int, bins: Binned | None) -> Partial:
    width = bins.width if bins else 0
    base_us = base_seconds * 1_000_000
    windows = times // base_us
    lowest = int(windows.min())
    groups = windows - lowest
    span = int(groups.max()) + 1
    if span > 4 * len(times) + 1000:
        # A few rows scattered over many years: number the windows that occur.
        present, groups = np.unique(windows, return_inverse=True)
    else:
        present = np.arange(lowest, lowest + span)
    size = len(present)
    rows = np.bincount(groups, minlength=size)
    first = np.full(size, np.iinfo(np.int64).max)
    last = np.full(size, np.iinfo(np.int64).min)
    order_known = bool((groups[1:] >= groups[:-1]).all())
    if order_known:
        bounds = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
        first[groups[bounds]] = np.minimum.reduceat(times, bounds)
        last[groups[bounds]] = np.maximum.reduceat(times, bounds)
    else:
        np.minimum.at(first, groups, times)
        np.maximum.at(last, groups, times)
    if len(times) <= _FEW_ROWS and size * width <= _FEW_CELLS:
        return _count_few(present, rows, first, last, groups, list(read), bins)
    summing = Summing(groups, size, bins.features if bins else ())
    keys: list[Integers] = []
    counts: list[Integers] = []
    names: dict[tuple[int, str], Names] = {}
    #: Width of a feature → where each row's window begins among the cells: most features are as wide as others.
    begins: dict[int, Integers] = {}
    for column in read:
        feature, slots = column.feature, column.slots
        if column.values is not None:
            summing.add([feature], [column.values])
        names |= _new_names(column, groups, present)
        if size > 1:
            if feature.width not in begins:
                begins[feature.width] = groups * feature.width
            slots += begins[feature.width]
        cells = size * feature.width
        if cells <= 4 * len(times) + 65_536:
            dense = np.bincount(slots, minlength=cells)
            held = np.flatnonzero(dense)
            counts.append(dense[held])
        else:
            held, found = np.unique(slots, return_counts=True)
            counts.append(found)
        window, slot = np.divmod(held, feature.width)
        keys.append(present[window] * width + feature.offset + slot)
    occupied = rows > 0
    nothing = np.zeros(0, np.int64)
    return Partial(
        present[occupied],
        rows[occupied],
        first[occupied],
        last[occupied],
        np.concatenate(keys) if keys else nothing,
        np.concatenate(counts) if counts else nothing,
        summing.found.of(occupied),
        names,
    )


def _count_few(
    present: Integers,
    rows: Integers,
    first: Integers,
    last: Integers,
    groups: Integers,
    read: list[_Column],
    bins: Binned | None,
) -> Partial:
    """All features at once: with few rows it is the calls that take the time."""
    width = bins.width if bins else 0
    nothing = np.zeros(0, np.int64)
    places = [column.slots + column.feature.offset for column in read]
    together = np.concatenate(places) if places else nothing
    if len(present) > 1:
        together += np.tile(groups * width, len(places))
    dense = np.bincount(together, minlength=1)
    held = np.flatnonzero(dense)
    occupied = rows > 0
    keys = nothing
    if width:
        window, slot = np.divmod(held, width)
        keys = present[window] * width + slot
    summing = Summing(groups, len(present), bins.features if bins else ())
    values = [(column.feature, column.values) for column in read if column.values is not None]
    summing.add([feature for feature, _ in values], [mine for _, mine in values])
    names: dict[tuple[int, str], Names] = {}
    for column in read:
        names |= _new_names(column, groups, present)
    return Partial(
        present[occupied],
        rows[occupied],
        first[occupied],
        last[occupied],
        keys,
        dense[held][: len(keys)],
        summing.found.of(occupied),
        names,
    )


def _new_names(column: _Column, groups: Integers, present: Integers) -> dict[tuple[int, str], Names]:
    """The new categories of the column's rows by (window, feature)."""
    if column.codes is None or not column.new:
        return {}
    size = int(column.codes.max()) + 1
    marked = np.zeros(max(size, max(column.new) + 1), bool)
    marked[list(column.new)] = True
    rows = np.flatnonzero(marked.take(column.codes))
    pairs, counts = np.unique(groups[rows] * len(marked) + column.codes[rows], return_counts=True)
    windows, codes = np.divmod(pairs, len(marked))
    found: dict[tuple[int, str], Names] = {}
    for window in np.unique(windows):
        mine = windows == window
        names = [
            (column.new[code], count) for code, count in zip(codes[mine].tolist(), counts[mine].tolist(), strict=True)
        ]
        found[int(present[window]), column.feature.name] = Names.of(names, WINDOW_NAMES)
    return found


def widened(counts: WindowCounts, factor: int, bins: Binned | None) -> WindowCounts:
    """The same rows in windows `factor` times as wide."""
    width = bins.width if bins else 0
    starts = counts.starts // factor
    keys = np.repeat(starts, np.diff(counts.ends)) * width + counts.slots
    names: dict[tuple[int, str], Names] = {}
    for (window, feature), mine in counts.names.items():
        wider = (window // factor, feature)
        names[wider] = names[wider] + mine if wider in names else mine
    partial = Partial(starts, counts.rows, counts.first, counts.last, keys, counts.counts, counts.moments, names)
    return merge([partial], bins)


def merge(found: Iterable[Partial], bins: Binned | None) -> WindowCounts:
    """The sum of partials over the same bins."""
    width = bins.width if bins else 0
    partials = [partial for partial in found if len(partial.starts)]
    nothing = np.zeros(0, np.int64)
    if not partials:
        none = WindowMoments.nothing(0, _numeric(bins))
        return WindowCounts(nothing, nothing, nothing, nothing, np.zeros(1, np.int64), nothing, nothing, none, {})
    starts, inverse = np.unique(np.concatenate([part.starts for part in partials]), return_inverse=True)
    rows = np.zeros(len(starts), np.int64)
    first = np.full(len(starts), np.iinfo(np.int64).max)
    last = np.full(len(starts), np.iinfo(np.int64).min)
    np.add.at(rows, inverse, np.concatenate([part.rows for part in partials]))
    np.minimum.at(first, inverse, np.concatenate([part.first for part in partials]))
    np.maximum.at(last, inverse, np.concatenate([part.last for part in partials]))
    keys = np.concatenate([part.keys for part in partials])
    counts = np.concatenate([part.counts for part in partials])
    order = np.argsort(keys, kind="stable")
    keys, counts = keys[order], counts[order]
    if len(keys):
        bounds = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
        keys, counts = keys[bounds], np.add.reduceat(counts, bounds)
    window = keys // width if width else keys
    ends = np.searchsorted(window, np.append(starts, starts[-1] + 1))
    moments = added([part.moments for part in partials], inverse, len(starts))
    names: dict[tuple[int, str], Names] = {}
    for part in partials:
        for key, mine in part.names.items():
            names[key] = names[key] + mine if key in names else mine
    return WindowCounts(starts, rows, first, last, ends, keys - window * width, counts, moments, names)
