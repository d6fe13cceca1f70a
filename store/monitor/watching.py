"""The sequential test of a watch, window by window: small state, and what it says of each feature."""

from __future__ import annotations

import dataclasses
import math

import duckdb
import numpy as np

from store.monitor import counts
from store.monitor.bins import Floats, Integers
from store.monitor.course import Course, Evidence, Span
from store.monitor.deployments import split
from store.monitor.readings import CHUNK, Reading, served, values_of
from store.monitor.reference import Reference, load_reference
from store.monitor.rules import Rule
from store.monitor.statistics import WATCH_LEVEL
from store.monitor.statistics.groups import grouped, sequential_groups
from store.monitor.statistics.sequential import e_benjamini_hochberg, evidence_of_spans, running


@dataclasses.dataclass(frozen=True)
class Watched:
    """What the watch says of a feature at a window: `evident` is a discovery of e-BH over the features.

    `reading` is the value over the span that holds most of the evidence, where the window itself has too few rows
    to say anything.
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
) -> dict[tuple[int, str], Watched]:
    """Take the windows that end at `ends` into the evidence that `course` keeps; what it says at each, by feature.

    A watch begins anew with another version: its reference is another.
    """
    found: dict[tuple[int, str], Watched] = {}
    by_end: dict[int, str] = {}
    rows: dict[int, Integers] = {}
    for place in range(0, len(ends), CHUNK):
        part = ends[place : place + CHUNK]
        for version, mine in served(connection, deployment, rule, part).items():
            reference = load_reference(connection, split(deployment).model, version)
            if reference is None:
                continue
            starts, dense = counts.slot_sums(
                connection, deployment, version, reference, rule.window, rule.window.start(mine[0] - 1), mine[-1], None
            )
            held = dict(zip(starts.tolist(), dense, strict=True))
            for end in mine:
                current = held.get(rule.window.start(end - 1))
                if current is not None:
                    by_end[end], rows[end] = version, current
        for end in part:
            if end in by_end:
                reference = load_reference(connection, split(deployment).model, by_end[end])
                assert reference is not None
                spoken = {reading.feature for reading in readings.get(end, ())}
                step = _step(course, by_end[end], reference, rows.pop(end), rule.window.start(end - 1))
                for feature, watched in step.items():
                    if watched.evident and feature not in spoken and rule.looks_at(feature):
                        reading = _over_watch(
                            connection, deployment, rule, by_end[end], reference, feature, watched, end
                        )
                        watched = dataclasses.replace(watched, reading=reading)
                    found[end, feature] = watched
    return found


def _step(course: Course, version: str, reference: Reference, current: Integers, begin: int) -> dict[str, Watched]:
    """Add one window's counts to the spans that go on; drop those that end."""
    if course.version != version:
        course.version, course.windows, course.evidence = version, 0, {}
    window = course.windows
    course.windows += 1
    starts = running(window)
    logs, begins = [], []
    for feature in reference.features:
        groups, held = _groups(reference, feature.name)
        added = grouped(groups, current[feature.offset : feature.offset + feature.width])
        kept = {span.start: span for span in course.evidence.get(feature.name, Evidence()).spans}
        spans = []
        for start in starts:
            before = kept.get(start)
            if before is None:
                # Only the span that begins here is new: every other was running at the window before.
                spans.append(Span(start, begin, added.astype(int).tolist()))
            else:
                spans.append(Span(start, before.begin, (np.array(before.counts) + added).astype(int).tolist()))
        course.evidence[feature.name] = Evidence(spans)
        log_e, best = evidence_of_spans(held, np.array([span.counts for span in spans], np.float64), starts)
        logs.append(log_e)
        begins.append(spans[best].begin)
    evident = e_benjamini_hochberg(np.array([logs]), WATCH_LEVEL)[0]
    return {
        feature.name: Watched(bool(evident[place]), math.exp(min(logs[place], 700.0)), begins[place])
        for place, feature in enumerate(reference.features)
    }


def _over_watch(
    connection: duckdb.DuckDBPyConnection,
    deployment: str,
    rule: Rule,
    version: str,
    reference: Reference,
    name: str,
    watched: Watched,
    end: int,
) -> Reading | None:
    """The statistic over the span of the evidence; null while that holds too few rows as well."""
    feature = reference.by_name[name]
    _, dense = counts.slot_sums(connection, deployment, version, reference, None, watched.begin, end, None)
    current = dense[:, feature.offset : feature.offset + feature.width]
    rows = int(current.sum())
    if rows < rule.min_rows:
        return None
    scaled = values_of(rule.statistic, reference, feature, current)
    value = scaled.values.at(0)
    if value.value is None:
        return None
    return Reading(
        feature=name,
        version=version,
        begin=watched.begin,
        end=end,
        value=abs(value.value),
        noise=value.noise_floor,
        rows=rows,
        statistic=scaled.name,
        scale=float(scaled.scales[0]),
    )


_kept: dict[str, dict[str, tuple[Integers, Floats]]] = {}
_KEPT_AT_MOST = 64


def _groups(reference: Reference, name: str) -> tuple[Integers, Floats]:
    """The groups of the sequential test; chosen once, since a reference never changes."""
    if reference.identity not in _kept:
        if len(_kept) >= _KEPT_AT_MOST:
            _kept.clear()
        _kept[reference.identity] = {
            feature.name: sequential_groups(feature, reference.of(feature)) for feature in reference.features
        }
    return _kept[reference.identity][name]
