"""False alarms and power at the sizes of `python -m benchmarks.calibration`, on fewer windows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binomtest

from benchmarks.calibration import CELLS, FOUND_AT_LEAST, MUST_FIND, WATCHED, at_most, quarterdeck, rates, watch_alarms
from benchmarks.simulated import Cell, Sampled
from store.monitor.bins import Integers
from store.monitor.statistics import verdicts
from store.settings import MonitorSettings

WINDOWS = 200
#: Of 200 windows: two are 1 %, and more than these would come once in 10,000 times at 0.5 %.
FALSE_AT_MOST = 6 / WINDOWS


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_alarms_are_rarely_false(cell: Cell) -> None:
    false, found = rates(cell, {"quarterdeck": quarterdeck}, WINDOWS, seed=2)["quarterdeck"]
    assert false <= FALSE_AT_MOST
    assert cell.name not in MUST_FIND or found >= FOUND_AT_LEAST


@pytest.mark.parametrize("cell", WATCHED, ids=lambda cell: cell.name)
def test_a_watch_of_a_thousand_windows_raises_no_sequential_alarm(cell: Cell) -> None:
    assert not watch_alarms(cell, seed=2)


@pytest.mark.parametrize(("alarms", "watches"), [(0, 300), (0, 1_000), (3, 1_000)])
def test_what_the_benchmark_says_of_watches_is_clopper_and_pearsons_bound(alarms: int, watches: int) -> None:
    expected = binomtest(alarms, watches, alternative="less").proportion_ci(0.95).high
    assert at_most(alarms, watches) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", ["js", "hellinger", "tv", "kl", "ks", "wasserstein", "cvm", "chi2", "mean_change"])
def test_any_statistic_may_judge(name: str) -> None:
    def monitor(against: Sampled, current: Integers) -> npt.NDArray[np.bool_]:
        judged = verdicts(against, current, MonitorSettings(min_rows=0), name, watch=False)
        return np.array([[found.alarm for found in row] for row in judged])

    false, found = rates(Cell(5_000, 1_000), {name: monitor}, 100, seed=3)[name]
    assert false <= 3 / 100
    assert found >= FOUND_AT_LEAST
