"""The agent as a process: one per store, stale sockets, limits, greeting, feed, backup and restore."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from store.protocol import (
    MAX_REQUEST_BYTES,
    ActionParams,
    BackupParams,
    DoctorReport,
    Empty,
    ExitCode,
    ListParams,
    Refusal,
    ShowParams,
    Verified,
    socket_path,
)
from tests.driver import PATIENCE_SECONDS, RunningAgent, wait_for


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[RunningAgent]:
    with RunningAgent(tmp_path / "store") as running:
        yield running


class Raw:
    """A connection that speaks lines."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.file = connection.makefile("rwb")

    def ask(self, line: bytes | dict[str, Any]) -> dict[str, Any]:
        self.file.write((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n")
        self.file.flush()
        return self.read()

    def hello(self) -> dict[str, Any]:
        return self.ask({"jsonrpc": "2.0", "id": 0, "method": "hello", "params": {"protocol": 1}})

    def read(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.file.readline())
        return answer

    def close(self) -> None:
        self.file.close()
        self.connection.close()


@pytest.fixture
def raw(agent: RunningAgent) -> Iterator[Raw]:
    connection = Raw(agent.raw())
    yield connection
    connection.close()


def run_agent(store: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "store.agent", "--store", str(store), *arguments],
        check=False,
        capture_output=True,
        timeout=60,
    )
    lines = done.stderr.splitlines()
    return done.returncode, json.loads(lines[-1]) if lines else {}


def test_a_second_agent_on_the_same_store_is_refused_by_name(agent: RunningAgent) -> None:
    assert agent.process
    code, said = run_agent(agent.store)
    assert code == ExitCode.NO_AGENT
    assert f"process {agent.process.pid}" in said["message"]
    assert agent.page("runs").total == 0


def test_a_socket_left_by_a_killed_agent_is_taken_over(agent: RunningAgent) -> None:
    agent.kill()
    assert socket_path(agent.store).exists()
    agent.start()
    assert agent.page("runs").total == 0


def test_stopping_leaves_no_socket_and_exit_code_zero(agent: RunningAgent) -> None:
    assert agent.stop() == 0
    assert not socket_path(agent.store).exists()


def test_a_client_that_reads_nothing_does_not_hold_up_the_end(agent: RunningAgent) -> None:
    with contextlib.closing(agent.raw()) as deaf:
        asked = {"jsonrpc": "2.0", "id": 1, "method": "list", "params": {"kind": "journal"}}
        deaf.sendall(b'{"jsonrpc":"2.0","id":0,"method":"hello","params":{"protocol":1}}\n')
        deaf.settimeout(0.5)
        # Until the agent takes no more: its answers fill what the kernel holds for this client.
        with contextlib.suppress(TimeoutError):
            while True:
                deaf.sendall(json.dumps(asked).encode() + b"\n")
        started = time.monotonic()
        assert agent.stop() == 0
        assert time.monotonic() - started < PATIENCE_SECONDS / 2


def test_only_the_owner_may_enter_the_sockets_folder(agent: RunningAgent) -> None:
    path = socket_path(agent.store)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_store_with_a_long_path_still_gets_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="qd") as runtime:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        with RunningAgent(tmp_path / ("long" * 25)) as running:
            assert socket_path(running.store).is_relative_to(runtime)
            assert running.page("runs").total == 0


def test_a_store_in_a_place_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, said = run_agent(tmp_path / "file" / "store")
    assert code == ExitCode.NO_AGENT
    assert "Not a directory" in said["message"]


def test_bad_settings_name_file_and_key(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / "quarterdeck.toml").write_text("[monitor]\npsi_alrm = 0.3\n")
    code, said = run_agent(store)
    assert code == ExitCode.USAGE
    assert "psi_alrm" in said["message"]


def test_a_connection_must_greet_first(raw: Raw) -> None:
    answer = raw.ask({"jsonrpc": "2.0", "id": 1, "method": "list", "params": {"kind": "runs"}})
    assert "hello" in answer["error"]["message"]


def test_another_protocol_version_is_refused_with_both_versions(raw: Raw) -> None:
    answer = raw.ask({"jsonrpc": "2.0", "id": 1, "method": "hello", "params": {"protocol": 99}})
    assert "protocol 1, the console speaks 99" in answer["error"]["message"]


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"{}",
        b"[1]",
        b'{"method": 5}',
        b'{"method": "list", "params": {"kind": 7}}',
        b"\xff\xfe",
        b"[" * 20000,
    ],
)
def test_what_is_no_request_gets_an_error_and_the_connection_lives(raw: Raw, line: bytes) -> None:
    raw.hello()
    assert "error" in raw.ask(line)
    assert "result" in raw.ask({"jsonrpc": "2.0", "id": 2, "method": "ping", "params": {}})


def test_a_request_over_the_limit_is_refused_and_the_agent_lives(agent: RunningAgent, raw: Raw) -> None:
    raw.hello()
    answer = raw.ask(b'{"method": "ping", "padding": "' + b"x" * (MAX_REQUEST_BYTES + 10) + b'"}')
    assert str(MAX_REQUEST_BYTES) in answer["error"]["message"]
    assert agent.page("runs").total == 0


def test_the_agent_knows_the_peer_from_the_kernel(raw: Raw) -> None:
    assert raw.hello()["result"]["uid"] == os.geteuid()


def note(agent: RunningAgent, text: str, **params: Any) -> Any:
    with agent.client() as client:
        return client.call("act", ActionParams("note", "runs/r", reason=text, **params))


def test_a_note_about_a_kind_that_there_is_not_is_refused(agent: RunningAgent) -> None:
    with agent.client() as client, pytest.raises(Refusal, match="There is no kind 'rums'") as refused:
        client.call("act", ActionParams("note", "rums/r", reason="x"))
    assert "runs" in refused.value.hint


def test_what_is_asked_for_as_a_dry_run_is_not_done(agent: RunningAgent) -> None:
    with agent.client() as client, pytest.raises(Refusal, match="dry run"):
        client.call("act", ActionParams("note", "runs/r", reason="x", dry_run=True))
    assert agent.page("notes").total == 0


def test_subscribers_hear_of_changes_and_ask_for_what_they_missed(agent: RunningAgent, raw: Raw) -> None:
    raw.hello()
    subscribed = raw.ask({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": {}})["result"]
    note(agent, "first")
    heard = raw.read()
    assert heard["method"] == "change"
    assert set(heard["params"]["topics"]) >= {"notes"}
    again = Raw(agent.raw())
    again.hello()
    missed = again.ask({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": {"since": subscribed["sequence"]}})[
        "result"
    ]
    assert missed["complete"]
    assert [change["sequence"] for change in missed["changes"]] == [heard["params"]["sequence"]]
    again.close()


def test_a_feed_position_from_an_earlier_agent_is_not_complete(agent: RunningAgent, raw: Raw) -> None:
    raw.hello()
    before = raw.ask({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": {}})["result"]["sequence"]
    agent.kill()
    agent.start()
    again = Raw(agent.raw())
    again.hello()
    answer = again.ask({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": {"since": before}})
    assert answer["result"]["complete"] is False
    again.close()


def test_the_same_request_twice_is_one_note(agent: RunningAgent) -> None:
    first = note(agent, "look here", request_id="abc")
    second = note(agent, "look here", request_id="abc")
    assert (first.sequence, second.repeated) == (second.sequence, True)
    assert agent.page("notes").total == 1


def test_what_needs_a_reason_is_refused_without_one(agent: RunningAgent) -> None:
    with pytest.raises(Refusal, match="needs a reason"):
        note(agent, "  ")


def test_users_who_are_no_operators_may_look_but_not_act(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / "quarterdeck.toml").write_text('[access]\noperators = ["somebody-else"]\n')
    with RunningAgent(store) as agent:
        assert agent.page("runs").total == 0
        with pytest.raises(Refusal) as refusal:
            note(agent, "hello")
        assert refusal.value.code == ExitCode.NOT_PERMITTED
        assert "somebody-else" in refusal.value.hint


def test_backup_while_it_works_and_restore_brings_everything_back(agent: RunningAgent, tmp_path: Path) -> None:
    note(agent, "before")
    settings = agent.store / "quarterdeck.toml"
    settings.write_text("# then\n")
    target = tmp_path / "backup.tar"
    with agent.client() as client:
        done = client.call("backup", BackupParams(str(target)))
        assert done.bytes == target.stat().st_size
        with pytest.raises(Refusal, match="exists already"):
            client.call("backup", BackupParams(str(target)))
    note(agent, "after")
    code, _ = run_agent(agent.store, "restore", str(target))
    assert code == ExitCode.NO_AGENT, "a running agent's store must not be restored over"
    agent.stop()
    settings.write_text("# now\n")
    assert run_agent(agent.store, "restore", str(target))[0] == 0
    agent.start()
    rows = agent.page("notes").rows
    assert [row[2] for row in rows] == ["before"]
    with agent.client() as client:
        verified: Verified = client.call("verify", Empty())
    assert verified.broken_at is None
    assert list((agent.store / "backups").glob("before-restore-*/metadata.duckdb"))
    assert settings.read_text() == "# then\n"
    aside = next((agent.store / "backups").glob("before-restore-*/quarterdeck.toml"))
    assert aside.read_text() == "# now\n"


def test_a_file_that_is_no_backup_changes_nothing(agent: RunningAgent, tmp_path: Path) -> None:
    note(agent, "kept")
    agent.stop()
    bad = tmp_path / "bad.tar"
    bad.write_bytes(b"not a tar" * 1000)
    code, said = run_agent(agent.store, "restore", str(bad))
    assert (code, "no Quarterdeck backup" in said["message"]) == (ExitCode.USAGE, True)
    agent.start()
    assert agent.page("notes").total == 1


def test_doctor_finds_nothing_wrong_in_a_new_store(agent: RunningAgent) -> None:
    with agent.client() as client:
        report: DoctorReport = client.call("doctor", Empty())
    assert {check.name for check in report.checks} >= {"lock", "store", "disk", "journal", "bits", "inotify"}
    assert [check for check in report.checks if check.status == "failed"] == []


def test_show_of_something_unknown_says_where_to_look(agent: RunningAgent) -> None:
    with agent.client() as client:
        for kind in ("runs", "models", "versions", "datasets", "deployments", "journal", "quarantine"):
            with pytest.raises(Refusal, match="nosuch"):
                client.call("show", ShowParams(kind, "nosuch@1"))
        with pytest.raises(Refusal, match="no listing"):
            client.call("show", ShowParams("nosuch-kind", "x"))


def test_a_slow_read_of_one_console_does_not_hold_up_another(agent: RunningAgent) -> None:
    with agent.client() as slow, agent.client() as quick:
        pending = [slow.post("doctor", Empty()) for _ in range(4)]
        assert quick.call("list", ListParams("runs")).total == 0
        for number in pending:
            slow.take(number, 30)


def test_the_log_is_json_lines_with_the_start(agent: RunningAgent) -> None:
    first = wait_for("the first log line", lambda: agent.log)[0]
    assert (first["level"], first["message"]) == ("info", "serving")
