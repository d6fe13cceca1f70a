"""`quarterdeck demo`: the console on sample data, live."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click


@click.command()
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Days of flights (weeks of answers) per second. Default: 1.",
)
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Keep the store in DIR.")
@click.option(
    "--story", type=click.Choice(["flights", "employment"]), default="flights", show_default=True, help="What is told."
)
@click.option("--headless", is_flag=True, help="Play the story without a console, and end with it.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="With --headless: the last day that is scored.")
def demo(speed: float | None, keep: Path | None, story: str, headless: bool, until: datetime | None) -> int:
    """Open the console on sample data, live.

    A model of flight delays is trained, released and watched through 2013. The store is thrown away at the end,
    unless --keep says where it is to stay.
    """
    if until is not None and not headless:
        raise click.UsageError("--until goes with --headless.")
    from console.demo import run_demo, run_headless

    if headless:
        return run_headless(speed, keep, until.date() if until else None, story)
    return run_demo(speed, keep, story)
