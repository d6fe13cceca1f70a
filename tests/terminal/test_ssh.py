"""The console through a real sshd on loopback."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from pty_driver import Session, wait_gone

from tests.driver import wait_for
from tests.filled_store import QUARTERDECK

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
SSH = shutil.which("ssh")
ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
    SSHD is None or SSH is None, reason="no sshd and ssh here; on Debian: apt install openssh-server openssh-client"
)


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """An sshd that lets this user in with a key of its own; the `ssh` command line that reaches it."""
    folder = tmp_path_factory.mktemp("ssh")
    folder.chmod(0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "authorized_keys").write_bytes((folder / "user.pub").read_bytes())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "sshd_config"
    config.write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder / 'host'}\nAuthorizedKeysFile {folder / 'authorized_keys'}\n"
        f"PidFile {folder / 'pid'}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
    )
    assert SSHD is not None
    if os.getuid() == 0:
        # The folder that sshd locks itself into before it knows who is there; packages make it at boot.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=subprocess.PIPE)

    def answers() -> bool:
        if server.poll() is not None:
            assert server.stderr is not None
            pytest.skip(f"sshd does not start here: {server.stderr.read().decode().strip()}")
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_for("sshd to listen", answers)
        options = ["StrictHostKeyChecking=no", f"UserKnownHostsFile={folder / 'known'}", "LogLevel=ERROR"]
        yield [
            "ssh",
            "-tt",
            "-p",
            str(port),
            "-i",
            str(folder / "user"),
            *(word for option in options for word in ("-o", option)),
            f"{getpass.getuser()}@127.0.0.1",
        ]
    finally:
        server.terminate()
        server.wait(10)
        assert server.stderr is not None
        server.stderr.close()


def remote(store: Path) -> str:
    return f"cd {ROOT} && exec {' '.join(QUARTERDECK)} --store {store}"


def consoles(store: Path) -> list[psutil.Process]:
    """The console processes on this store, wherever they were started."""
    wanted = [*QUARTERDECK[1:], "--store", str(store)]
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [])[1:] == wanted and process.status() != psutil.STATUS_ZOMBIE
    ]


def test_the_fleet_is_seen_and_q_leaves(ssh: list[str], store: Path) -> None:
    with Session([*ssh, remote(store)], columns=100, lines=30) as session:
        session.wait_for("flight-delay@prod")
        session.resize(80, 24)
        session.send("3")
        session.wait_for(r"train-\d")
        session.send("q")
        assert session.wait_end() == 0


def test_a_lost_connection_leaves_no_process_behind(ssh: list[str], store: Path) -> None:
    with Session([*ssh, remote(store)], columns=100, lines=30) as session:
        session.wait_for("flight-delay@prod")
        running = consoles(store)
        assert running
        session.child.kill(9)
        assert all(wait_gone(process.pid, 20) for process in running)
