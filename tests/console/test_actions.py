"""The registry: keys, why an action is impossible, and the command line that would do it."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from console.actions import ACTIONS, MAIN_VIEWS, Registry, Situation, unavailable
from console.command_lines import command_line
from console.keys import RESERVED_KEYS
from store.protocol import ActionParams, Refusal

FLEET = Situation("fleet", row="m@production", subject="m@production")
DESIGNED = {
    "P": "promote", "R": "rollback", "A": "abort", "T": "retry", "a": "ack", "m": "mute", "n": "note", "r": "resolve",
    "s": "sort", "space": "mark", "d": "describe", "y": "copy", "p": "pause", "t": "time_travel", "w": "windows",
    "colon": "command", "slash": "filter", "question_mark": "help", "enter": "open", "escape": "back",
    "minus": "last_view", "left_square_bracket": "history_back", "right_square_bracket": "history_forward",
    "at": "command_log", "exclamation_mark": "open_alerts", "q": "quit",
}  # fmt: skip


@pytest.mark.parametrize(("key", "action"), DESIGNED.items())
def test_a_designed_key_does_its_action(key: str, action: str) -> None:
    assert Registry().by_key[key].id == action


def test_the_number_keys_open_the_main_views_in_order() -> None:
    registry = Registry()
    assert [registry.by_key[str(number)].id for number in range(1, 10)] == [f"view.{view}" for view in MAIN_VIEWS]


def test_no_action_has_a_key_that_terminals_keep() -> None:
    assert not RESERVED_KEYS & set(Registry().by_key)


def test_every_dangerous_action_has_a_wire_action_and_is_off_ctrl() -> None:
    for action in ACTIONS:
        if action.danger >= 2:
            assert action.wire is not None
            assert not action.key.startswith("ctrl+")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"connected": False}, "the agent is lost"),
        ({"at": 1.0}, "the past is shown"),
        ({"read_only": "disk full"}, "disk full"),
        ({"may_act": False}, "may look but not act"),
        ({"stale": True}, "out of date"),
        ({"row": None}, "no row is chosen"),
        ({"view": "journal"}, "not on this view"),
    ],
)
def test_a_rollback_is_refused_with_the_reason(change: dict[str, object], why: str) -> None:
    assert why in unavailable(Registry().by_id["rollback"], replace(FLEET, **change))  # type: ignore[arg-type]


def test_a_rollback_is_possible_on_a_fresh_row() -> None:
    assert unavailable(Registry().by_id["rollback"], FLEET) == ""


def test_an_acknowledgement_is_possible_while_newer_data_is_fetched() -> None:
    alerts = Situation("alerts", row="7", subject="7", stale=True)
    assert unavailable(Registry().by_id["ack"], alerts) == ""


def test_the_command_line_of_a_promotion_survives_the_shell() -> None:
    params = ActionParams("promote", "flight delay@production", "2", "it's better", expect=7)
    assert shlex.split(command_line(params)) == [
        "quarterdeck", "promote", "flight delay@2", "--to", "production", "--reason", "it's better", "--expect", "7",
    ]  # fmt: skip


def test_keys_are_remapped_by_id(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text('rollback = "B"\nhelp = "f1"\n')
    registry = Registry.load(path)
    assert registry.by_key["B"].id == "rollback"
    assert "R" not in registry.by_key


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('rollback = "P"\n', "both have the key P"),
        ('rollback = "ctrl+s"\n', "terminals keep that key"),
        ('roll = "B"\n', "there is no action 'roll'"),
        ("rollback = \n", "cannot be read"),
    ],
)
def test_a_wrong_keys_file_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(Refusal, match=message):
        Registry.load(path)
