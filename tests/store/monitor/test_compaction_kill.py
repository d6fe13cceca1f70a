"""kill -9 while counts are rolled up: what was rolled up is, what was not is not, and nothing is lost or doubled."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from store.database import Database
from store.governance.journal import Journal
from store.monitor.compaction import compact
from store.settings import Roll
from tests.store.monitor.test_compaction import HOUR, START, put, sums

ROLLS = (Roll(HOUR, 2 * 24 * HOUR),)
MINUTES = 600

#: Rolls up the store's counts, and stops inside the transaction of the portion with this number: after the rows were
#: deleted and their sum was put in their place, before the commit.
CHILD = """
import sys, threading
from pathlib import Path
from store.database import Database
from store.governance.journal import Journal
from store.monitor import compaction
from store.settings import Roll

database = Database.open(Path(sys.argv[1]), Journal)
roll_up, left = compaction._roll_up, [int(sys.argv[2])]

def stop(portion, tx):
    gone = roll_up(portion, tx)
    if gone and not left[0]:
        print("inside", flush=True)
        threading.Event().wait()
    left[0] -= 1
    return gone

compaction._roll_up, compaction.PORTION, compaction.REST = stop, 60, 0.0
compaction.compact(database, (Roll(int(sys.argv[3]), float(sys.argv[4])),))
print("done", flush=True)
"""


def killed_inside(path: Path, portion: int) -> None:
    command = [sys.executable, "-c", CHILD, str(path), str(portion), str(ROLLS[0].width), str(ROLLS[0].after)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as child:
        assert child.stdout
        assert child.stdout.readline() == "inside\n"
        child.send_signal(signal.SIGKILL)


def everything(database: Database) -> dict[str, Any]:
    """What must not change: counts now and as known at some full hours, and the sums of performance."""
    moments: list[datetime | None] = [None, *(START + timedelta(hours=hour) for hour in (1, 4, 9, 11))]
    performance = database.reader.read(
        lambda c: c.execute(
            f"SELECT floor(epoch(window_start) / {HOUR})::BIGINT AS w, sum(labelled), fsum(sums[1]), fsum(sums[2])"
            " FROM monitor_performance GROUP BY w ORDER BY w"
        ).fetchall()
    )
    return {
        "counts": [sums(database, at, HOUR) for at in moments],
        "performance": [(row[0], row[1], pytest.approx(row[2]), row[3]) for row in performance],
    }


def rows(database: Database) -> list[int]:
    return [
        int(database.reader.read(lambda c, name=table: c.execute(f"SELECT count(*) FROM {name}").fetchall())[0][0])
        for table in ("monitor_window", "monitor_performance")
    ]


def test_a_kill_inside_a_portion_loses_and_doubles_nothing(tmp_path: Path) -> None:
    path = tmp_path / "metadata.duckdb"
    database = Database.open(path, Journal)
    put(database, [(minute, minute, {minute % 4: 1 + minute % 3}) for minute in range(MINUTES)])
    before = everything(database)
    database.close()
    # Of the ten portions of the first table, then of those of the second.
    left = [MINUTES, MINUTES]
    for portion, rolled_up in ((0, (0, 0)), (3, (3, 0)), (8, (10, 1))):
        killed_inside(path, portion)
        database = Database.open(path, Journal)
        assert everything(database) == before
        left = [MINUTES - 59 * done for done in rolled_up]
        assert rows(database) == left
        database.close()
    database = Database.open(path, Journal)
    put(database, [(MINUTES, 5, {0: 7})])
    late = everything(database)
    cell = int(START.timestamp()) // HOUR, 0
    assert late["counts"][0][cell] == before["counts"][0][cell] + 7
    compact(database, ROLLS)
    assert rows(database) == [11, 11]
    assert everything(database) == late
    database.close()
