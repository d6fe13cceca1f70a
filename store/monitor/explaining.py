"""Why features drifted, in words: by their counts and by what the store keeps of the values beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import duckdb

from store.monitor import statistics
from store.monitor.bins import FeatureBins, Integers
from store.monitor.deployments import split
from store.monitor.kept_moments import KeptMoments
from store.monitor.names import Names
from store.monitor.new_categories import new_categories_by_window
from store.monitor.reference import load_reference
from store.monitor.window_moments import Summary
from store.monitor.windows import Window

if TYPE_CHECKING:
    from store.monitor.reading import DriftRow


def in_words(
    feature: FeatureBins, before: Integers, after: Integers, both: tuple[Summary, Summary] | None, new: Names
) -> list[str]:
    """What differs between the counts of reference and window, what explains most rows first; `both` are the moments
    of their values, `new` the categories that the reference lacks."""
    found = statistics.causes(feature, before, after, moments=both, new=new.counts, new_total=new.distinct)
    return [statistics.describe(cause) for cause in found]


def causes_of(
    connection: duckdb.DuckDBPyConnection,
    deployment: str,
    width: Window,
    rows: Sequence[DriftRow],
    at: datetime | None,
) -> dict[tuple[str, int, str], list[str]]:
    """(version, start, feature) of each alarm among windows of this width → its causes in words."""
    alarms: dict[str, list[DriftRow]] = {}
    for row in rows:
        if row.found.compared is not None:
            alarms.setdefault(row.version, []).append(row)
    found: dict[tuple[str, int, str], list[str]] = {}
    for version, mine in alarms.items():
        for row, words in zip(mine, _of_version(connection, deployment, version, width, mine, at), strict=True):
            found[version, row.start, row.found.feature] = words
    return found


def _of_version(
    connection: duckdb.DuckDBPyConnection,
    deployment: str,
    version: str,
    width: Window,
    rows: Sequence[DriftRow],
    at: datetime | None,
) -> Iterable[list[str]]:
    reference = load_reference(connection, split(deployment).model, version)
    since, until = min(row.start for row in rows), width.next(max(row.start for row in rows))
    compared = [row.found.compared for row in rows]
    kept: KeptMoments | None = None
    if reference is not None and any(one is not None and one.feature.kind != "categorical" for one in compared):
        kept = KeptMoments.read(connection, deployment, version, reference, width, since, until, at)
    named = sorted({one.feature.name for one in compared if one is not None and one.feature.kind == "categorical"})
    new = new_categories_by_window(connection, deployment, version, named, width, since, until, at)
    for row, one in zip(rows, compared, strict=True):
        assert one is not None
        span = (row.start, width.next(row.start))
        both = kept.both(one.feature, one.after, *span) if kept is not None else None
        yield in_words(one.feature, one.before, one.after, both, new.get((one.feature.name, row.start), Names()))
