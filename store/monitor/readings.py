"""What a rule reads off the stored counts: one value a feature (or metric) and decision, with its noise."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from datetime import datetime

import duckdb
import numpy as np

from store.catalog.manifest import ModelManifest
from store.database import times
from store.database.rows import first_row
from store.monitor import counts, file_figures, label_drift, performance, presets, quality, statistics
from store.monitor.bins import FeatureBins, Floats, Integers
from store.monitor.deployments import split
from store.monitor.kept_moments import KeptMoments, moments_for
from store.monitor.metric_noise import noise_floor, standard_error
from store.monitor.profile import Binned
from store.monitor.realised import performance_sums, reference_metric
from store.monitor.reference import load_reference, manifest_of
from store.monitor.reference_chunks import load_chunks
from store.monitor.rules import MAIN, MAIN_METRICS, Rule
from store.monitor.statistics import FEW_ROWS_LEVEL, WINDOW_LEVEL, Values
from store.monitor.statistics.causes import Compared
from store.monitor.statistics.significance import benjamini_hochberg, p_values
from store.monitor.sums import Sums

#: What the findings of a rule of volume are about.
ROWS = "rows"
#: Windows whose counts are held at once.
CHUNK = 400


@dataclasses.dataclass(frozen=True)
class Reading:
    """One value over [begin, end) (epoch seconds), which are the `span` windows that end at `end`.

    `expected` is a metric's value on the reference. `q_value` is that of the window's test after
    Benjamini-Hochberg over the features, null where there is no test (then the noise floor alone decides).
    """

    feature: str
    version: str
    begin: int
    end: int
    value: float
    noise: float | None
    rows: int
    expected: float | None = None
    significant: bool = True
    q_value: float | None = None
    statistic: str = ""
    """The one that was computed: PSI where the rule's is not for the feature's kind."""
    scale: float = 1.0
    """What a threshold is multiplied by before the value is held against it."""
    compared: Compared | None = dataclasses.field(default=None, repr=False, compare=False)
    """The counts of a distribution, for the causes of an alarm."""


def read(
    connection: duckdb.DuckDBPyConnection, deployment: str, rule: Rule, ends: list[int], sums: Sums | None = None
) -> dict[int, list[Reading]]:
    """The rule's readings of the decisions at `ends` (ascending ends of windows), as the store knows them now, or knew
    what `sums` holds."""
    found: dict[int, list[Reading]] = {}
    counted = {"drift": _drift, "quality": _quality}
    looks = {"labels": _labels, "performance": _performance, "volume": _volume}
    for place in range(0, len(ends), CHUNK):
        chunk = ends[place : place + CHUNK]
        if rule.kind in counted:
            found.update(counted[rule.kind](connection, deployment, rule, chunk, sums or Sums()))
        else:
            found.update(looks[rule.kind](connection, deployment, rule, chunk))
    return found


def foresee(connection: duckdb.DuckDBPyConnection, deployment: str, rule: Rule, ends: list[int], sums: Sums) -> None:
    """Read into `sums` the counts that a rule of features takes for the decisions at `ends`."""
    for version, mine in served(connection, deployment, rule, ends).items():
        reference = load_reference(connection, split(deployment).model, version)
        if reference is not None:
            sums.of(connection, deployment, version, reference, rule.window, begin_of(rule, mine[0]), mine[-1])


def begin_of(rule: Rule, end: int) -> int:
    """Where the span of the decision at `end` begins."""
    return rule.window.back(rule.window.start(end - 1), rule.span)


def _drift(
    connection: duckdb.DuckDBPyConnection, deployment: str, rule: Rule, ends: list[int], sums: Sums
) -> dict[int, list[Reading]]:
    """Each feature over the span, of the version that made most of the last window's predictions."""
    found: dict[int, list[Reading]] = {end: [] for end in ends}
    for version, mine in served(connection, deployment, rule, ends).items():
        reference = load_reference(connection, split(deployment).model, version)
        if reference is None:
            continue
        begins = [begin_of(rule, end) for end in mine]
        starts, dense = sums.of(connection, deployment, version, reference, rule.window, begins[0], mine[-1])
        totals = spans(starts, dense, begins, mine)
        # Over all features, whichever of them the rule watches: the bound is one on the window.
        q = benjamini_hochberg(
            np.stack(
                [p_values(feature, reference.of(feature), _part(totals, feature)) for feature in reference.features], 1
            )
        )
        kept = moments_for(
            rule.statistic, connection, deployment, version, reference, rule.window, begins[0], mine[-1], None
        )
        chunks = load_chunks(connection, reference.identity, reference.width, rule.statistic)
        for place, feature in enumerate(reference.features):
            if rule.looks_at(feature.name):
                values = values_of(rule.statistic, reference, feature, _part(totals, feature), chunks)
                if kept is not None:
                    values = refined(values, kept, feature, _part(totals, feature), begins, mine)
                for reading in _of_feature(
                    rule, version, feature, values, reference.of(feature), totals, q[:, place], begins, mine
                ):
                    found[reading.end].append(reading)
    return found


def served(connection: duckdb.DuckDBPyConnection, deployment: str, rule: Rule, ends: list[int]) -> dict[str, list[int]]:
    """Version → those of `ends` in whose last window it made most of the predictions."""
    traffic = counts.traffic(connection, deployment, rule.window, rule.window.start(ends[0] - 1), ends[-1], None)
    found: dict[str, list[int]] = {}
    for end in ends:
        version = traffic.main_version(rule.window.start(end - 1))
        if version is not None:
            found.setdefault(version, []).append(end)
    return found


def values_of(
    name: str, reference: Binned, feature: FeatureBins, current: Integers, chunks: Integers | None = None
) -> Scaled:
    """A statistic of one feature in windows (windows × its slots), by PSI where the statistic is not for its kind.

    `chunks` are the reference's own (chunks × width), for the preset that goes by them."""
    before = reference.of(feature)
    if name in presets.NAMES:
        own = None if chunks is None else _part(chunks, feature)
        values = presets.strength(presets.named(name), feature, before, current, own)
        return Scaled(name, values, np.ones(len(current)))
    name = name if name in statistics.statistics_for(feature) else "psi"
    values = statistics.statistics_of(name, feature, reference.groups[feature.name], before, current)
    return Scaled(name, values, statistics.scale(name, before, current))


def refined(
    scaled: Scaled, kept: KeptMoments, feature: FeatureBins, current: Integers, begins: list[int], ends: list[int]
) -> Scaled:
    """The values as moments say them, over the spans [begin, end) that `current` counts."""
    better = [
        kept.refined(scaled.name, feature, scaled.values.at(place).value, current[place], begin, end)
        for place, (begin, end) in enumerate(zip(begins, ends, strict=True))
    ]
    values = np.array([math.nan if value is None else value for value in better])
    return dataclasses.replace(scaled, values=dataclasses.replace(scaled.values, values=values))


@dataclasses.dataclass(frozen=True)
class Scaled:
    """Values with what the threshold of each is multiplied by (statistics that grow with the sample)."""

    name: str
    values: Values
    scales: Floats


def _part(totals: Integers, feature: FeatureBins) -> Integers:
    return totals[:, feature.offset : feature.offset + feature.width]


def _of_feature(
    rule: Rule,
    version: str,
    feature: FeatureBins,
    scaled: Scaled,
    before: Integers,
    totals: Integers,
    q: Floats,
    begins: list[int],
    ends: list[int],
) -> list[Reading]:
    current, reference_rows = _part(totals, feature), int(before.sum())
    rows = current.sum(axis=1).tolist()
    preset = rule.statistic in presets.NAMES
    readings = []
    for place, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        found = scaled.values.at(place)
        few = min(rows[place], reference_rows) < rule.min_rows
        # A preset decides as the monitor it stands for does: by its threshold alone.
        significant = preset or bool(q[place] <= (FEW_ROWS_LEVEL if few else WINDOW_LEVEL))
        # So few rows say something only where they are certain: they neither open an alert by chance nor close one.
        if found.value is None or (rows[place] < rule.min_rows and (preset or not significant)):
            continue
        readings.append(
            Reading(
                feature=feature.name,
                version=version,
                begin=begin,
                end=end,
                # Changes are signed; a fall is as much of a drift as a rise.
                value=abs(found.value),
                noise=found.noise_floor,
                rows=rows[place],
                significant=significant,
                q_value=None if math.isnan(q[place]) else float(q[place]),
                statistic=scaled.name,
                scale=float(scaled.scales[place]),
                compared=Compared(feature, before, current[place]),
            )
        )
    return readings


def spans(starts: Integers, dense: Integers, begins: list[int], ends: list[int]) -> Integers:
    """Sums of `dense` (windows × slots, at ascending `starts`) over each [begin, end)."""
    running = np.zeros((len(dense) + 1, dense.shape[1]), np.int64)
    np.cumsum(dense, axis=0, out=running[1:])
    low, high = np.searchsorted(starts, begins), np.searchsorted(starts, ends)
    total: Integers = running[high] - running[low]
    return total


def _performance(
    connection: duckdb.DuckDBPyConnection, deployment: str, rule: Rule, ends: list[int]
) -> dict[int, list[Reading]]:
    """Metrics over the span, of the version with most labels in the last window."""
    model = split(deployment).model
    sums = performance_sums(connection, deployment, rule.window, begin_of(rule, ends[0]), ends[-1], None)
    manifests = {version: manifest_of(connection, model, version) for version in sums.names}
    expected: dict[tuple[str, str], float | None] = {}
    errors: dict[tuple[str, str], float | None] = {}
    found: dict[int, list[Reading]] = {}
    for end in ends:
        found[end] = []
        version = sums.main_version(rule.window.start(end - 1))
        if version is None:
            continue
        begin = begin_of(rule, end)
        dense, totals = sums.total(version, begin, end)
        labelled = int(dense[performance.LABELLED])
        if labelled < rule.min_rows:
            continue
        task = manifests[version].task
        names = MAIN_METRICS[task] if rule.statistic == MAIN else (rule.statistic,)
        for name in names:
            if not performance.of_task(task, name):
                continue
            value, _ = performance.metric(task, name, dense, totals)
            if value is None:
                continue
            if (version, name) not in expected:
                expected[version, name] = reference_metric(connection, manifests[version], name)
                errors[version, name] = _reference_error(connection, manifests[version], name)
            noise = noise_floor(standard_error(name, value, task, dense, totals), errors[version, name])
            found[end].append(Reading(name, version, begin, end, value, noise, labelled, expected[version, name]))
    return found


def _reference_error(connection: duckdb.DuckDBPyConnection, manifest: ModelManifest, name: str) -> float | None:
    """Of the metric's value on the reference; null where the manifest only claims one."""
    reference = load_reference(connection, manifest.model, manifest.version)
    if reference is None or not len(reference.performance.slots):
        return None
    dense, sums = reference.performance.dense(), reference.performance.sums
    value, _ = performance.metric(manifest.task, name, dense, sums)
    return standard_error(name, value, manifest.task, dense, sums) if value is not None else None


def _labels(
    connection: duckdb.DuckDBPyConnection, deployment: str, rule: Rule, ends: list[int]
) -> dict[int, list[Reading]]:
    """The labels over the span, of the version with most of them in the last window."""
    found: dict[int, list[Reading]] = {end: [] for end in ends}
    sums = performance_sums(connection, deployment, rule.window, begin_of(rule, ends[0]), ends[-1], None)
    by_version: dict[str, list[int]] = {}
    for end in ends:
        version = sums.main_version(rule.window.start(end - 1))
        if version is not None:
            by_version.setdefault(version, []).append(end)
    for version, mine in by_version.items():
        reference = load_reference(connection, split(deployment).model, version)
        held = label_drift.labels_of(connection, reference) if reference is not None else None
        if held is None:
            continue
        starts = np.unique(sums.starts)
        begins = [begin_of(rule, end) for end in mine]
        totals = spans(starts, label_drift.labelled(held, sums, version, starts.tolist()), begins, mine)
        [feature] = held.features
        values = values_of(rule.statistic, held, feature, totals)
        # They are judged for themselves: one feature has nothing to be corrected for.
        p = p_values(feature, held.counts, totals)
        for reading in _of_feature(rule, version, feature, values, held.counts, totals, p, begins, mine):
            found[reading.end].append(reading)
    return found


def _quality(
    connection: duckdb.DuckDBPyConnection, deployment: str, rule: Rule, ends: list[int], sums: Sums
) -> dict[int, list[Reading]]:
    """The share of rows that fail the rule's check over the span, of the version that made most of the last window's
    predictions: by feature, or of the files that fed it."""
    found: dict[int, list[Reading]] = {end: [] for end in ends}
    for version, mine in served(connection, deployment, rule, ends).items():
        looks = (
            _feature_checks(connection, deployment, rule, version, mine, sums)
            if rule.of_features
            else _file_checks(connection, deployment, rule, version, mine)
        )
        for reading in looks:
            if reading.rows >= rule.min_rows:
                found[reading.end].append(reading)
    return found


def _feature_checks(
    connection: duckdb.DuckDBPyConnection, deployment: str, rule: Rule, version: str, ends: list[int], sums: Sums
) -> Iterator[Reading]:
    reference = load_reference(connection, split(deployment).model, version)
    if reference is None:
        return
    begins = [begin_of(rule, end) for end in ends]
    over = (connection, deployment, version, reference, rule.window, begins[0], ends[-1])
    starts, dense, rows = sums.with_rows(*over)
    totals = spans(starts, dense, begins, ends)
    for begin, end, total in zip(begins, ends, totals, strict=True):
        whole = sum(count for start, count in rows.items() if begin <= start < end)
        for feature in reference.features:
            if not rule.looks_at(feature.name):
                continue
            for share in quality.shares(reference, feature, total, whole):
                if share.check == rule.statistic and share.value is not None and share.noise is not None:
                    yield Reading(
                        feature.name, version, begin, end, share.value, share.noise, share.rows, share.reference
                    )


def _file_checks(
    connection: duckdb.DuckDBPyConnection, deployment: str, rule: Rule, version: str, ends: list[int]
) -> Iterator[Reading]:
    """Of the files that fed the span's windows, and of those without a window that came with them."""
    since, until = begin_of(rule, ends[0]), ends[-1]
    windows = file_figures.fed(connection, deployment, "", rule.window, since, until)
    placed = file_figures.unplaced(connection, deployment, windows, since, until)
    labels = rule.statistic in file_figures.CHECKS["labels"]
    for end in ends:
        begin = begin_of(rule, end)
        mine = [one for (start, kind), one in placed.items() if begin <= start < end and labels == (kind == "labels")]
        if not labels:
            mine += [one.figures for one in windows if begin <= one.start < end and one.version == version]
        total = file_figures.total(mine)
        if total.rows:
            share = total.counts.get(rule.statistic, 0) / total.rows
            yield Reading(rule.statistic, version, begin, end, share, None, total.rows, 0.0)


def _volume(
    connection: duckdb.DuckDBPyConnection, deployment: str, rule: Rule, ends: list[int]
) -> dict[int, list[Reading]]:
    """Rows of the span, of all versions together; none is a value too."""
    begins = [begin_of(rule, end) for end in ends]
    traffic = counts.traffic(connection, deployment, rule.window, begins[0], ends[-1], None)
    order = np.argsort(traffic.starts, kind="stable")
    totals = spans(traffic.starts[order], traffic.rows[order][:, None], begins, ends)[:, 0]
    return {
        end: [Reading(ROWS, "", begin, end, float(total), None, int(total))]
        for begin, end, total in zip(begins, ends, totals.tolist(), strict=True)
    }


def reach(connection: duckdb.DuckDBPyConnection, deployment: str, rule: Rule) -> tuple[float, float] | None:
    """(earliest, latest) moment of event time that the rule has something to read at; null where there is nothing."""
    newest = latest(connection, deployment, rule)
    return None if newest is None else (earliest(connection, deployment, rule), newest)


def latest(connection: duckdb.DuckDBPyConnection, deployment: str, rule: Rule) -> float | None:
    """The latest moment that the rule has something to read at; null where there is nothing.

    Of performance it is the labelled predictions that count, else all of them.
    """
    order = "window_start DESC" if rule.labelled else "last_at DESC"
    return times.seconds(counts.outermost(connection, _table(rule), order, deployment))


def earliest(connection: duckdb.DuckDBPyConnection, deployment: str, rule: Rule) -> float:
    """The start of the first window that the rule has something to read in, where it has any."""
    found = times.seconds(counts.outermost(connection, _table(rule), "window_start", deployment))
    assert found is not None, f"{deployment} has no {rule.kind}"
    return found


def passed_over(connection: duckdb.DuckDBPyConnection, deployment: str, rule: Rule, at: datetime) -> bool:
    """Whether a window that the rule has something to read in was over before `at` (as the database has it)."""
    row = first_row(
        connection.execute(
            f"SELECT epoch(min(window_start)), epoch(max(window_start)) FROM {_table(rule)}"
            " WHERE deployment = ? AND recorded_at < ?",
            [deployment, at],
        )
    )
    return row is not None and row[0] is not None and rule.window.start(row[0]) < rule.window.start(row[1])


def _table(rule: Rule) -> str:
    return "monitor_performance" if rule.labelled else "monitor_window"
