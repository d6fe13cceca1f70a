"""What the screens show of a deployment's drift: the heat map, and the distribution of a feature."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import duckdb
import numpy as np

from store.monitor import counts, statistics
from store.monitor.bins import FeatureBins, Integers, display_labels
from store.monitor.deployments import split
from store.monitor.reference import Reference, load_reference
from store.monitor.scan import DEFAULTS
from store.monitor.spans import marks, span
from store.monitor.windows import window
from store.protocol import (
    Distribution,
    DistributionParams,
    ExitCode,
    Heatmap,
    Refusal,
    SpanParams,
    Statistic,
)
from store.settings import MonitorSettings

MAX_BARS = 200


#: Thresholds of the Jensen-Shannon distance (0.1 is NannyML's), which has no setting yet.
_JS = (0.1, 0.2)


def thresholds(statistic: str, settings: MonitorSettings) -> tuple[float, float]:
    """(warn, alarm) of a statistic. Raises `Refusal` when there is no such statistic."""
    if statistic == "psi":
        return settings.psi_warn, settings.psi_alarm
    if statistic == "js":
        return _JS
    raise Refusal(ExitCode.USAGE, f"No statistic {statistic!r}.", f"One of: {', '.join(statistics.STATISTICS)}")


class DriftRow(NamedTuple):
    """One statistic of one feature in the window that starts at `start`."""

    version: str
    feature: str
    start: int
    found: statistics.Value
    threshold: float
    reference_rows: int
    rows: int
    alarm: bool


def drift(
    connection: duckdb.DuckDBPyConnection, params: SpanParams, settings: MonitorSettings = DEFAULTS
) -> Iterator[DriftRow]:
    """The statistic of every feature in every window that has data, of the version that predicted most in it
    (or of `params.version`). An alarm is above the threshold and its noise floor, on `min_rows` rows at least."""
    alarm = thresholds(params.statistic, settings)[1]
    asked = span(connection, params, settings)
    traffic = counts.traffic(connection, params.deployment, asked.window, asked.since, asked.end, asked.at)
    chosen: dict[str, list[int]] = {}
    for start in asked.starts:
        version = params.version or traffic.main_version(start)
        if version is not None:
            chosen.setdefault(version, []).append(start)
    for version, mine in chosen.items():
        reference = load_reference(connection, split(params.deployment).model, version)
        if reference is None:
            continue
        until, wanted = asked.window.next(mine[-1]), frozenset(mine)
        starts, dense = counts.slot_sums(
            connection, params.deployment, version, reference, asked.window, mine[0], until, asked.at
        )
        mask = np.array([start in wanted for start in starts.tolist()], bool)
        starts, dense = starts[mask], dense[mask]
        for feature in reference.features:
            before = reference.of(feature)
            current = dense[:, feature.offset : feature.offset + feature.width]
            found = statistics.statistics_of(params.statistic, feature, reference.groups[feature.name], before, current)
            for place, start in enumerate(starts.tolist()):
                value, rows = found.at(place), int(current[place].sum())
                over = value.value is not None and value.value > alarm + (value.noise_floor or 0.0)
                yield DriftRow(
                    version,
                    feature.name,
                    start,
                    value,
                    alarm,
                    int(before.sum()),
                    rows,
                    over and rows >= settings.min_rows,
                )


def heatmap(connection: duckdb.DuckDBPyConnection, params: SpanParams, settings: MonitorSettings = DEFAULTS) -> Heatmap:
    """One statistic of each feature in each window, of the version that predicted most in it (or `version`)."""
    warn, alarm = thresholds(params.statistic, settings)
    asked = span(connection, params, settings)
    place = {start: index for index, start in enumerate(asked.starts)}
    values: dict[str, list[float | None]] = {}
    noise: dict[str, list[float | None]] = {}
    for row in drift(connection, params, settings):
        for cells, cell in ((values, row.found.value), (noise, row.found.noise_floor)):
            cells.setdefault(row.feature, [None] * len(place))[place[row.start]] = cell
    # A feature that never had a value (scores without a reference) is no line.
    features = [name for name in values if any(value is not None for value in values[name])]
    features.sort(key=lambda name: (-max(value for value in values[name] if value is not None), name))
    traffic = counts.traffic(connection, params.deployment, asked.window, asked.since, asked.end, asked.at)
    model = split(params.deployment).model
    return Heatmap(
        deployment=params.deployment,
        statistic=params.statistic,
        window_seconds=asked.window.seconds,
        starts=[float(start) for start in asked.starts],
        features=features,
        values=[values[name] for name in features],
        noise=[noise[name] for name in features],
        rows=[traffic.total(start) for start in asked.starts],
        versions=[params.version or traffic.main_version(start) or "" for start in asked.starts],
        warn=warn,
        alarm=alarm,
        marks=marks(connection, params.deployment, asked.since, asked.end, asked.at),
        why=asked.why or ("" if features else f"No version of {model} that predicted here has a reference."),
    )


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
        why = asked.why or f"Version {version or '?'} has no reference."
        return Distribution(
            params.deployment, version, params.feature, "", [], [], [], 0, 0, params.since, params.until, [], why
        )
    feature = reference.by_name.get(params.feature)
    if feature is None:
        raise Refusal(
            ExitCode.USAGE,
            f"Version {version} has no feature {params.feature[:80]!r}.",
            "One of: " + ", ".join(f.name for f in reference.features[:20]),
        )
    _, dense = counts.slot_sums(connection, params.deployment, version, reference, None, since, until, asked.at)
    total = dense[0] if len(dense) else np.zeros(reference.width, np.int64)
    current, before = total[feature.offset : feature.offset + feature.width], reference.of(feature)
    labels, bars = _bars(feature, before, current, max(2, min(params.bars, MAX_BARS)))
    return Distribution(
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
        statistics=_statistics(reference, feature, current, settings),
        why="" if current.sum() else asked.why or "No values of this feature in this span.",
    )


def _statistics(
    reference: Reference, feature: FeatureBins, current: Integers, settings: MonitorSettings
) -> list[Statistic]:
    found = []
    for name in statistics.STATISTICS:
        value = statistics.statistic(name, feature, reference.groups[feature.name], reference.of(feature), current)
        threshold = settings.psi_alarm if name == "psi" else None
        found.append(Statistic(name, value.value, value.noise_floor, threshold, value.why))
    rows, before = max(1, int(current.sum())), max(1, int(reference.of(feature).sum()))
    missing = feature.missing_from
    found.append(Statistic("missing", float(current[missing:].sum()) / rows if current.sum() else None))
    found.append(Statistic("missing_reference", float(reference.of(feature)[missing:].sum()) / before))
    return found


def _bars(feature: FeatureBins, before: Integers, current: Integers, bars: int) -> tuple[list[str], Integers]:
    """(labels, slot → bar): neighbouring numeric bins merged to equal shares of the reference, categories cut."""
    names = display_labels(feature)
    groups = np.zeros(feature.width, np.int64)
    labels: list[str] = []
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
        for bar in range(inner):
            first, last = np.flatnonzero(cut == bar)[[0, -1]]
            low, high = feature.edges[first], feature.edges[last + 1]
            labels.append(f"{low:.4g}" if low == high else f"{low:.4g} … {high:.4g}")
        labels.append(names[feature.bins + 1])
    if (before[feature.missing_from :].sum() + current[feature.missing_from :].sum()) > 0:
        labels.append("(missing)")
        groups[feature.missing_from :] = len(labels) - 1
    return labels, groups


def _shares(groups: Integers, counted: Integers, bars: int) -> list[float]:
    total = max(1, int(counted.sum()))
    # Slots without a bar of their own hold nothing; they fall to the last one.
    return (np.bincount(np.minimum(groups, bars - 1), counted, bars) / total).tolist()  # type: ignore[no-any-return]
