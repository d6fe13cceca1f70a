"""TERM=dumb promises nothing: no colour code is sent to it, by no command and not by the console."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pty_driver import Session

from console.terminal import without_colours
from tests.filled_store import QUARTERDECK

OpenConsole = Callable[..., Session]
_SGR = re.compile(rb"\x1b\[([0-9;:]*)m")


def colours(received: bytes) -> set[bytes]:
    """The SGR sequences that hold a colour (ECMA-48: 30-49, 58; aixterm: 90-107)."""
    return {
        found
        for found in _SGR.findall(received)
        if any(
            code.isdigit() and (30 <= int(code) <= 49 or int(code) == 58 or 90 <= int(code) <= 107)
            for code in re.split(b"[;:]", found)
        )
    }


def test_the_console_draws_without_a_colour(open_console: OpenConsole) -> None:
    console = open_console(env={"TERM": "dumb"})
    console.wait_for("flight-delay@prod")
    for keys, title in (("6", "monitor"), ("3", "runs"), ("7", "alerts"), ("?", "Help"), ("\x1b", "alerts")):
        console.send(keys)
        console.wait_for(title)
    assert colours(bytes(console.received)) == set()
    assert b"\x1b[" in console.received, "it is drawn all the same"


def test_with_colours_the_same_screens_have_some(open_console: OpenConsole) -> None:
    console = open_console()
    console.wait_for("flight-delay@prod")
    assert colours(bytes(console.received))


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",), ("ls", "--help"), ("ls", "runs"), ("ls", "deployments"), ("ls", "drift"), ("ls", "nothing"),
        ("show", "deployments", "flight-delay@production"), ("doctor",), ("agent", "status"), ("nonsense",),
        ("promote",), ("retry", "q999"),
    ],
)  # fmt: skip
def test_no_command_sends_a_control_sequence(store: Path, arguments: tuple[str, ...]) -> None:
    command = [*QUARTERDECK, *arguments]
    with Session(command, env={"TERM": "dumb", "QUARTERDECK_STORE": str(store), "FORCE_COLOR": "1"}) as session:
        session.wait_end()
        assert session.received.strip()
        assert b"\x1b" not in session.received


def test_progress_writes_over_no_line_there(store: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for part in range(3):
            rows = "\n".join(str(number % 17) for number in range(2_000))
            (tmp_path / name / f"{part}.csv").write_text(f"x\n{rows}\n")
    command = [*QUARTERDECK, "drift", str(tmp_path / "a"), "--reference", str(tmp_path / "b")]
    with Session(command, env={"TERM": "dumb", "HOME": str(store)}) as session:
        session.wait_end()
        assert b"\x1b" not in session.received
        assert b"parts" not in session.received


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("\x1b[1;38;2;10;20;30;48;5;7mx\x1b[0m", "\x1b[1mx\x1b[0m"),
        ("\x1b[38;2;1;2;3mx\x1b[m", "x\x1b[m"),
        ("\x1b[7;31;4mx", "\x1b[7;4mx"),
        ("\x1b[97;107mx\x1b[39;49m", "x"),
        ("\x1b[38:2::1:2:3mx", "x"),
        ("\x1b[2J\x1b[10;31Hx\x1b[?25l", "\x1b[2J\x1b[10;31Hx\x1b[?25l"),
        ("\x1b[38;5mx\x1b[48mx", "xx"),
    ],
)
def test_colours_are_taken_out_of_what_is_written(written: str, left: str) -> None:
    assert without_colours(written) == left
