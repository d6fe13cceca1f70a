"""How often alarms are false, and how often a real shift is found: Quarterdeck beside other monitors' defaults.

    python -m benchmarks.calibration [--windows 2000] [--watches 1000] [--seed 1] [--alone]

Every cell draws references row by row and windows of the same distribution; "any alarm" is the share of windows in
which any of 20 features alarms. "Found" is the share of windows in which the one feature that moved alarms (its mean
by half a standard deviation, a fifth of its rows to one category, or, of 1,000 and more categories, a twentieth to one
that was rare). A watch is 1,000 windows in a row against one
reference; its alarms are the sequential test's, before the size of the effect is asked for. The share of watches with
one is printed with the upper end of its 95 % interval (Clopper & Pearson 1934), one-sided.

NannyML learns its thresholds from ten chunks of the reference, so only 5,000/500 asks it what it was made for.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import numpy.typing as npt

from benchmarks.simulated import Cell, Sampled, grouped_windows, reference, windows
from store.monitor.bins import Integers
from store.monitor.statistics import WATCH_LEVEL, verdicts
from store.monitor.statistics.groups import sequential_groups
from store.monitor.statistics.sequential import e_benjamini_hochberg, evidence
from store.settings import MonitorSettings

#: (reference, windows × width) → alarms (windows × features).
Monitor = Callable[[Sampled, Integers], npt.NDArray[np.bool_]]

CELLS = (
    Cell(5_000, 20),
    Cell(5_000, 50),
    Cell(5_000, 100),
    Cell(5_000, 150),
    Cell(5_000, 250),
    Cell(5_000, 500),
    Cell(5_000, 1_000),
    Cell(50_000, 1_000),
    *(
        Cell(before, rows, categories, shape)
        for categories in (50, 200)
        for shape in ("even", "zipf")
        for before, rows in ((5_000, 500), (50_000, 1_000))
    ),
    *(Cell(5_000, rows, 50, "zipf") for rows in (20, 50, 150)),
    *(Cell(rows, 1_000) for rows in (50, 150)),
    *(Cell(rows, 1_000, 50, "zipf") for rows in (50, 150, 500)),
    *(Cell(20_000, rows, 1_000, "even") for rows in (20, 50, 150)),
)
#: Of as many categories; "found" is a rare one that rises to a twentieth of the rows.
MANY_CELLS = tuple(
    Cell(before, 5_000, categories, shape)
    for categories in (1_000, 10_000)
    for shape in ("even", "zipf")
    for before in (20_000, 50_000)
)
#: What is watched; watches take them in turn.
WATCHED = (
    Cell(5_000, 20),
    Cell(5_000, 100),
    Cell(5_000, 1_000),
    Cell(5_000, 500, 50, "zipf"),
    Cell(50_000, 1_000, 200, "even"),
    Cell(20_000, 1_000, 1_000, "zipf"),
)
WATCH_WINDOWS = 1_000
#: Windows of one reference: as many references as that are drawn for a cell.
PER_REFERENCE = 50
FALSE_AT_MOST, FOUND_AT_LEAST = 0.01, 0.95
#: What the issue asks to be found, by cell.
MUST_FIND = frozenset({"5,000/1,000 normal", "50,000/1,000 normal", *(cell.name for cell in MANY_CELLS)})


def quarterdeck(against: Sampled, current: Integers) -> npt.NDArray[np.bool_]:
    """The verdicts of windows, at the defaults."""
    judged = verdicts(against, current, MonitorSettings(), watch=False)
    return np.array([[found.alarm for found in row] for row in judged])


def presets() -> dict[str, Monitor]:
    """The other monitors by name: any drifted statistic of a feature is its alarm."""
    from store.monitor import presets as known

    def of(name: str) -> Monitor:
        preset = known.named(name)

        def judge(against: Sampled, current: Integers) -> npt.NDArray[np.bool_]:
            every, _ = preset.judge_windows(against.features, against.counts, current, against.chunks)
            place = {feature.name: number for number, feature in enumerate(against.features)}
            alarms = np.zeros((len(current), len(place)), bool)
            for part in every:
                if part.feature in place:
                    alarms[:, place[part.feature]] |= part.drifted
            return alarms

        return judge

    return {name: of(name) for name in known.NAMES}


def rates(cell: Cell, monitors: Mapping[str, Monitor], number: int, seed: int) -> dict[str, tuple[float, float]]:
    """Monitor → (share of windows with any false alarm, share in which the moved feature is found)."""
    generator = np.random.default_rng([seed, cell.reference_rows, cell.rows, cell.categories, len(cell.shape)])
    false: dict[str, list[float]] = {name: [] for name in monitors}
    found: dict[str, list[float]] = {name: [] for name in monitors}
    for _ in range(max(1, number // PER_REFERENCE)):
        against = reference(cell, generator)
        still = windows(cell, against, generator, PER_REFERENCE)
        moved = windows(cell, against, generator, PER_REFERENCE, moved=True)
        for name, monitor in monitors.items():
            false[name].append(float(monitor(against, still).any(axis=1).mean()))
            found[name].append(float(monitor(against, moved)[:, 0].mean()))
    return {name: (float(np.mean(false[name])), float(np.mean(found[name]))) for name in monitors}


def watch_alarms(cell: Cell, seed: int, length: int = WATCH_WINDOWS) -> bool:
    """Whether the sequential test of any feature ever alarms in one watch of `length` windows where nothing changes."""
    generator = np.random.default_rng([seed, cell.rows, cell.categories])
    logs = []
    against = reference(cell, generator)
    for feature in against.features:
        groups, held = sequential_groups(feature, against.of(feature))
        logs.append(evidence(held, grouped_windows(cell, against, feature, groups, generator, length)).log_e)
    return bool(e_benjamini_hochberg(np.stack(logs, axis=1), WATCH_LEVEL).any())


def _cell(task: tuple[Cell, int, int, bool]) -> tuple[Cell, dict[str, tuple[float, float]]]:
    cell, number, seed, alone = task
    return cell, rates(cell, {"quarterdeck": quarterdeck, **({} if alone else presets())}, number, seed)


def _watch(task: tuple[Cell, int]) -> bool:
    return watch_alarms(*task)


def at_most(alarms: int, watches: int, level: float = 0.95) -> float:
    """The largest chance of an alarm in a watch that so few alarms still come of in 1 − `level` of runs."""
    low, high = alarms / watches, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        fewer = sum(
            math.comb(watches, seen) * middle**seen * (1 - middle) ** (watches - seen) for seen in range(alarms + 1)
        )
        low, high = (middle, high) if fewer > 1 - level else (low, middle)
    return high


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--windows", type=int, default=2_000, help="windows simulated for each cell")
    parser.add_argument("--watches", type=int, default=1_000, help="watches of 1,000 windows")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--alone", action="store_true", help="without the other monitors, which take most of the time")
    asked = parser.parse_args()
    began = time.perf_counter()
    failed: list[str] = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        names: list[str] = []
        tasks = [(cell, asked.windows, asked.seed, asked.alone) for cell in (*CELLS, *MANY_CELLS)]
        print(f"share of {asked.windows:,} windows with any false alarm / in which what moved is found")
        for cell, found in pool.map(_cell, tasks):
            if not names:
                names = list(found)
                print(f"{'reference/window':<34}" + "".join(f"{name:>16}" for name in names), flush=True)
            print(f"{cell.name:<34}" + "".join(_pair(*found[name]) for name in names), flush=True)
            false, power = found["quarterdeck"]
            if false > FALSE_AT_MOST or (cell.name in MUST_FIND and power < FOUND_AT_LEAST):
                failed.append(cell.name)
        watched = [(WATCHED[place % len(WATCHED)], asked.seed * 1_000_000 + place) for place in range(asked.watches)]
        alarms = sum(pool.map(_watch, watched, chunksize=10))
    print(
        f"\n{alarms} of {asked.watches:,} watches of {WATCH_WINDOWS:,} windows × 20 features with a sequential alarm:"
        f" at most {at_most(alarms, asked.watches):.2%} with 95 % confidence"
    )
    if alarms > FALSE_AT_MOST * asked.watches:
        failed.append("watch")
    print(f"{time.perf_counter() - began:.0f} s", *(("failed:", *failed) if failed else ("met",)))
    return 1 if failed else 0


def _pair(false: float, found: float) -> str:
    return f"{false:>9.2%} /{found:>4.0%} "


if __name__ == "__main__":
    raise SystemExit(main())
