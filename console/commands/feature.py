"""`quarterdeck show drift MODEL@ENV --feature NAME`: one feature against the reference, as its page shows it."""

from __future__ import annotations

import msgspec

from console.commands import output
from console.link import Client
from store.protocol import NOT_JUDGED, Cell, Column, Distribution, DistributionParams, Field, Section, reason_words

#: Bins of a number, and categories, whose change is told.
TOLD = 16


def show_feature(client: Client, params: DistributionParams, as_json: bool) -> int:
    """Asks for the feature and prints it."""
    found: Distribution = client.call("distribution", msgspec.structs.replace(params, bars=TOLD))
    if as_json:
        moments = {"since": found.since, "until": found.until}
        iso = {name: None if moment is None else output.iso(moment) for name, moment in moments.items()}
        print(output.json_text(msgspec.to_builtins(found) | iso))
        return 0
    output.print_sections(sections(found))
    return 0


def sections(found: Distribution) -> list[Section]:
    """The answer as blocks of fields and tables; bins and categories with the greatest change first."""
    first = [
        Field("deployment", found.deployment),
        Field("version", found.version),
        Field("feature", found.feature),
        Field("kind", found.kind),
        Field("since", found.since, "time"),
        Field("until", found.until, "time"),
        Field("rows", found.rows, "number"),
        Field("reference rows", found.reference_rows, "number"),
        *([Field("not compared", found.why)] if found.why else []),
        *([Field(NOT_JUDGED, reason_words(found.reason))] if found.reason else []),
    ]
    made = [Section("feature", first)]
    if found.summary is not None or found.reference_summary is not None:
        made.append(_values(found))
    made.append(
        Section(
            "statistics",
            columns=[
                Column("statistic"), Column("value", "number"), Column("noise_floor", "number", "noise floor"),
                Column("threshold", "number", "threshold beyond it"), Column("p_value", "number", "p"), Column("why"),
            ],
            rows=[[s.name, s.value, s.noise_floor, s.threshold, s.p_value, s.why or None] for s in found.statistics],
        )
    )  # fmt: skip
    changed = sorted(
        zip(found.labels, found.reference, found.current, strict=True), key=lambda bar: -abs(bar[2] - bar[1])
    )
    what = "categories" if found.kind == "categorical" else "bins"
    columns = [Column(what), Column("reference", "share"), Column("current", "share"), Column("change", "share")]
    made.append(Section(f"{what} that changed most", [], columns, [[*bar, bar[2] - bar[1]] for bar in changed]))
    if found.new:
        title = "about so many different ones" if found.new_estimated else "different ones"
        new: list[list[Cell]] = [[one.name, one.rows] for one in found.new]
        if found.new_total is None:
            title = "not all are known"
        fields = [Field(title, found.new_total, "number")]
        made.append(Section("new categories", fields, [Column("category"), Column("rows", "number")], new))
    return [section for section in made if section.fields or section.rows]


def _values(found: Distribution) -> Section:
    now, before = found.summary, found.reference_summary
    rows: list[list[Cell]] = [
        [name, getattr(now, name, None), getattr(before, name, None)]
        for name in ("values", "mean", "deviation", "low", "high")
    ]
    columns = [Column("what"), Column("current", "number"), Column("reference", "number")]
    return Section("values", [], columns, rows)
