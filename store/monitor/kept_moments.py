"""The moments that the store keeps of a version's windows, over any span; and the statistics that they make exact."""

from __future__ import annotations

from datetime import datetime

import duckdb
import numpy as np

from store.database import times
from store.monitor.bins import FeatureBins, Integers
from store.monitor.reference import Reference
from store.monitor.statistics import exact
from store.monitor.window_moments import Summary, WindowMoments, added, numeric
from store.monitor.windows import Window


class KeptMoments:
    """Moments of one version's windows, by their starts (ascending, seconds since the epoch)."""

    def __init__(self, reference: Reference, starts: Integers, moments: WindowMoments) -> None:
        self._reference = reference
        self._places = {feature.name: place for place, feature in enumerate(numeric(reference.features))}
        self._starts = starts
        self._moments = moments

    @classmethod
    def read(
        cls,
        connection: duckdb.DuckDBPyConnection,
        deployment: str,
        version: str,
        reference: Reference,
        window: Window | None,
        since: float,
        until: float,
        at: datetime | None,
        only: FeatureBins | None = None,
    ) -> KeptMoments:
        """Those of the windows of width `window` that start in [since, until), as known `at`; `window` null sums the
        whole span into one that starts at 0. `only` leaves out all other features."""
        features = numeric(reference.features)
        first = features.index(only) if only is not None else 0
        last = first if only is not None else len(features) - 1
        start = window.sql("window_start") if window else "0::BIGINT"
        found = connection.execute(
            "SELECT w, feature, fsum(count) AS count, fsum(total) AS total, fsum(square) AS square, min(low) AS low,"
            f" max(high) AS high FROM (SELECT {start} AS w, unnest(range({first}, {last + 1})) AS feature,"
            " sums[3 * feature + 1] AS count, sums[3 * feature + 2] AS total, sums[3 * feature + 3] AS square,"
            " lows[feature + 1] AS low, highs[feature + 1] AS high FROM monitor_window"
            " WHERE deployment = $1 AND version = $2 AND reference = $3 AND window_start >= make_timestamp($4)"
            " AND window_start < make_timestamp($5) AND ($6 IS NULL OR recorded_at <= $6) AND sums IS NOT NULL)"
            " GROUP BY ALL",
            [
                deployment,
                version,
                reference.identity,
                round(since * 1e6),
                round(until * 1e6),
                times.to_db(at) if at else None,
            ],
        ).fetchnumpy()
        plain = {name: np.ma.getdata(column) for name, column in found.items()}
        starts, row = np.unique(plain["w"].astype(np.int64), return_inverse=True)
        moments = WindowMoments.nothing(len(starts), len(features))
        feature = plain["feature"].astype(np.int64)
        moments.sums[row, feature] = np.stack([plain[name] for name in ("count", "total", "square")], axis=-1)
        moments.lows[row, feature], moments.highs[row, feature] = plain["low"], plain["high"]
        return cls(reference, starts, moments)

    def summary(self, feature: FeatureBins, begin: float, end: float) -> Summary | None:
        """The feature's values in the windows that start in [begin, end); null where none were kept."""
        low, high = np.searchsorted(self._starts, [begin, end])
        if low == high:
            return None
        place, moments = self._places[feature.name], self._moments
        if high - low == 1:
            return moments.summary(int(low), place, feature)
        one = slice(place, place + 1)
        mine = WindowMoments(*(part[low:high, one] for part in (moments.sums, moments.lows, moments.highs)))
        return added([mine], np.zeros(high - low, np.int64), 1).summary(0, 0, feature)

    def refined(
        self, name: str, feature: FeatureBins, value: float | None, counts: Integers, begin: float, end: float
    ) -> float | None:
        """Statistic `name` of the span, which is `value` by the bins, `counts` being the feature's slots there.

        Where moments were not kept of all that was counted, what the bins say stays.
        """
        both = self.both(feature, counts, begin, end) if value is not None else None
        return value if value is None or both is None else exact.refined(name, value, *both)

    def both(self, feature: FeatureBins, counts: Integers, begin: float, end: float) -> tuple[Summary, Summary] | None:
        """The feature's values in the reference, and in the windows that start in [begin, end), of which `counts` are
        the slots; null where moments were not kept of all that was counted."""
        if feature.name not in self._places:
            return None
        before, after = self._reference.summary(feature), self.summary(feature, begin, end)
        if before is None or after is None or after.values != int(counts[: feature.missing_from].sum()):
            return None
        return before, after


def moments_for(
    name: str,
    connection: duckdb.DuckDBPyConnection,
    deployment: str,
    version: str,
    reference: Reference,
    window: Window,
    since: float,
    until: float,
    at: datetime | None,
) -> KeptMoments | None:
    """`KeptMoments.read` where they say more of statistic `name` than the counts do."""
    if name not in exact.REFINED:
        return None
    return KeptMoments.read(connection, deployment, version, reference, window, since, until, at)
