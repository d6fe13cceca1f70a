"""`show performance MODEL@ENV`: how far labels have come, how late they come, and what is known window by window."""

from __future__ import annotations

import duckdb

from store.monitor.performance import DEFAULT_LINES, METRICS
from store.monitor.performance_reading import performance_over_time
from store.protocol import (
    Cell,
    Column,
    ExitCode,
    Field,
    Kind,
    LabelDelays,
    Performance,
    PerformanceParams,
    Refusal,
    Section,
    ShowParams,
)
from store.settings import MonitorSettings

WINDOWS = 30
_TOLD = (0.5, 0.9, 0.99)


def show_performance(
    connection: duckdb.DuckDBPyConnection, params: ShowParams, settings: MonitorSettings
) -> list[Section]:
    """The last windows of `[monitor] alert_window`, newest first. Raises `Refusal` without predictions."""
    asked = PerformanceParams(params.name, window=settings.alert_window, at=params.at, count=WINDOWS)
    found = performance_over_time(connection, asked, settings)
    if not found.starts:
        raise Refusal(ExitCode.USAGE, found.why, "See `quarterdeck ls performance`.")
    return [Section("labels", _labels(found)), _windows(found)]


def _labels(found: Performance) -> list[Field]:
    rows, labelled = sum(found.rows), sum(found.labelled)
    fields = [Field("rows", rows, "number"), Field("labelled", labelled / rows if rows else None, "share")]
    if found.frontier is not None:
        fields.append(Field("complete before", found.frontier, "time"))
    return [*fields, *_delays(found.delays)] if found.delays is not None else fields


def _delays(delays: LabelDelays) -> list[Field]:
    fields = []
    if delays.final_share is not None:
        fields.append(Field("ever labelled", delays.final_share, "share"))
    within = dict(zip(delays.shares, delays.seconds, strict=False))
    fields += [Field(f"{share:.0%} within", within[share], "duration") for share in _TOLD if share in within]
    counts = {"without a time": delays.unknown, "dated before their prediction": delays.early}
    return [*fields, *(Field(label, count, "number") for label, count in counts.items() if count)]


def _windows(found: Performance) -> Section:
    task = next(task for task, metrics in METRICS.items() if list(metrics) == found.metrics)
    shown: list[tuple[str, list[float | None]]] = []
    for metric in DEFAULT_LINES[task]:
        for kind in ("realised", "estimated"):
            line = next(
                (line for line in found.lines if (line.metric, line.kind, line.version) == (metric, kind, "")), None
            )
            if line is not None:
                shown.append((metric if kind == "realised" else f"{metric} estimated", list(line.values)))
    number: Kind = "number"
    share: Kind = "share"
    known: list[tuple[str, Kind]] = [
        ("window_start", "time"),
        ("rows", number),
        ("labelled", share),
        ("expected", share),
        ("maturity", "text"),
    ]
    columns = [Column(name, kind) for name, kind in [*known, *((name, number) for name, _ in shown)]]
    rows: list[list[Cell]] = []
    for place in reversed(range(len(found.starts))):
        held = found.rows[place]
        rows.append(
            [
                found.starts[place],
                held,
                found.labelled[place] / held if held else None,
                found.expected[place] if found.expected else None,
                found.maturity[place] if found.maturity else "",
                *(values[place] for _, values in shown),
            ]
        )
    return Section("windows", columns=columns, rows=rows)
