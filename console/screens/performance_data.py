"""From performance answers to charts and tables: what was measured, what is estimated, what cannot be known yet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from console.glyphs import glyphs
from console.screens.monitor_data import letter
from console.text import clean, duration, number, share, when
from console.widgets.chart_data import ChartData, ChartMark, Hatch, Series, Strip, Threshold
from console.widgets.figures import FiguresData, Heading
from console.widgets.sparkline import sparkline
from store.protocol import LabelDelays, Maturity, Performance, PerformanceLine

#: Metrics of which less is better.
LOSSES = frozenset({"log_loss", "brier", "ece", "mae", "rmse", "bias"})
#: Less than this share of the labels that are expected by now is no delay as usual.
OVERDUE = 0.5
#: Of windows of which so many labels should be there it is told.
DUE = 0.5
_SPARK = 24
_BAR = 24
#: Lines of the table of delays.
_DELAY_LINES = 10


def metric_names(performance: Performance) -> list[str]:
    """The metrics that can be looked at."""
    return list(dict.fromkeys([*performance.metrics, *(line.metric for line in performance.lines)]))


def shown_metric(performance: Performance, wanted: str) -> str:
    """The metric that is looked at: the wanted one when there are lines of it, else the first."""
    there = [line.metric for line in performance.lines]
    return wanted if wanted in there else there[0] if there else ""


def performance_chart(performance: Performance, wanted: str) -> ChartData:
    """One metric over the windows. Where (nearly) all labels have come it is a line, where only early ones have it is
    crosses, an estimate is points with its band beyond the frontier, and what cannot be known yet is hatched."""
    metric = shown_metric(performance, wanted)
    lines = [line for line in performance.lines if line.metric == metric and not line.slice]
    series: list[Series] = []
    band: list[tuple[float, float | None, float | None]] = []
    for line in _apart([line for line in lines if line.kind == "realised"]):
        name = f"v{clean(line.version, 12)}" if line.version else "realised"
        series.append(Series(name, _points(performance, line.values, ("realised",))))
        early = _points(performance, line.values, ("partial",))
        if any(value is not None for _, value in early):
            series.append(Series(f"{name} early labels", early, "crosses"))
    for line in lines:
        if line.kind == "estimated" and not line.version and any(value is not None for value in line.values):
            series.append(Series("estimated", tuple(zip(performance.starts, line.values, strict=True)), "dots"))
            if line.lower and line.upper:
                band += zip(performance.starts, *_beyond(performance, line), strict=True)
    references = dict.fromkeys(line.reference for line in lines if line.reference is not None and not line.version)
    marks = [ChartMark(mark.at, letter(mark)) for mark in performance.marks]
    reached = frontier(performance)
    if reached is not None and performance.starts:
        marks.append(ChartMark(reached, "F"))
    return ChartData(
        series=tuple(series),
        marks=tuple(marks),
        thresholds=tuple(Threshold(reference, "reference") for reference in references),
        title=metric or "performance",
        why=performance.why or _why(lines) or "no labels yet: they come after the predictions",
        band=tuple(band),
        hatches=tuple(_unknown(performance)),
        strip=Strip("labels", tuple(zip(performance.starts, labelled_shares(performance), strict=True))),
        whole_span=True,
    )


def _apart(lines: Sequence[PerformanceLine]) -> list[PerformanceLine]:
    """A line for each version where there are several, else the one of whatever served."""
    versions = [line for line in lines if line.version and any(value is not None for value in line.values)]
    return versions if len(versions) > 1 else [line for line in lines if not line.version]


def _points(
    performance: Performance, values: Sequence[float | None], kinds: tuple[str, ...]
) -> tuple[tuple[float, float | None], ...]:
    """The values of the windows that are as mature as `kinds` say; all, where the agent does not tell."""
    mature = matured(performance) or ["realised"] * len(values)
    return tuple(
        (at, value if kind in kinds else None)
        for at, value, kind in zip(performance.starts, values, mature, strict=True)
    )


def _overdue(performance: Performance, place: int) -> bool:
    """Whether labels of a window that should have come have not: less than half of those expected by now are there."""
    expected = performance.expected[place] if place < len(performance.expected) else None
    rows = performance.rows[place]
    return expected is not None and rows > 0 and performance.labelled[place] < OVERDUE * expected * rows


def overdue_since(performance: Performance) -> float | None:
    """Where the windows begin, up to the newest, whose labels should be there and are not; null when none is late.

    The frontier is told by the delays of the labels that came: of labels that stopped coming it knows nothing.
    """
    found = None
    for place in range(len(performance.starts) - 1, -1, -1):
        expected = performance.expected[place] if place < len(performance.expected) else None
        if not performance.rows[place] or expected is None or expected < DUE:
            continue
        if not _overdue(performance, place):
            break
        found = performance.starts[place]
    return found


def frontier(performance: Performance) -> float | None:
    """Event time before which labels are as good as complete: as far as their delay says, and no label is overdue."""
    known = [moment for moment in (performance.frontier, overdue_since(performance)) if moment is not None]
    return min(known, default=None)


def matured(performance: Performance) -> list[Maturity]:
    """How far the labels of each window have come; where most are overdue the few that came are early ones."""
    return [
        "partial" if kind == "realised" and _overdue(performance, place) else kind
        for place, kind in enumerate(performance.maturity)
    ]


def _beyond(performance: Performance, line: PerformanceLine) -> tuple[list[float | None], list[float | None]]:
    """The band where labels do not yet say what is so."""
    mature = matured(performance) or ["estimated"] * len(line.values)
    there = [kind != "realised" for kind in mature]
    low = [value if shown else None for value, shown in zip(line.lower, there, strict=True)]
    high = [value if shown else None for value, shown in zip(line.upper, there, strict=True)]
    return low, high


def _unknown(performance: Performance) -> list[Hatch]:
    """The runs of windows whose performance cannot be known yet."""
    found = []
    numbered = enumerate(performance.maturity)
    for kind, run in groupby(numbered, key=lambda pair: pair[1]):
        places = [place for place, _ in run]
        if kind == "unknown":
            found.append(Hatch(performance.starts[places[0]], performance.starts[places[-1]], "not yet knowable"))
    return found


def labelled_shares(performance: Performance) -> list[float | None]:
    """The share of each window's predictions that has a label."""
    pairs = zip(performance.rows, performance.labelled, strict=True)
    return [labelled / rows if rows else None for rows, labelled in pairs]


def _why(lines: Sequence[PerformanceLine]) -> str:
    return next((line.why for line in lines if line.why), "")


def frontier_line(performance: Performance) -> list[str]:
    """How far labels have come, in parts that a narrow line may drop from the end."""
    rows, labelled = sum(performance.rows), sum(performance.labelled)
    parts = [f"{share(labelled / rows)} of {number(rows)} labelled"] if rows else []
    late = overdue_since(performance)
    if late is not None:
        parts.append(f"overdue since {when(late)} (F)")
    elif performance.frontier is not None:
        parts.append(f"complete before {when(performance.frontier)} (F)")
    delays = performance.delays
    if delays is not None and delays.seconds:
        parts.append(delay_said(delays))
        if delays.final_share is not None and delays.final_share < 0.995:
            parts.append(f"{share(delays.final_share)} ever come")
    return parts


def delay_said(delays: LabelDelays) -> str:
    """The delay within which half, and most, of the labels come."""
    known = dict(zip(delays.shares, delays.seconds, strict=True))
    told = [part for part in (0.5, 0.9, 0.95) if part in known][:2] or delays.shares[-1:]
    return ", ".join(f"{share(part)} in {duration(known[part])}" for part in told)


# --- tables --------------------------------------------------------------------------------------------------


def windows_table(performance: Performance, metric: str) -> FiguresData:
    """The windows, newest first: what was measured and estimated, and how much of it is known."""
    realised = _line_of(performance, metric, "realised")
    estimated = _line_of(performance, metric, "estimated")
    reference = realised.reference if realised is not None else None
    headings = (
        Heading("window"),
        Heading("realised", right=True),
        Heading("estimated", right=True),
        Heading("95 % band", right=True, priority=2),
        Heading("reference", right=True, priority=1),
        Heading("rows", right=True),
        Heading("labelled", right=True),
        Heading("expected", right=True, priority=3),
        Heading("known", priority=1),
    )
    rows = []
    shares = labelled_shares(performance)
    kinds: list[Maturity] = matured(performance)
    for place in range(len(performance.starts) - 1, -1, -1):
        if not performance.rows[place]:
            continue
        low, high = (_at(estimated.lower, place), _at(estimated.upper, place)) if estimated else (None, None)
        kind = kinds[place] if place < len(kinds) else ""
        late = _overdue(performance, place) and (_at(performance.expected, place) or 0.0) >= DUE
        expected = performance.expected[place] if place < len(performance.expected) else None
        rows.append(
            (
                (when(performance.starts[place]), ""),
                _fixed(_at(realised.values, place) if realised else None, kind),
                (_decimals(_at(estimated.values, place) if estimated else None), "muted"),
                (f"{_decimals(low)} {glyphs().ellipsis} {_decimals(high)}" if low is not None else "", "muted"),
                (_decimals(reference), "muted"),
                (number(performance.rows[place]), ""),
                (share(shares[place]), ""),
                (share(expected) if expected is not None else "", "muted"),
                ("overdue", "warning") if late else (kind, "warning" if kind in ("partial", "unknown") else "muted"),
            )
        )
    return FiguresData(f"{metric} by window", headings, tuple(rows), why=performance.why or "no windows yet")


def slices_table(performance: Performance, metric: str, column: str) -> FiguresData:
    """The metric by the values of a slice column, the worst newest value first."""
    if not column:
        held = ", ".join(clean(name, 30) for name in performance.slices)
        why = f"press L to choose: {held}" if held else "this model names no slices in its model.json"
        return FiguresData("slices", why=why)
    whole = _line_of(performance, metric, "realised")
    lines = [line for line in performance.lines if line.metric == metric and line.slice]
    rows = []
    for line in [*lines, *([whole] if whole is not None else [])]:
        known = [value for value in line.values if value is not None]
        if not known:
            continue
        mean = sum(known) / len(known)
        worst = max(known) if metric in LOSSES else min(known)
        spark = sparkline(line.values, _SPARK, low=min(known), high=max(known))
        rows.append((line.slice or "(all)", known[-1], mean, worst, spark))
    rows.sort(key=lambda row: (row[0] == "(all)", -row[2] if metric in LOSSES else row[2]))
    headings = (
        Heading(clean(column, 24), stretch=True),
        Heading("newest", right=True),
        Heading("mean of windows", right=True),
        Heading("worst", right=True),
        Heading("over time", priority=1),
    )
    shown = tuple(
        ((name, ""), (_decimals(newest), ""), (_decimals(mean), ""), (_decimals(worst), "muted"), (spark, ""))
        for name, newest, mean, worst, spark in rows
    )
    return FiguresData(f"{metric} by {clean(column, 30)}, worst first", headings, shown, why="no labels by this column")


def delays_table(performance: Performance) -> FiguresData:
    """How late labels come."""
    delays = performance.delays
    if delays is None or not delays.labels:
        return FiguresData("label delay", why=(delays.why if delays else "") or "no labels with a time yet")
    most = max((sum(delays.counts[first : last + 1]) for first, last in _runs(delays.counts)), default=0) or 1
    headings = (
        Heading("label comes within", right=True),
        Heading("labels", right=True),
        Heading("share", right=True),
        Heading(""),
    )
    rows = []
    for first, last in _runs(delays.counts):
        count = sum(delays.counts[first : last + 1])
        until = delays.edges[last + 1] if last + 1 < len(delays.edges) else math.inf
        bar = glyphs().full * round(_BAR * count / most) or glyphs().separator
        rows.append(((duration(until), ""), (number(count), ""), (share(count / delays.labels), "muted"), (bar, "")))
    notes = [delay_said(delays)] if delays.seconds else []
    if delays.final_share is not None:
        notes.append(f"{share(delays.final_share)} of predictions ever get one")
    if delays.unknown:
        notes.append(f"{number(delays.unknown)} without a time")
    if delays.early:
        notes.append(f"{number(delays.early)} dated before their prediction")
    return FiguresData("label delay", headings, tuple(rows), note=", ".join(notes))


def _runs(counts: Sequence[int]) -> list[tuple[int, int]]:
    """(first, last) of neighbouring buckets that together make a line, from the first that holds anything."""
    held = [place for place, count in enumerate(counts) if count]
    if not held:
        return []
    width = -(-(held[-1] - held[0] + 1) // _DELAY_LINES)
    return [(first, min(first + width - 1, held[-1])) for first in range(held[0], held[-1] + 1, width)]


def _line_of(performance: Performance, metric: str, kind: str) -> PerformanceLine | None:
    lines = (line for line in performance.lines if line.metric == metric and line.kind == kind)
    return next((line for line in lines if not line.version and not line.slice), None)


def _at(values: Sequence[float | None], place: int) -> float | None:
    return values[place] if place < len(values) else None


def _fixed(value: float | None, kind: str) -> tuple[str, str]:
    return (_decimals(value), "muted" if kind == "partial" else "")


def _decimals(value: float | None) -> str:
    """Four digits after the point line up in a column; great ones as any number."""
    return number(value) if value is None or abs(value) >= 100 else f"{value:.4f}"
