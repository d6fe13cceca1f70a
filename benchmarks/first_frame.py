"""From exec to the first full frame with data, beside the plain app in the same run."""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import pyte

from benchmarks.agents import QUARTERDECK, seeded_agent
from benchmarks.harness import PLAIN_APP, Terminal, milliseconds, report
from benchmarks.seed import RUNS


def plain_is_full(screen: pyte.Screen) -> bool:
    """Header, the rows of the whole table's height, and the footer are there."""
    text = "\n".join(screen.display)
    return "Plain" in screen.display[0] and "run-000035" in text and "Quit" in screen.display[-1]


def fleet_is_full(screen: pyte.Screen) -> bool:
    """Header, a deployment on every line between, the footer, and the word that it is live."""
    lines = screen.display
    rows = sum("model-" in line for line in lines)
    return rows >= screen.lines - 6 and "live" in lines[0] and "quit" in lines[-1]


def plain_first_frame() -> float:
    with Terminal(PLAIN_APP) as terminal:
        return terminal.wait_for(plain_is_full, 20) - terminal.started


def console_first_frame(store: Path) -> float:
    with Terminal([*QUARTERDECK, "--store", str(store)]) as terminal:
        return terminal.wait_for(fleet_is_full, 20) - terminal.started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=15)
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    with seeded_agent(options.runs) as (store, _):
        plain_first_frame(), console_first_frame(store)
        # In turns, so that whatever else the machine does falls on both.
        pairs = [(plain_first_frame(), console_first_frame(store)) for _ in range(options.times)]
    plain, console = (statistics.median(values) for values in zip(*pairs, strict=True))
    figure = f"{milliseconds(console)}, plain app {milliseconds(plain)}: {console / plain:.2f} ×"
    return 0 if report("first frame", figure, "no slower: <= 1.00 ×", console <= plain) else 1


if __name__ == "__main__":
    raise SystemExit(main())
