"""From the monitor's drift answers to what its panes draw."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from console.glyphs import glyphs
from console.text import clean, middle, number, share, when
from console.widgets.bars import BarsData, folded
from console.widgets.chart_data import ChartData, ChartMark, Series
from console.widgets.figures import FiguresData, Heading, verdict
from console.widgets.heatmap_data import HeatmapData, HeatmapMark, severity
from store import protocol
from store.protocol import NOT_JUDGED, Distribution, Page, Statistic, ValueSummary, not_judged_text, reason_words

#: Statistics that the distribution pane tells; the feature's own view has all.
TOLD = 2
#: New categories that are told by name.
NAMED = 5
#: Bins of a number that changes are told of.
CHANGED_BINS = 16
#: A curve over values so many times apart is drawn with logarithms.
_FAR_APART = 30.0

STATISTICS: dict[str, str] = {
    "psi": "population stability index",
    "js": "Jensen-Shannon distance",
    "js_divergence": "Jensen-Shannon divergence",
    "hellinger": "Hellinger distance",
    "tv": "total variation",
    "kl": "Kullback-Leibler divergence",
    "chi2": "chi-square",
    "linf": "largest change of a share",
    "ks": "Kolmogorov-Smirnov",
    "wasserstein": "Wasserstein-1, in standard deviations",
    "cvm": "Cramér-von Mises",
    "mean_change": "change of the mean, in standard deviations",
    "median_change": "change of the median, in standard deviations",
    "spread_change": "change of the spread",
    "below_range": "share below the reference's range",
    "above_range": "share above the reference's range",
    "new_categories": "share of new categories",
    "vanished_categories": "share of vanished categories",
}


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
        alarms=tuple(tuple(row) for row in drift.alarms),
        reasons=tuple(tuple(reason_words(reason) if reason else "" for reason in row) for row in drift.reasons),
        marks=tuple(HeatmapMark(mark.at, letter(mark)) for mark in drift.marks),
        rows=tuple(drift.rows),
        versions=tuple(drift.versions),
        importance=tuple(drift.importance),
        relevance=tuple(drift.relevance),
        basis=drift.relevance_basis,
        statistic=drift.statistic,
        title=f"drift ({drift.statistic})",
        why=drift.why,
    )


def window_end(drift: protocol.Heatmap, start: float) -> float:
    """Where the window that begins at `start` ends: calendar windows have no fixed width."""
    following = [other for other in drift.starts if other > start]
    return min(following, default=start + drift.window_seconds)


def not_judged_in(drift: protocol.Heatmap, start: float) -> str:
    """How many features were not judged in the window that begins at `start`, and why; "" where all were."""
    if start not in drift.starts or not drift.reasons:
        return ""
    window = drift.starts.index(start)
    reasons = Counter(row[window] for row in drift.reasons if row[window])
    pairs = zip(drift.reasons, drift.values, strict=True)
    known = sum(1 for row, values in pairs if row[window] or values[window] is not None)
    return not_judged_text(reasons, known)


def letter(mark: protocol.Mark) -> str:
    """What a mark is drawn as."""
    return "R" if mark.kind == "revision" else "!"


# --- distributions -----------------------------------------------------------------------------------------


def bars_data(distribution: Distribution, chosen: str = "psi") -> BarsData:
    """Reference and current side by side, with what the statistics say, the chosen one first."""
    # Where the line is narrow rather the reference's name is cut than the window's.
    span = f"{when(distribution.since)}, " if distribution.since is not None else ""
    named = f"{middle(distribution.feature, 36)}, {span}against the reference of version {distribution.version}"
    return BarsData(
        labels=tuple(clean(label, 40) for label in distribution.labels),
        reference=tuple(distribution.reference),
        current=tuple(distribution.current),
        ordered=distribution.kind == "numeric",
        edges=tuple((low, high) for low, high in distribution.edges),
        title=clean(named, 110),
        reference_rows=distribution.reference_rows,
        rows=distribution.rows,
        facts=_facts(distribution, chosen),
        why=distribution.why,
    )


def _facts(distribution: Distribution, chosen: str) -> tuple[tuple[str, str], ...]:
    statistics = sorted(distribution.statistics, key=lambda one: one.name != chosen)
    told = [_statistic(one) for one in statistics if not one.name.startswith("missing")][:TOLD]
    if distribution.reason:
        # A value that nothing can be said of is neither well nor ill.
        told = [(f"{glyphs().unjudged} {NOT_JUDGED}: {reason_words(distribution.reason)}", "unjudged")] + [
            (words, "") for words, _ in told
        ]
    missing = {one.name: one.value for one in statistics if one.name.startswith("missing")}
    if any(missing.values()):
        told.append(
            (f"missing {share(missing.get('missing'))}, in the reference {share(missing.get('missing_reference'))}", "")
        )
    if distribution.new:
        told.append((said_of_values(distribution), ""))
    beyond = [level_of(one.value, one.noise_floor, one.threshold) == 2 for one in statistics if one.name == chosen]
    if distribution.causes and any(beyond):
        # Of what is within the threshold the causes may be chance.
        told.insert(0, (f"changed: {'; '.join(clean(cause, 200) for cause in distribution.causes)}", ""))
    return tuple(told)


def said_of_values(distribution: Distribution) -> str:
    """What is known of the values beside their shares: moments of numbers, names of new categories; "" if nothing."""
    if distribution.new:
        total = distribution.new_total
        many = f"{'about ' if distribution.new_estimated else ''}{number(total)}" if total is not None else "some"
        named = ", ".join(f"{clean(one.name, 30)} {number(one.rows)}" for one in distribution.new[:NAMED])
        more = f" {glyphs().ellipsis}" if len(distribution.new) > NAMED else ""
        return f"{many} new, with rows: {named}{more}"
    now, before = distribution.summary, distribution.reference_summary
    if now is None:
        return ""
    if before is None:
        return f"mean {number(now.mean)}, deviation {number(now.deviation)}, range {_range(now)}"
    told = [("mean", now.mean, before.mean), ("deviation", now.deviation, before.deviation)]
    said = ", ".join(f"{name} {number(mine)} ({number(other)})" for name, mine, other in told)
    return f"{said}, range {_range(now)} ({_range(before)}); reference in brackets"


def _range(summary: ValueSummary) -> str:
    return f"{number(summary.low)} {glyphs().ellipsis} {number(summary.high)}"


def _statistic(statistic: Statistic) -> tuple[str, str]:
    if statistic.value is None:
        return f"{statistic.name} cannot be computed: {clean(statistic.why, 60)}", ""
    text = f"{statistic.name} {number(statistic.value)}"
    limits = []
    if statistic.noise_floor is not None:
        limits.append(f"noise up to {number(statistic.noise_floor)}")
    if statistic.threshold is not None:
        limits.append(f"threshold {number(statistic.threshold)} beyond it")
    level = level_of(statistic.value, statistic.noise_floor, statistic.threshold)
    tone = "warning" if level == 2 else "ok" if level == 0 else ""
    return f"{text} ({', '.join(limits)})" if limits else text, tone


def level_of(value: float | None, noise: float | None, threshold: float | None) -> int | None:
    """0 within the noise, 1 beyond it, 2 beyond the threshold too; None without a value."""
    level = severity(value, noise, math.inf if threshold is None else threshold, math.inf)
    return None if level is None else min(level, 2)


def changes(distribution: Distribution) -> FiguresData:
    """The bins or categories whose share changed most, greatest change first."""
    rows = folded(bars_data(distribution), CHANGED_BINS if distribution.kind == "numeric" else 10_000)
    rows.sort(key=lambda row: -abs(row[2] - row[1]))
    shown = []
    for label, before, now in rows:
        times = _times(now / before) if before > 0 and now > 0 else "new" if now > 0 else "gone"
        shown.append(
            (
                (" ".join(label.split()), ""),
                (share(before), "muted"),
                (share(now), ""),
                (f"{(now - before) * 100:+.1f} pt", ""),
                (times if now != before else "", "muted"),
            )
        )
    what = "bins" if distribution.kind == "numeric" else "categories"
    headings = (
        Heading(what.removesuffix("s") if what == "bins" else "category", stretch=True),
        Heading("reference", right=True),
        Heading("current", right=True),
        Heading("change", right=True),
        Heading("", right=True, priority=1),
    )
    title, note = f"{what} that changed most", said_of_values(distribution)
    return FiguresData(title, headings, tuple(shown), note, distribution.why or "no values")


def _times(ratio: float) -> str:
    return f"{ratio:.3g}{glyphs().times}" if ratio < 1000 else f"{number(round(ratio))}{glyphs().times}"


# --- one feature over time -----------------------------------------------------------------------------------


def series_chart(drift: protocol.Heatmap, feature: str, start: float | None) -> ChartData:
    """The statistic of one feature over the windows, with its noise floor and what lies as far beyond it as the two
    thresholds; the window that is looked at is marked."""
    if feature not in drift.features:
        return ChartData(title=drift.statistic, why=drift.why or f"{drift.statistic} is not for {clean(feature, 40)}")
    row = drift.features.index(feature)
    values = [abs(value) if value is not None else None for value in drift.values[row]]
    noise = drift.noise[row] if drift.noise else [None] * len(values)

    def beyond(limit: float) -> tuple[tuple[float, float | None], ...]:
        pairs = zip(drift.starts, noise, values, strict=True)
        return tuple((at, None if value is None else limit + (floor or 0.0)) for at, floor, value in pairs)

    known = [value for value in values if value]
    series = [Series(drift.statistic, tuple(zip(drift.starts, values, strict=True)))]
    if any(floor is not None for floor in noise):
        series.append(Series("noise", tuple(zip(drift.starts, noise, strict=True)), "dashes", "noise"))
    series.append(Series("warn", beyond(drift.warn), "dashes", "threshold"))
    series.append(Series("alarm", beyond(drift.alarm), "dashes", "threshold"))
    marks = [ChartMark(mark.at, letter(mark)) for mark in drift.marks]
    if start is not None:
        marks.append(ChartMark(start, glyphs().here))
    log = max(known, default=0.0) > _FAR_APART * drift.warn
    return ChartData(
        series=tuple(series),
        marks=tuple(marks),
        title=f"{drift.statistic} over time{', log scale' if log else ''}",
        low=None if log else 0.0,
        log=log,
        why=drift.why or _why_no_value(drift, row),
    )


def _why_no_value(drift: protocol.Heatmap, row: int) -> str:
    """Why a feature has no value in any window."""
    reasons = Counter(reason for reason in drift.reasons[row] if reason) if drift.reasons else Counter()
    return f"{NOT_JUDGED}: {reason_words(reasons.most_common(1)[0][0])}" if reasons else "no windows yet"


def figures(page: Page, chosen: str) -> FiguresData:
    """Every statistic of a feature in one window, from its rows of the `drift` listing; the chosen one is marked."""
    names = [column.name for column in page.columns]
    headings = (
        Heading("statistic"),
        Heading("value", right=True),
        Heading("noise", right=True),
        Heading("threshold", right=True, priority=1),
        Heading("verdict"),
        Heading("p", right=True, priority=1),
        Heading("holds for", priority=2),
    )
    rows = []
    note = ""
    found = [dict(zip(names, cells, strict=False)) for cells in page.rows]
    order = {name: place for place, name in enumerate(STATISTICS)}
    found.sort(key=lambda row: (row.get("statistic") != chosen, order.get(str(row.get("statistic")), len(order))))
    for row in found:
        value, noise, limit = (_float(row.get(name)) for name in ("value", "noise_floor", "threshold"))
        reason = str(row.get("reason") or "") if row.get("state") == NOT_JUDGED else ""
        # What a statistic is not for is no line.
        if value is None and row.get("why") and reason in ("", "not_for_kind"):
            continue
        level = level_of(value, noise, limit)
        alarm = str(row.get("severity") or "") or ("warning" if row.get("alarm") is True else "")
        said = verdict(3 if alarm == "critical" else 2 if alarm else None if level is None else min(level, 1))
        if not alarm and level == 2:
            said = ("not significant", "")
        if reason:
            said = (f"{glyphs().unjudged} {NOT_JUDGED}", "unjudged")
        name = str(row.get("statistic"))
        guarantee = str(row.get("guarantee") or "")
        if name == chosen:
            verdict_said = f"{NOT_JUDGED}, {reason_words(reason)}" if reason else guarantee or "no alarm"
            causes = f"{row['causes']}; " if row.get("causes") else ""
            note = f"{name}: {causes}{verdict_said}{_matters(row)}"
        rows.append(
            (
                (f"{glyphs().cursor if name == chosen else ' '} {name}", ""),
                (number(value), said[1] if alarm else ""),
                (number(noise), "muted"),
                (number(limit), "muted"),
                said,
                (number(_float(row.get("p_value"))), "muted"),
                ("watch" if "watches" in guarantee else "window" if guarantee else "", "muted"),
            )
        )
    return FiguresData("all statistics", headings, tuple(rows), note, "no rows of this feature in this window")


def _matters(row: Mapping[str, object]) -> str:
    """How much the feature counts for the model, and whether performance went with it."""
    importance, correlation = _float(row.get("importance")), _float(row.get("correlation"))
    said = [f"importance {share(importance)}"] if importance is not None else []
    if correlation is not None:
        said.append(f"correlation with worse performance {correlation:+.2f}")
    return "".join(f"; {part}" for part in said)


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
