"""However the terminal goes away, no process stays behind, and the agent goes on."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Callable
from pathlib import Path

from pty_driver import Session, wait_gone

from tests.filled_store import QUARTERDECK, quarterdeck

OpenConsole = Callable[..., Session]
FLEET = "flight-delay@prod"


def test_with_sighup_ignored_the_end_of_file_ends_it(store: Path) -> None:
    # What `nohup` does: the signal never comes, and every read of the terminal is an end of file.
    command = f"trap '' HUP; exec {shlex.join(QUARTERDECK)} --store {shlex.quote(str(store))}"
    with Session(["sh", "-c", command]) as session:
        session.wait_for(FLEET)
        session.hang_up()
        assert wait_gone(session.child.pid, 15)


def test_sigterm_ends_it_and_restores_the_terminal(open_console: OpenConsole) -> None:
    console = open_console()
    console.wait_for(FLEET)
    os.kill(console.child.pid, signal.SIGTERM)
    console.wait_end()
    assert b"\x1b[?1049l" in console.received


def test_hanging_up_in_the_middle_of_a_dialog_changes_nothing(open_console: OpenConsole, store: Path) -> None:
    before = quarterdeck(store, "ls", "revisions", "--json").stdout
    console = open_console()
    console.wait_for(FLEET)
    console.send("R")
    console.wait_until(lambda text: "rollback" in text.lower() or "roll back" in text.lower(), "the dialog")
    console.hang_up()
    assert wait_gone(console.child.pid, 15)
    assert quarterdeck(store, "ls", "revisions", "--json").stdout == before


def test_the_agent_answers_after_every_console_is_gone(open_console: OpenConsole, store: Path) -> None:
    console = open_console()
    console.wait_for(FLEET)
    console.hang_up()
    assert wait_gone(console.child.pid, 15)
    assert quarterdeck(store, "agent", "status").returncode == 0
