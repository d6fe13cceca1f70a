"""`kill -9` in the middle: every line that was written is a point exactly once."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import duckdb

from tests.store.intake.running import Running, eventually

CHILD = """
import sys, pathlib
from tests.store.intake.running import Running
running = Running(pathlib.Path(sys.argv[1])).start()
print("started", flush=True)
sys.stdin.read()
"""
KILLS = 3


def test_lines_written_while_the_agent_is_killed_count_once(tmp_path: Path) -> None:
    root = tmp_path / "store"
    folder = root / "inbox/runs/r"
    folder.mkdir(parents=True)
    lines = 0
    with (folder / "metrics.jsonl").open("a") as file:
        for _ in range(KILLS):
            child = subprocess.Popen(
                [sys.executable, "-c", CHILD, str(root)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=Path(__file__).parents[3],
            )
            assert child.stdout is not None
            child.stdout.readline()
            for _ in range(400):
                file.write(json.dumps({"step": lines, "auc": lines / 7}) + "\n")
                file.flush()
                lines += 1
            child.kill()
            child.wait()
            with contextlib.suppress(BrokenPipeError):
                child.communicate()
    store = Running(root).start()
    eventually(lambda: store.one("SELECT count(*) FROM metric_point") >= lines)
    eventually(lambda: store.intake.status().waiting == 0)
    store.close()
    with duckdb.connect(str(root / "metadata.duckdb"), read_only=True) as connection:
        counted = connection.execute("SELECT count(*), count(DISTINCT step) FROM metric_point").fetchone()
    assert counted == (lines, lines)
