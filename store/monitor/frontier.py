"""The label-delay frontier: how late labels come, which share of a window's has come, and how much is still to come.

Time is the data's own: the clock of a deployment is its latest prediction or label, so that a replayed year reads
like a live one. Delays of recent windows are cut off (a label that takes a week has not come after a day); the
distribution is therefore estimated for right-truncated delays, by its reverse-time hazard (Kalbfleisch & Lawless 1989),
from the delay counts of the windows.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime

import duckdb
import numpy as np

from store.database import times
from store.monitor import counts as kept
from store.monitor.bins import Floats, Integers
from store.monitor.outcomes import DELAY_EDGES, DELAY_SLOTS, DELAYS
from store.monitor.windows import DAY, Window
from store.protocol import LabelDelays, Maturity

#: Labels of so many days before the span are asked how late labels come.
HISTORY = 90 * DAY
#: A window of which this share of the labels that will ever come should have come is as good as complete.
MATURE = 0.95
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
_POINTS = 16


@dataclasses.dataclass(frozen=True)
class DelayDistribution:
    """`reached[i]` of the labels come within `DELAY_EDGES[i + 1]` seconds; `final` of the predictions ever get one
    (null when too few are old enough to tell). `counts` are labels by delay slot."""

    reached: Floats
    final: float | None
    counts: Integers

    @property
    def known(self) -> int:
        return int(self.counts[:-1].sum())

    def within(self, seconds: Floats) -> Floats:
        """The share of the labels that come within so many seconds, interpolated between edges."""
        edges = np.concatenate([[0.0], DELAY_EDGES[1:]])
        reached = np.concatenate([[0.0], self.reached])
        return np.where(seconds < 0, 0.0, np.interp(seconds, edges, reached))

    def quantile(self, share: float) -> float | None:
        """Seconds within which `share` of the labels come; null without labels whose delay is known."""
        if not self.known:
            return None
        place = int(np.searchsorted(self.reached, share - 1e-12))
        if place >= len(self.reached):
            return float(DELAY_EDGES[-1])
        low, high = (0.0 if place == 0 else float(DELAY_EDGES[place])), float(DELAY_EDGES[place + 1])
        before = float(self.reached[place - 1]) if place else 0.0
        rise = float(self.reached[place]) - before
        return low + (high - low) * ((share - before) / rise if rise > 0 else 1.0)


@dataclasses.dataclass(frozen=True)
class Frontier:
    """What `frontier` found, by window: see `protocol.Performance`."""

    maturity: list[Maturity]
    expected: list[float | None]
    before: float | None
    delays: LabelDelays


def clock(connection: duckdb.DuckDBPyConnection, deployment: str, at: datetime | None) -> float | None:
    """The latest time of a prediction or label of the deployment, seconds since the epoch."""
    known = (
        times.seconds(kept.last_data(connection, deployment, at)),
        times.seconds(kept.outermost(connection, "monitor_label_clock", "latest_at DESC", deployment, at)),
    )
    return max((moment for moment in known if moment is not None), default=None)


def delay_distribution(
    connection: duckdb.DuckDBPyConnection, deployment: str, since: float, until: float, now: float, at: datetime | None
) -> DelayDistribution:
    """How late the labels of the predictions in [since, until) come, as known at `now` of the data's clock."""
    params = [deployment, round(since * 1e6), round(until * 1e6), times.to_db(at) if at else None]
    where = (
        " WHERE deployment = $1 AND window_start >= make_timestamp($2) AND window_start < make_timestamp($3)"
        " AND ($4 IS NULL OR recorded_at <= $4)"
    )
    # Delays stand at the end of the ascending slots: what lies before them is not unpacked.
    found = connection.execute(
        "SELECT epoch_us(window_start) // 1000000 + window_seconds // 2 AS w, slot, sum(n)::BIGINT AS n FROM"
        f" (SELECT window_start, window_seconds, unnest(slots[-{DELAY_SLOTS}:]) AS slot,"
        f" unnest(counts[-{DELAY_SLOTS}:]) AS n FROM monitor_performance{where}) WHERE slot >= {DELAYS} GROUP BY ALL",
        params,
    ).fetchnumpy()
    middle, slot, n = (np.ma.getdata(found[name]).astype(np.int64) for name in ("w", "slot", "n"))
    slot -= DELAYS
    counts = np.bincount(slot, n, DELAY_SLOTS).astype(np.int64).clip(min=0)
    reached = _reached(now - middle.astype(np.float64), slot, n)
    rows = connection.execute(
        "SELECT epoch_us(window_start) // 1000000 + window_seconds // 2 AS w, sum(row_count)::BIGINT AS n"
        f" FROM monitor_window{where} GROUP BY ALL",
        params,
    ).fetchnumpy()
    distribution = DelayDistribution(reached, None, counts)
    ages = now - np.ma.getdata(rows["w"]).astype(np.float64)
    made = np.ma.getdata(rows["n"]).astype(np.float64)
    if not counts.sum():
        return distribution
    # Labels without a time tell how many come, not when: every window then counts as old enough.
    share = distribution.within(ages) if distribution.known else np.ones(len(ages))
    old = share >= 0.5
    # Rows of labels and of predictions may be of windows of other widths: each by its own age.
    due_by_now = (
        distribution.within(now - middle.astype(np.float64)) >= 0.5
        if distribution.known
        else np.ones(len(middle), bool)
    )
    labelled = float(n[due_by_now].sum())
    due = float((made * share)[old].sum())
    return dataclasses.replace(distribution, final=min(1.0, labelled / due) if due > 0 else None)


def _reached(ages: Floats, slots: Integers, counts: Integers) -> Floats:
    """The distribution function at DELAY_EDGES[1:] of right-truncated delays; entry i adds `counts[i]` to the slot
    `slots[i]` of a window of age `ages[i]`."""
    bins = len(DELAY_EDGES) - 1
    known = slots <= bins  # beyond the last edge, and unknown, tell nothing here
    ages, slots, counts = ages[known], np.maximum(slots[known], 1) - 1, counts[known]
    seen = np.bincount(slots, counts, bins)[:bins]
    # Which bin an age reaches into: a window takes part in the bins that it is old enough to have filled.
    limit = np.searchsorted(DELAY_EDGES[1:], ages, side="right")
    limit = np.maximum(limit, slots)
    # at_risk[k] = labels of delay ≤ k from windows that are old enough to show delay k.
    starts = np.bincount(slots, counts, bins + 1)
    ends = np.bincount(np.minimum(limit + 1, bins), counts, bins + 1)
    at_risk = np.cumsum(starts - ends)[:bins]
    hazard = np.divide(seen, at_risk, out=np.zeros(bins), where=at_risk > 0).clip(0.0, 1.0)
    # F(k) = Π_{j > k} (1 - g(j)).
    after = np.cumprod((1.0 - hazard)[::-1])[::-1]
    return np.concatenate([after[1:], [1.0]])


def frontier(
    connection: duckdb.DuckDBPyConnection,
    deployment: str,
    window: Window,
    starts: list[int],
    rows: list[int],
    labelled: list[int],
    estimable: list[bool],
    at: datetime | None,
) -> Frontier:
    """How far labels have come in each window; `estimable` says where an estimate stands in for them."""
    now = clock(connection, deployment, at)
    if not starts or now is None:
        return Frontier([], [], None, LabelDelays(0, 0, 0, None, [], [], [], [], "no predictions"))
    end = window.next(starts[-1])
    found = delay_distribution(connection, deployment, starts[0] - HISTORY, end, now, at)
    maturity: list[Maturity] = []
    expected: list[float | None] = []
    for place, start in enumerate(starts):
        due = _due(found, start, min(window.next(start), now), now)
        expected.append(None if due is None or found.final is None else due * found.final)
        if not rows[place]:
            maturity.append("empty")
        elif not labelled[place]:
            maturity.append("estimated" if estimable[place] else "unknown")
        else:
            share = labelled[place] / rows[place]
            whole = due >= MATURE if due is not None else share >= MATURE * (found.final or 1.0)
            maturity.append("realised" if whole or share >= 1.0 else "partial")
    late = found.quantile(MATURE)
    return Frontier(maturity, expected, None if late is None else now - late, _wire(found))


def _due(found: DelayDistribution, start: float, end: float, now: float) -> float | None:
    """The share of the labels that should have come of predictions spread evenly over [start, end)."""
    if not found.known:
        return None
    moments = start + (max(end, start + 1) - start) * (np.arange(_POINTS) + 0.5) / _POINTS
    return float(found.within(now - moments).mean())


def _wire(found: DelayDistribution) -> LabelDelays:
    quantiles = [found.quantile(share) for share in SHARES]
    total, unknown, early = int(found.counts.sum()), int(found.counts[-1]), int(found.counts[0])
    bars = found.counts[1:-2]
    occupied = np.flatnonzero(bars)
    first, last = (int(occupied[0]), int(occupied[-1])) if len(occupied) else (0, -1)
    edges = [0.0 if first == 0 else float(DELAY_EDGES[first]), *map(float, DELAY_EDGES[first + 1 : last + 2])]
    return LabelDelays(
        labels=total,
        unknown=unknown,
        early=early,
        final_share=found.final,
        shares=list(SHARES) if found.known else [],
        seconds=[value for value in quantiles if value is not None],
        edges=edges if len(occupied) else [],
        counts=[int(count) for count in bars[first : last + 1]],
        why="" if found.known else ("the labels carry no times" if total else "no labels have come"),
    )
