"""`quarterdeck show drift MODEL@ENV --multivariate`: all features together against the reference."""

from __future__ import annotations

import sys

import msgspec

from console.commands import output
from console.link import Client
from store.protocol import (
    Cell,
    Column,
    FeatureWeight,
    Field,
    Multivariate,
    MultivariateParams,
    Progress,
    Section,
    SubscribeParams,
)


def show_multivariate(client: Client, params: MultivariateParams, as_json: bool) -> int:
    """Asks, says on stderr how far the worker is (if that is a terminal), and prints what it found."""
    told = output.redraws(sys.stderr) and not as_json
    if told:
        client.on_progress = lambda progress: _tell(progress, params.deployment)
        client.call("subscribe", SubscribeParams())
    try:
        found: Multivariate = client.call("multivariate", params)
    finally:
        if told:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
    if as_json:
        print(
            output.json_text(
                msgspec.to_builtins(found) | {"since": output.iso(found.since), "until": output.iso(found.until)}
            )
        )
        return 0
    output.print_sections(sections(found))
    return 0


def _tell(progress: Progress, deployment: str) -> None:
    from console import text

    if progress.task == f"multivariate {deployment}" and not progress.finished:
        sys.stderr.write(f"\r\x1b[K{text.clean(progress.label, 60)} {progress.done}/{progress.total}")
        sys.stderr.flush()


def sections(found: Multivariate) -> list[Section]:
    """The answer as blocks of fields and tables."""
    first = [
        Field("deployment", found.deployment),
        Field("version", found.version),
        Field("since", found.since, "time"),
        Field("until", found.until, "time"),
        Field("rows", found.rows, "number"),
        Field("reference rows", found.reference_rows, "number"),
        *(Field("note", note) for note in found.notes),
    ]
    if found.why:
        return [Section("multivariate drift", [*first, Field("not compared", found.why)])]
    made = [Section("multivariate drift", first)]
    if found.auc is not None and found.auc_noise is not None:
        verdict = "the rows differ" if found.auc > found.auc_noise else "no difference beyond noise"
        fields = [
            Field("AUC", found.auc, "number"),
            Field("noise floor", found.auc_noise, "number"),
            Field("verdict", verdict),
        ]
        made.append(Section("domain classifier", fields, *_table(found.telling, "lost without it")))
    if found.error is None:
        made.append(Section("PCA reconstruction", [Field("not computed", found.error_why)]))
        return made
    low, high = found.error_lower or 0.0, found.error_upper or 0.0
    fields = [
        Field("error", found.error, "number"),
        Field("reference", f"{found.error_reference:.4g} ({low:.4g} … {high:.4g})"),
        Field(
            "verdict", "inside the reference's band" if low <= found.error <= high else "outside the reference's band"
        ),
    ]
    made.append(Section("PCA reconstruction", fields, *_table(found.off, "change of squared error")))
    return made


def _table(weights: list[FeatureWeight], title: str) -> tuple[list[Column], list[list[Cell]]]:
    if not weights:
        return [], []
    columns = [Column("feature"), Column("value", "number", title), Column("change")]
    return columns, [[weight.feature, weight.value, weight.change] for weight in weights]
