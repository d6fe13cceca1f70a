"""`quarterdeck drift`: any two files, folders or globs compared, with no store and no agent."""

from __future__ import annotations

import sys

import click

from console.commands import output
from console.commands.group import json_option
from store.protocol import Column, ComparedFeature, DriftReport, DriftRequest, ExitCode

_PICTURE = 12


@click.command()
@click.argument("current")
@click.option("--reference", required=True, metavar="REFERENCE", help="What CURRENT is compared with.")
@click.option("--features", multiple=True, metavar="NAME,…", help="Only these columns; globs, repeatable.")
@click.option("--statistic", default="psi", show_default=True, metavar="NAME", help="By which is judged and sorted.")
@click.option("--preset", default="", metavar="NAME", help="Judge as evidently, nannyml, sagemaker, vertex or whylogs.")
@click.option("--engine", type=click.Choice(["dask"]), default=None, help="Let a cluster count; it must see the files.")
@click.option("--scheduler", default="", metavar="tcp://…", help="The cluster's Dask scheduler (extra dask).")
@click.option("--fail-on-drift", is_flag=True, help="Exit with 1 when a feature drifted or is missing.")
@json_option
def drift(
    current: str,
    reference: str,
    features: tuple[str, ...],
    statistic: str,
    preset: str,
    engine: str | None,
    scheduler: str,
    fail_on_drift: bool,
    as_json: bool,
) -> int:
    """Compare two files feature by feature; needs no store.

    CURRENT and REFERENCE are Parquet, CSV or JSON lines files, folders of them, globs, or URLs that fsspec reads. A
    feature has drifted when its change passes the threshold beyond the noise of samples of these sizes, and is
    significant among all features.
    """
    from console import comparison

    chosen = [name.strip() for names in features for name in names.split(",") if name.strip()]
    request = DriftRequest(
        current, reference, statistic, chosen, preset, engine or ("dask" if scheduler else ""), scheduler
    )
    progress = _Progress(shown=not as_json and output.redraws(sys.stderr))
    try:
        report = comparison.ask(request, progress.say)
    finally:
        progress.clear()
    if as_json:
        print_rows(report)
    else:
        print_report(report)
    return int(ExitCode.REFUSED) if fail_on_drift and drifted(report) else int(ExitCode.DONE)


def drifted(report: DriftReport) -> bool:
    """The verdict on the whole: the preset's where one was asked for, else whether any alarm fired."""
    if report.preset:
        return bool(report.preset_drifted)
    return any(feature.alarm for feature in report.features)


class _Progress:
    """A line on the terminal that is rewritten, and gone in the end."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown
        self._written = False

    def say(self, done: int, parts: int) -> None:
        if self._shown and parts > 1:
            print(f"\rcounted {done:,} of {parts:,} parts", end="", file=sys.stderr, flush=True)
            self._written = True

    def clear(self) -> None:
        if self._written:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


# --- for programs ----------------------------------------------------------------------------------------


def print_rows(report: DriftReport) -> None:
    """A JSON array: a row a feature and statistic. `alarm` is null where a statistic is not what was judged by."""
    rows = _rows(report)
    print("[\n" + ",\n".join(map(output.json_text, rows)) + "\n]" if rows else "[]")


def _rows(report: DriftReport) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for feature in report.features:
        for value in feature.statistics:
            judged = value.statistic == feature.statistic
            alarm = feature.alarm if judged else value.drifted
            rows.append(
                {
                    **_subject(feature.feature),
                    "statistic": value.statistic,
                    "value": value.value,
                    "noise_floor": value.noise_floor,
                    "threshold": value.threshold,
                    "reference_rows": feature.reference_rows,
                    "rows": feature.rows,
                    "alarm": alarm,
                    "p_value": feature.p_value if judged else value.p_value,
                    "q_value": feature.q_value if judged else None,
                    "severity": feature.severity if judged else None,
                    "guarantee": feature.guarantee if judged else None,
                    "why": feature.why or value.why,
                    "notes": feature.notes,
                }
            )
    return rows


def _subject(feature: str) -> dict[str, object]:
    """The keys of a drift row that belong to a store: there is none here."""
    return {"deployment": None, "version": None, "feature": feature, "window_start": None, "window_end": None}


# --- for people ------------------------------------------------------------------------------------------


def print_report(report: DriftReport) -> None:
    """The table, what else was odd, and the verdict in a line."""
    from console import text

    columns, cells = _table(report)
    print("\n".join(output.table_lines(columns, cells, output.terminal_width())))
    print()
    for note in _notes(report):
        print(text.clean(note, 600))
    print(_verdict(report))


def _table(report: DriftReport) -> tuple[list[Column], list[list[object]]]:
    name = report.features[0].statistic if report.features else "value"
    same = all(feature.statistic == name for feature in report.features)
    columns = [
        Column("feature", priority=0),
        Column("statistic", priority=6 if same else 1),
        Column("value", "number", title=name if same else "value", priority=0),
        Column("noise_floor", "number", title="noise", priority=2),
        Column("threshold", "number", title="limit", priority=3),
        Column("verdict", priority=0),
        Column("reference", priority=1),
        Column("current", priority=1),
        Column("reference_mean", "number", title="mean was", priority=5),
        Column("mean", "number", title="is", priority=5),
    ]
    return columns, [_line(feature) for feature in report.features]


def _line(feature: ComparedFeature) -> list[object]:
    from console.widgets.sparkline import sparkline

    high = max([*feature.reference_shape, *feature.shape], default=1.0) or 1.0
    shapes = [sparkline(shape, _PICTURE, 0.0, high) for shape in (feature.reference_shape, feature.shape)]
    return [
        feature.feature,
        feature.statistic,
        _rounded(feature.value),
        _rounded(feature.noise_floor),
        _rounded(feature.threshold),
        _word(feature),
        shapes[0],
        shapes[1] if feature.rows else "",
        feature.reference_mean,
        feature.mean,
    ]


def _word(feature: ComparedFeature) -> str:
    """The verdict with its glyph: colour is never the only signal, and a pipe has none."""
    from console.glyphs import glyphs

    if feature.alarm and not feature.rows and feature.value is None:
        return f"{glyphs().critical} missing"
    if feature.alarm:
        return f"{glyphs().critical if feature.severity == 'critical' else glyphs().warning} drifted"
    if feature.value is None:
        return f"{glyphs().unknown} unknown"
    return f"{glyphs().ok} steady"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4) if abs(value) < 1000 else value


def _notes(report: DriftReport) -> list[str]:
    notes = [f"{feature.feature}: {note}" for feature in report.features for note in feature.notes]
    notes += [f"{feature.feature}: {feature.why}" for feature in report.features if feature.why]
    notes += [f"{name}: {why}" for name, why in report.left_out.items()]
    return notes + report.notes


def _verdict(report: DriftReport) -> str:
    from console import text

    rows = f"{report.rows:,} rows against {report.reference_rows:,}"
    if report.preset:
        share = text.share(report.preset_share)
        word = "drifted" if report.preset_drifted else "has not drifted"
        return f"By the preset {report.preset} the data {word} ({share} of the features did): {rows}."
    found = [text.clean(feature.feature, 40) for feature in report.features if feature.alarm]
    many = f"{len(found)} of {len(report.features)} features drifted"
    if not found:
        return f"{many}: {rows}."
    more = f" and {len(found) - 8} more" if len(found) > 8 else ""
    return f"{many}, {', '.join(found[:8])}{more}: {rows}.\nThe guarantee: {report.guarantee}."
