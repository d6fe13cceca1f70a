"""A whole `quarterdeck ls runs --limit 5` beside an empty Python process."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks.agents import QUARTERDECK, seeded_agent
from benchmarks.harness import ROOT, milliseconds, report
from benchmarks.seed import RUNS


def whole_process(command: Sequence[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=15)
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    with seeded_agent(options.runs) as (store, _):
        command = [*QUARTERDECK, "ls", "runs", "--limit", "5", "--store", str(store)]
        pairs = [(whole_process([sys.executable, "-c", "pass"]), whole_process(command)) for _ in range(options.times)]
    empty, listing = (statistics.median(values) for values in zip(*pairs, strict=True))
    figure = f"{milliseconds(listing)}, an empty Python {milliseconds(empty)}"
    return 0 if report("ls runs --limit 5", figure, "< 300 ms", listing < 0.3) else 1


if __name__ == "__main__":
    raise SystemExit(main())
