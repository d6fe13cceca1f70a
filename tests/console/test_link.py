"""The synchronous client: whom it trusts, what it says when there is no agent, and what it does with answers."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from console.link import Client, check_folder, open_socket
from store import protocol
from store.protocol import ActionParams, Column, Empty, ExitCode, ListParams, Progress, Refusal
from tests.console.fake_agent import FakeAgent

ROWS = ([Column("id"), Column("name")], [["a", "alpha"], ["b", "beta"]])


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[FakeAgent]:
    agent = FakeAgent(tmp_path / "store", {"runs": ROWS})
    agent.store.mkdir()
    agent.start()
    yield agent
    agent.close()


def test_a_call_returns_the_result_struct_of_its_method(agent: FakeAgent) -> None:
    with Client.connect(agent.store, start_agent=False) as client:
        page = client.call("list", ListParams("runs"))
    assert [row[1] for row in page.rows] == ["alpha", "beta"]


def test_a_refusal_crosses_the_socket_with_code_hint_and_detail(agent: FakeAgent) -> None:
    def refuse(params: object) -> None:
        raise Refusal(ExitCode.CHANGED, "It changed.", "Look again.", {"revision": 8})

    agent.answer("act", refuse)
    with Client.connect(agent.store, start_agent=False) as client, pytest.raises(Refusal) as caught:
        client.call("act", ActionParams("rollback", "m@production"))
    assert (caught.value.code, caught.value.hint, caught.value.detail) == (
        ExitCode.CHANGED,
        "Look again.",
        {"revision": 8},
    )


def test_answers_are_told_apart_when_two_requests_are_under_way(agent: FakeAgent) -> None:
    with Client.connect(agent.store, start_agent=False) as client:
        first = client.post("list", ListParams("runs", limit=1))
        second = client.post("ping", Empty())
        assert client.take(second, 5).sequence == agent.sequence
        assert len(client.take(first, 5).rows) == 1


def test_progress_that_comes_between_is_passed_on(agent: FakeAgent) -> None:
    heard: list[Progress] = []
    with Client.connect(agent.store, start_agent=False) as client:
        client.on_progress = heard.append
        agent.notify("progress", Progress("backup", "backup", 1, 2))
        client.call("ping", Empty())
    assert [progress.task for progress in heard] == ["backup"]


def test_no_agent_is_said_with_the_command_that_starts_one(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as caught:
        Client.connect(tmp_path, start_agent=False)
    assert caught.value.code is ExitCode.NO_AGENT
    assert "No agent runs for" in caught.value.message
    assert "quarterdeck agent start" in caught.value.hint


def test_a_folder_that_everybody_may_write_is_not_trusted(agent: FakeAgent) -> None:
    folder = protocol.socket_path(agent.store).parent
    folder.chmod(stat.S_IRWXU | stat.S_IRWXO)
    with pytest.raises(Refusal, match="not trusted"):
        open_socket(agent.store)


def test_a_symbolic_link_in_place_of_the_folder_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refusal, match="not trusted"):
        check_folder(tmp_path, tmp_path / "run" / "agent.sock")


def test_an_agent_of_another_protocol_is_named_with_its_process(agent: FakeAgent) -> None:
    agent.greeting = msgspec.structs.replace(agent.greeting, protocol=99)
    with pytest.raises(Refusal, match="speaks protocol 99") as caught:
        Client.connect(agent.store, start_agent=False)
    assert caught.value.code is ExitCode.NO_AGENT


def test_a_connection_that_breaks_is_said_with_the_log_to_read(agent: FakeAgent) -> None:
    with Client.connect(agent.store, start_agent=False) as client:
        agent.drop()
        with pytest.raises(Refusal, match="closed the connection") as caught:
            client.call("ping", Empty())
    assert "agent.log" in caught.value.hint


def test_an_agent_that_cannot_start_is_told_in_its_own_words(tmp_path: Path) -> None:
    store = tmp_path / "file"
    store.write_text("not a folder")
    with pytest.raises(Refusal, match="did not start") as caught:
        Client.connect(store, timeout=20)
    assert caught.value.code is ExitCode.NO_AGENT
