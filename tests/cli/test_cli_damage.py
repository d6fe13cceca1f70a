"""A damaged store on the command line: the agent's start error and `doctor` are the way out, not a circle."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from console import cli
from store.protocol import ActionParams, BackupParams
from tests.driver import RunningAgent

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.main(["--store", str(tmp_path / "store"), *arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store that was killed with notes in its write-ahead log, and a backup from before them."""
    agent = RunningAgent(tmp_path / "store").start()
    agent.stop()
    agent.start()
    with agent.client() as client:
        client.call("backup", BackupParams(str(tmp_path / "b.tar")))
        for number in range(20):
            client.call("act", ActionParams("note", "runs/r", reason=f"note {number}"))
    agent.kill()
    return agent.store


def damage_log(store: Path) -> None:
    log = store / "metadata.duckdb.wal"
    with log.open("r+b") as file:
        file.seek(log.stat().st_size // 2)
        file.write(b"\xff" * 64)


def test_the_start_error_holds_the_line_that_restores(store: Path, command: Command, tmp_path: Path) -> None:
    damage_log(store)
    status, out, err = command("agent", "start")
    assert (status, out) == (3, "")
    assert "Traceback" not in err
    assert "metadata.duckdb.wal" in err and "is damaged" in err
    assert "Whole: metadata.duckdb up to its last checkpoint" in err
    assert "Lost: what was recorded after that: journal sequence 1 to 20" in err
    line = shlex.split(err.splitlines()[1].partition("  (")[0])
    assert line == ["quarterdeck", "--store", str(store), "restore", str(tmp_path / "b.tar")]
    assert cli.main(line[1:]) == 0
    assert command("agent", "start")[0] == 0
    assert command("doctor")[0] == 0
    assert command("agent", "stop")[0] == 0


def test_doctor_looks_at_the_files_where_no_agent_starts(store: Path, command: Command) -> None:
    damage_log(store)
    status, out, _ = command("doctor")
    assert status == 1
    assert "FAILED   agent     none runs, and none starts on these files" in out
    assert "FAILED   store     metadata.duckdb.wal" in out
    assert "ok       whole     metadata.duckdb up to its last checkpoint" in out
    assert "FAILED   lost      what was recorded after that: journal sequence 1 to 20" in out
    assert f"quarterdeck --store {store} restore" in out
    status, out, _ = command("doctor", "--json")
    assert {check["name"] for check in json.loads(out)} > {"agent", "store", "whole", "lost"}


def test_a_loss_that_is_accepted_is_in_the_journal(store: Path, command: Command) -> None:
    damage_log(store)
    assert command("agent", "start", "--accept-loss")[0] == 0
    _, out, _ = command("ls", "journal", "--json")
    (row,) = json.loads(out)
    assert row["action"] == "accept_loss"
    assert "journal sequence 1 to 20" in row["reason"]
    assert command("agent", "stop")[0] == 0


def test_an_empty_store_beside_targets_that_serve_is_said_for_as_long_as_they_do(store: Path, command: Command) -> None:
    place = store / "targets/production/churn/revisions/3"
    place.mkdir(parents=True)
    pointer = {"deployment": "churn@production", "revision": 3, "version": "7", "digest": ""}
    (place / "revision.json").write_text(json.dumps(pointer))
    (place.parent.parent / "current").symlink_to("revisions/3")
    for name in ("metadata.duckdb", "metadata.duckdb.wal"):
        (store / name).unlink()
    status, _, err = command("ls", "deployments")
    assert status == 3
    assert "targets/ still serves churn@production (version 7, revision 3)" in err
    assert command("agent", "start", "--accept-loss")[0] == 0
    status, out, _ = command("doctor")
    assert status == 1
    assert "FAILED   targets   serving what this store has no record of: churn@production revision 3" in out
    assert command("agent", "stop")[0] == 0


def test_a_table_that_cannot_be_read_is_found_while_the_agent_runs(tmp_path: Path, command: Command) -> None:
    agent = RunningAgent(tmp_path / "store").start()
    with agent.client() as client:
        for number in range(300):
            client.call("act", ActionParams("note", "runs/r", reason=f"the text of note {number}"))
    agent.stop()
    path = agent.store / "metadata.duckdb"
    raw = path.read_bytes()
    # Twice in the file: in the journal and in the notes. What the notes hold has no JSON around it.
    places = [place for place in range(len(raw)) if raw.startswith(b"the text of note 1", place)]
    assert places
    with path.open("r+b") as file:
        for place in places:
            file.seek(place)
            file.write(b"\xff" * 8)
    status, out, err = command("doctor")
    assert status == 1, (out, err)
    assert "cannot be read" in out and "checksum" in out
    assert "what these tables held" in out
    assert "Traceback" not in out + err
    command("agent", "stop")


def test_doctor_of_a_folder_that_is_no_store_and_may_not_be_made(tmp_path: Path, command: Command) -> None:
    (tmp_path / "store").write_text("a file")
    status, out, _ = command("doctor")
    assert status == 1
    assert "Traceback" not in out


def test_help_of_accept_loss_says_what_it_is_for(command: Command) -> None:
    assert "Go on without what is damaged or missing" in " ".join(command("agent", "start", "--help")[1].split())
