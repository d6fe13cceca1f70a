"""What an operator does on the terminal changes the store, and what arrives is cleaned before it is drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from pty_driver import DOWN, ENTER, UP, Session

from tests.driver import wait_for
from tests.filled_store import DEPLOYMENT, MODEL, quarterdeck, write_run

OpenConsole = Callable[..., Session]
FLEET = r"(?m)^ fleet · [1-9]"


def effective(store: Path) -> dict[str, float]:
    rows = json.loads(quarterdeck(store, "ls", "deployments", "--json").stdout)
    found: dict[str, float] = next(row["effective"] for row in rows if row["deployment"] == DEPLOYMENT)
    return found


def test_a_run_that_arrives_is_drawn(open_console: OpenConsole, store: Path) -> None:
    console = open_console()
    console.wait_for(FLEET)
    console.send("3")
    console.wait_for(r"train-\d")
    write_run(store, "just-arrived")
    console.wait_for("just-arrived")


def test_what_is_typed_right_after_the_colon_reaches_the_command_line(open_console: OpenConsole) -> None:
    console = open_console()
    console.wait_for(FLEET)
    console.send(f":runs /train-17{ENTER}")
    console.wait_for(r"(?m)^▸?\s+train-17")
    console.wait_gone("train-18")


def test_names_with_escape_sequences_are_drawn_as_text(open_console: OpenConsole, store: Path) -> None:
    (store / "inbox" / "runs" / "\x1b]0;owned\x07\x1b[31mred").mkdir()
    (store / "inbox" / "runs" / "\x1b]0;owned\x07\x1b[31mred" / "run.json").write_text("{}")
    console = open_console()
    console.wait_for(FLEET)
    console.send("3")
    console.wait_for(r"owned.*\[31m")
    assert b"\x1b]0;owned" not in console.received
    assert b"\x1b[31mred" not in console.received


def confirm(console: Session, reason: str) -> None:
    """Answers the dialog for production: up to the reason, then the name, then past Cancel to Confirm."""
    console.wait_for(f"type {MODEL}")
    console.press(UP)
    console.press(UP)
    console.send(reason)
    console.wait_for(rf"reason {reason}")
    console.press(ENTER)
    console.send(MODEL)
    console.wait_gone("to confirm, ")
    console.press(ENTER)
    console.press(DOWN)
    console.press(ENTER)
    console.wait_gone(f"type {MODEL}")


def test_promote_and_roll_back_by_key(open_console: OpenConsole, store: Path) -> None:
    assert effective(store) == {"1": 1.0}
    console = open_console()
    console.wait_for(FLEET)
    console.send("4")
    console.wait_for(rf"(?m)^▸\s+{MODEL}@2")
    console.send("P")
    console.wait_for("enter chooses")
    console.wait_for(r"(?m)▸\s+production")
    console.send(ENTER)
    confirm(console, "better since June")
    wait_for("version 2", lambda: effective(store) == {"2": 1.0})
    console.send("1")
    console.wait_for(FLEET)
    console.send("R")
    confirm(console, "log loss")
    wait_for("version 1", lambda: effective(store) == {"1": 1.0})
    journal = json.loads(quarterdeck(store, "ls", "journal", "--filter", "kind=deployments", "--json").stdout)
    assert {"better since June", "log loss"} <= {row["reason"] for row in journal}


def test_enter_in_the_dialog_as_it_opens_cancels(open_console: OpenConsole, store: Path) -> None:
    before = quarterdeck(store, "ls", "revisions", "--json").stdout
    console = open_console()
    console.wait_for(FLEET)
    console.send("4")
    console.wait_for(rf"(?m)^▸\s+{MODEL}@2")
    console.send("P")
    console.wait_for(r"(?m)▸\s+production")
    console.send(ENTER)
    console.wait_for(f"type {MODEL}")
    console.send(ENTER)
    console.wait_for("nothing was done")
    assert quarterdeck(store, "ls", "revisions", "--json").stdout == before
