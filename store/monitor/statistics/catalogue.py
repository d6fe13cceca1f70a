"""The statistics by name: for which features, over which bins, with which noise floor and thresholds."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from store.monitor.bins import FeatureBins, Floats, Integers
from store.monitor.statistics import noise, ordered, shares
from store.monitor.statistics.groups import Grouping, grouped
from store.monitor.statistics.tails import CRAMER_VON_MISES_95, KOLMOGOROV_95, NORMAL_95_TWO_SIDED, chi_square_tail
from store.monitor.statistics.values import Value, Values, nothing
from store.protocol import ExitCode, Refusal
from store.settings import MonitorSettings

#: Name → (warn, alarm): a change of the mean by a third, and by half a standard deviation, or what is like it.
#: χ² and T grow with the samples: theirs are for each effective row n m / (n + m).
THRESHOLDS: dict[str, tuple[float, float]] = {
    "psi": (0.1, 0.25),
    "js": (0.1, 0.2),
    "js_divergence": (0.01, 0.04),
    "hellinger": (0.1, 0.2),
    "tv": (0.1, 0.2),
    "kl": (0.05, 0.125),
    "ks": (0.1, 0.2),
    "wasserstein": (0.1, 0.3),
    "cvm": (0.01, 0.025),
    "mean_change": (0.25, 0.5),
    "median_change": (0.25, 0.5),
    "spread_change": (0.25, 0.5),
    "below_range": (0.01, 0.05),
    "above_range": (0.01, 0.05),
    "chi2": (0.1, 0.25),
    "linf": (0.05, 0.1),
    "new_categories": (0.01, 0.05),
    "vanished_categories": (0.05, 0.2),
}
STATISTICS = tuple(THRESHOLDS)
_ANY = ("psi", "js", "js_divergence", "hellinger", "tv", "kl", "chi2", "linf")
NUMERIC = (
    *_ANY,
    "ks",
    "wasserstein",
    "cvm",
    "mean_change",
    "median_change",
    "spread_change",
    "below_range",
    "above_range",
)
CATEGORICAL = (*_ANY, "new_categories", "vanished_categories")
_GROWING = ("chi2", "cvm")


def statistics_for(feature: FeatureBins) -> tuple[str, ...]:
    """The names of the statistics that this feature has."""
    return CATEGORICAL if feature.kind == "categorical" else NUMERIC


def thresholds(name: str, settings: MonitorSettings) -> tuple[float, float]:
    """(warn, alarm) of a statistic: the settings' or the defaults. Raises `Refusal` when there is no such statistic."""
    if name not in THRESHOLDS:
        raise _unknown(name)
    if name == "psi":
        return settings.psi_warn, settings.psi_alarm
    return THRESHOLDS[name]


def scale(name: str, reference: Integers, current: Integers) -> Floats:
    """What the thresholds of `name` are multiplied by in each window (windows × slots): 1, or n m / (n + m)."""
    m = current.sum(axis=1).astype(np.float64)
    if name not in _GROWING:
        return np.ones(len(m))
    n = float(reference.sum())
    found: Floats = n * m / max(1.0, n) if not n else n * m / (n + m)
    return found


def statistics_of(name: str, feature: FeatureBins, groups: Grouping, reference: Integers, current: Integers) -> Values:
    """Statistic `name` of one feature from its slots' counts in the reference (slots,) and the windows
    (windows × slots).

    `groups` (`psi_groups`) are the bins of PSI, Jensen-Shannon, Hellinger, total variation, KL, χ² and,
    if numeric, L∞. The largest change of a category, and new and vanished ones, are over the categories themselves;
    what knows the order of values is over all numeric bins, without missing values. Changes are signed. Raises
    `Refusal` when there is no such statistic.
    """
    if name not in THRESHOLDS:
        raise _unknown(name)
    if name not in statistics_for(feature):
        kind = "categorical" if feature.kind == "categorical" else "numeric"
        return nothing(len(current), f"{name} is not for {kind} features")
    if not reference.sum():
        return nothing(len(current))
    if name in _ANY and (feature.tail_groups or not (name == "linf" and feature.kind == "categorical")):
        return _over_grouping(name, groups, reference, current)
    if feature.kind == "categorical":
        return _over_categories(name, feature, reference.astype(np.float64), current.astype(np.float64))
    before, after = ordered.finite(feature, reference[None, :]), ordered.finite(feature, current)
    if not before.sum():
        return nothing(len(current), "the reference holds no finite value of this feature")
    return _over_order(name, feature, before, after)


def statistic(name: str, feature: FeatureBins, groups: Grouping, reference: Integers, current: Integers) -> Value:
    """`statistics_of` for one window (slots)."""
    return statistics_of(name, feature, groups, reference, current[None, :]).at(0)


_BY_GROUP: dict[str, Callable[[Floats, Floats], Floats]] = {
    "psi": shares.psi,
    "js": shares.js,
    "js_divergence": shares.js_divergence,
    "hellinger": shares.hellinger,
    "tv": shares.tv,
    "kl": shares.kl,
    "chi2": shares.chi2,
    "linf": shares.linf,
}


def _over_grouping(name: str, groups: Grouping, reference: Integers, current: Integers) -> Values:
    """Each window over as many groups as there are rows for, on both sides."""
    if not groups.hashed:
        return _over_groups(name, grouped(groups.finest, reference), grouped(groups.finest, current))
    rows = np.minimum(current.sum(axis=1), reference.sum())
    numbers = np.array([groups.number(float(count)) for count in rows], np.int64)
    values, floors, p = (np.full(len(current), np.nan) for _ in range(3))
    for number in np.unique(numbers):
        here = numbers == number
        slots = groups.at(int(number))
        some = _over_groups(name, grouped(slots, reference), grouped(slots, current[here]))
        values[here], floors[here] = some.values, some.noise_floors
        if some.p_values is not None:
            p[here] = some.p_values
    return Values(values, floors, p_values=p if name == "chi2" else None)


def _over_groups(name: str, before: Floats, after: Floats) -> Values:
    values = _BY_GROUP[name](before, after)
    n, m = float(before.sum()), after.sum(axis=1)
    s = noise.spread(n, m)
    used = ((before > 0)[None, :] | (after > 0)).sum(axis=1).astype(np.float64)
    if name == "tv":
        return Values(values, noise.total_variation(before / n) * np.sqrt(s))
    if name == "linf":
        return Values(values, noise.largest_change(before / n) * np.sqrt(s))
    point = noise.chi_square(used)
    if name == "chi2":
        return Values(values, point, p_values=np.where(used > 1, chi_square_tail(values, np.maximum(used - 1, 1)), 1.0))
    floors = {
        "psi": point * s,
        "kl": point * s / 2,
        "hellinger": np.sqrt(point * s / 8),
        "js": np.sqrt(point * s / (8 * math.log(2))),
        "js_divergence": point * s / (8 * math.log(2)),
    }
    return Values(values, floors[name])


def _over_categories(name: str, feature: FeatureBins, before: Floats, after: Floats) -> Values:
    if name == "linf":
        spread = noise.spread(float(before.sum()), after.sum(axis=1))
        return Values(shares.linf(before, after), noise.largest_change(before / before.sum()) * np.sqrt(spread))
    # Null is no category: its share is a matter of quality.
    before, after = before[: feature.missing_from], after[:, : feature.missing_from]
    if feature.tail_groups:
        return _over_tail(name, feature, before, after)
    n, m = float(before.sum()), after.sum(axis=1)
    if not n:
        return nothing(len(after), "the reference holds no category of this feature")
    empty = np.where(m > 0, 0.0, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        if name == "new_categories":
            values = after[:, before == 0].sum(axis=1) / m
            return Values(values, noise.unseen(float((before == 1).sum()), n, m))
        values = ((after == 0) * (before / n)).sum(axis=1) + empty
    return Values(values, noise.vanished(before / n, m) + empty)


def _over_tail(name: str, feature: FeatureBins, before: Floats, after: Floats) -> Values:
    """New categories by their own slots; of the tail, groups may vanish as a category with a slot may."""
    n, m = float(before.sum()), after.sum(axis=1)
    if not n:
        return nothing(len(after), "the reference holds no category of this feature")
    if name == "new_categories":
        if not feature.tail_known:
            return nothing(len(after), "the reference holds too many categories to know which are new")
        with np.errstate(divide="ignore", invalid="ignore"):
            values = after[:, feature.new_slots].sum(axis=1) / m
        return Values(values, noise.unseen(float(feature.singles), n, m))
    known = slice(0, feature.bins + feature.tail_groups)
    empty = np.where(m > 0, 0.0, np.nan)
    held = before[known] / n
    values = ((after[:, known] == 0) * held).sum(axis=1) + empty
    # Categories that have a slot are those that the reference holds most of by chance: a standard error less.
    lower = np.maximum(held - np.sqrt(held / n), held / 4)
    return Values(values, noise.vanished(held, m, lower) + empty)


def _over_order(name: str, feature: FeatureBins, before: Floats, after: Floats) -> Values:
    n, m = float(before.sum()), after.sum(axis=1)
    s = noise.spread(n, m)
    root = np.sqrt(s)
    if name == "ks":
        return Values(ordered.ks(before, after), KOLMOGOROV_95 * root, p_values=ordered.ks_p(before, after))
    if name == "cvm":
        return Values(ordered.cvm(before, after), np.full(len(after), CRAMER_VON_MISES_95))
    if name in ("below_range", "above_range"):
        with np.errstate(divide="ignore", invalid="ignore"):
            values = after[:, 0 if name == "below_range" else -1] / m
        return Values(values, noise.outside(n, m))
    at, edges = ordered.positions(feature), np.asarray(feature.edges, np.float64)
    unit = ordered.unit(at)
    at, edges = at / unit, edges / unit
    deviation = float(ordered.deviation(at, before)[0])
    if not deviation > 0 or not math.isfinite(deviation):
        return nothing(len(after), "the reference has no finite spread to measure by")
    p = before[0] / n
    if name == "wasserstein":
        floor = noise.wasserstein(p, np.diff(at)) / deviation
        return Values(ordered.wasserstein(at, before, after), floor * root)
    if name == "mean_change":
        p_values = ordered.mean_change_p(at, before, after)
        return Values(ordered.mean_change(at, before, after), NORMAL_95_TWO_SIDED * root, p_values=p_values)
    if name == "median_change":
        low, high = (float(ordered.quantile(edges, before, level)[0]) for level in (0.4, 0.6))
        density = 0.2 / (high - low) if high > low else math.nan
        return Values(ordered.median_change(edges, at, before, after), noise.median(density, deviation) * root)
    away = (at - float(ordered.mean(at, before)[0])) / deviation
    kurtosis = float((p * away**4).sum())
    return Values(ordered.spread_change(at, before, after), noise.deviation(kurtosis) * root)


def _unknown(name: str) -> Refusal:
    return Refusal(ExitCode.USAGE, f"No statistic {name!r}.", f"One of: {', '.join(STATISTICS)}")
