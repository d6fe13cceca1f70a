"""`retry` of many quarantined files: each is told, one that fails stops none of the others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from console import cli
from tests.driver import RunningAgent, wait_for

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    with RunningAgent(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture
def command(agent: RunningAgent, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.main(["--store", str(agent.store), *arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.fixture
def ids(agent: RunningAgent, request: pytest.FixtureRequest) -> list[str]:
    """Five datasets in quarantine: they name no environment's deployment until the folder is moved."""
    name = request.node.name
    folder = agent.store / "inbox/runs"
    for number in range(5):
        run = folder / f"{name}-{number}"
        run.mkdir()
        (run / "run.json").write_text('{"status": ')

    def found() -> list[str] | None:
        rows = agent.page("quarantine", filter=f"state=open path:{name}", limit=100)
        names = [column.name for column in rows.columns]
        cases = sorted((str(row[names.index("path")]), str(row[0])) for row in rows.rows)
        return [case for _, case in cases] if len(cases) == 5 else None

    return wait_for("five cases", found)


def mend_unseen(agent: RunningAgent, name: str, number: int) -> None:
    """The file's bytes are right, but its size and time are what they were: only `retry` reads it again."""
    import os

    path = agent.store / f"inbox/runs/{name}-{number}/run.json"
    found = path.stat()
    with path.open("r+b") as file:
        file.write(b'{"a": true}'[: found.st_size].ljust(found.st_size))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def test_each_that_is_still_wrong_is_told_and_the_rest_is_taken_in(
    agent: RunningAgent, command: Command, ids: list[str], request: pytest.FixtureRequest
) -> None:
    for number in (0, 3):
        mend_unseen(agent, request.node.name, number)
    status, out, err = command("retry", *ids, "q999999")
    assert status == 1
    for number, case in enumerate(ids):
        assert (f"retry {case}" in out) == (number in (0, 3)), (out, err)
        assert (f"{case}: Still wrong" in err) == (number not in (0, 3)), (out, err)
    assert "There is no open quarantine 'q999999'" in err
    assert "retry: 2 of 6 done, 4 not" in err


def test_json_has_a_line_for_each(agent: RunningAgent, command: Command, ids: list[str]) -> None:
    status, out, err = command("retry", *ids[:2], "--json")
    assert (status, out) == (1, "")
    errors = [json.loads(line)["error"] for line in err.splitlines()]
    assert [error["detail"]["subject"] for error in errors] == ids[:2]


def test_a_dry_run_changes_none(command: Command, ids: list[str]) -> None:
    status, out, _ = command("retry", *ids[:2], "--dry-run")
    assert status == 0
    assert all(f"quarterdeck retry {case}" in out for case in ids[:2])


def test_deployments_among_them_need_a_reason_and_one_expected_revision_is_for_one(command: Command) -> None:
    assert "Missing option '--reason'" in command("retry", "q1", "m@production")[2]
    assert "--expect is for one deployment" in command("retry", "q1", "q2", "--expect", "3")[2]


def test_without_ids_it_names_what_could_be_retried(command: Command, ids: list[str]) -> None:
    status, _, err = command("retry")
    assert status == 2
    assert "files are in quarantine" in err
    assert ids[-1] in err


def test_without_ids_and_with_nothing_in_quarantine_it_is_done(tmp_path: Path) -> None:
    with RunningAgent(tmp_path / "store") as other:
        assert cli.main(["--store", str(other.store), "retry"]) == 0
