"""On the real terminal: a critical alert that opens rings, is in the title, and the title is given back at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pty_driver import Session

from tests.alerting_store import DEPLOYMENT, SETTINGS, write_labels, write_model, write_predictions
from tests.driver import RunningAgent
from tests.filled_store import QUARTERDECK, quarterdeck, wait_for_rows

RULES = """
[alerts]
defaults = false
[[alerts.rule]]
name = "auc"
metric = "auc"
severity = "critical"
"""


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[RunningAgent]:
    """A version in production, two days of predictions, and no labels yet."""
    store = tmp_path / "store"
    store.mkdir()
    (store / "quarterdeck.toml").write_text(SETTINGS + RULES)
    with RunningAgent(store) as agent:
        write_model(store)
        wait_for_rows(agent, "versions", 1)
        quarterdeck(store, "promote", "m@1", "--to", "production", "--reason", "first", "--wait")
        write_predictions(store, 0)
        write_predictions(store, 1)
        wait_for_rows(agent, "windows", 2)
        yield agent


def received(session: Session, wanted: bytes, what: str) -> None:
    session.wait_until(lambda _: wanted in session.received, what)


def test_a_critical_alert_is_heard_and_in_the_title_until_the_console_ends(watched: RunningAgent) -> None:
    own_home = {"HOME": os.fspath(watched.store), "XDG_STATE_HOME": os.fspath(watched.store / "state")}
    with Session([*QUARTERDECK, "--store", str(watched.store)], env=own_home) as console:
        console.wait_for(DEPLOYMENT)
        console.wait_for("live")
        assert b"\x1b]2;" not in console.received
        write_labels(watched.store, 0)
        write_labels(watched.store, 1)
        title = f"\x1b[22;2t\x1b]2;! auc on {DEPLOYMENT} - quarterdeck\x07".encode()
        received(console, title, "the title")
        received(console, title + b"\x07", "the bell")
        console.send("q")
        assert console.wait_end() == 0
        assert b"\x1b]2;\x07\x1b[23;2t" in console.received
