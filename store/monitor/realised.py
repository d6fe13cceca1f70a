"""Realised performance over spans of event time: sums of what labels added to each window."""

from __future__ import annotations

import dataclasses
import functools
from datetime import datetime

import duckdb
import numpy as np

from store.catalog.manifest import ModelManifest
from store.database import times
from store.monitor import performance
from store.monitor.bins import Floats, Integers
from store.monitor.reference import load_reference
from store.monitor.windows import Window

_NOTHING: tuple[Integers, Floats] = (np.zeros(0, np.int64), np.zeros((0, performance.SUMS)))


@dataclasses.dataclass(frozen=True)
class PerformanceSums:
    """Sparse counts of windows × versions: entry i adds `counts[i]` to `slots[i]` of `(starts[i], versions[i])`,
    with ascending starts; versions are places in `names`. `labelled` and `sums` are by (start, version).
    """

    labelled: dict[tuple[int, str], int]
    sums: dict[tuple[int, str], Floats]
    starts: Integers
    versions: Integers
    names: list[str]
    slots: Integers
    counts: Integers

    @functools.cached_property
    def _by_start(self) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        for start, version in self.labelled:
            found.setdefault(start, []).append(version)
        return found

    @functools.cached_property
    def _by_name(self) -> dict[str, tuple[Integers, Floats]]:
        """Version → its starts, ascending, and the sums of each: cells are looked up, however many there are."""
        found: dict[str, list[int]] = {}
        for start, version in sorted(self.sums):
            found.setdefault(version, []).append(start)
        return {
            version: (np.array(starts, np.int64), np.array([self.sums[start, version] for start in starts]))
            for version, starts in found.items()
        }

    def main_version(self, start: int) -> str | None:
        """The version with most labels in the window; null where none came."""
        return max(
            self._by_start.get(start, []), key=lambda version: (self.labelled[start, version], version), default=None
        )

    def total(self, version: str, since: int, until: int) -> tuple[Integers, Floats]:
        """(counts, sums) of one version in the windows that start in [since, until)."""
        low, high = np.searchsorted(self.starts, [since, until])
        place = self.names.index(version) if version in self.names else -1
        mine = self.versions[low:high] == place
        slots, counts = self.slots[low:high][mine], self.counts[low:high][mine]
        dense = np.bincount(slots, counts, performance.WIDTH).astype(np.int64)
        held, values = self._by_name.get(version, _NOTHING)
        first, last = np.searchsorted(held, [since, until])
        sums: Floats = values[first:last].sum(axis=0)
        return dense, sums

    def delays(self) -> dict[int, Integers]:
        """Window start → how many labels came with which delay, of all versions (`performance.DELAYS` slots)."""
        found: dict[int, Integers] = {}
        late = self.slots >= performance.DELAYS
        starts, slots, counts = self.starts[late], self.slots[late] - performance.DELAYS, self.counts[late]
        for start in np.unique(starts):
            low, high = np.searchsorted(starts, [start, start + 1])
            found[int(start)] = np.bincount(slots[low:high], counts[low:high], performance.DELAY_SLOTS).astype(np.int64)
        return found


def performance_sums(
    connection: duckdb.DuckDBPyConnection,
    deployment: str,
    window: Window,
    since: float,
    until: float,
    at: datetime | None,
) -> PerformanceSums:
    """Performance of the windows that start in [since, until), as known `at` (null: now)."""
    return _sums(connection, "monitor_performance", "version", [], deployment, window, since, until, at)


#: Parts version and value in the names of `slice_sums`.
SEPARATOR = "\x1f"


def slice_sums(
    connection: duckdb.DuckDBPyConnection,
    deployment: str,
    slice: str,
    window: Window,
    since: float,
    until: float,
    at: datetime | None,
) -> PerformanceSums:
    """As `performance_sums` by the values of one slice column: `names` are version, `SEPARATOR`, value."""
    name = "(version || chr(31) || value)"
    return _sums(connection, "monitor_performance_slice", name, [slice], deployment, window, since, until, at)


def _sums(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    name: str,
    slice: list[str],
    deployment: str,
    window: Window,
    since: float,
    until: float,
    at: datetime | None,
) -> PerformanceSums:
    where = (
        f" FROM {table} WHERE deployment = $1 AND window_start >= make_timestamp($2)"
        " AND window_start < make_timestamp($3) AND ($4 IS NULL OR recorded_at <= $4)"
        + (" AND slice = $5" if slice else "")
    )
    params = [deployment, round(since * 1e6), round(until * 1e6), times.to_db(at) if at else None, *slice]
    start = window.sql("window_start")
    # Rows of before a sum was kept have shorter lists.
    entries = ", ".join(f"coalesce(sum(sums[{place + 1}]), 0)" for place in range(performance.SUMS))
    rows = connection.execute(
        f"SELECT {start} AS w, {name} AS v, sum(labelled)::BIGINT, {entries}{where} GROUP BY ALL", params
    ).fetchall()
    names = sorted({str(row[1]) for row in rows})
    found = connection.execute(
        f"SELECT w, list_position(${len(params) + 1}::VARCHAR[], v) - 1 AS v, slot, sum(n)::BIGINT AS n FROM"
        f" (SELECT {start} AS w, {name} AS v, unnest(slots) AS slot, unnest(counts) AS n{where})"
        " GROUP BY ALL ORDER BY w",
        [*params, names],
    ).fetchnumpy()
    w, v, slot, n = (np.ma.getdata(found[name]).astype(np.int64) for name in ("w", "v", "slot", "n"))
    return PerformanceSums(
        {(int(row[0]), str(row[1])): int(row[2]) for row in rows},
        {(int(row[0]), str(row[1])): np.array(row[3:], np.float64) for row in rows},
        w,
        v,
        names,
        slot,
        n,
    )


def slice_names(
    connection: duckdb.DuckDBPyConnection, deployment: str, since: float, until: float, at: datetime | None
) -> list[str]:
    """The slice columns that labels of [since, until) were counted by."""
    rows = connection.execute(
        "SELECT DISTINCT slice FROM monitor_performance_slice WHERE deployment = $1 AND window_start >="
        " make_timestamp($2) AND window_start < make_timestamp($3) AND ($4 IS NULL OR recorded_at <= $4) ORDER BY 1",
        [deployment, round(since * 1e6), round(until * 1e6), times.to_db(at) if at else None],
    ).fetchall()
    return [str(row[0]) for row in rows]


def reference_metric(connection: duckdb.DuckDBPyConnection, manifest: ModelManifest, name: str) -> float | None:
    """The metric on the version's reference when that holds labels, else what its manifest claims."""
    reference = load_reference(connection, manifest.model, manifest.version)
    if reference is not None and len(reference.performance.slots):
        counted = reference.performance
        value, _ = performance.metric(manifest.task, name, counted.dense(), counted.sums)
        if value is not None:
            return value
    return manifest.metrics.get(name)
