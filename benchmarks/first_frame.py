"""From exec to the first full frame with data, beside the plain app in the same run."""

from __future__ import annotations

import argparse
import statistics

import pyte

from benchmarks.harness import PLAIN_APP, Terminal, milliseconds


def plain_is_full(screen: pyte.Screen) -> bool:
    """Header, the rows of the whole table's height, and the footer are there."""
    text = "\n".join(screen.display)
    return "Plain" in screen.display[0] and "run-000035" in text and "Quit" in screen.display[-1]


def plain_first_frame() -> float:
    with Terminal(PLAIN_APP) as terminal:
        return terminal.wait_for(plain_is_full, 20) - terminal.started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=9)
    times = parser.parse_args().times
    plain = [plain_first_frame() for _ in range(times)]
    print("plain app", milliseconds(statistics.median(plain)))


if __name__ == "__main__":
    main()
