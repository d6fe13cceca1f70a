"""A full disk and a read-only disk: a clear error, and nothing that was acknowledged is lost."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from store.protocol import ActionParams, DoctorReport, Empty, Hello, HelloParams, Refusal, Verified
from tests.driver import RunningAgent


def _mount(*arguments: str) -> bool:
    try:
        return subprocess.run(["mount", *arguments], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or not _mount("-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)):
        pytest.skip("a file system of its own needs root and mount(2)")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def note(agent: RunningAgent, text: str) -> Any:
    with agent.client() as client:
        return client.call("act", ActionParams("note", "runs/r", reason=text))


def notes(agent: RunningAgent) -> list[Any]:
    return sorted(row[2] for row in agent.page("notes").rows)


def fill(path: Path) -> None:
    with path.open("wb") as file:
        try:
            while True:
                file.write(b"x" * 65536)
                file.flush()
        except OSError:
            pass


def test_a_full_disk_refuses_changes_and_recovers_when_there_is_room(disk: Path) -> None:
    with RunningAgent(disk / "store") as agent:
        note(agent, "before")
        fill(disk / "ballast")
        with pytest.raises(Refusal, match="could not write") as refusal:
            for number in range(200):
                note(agent, f"{number} " + os.urandom(900).hex())
        assert "nothing was changed" in refusal.value.hint
        kept = notes(agent)
        (disk / "ballast").unlink()
        note(agent, "zz after")
        assert notes(agent) == [*kept, "zz after"]
        agent.kill()
        agent.start()
        assert notes(agent) == [*kept, "zz after"]
        with agent.client() as client:
            verified: Verified = client.call("verify", Empty())
        assert verified.broken_at is None


def test_a_read_only_database_file_is_still_shown_and_refuses_changes(disk: Path) -> None:
    with RunningAgent(disk / "store") as agent:
        note(agent, "before")
        database = agent.store / "metadata.duckdb"
        agent.stop()
        assert _mount("--bind", str(database), str(database))
        assert _mount("-o", "remount,bind,ro", str(database))
        agent.start()
        assert notes(agent) == ["before"]
        with agent.client() as client:
            hello: Hello = client.call("hello", HelloParams())
            report: DoctorReport = client.call("doctor", Empty())
        assert "Read-only" in hello.read_only
        assert next(check.status for check in report.checks if check.name == "store") == "failed"
        with pytest.raises(Refusal, match="read-only"):
            note(agent, "never")
        agent.stop()
        subprocess.run(["umount", str(database)], check=True)


def test_a_store_on_a_read_only_disk_is_refused_by_the_file_it_needs(disk: Path) -> None:
    with RunningAgent(disk / "store") as agent:
        note(agent, "before")
    assert _mount("-o", "remount,ro", str(disk))
    with pytest.raises(AssertionError, match=r"agent\.lock: Read-only file system"):
        RunningAgent(disk / "store").start()
