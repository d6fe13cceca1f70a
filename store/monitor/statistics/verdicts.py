"""Calibrated alarms: for each feature of each window, is the effect large, and is it more than chance."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

import numpy as np

from store.monitor.bins import FeatureBins, Floats, Integers
from store.monitor.profile import Binned
from store.monitor.statistics import catalogue, sequential
from store.monitor.statistics.causes import Cause, Compared
from store.monitor.statistics.groups import Grouping, grouped, sequential_groups
from store.monitor.statistics.significance import benjamini_hochberg, p_values
from store.monitor.statistics.tails import chi_square_quantile
from store.monitor.statistics.values import Values
from store.protocol import reason_words
from store.settings import MonitorSettings

Guarantee = Literal["", "window", "watch"]
#: How the judging of a feature of a window ended. What was not looked at is never steady.
State = Literal["steady", "drifted", "not judged"]
#: Why a feature was not judged, as a code; `FeatureVerdict.why` says it in words.
Reason = Literal[
    "",
    "no_reference",
    "few_reference_rows",
    "no_reference_values",
    "few_rows",
    "no_values",
    "no_value",
    "not_for_kind",
    "absent",
]
#: (window's place, feature, statistic, value by the counts) → the value.
Refine = Callable[[int, str, str, float], float]

#: Benjamini-Hochberg's level over the features of one window.
WINDOW_LEVEL = 0.005
#: e-BH's level over the features of a whole watch.
WATCH_LEVEL = 0.01
#: Benjamini-Hochberg's level where either side has fewer than `min_rows` rows.
FEW_ROWS_LEVEL = 0.001
#: What stands behind an alarm, for people.
GUARANTEES: dict[Guarantee, str] = {
    "": "",
    "window": f"of windows in which nothing changed, at most {WINDOW_LEVEL:.1%} raise any such alarm"
    " (Benjamini-Hochberg over the features)",
    "watch": f"of watches in which nothing changes, at most {WATCH_LEVEL:.0%} ever raise any such alarm, however long"
    " and often one looks (e-process, Ville)",
}


@dataclasses.dataclass(frozen=True)
class FeatureVerdict:
    """What is to be said of one feature in one window.

    `alarm` needs an effect, |value| > threshold + noise_floor, and significance: `q_value` (of the window alone, over
    its features) at most `WINDOW_LEVEL`, or `FEW_ROWS_LEVEL` where either side has fewer than `min_rows` rows:
    guarantee "window". Else, on `min_rows` rows of both, in a watch, evidence
    that has gathered since window `since` (its place among those given): `e_value` is a discovery at `WATCH_LEVEL`, and
    the effect over these windows together, `watch_value`, passes the threshold beyond its own noise floor: guarantee
    "watch". The window's own value must then pass the threshold, too, so that what is over is over. `severity` is
    critical when the effect passes the statistic's second threshold, too. Without an alarm it is steady only where the
    test would have found an effect of the threshold's size as often as not (`rows_needed`); else it was not judged.
    Null: value, when it cannot be computed (`why`); p and q, when the window holds no values; e_value, without watch.
    """

    feature: str
    statistic: str
    value: float | None
    noise_floor: float | None
    threshold: float
    p_value: float | None
    q_value: float | None
    alarm: bool
    guarantee: Guarantee
    severity: Literal["", "warning", "critical"] = ""
    rows: int = 0
    e_value: float | None = None
    watch_value: float | None = None
    since: int | None = None
    why: str = ""
    reason: Reason = ""
    """Set where the feature was not judged."""
    compared: Compared | None = dataclasses.field(default=None, repr=False, compare=False)
    """The counts that are behind an alarm."""

    @property
    def causes(self) -> tuple[Cause, ...]:
        """What changed, by the counts alone; of an alarm."""
        return () if self.compared is None else self.compared.causes()

    @property
    def state(self) -> State:
        return "drifted" if self.alarm else "not judged" if self.reason else "steady"

    @property
    def explanation(self) -> str:
        """Why it was not judged, or has no value, in words; "" where there is nothing to explain."""
        if self.why or not self.reason or self.alarm:
            return self.why
        return f"{reason_words(self.reason)}: {self.rows:,}" if self.reason == "few_rows" else reason_words(self.reason)


def verdicts(
    reference: Binned,
    current: Integers,
    settings: MonitorSettings,
    statistic: str = "psi",
    watch: bool = True,
    fallback: bool = True,
    refine: Refine | None = None,
) -> list[list[FeatureVerdict]]:
    """A verdict on every feature of the reference in every window, in their orders.

    `current` (windows × reference.width) holds counts of the windows of one version, in order of time. With `watch`
    they must begin where the watch began (a shorter history only makes a shorter watch): the guarantee "watch" covers
    the span that is given. A window's own alarm depends on no other window. Features that `statistic` is not for are
    judged by PSI, or with `fallback` false have no value and no alarm. The threshold is the statistic's first one
    (psi_warn for PSI: a change of the mean by a third of a standard deviation is past it). `refine` gives a better
    value where more is known than the counts. Raises `Refusal` when there is no such statistic.
    """
    catalogue.thresholds(statistic, settings)
    windows = len(current)
    columns = [
        _column(reference, place, current, settings, statistic, watch, fallback, refine)
        for place in range(len(reference.features))
    ]
    if not columns:
        return [[] for _ in range(windows)]
    p = np.stack([column.p for column in columns], axis=1)
    q = benjamini_hochberg(p)
    few = np.stack([np.minimum(column.rows, column.reference_rows) < settings.min_rows for column in columns], axis=1)
    found = q <= np.where(few, FEW_ROWS_LEVEL, WINDOW_LEVEL)
    watched = sequential.e_benjamini_hochberg(np.stack([column.log_e for column in columns], axis=1), WATCH_LEVEL)
    return [
        [
            column.verdict(window, float(q[window, place]), bool(found[window, place]), bool(watched[window, place]))
            for place, column in enumerate(columns)
        ]
        for window in range(windows)
    ]


@dataclasses.dataclass(frozen=True)
class _Column:
    """One feature in all windows; `values_in` and `reference_values` count the rows that hold a usable value."""

    bins: FeatureBins
    before: Integers
    after: Integers
    statistic: str
    values: Values
    limits: Floats
    criticals: Floats
    rows: Integers
    values_in: Integers
    reference_rows: int
    reference_values: int
    least_rows: int
    needed: Floats
    p: Floats
    log_e: Floats
    starts: Integers | None
    watched: Values | None
    watched_rows: Integers

    def verdict(self, window: int, q: float, significant: bool, evident: bool) -> FeatureVerdict:
        value, limit, critical = self.values.at(window), float(self.limits[window]), float(self.criticals[window])
        over_watch = self.watched.at(window) if self.watched is not None else None
        guarantee: Guarantee = ""
        size = 0.0
        if significant and _beyond(value.value, value.noise_floor, limit):
            guarantee, size = "window", abs(value.value or 0.0) - (value.noise_floor or 0.0)
        elif (
            evident
            and over_watch is not None
            and min(self.watched_rows[window], self.reference_rows) >= self.least_rows
            and _beyond(over_watch.value, over_watch.noise_floor, limit)
            and _beyond(value.value, 0.0, limit)
        ):
            guarantee, size = "watch", abs(over_watch.value or 0.0) - (over_watch.noise_floor or 0.0)
        p = float(self.p[window])
        log_e = float(self.log_e[window])
        return FeatureVerdict(
            feature=self.bins.name,
            statistic=self.statistic,
            value=value.value,
            noise_floor=value.noise_floor,
            threshold=limit,
            p_value=None if np.isnan(p) else p,
            q_value=None if np.isnan(q) else q,
            alarm=guarantee != "",
            guarantee=guarantee,
            severity="" if not guarantee else "critical" if size > critical else "warning",
            rows=int(self.rows[window]),
            e_value=None if self.watched is None else float(np.exp(min(log_e, 700.0))),
            watch_value=over_watch.value if over_watch is not None else None,
            since=int(self.starts[window]) if self.starts is not None else None,
            why=value.why,
            reason="" if guarantee else self._reason(window, value.value),
            compared=Compared(self.bins, self.before, self.after[window]) if guarantee else None,
        )

    def _reason(self, window: int, value: float | None) -> Reason:
        rows = int(self.rows[window])
        if not self.reference_rows:
            return "no_reference"
        if not self.reference_values and not self.values_in[window]:
            return "no_reference_values"
        if not rows:
            return "no_values"
        if self.statistic not in catalogue.statistics_for(self.bins):
            return "not_for_kind"
        if value is None:
            return "no_value"
        if effective(self.reference_rows, rows) < self.needed[window]:
            return "few_reference_rows" if self.reference_rows < rows else "few_rows"
        return ""


def effective(reference_rows: float, rows: float) -> float:
    """n m / (n + m): the rows that a comparison of n with m rows is worth."""
    return reference_rows * rows / (reference_rows + rows)


def rows_needed(bins: int, threshold: float) -> float:
    """Effective rows of which χ² over so many bins finds, as often as not, an effect of PSI `threshold`.

    PSI is about χ² over the effective rows (`store.monitor.statistics.noise`): its expectation must reach the critical
    value at `WINDOW_LEVEL` of one feature.
    """
    freedom = max(1, bins - 1)
    return (chi_square_quantile(freedom, 1 - WINDOW_LEVEL) - freedom) / max(threshold, 1e-9)


def _beyond(value: float | None, floor: float | None, limit: float) -> bool:
    return value is not None and abs(value) > limit + (floor or 0.0)


def _column(
    reference: Binned,
    place: int,
    current: Integers,
    settings: MonitorSettings,
    wanted: str,
    watch: bool,
    fallback: bool,
    refine: Refine | None,
) -> _Column:
    feature = reference.features[place]
    name = wanted if not fallback or wanted in catalogue.statistics_for(feature) else "psi"
    before = reference.of(feature)
    after = current[:, feature.offset : feature.offset + feature.width]
    warn, alarm = catalogue.thresholds(name, settings)
    groups = reference.groups[feature.name]
    sizes = catalogue.scale(name, before, after)
    rows = after.sum(axis=1)
    nowhere = np.full(len(current), -np.inf)
    starts: Integers | None = None
    watched: Values | None = None
    watched_rows = rows
    log_e = nowhere
    if watch and before.sum():
        merged, held = sequential_groups(feature, before)
        gathered = sequential.evidence(held, grouped(merged, after))
        log_e, starts = gathered.log_e, gathered.starts
        summed = np.concatenate([np.zeros((1, after.shape[1]), np.int64), np.cumsum(after, axis=0)])
        since = summed[1:] - summed[starts]
        watched = catalogue.statistics_of(name, feature, groups, before, since)
        watched_rows = since.sum(axis=1)
    values = catalogue.statistics_of(name, feature, groups, before, after)
    if refine is not None:
        better = [refine(window, feature.name, name, float(value)) for window, value in enumerate(values.values)]
        values = dataclasses.replace(values, values=np.array(better, np.float64))
    return _Column(
        bins=feature,
        before=before,
        after=after,
        statistic=name,
        values=values,
        limits=warn * sizes,
        criticals=alarm * sizes,
        rows=rows,
        values_in=after[:, : feature.missing_from].sum(axis=1),
        reference_rows=int(before.sum()),
        reference_values=int(before[: feature.missing_from].sum()),
        least_rows=settings.min_rows,
        needed=_needed(groups, before, after, settings.psi_warn),
        p=p_values(feature, before, after),
        log_e=log_e,
        starts=starts,
        watched=watched,
        watched_rows=watched_rows,
    )


def _needed(groups: Grouping, before: Integers, after: Integers, threshold: float) -> Floats:
    """`rows_needed` of each window over the bins of PSI that it and the reference use; 0 where there are more."""
    rows = np.minimum(after.sum(axis=1), before.sum())
    numbers = np.array([groups.number(float(count)) for count in rows], np.int64)
    found = np.zeros(len(after))
    total = float(before.sum())
    worth = total * after.sum(axis=1) / np.maximum(total + after.sum(axis=1), 1)
    for number in np.unique(numbers):
        slots = groups.at(int(number))
        # With rows enough for all bins there is nothing to be counted.
        here = (numbers == number) & (worth < rows_needed(int(slots.max()) + 1, threshold))
        if not here.any():
            continue
        used = ((grouped(slots, before) > 0)[None, :] | (grouped(slots, after[here]) > 0)).sum(axis=1)
        found[here] = [rows_needed(int(bins), threshold) for bins in used]
    return found
