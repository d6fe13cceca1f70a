"""`quarterdeck drift` on two files, the whole command, beside numpy by hand and, where they are installed, the peers.

Name the pythons that have them: `--evidently PYTHON --nannyml PYTHON`, or QUARTERDECK_EVIDENTLY and
QUARTERDECK_NANNYML. `--large` also runs ten times the rows.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.agents import QUARTERDECK
from benchmarks.drift_data import drift_file
from benchmarks.harness import ROOT, report

PEERS = Path(__file__).with_name("drift_peers.py")
#: Peer → so many times faster Quarterdeck is to be.
LIMITS = {"evidently": 100, "nannyml": 15, "numpy": 2}
MOST_MEMORY = 1.5 * 2**30


@dataclasses.dataclass(frozen=True)
class Run:
    """One process and its children: seconds on the clock, seconds of processor, bytes of the largest."""

    wall: float
    processor: float
    memory: int


def run(command: Sequence[str]) -> Run:
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: status {process.returncode}")
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def median(runs: Sequence[Run]) -> Run:
    return Run(
        statistics.median(one.wall for one in runs),
        statistics.median(one.processor for one in runs),
        max(one.memory for one in runs),
    )


def drift(reference: Path, current: Path) -> list[str]:
    return [*QUARTERDECK, "drift", str(current), "--reference", str(reference), "--json"]


def peer(python: str, name: str, reference: Path, current: Path) -> list[str]:
    return [python, str(PEERS), name, str(reference), str(current)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--evidently", default=os.environ.get("QUARTERDECK_EVIDENTLY", ""), metavar="PYTHON")
    parser.add_argument("--nannyml", default=os.environ.get("QUARTERDECK_NANNYML", ""), metavar="PYTHON")
    parser.add_argument("--large", action="store_true", help="Also ten times the rows.")
    options = parser.parse_args()
    reference = drift_file("reference", options.rows, 1)
    current = drift_file("current", options.rows, 2, 0.3)
    pythons = {"numpy": sys.executable, "nannyml": options.nannyml, "evidently": options.evidently}
    ours: list[Run] = []
    met = True
    for name, python in pythons.items():
        if not python:
            print(f"     {name} is not named: left out")
            continue
        pairs: list[tuple[Run, Run]] = []
        for _ in range(options.times if name == "numpy" else 1):
            # One beside the other, so that whatever else the machine does slows both.
            pairs.append((run(drift(reference, current)), run(peer(python, name, reference, current))))
        ours += [pair[0] for pair in pairs]
        ratio = statistics.median(other.wall / own.wall for own, other in pairs)
        own, other = median([pair[0] for pair in pairs]), median([pair[1] for pair in pairs])
        figure = (
            f"{ratio:.1f} times faster ({own.wall:.2f} s against {other.wall:.2f} s;"
            f" processor {own.processor:.2f} s against {other.processor:.2f} s)"
        )
        met &= report(f"drift beside {name}", figure, f"≥ {LIMITS[name]} times", ratio >= LIMITS[name])
    if options.large:
        met &= ten_times(options.rows, median(ours))
    return 0 if met else 1


def ten_times(rows: int, once: Run) -> bool:
    large = run(
        drift(drift_file("reference", 10 * rows, 1), drift_file("current", 10 * rows, 2, 0.3)),
    )
    figure = f"{large.wall:.2f} s, {large.wall / once.wall:.1f} times ({large.memory / 2**20:.0f} MiB)"
    good = large.wall <= 10 * once.wall and large.memory < MOST_MEMORY
    return report(f"drift of {10 * rows:,} rows", figure, "≤ 10 times, < 1,536 MiB", good)


if __name__ == "__main__":
    raise SystemExit(main())
