"""The scan kernel: a part of some files becomes counts in given bins, the same wherever it is counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from store.monitor import columns, parts
from store.monitor.files.number_text import PLAIN, NumberForm
from store.monitor.moments import Moments
from store.monitor.names import NEW_NAMES, Names
from store.monitor.parts import Part
from store.monitor.profile import Binned, Tally

#: Of categories that the reference knows but that have no slot, those are kept by name that hold at least this share
#: of a row group: what holds as much of the whole is kept with a count that misses at most this share.
FREQUENT, FREQUENT_NAMES = 0.01, 10_000


def count_part(
    part: Part,
    bins: Binned,
    places: Mapping[str, str] | None = None,
    new_names: int = NEW_NAMES,
    forms: Mapping[str, NumberForm] | None = None,
) -> Tally:
    """The part's rows in `bins`: a pure function of its arguments. Features whose column it lacks are counted nowhere.

    `places` says which column holds a feature (default: the one of its name), `forms` how columns of text write
    numbers (default: as a cast reads them). Raises `Refusal` (usage).
    """
    types = parts.open_parquet(part.path).types
    total = Tally.nothing(bins.width)
    by_column: dict[str, list[str]] = {}
    for feature in bins.features:
        column = (places or {}).get(feature.name, feature.name)
        if column in types:
            by_column.setdefault(column, []).append(feature.name)
    for arrays in parts.read_columns(part, list(by_column)):
        of_feature = {name: arrays[column] for column in arrays for name in by_column[column]}
        written = {name: (forms or {}).get(column, PLAIN) for column in arrays for name in by_column[column]}
        total += count_columns(of_feature, 0, bins, new_names, written)
    return Tally(part.rows, total.counts, total.moments, total.names, total.common)


def count_columns(
    arrays: Mapping[str, Any],
    rows: int,
    bins: Binned,
    new_names: int = NEW_NAMES,
    forms: Mapping[str, NumberForm] | None = None,
) -> Tally:
    """Decoded columns (feature → Arrow array of `rows` values) in `bins`; `forms` (by feature) as for `count_part`."""
    found = np.zeros(bins.width, np.int64)
    moments: dict[str, Moments] = {}
    names: dict[str, Names] = {}
    common: dict[str, Names] = {}
    for name, array in arrays.items():
        feature = bins.by_name[name]
        at = slice(feature.offset, feature.offset + feature.width)
        if feature.kind != "categorical":
            values = columns.numbers(array, (forms or {}).get(name, PLAIN), feature.origin)
            found[at], moments[name] = bins.coders[name].tally(values.values, values.null, values.invalid)
            continue
        table = bins.tables[name]
        held = columns.categories(array)
        counted = np.bincount(held.codes, minlength=len(held.names) + 1)
        slots = table.slots_of(held.names)
        found[at] = np.bincount(slots, weights=counted, minlength=feature.width).astype(np.int64)
        without = np.flatnonzero((slots[:-1] >= table.other) & (slots[:-1] < slots[-1]) & (counted[:-1] > 0))
        if not len(without):
            continue
        called = table.canonical(held.names)
        new: dict[str, int] = {}
        for place in without[slots[without] >= table.new]:
            if columns.usable_category(called[place]):
                new[called[place]] = new.get(called[place], 0) + int(counted[place])
        names[name] = Names.of(((one, new[one]) for one in bins.new_among(name, list(new))), new_names)
        frequent = without[(slots[without] < table.new) & (counted[without] >= FREQUENT * len(held.codes))]
        if len(frequent):
            known = [(called[place], int(counted[place])) for place in frequent]
            common[name] = Names.of((pair for pair in known if columns.usable_category(pair[0])), FREQUENT_NAMES)
    return Tally(rows, found, moments, names, common)
