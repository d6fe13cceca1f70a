"""`quarterdeck drift`: any two files, folders or globs compared, with no store and no agent."""

from __future__ import annotations

import sys
from collections import Counter

import click

from console.commands import output
from console.commands.group import json_option
from store.protocol import (
    NOT_JUDGED,
    Column,
    ComparedFeature,
    DriftReport,
    DriftRequest,
    ExitCode,
    not_judged_text,
    reason_words,
)

_PICTURE = 12
#: The reference holds no value of it: there is nothing that it could have been judged by.
_NO_VALUES = "no_reference_values"


@click.command()
@click.argument("current")
@click.option("--reference", required=True, metavar="REFERENCE", help="What CURRENT is compared with.")
@click.option("--features", multiple=True, metavar="NAME,…", help="Only these columns; globs, repeatable.")
@click.option("--statistic", default="psi", show_default=True, metavar="NAME", help="By which is judged and sorted.")
@click.option("--preset", default="", metavar="NAME", help="Judge as evidently, nannyml, sagemaker, vertex or whylogs.")
@click.option("--engine", type=click.Choice(["dask"]), default=None, help="Let a cluster count; it must see the files.")
@click.option("--scheduler", default="", metavar="tcp://…", help="The cluster's Dask scheduler (extra dask).")
@click.option(
    "--fail-on-drift", is_flag=True, help="Exit with 1 when a feature drifted or is missing, 6 when one was not judged."
)
@click.option("--allow-unjudged", is_flag=True, help="Exit with 0 where it would be 6: not everything was judged.")
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
    allow_unjudged: bool,
    as_json: bool,
) -> int:
    """Compare two files feature by feature; needs no store.

    CURRENT and REFERENCE are Parquet, CSV or JSON lines files, folders of them, globs, or URLs that fsspec reads. A
    feature has drifted when its change passes the threshold beyond the noise of samples of these sizes, and is
    significant among all features. One that nothing can be said of is not judged, with the reason; where nothing at
    all was judged, the exit code is 6.
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
    return int(exit_code(report, fail_on_drift, allow_unjudged))


def exit_code(report: DriftReport, fail_on_drift: bool, allow_unjudged: bool = False) -> ExitCode:
    """With `fail_on_drift` 1 for drift, and 6 for a feature that was not judged; always 6 where nothing was judged."""
    if fail_on_drift and drifted(report):
        return ExitCode.REFUSED
    unsure = fail_on_drift and any_expected_unjudged(report)
    return ExitCode.NOT_JUDGED if not allow_unjudged and (unsure or not any_judged(report)) else ExitCode.DONE


def any_judged(report: DriftReport) -> bool:
    """Whether any feature has a verdict."""
    return any(feature.state != NOT_JUDGED for feature in report.features)


def any_expected_unjudged(report: DriftReport) -> bool:
    """Whether a feature was not judged that the reference holds values of, or that was asked for by name."""
    requested = frozenset(report.requested)
    unjudged = [feature for feature in report.features if feature.state == NOT_JUDGED]
    return any(feature.reason != _NO_VALUES or feature.feature in requested for feature in unjudged) or bool(
        requested & report.left_out.keys()
    )


def drifted(report: DriftReport) -> bool:
    """The verdict on the whole: the preset's where one was asked for, else whether any alarm fired. A column that went
    missing is drift whatever a preset says of it."""
    if report.preset:
        return bool(report.preset_drifted) or any(one.alarm and one.reason == "absent" for one in report.features)
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
    """A JSON array: a row a feature and statistic, and one for each column that was left out.

    `alarm` is null where a statistic is not what was judged by; `state` and `reason` are the feature's in all its rows.
    """
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
                    "dropped": feature.dropped,
                    "reference_dropped": feature.reference_dropped,
                    "causes": feature.causes,
                    "state": feature.state,
                    "reason": feature.reason or None,
                    "absent_share": feature.absent_share,
                    "reference_absent_share": feature.reference_absent_share,
                }
            )
    return rows + [_left_out_row(report, name, why) for name, why in report.left_out.items()]


def _left_out_row(report: DriftReport, name: str, why: str) -> dict[str, object]:
    """As the row of a feature, with no value."""
    numbers = ("value", "noise_floor", "threshold", "reference_rows", "rows", "alarm", "p_value", "q_value")
    return {
        **_subject(name),
        "statistic": report.features[0].statistic if report.features else None,
        **dict.fromkeys((*numbers, "severity", "guarantee")),
        "why": why,
        "notes": [],
        "state": "left out",
        "reason": report.left_out_reasons.get(name),
        "absent_share": None,
        "reference_absent_share": None,
    }


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
    for line in _unjudged(report):
        print(line)


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
        *([Column("reason", priority=1)] if any(_reason(one) for one in report.features) else []),
        Column("reference", priority=1),
        Column("current", priority=1),
        Column("reference_mean", "number", title="mean was", priority=5),
        Column("mean", "number", title="is", priority=5),
    ]
    reasons = any(column.name == "reason" for column in columns)
    return columns, [_line(feature, reasons) for feature in report.features]


def _line(feature: ComparedFeature, reasons: bool) -> list[object]:
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
        *([_reason(feature)] if reasons else []),
        shapes[0],
        shapes[1] if feature.rows else "",
        feature.reference_mean,
        feature.mean,
    ]


def _word(feature: ComparedFeature) -> str:
    """The verdict with its glyph: colour is never the only signal, and a pipe has none."""
    from console.glyphs import glyphs

    if feature.alarm and feature.absent_share == 1.0:
        return f"{glyphs().critical} missing"
    if feature.alarm:
        return f"{glyphs().critical if feature.severity == 'critical' else glyphs().warning} drifted"
    if feature.state == NOT_JUDGED:
        return f"{glyphs().unjudged} {NOT_JUDGED}"
    return f"{glyphs().ok} steady"


def _reason(feature: ComparedFeature) -> str:
    """Why it was not judged, with the number of rows where these are too few; "" where it was."""
    if feature.state != NOT_JUDGED:
        return ""
    if feature.reason == "no_value":
        return feature.why or reason_words(feature.reason)
    if feature.reason in ("few_rows", "few_reference_rows"):
        rows = feature.rows if feature.reason == "few_rows" else feature.reference_rows
        return f"{reason_words(feature.reason)}: {rows:,}"
    return reason_words(feature.reason)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4) if abs(value) < 1000 else value


def _notes(report: DriftReport) -> list[str]:
    notes = [f"{feature.feature}: {note}" for feature in report.features for note in feature.notes]
    # What the table says of features that were not judged is not said again.
    notes += [f"{one.feature}: {one.why}" for one in report.features if one.why and (one.alarm or not _reason(one))]
    notes += [f"{name}: {why}" for name, why in report.left_out.items()]
    return notes + report.notes


def _verdict(report: DriftReport) -> str:
    from console import text

    rows = f"{report.rows:,} rows against {report.reference_rows:,}"
    if report.preset and report.preset_drifted is None:
        return f"By the preset {report.preset} no feature was judged: {rows}."
    if report.preset:
        share = text.share(report.preset_share)
        word = "drifted" if report.preset_drifted else "has not drifted"
        missing = [one.feature for one in report.features if one.alarm and one.reason == "absent"]
        beside = f", beside missing columns ({text.clean(', '.join(missing), 200)})" if missing else ""
        return f"By the preset {report.preset} the data {word} ({share} of the features did){beside}: {rows}."
    found = [text.clean(feature.feature, 40) for feature in report.features if feature.alarm]
    many = f"{len(found)} of {len(report.features)} features drifted"
    if not found:
        return f"{many}: {rows}."
    more = f" and {len(found) - 8} more" if len(found) > 8 else ""
    return f"{many}, {', '.join(found[:8])}{more}: {rows}.\nThe guarantee: {report.guarantee}."


def _unjudged(report: DriftReport) -> list[str]:
    """What was not judged and what was left out, counted by reason: a line each, or none."""
    reasons = Counter(feature.reason for feature in report.features if feature.state == NOT_JUDGED)
    lines = [not_judged_text(reasons, len(report.features))]
    if report.left_out:
        left_out = Counter(report.left_out_reasons.get(name, "") for name in report.left_out)
        parts = ", ".join(f"{count:,} {reason_words(reason)}".rstrip() for reason, count in left_out.most_common())
        lines.append(f"{len(report.left_out):,} column{'' if len(report.left_out) == 1 else 's'} left out: {parts}")
    return [f"{line}." for line in lines if line]
