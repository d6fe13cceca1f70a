"""What `doctor` says of the watched folders: how each is noticed, and why not at once where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.agent.doctor import _watched
from store.intake.roots import Mount, Standing
from store.intake.status import WatchedFolder
from store.protocol import CheckResult, DoctorReport, Empty
from store.settings import Settings
from tests.driver import RunningAgent, wait_for

NO_FOLDER = Standing("", None, frozenset(), frozenset(), "/s/inbox is not a folder")
PLAIN = Standing("/s/inbox", (1, 2), frozenset(), frozenset())


@pytest.mark.parametrize(
    ("folder", "status", "words"),
    [
        (WatchedFolder("/s/inbox", PLAIN, True, ""), "ok", "/s/inbox: told by the kernel"),
        (
            WatchedFolder("/s/inbox", PLAIN._replace(real="/disk"), True, ""),
            "ok",
            "/s/inbox (lies in /disk): told by the kernel",
        ),
        (WatchedFolder("/s/inbox", PLAIN, False, ""), "warning", "the kernel does not tell of it"),
        (
            WatchedFolder("/s/inbox", PLAIN, True, "asked for by the settings"),
            "ok",
            "/s/inbox: polled, asked for by the settings",
        ),
        (
            WatchedFolder("/s/inbox", NO_FOLDER, False, ""),
            "warning",
            "nothing arrives: /s/inbox is not a folder",
        ),
        (
            WatchedFolder("/s/inbox", PLAIN._replace(mounts=frozenset({Mount("1", "/s", "nfs4")})), True, ""),
            "warning",
            "/s/inbox: on nfs4, where the kernel tells only of what this host writes",
        ),
    ],
)
def test_each_folder_is_told_with_how_it_is_noticed(folder: WatchedFolder, status: str, words: str) -> None:
    (check,) = _watched([folder], Settings())
    assert (check.status, words in check.found) == (status, True), check
    assert status == "ok" or check.hint


def watched(agent: RunningAgent) -> CheckResult:
    with agent.client() as client:
        report: DoctorReport = client.call("doctor", Empty())
    return next(check for check in report.checks if check.name == "watched")


def test_an_inbox_whose_disk_is_not_there_yet_is_said_until_it_is(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / "inbox").symlink_to(tmp_path / "disk")
    with RunningAgent(store) as agent:
        check = watched(agent)
        assert check.status == "warning"
        assert check.found == f"nothing arrives: {store}/inbox leads to {tmp_path}/disk, which does not exist"
        (tmp_path / "disk").mkdir()
        wait_for("the inbox to be taken up", lambda: watched(agent).status == "ok")
        assert watched(agent).found == f"{store}/inbox (lies in {tmp_path}/disk): told by the kernel"
