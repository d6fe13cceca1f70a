"""What the screens show of a deployment's drift: the heat map, and the distribution of a feature."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import duckdb
import msgspec
import numpy as np

from store.monitor import counts, label_drift, presets, statistics
from store.monitor.bins import LABEL, FeatureBins, Integers, display_labels
from store.monitor.deployments import split
from store.monitor.explaining import in_words
from store.monitor.kept_moments import KeptMoments, moments_for
from store.monitor.names import Names
from store.monitor.new_categories import new_categories
from store.monitor.profile import Binned
from store.monitor.quality import watched_rows
from store.monitor.realised import performance_sums
from store.monitor.reference import Reference, load_reference
from store.monitor.reference_chunks import load_chunks
from store.monitor.relevance import excess, relevance
from store.monitor.scan import DEFAULTS
from store.monitor.spans import marks, span
from store.monitor.statistics.verdicts import Reason, Refine
from store.monitor.unjudged import absent_or, is_unused, not_judged, without_reference
from store.monitor.window_moments import Summary
from store.monitor.windows import Window, window
from store.protocol import (
    Distribution,
    DistributionParams,
    ExitCode,
    Heatmap,
    NewCategory,
    Refusal,
    SpanParams,
    Statistic,
    ValueSummary,
)
from store.settings import MonitorSettings

MAX_BARS = 200


class DriftRow(NamedTuple):
    """The verdict on one feature in the window that starts at `start`."""

    version: str
    start: int
    reference_rows: int
    found: statistics.FeatureVerdict


def drift(
    connection: duckdb.DuckDBPyConnection, params: SpanParams, settings: MonitorSettings = DEFAULTS
) -> Iterator[DriftRow]:
    """The statistic of every feature in every window that has data, of the version that predicted most in it
    (or of `params.version`), with the verdict of that window alone: no row depends on the span that was asked for.
    Where labels have come they are one more, `label`. A feature without a reference has a row, too: not judged.
    `params.statistic` may name a preset: then the rows are that preset's. Raises `Refusal` when there is no such
    statistic."""
    name = preferred(params.statistic, settings)
    thresholds(name, settings)
    asked = span(connection, params, settings)
    traffic = counts.traffic(connection, params.deployment, asked.window, asked.since, asked.end, asked.at)
    chosen: dict[str, list[int]] = {}
    for start in asked.starts:
        version = params.version or traffic.main_version(start)
        if version is not None:
            chosen.setdefault(version, []).append(start)
    rows_of = {
        (start, version): int(rows)
        for start, version, rows in zip(traffic.starts.tolist(), traffic.versions, traffic.rows, strict=True)
    }
    sums = performance_sums(connection, params.deployment, asked.window, asked.since, asked.end, asked.at)
    model, limit = split(params.deployment).model, thresholds(name, settings)[0]
    for version, mine in chosen.items():
        reference = load_reference(connection, model, version)
        for feature in without_reference(connection, model, version, reference):
            for start in mine:
                rows = rows_of.get((start, version), 0)
                if rows:
                    yield DriftRow(version, start, 0, not_judged(feature, name, limit, rows, "no_reference"))
        if reference is None:
            continue
        until, wanted = asked.window.next(mine[-1]), frozenset(mine)
        starts, dense = counts.slot_sums(
            connection, params.deployment, version, reference, asked.window, mine[0], until, asked.at
        )
        mask = np.array([start in wanted for start in starts.tolist()], bool)
        if name in presets.NAMES:
            chunks = load_chunks(connection, reference.identity, reference.width, name)
            judged = presets.verdicts(presets.named(name), reference, dense[mask], chunks)
        else:
            kept = moments_for(
                name, connection, params.deployment, version, reference, asked.window, mine[0], until, asked.at
            )
            refine = _refining(kept, reference, starts[mask], dense[mask], asked.window) if kept else None
            judged = statistics.verdicts(
                reference, dense[mask], settings, name, watch=False, fallback=False, refine=refine
            )
        of_reference = {feature.name: int(reference.of(feature).sum()) for feature in reference.features}
        for start, row in zip(starts[mask].tolist(), judged, strict=True):
            for found in row:
                if not is_unused(reference.by_name[found.feature], reference, found.rows):
                    yield DriftRow(version, start, of_reference[found.feature], absent_or(found))
        uncounted = [start for start in mine if (start, version) in rows_of and start not in set(starts.tolist())]
        if uncounted:
            watched = watched_rows(
                connection, params.deployment, version, reference, asked.window, mine[0], until, asked.at
            )
            for start in uncounted:
                # Files that lack every column, or predictions that came before there was a reference.
                reason: Reason = "absent" if watched.get(start) else "no_reference"
                for bins in (one for one in reference.features if not is_unused(one, reference, 0)):
                    found = not_judged(bins.name, name, limit, 0, reason)
                    yield DriftRow(version, start, of_reference[bins.name], found)
        for labels in label_drift.verdicts(connection, reference, sums, mine, name, settings):
            yield DriftRow(version, labels.start, labels.reference_rows, labels.found)


def _refining(kept: KeptMoments, reference: Reference, starts: Integers, dense: Integers, window: Window) -> Refine:
    def refine(place: int, feature: str, name: str, value: float) -> float:
        bins, start = reference.by_name[feature], int(starts[place])
        counted = dense[place, bins.offset : bins.offset + bins.width]
        better = kept.refined(name, bins, value, counted, start, window.next(start))
        return value if better is None else better

    return refine


def preferred(statistic: str, settings: MonitorSettings) -> str:
    """The statistic that is meant: for the usual one, PSI, the store's preset stands in where it has one."""
    return settings.preset if settings.preset and statistic == "psi" else statistic


def thresholds(name: str, settings: MonitorSettings) -> tuple[float, float]:
    """(warn, alarm) of a statistic or, in units of its own threshold, of a preset. Raises `Refusal` for others."""
    return (1.0, presets.SEVERE) if name in presets.NAMES else statistics.thresholds(name, settings)


def heatmap(connection: duckdb.DuckDBPyConnection, params: SpanParams, settings: MonitorSettings = DEFAULTS) -> Heatmap:
    """One statistic of each feature in each window, of the version that predicted most in it (or `version`).

    A preset, whose features have statistics of their own, is shown in units of their thresholds.
    """
    statistic = preferred(params.statistic, settings)
    warn, alarm = thresholds(statistic, settings)
    asked = span(connection, params, settings)
    place = {start: index for index, start in enumerate(asked.starts)}
    cells: dict[str, list[statistics.FeatureVerdict | None]] = {}
    scales: list[float] = []
    for row in drift(connection, params, settings):
        cells.setdefault(row.found.feature, [None] * len(place))[place[row.start]] = row.found
        if row.found.value is not None and statistic not in presets.NAMES:
            scales.append(row.found.threshold / warn)
    # What the statistic is not for is no line.
    cells = {name: row for name, row in cells.items() if any(cell and cell.reason != "not_for_kind" for cell in row)}
    values = {name: [presets.size(cell) if cell else None for cell in row] for name, row in cells.items()}
    worst = {name: _worst(row) for name, row in cells.items()}
    features = sorted(values, key=lambda name: (-worst[name], name))
    # Of statistics that grow with the sample the legend has the thresholds of a window of the usual size.
    scale = float(np.median(scales)) if scales else 1.0
    traffic = counts.traffic(connection, params.deployment, asked.window, asked.since, asked.end, asked.at)
    model = split(params.deployment).model
    drifts = {name: _excess(cells[name], asked.starts) for name in features}
    matters = relevance(connection, params.deployment, asked, drifts)
    return Heatmap(
        deployment=params.deployment,
        statistic=statistic,
        window_seconds=asked.window.seconds,
        starts=[float(start) for start in asked.starts],
        features=features,
        values=[values[name] for name in features],
        noise=[[cell.noise_floor if cell else None for cell in cells[name]] for name in features],
        rows=[traffic.total(start) for start in asked.starts],
        versions=[params.version or traffic.main_version(start) or "" for start in asked.starts],
        warn=warn * scale,
        alarm=alarm * scale,
        marks=marks(connection, params.deployment, asked.since, asked.end, asked.at),
        why=asked.why or ("" if features else f"No version of {model} that predicted here has a reference."),
        reasons=_reasons(connection, params, [cells[name] for name in features], asked.starts, traffic),
        alarms=[[cell.severity if cell else "" for cell in cells[name]] for name in features],
        importance=[matters.importance.get(name) for name in features],
        correlation=[matters.correlation.get(name) for name in features],
        relevance=[matters.of(name, max(drifts[name].values(), default=None)) for name in features],
        relevance_basis=matters.basis,
    )


def _worst(row: Sequence[statistics.FeatureVerdict | None]) -> float:
    """The greatest size of what was judged in a row of cells; below any where nothing was."""
    sizes = [presets.size(cell) for cell in row if cell is not None and cell.state != "not judged"]
    return max((abs(size) for size in sizes if size is not None), default=-1.0)


def _reasons(
    connection: duckdb.DuckDBPyConnection,
    params: SpanParams,
    cells: Sequence[Sequence[statistics.FeatureVerdict | None]],
    starts: Sequence[int],
    traffic: counts.Traffic,
) -> list[list[str]]:
    """Of each cell (features × windows) why it was not judged; "" where it was, and where nobody predicted."""
    model = split(params.deployment).model
    predicted = set(zip(traffic.starts.tolist(), traffic.versions, strict=True))
    blank = []
    for start in starts:
        version = params.version or traffic.main_version(start)
        reference = load_reference(connection, model, version) if version is not None else None
        unknown = (start, version) in predicted and (reference is None or not reference.rows)
        # Of a version without a reference not even its features need be known: then none of those shown is judged.
        blank.append("no_reference" if unknown else "")
    return [
        [_reason(cell) if cell is not None else other for cell, other in zip(row, blank, strict=True)] for row in cells
    ]


def _reason(verdict: statistics.FeatureVerdict) -> str:
    return verdict.reason if verdict.state == "not judged" else ""


def _excess(cells: Sequence[statistics.FeatureVerdict | None], starts: Sequence[int]) -> dict[int, float]:
    """Window start → how far the feature drifted beyond noise."""
    found = {}
    for start, cell in zip(starts, cells, strict=True):
        beyond = excess(cell.value, cell.noise_floor, cell.threshold) if cell else None
        if beyond is not None:
            found[start] = beyond
    return found


def distribution(
    connection: duckdb.DuckDBPyConnection, params: DistributionParams, settings: MonitorSettings = DEFAULTS
) -> Distribution:
    """Shares of one feature in the reference and over [since, until), of the version that predicted most there.

    Without `since` it is the last alert window; `bars` bounds the bars (neighbouring bins are merged; of
    categories the reference's most frequent are kept). Raises `Refusal` for an unknown feature.
    """
    width = window(settings.alert_window, settings.base_window_seconds)
    whole = SpanParams(params.deployment, settings.alert_window, params.since, params.until, params.at, 1)
    asked = span(connection, whole, settings)
    since = params.since if params.since is not None else float(asked.since)
    until = params.until if params.until is not None else float(asked.end)
    model = split(params.deployment).model
    traffic = counts.traffic(connection, params.deployment, width, asked.since, asked.end, asked.at)
    by_version: dict[str, int] = {}
    for version, rows in zip(traffic.versions, traffic.rows, strict=True):
        by_version[version] = by_version.get(version, 0) + int(rows)
    version = params.version or max(by_version, key=lambda name: (by_version[name], name), default="")
    reference = load_reference(connection, model, version)
    if reference is None:
        return _unreferenced(params, version, asked.why or f"Version {version or '?'} has no reference.")
    held: Binned | None = reference
    if params.feature == LABEL and params.feature not in reference.by_name:
        held = label_drift.labels_of(connection, reference)
    feature = held.by_name.get(params.feature) if held is not None else None
    if feature is None and params.feature in without_reference(connection, model, version, reference):
        return _unreferenced(params, version, f"The reference of version {version} has no {params.feature}.")
    if held is None or feature is None:
        raise Refusal(
            ExitCode.USAGE,
            f"Version {version} has no feature {params.feature[:80]!r}.",
            "One of: " + ", ".join(f.name for f in reference.features[:20]),
        )
    if isinstance(held, label_drift.Labels):
        sums = performance_sums(connection, params.deployment, width, since, until, asked.at)
        dense = label_drift.labelled(held, sums, version, np.unique(sums.starts).tolist()).sum(axis=0, keepdims=True)
    else:
        _, dense = counts.slot_sums(connection, params.deployment, version, reference, None, since, until, asked.at)
    total = dense[0] if len(dense) else np.zeros(held.width, np.int64)
    current, before = total[feature.offset : feature.offset + feature.width], held.of(feature)
    if is_unused(feature, held, int(current.sum())):
        why = "Neither predictions nor reference have scores."
        return msgspec.structs.replace(_unreferenced(params, version, why), reason="")
    labels, bars, edges = _bars(feature, before, current, max(2, min(params.bars, MAX_BARS)))
    found = Distribution(
        deployment=params.deployment,
        version=version,
        feature=feature.name,
        kind="categorical" if feature.kind == "categorical" else "numeric",
        labels=labels,
        reference=_shares(bars, before, len(labels)),
        current=_shares(bars, current, len(labels)),
        reference_rows=int(before.sum()),
        rows=int(current.sum()),
        since=since,
        until=until,
        statistics=_statistics(held, feature, current, settings),
        why="" if current.sum() else asked.why or "No values of this feature in this span.",
        edges=edges,
        reason=_reason_of(held, total, feature, settings),
    )
    # Labels are sums of outcomes, not values of a column.
    return found if held is not reference else _with_values(connection, found, reference, feature, current, asked.at)


def _unreferenced(params: DistributionParams, version: str, why: str) -> Distribution:
    """The answer about a feature that there is nothing to hold against."""
    span = (params.since, params.until)
    return Distribution(
        params.deployment, version, params.feature, "", [], [], [], 0, 0, *span, [], why, reason="no_reference"
    )


def _reason_of(held: Binned, total: Integers, feature: FeatureBins, settings: MonitorSettings) -> str:
    """Why the feature is not judged on counts (of all features, in their slots)."""
    if not total.any():
        return "no_values" if held.of(feature).any() else "no_reference"
    [verdicts] = statistics.verdicts(held, total[None, :], settings, watch=False)
    return next(_reason(absent_or(one)) for one in verdicts if one.feature == feature.name)


def _with_values(
    connection: duckdb.DuckDBPyConnection,
    found: Distribution,
    reference: Reference,
    feature: FeatureBins,
    current: Integers,
    at: datetime | None,
) -> Distribution:
    """With what was kept of the values beside their counts: moments of numbers, names of new categories."""
    since, until = found.since or 0.0, found.until or 0.0
    if feature.kind == "categorical":
        new, known = new_categories(connection, found.deployment, found.version, feature.name, since, until, at)
        return msgspec.structs.replace(
            found,
            causes=in_words(feature, reference.of(feature), current, None, new),
            new=[NewCategory(name, rows) for name, rows in new.top(len(new.counts))],
            new_total=new.distinct if known and reference.rare is not None else None,
            new_estimated=not new.complete,
        )
    kept = KeptMoments.read(
        connection, found.deployment, found.version, reference, None, since, until, at, only=feature
    )
    before, after = reference.summary(feature), kept.summary(feature, 0, 1)
    if after is not None and after.values != int(current[: feature.missing_from].sum()):
        # Of a part of the values: some windows were counted before moments were kept.
        after = None
    refined = [
        msgspec.structs.replace(one, value=kept.refined(one.name, feature, one.value, current, 0, 1))
        for one in found.statistics
    ]
    return msgspec.structs.replace(
        found,
        causes=in_words(feature, reference.of(feature), current, kept.both(feature, current, 0, 1), Names()),
        summary=_summary(after),
        reference_summary=_summary(before),
        statistics=refined,
    )


def _summary(found: Summary | None) -> ValueSummary | None:
    if found is None:
        return None
    mean, deviation, low, high = (
        value if math.isfinite(value) else None for value in (found.mean, found.deviation, found.low, found.high)
    )
    return ValueSummary(found.values, mean, deviation, low, high)


def _statistics(
    reference: Binned, feature: FeatureBins, current: Integers, settings: MonitorSettings
) -> list[Statistic]:
    before = reference.of(feature)
    found = []
    for name in statistics.statistics_for(feature):
        value = statistics.statistic(name, feature, reference.groups[feature.name], before, current)
        scale = float(statistics.scale(name, before, current[None, :])[0])
        threshold = statistics.thresholds(name, settings)[0] * scale
        found.append(Statistic(name, value.value, value.noise_floor, threshold, value.why, value.p_value))
    rows, held = max(1, int(current.sum())), max(1, int(before.sum()))
    missing = feature.missing_from
    found.append(Statistic("missing", float(current[missing:].sum()) / rows if current.sum() else None))
    found.append(Statistic("missing_reference", float(before[missing:].sum()) / held))
    return found


def _bars(
    feature: FeatureBins, before: Integers, current: Integers, bars: int
) -> tuple[list[str], Integers, list[tuple[float | None, float | None]]]:
    """(labels, slot → bar, edges of numeric bars): neighbouring numeric bins merged to equal shares of the reference,
    categories cut."""
    names = display_labels(feature)
    groups = np.zeros(feature.width, np.int64)
    labels: list[str] = []
    edges: list[tuple[float | None, float | None]] = []
    if feature.kind == "categorical":
        order = np.argsort(-(before[: feature.bins] + current[: feature.bins]), kind="stable")
        kept = order[: bars - 1]
        groups[:] = len(kept)
        groups[kept] = np.arange(len(kept))
        labels = [names[slot] for slot in kept] + ["(other)"]
    else:
        # The bins are quantiles of the reference: merging equal numbers of them gives bars of equal shares.
        inner = min(bars, feature.bins)
        cut = np.arange(feature.bins) * inner // feature.bins
        groups[1 : feature.bins + 1] = cut + 1
        groups[feature.bins + 1] = inner + 1
        labels.append(names[0])
        edges.append((None, float(feature.edges[0])))
        for bar in range(inner):
            first, last = np.flatnonzero(cut == bar)[[0, -1]]
            low, high = feature.edges[first], feature.edges[last + 1]
            labels.append(f"{low:.4g}" if low == high else f"{low:.4g} … {high:.4g}")
            edges.append((float(low), float(high)))
        labels.append(names[feature.bins + 1])
        edges.append((float(feature.edges[-1]), None))
    if (before[feature.missing_from :].sum() + current[feature.missing_from :].sum()) > 0:
        labels.append("(missing)")
        groups[feature.missing_from :] = len(labels) - 1
        if edges:
            edges.append((None, None))
    return labels, groups, edges


def _shares(groups: Integers, counted: Integers, bars: int) -> list[float]:
    total = max(1, int(counted.sum()))
    # Slots without a bar of their own hold nothing; they fall to the last one.
    return (np.bincount(np.minimum(groups, bars - 1), counted, bars) / total).tolist()  # type: ignore[no-any-return]
