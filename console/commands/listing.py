"""`quarterdeck ls` and `quarterdeck show`: every table and detail page of the console."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click
from click.core import ParameterSource

from console.commands import output
from console.commands.group import json_option, store_folder, store_option
from console.commands.times import time_option
from console.link import Client
from store.protocol import (
    Detail,
    DistributionParams,
    ExitCode,
    ListParams,
    MultivariateParams,
    Page,
    Refusal,
    ShowParams,
)

KINDS = (
    "datasets",
    "runs",
    "models",
    "versions",
    "deployments",
    "revisions",
    "windows",
    "drift",
    "performance",
    "quality",
    "alerts",
    "quarantine",
    "journal",
)
WINDOWED = frozenset({"windows", "drift", "performance", "quality"})
WINDOWS = ("1m", "5m", "1h", "1d", "1w", "1mo", "1q", "1y")
#: Rows, and cells, asked for at once: a page stays far below the longest response.
PAGE_ROWS = 1000
PAGE_CELLS = 40_000


def pages(client: Client, params: ListParams, limit: int) -> Iterator[Page]:
    """Pages until `limit` rows (0: all) were given, all as the store knew it at the first one."""
    import msgspec

    taken = 0
    # How many columns there are the first page tells.
    most = PAGE_CELLS // 400 if params.all_columns else PAGE_ROWS
    while True:
        size = most if limit == 0 else min(most, limit - taken)
        page: Page = client.call("list", msgspec.structs.replace(params, offset=taken, limit=size))
        yield page
        taken += len(page.rows)
        if not page.rows or taken >= page.total or (limit and taken >= limit):
            return
        most = min(PAGE_ROWS, PAGE_CELLS // max(1, len(page.columns)))
        if params.at is None:
            # A row that arrives meanwhile would push the others from page to page.
            params = msgspec.structs.replace(params, at=page.at)


@click.command()
@click.argument("kind", type=click.Choice(KINDS), metavar="KIND")
@click.option("--filter", "filter_", metavar="EXPR", default="", help="Only rows that match.")
@click.option("--sort", metavar="COL[:desc]", default="", help="Sort by a column.")
@click.option("--limit", type=click.IntRange(min=0), default=100, show_default=True, help="Rows; 0 for all.")
@time_option("--at", "As the store knew it at TIME (2013-07-03T14:05Z, -2h).")
@click.option(
    "--window", type=click.Choice(WINDOWS), help="Width of the windows (windows, drift, performance, quality)."
)
@time_option("--since", "Windows from TIME on.")
@time_option("--until", "Windows before TIME.")
@json_option
@store_option
def ls(
    kind: str,
    filter_: str,
    sort: str,
    limit: int,
    at: float | None,
    window: str | None,
    since: float | None,
    until: float | None,
    as_json: bool,
) -> int:
    """List what the store holds.

    KIND: datasets runs models versions deployments revisions windows drift performance quality alerts
    quarantine journal. A filter is COL:regex, !COL:regex, COL=value or COL>1.5; spaces mean and; names with odd
    characters stand in quotation marks: --filter '"metric.avg score">0.5' --sort '"metric.avg score":desc'.
    """
    if kind not in WINDOWED and (window or since is not None or until is not None):
        raise Refusal(
            ExitCode.USAGE,
            f"ls {kind} takes no --window, --since or --until.",
            f"They belong to: {', '.join(sorted(WINDOWED))}",
        )
    params = ListParams(
        kind=kind, filter=filter_, sort=sort, at=at, since=since, until=until, window=window or "", all_columns=as_json
    )
    with Client.connect(store_folder()) as client:
        found = pages(client, params, limit)
        if as_json:
            print_rows(found)
        else:
            chosen = click.get_current_context().get_parameter_source("limit") is not ParameterSource.DEFAULT
            print_table(found, say_more=not chosen)
    return 0


def print_rows(found: Iterator[Page]) -> None:
    """A JSON array, an object a line, written as the pages come."""
    before = "["
    for page in found:
        for row in page.rows:
            sys.stdout.write(f"{before}\n{output.json_text(output.row_object(page.columns, row))}")
            before = ","
    sys.stdout.write("[]\n" if before == "[" else "\n]\n")


def print_table(found: Iterator[Page], say_more: bool) -> None:
    """The pages as one table; `say_more` says on stderr when that is not all there is."""
    shown = total = left_out = 0
    for number, page in enumerate(found):
        lines = output.table_lines(page.columns, page.rows, output.terminal_width())
        print("\n".join(lines if number == 0 else lines[1:]))
        shown, total, left_out = shown + len(page.rows), page.total, page.columns_left_out
    if say_more and shown < total:
        print(f"{shown:,} of {total:,} rows; --limit 0 shows all.", file=sys.stderr)
    if left_out:
        print(f"{left_out:,} more columns; --json and `show` have them all.", file=sys.stderr)


@click.command()
@click.argument("kind", type=click.Choice(KINDS), metavar="KIND")
@click.argument("name")
@time_option("--at", "As the store knew it at TIME (2013-07-03T14:05Z, -2h).")
@click.option("--multivariate", is_flag=True, help="show drift MODEL@ENV: all features together, in a worker.")
@click.option("--feature", metavar="FEATURE", default="", help="show drift MODEL@ENV: one feature by its values.")
@time_option("--since", "Rows from TIME on (with --multivariate or --feature).")
@time_option("--until", "Rows before TIME (with --multivariate or --feature).")
@json_option
@store_option
def show(
    kind: str,
    name: str,
    at: float | None,
    multivariate: bool,
    feature: str,
    since: float | None,
    until: float | None,
    as_json: bool,
) -> int:
    """Show one thing in full; NAME is its id in `ls KIND`."""
    if kind != "drift" and (multivariate or feature):
        option = "--multivariate" if multivariate else "--feature"
        raise Refusal(ExitCode.USAGE, f"show {kind} takes no {option}.", "quarterdeck show drift MODEL@ENV …")
    if multivariate and feature:
        raise Refusal(
            ExitCode.USAGE, "--multivariate looks at all features, --feature at one.", "Leave one of them out."
        )
    if not multivariate and not feature and (since is not None or until is not None):
        raise Refusal(
            ExitCode.USAGE, "--since and --until need --multivariate or --feature.", "See quarterdeck show --help"
        )
    with Client.connect(store_folder()) as client:
        if feature:
            from console.commands.feature import show_feature

            return show_feature(client, DistributionParams(name, feature, since, until, at), as_json)
        if multivariate:
            from console.commands.multivariate import show_multivariate

            return show_multivariate(client, MultivariateParams(name, since, until, at=at), as_json)
        detail: Detail = client.call("show", ShowParams(kind, name, at))
    if as_json:
        sections = {section.title: output.section_object(section) for section in detail.sections}
        print(output.json_text({"kind": detail.kind, "name": detail.name, **sections}))
        return 0
    output.print_sections(detail.sections)
    return 0
