"""A reference from its files: what its columns are, bins from an even sample of the rows, exact counts of all."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import msgspec
import numpy as np

from store.monitor import columns, counting, parts
from store.monitor.bins import (
    QUANTILE_SAMPLE,
    FeatureBins,
    FeatureKind,
    Floats,
    Integers,
    numeric_edges,
)
from store.monitor.category_bins import sampled_categories, settled_categories
from store.monitor.files.number_text import PLAIN, NumberForm
from store.monitor.files.table_files import TableFiles
from store.monitor.names import Hashes, Names, name_hashes
from store.monitor.parts import Part
from store.monitor.profile import Binned, Tally, total

THREADS = 2
#: Row groups that the sample is taken from, evenly spaced where there are more: fewer would miss most of what lies
#: in a file that is sorted by a feature.
SAMPLED_PARTS = 1_024
#: One file of at most so many rows is read a column at a time: its sample and its counts come of one decoding.
ROWS_BY_COLUMN = 16_000_000
#: Categories counted by name before the top ones are chosen; beyond that the sample's top ones are counted.
REFERENCE_NAMES = 120_000

_Task = TypeVar("_Task")
_Done = TypeVar("_Done")


@dataclasses.dataclass(frozen=True)
class Profile(Binned):
    """A reference: its bins and its own counts in them."""

    rows: int
    features: tuple[FeatureBins, ...]
    counts: Integers
    tally: Tally
    left_out: dict[str, str]
    """Column → why it has no bins."""
    rare: Hashes


class Engine(Protocol):
    """What does pure functions of parts: threads here, or the processes of a cluster (`store.monitor.cluster`)."""

    def __call__(self, work: Callable[[_Task], _Done], tasks: Sequence[_Task], /) -> Iterator[_Done]:
        """The results in the order of the tasks."""


def in_threads(work: Callable[[_Task], _Done], tasks: Sequence[_Task]) -> Iterator[_Done]:
    """The results in the order of the tasks; two are worked on at a time (decoding and numpy let go of the GIL)."""
    if len(tasks) < 2:
        yield from map(work, tasks)
        return
    with ThreadPoolExecutor(THREADS, thread_name_prefix="count") as pool:
        yield from pool.map(work, tasks)


def profile(
    files: TableFiles,
    wanted: Mapping[str, FeatureKind] | None = None,
    keep: Callable[[str], bool] | None = None,
    counted: Callable[[], None] | None = None,
    places: Mapping[str, str] | None = None,
    engine: Engine = in_threads,
) -> Profile:
    """Bins and counts of the features `wanted` (name → kind), or of all columns that `keep` accepts.

    `places` says which column holds a feature (default: the one of its name); `counted` is called after each part.
    Columns that name their rows, times and nested values have no bins unless they are wanted. Raises `Refusal` (usage)
    when a file cannot be read.
    """
    left_out: dict[str, str] = {}
    kinds: dict[str, FeatureKind] = dict(wanted or {})
    if wanted is None:
        for name, column in files.columns.items():
            if keep is not None and not keep(name):
                continue
            if column.treatment in columns.NOT_COMPARED:
                left_out[name] = f"{column.type}: {columns.NOT_COMPARED[column.treatment]}, not compared"
            else:
                kinds[name] = "numeric" if column.treatment == "numeric" else "categorical"
    homes = {name: (places or {}).get(name, name) for name in kinds}
    kinds = {name: kind for name, kind in kinds.items() if homes[name] in files.columns}
    if engine is in_threads and _by_columns(files.parts):
        found = _count_columns(files, kinds, homes, wanted is None, counted)
        left_out |= {name: one.why for name, one in found.items() if one.bins is None}
        return _profiled([one for one in found.values() if one.bins is not None], files.parts, left_out)
    sample = _Sample(files, kinds, homes, engine)
    features: list[FeatureBins] = []
    for name, kind in kinds.items():
        made, why = sample.bins(name, kind, wanted is None)
        if made is None:
            left_out[name] = why
        else:
            features.append(made)
    return _counted(files, tuple(features), homes, left_out, counted, engine)


def _counted(
    files: TableFiles,
    features: tuple[FeatureBins, ...],
    homes: Mapping[str, str],
    left_out: dict[str, str],
    counted: Callable[[], None] | None,
    engine: Engine,
) -> Profile:
    bins = Bins.placed(features)
    count = functools.partial(
        counting.count_part, bins=bins, places=dict(homes), new_names=REFERENCE_NAMES, forms=files.number_forms
    )
    return _settle(bins, total(told(engine(count, files.parts), counted), bins.width), left_out)


def _settle(bins: Bins, tally: Tally, left_out: dict[str, str]) -> Profile:
    final: list[FeatureBins] = []
    rare = [np.zeros(0, np.uint64)]
    vectors: list[Integers] = []
    offset = 0
    for feature in bins.features:
        settled, counts = _settled(feature, tally, tally.counts[feature.offset : feature.offset + feature.width])
        settled = msgspec.structs.replace(settled, offset=offset)
        if feature.kind == "categorical":
            held = tally.names[feature.name].counts if feature.name in tally.names else {}
            rare.append(name_hashes(feature.name, [*({*held, *feature.categories} - {*settled.categories})]))
        offset += settled.width
        final.append(settled)
        vectors.append(counts)
    whole = np.concatenate(vectors) if vectors else np.zeros(0, np.int64)
    return Profile(tally.rows, tuple(final), whole, tally, left_out, np.unique(np.concatenate(rare)))


def told(tallies: Iterator[Tally], counted: Callable[[], None] | None) -> Iterator[Tally]:
    """The same, with a call of `counted` after each."""
    for tally in tallies:
        if counted is not None:
            counted()
        yield tally


@dataclasses.dataclass(frozen=True)
class Bins(Binned):
    """Bins with nothing counted yet."""

    features: tuple[FeatureBins, ...]
    counts: Integers
    rare: Hashes | None = dataclasses.field(default_factory=lambda: np.zeros(0, np.uint64))

    @classmethod
    def placed(cls, features: Sequence[FeatureBins]) -> Bins:
        """Give each feature its place in the vector."""
        found: list[FeatureBins] = []
        offset = 0
        for feature in features:
            found.append(msgspec.structs.replace(feature, offset=offset))
            offset += feature.width
        return cls(tuple(found), np.zeros(offset, np.int64))


def _settled(feature: FeatureBins, tally: Tally, counts: Integers) -> tuple[FeatureBins, Integers]:
    """The feature as all rows say: the sample knew neither the extremes nor every category."""
    if feature.kind == "categorical":
        return settled_categories(feature, tally.names.get(feature.name, Names()), counts)
    moments = tally.moments.get(feature.name)
    if moments is None or not moments.values:
        return feature, counts
    low, high = moments.low, moments.high
    edges = list(feature.edges)
    below, above = int(counts[0]), int(counts[feature.bins + 1])
    inside = counts[1 : feature.bins + 1].tolist()
    if feature.bins == 1 and edges[0] == edges[1] and (below or above):
        # A constant but for rare values that the sample missed: it keeps a bin of its own.
        at = edges[0]
        edges = [*([low] if below else []), at, *([math.nextafter(at, math.inf), high] if above else [])]
        inside = [*([below] if below else []), *inside, *([above] if above else [])]
        if not above:
            edges.append(at)
    else:
        inside[0] += below
        inside[-1] += above
        edges[0], edges[-1] = low, high
    return (
        msgspec.structs.replace(feature, edges=edges),
        np.array([0, *inside, 0, *counts[feature.bins + 2 :].tolist()], np.int64),
    )


class _Sample:
    """Evenly spaced rows of some columns: numbers, and categories with their counts."""

    def __init__(
        self, files: TableFiles, kinds: Mapping[str, FeatureKind], homes: Mapping[str, str], engine: Engine
    ) -> None:
        chosen = files.parts[:: math.ceil(len(files.parts) / SAMPLED_PARTS)] if files.parts else []
        step = _step(chosen)
        self._values: dict[str, list[Floats]] = {name: [] for name in kinds}
        self._names: dict[str, Names] = {name: Names(QUANTILE_SAMPLE) for name in kinds}
        self._rows = _rows(files.parts)
        self._origins = {name: _origin(files, homes[name]) for name in kinds}
        held_by: dict[str, list[str]] = {}
        for name in kinds:
            held_by.setdefault(homes[name], []).append(name)

        read = functools.partial(
            _read_sample,
            kinds=dict(kinds),
            held_by=held_by,
            step=step,
            forms=files.number_forms,
            origins=self._origins,
        )
        for values, names in engine(read, chosen):
            for name, some in values.items():
                self._values[name].append(some)
            for name, more in names.items():
                self._names[name] += more

    def bins(self, name: str, kind: FeatureKind, skip: bool) -> tuple[FeatureBins | None, str]:
        """The feature's bins, or None and why it has none. `skip`: none for text that names its rows."""
        if kind != "categorical":
            edges = numeric_edges(np.concatenate([np.zeros(0), *self._values[name]]))
            return FeatureBins(name, kind, 0, edges, origin=self._origins[name]), ""
        return sampled_categories(name, self._names[name], skip, self._rows)


#: The first integer that has no double of its own is one more.
_EXACT = 2**53


def _origin(files: TableFiles, column: str) -> int:
    """What a column's values are taken relative to: its least one, where it holds integers that no double holds."""
    ranges = [found for path in files.paths if (found := parts.open_parquet(path).integer_range(column))]
    if not ranges:
        return 0
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    return low if max(abs(low), abs(high)) > _EXACT else 0


def _rows(all_parts: Sequence[Part]) -> int:
    return sum(part.rows for part in all_parts)


def _every(part: Part, step: int) -> slice:
    """The rows of the part that the sample takes."""
    return slice(-part.first_row % step, None, step)


def _step(chosen: Sequence[Part]) -> int:
    return max(1, sum(part.rows for part in chosen) // QUANTILE_SAMPLE)


# --- one file, column by column --------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Binned:
    """A feature's bins (null: none, and why) and the counts of all rows in them."""

    bins: Bins | None
    why: str
    tally: Tally


def _by_columns(all_parts: list[Part]) -> bool:
    return (
        0 < len(all_parts) <= SAMPLED_PARTS
        and all(part.path == all_parts[0].path for part in all_parts)
        and sum(part.rows for part in all_parts) <= ROWS_BY_COLUMN
    )


def _count_columns(
    files: TableFiles,
    kinds: Mapping[str, FeatureKind],
    homes: Mapping[str, str],
    skip: bool,
    counted: Callable[[], None] | None,
) -> dict[str, _Binned]:
    all_parts = files.parts
    step = _step(all_parts)

    def one(name: str) -> _Binned:
        arrays = [parts.read_group(part, [homes[name]])[homes[name]] for part in all_parts]
        made: FeatureBins | None
        if kinds[name] == "categorical":
            pairs = zip(arrays, all_parts, strict=True)
            names = sum((_names(array, _every(part, step)) for array, part in pairs), Names(QUANTILE_SAMPLE))
            made, why = sampled_categories(name, names, skip, _rows(all_parts))
        else:
            pairs = zip(arrays, all_parts, strict=True)
            form = files.number_forms.get(homes[name], PLAIN)
            origin = _origin(files, homes[name])
            values = [columns.numbers(array, form, origin).values[_every(part, step)] for array, part in pairs]
            edges = numeric_edges(np.concatenate(values))
            made, why = FeatureBins(name, kinds[name], 0, edges, origin=origin), ""
        if made is None:
            return _Binned(None, why, Tally.nothing(0))
        bins = Bins.placed([made])
        forms = {name: files.number_forms[homes[name]]} if homes[name] in files.number_forms else None
        tallies = (counting.count_columns({name: array}, len(array), bins, REFERENCE_NAMES, forms) for array in arrays)
        return _Binned(bins, "", total(tallies, bins.width))

    found: dict[str, _Binned] = {}
    done = 0
    for place, (name, result) in enumerate(zip(kinds, in_threads(one, list(kinds)), strict=True), 1):
        found[name] = result
        while counted is not None and done * len(kinds) < place * len(all_parts):
            done += 1
            counted()
    return found


def _profiled(found: list[_Binned], all_parts: list[Part], left_out: dict[str, str]) -> Profile:
    bins = Bins.placed([feature for one in found if one.bins is not None for feature in one.bins.features])
    counts = np.concatenate([one.tally.counts for one in found]) if found else np.zeros(0, np.int64)
    moments = {name: value for one in found for name, value in one.tally.moments.items()}
    names = {name: value for one in found for name, value in one.tally.names.items()}
    rows = sum(part.rows for part in all_parts)
    return _settle(bins, Tally(rows, counts, moments, names), left_out)


def _read_sample(
    part: Part,
    kinds: Mapping[str, FeatureKind],
    held_by: Mapping[str, list[str]],
    step: int,
    forms: Mapping[str, NumberForm],
    origins: Mapping[str, int],
) -> tuple[dict[str, Floats], dict[str, Names]]:
    """Every `step`-th row of a part: numbers, and categories with their counts, by feature."""
    held = parts.open_parquet(part.path).types
    values: dict[str, Floats] = {}
    names: dict[str, Names] = {}
    every = _every(part, step)
    # Read a second time for the counting: decoding costs less than the memory to keep it all.
    for arrays in parts.read_columns(part, [column for column in held_by if column in held]):
        for column, array in arrays.items():
            for name in held_by[column]:
                if kinds[name] == "categorical":
                    names[name] = _names(array, every)
                else:
                    values[name] = columns.numbers(array, forms.get(column, PLAIN), origins[name]).values[every].copy()
    return values, names


def _names(array: Any, every: slice) -> Names:
    found = columns.categories(array)
    counted = np.bincount(found.codes[every], minlength=len(found.names) + 1)
    pairs = [(found.names[place], int(counted[place])) for place in np.flatnonzero(counted[: len(found.names)])]
    return Names.of((pair for pair in pairs if columns.usable_category(pair[0])), QUANTILE_SAMPLE)
