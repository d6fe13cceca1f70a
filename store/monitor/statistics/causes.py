"""What changed in a feature whose distribution differs from the reference's: causes as data, and in words."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from store.monitor.bins import FeatureBins, Floats, Integers
from store.monitor.statistics import noise, ordered
from store.monitor.statistics.exact import Described

Code = Literal[
    "absent",
    "type_errors",
    "infinite",
    "nan",
    "nulls",
    "new_values",
    "vanished_values",
    "outside",
    "shift",
    "spread",
    "share",
    "rare_values",
    "rare_vanished",
    "shape",
]

#: A share, a mean or a spread has changed when chance would do as much less than once in 700 times (3 standard
#: errors), and by at least a hundredth of the rows, or a tenth of a standard deviation.
_ERRORS, _LEAST_SHARE, _LEAST_DEVIATIONS = 3.0, 0.01, 0.1
#: Of the largest of some hundred changes.
_ERRORS_OF_MANY = 5.0
#: Values that are named in one cause.
NAMED = 5
#: Values whose absence chance explains less often than this (over all of them) have vanished.
_VANISHED_BY_CHANCE = 0.01


@dataclasses.dataclass(frozen=True)
class NamedShare:
    """A value with its share of the reference's rows and of the window's."""

    name: str
    before: float
    after: float


@dataclasses.dataclass(frozen=True)
class Cause:
    """One thing that changed: `before` → `after`, and the share of the rows (0 … 1) that it explains at most.

    Shares of rows for all codes but `shift` (means) and `spread` (standard deviations), whose `deviations` is the
    change in standard deviations of the reference (of `spread`: relative). `at_least`: the bins say no more of a mean
    than that, as they do not know how far outside values lie. `names` are the values concerned, of largest change
    first; `total` is how many there are, 0 where only those named.
    """

    code: Code
    before: float
    after: float
    weight: float
    deviations: float = 0.0
    names: tuple[NamedShare, ...] = ()
    total: int = 0
    at_least: bool = False


@dataclasses.dataclass(frozen=True)
class Compared:
    """Counts of reference and window (slots) of one feature, whose causes are worked out when somebody asks."""

    feature: FeatureBins
    before: Integers
    after: Integers

    def causes(self) -> tuple[Cause, ...]:
        return causes(self.feature, self.before, self.after)


def causes(
    feature: FeatureBins,
    before: Integers,
    after: Integers,
    moments: tuple[Described, Described] | None = None,
    new: Mapping[str, int] | None = None,
    new_total: int = 0,
    rare: Mapping[str, tuple[int, int]] | None = None,
    rows: tuple[int, int] | None = None,
) -> tuple[Cause, ...]:
    """What differs between the counts of reference and window (slots of the feature), what explains most rows first.

    `moments` are those of the values themselves, `new` the counts of values that the reference lacks and `new_total`
    how many of those there are, `rare` the counts (reference, window) of values without a slot of their own, `rows`
    the rows of both sides, of which those beyond the counts lack the column. Empty where nothing is certain.
    """
    n, m = int(before.sum()), int(after.sum())
    found: list[Cause] = []
    if rows is not None:
        found += _share("absent", rows[0] - n, rows[0], rows[1] - m, rows[1])
    if not n or not m:
        return tuple(found)
    null = feature.null_slot
    found += _share("nulls", int(before[null]), n, int(after[null]), m)
    if feature.kind == "categorical":
        found += _of_categories(feature, before, after, new or {}, new_total, rare or {})
    else:
        for code, slot in _ODD:
            found += _share(code, int(before[null + slot]), n, int(after[null + slot]), m)
        found += _of_numbers(feature, before, after, moments)
    if not found:
        found += _shape(feature, before, after)
    return tuple(sorted(found, key=lambda cause: (-cause.weight, cause.code)))


#: Slots after that of null in a numeric feature.
_ODD: tuple[tuple[Code, int], ...] = (("nan", 1), ("infinite", 2), ("type_errors", 3))


def _certain(known: float, n: float, seen: float, m: float) -> bool:
    """Whether two shares differ by more than chance: z of the pooled proportion, or (few rows) nearly all or none."""
    pooled = (known + seen) / (n + m)
    error = math.sqrt(max(pooled * (1 - pooled), 0.0) * (1 / n + 1 / m))
    return abs(seen / m - known / n) > _ERRORS * error > 0


def _share(code: Code, known: int, n: int, seen: int, m: int) -> list[Cause]:
    if not n or not m or not _certain(known, n, seen, m):
        return []
    was, now = known / n, seen / m
    return [Cause(code, was, now, abs(now - was))] if abs(now - was) >= _LEAST_SHARE else []


# --- numbers ---------------------------------------------------------------------------------------------


def _of_numbers(
    feature: FeatureBins, before: Integers, after: Integers, moments: tuple[Described, Described] | None
) -> list[Cause]:
    was, now = ordered.finite(feature, before[None, :]), ordered.finite(feature, after[None, :])
    n, m = float(was.sum()), float(now.sum())
    if not n or not m:
        return []
    found: list[Cause] = []
    exactly = moments is not None and moments[0].values > 0 and moments[1].values > 0
    if moments is not None and exactly:
        means = moments[0].mean, moments[1].mean
        deviations = moments[0].deviation, moments[1].deviation
    else:
        at = ordered.positions(feature)
        unit = ordered.unit(at)
        at = at / unit
        means = unit * float(ordered.mean(at, was)[0]), unit * float(ordered.mean(at, now)[0])
        deviations = unit * float(ordered.deviation(at, was)[0]), unit * float(ordered.deviation(at, now)[0])
    # Without moments, values outside stand at the nearest edge: what they do to mean and spread is not known.
    below, above = float(now[0, 0]) / m, float(now[0, -1]) / m
    clipped = not exactly and below + above >= _LEAST_SHARE
    known = not clipped or (min(below, above) < _LEAST_SHARE and (above > below) == (means[1] > means[0]))
    scale = deviations[0]
    if not all(map(math.isfinite, (*means, *deviations))):
        return []
    if scale > 0:
        change = (means[1] - means[0]) / scale
        error = math.sqrt(1 / n + (deviations[1] / scale) ** 2 / m)
        if known and abs(change) >= max(_LEAST_DEVIATIONS, _ERRORS * error):
            # Two normals so far apart share all but this of their rows.
            weight = math.erf(abs(change) / 2 / math.sqrt(2))
            found.append(Cause("shift", *means, weight, change, at_least=clipped))
        wider = deviations[1] / scale - 1
        error = math.sqrt((1 / n + 1 / m) * max(0.5, (kurtosis(feature, was) - 1) / 4))
        if not clipped and abs(wider) >= max(_LEAST_DEVIATIONS, _ERRORS * error):
            found.append(Cause("spread", *deviations, 0.5 * min(1.0, abs(math.log(max(1e-9, 1 + wider)))), wider))
    elif known and means[1] != means[0]:
        found.append(Cause("shift", *means, 1.0, at_least=clipped))
    below_above = was[0, 0] + was[0, -1], now[0, 0] + now[0, -1]
    found += _share("outside", int(below_above[0]), int(n), int(below_above[1]), int(m))
    return found


def kurtosis(feature: FeatureBins, counts: Floats) -> float:
    """The fourth standardised moment of one window's values (1 × slots), 3 for a normal distribution; 3 where there is
    none to speak of."""
    at = ordered.positions(feature)
    away = at - float(ordered.mean(at, counts)[0])
    furthest = float(np.abs(away).max(initial=0.0))
    if not 0 < furthest < math.inf:
        return 3.0
    # The same in any unit: the fourth power of what is large, or small, is no number.
    away = away / furthest
    variance = float((counts[0] * away**2).sum() / counts.sum())
    return float((counts[0] * away**4).sum() / counts.sum()) / variance**2 if variance > 0 else 3.0


def _shape(feature: FeatureBins, before: Integers, after: Integers) -> list[Cause]:
    """The run of neighbouring bins (a quarter of the reference each) whose share changed most."""
    if feature.kind == "categorical":
        return []
    inner = slice(1, feature.bins + 1)
    was, now = before[inner], after[inner]
    n, m = int(was.sum()), int(now.sum())
    if not n or not m:
        return []
    quarter = np.minimum(((np.cumsum(was) - was / 2) / n * 4).astype(np.int64), 3)
    best: list[Cause] = []
    for number in np.unique(quarter):
        slots = np.flatnonzero(quarter == number)
        low, high = feature.edges[int(slots[0])], feature.edges[int(slots[-1]) + 1]
        held = _share("shape", int(was[slots].sum()), n, int(now[slots].sum()), m)
        name = f"{low:.4g} … {high:.4g}" if low != high else f"{low:.4g}"
        best += [dataclasses.replace(one, names=(NamedShare(name, one.before, one.after),)) for one in held]
    return sorted(best, key=lambda cause: -cause.weight)[:1]


# --- categories ------------------------------------------------------------------------------------------


def _of_categories(
    feature: FeatureBins,
    before: Integers,
    after: Integers,
    new: Mapping[str, int],
    new_total: int,
    rare: Mapping[str, tuple[int, int]],
) -> list[Cause]:
    n, m = int(before.sum()), int(after.sum())
    found: list[Cause] = []
    if not after[: feature.missing_from].any():
        # All are missing: that no category is left needs no words of its own.
        return found
    unknown = feature.new_slots
    seen = int(after[unknown].sum()) if not before[unknown].any() else sum(new.values())
    expected = feature.singles / n if feature.tail_groups else 0.0
    if seen / m >= max(_LEAST_SHARE, expected + _ERRORS * math.sqrt((expected + 1 / n) * (1 / n + 1 / m))):
        top = sorted(new.items(), key=lambda item: (-item[1], item[0]))[:NAMED]
        names = tuple(NamedShare(name, 0.0, count / m) for name, count in top)
        found.append(Cause("new_values", 0.0, seen / m, seen / m, names=names, total=max(new_total, len(new))))
    found += _vanished(feature, before, after)
    counted = [(name, int(before[place]), int(after[place])) for place, name in enumerate(feature.categories)]
    counted += [(name, was, now) for name, (was, now) in rare.items()]
    named = _changed(feature, counted, before, after)
    named.sort(key=lambda one: (-abs(one.after - one.before), one.name))
    if named:
        weight = max(
            sum(max(0.0, one.after - one.before) for one in named),
            sum(max(0.0, one.before - one.after) for one in named),
        )
        first = named[0]
        found.append(Cause("share", first.before, first.after, weight, names=tuple(named[:NAMED]), total=len(named)))
    if feature.tail_groups:
        found += _rare_vanished(feature, before, after)
        if not any(was for was, _ in rare.values()):
            found += _rare_group(feature, before, after)
    return found


def _rare_group(feature: FeatureBins, before: Integers, after: Integers) -> list[Cause]:
    """The group of the tail whose share rose most, where no value of it is known by name."""
    tail = slice(feature.bins, feature.bins + feature.tail_groups)
    n, m = int(before.sum()), int(after.sum())
    place = int(np.argmax(after[tail] / m - before[tail] / n))
    was, now = int(before[tail][place]), int(after[tail][place])
    pooled = (was + now) / (n + m)
    # One of many: so much above the rest by chance once in thousands of windows.
    certain = now / m - was / n > _ERRORS_OF_MANY * math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return _share("rare_values", was, n, now, m) if certain else []


def _rare_vanished(feature: FeatureBins, before: Integers, after: Integers) -> list[Cause]:
    """The share of the reference in groups of the tail of which the window holds nothing, beyond chance."""
    tail = slice(feature.bins, feature.bins + feature.tail_groups)
    n, m = float(before.sum()), float(after[: feature.missing_from].sum())
    held = before[tail] / n
    gone = float(held[after[tail] == 0].sum())
    floor = float(noise.vanished(held, np.array([m]), np.maximum(held - np.sqrt(held / n), held / 4))[0])
    return [Cause("rare_vanished", gone, 0.0, gone)] if gone > floor + _LEAST_SHARE else []


def _changed(
    feature: FeatureBins, counts: Sequence[tuple[str, int, int]], before: Integers, after: Integers
) -> list[NamedShare]:
    """Those present in both whose share changed: of the rows, and of those that hold a value, for more nulls make every
    category rarer."""
    n, m = int(before.sum()), int(after.sum())
    values, now_values = int(before[: feature.missing_from].sum()), int(after[: feature.missing_from].sum())
    return [
        NamedShare(name, was / n, now / m)
        for name, was, now in counts
        if was
        and now
        and min(abs(now / m - was / n), abs(now / now_values - was / values)) >= _LEAST_SHARE
        and _certain(was, n, now, m)
        and _certain(was, values, now, now_values)
    ]


def _vanished(feature: FeatureBins, before: Integers, after: Integers) -> list[Cause]:
    n, m = int(before.sum()), int(after[: feature.missing_from].sum())
    here = slice(0, feature.bins)
    gone = np.flatnonzero((before[here] > 0) & (after[here] == 0))
    # How often the window's rows would all miss a value of that share; the reference's is a sample itself, and those
    # it holds most of by chance came first: a standard error less.
    share = np.maximum(before[gone] - np.sqrt(before[gone]), 0.0) / n
    by_chance = np.exp(m * np.log1p(-np.minimum(share, 1 - 1e-12)))
    certain = gone[by_chance * max(1, feature.bins) < _VANISHED_BY_CHANCE]
    if not len(certain):
        return []
    was = float(before[certain].sum()) / n
    names = tuple(NamedShare(feature.categories[place], before[place] / n, 0.0) for place in certain[:NAMED])
    return [Cause("vanished_values", was, 0.0, was, names=names, total=len(certain))] if was >= _LEAST_SHARE else []


# --- in words --------------------------------------------------------------------------------------------


def describe(cause: Cause) -> str:
    """The cause in a few words: "nulls 2.0 % → 41 %", "mean 3.1 → 9 (+1.9 sd)", "new: ZZ 12 %"."""
    change = f"{percent(cause.before)} → {percent(cause.after)}"
    if cause.code == "shift":
        size = f" ({cause.deviations:+.2g} sd)" if cause.deviations else ""
        beyond = f" or {'more' if cause.after > cause.before else 'less'}" if cause.at_least else ""
        return f"mean {cause.before:.4g} → {cause.after:.4g}{beyond}{size}"
    if cause.code == "spread":
        return f"spread (sd) {cause.before:.4g} → {cause.after:.4g} ({cause.deviations:+.0%})"
    if cause.code == "new_values":
        listed = ", ".join(f"{one.name} {percent(one.after)}" for one in cause.names)
        return f"new: {listed}{_more(cause)}" if listed else f"new values {percent(cause.after)}"
    if cause.code == "vanished_values":
        return f"vanished: {', '.join(one.name for one in cause.names)}{_more(cause)} (were {percent(cause.before)})"
    if cause.code == "share":
        listed = ", ".join(f"{one.name} {percent(one.before)} → {percent(one.after)}" for one in cause.names)
        return f"shares: {listed}{_more(cause)}"
    if cause.code == "shape":
        return f"values in {cause.names[0].name} {change}"
    if cause.code == "rare_vanished":
        return f"rare values vanished (were {percent(cause.before)})"
    if cause.code == "absent" and cause.after >= 1:
        return "column absent"
    return f"{_WORDS[cause.code]} {change}"


_WORDS: dict[Code, str] = {
    "absent": "rows without the column",
    "type_errors": "not a number",
    "infinite": "infinite",
    "nan": "NaN",
    "nulls": "nulls",
    "outside": "beyond the reference's range",
    "rare_values": "one group of rare values",
}


def _more(cause: Cause) -> str:
    more = cause.total - len(cause.names)
    return f" and {more:,} more" if more > 0 else ""


def percent(share: float) -> str:
    """41 %, 2.0 %, 0.05 %, 0 %."""
    value = share * 100
    if value == 0 or value >= 10:
        return f"{value:.0f} %"
    return f"{value:.1f} %" if value >= 0.1 else f"{value:.2g} %"
