"""From the monitor's wire types to what its panes draw."""

from __future__ import annotations

from console.text import clean, number, share, when
from console.widgets.bars import BarsData
from console.widgets.chart import ChartData, ChartMark, Series
from console.widgets.chart_draw import Threshold
from console.widgets.heatmap import HeatmapData, HeatmapMark
from store import protocol
from store.protocol import Distribution, Performance, Statistic

#: Statistics that the distribution pane tells, the others stay with `drift` listings.
TOLD = 4


def no_heatmap(why: str) -> HeatmapData:
    """An empty heat map that says why."""
    return HeatmapData(title="drift", why=why)


def heatmap_data(drift: protocol.Heatmap) -> HeatmapData:
    """The heat map's own data; a revision is marked R, an alert !."""
    return HeatmapData(
        features=tuple(drift.features),
        starts=tuple(drift.starts),
        window_seconds=float(drift.window_seconds),
        values=tuple(tuple(row) for row in drift.values),
        noise=tuple(tuple(row) for row in drift.noise),
        warn=drift.warn,
        alarm=drift.alarm,
        marks=tuple(HeatmapMark(mark.at, _letter(mark)) for mark in drift.marks),
        rows=tuple(drift.rows),
        statistic=drift.statistic,
        title=f"drift ({drift.statistic}) by feature and window, worst first",
        why=drift.why,
    )


def window_end(drift: protocol.Heatmap, start: float) -> float:
    """Where the window that begins at `start` ends: calendar windows have no fixed width."""
    following = [other for other in drift.starts if other > start]
    return min(following, default=start + drift.window_seconds)


def bars_data(distribution: Distribution) -> BarsData:
    """Reference and current side by side, with what the statistics say."""
    span = ""
    if distribution.since is not None:
        span = f", {when(distribution.since)}"
    return BarsData(
        labels=tuple(clean(label, 40) for label in distribution.labels),
        reference=tuple(distribution.reference),
        current=tuple(distribution.current),
        ordered=distribution.kind == "numeric",
        title=clean(f"{distribution.feature} against the reference of version {distribution.version}{span}", 110),
        reference_rows=distribution.reference_rows,
        rows=distribution.rows,
        facts=_facts(distribution.statistics),
        why=distribution.why,
    )


def _facts(statistics: list[Statistic]) -> tuple[tuple[str, str], ...]:
    told = [_statistic(one) for one in statistics if not one.name.startswith("missing")][:TOLD]
    missing = {one.name: one.value for one in statistics if one.name.startswith("missing")}
    if any(missing.values()):
        told.append(
            (f"missing {share(missing.get('missing'))}, in the reference {share(missing.get('missing_reference'))}", "")
        )
    return tuple(told)


def _statistic(statistic: Statistic) -> tuple[str, str]:
    if statistic.value is None:
        return f"{statistic.name} cannot be computed: {clean(statistic.why, 60)}", ""
    text = f"{statistic.name} {number(statistic.value)}"
    limits = []
    if statistic.noise_floor is not None:
        limits.append(f"noise up to {number(statistic.noise_floor)}")
    if statistic.threshold is not None:
        limits.append(f"alarm at {number(statistic.threshold)}")
    over = statistic.threshold is not None and statistic.value >= statistic.threshold
    quiet = statistic.noise_floor is not None and statistic.value < statistic.noise_floor
    tone = "critical" if over else "ok" if quiet else ""
    return f"{text} ({', '.join(limits)})" if limits else text, tone


def metric_names(performance: Performance) -> list[str]:
    """The metrics that there are lines for, in the order they came."""
    return list(dict.fromkeys(line.metric for line in performance.lines))


def performance_chart(performance: Performance, metric: str, several: bool) -> ChartData:
    """One metric over the windows, realised and estimated, with its reference, revisions and alerts."""
    lines = [line for line in performance.lines if line.metric == metric]
    series = []
    for line in lines:
        label = " ".join(
            part for part in (line.metric, line.kind if line.kind != "realised" else "", _of(line)) if part
        )
        points = tuple(zip(performance.starts, line.values, strict=True))
        series.append(Series(clean(label, 30), points))
    references = dict.fromkeys(line.reference for line in lines if line.reference is not None)
    labelled, rows = sum(performance.labelled), sum(performance.rows)
    title = f"{metric or 'performance'} over time"
    if rows:
        title += f", {number(labelled)} of {number(rows)} labelled"
    if several:
        title += " (s: next metric)"
    return ChartData(
        series=tuple(series),
        marks=tuple(ChartMark(mark.at, _letter(mark)) for mark in performance.marks),
        thresholds=tuple(Threshold(reference, "reference") for reference in references),
        title=title,
        why=performance.why or "no labels yet: they come after the predictions",
    )


def _of(line: protocol.PerformanceLine) -> str:
    return f"v{line.version}" if line.version else ""


def _letter(mark: protocol.Mark) -> str:
    return "R" if mark.kind == "revision" else "!"
