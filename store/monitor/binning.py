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
from store.monitor.columns import Treatment
from store.monitor.names import Hashes, Names, name_hashes
from store.monitor.parts import Format, Part
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
class Column:
    """What the files say of a column: its type in words, and how that type is treated."""

    name: str
    type: str
    treatment: Treatment
    typed: bool = True
    """False: the file gives every value as text (CSV, JSON lines)."""


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


def columns_of(paths: Sequence[str], format: Format | None = None) -> dict[str, Column]:
    """The columns of all the files, each as the first file that has it says. Raises `Refusal` (usage)."""
    found: dict[str, Column] = {}
    for path in paths:
        known = format or parts.format_of(path)
        if known == "parquet":
            for name, kind in parts.open_parquet(path).types.items():
                if name not in found:
                    found[name] = Column(name, str(kind), columns.treatment(kind))
        else:
            for name in counting.text_columns(path, known):
                found.setdefault(name, Column(name, "text", "categorical", typed=False))
    return found


def profile(
    paths: Sequence[str],
    wanted: Mapping[str, FeatureKind] | None = None,
    keep: Callable[[str], bool] | None = None,
    counted: Callable[[], None] | None = None,
    places: Mapping[str, str] | None = None,
    format: Format | None = None,
    engine: Engine = in_threads,
) -> Profile:
    """Bins and counts of the features `wanted` (name → kind), or of all columns that `keep` accepts.

    `places` says which column holds a feature (default: the one of its name); `counted` is called after each part.
    Columns that name their rows, times and nested values have no bins unless they are wanted. Formats are told by
    suffixes unless `format` is given. Raises `Refusal` (usage) when a file cannot be read.
    """
    held = columns_of(paths, format)
    left_out: dict[str, str] = {}
    kinds: dict[str, FeatureKind] = dict(wanted or {})
    if wanted is None:
        for name, column in held.items():
            if keep is not None and not keep(name):
                continue
            if column.treatment in ("time", "nested"):
                what = "a time" if column.treatment == "time" else "nested or binary"
                left_out[name] = f"{column.type}: {what}, not compared"
            else:
                kinds[name] = "numeric" if column.treatment == "numeric" else "categorical"
    all_parts = parts.parts_of(paths, format)
    homes = {name: (places or {}).get(name, name) for name in kinds}
    kinds = {name: kind for name, kind in kinds.items() if homes[name] in held}
    if engine is in_threads and _by_columns(all_parts):
        found = _count_columns(all_parts, kinds, homes, wanted is None, counted)
        left_out |= {name: one.why for name, one in found.items() if one.bins is None}
        return _profiled([one for one in found.values() if one.bins is not None], all_parts, left_out)
    sample = _Sample(all_parts, kinds, homes, engine)
    features: list[FeatureBins] = []
    for name, kind in kinds.items():
        column = held[homes[name]]
        made, why = sample.bins(name, kind, wanted is None and not column.typed, wanted is None)
        if made is None:
            left_out[name] = why
        else:
            features.append(made)
    return _counted(all_parts, tuple(features), homes, left_out, counted, engine)


def _counted(
    all_parts: list[Part],
    features: tuple[FeatureBins, ...],
    homes: Mapping[str, str],
    left_out: dict[str, str],
    counted: Callable[[], None] | None,
    engine: Engine,
) -> Profile:
    bins = Bins.placed(features)
    count = functools.partial(counting.count_part, bins=bins, places=dict(homes), new_names=REFERENCE_NAMES)
    return _settle(bins, total(told(engine(count, all_parts), counted), bins.width), left_out)


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
    """Evenly spaced rows of some columns: numbers and categories of Parquet files, text of others."""

    def __init__(
        self, all_parts: list[Part], kinds: Mapping[str, FeatureKind], homes: Mapping[str, str], engine: Engine
    ) -> None:
        groups = [part for part in all_parts if part.group is not None]
        chosen = groups[:: math.ceil(len(groups) / SAMPLED_PARTS)] if groups else []
        step = _step(chosen)
        self._values: dict[str, list[Floats]] = {name: [] for name in kinds}
        self._names: dict[str, Names] = {name: Names(QUANTILE_SAMPLE) for name in kinds}
        self._rows = _rows(all_parts)
        self._text: dict[str, list[Any]] = {name: [] for name in kinds}
        held_by: dict[str, list[str]] = {}
        for name in kinds:
            held_by.setdefault(homes[name], []).append(name)

        read = functools.partial(_read_sample, kinds=dict(kinds), held_by=held_by, step=step)
        for values, names in engine(read, chosen):
            for name, some in values.items():
                self._values[name].append(some)
            for name, more in names.items():
                self._names[name] += more
        for part in all_parts:
            if part.group is None:
                for column, piece in counting.sample_text(part, list(held_by), QUANTILE_SAMPLE).items():
                    for name in held_by[column]:
                        self._text[name].append(piece)

    def bins(self, name: str, kind: FeatureKind, guess: bool, skip: bool) -> tuple[FeatureBins | None, str]:
        """The feature's bins, or None and why it has none.

        `guess`: numbers, if all its text is. `skip`: none for text that names its rows.
        """
        text = self._text[name]
        if guess and text and all(map(_all_numbers, text)) and any(map(_holds, text)):
            kind = "numeric"
        if kind != "categorical":
            values = [*self._values[name], *(columns.numbers(piece).values for piece in text)]
            return FeatureBins(name, kind, 0, numeric_edges(np.concatenate([np.zeros(0), *values]))), ""
        names = self._names[name]
        for piece in text:
            names += _names(piece, slice(None))
        return sampled_categories(name, names, skip, self._rows)


def _rows(all_parts: Sequence[Part]) -> int | None:
    known = [part.rows for part in all_parts if part.rows is not None]
    return sum(known) if len(known) == len(all_parts) else None


def _every(part: Part, step: int) -> slice:
    """The rows of the part that the sample takes."""
    return slice(-part.first_row % step, None, step)


def _step(chosen: Sequence[Part]) -> int:
    return max(1, sum(part.rows or 0 for part in chosen) // QUANTILE_SAMPLE)


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
        and all(part.group is not None and part.path == all_parts[0].path for part in all_parts)
        and sum(part.rows or 0 for part in all_parts) <= ROWS_BY_COLUMN
    )


def _count_columns(
    all_parts: list[Part],
    kinds: Mapping[str, FeatureKind],
    homes: Mapping[str, str],
    skip: bool,
    counted: Callable[[], None] | None,
) -> dict[str, _Binned]:
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
            values = [columns.numbers(array).values[_every(part, step)] for array, part in pairs]
            made, why = FeatureBins(name, kinds[name], 0, numeric_edges(np.concatenate(values))), ""
        if made is None:
            return _Binned(None, why, Tally.nothing(0))
        bins = Bins.placed([made])
        tallies = (counting.count_columns({name: array}, len(array), bins, REFERENCE_NAMES) for array in arrays)
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
    rows = sum(part.rows or 0 for part in all_parts)
    return _settle(bins, Tally(rows, counts, moments, names), left_out)


def _read_sample(
    part: Part, kinds: Mapping[str, FeatureKind], held_by: Mapping[str, list[str]], step: int
) -> tuple[dict[str, Floats], dict[str, Names]]:
    """Every `step`-th row of a part: numbers, and categories with their counts, by feature."""
    held = parts.open_parquet(part.path).types
    values: dict[str, Floats] = {}
    names: dict[str, Names] = {}
    every = _every(part, step)
    # Read a second time for the counting: decoding costs less than the memory to keep it all.
    for arrays in parts.read_columns(part, [column for column in held_by if column in held]):
        for name, array in ((name, array) for column, array in arrays.items() for name in held_by[column]):
            if kinds[name] == "categorical":
                names[name] = _names(array, every)
            else:
                values[name] = columns.numbers(array).values[every].copy()
    return values, names


def _names(array: Any, every: slice) -> Names:
    found = columns.categories(array)
    counted = np.bincount(found.codes[every], minlength=len(found.names) + 1)
    pairs = [(found.names[place], int(counted[place])) for place in np.flatnonzero(counted[: len(found.names)])]
    return Names.of((pair for pair in pairs if columns.usable_category(pair[0])), QUANTILE_SAMPLE)


def _all_numbers(piece: Any) -> bool:
    found = columns.numbers(piece)
    return found.invalid is None or not found.invalid.any()


def _holds(piece: Any) -> bool:
    return bool(piece.null_count < len(piece))
