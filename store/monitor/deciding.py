"""Decides one rule over consecutive windows: limits, N of M, hysteresis. The judge and the replay both run this."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping

import numpy as np

from store.database import times
from store.monitor import presets
from store.monitor.alerts import Finding
from store.monitor.course import Course, Move
from store.monitor.readings import Reading, begin_of
from store.monitor.rules import HYSTERESIS, RELATIVE, Rule, allowed_change
from store.monitor.seasonal import Learnt, Past, learn_quantile, learn_usual
from store.monitor.statistics import GUARANTEES, describe
from store.monitor.watching import Watched
from store.settings import MonitorSettings

NEVER = math.inf
#: Causes that the message of an alert has, at most, and their length in characters.
_CAUSES, _CAUSE_LENGTH = 2, 160
#: Feature → [since, until) of event time, epoch seconds.
Spans = dict[str, list[tuple[float, float]]]


@dataclasses.dataclass(frozen=True)
class Step:
    """One decision about one feature, and what it does to the feature's alert."""

    end: int
    finding: Finding
    move: Move


@dataclasses.dataclass(frozen=True)
class Limit:
    """Passed by more than the noise a value is over; within `quiet` (noise allowed) it is healthy again."""

    threshold: float
    quiet: float
    said: str = ""


class Deciding:
    """Runs `rule` over windows in order. `on` names the features whose alert is on; `bad` the spans in which it was,
    from which no threshold is learnt; `explained` those in which something else was told of the feature that is the
    cause of whatever is found there."""

    def __init__(
        self,
        rule: Rule,
        settings: MonitorSettings,
        readings: Mapping[int, list[Reading]],
        course: Course,
        on: set[str],
        bad: Spans | None = None,
        watched: Mapping[tuple[int, str], Watched] | None = None,
        explained: Spans | None = None,
    ) -> None:
        self._rule = rule
        self._settings = settings
        self._readings = readings
        self.course = course
        self.on = on
        self._bad = bad if bad is not None else {}
        self._watched = watched or {}
        self._explained = explained or {}
        self._gathered: dict[int, list[Reading]] = {}
        if rule.threshold is not None:
            for (end, _), seen in self._watched.items():
                if seen.reading is not None:
                    self._gathered.setdefault(end, []).append(seen.reading)
        self._pasts: dict[tuple[str, str], Past] = {}
        if rule.learn is not None and rule.threshold is None:
            self._pasts = _pasts(readings)

    def decide(self, ends: list[int]) -> Iterator[Step]:
        """The decisions at `ends`, in order."""
        for end in ends:
            for reading in self._at(end):
                finding = self._finding(reading)
                if finding is None:
                    continue
                move = self.course.step(self._rule, reading.feature, finding.over, reading.feature in self.on)
                if move == "open":
                    self.on.add(reading.feature)
                    self._bad.setdefault(reading.feature, []).append((reading.begin, NEVER))
                elif move == "close":
                    self.on.discard(reading.feature)
                    self._ended(reading)
                yield Step(end, finding, move)

    def _at(self, end: int) -> list[Reading]:
        """The readings of a decision; over the watch where the window alone holds too few rows."""
        return [*self._readings.get(end, ()), *self._gathered.get(end, ())]

    def _ended(self, reading: Reading) -> None:
        spans = self._bad.get(reading.feature)
        if spans and spans[-1][1] == NEVER:
            spans[-1] = (spans[-1][0], float(reading.begin))

    def _finding(self, reading: Reading) -> Finding | None:
        """What the rule says of a reading; null where it has no limit to hold against it (yet)."""
        rule = self._rule
        limit = self._limit(reading)
        if limit is None:
            return None
        sign = 1.0 if rule.worse_above(reading.feature if rule.kind == "performance" else rule.statistic) else -1.0
        noise = reading.noise or 0.0
        if rule.learn is not None and rule.threshold is None and rule.kind != "quality":
            # The healthy values that the limit was learnt from are as noisy as this one.
            noise = 0.0
        value, threshold, quiet = sign * reading.value, sign * limit.threshold, sign * limit.quiet
        over: bool | None = None
        watched = self._watched.get((reading.end, reading.feature))
        evident = watched is not None and watched.evident
        if value > threshold + noise and reading.significant and (evident or rule.guarantee == "window"):
            over = True
        elif value <= quiet + noise and reading.rows >= rule.min_rows:
            # Too few rows to see anything by are not quiet: they close nothing.
            over = False
        if rule.sudden and over is False:
            self.course.well.add(reading.feature)
        elif rule.sudden and reading.feature not in self.course.well:
            over = None
        if over and any(
            since < reading.end and reading.begin < until for since, until in self._explained.get(reading.feature, ())
        ):
            over = None
        return Finding(
            rule=rule.name,
            feature=reading.feature,
            version=reading.version,
            value=reading.value,
            threshold=limit.threshold,
            noise_floor=reading.noise,
            over=over,
            severity=rule.severity,
            window_start=times.from_seconds(reading.begin),
            window_end=times.from_seconds(reading.end),
            message=_said(rule, reading, limit, over),
            statistic=reading.feature if rule.kind == "performance" else reading.statistic or rule.statistic,
            guarantee=_guarantee(rule, reading, limit, watched),
            q_value=reading.q_value,
        )

    def _limit(self, reading: Reading) -> Limit | None:
        rule = self._rule
        if rule.threshold is not None:
            if rule.kind in ("drift", "labels"):
                threshold = rule.threshold * reading.scale
                return Limit(threshold, HYSTERESIS[rule.kind] * threshold)
            # A metric's scale has no natural zero: between the threshold and its noise beyond is neither.
            noise = (reading.noise or 0.0) * (1 if rule.worse_above(reading.feature) else -1)
            return Limit(rule.threshold, rule.threshold - noise)
        if rule.learn is not None:
            learnt = self._learnt(reading)
            return Limit(learnt.threshold, learnt.quiet, learnt.said) if learnt is not None else None
        if reading.expected is None:
            return None
        allowed = allowed_change(rule, reading.feature, self._settings)
        if rule.kind == "performance" and reading.feature in RELATIVE:
            allowed *= abs(reading.expected)
        if not rule.worse_above(reading.feature):
            allowed = -allowed
        return Limit(reading.expected + allowed, reading.expected + HYSTERESIS[rule.kind] * allowed)

    def _learnt(self, reading: Reading) -> Learnt | None:
        rule, learn = self._rule, self._rule.learn
        past = self._pasts.get((reading.feature, reading.version))
        if past is None or learn is None:
            return None
        bad = self._bad.get(reading.feature, [])
        if rule.change is not None:
            return learn_usual(past, learn, rule.window, reading.begin, reading.end, rule.change, bad)
        above = rule.worse_above(reading.feature if rule.kind == "performance" else rule.statistic)
        return learn_quantile(past, learn, rule.window, reading.begin, reading.end, above, bad)


def _pasts(readings: Mapping[int, list[Reading]]) -> dict[tuple[str, str], Past]:
    """By feature and version: another version's values are measured against another reference."""
    held: dict[tuple[str, str], list[Reading]] = {}
    for end in sorted(readings):
        for reading in readings[end]:
            held.setdefault((reading.feature, reading.version), []).append(reading)
    return {
        key: Past(
            np.array([reading.begin for reading in mine], np.int64),
            np.array([reading.end for reading in mine], np.int64),
            np.array([reading.value for reading in mine], np.float64),
        )
        for key, mine in held.items()
    }


def learning_ends(rule: Rule, ends: list[int], earliest: float, latest: float) -> list[int]:
    """The ends of all windows that decisions at `ends` may learn from, `ends` among them."""
    if rule.learn is None or rule.threshold is not None or not ends:
        return ends
    learn = rule.learn
    since = begin_of(rule, ends[0]) - learn.last if learn.since is None else learn.since
    until = ends[-1] if learn.until is None else min(learn.until, latest)
    first = rule.window.start(max(since, earliest))
    healthy = [rule.window.next(start) for start in rule.window.starts(first, until)] if until > first else []
    return sorted({*healthy, *ends})


def _said(rule: Rule, reading: Reading, limit: Limit, over: bool | None) -> str:
    noise = f" + noise {reading.noise:.2g}" if reading.noise else ""
    if rule.kind in ("drift", "labels"):
        what = f"{reading.statistic} of {reading.feature} is {reading.value:.3g}"
        if limit.said:
            causes = _causes(reading) if over else ""
            return f"{what}, {'above' if over else 'limit'} {limit.threshold:.3g} ({limit.said}){causes}"
        if not over:
            return f"{what}, threshold {limit.threshold:.3g}"
        return f"{what}, above {limit.threshold:.3g}{noise}{_causes(reading)}"
    if rule.kind == "volume":
        return f"{reading.rows:,} rows, limit {limit.threshold:,.0f}" + (f" ({limit.said})" if limit.said else "")
    if rule.kind == "quality":
        what = f"{rule.statistic} of {reading.feature}" if rule.of_features else rule.statistic
        limit_said = f"limit {limit.threshold:.1%}" + (f" ({limit.said})" if limit.said else "")
        beside = (
            f", {reading.expected:.1%} on the reference" if rule.of_features and reading.expected is not None else ""
        )
        return f"{what}: {reading.value:.1%} of {reading.rows:,} rows{beside}, {limit_said}"
    said = f"{reading.feature} is {reading.value:.3f}"
    if rule.threshold is None and rule.learn is None and reading.expected is not None:
        return f"{said}, on the reference {reading.expected:.3f}"
    return f"{said}, limit {limit.threshold:.3f}" + (f" ({limit.said})" if limit.said else "")


def _causes(reading: Reading) -> str:
    """`: nulls 0 % → 49 %`: what changed, what explains most first; "" where nothing is certain."""
    causes = reading.compared.causes()[:_CAUSES] if reading.compared is not None else ()
    # Categories are named by whoever writes the files.
    words = "; ".join(" ".join(describe(cause).split()) for cause in causes)
    words = "".join(character if character.isprintable() else "?" for character in words)
    return f": {words[:_CAUSE_LENGTH]}{'…' if len(words) > _CAUSE_LENGTH else ''}" if words else ""


def _guarantee(rule: Rule, reading: Reading, limit: Limit, watched: Watched | None) -> str:
    """What stands behind the decision: what bounds the chance that it is a false alarm."""
    parts = []
    if limit.said and rule.learn is not None:
        how = (
            f"at a quantile of {rule.learn.quantile:g}" if rule.change is None else f"{rule.change:.0%} below the usual"
        )
        parts.append(f"learnt from {limit.said}, {how}")
    if rule.statistic in presets.NAMES:
        # It alarms where the test does not, too: what bounds the test's alarms does not bound these.
        parts.append(f"the threshold of {rule.statistic} alone: nothing bounds its false alarms")
    elif watched is not None and watched.evident:
        parts.append(GUARANTEES["watch"])
    elif reading.q_value is not None:
        parts.append(GUARANTEES["window"])
    elif rule.kind == "quality" and reading.noise:
        parts.append("beyond three standard errors of the shares of both samples")
    elif rule.kind == "performance" and reading.noise:
        parts.append("beyond what sampling error alone does in 95% of windows")
    return "; ".join(parts) or "by the threshold alone"
