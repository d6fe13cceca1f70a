"""`quarterdeck alerts replay`: what an alert rule would have done, over what the store has counted."""

from __future__ import annotations

import click

from console.commands import output
from console.commands.group import json_option, store_folder, store_option
from console.commands.times import time_option
from console.link import Client
from store.protocol import Column, Episode, Replay, ReplayLine, ReplayParams

#: Episodes that the table names.
NAMED = 20


@click.group()
def alerts() -> None:
    """Alert rules."""


@alerts.command()
@click.option(
    "--rule",
    metavar="RULE",
    default="drift",
    show_default=True,
    help="A rule of quarterdeck.toml, drift, performance, missing or volume; or one to try: '{statistic = \"js\"}'.",
)
@click.option(
    "--threshold", "thresholds", type=float, multiple=True, metavar="X", help="Try X instead of its own; repeatable."
)
@click.option("--days", type=float, default=90.0, show_default=True, help="Days of event time, up to the last data.")
@click.option("--deployment", metavar="MODEL@ENV", default="", help="Default: every one that the rule watches.")
@time_option("--until", "Up to TIME instead of the last data.")
@json_option
@store_option
def replay(
    rule: str, thresholds: tuple[float, ...], days: float, deployment: str, until: float | None, as_json: bool
) -> int:
    """What would this rule have done: how often it would have fired, and when."""
    params = ReplayParams(rule, deployment, list(thresholds), days, until)
    with Client.connect(store_folder()) as client:
        found: Replay = client.call("replay", params)
    if as_json:
        print(output.json_text(as_object(found)))
    else:
        _print(found)
    return 0


def as_object(found: Replay) -> dict[str, object]:
    """The answer with times as ISO 8601."""
    return {
        "rule": found.rule,
        "said": found.said,
        "deployments": found.deployments,
        "window_seconds": found.window_seconds,
        "since": output.iso(found.ends[0] - found.window_seconds) if found.ends else None,
        "until": output.iso(found.ends[-1]) if found.ends else None,
        "windows": len(found.ends),
        "decisions": found.decisions,
        "lines": [_line_object(line, found.ends) for line in found.lines],
        "why": found.why,
    }


def _line_object(line: ReplayLine, ends: list[float]) -> dict[str, object]:
    return {
        "threshold": line.threshold,
        "own": line.own,
        "fired": line.fired,
        "carried": line.carried,
        "over": line.over,
        "quiet_share": line.quiet_share,
        "undecided": line.undecided,
        "on": [{"window_end": output.iso(end), "alerts": count} for end, count in zip(ends, line.on, strict=True)],
        "episodes": [
            {
                "deployment": episode.deployment,
                "feature": episode.feature,
                "version": episode.version,
                "opened": output.iso(episode.opened),
                "closed": output.iso(episode.closed) if episode.closed is not None else None,
                "worst": episode.worst,
                "message": episode.message,
            }
            for episode in line.episodes
        ],
    }


def _print(found: Replay) -> None:
    from console import text
    from console.replayed import thinned, threshold_words

    print(text.clean(f"{found.rule}: {found.said}", 400))
    if not found.ends:
        print(f"  {text.clean(found.why, 400)}")
        return
    first, last = found.ends[0] - found.window_seconds, found.ends[-1]
    print(
        f"  {text.clean(', '.join(found.deployments), 300)}; {text.when(first)} to {text.when(last)},"
        f" {len(found.ends):,} windows, {found.decisions:,} decisions"
    )
    columns = [
        Column("threshold", priority=0),
        Column("fired", "number", priority=0),
        Column("carried", "number", "on before", 1),
        Column("over", "number", "above", 1),
        Column("quiet", "share", "windows without", 1),
        Column("undecided", "number", priority=1),
        Column("on", "spark", "alerts on", 2),
    ]
    rows = [
        [
            threshold_words(line),
            line.fired,
            line.carried,
            line.over,
            line.quiet_share,
            line.undecided,
            thinned(line.on),
        ]
        for line in found.lines
    ]
    for row in output.table_lines(columns, rows, output.terminal_width()):
        print(row)
    own = next(line for line in found.lines if line.own)
    if own.episodes:
        print()
        _print_episodes(own.episodes)


def _print_episodes(episodes: list[Episode]) -> None:
    columns = [
        Column("opened", "time", priority=0),
        Column("closed", "time", priority=0),
        Column("deployment", priority=2),
        Column("feature", priority=0),
        Column("worst", "number", priority=1),
        Column("message", priority=3),
    ]
    rows: list[list[object]] = [
        [one.opened, one.closed, one.deployment, one.feature, one.worst, one.message] for one in episodes[:NAMED]
    ]
    for row in output.table_lines(columns, rows, output.terminal_width()):
        print(row)
    if len(episodes) > NAMED:
        print(f"{len(episodes) - NAMED:,} more; --json has all.")
