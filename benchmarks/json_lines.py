"""`quarterdeck drift` on wide and sparse JSON lines beside the same data as CSV: time and memory of the whole command.

Every line holds 20 of 1,000 keys. `--large` takes 1,000,000 lines, for which the figures are asked.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

import numpy as np

from benchmarks.drift_data import folder
from benchmarks.drift_files import Run, drift, run
from benchmarks.harness import report

KEYS, HELD = 1_000, 20
#: JSON lines may take so many times as long as CSV, and so many bytes of memory.
MOST_TIME, MOST_MEMORY = 3.0, 500 * 2**20


def files(lines: int, seed: int) -> tuple[Path, Path]:
    """(JSON lines, CSV) of the same rows, made once."""
    wide, flat = (folder() / f"sparse-{lines}-{seed}.{suffix}" for suffix in ("jsonl", "csv"))
    if wide.exists() and flat.exists():
        return wide, flat
    draw = np.random.default_rng(seed)
    names = [f"k{number}" for number in range(KEYS)]
    with wide.with_suffix(".part").open("w") as objects, flat.with_suffix(".rest").open("w") as table:
        table.write(",".join(names) + "\n")
        for _ in range(lines):
            places = np.sort(draw.choice(KEYS, HELD, replace=False))
            values = np.round(draw.normal(size=HELD), 4).tolist()
            objects.write(json.dumps({names[place]: value for place, value in zip(places, values, strict=True)}) + "\n")
            cells = [""] * KEYS
            for place, value in zip(places, values, strict=True):
                cells[place] = repr(value)
            table.write(",".join(cells) + "\n")
    wide.with_suffix(".part").rename(wide)
    flat.with_suffix(".rest").rename(flat)
    return wide, flat


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--large", action="store_true", help="1,000,000 lines, once.")
    options = parser.parse_args()
    lines, times = (1_000_000, 1) if options.large else (options.lines, options.times)
    reference, current = files(lines, 1), files(lines, 2)
    pairs: list[tuple[Run, Run]] = []
    for _ in range(times):
        # One beside the other, so that whatever else the machine does slows both.
        pairs.append((run(drift(reference[0], current[0])), run(drift(reference[1], current[1]))))
    ratio = statistics.median(ours.wall / theirs.wall for ours, theirs in pairs)
    memory = max(ours.memory for ours, _ in pairs)
    figure = (
        f"{ratio:.2f} times the time of CSV ({statistics.median(one.wall for one, _ in pairs):.1f} s against"
        f" {statistics.median(one.wall for _, one in pairs):.1f} s)"
    )
    name = f"JSON lines, {KEYS:,} keys × {lines:,} lines"
    good = report(name, figure, f"≤ {MOST_TIME:g} times", ratio <= MOST_TIME)
    used = f"{memory / 2**20:.0f} MiB (CSV {max(one.memory for _, one in pairs) / 2**20:.0f} MiB)"
    return 0 if report(f"{name}: memory", used, "< 500 MiB", memory < MOST_MEMORY) and good else 1


if __name__ == "__main__":
    raise SystemExit(main())
