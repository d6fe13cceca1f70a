"""`quarterdeck demo`: the console on sample data, live."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "--speed", type=click.FloatRange(min=0, min_open=True), default=None, metavar="N", help="Times the usual speed."
)
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Keep the store in DIR.")
def demo(speed: float | None, keep: Path | None) -> int:
    """Open the console on sample data, live.

    The store is thrown away at the end, unless --keep says where it is to stay.
    """
    from console.demo import run_demo

    return run_demo(speed=speed, keep=keep)
