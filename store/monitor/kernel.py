"""The counting kernel: record batches of one version's predictions become sparse counts per window and slot."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from store.monitor.bins import FeatureBins, Integers
from store.monitor.reference import Reference

#: Rows of a batch: of 16,384 to 122,880 the fastest that was measured.
BATCH_ROWS = 65_536
_THREADS = 2
_AHEAD = 4


@dataclasses.dataclass(frozen=True)
class Watched:
    """A feature as a column of the batches: `place` holds values (or slots, if categorical), `invalid` the
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
class _Partial:
    starts: Integers
    rows: Integers
    first: Integers
    last: Integers
    keys: Integers
    counts: Integers


def count_batches(
    batches: Iterator[Any], reference: Reference | None, watched: list[Watched], base_seconds: int
) -> WindowCounts:
    """Counts of Arrow record batches with a column `event_us` (no nulls) and the watched columns.

    More than one batch is counted on two threads while DuckDB decodes the next; few are held at a time.
    """
    width = reference.width if reference else 0

    def partial(batch: Any) -> _Partial:
        return _count(batch, reference, watched, base_seconds * 1_000_000, width)

    first = next(batches, None)
    second = next(batches, None) if first is not None else None
    if first is None:
        return _merge([], width)
    if second is None:
        return _merge([partial(first)], width)
    done: list[_Partial] = []
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="count") as pool:
        waiting: deque[Future[_Partial]] = deque([pool.submit(partial, first), pool.submit(partial, second)])
        for batch in batches:
            if len(waiting) >= _AHEAD:
                done.append(waiting.popleft().result())
            waiting.append(pool.submit(partial, batch))
        done += [future.result() for future in waiting]
    return _merge(done, width)


def _count(batch: Any, reference: Reference | None, watched: list[Watched], base_us: int, width: int) -> _Partial:
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    times: Integers = columns["event_us"].to_numpy()
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
    keys: list[Integers] = []
    counts: list[Integers] = []
    for column in watched:
        feature = column.feature
        slots = _slots(columns, column, reference)
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
    return _Partial(
        present[occupied],
        rows[occupied],
        first[occupied],
        last[occupied],
        np.concatenate(keys) if keys else nothing,
        np.concatenate(counts) if counts else nothing,
    )


def _slots(columns: dict[str, Any], column: Watched, reference: Reference | None) -> Integers:
    """The slot of each row, counted from the feature's own first."""
    values = columns[column.place]
    if column.feature.kind == "categorical":
        coded: Integers = values.to_numpy(zero_copy_only=False).astype(np.int64)
        return coded
    assert reference is not None
    null = values.is_null().to_numpy(zero_copy_only=False) if values.null_count else None
    invalid = columns[column.invalid].to_numpy(zero_copy_only=False).astype(bool) if column.invalid else None
    numbers = values.to_numpy(zero_copy_only=False)
    return reference.coders[column.feature.name].slots(numbers, null, invalid)


def _merge(partials: list[_Partial], width: int) -> WindowCounts:
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
