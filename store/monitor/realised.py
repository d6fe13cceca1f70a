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
        sums = np.zeros(performance.SUMS)
        for (start, name), part in self.sums.items():
            if name == version and since <= start < until:
                sums = sums + part
        return dense, sums


def performance_sums(
    connection: duckdb.DuckDBPyConnection,
    deployment: str,
    window: Window,
    since: float,
    until: float,
    at: datetime | None,
) -> PerformanceSums:
    """Performance of the windows that start in [since, until), as known `at` (null: now)."""
    where = (
        " FROM monitor_performance WHERE deployment = $1 AND window_start >= make_timestamp($2)"
        " AND window_start < make_timestamp($3) AND ($4 IS NULL OR recorded_at <= $4)"
    )
    params = [deployment, round(since * 1e6), round(until * 1e6), times.to_db(at) if at else None]
    start = window.sql("window_start")
    entries = ", ".join(f"sum(sums[{place + 1}])" for place in range(performance.SUMS))
    rows = connection.execute(
        f"SELECT {start} AS w, version, sum(labelled)::BIGINT, {entries}{where} GROUP BY ALL", params
    ).fetchall()
    names = sorted({str(row[1]) for row in rows})
    found = connection.execute(
        "SELECT w, list_position($5::VARCHAR[], version) - 1 AS v, slot, sum(n)::BIGINT AS n FROM"
        f" (SELECT {start} AS w, version, unnest(slots) AS slot, unnest(counts) AS n{where}) GROUP BY ALL ORDER BY w",
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


def reference_metric(connection: duckdb.DuckDBPyConnection, manifest: ModelManifest, name: str) -> float | None:
    """The metric on the version's reference when that holds labels, else what its manifest claims."""
    reference = load_reference(connection, manifest.model, manifest.version)
    if reference is not None and len(reference.performance.slots):
        counted = reference.performance
        value, _ = performance.metric(manifest.task, name, counted.dense(), counted.sums)
        if value is not None:
            return value
    return manifest.metrics.get(name)
