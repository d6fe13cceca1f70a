"""`quarterdeck demo`: the console on sample data, live."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click


@click.command()
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    default=None,
    metavar="N",
    help="Days of flights per second (1).",
)
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Keep the store in DIR.")
@click.option("--headless", is_flag=True, help="Only play the story: no console.")
@click.option(
    "--until", type=click.DateTime(["%Y-%m-%d"]), metavar="DAY", help="With --headless: end with this day of flights."
)
def demo(speed: float | None, keep: Path | None, headless: bool, until: datetime | None) -> int:
    """Open the console on sample data, live.

    The store is thrown away at the end, unless --keep says where it is to stay.
    """
    from console.demo import run_demo, run_headless

    if headless:
        return run_headless(speed, keep, None if until is None else until.date())
    if until is not None:
        raise click.UsageError("--until goes with --headless.")
    return run_demo(speed, keep)
