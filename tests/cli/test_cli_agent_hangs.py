"""An agent that is stopped, hangs or cannot be found: every command names the process and what helps."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from console import agent_process, cli, link
from console.agent_process import state_of
from store.protocol import lock_path, socket_path
from tests.driver import RunningAgent, wait_for

Command = Callable[..., tuple[int, str, str]]
#: Holds the store's lock and listens as an agent does, but answers nobody and ignores SIGTERM.
_DEAF = """
import fcntl, os, signal, socket, sys, time
from pathlib import Path
from store.protocol import lock_path, socket_path
store = Path(sys.argv[1])
store.mkdir(parents=True, exist_ok=True)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
lock = open(lock_path(store), "w")
fcntl.flock(lock, fcntl.LOCK_EX)
lock.write(f"{os.getpid()}\\n"); lock.flush()
path = socket_path(store)
path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
listener = socket.socket(socket.AF_UNIX)
if sys.argv[2] == "listens":
    listener.bind(str(path)); listener.listen(8)
    os.utime(path, (time.time() - 3600,) * 2)
print("there", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.main(["--store", str(tmp_path / "store"), *arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[RunningAgent]:
    with RunningAgent(tmp_path / "store") as running:
        assert running.process
        yield running
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGCONT)


def stop(agent: RunningAgent) -> int:
    assert agent.process
    agent.process.send_signal(signal.SIGSTOP)
    pid = agent.process.pid
    wait_for("the agent to be stopped", lambda: state_of(pid) == "T")
    return pid


@pytest.fixture
def deaf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], int]]:
    monkeypatch.setattr(link, "HELLO_SECONDS", 0.2)
    monkeypatch.setattr(link.Client.greeted, "__defaults__", (0.2,))
    monkeypatch.setattr(link.Client.greet, "__defaults__", (0.2,))
    monkeypatch.setattr(agent_process, "TERM_SECONDS", 0.2)
    made: list[subprocess.Popen[bytes]] = []

    def start(how: str) -> int:
        process = subprocess.Popen([sys.executable, "-c", _DEAF, str(tmp_path / "store"), how], stdout=subprocess.PIPE)
        made.append(process)
        assert process.stdout
        process.stdout.readline()
        return process.pid

    yield start
    for process in made:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


@pytest.mark.parametrize("arguments", [("ls", "runs"), ("agent", "status"), ("agent", "stop"), ("agent", "start")])
def test_a_stopped_agent_is_named_with_what_helps(
    agent: RunningAgent, command: Command, arguments: tuple[str, ...]
) -> None:
    pid = stop(agent)
    began = time.monotonic()
    status, _, err = command(*arguments)
    assert time.monotonic() - began < 5
    assert status == 3
    assert f"process {pid}, stopped by a signal" in err
    assert f"kill -CONT {pid}" in err
    assert f"--store {agent.store} agent stop --force" in err
    assert "agent status" not in err


def test_doctor_tells_it_too_and_leaves_the_files_to_the_agent(agent: RunningAgent, command: Command) -> None:
    pid = stop(agent)
    status, out, _ = command("doctor")
    assert status == 1
    assert f"FAILED   agent     The agent did not answer hello: process {pid}, stopped by a signal" in out
    assert f"kill -CONT {pid}" in out
    assert "not looked at: the agent has its files open" in out


def test_a_stopped_agent_ends_in_order_when_it_is_forced(agent: RunningAgent, command: Command) -> None:
    pid = stop(agent)
    status, out, err = command("agent", "stop", "--force")
    assert (status, err) == (0, "")
    assert f"process {pid} (stopped by a signal), has ended after SIGTERM" in out
    assert agent.process
    assert agent.process.wait(30) == 0, "it closed the store as at any other end"
    assert command("agent", "status")[0] == 3


def test_a_request_under_way_is_told_that_the_agent_hangs(
    agent: RunningAgent, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setattr(link, "SILENCE_SECONDS", 0.2)
    monkeypatch.setattr(link, "ALIVE_SECONDS", 0.2)
    with agent.client() as client:
        from store.protocol import Empty, Refusal

        pid = stop(agent)
        with pytest.raises(Refusal, match=f"did not answer backup: process {pid}, stopped"):
            # A backup may take for ever; an agent that is stopped is noticed all the same.
            from store.protocol import BackupParams

            client.call("backup", BackupParams(str(agent.store / "b.tar")))
        assert agent.process
        agent.process.send_signal(signal.SIGCONT)
    with agent.client() as client:
        client.call("ping", Empty())


def test_a_deaf_agent_is_told_with_the_time_of_its_last_sign_and_killed_when_forced(
    deaf: Callable[[str], int], command: Command
) -> None:
    pid = deaf("listens")
    status, _, err = command("agent", "status")
    assert status == 3
    assert f"process {pid}, no sign of life since 20" in err
    assert "(1h00m)" in err
    assert "agent stop --force" in err
    status, out, err = command("agent", "stop", "--force", "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)["stopped"] == pid
    assert "did not end within" in json.loads(out)["how"] and "killed" in json.loads(out)["how"]
    assert state_of(pid) in ("", "Z")


def test_an_agent_without_its_socket_is_found_by_its_lock(deaf: Callable[[str], int], command: Command) -> None:
    pid = deaf("hides")
    for arguments in (("agent", "status"), ("agent", "stop"), ("ls", "runs"), ("agent", "start")):
        status, _, err = command(*arguments)
        assert (status, f"process {pid}, holds the store but does not listen" in err) == (3, True), err
        assert "agent stop --force" in err
    assert command("agent", "stop", "--force")[0] == 0
    assert state_of(pid) in ("", "Z")


def test_a_number_that_another_process_has_now_is_never_signalled(tmp_path: Path, command: Command) -> None:
    (tmp_path / "store").mkdir()
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as stranger:
        lock_path(tmp_path / "store").write_text(f"{stranger.pid}\n")
        status, _, err = command("agent", "stop", "--force")
        assert (status, "No agent runs" in err) == (3, True)
        assert stranger.poll() is None
        stranger.kill()


def test_an_agent_whose_socket_was_cleaned_away_listens_again(agent: RunningAgent) -> None:
    socket_path(agent.store).unlink()
    wait_for("the socket to be there again", lambda: socket_path(agent.store).exists())
    agent.client().close()
    assert any("listening again" in line["message"] for line in agent.log)


def test_the_state_of_a_process_is_read_whatever_its_name_holds() -> None:
    naming = "import signal; open('/proc/self/comm', 'w').write('a) T (b'); print(flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", naming], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        wait_for("it to sleep", lambda: state_of(process.pid) == "S")
        process.kill()
    assert state_of(process.pid) == ""
    assert state_of(os.getpid()) == "R"
