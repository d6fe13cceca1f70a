"""The last windows of every deployment, summed in memory and kept up with what arrives by reading only that."""

from __future__ import annotations

import dataclasses
from datetime import datetime

import duckdb
import numpy as np

from store.database import times
from store.monitor import counts
from store.monitor.bins import Integers
from store.monitor.deployments import split
from store.monitor.quality import watched_rows
from store.monitor.reference import Reference, load_reference
from store.monitor.windows import DAY, HOUR, Window, window
from store.settings import MonitorSettings

SPARK_POINTS = 24
_SEPARATOR = "\x1f"


@dataclasses.dataclass
class Recent:
    """What came of one deployment in the span of the fleet's line; windows are given by their start."""

    last_us: int
    hours: dict[int, int]
    """Rows by window of the sparkline."""
    rows: dict[tuple[int, str], int]
    """Rows by alert window and version."""
    counts: dict[tuple[int, str], Integers]
    """Counts in the bins of the version's reference, by alert window and version."""
    labels: bool = True
    """Whether labels came since somebody asked."""

    @property
    def last(self) -> datetime:
        return times.from_seconds(self.last_us / 1e6)


def spark_window(settings: MonitorSettings) -> Window:
    """Hours, or the base window where hours are no multiple of it."""
    base = settings.base_window_seconds
    wide = max(HOUR, base)
    return Window("spark", wide if base < DAY and wide % base == 0 else base)


class RecentWindows:
    """`Recent` of each deployment of one store. Not safe on several threads at once."""

    def __init__(self, settings: MonitorSettings) -> None:
        self._fine = spark_window(settings)
        self._width = window(settings.alert_window, settings.base_window_seconds)
        self._span = settings.alert_span
        self._through: datetime | None = None
        self._labels_through: datetime | None = None
        self.deployments: dict[str, Recent] = {}

    def catch_up(self, connection: duckdb.DuckDBPyConnection) -> set[str]:
        """Read what was recorded since the last time; returns the deployments that it is about."""
        newest, labelled = connection.execute(
            "SELECT (SELECT max(recorded_at) FROM monitor_window), (SELECT max(recorded_at) FROM monitor_performance)"
        ).fetchall()[0]
        changed: set[str] = set()
        if newest is not None and (self._through is None or newest > self._through):
            changed |= self._add(connection, self._through)
            self._through = newest
        if labelled is not None and (self._labels_through is None or labelled > self._labels_through):
            changed |= self._hear_of_labels(connection, self._labels_through)
            self._labels_through = labelled
        return changed

    def total(self, deployment: str, version: str, since: int) -> Integers | None:
        """Counts of the version in the alert windows that start at `since` or later; null where there are none."""
        held = self.deployments[deployment].counts.items()
        found = [part for (start, of), part in held if of == version and start >= since]
        return np.sum(found, axis=0) if found else None

    def _hear_of_labels(self, connection: duckdb.DuckDBPyConnection, since: datetime | None) -> set[str]:
        found = connection.execute(
            "SELECT DISTINCT deployment FROM monitor_performance WHERE recorded_at > $1 OR $1 IS NULL", [since]
        ).fetchall()
        labelled = {str(row[0]) for row in found} & self.deployments.keys()
        for deployment in labelled:
            self.deployments[deployment].labels = True
        return labelled

    def _add(self, connection: duckdb.DuckDBPyConnection, since: datetime | None) -> set[str]:
        latest = connection.execute(
            "SELECT deployment, epoch_us(max(last_at)) FROM monitor_window WHERE recorded_at > $1 OR $1 IS NULL"
            " GROUP BY deployment",
            [since],
        ).fetchall()
        for deployment, last_us in latest:
            recent = self.deployments.get(deployment)
            if recent is None:
                # Its first data, or the agent's first look: all of its last span is read.
                recent = self.deployments[deployment] = Recent(last_us, {}, {}, {})
            recent.last_us = max(recent.last_us, last_us)
        self._read(connection, since)
        for deployment, _ in latest:
            self._forget(self.deployments[deployment])
        return {str(row[0]) for row in latest}

    def _begins(self, recent: Recent) -> tuple[int, int]:
        """Where the sparkline and the span of alert windows begin."""
        moment = recent.last_us / 1e6
        return self._fine.back(moment, SPARK_POINTS), self._width.back(moment, self._span)

    def _forget(self, recent: Recent) -> None:
        fine, wide = self._begins(recent)
        recent.hours = {start: rows for start, rows in recent.hours.items() if start >= fine}
        recent.rows = {key: rows for key, rows in recent.rows.items() if key[0] >= wide}
        recent.counts = {key: part for key, part in recent.counts.items() if key[0] >= wide}

    def _read(self, connection: duckdb.DuckDBPyConnection, since: datetime | None) -> None:
        # What is older than every deployment's span is not even unpacked.
        earliest = min((min(self._begins(recent)) for recent in self.deployments.values()), default=0)
        where = "FROM monitor_window WHERE (recorded_at > $1 OR $1 IS NULL) AND window_start >= make_timestamp($2)"
        params = [since, earliest * 1_000_000]
        fine, wide = self._fine.sql("window_start"), self._width.sql("window_start")
        found = connection.execute(
            f"SELECT deployment, version, reference, {wide} AS w, {fine} AS f, sum(row_count)::BIGINT {where}"
            " GROUP BY ALL",
            params,
        ).fetchall()
        keys: dict[str, Integers] = {}
        references: dict[tuple[str, str], Reference | None] = {}
        for deployment, version, identity, start, hour, rows in found:
            recent = self.deployments[deployment]
            recent.hours[hour] = recent.hours.get(hour, 0) + rows
            recent.rows[start, version] = recent.rows.get((start, version), 0) + rows
            if (deployment, version) not in references:
                references[deployment, version] = load_reference(connection, split(deployment).model, version)
            reference = references[deployment, version]
            if reference is None or reference.identity != identity or start < self._begins(recent)[1]:
                continue
            if (start, version) not in recent.counts:
                recent.counts[start, version] = np.zeros(reference.width, np.int64)
            keys[_SEPARATOR.join([deployment, version, identity, str(start)])] = recent.counts[start, version]
        key = f" || chr({ord(_SEPARATOR)}) || ".join(["deployment", "version", "reference", wide])
        sums = connection.execute(
            "SELECT k, slot, sum(n)::BIGINT AS n FROM (SELECT k, unnest(slots) AS slot, unnest(counts) AS n FROM"
            f" (SELECT list_position($3::VARCHAR[], {key}) AS k,"
            f" slots, counts {where}) WHERE k IS NOT NULL) GROUP BY ALL ORDER BY k",
            [*params, list(keys)],
        ).fetchnumpy()
        places = np.ma.getdata(sums["k"])
        slots, added = np.ma.getdata(sums["slot"]), np.ma.getdata(sums["n"])
        for place, dense in enumerate(keys.values(), 1):
            low, high = np.searchsorted(places, [place, place + 1])
            dense[slots[low:high]] += added[low:high]


def read_recent(
    connection: duckdb.DuckDBPyConnection, deployment: str, settings: MonitorSettings, at: datetime | None
) -> RecentWindows | None:
    """One deployment as it is known, or was `at` a past moment; null where no predictions had come."""
    last = counts.last_data(connection, deployment, at)
    if last is None:
        return None
    found = RecentWindows(settings)
    moment = times.from_db(last).timestamp()
    recent = Recent(round(moment * 1e6), {}, {}, {})
    found.deployments[deployment] = recent
    fine, width = spark_window(settings), window(settings.alert_window, settings.base_window_seconds)
    hours = counts.traffic(connection, deployment, fine, fine.back(moment, SPARK_POINTS), moment + 1e-6, at)
    for start in set(hours.starts.tolist()):
        recent.hours[start] = hours.total(start)
    begin, until = width.back(moment, settings.alert_span), width.next(width.start(moment))
    wide = counts.traffic(connection, deployment, width, begin, until, at)
    for start, version, rows in zip(wide.starts.tolist(), wide.versions, wide.rows.tolist(), strict=True):
        recent.rows[start, version] = rows
    for version in set(wide.versions):
        reference = load_reference(connection, split(deployment).model, version)
        if reference is not None:
            starts, dense = counts.slot_sums(connection, deployment, version, reference, width, begin, until, at)
            # Files that lack every column are counted in no slot.
            over = (connection, deployment, version, reference, width, begin, until, at)
            recent.counts |= {(start, version): np.zeros(reference.width, np.int64) for start in watched_rows(*over)}
            recent.counts |= {(int(start), version): part for start, part in zip(starts, dense, strict=True)}
    return found
