"""The sequential test of a watch, window by window: small state, and what it says of each feature."""

from __future__ import annotations

import dataclasses
import itertools
import math

import duckdb
import numpy as np

from store.monitor.bins import FeatureBins, Floats, Integers
from store.monitor.cache import Cache
from store.monitor.course import Course, Evidence, Span
from store.monitor.deployments import split
from store.monitor.kept_moments import KeptMoments, moments_for
from store.monitor.readings import CHUNK, Reading, Scaled, refined, served, values_of
from store.monitor.reference import Reference, load_reference
from store.monitor.reference_chunks import load_chunks
from store.monitor.rules import Rule
from store.monitor.statistics import WATCH_LEVEL
from store.monitor.statistics.causes import Compared
from store.monitor.statistics.groups import grouped, sequential_groups
from store.monitor.statistics.sequential import e_benjamini_hochberg, evidence, evidence_of_spans, running
from store.monitor.sums import Sums

#: From so many windows on, a watch that begins is worked out in vectors.
_FEW = 8


@dataclasses.dataclass(frozen=True)
class Watched:
    """What the watch says of a feature at a window: `evident` is a discovery of e-BH over the features.

    `reading` is the value over the span that holds most of the evidence, where the window itself has too few rows
    to say anything. It begins after the last window that said something: what that found to be over is over.
    """

    evident: bool
    e_value: float
    begin: int
    reading: Reading | None = None


def watch(
    connection: duckdb.DuckDBPyConnection,
    deployment: str,
    rule: Rule,
    ends: list[int],
    readings: dict[int, list[Reading]],
    course: Course,
    sums: Sums | None = None,
) -> dict[tuple[int, str], Watched]:
    """Take the windows that end at `ends` into the evidence that `course` keeps; what it says at each, by feature.

    A watch begins anew with another version: its reference is another.
    """
    sums = sums if sums is not None else Sums()
    found: dict[tuple[int, str], Watched] = {}
    stream: list[_Window] = []
    for place in range(0, len(ends), CHUNK):
        stream += _windows(connection, deployment, rule, ends[place : place + CHUNK], sums)
    for version, windows in itertools.groupby(stream, lambda window: window.version):
        run = list(windows)
        reference = load_reference(connection, split(deployment).model, version)
        assert reference is not None
        over = _Over(connection, deployment, version, reference, rule, run[-1].end, sums)
        for window, step in zip(run, _run(course, version, reference, run), strict=True):
            spoken = {reading.feature for reading in readings.get(window.end, ())}
            course.spoken.update(dict.fromkeys(spoken, window.end))
            for feature, watched in step.items():
                # A learnt threshold is one of windows, not of whatever span the evidence has.
                if watched.evident and feature not in spoken and rule.looks_at(feature) and rule.learn is None:
                    begin = max(watched.begin, course.spoken.get(feature, watched.begin))
                    reading = _over_watch(rule, version, reference.by_name[feature], over, begin, window.end)
                    watched = dataclasses.replace(watched, reading=reading)
                found[window.end, feature] = watched
    return found


@dataclasses.dataclass(frozen=True)
class _Window:
    """The counts of one window, of the version that made most of its predictions, by group of each feature."""

    begin: int
    end: int
    version: str
    groups: list[Floats]


def _windows(
    connection: duckdb.DuckDBPyConnection, deployment: str, rule: Rule, ends: list[int], sums: Sums
) -> list[_Window]:
    found: dict[int, _Window] = {}
    for version, mine in served(connection, deployment, rule, ends).items():
        reference = load_reference(connection, split(deployment).model, version)
        if reference is None:
            continue
        since = rule.window.start(mine[0] - 1)
        starts, dense = sums.of(connection, deployment, version, reference, rule.window, since, mine[-1])
        by_feature = [
            grouped(_groups(reference, feature.name)[0], dense[:, feature.offset : feature.offset + feature.width])
            for feature in reference.features
        ]
        at = {start: place for place, start in enumerate(starts.tolist())}
        for end in mine:
            begin = rule.window.start(end - 1)
            if begin in at:
                found[end] = _Window(begin, end, version, [column[at[begin]] for column in by_feature])
    return [found[end] for end in ends if end in found]


def _run(course: Course, version: str, reference: Reference, run: list[_Window]) -> list[dict[str, Watched]]:
    """Add consecutive windows of one version to the evidence; what it says after each."""
    if course.version != version or _regrouped(course, run):
        course.version, course.windows, course.evidence = version, 0, {}
    if course.windows == 0 and len(run) > _FEW:
        logs, begins = _at_once(course, reference, run)
    else:
        steps = [_step(course, reference, window) for window in run]
        logs = np.array([step[0] for step in steps]).reshape(len(run), len(reference.features))
        begins = [step[1] for step in steps]
    evident = e_benjamini_hochberg(logs, WATCH_LEVEL)
    return [
        {
            feature.name: Watched(
                bool(evident[window, place]), math.exp(min(float(logs[window, place]), 700.0)), begins[window][place]
            )
            for place, feature in enumerate(reference.features)
        }
        for window in range(len(run))
    ]


def _regrouped(course: Course, run: list[_Window]) -> bool:
    """Whether the evidence was gathered over other groups than are counted now: by a program that grouped otherwise."""
    widths = {len(span.counts) for evidence in course.evidence.values() for span in evidence.spans}
    return bool(run) and not widths <= {len(groups) for groups in run[0].groups}


def _at_once(course: Course, reference: Reference, run: list[_Window]) -> tuple[Floats, list[list[int]]]:
    """All windows of a watch that begins here: the same as window by window, in vectors."""
    last = len(run) - 1
    columns, starts = [], []
    for place, feature in enumerate(reference.features):
        stream = np.stack([window.groups[place] for window in run])
        gathered = evidence(_groups(reference, feature.name)[1], stream)
        columns.append(gathered.log_e)
        starts.append(gathered.starts)
        summed = np.concatenate([np.zeros((1, stream.shape[1])), np.cumsum(stream, axis=0)])
        course.evidence[feature.name] = Evidence(
            [
                Span(start, run[start].begin, (summed[-1] - summed[start]).astype(int).tolist())
                for start in running(last)
            ]
        )
    course.windows = len(run)
    begins = [[run[int(column[window])].begin for column in starts] for window in range(len(run))]
    return np.stack(columns, axis=1), begins


def _step(course: Course, reference: Reference, window: _Window) -> tuple[list[float], list[int]]:
    """(ln e by feature, where the span with most of the evidence begins): spans that go on grow, those that end go."""
    starts = running(course.windows)
    course.windows += 1
    logs, begins = [], []
    for place, feature in enumerate(reference.features):
        kept = {span.start: span for span in course.evidence.get(feature.name, Evidence()).spans}
        spans = []
        for start in starts:
            before = kept.get(start)
            if before is None:
                # Only the span that begins here is new: every other was running at the window before.
                spans.append(Span(start, window.begin, window.groups[place].astype(int).tolist()))
            else:
                added = np.array(before.counts) + window.groups[place]
                spans.append(Span(start, before.begin, added.astype(int).tolist()))
        course.evidence[feature.name] = Evidence(spans)
        counted = np.array([span.counts for span in spans], np.float64)
        log_e, best = evidence_of_spans(_groups(reference, feature.name)[1], counted, starts)
        logs.append(log_e)
        begins.append(spans[best].begin)
    return logs, begins


class _Over:
    """The rule's statistic of one version over any span that ends at a window."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        deployment: str,
        version: str,
        reference: Reference,
        rule: Rule,
        until: int,
        sums: Sums,
    ) -> None:
        self._sums = sums
        self._ask = (connection, deployment, version, reference, rule.window)
        self._statistic = rule.statistic
        self._chunks = load_chunks(connection, reference.identity, reference.width, rule.statistic)
        self._until = until
        self._moments: KeptMoments | None = None
        self._since = math.inf

    def of(self, feature: FeatureBins, begin: int, end: int) -> tuple[Compared, Scaled]:
        """Counts, and the rule's statistic of one feature, in [begin, end)."""
        if begin < self._since:
            self._since = begin
            self._moments = moments_for(self._statistic, *self._ask, begin, self._until, None)
        starts, dense = self._sums.of(*self._ask, begin, self._until)
        windows = dense[: np.searchsorted(starts, end), feature.offset : feature.offset + feature.width]
        current = windows.sum(axis=0, keepdims=True)
        values = values_of(self._statistic, self._ask[3], feature, current, self._chunks)
        if self._moments is not None:
            values = refined(values, self._moments, feature, current, [begin], [end])
        return Compared(feature, self._ask[3].of(feature), current[0]), values


def _over_watch(rule: Rule, version: str, feature: FeatureBins, over: _Over, begin: int, end: int) -> Reading | None:
    """The statistic over the span of the evidence; null while that holds too few rows as well."""
    compared, scaled = over.of(feature, begin, end)
    rows, value = int(compared.after.sum()), scaled.values.at(0)
    if rows < rule.min_rows or value.value is None:
        return None
    return Reading(
        feature=feature.name,
        version=version,
        begin=begin,
        end=end,
        value=abs(value.value),
        noise=value.noise_floor,
        rows=rows,
        statistic=scaled.name,
        scale=float(scaled.scales[0]),
        compared=compared,
    )


_kept: Cache[dict[str, tuple[Integers, Floats]]] = Cache()


def _groups(reference: Reference, name: str) -> tuple[Integers, Floats]:
    """The groups of the sequential test; chosen once, since a reference never changes."""
    groups = _kept.get(
        reference.identity,
        lambda: {feature.name: sequential_groups(feature, reference.of(feature)) for feature in reference.features},
    )
    return groups[name]
