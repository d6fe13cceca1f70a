"""Scratch copies do not outlive who reads them, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from console import cli

MAKE = "from store.monitor.files.scratch import Scratch, remove_scratch; import os, sys; one = Scratch();"


def run(folder: Path, program: str) -> int:
    environment = {**os.environ, "TMPDIR": str(folder)}
    return subprocess.run([sys.executable, "-c", MAKE + program], env=environment, check=False).returncode


def age(folder: Path) -> None:
    for one in folder.iterdir():
        os.utime(one, (1, 1))


def test_a_process_that_ends_leaves_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, "assert one.path.is_dir()") == 0
    assert run(tmp_path, "remove_scratch(); os._exit(0)") == 0
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    assert run(tmp_path, "os.kill(os.getpid(), 9)") == -signal.SIGKILL
    [left] = tmp_path.iterdir()
    assert run(tmp_path, "") == 0
    # It is young: its process may just have begun.
    assert list(tmp_path.iterdir()) == [left]
    age(tmp_path)
    assert run(tmp_path, "") == 0
    assert list(tmp_path.iterdir()) == []


def test_what_a_living_process_uses_and_what_others_made_stay(tmp_path: Path) -> None:
    other = tmp_path / "quarterdeck-notes"
    other.mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    living = subprocess.Popen(
        [sys.executable, "-c", MAKE + "print('ready', flush=True); sys.stdin.read()"],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert living.stdout is not None
        assert living.stdout.readline() == "ready\n"
        age(tmp_path)
        assert run(tmp_path, "") == 0
        assert len(list(tmp_path.iterdir())) == 2
    finally:
        living.communicate("")
    assert list(tmp_path.iterdir()) == [other]


def test_the_drift_command_leaves_no_copy(tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_bytes(b"ort;x\n" + "Köln;1\nZürich;2\n".encode("latin-1") * 500)
    command = [sys.executable, "-m", cli.__name__, "drift", "a.csv", "--reference", "b.csv"]
    environment = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert "Windows-1252" in done.stdout
    assert list(folder.iterdir()) == []


def test_threads_that_make_the_first_at_once_do_not_wait_for_each_other_for_ever(tmp_path: Path) -> None:
    program = """
import threading
from store.monitor.files import scratch
gate, made = threading.Barrier(16), []
def make():
    gate.wait()
    made.append(scratch.Scratch())
threads = [threading.Thread(target=make, daemon=True) for _ in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(20)
assert len(made) == 16 and {one.path.parent for one in made} == {scratch.scratch_root()}
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    assert subprocess.run([sys.executable, "-c", program], env=environment, check=False, timeout=60).returncode == 0
