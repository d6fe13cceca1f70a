"""`quarterdeck journal`: proves that the journal is whole, and copies it out."""

from __future__ import annotations

import sys
from typing import IO

import click
import msgspec

from console.commands import output
from console.commands.group import json_option, store_folder, store_option
from console.link import Client
from store.protocol import Empty, ExitCode, Kind, ListParams, Refusal, Verified


@click.group(no_args_is_help=False)
def journal() -> None:
    """The hash-chained record of every change."""


@journal.command()
@json_option
@store_option
def verify(as_json: bool) -> int:
    """Recompute the chain; exit status 1 when it does not hold."""
    with Client.connect(store_folder()) as client:
        found: Verified = client.call("verify", Empty())
    if as_json:
        print(output.json_text(msgspec.to_builtins(found)))
    if found.broken_at is not None:
        raise Refusal(
            ExitCode.REFUSED,
            f"The journal is broken at sequence {found.broken_at}: {found.why or 'its hash does not follow'}.",
            f"Compare with a backup: quarterdeck show journal {found.broken_at}",
        )
    if not as_json:
        print(f"{found.rows:,} rows hold; the last is {found.last_sequence}, hash {found.last_hash}")
    return 0


@journal.command()
@click.option("--format", "format_", type=click.Choice(["csv"]), default="csv", show_default=True)
@click.option("--output", "file", type=click.File("w", encoding="utf-8"), default="-", help="Default: stdout.")
@store_option
def export(
    format_: str,  # noqa: ARG001  (csv is the one there is)
    file: IO[str],
) -> int:
    """Write every row, oldest first."""
    import csv

    from console.commands.listing import pages

    writer = csv.writer(file, lineterminator="\r\n")
    with Client.connect(store_folder()) as client:
        for number, page in enumerate(pages(client, ListParams(kind="journal", sort="sequence:asc"), 0)):
            if number == 0:
                writer.writerow([column.name for column in page.columns])
            for row in page.rows:
                writer.writerow([csv_cell(value, column.kind) for value, column in zip(row, page.columns, strict=True)])
    sys.stdout.flush()
    return 0


def csv_cell(value: object, kind: Kind) -> object:
    """A cell that a spreadsheet will not run: text that starts like a formula gets a quote in front."""
    value = output.json_cell(value, "time") if kind == "time" else value
    if isinstance(value, list | dict):
        return output.json_text(value)
    if isinstance(value, str):
        return "'" + value if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
    return "" if value is None else value
