"""What an operator does on the terminal changes the store, and what arrives is cleaned before it is drawn."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from pty_driver import ENTER, Session

from tests.driver import wait_for
from tests.filled_store import DEPLOYMENT, MODEL, quarterdeck, write_run

OpenConsole = Callable[..., Session]
FLEET = "flight-delay@prod"


def effective(store: Path) -> dict[str, float]:
    rows = json.loads(quarterdeck(store, "ls", "deployments", "--json").stdout)
    found: dict[str, float] = next(row["effective"] for row in rows if row["deployment"] == DEPLOYMENT)
    return found


def test_a_run_that_arrives_is_drawn(open_console: OpenConsole, store: Path) -> None:
    console = open_console()
    console.wait_for(FLEET)
    console.send("3")
    console.wait_for("train-39")
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
    wait_for("the quarantine", lambda: json.loads(quarterdeck(store, "ls", "quarantine", "--json").stdout))
    console = open_console()
    console.wait_for(FLEET)
    console.send("9")
    console.wait_for(r"\[31mred")
    assert b"\x1b]0;owned" not in console.received
    assert b"\x1b[31mred" not in console.received


def test_promote_by_key_typing_the_models_name(open_console: OpenConsole, store: Path) -> None:
    assert effective(store) == {"1": 1.0}
    console = open_console()
    console.wait_for(FLEET)
    console.send("4")
    console.wait_for(f"{MODEL}@2")
    console.send("P")
    console.wait_for("(?i)environment|production")
    # Wherever the dialogs ask: the environment, the reason, the name, then the confirmation.
    for _ in range(8):
        text = console.text
        if effective(store) == {"2": 1.0}:
            break
        console.send(_answer(text))
        console.wait_until(lambda now, text=text: now != text, "an answer to the key")
    wait_for("version 2", lambda: effective(store) == {"2": 1.0})


def _answer(text: str) -> str:
    if re.search(r"(?i)type .*flight-delay", text):
        return MODEL + ENTER
    if re.search(r"(?i)reason", text):
        return "drift" + ENTER
    return ENTER
