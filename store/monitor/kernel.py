"""The scan kernel by windows: rows of a part of a file become sparse counts per window of event time and slot."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from store.monitor import columns, parts
from store.monitor.bins import FeatureBins, Integers, Marks
from store.monitor.columns import Numbers
from store.monitor.parts import Part
from store.monitor.profile import Binned

#: Rows of a batch: of 16,384 to 122,880 the fastest that was measured.
BATCH_ROWS = 65_536
#: Up to so many rows, and so many slots of all their windows together, all features are counted in one go.
_FEW_ROWS, _FEW_CELLS = 4_096, 1 << 20
_THREADS = 2
_AHEAD = 4


@dataclasses.dataclass(frozen=True)
class Watched:
    """A feature as a column of DuckDB's batches: `place` holds values (or slots, if categorical), `invalid` the
    column that marks values that are no numbers (null where the file's type rules them out)."""

    feature: FeatureBins
    place: str
    invalid: str | None


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


@dataclasses.dataclass(frozen=True)
class Partial:
    """Counts of some rows by window: partials of any parts in any order merge to the same `WindowCounts`.

    A key is window * width + slot, with windows counted from the epoch. All are integers.
    """

    starts: Integers
    rows: Integers
    first: Integers
    last: Integers
    keys: Integers
    counts: Integers


def count_batches(
    batches: Iterator[Any], bins: Binned | None, watched: list[Watched], base_seconds: int
) -> WindowCounts:
    """Counts of Arrow record batches with a column `event_us` (no nulls) and the watched columns.

    More than one batch is counted on two threads while DuckDB decodes the next; few are held at a time.
    """

    def partial(batch: Any) -> Partial:
        held = dict(zip(batch.schema.names, batch.columns, strict=True))
        slots = ((column.feature, _batch_slots(held, column, bins)) for column in watched)
        return _count(held["event_us"].to_numpy(), slots, base_seconds, bins.width if bins else 0)

    return merge(_in_threads(partial, batches), bins.width if bins else 0)


def count_part(
    part: Part,
    bins: Binned | None,
    places: Mapping[str, str],
    times: Integers,
    counted: Marks | None,
    base_seconds: int,
) -> Partial:
    """Counts of a row group by window: a pure function of its arguments. Raises `Refusal` (usage).

    `places`: feature → the column that holds it; `times` (rows,) in microseconds since the epoch; `counted` marks the
    rows that count (null: all).
    """
    if counted is not None:
        times = times[counted]
    if not len(times):
        nothing = np.zeros(0, np.int64)
        return Partial(nothing, nothing, nothing, nothing, nothing, nothing)
    return _count(times, _part_slots(part, bins, places, counted), base_seconds, bins.width if bins else 0)


def count_parts(work: Callable[[Part], Partial], found: Sequence[Part], width: int) -> WindowCounts:
    """The parts' partials, made two at a time and merged."""
    return merge(_in_threads(work, iter(found)), width)


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


def _part_slots(
    part: Part, bins: Binned | None, places: Mapping[str, str], counted: Marks | None
) -> Iterator[tuple[FeatureBins, Integers]]:
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
                slots = _slots(array, feature, bins)
                yield feature, slots if counted is None else slots[counted]


def _slots(array: Any, feature: FeatureBins, bins: Binned) -> Integers:
    """The slot of each value of an Arrow array, counted from the feature's own first; may be overwritten."""
    if feature.kind == "categorical":
        found = columns.categories(array)
        return bins.tables[feature.name].slots_of(found.names).take(found.codes)
    numbers = columns.numbers(array)
    return bins.coders[feature.name].slots(numbers.values, numbers.null, numbers.invalid)


def _batch_slots(held: dict[str, Any], column: Watched, bins: Binned | None) -> Integers:
    values = held[column.place]
    if column.feature.kind == "categorical":
        coded: Integers = values.to_numpy(zero_copy_only=False).astype(np.int64)
        return coded
    assert bins is not None
    null = values.is_null().to_numpy(zero_copy_only=False) if values.null_count else None
    invalid = held[column.invalid].to_numpy(zero_copy_only=False).astype(bool) if column.invalid else None
    numbers = Numbers(values.to_numpy(zero_copy_only=False), null, invalid)
    return bins.coders[column.feature.name].slots(numbers.values, numbers.null, numbers.invalid)


def _count(times: Integers, slotted: Iterable[tuple[FeatureBins, Integers]], base_seconds: int, width: int) -> Partial:
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
        return _count_few(present, rows, first, last, groups, slotted, width)
    keys: list[Integers] = []
    counts: list[Integers] = []
    for feature, slots in slotted:
        if size > 1:
            slots += groups * feature.width
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
    )


def _count_few(
    present: Integers,
    rows: Integers,
    first: Integers,
    last: Integers,
    groups: Integers,
    slotted: Iterable[tuple[FeatureBins, Integers]],
    width: int,
) -> Partial:
    """All features at once: with few rows it is the calls that take the time."""
    nothing = np.zeros(0, np.int64)
    places = [slots + feature.offset for feature, slots in slotted]
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
    return Partial(present[occupied], rows[occupied], first[occupied], last[occupied], keys, dense[held][: len(keys)])


def widened(counts: WindowCounts, factor: int, width: int) -> WindowCounts:
    """The same rows in windows `factor` times as wide, over bins of this width."""
    starts = counts.starts // factor
    keys = np.repeat(starts, np.diff(counts.ends)) * width + counts.slots
    return merge([Partial(starts, counts.rows, counts.first, counts.last, keys, counts.counts)], width)


def merge(found: Iterable[Partial], width: int) -> WindowCounts:
    """The sum of partials over bins of this width."""
    partials = [partial for partial in found if len(partial.starts)]
    nothing = np.zeros(0, np.int64)
    if not partials:
        return WindowCounts(nothing, nothing, nothing, nothing, np.zeros(1, np.int64), nothing, nothing)
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
    return WindowCounts(starts, rows, first, last, ends, keys - window * width, counts)
