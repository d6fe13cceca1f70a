"""The real command on a pseudo-terminal: sizes, colours, locales, the way out."""

from __future__ import annotations

import re
from collections.abc import Callable

import psutil
import pytest
from pty_driver import DOWN, Session, wait_gone

OpenConsole = Callable[..., Session]
FLEET = r"flight-delay@prod"


@pytest.mark.parametrize(("columns", "lines"), [(120, 40), (80, 24)])
def test_the_first_screen_is_the_fleet(open_console: OpenConsole, columns: int, lines: int) -> None:
    console = open_console(columns=columns, lines=lines)
    text = console.wait_for(FLEET)
    assert "fleet" in text.splitlines()[0] or "fleet" in text.splitlines()[1]


@pytest.mark.parametrize(("columns", "lines"), [(120, 40), (80, 24)])
def test_every_main_screen_opens_on_its_digit(open_console: OpenConsole, columns: int, lines: int) -> None:
    console = open_console(columns=columns, lines=lines)
    console.wait_for(FLEET)
    for digit, name in enumerate(("datasets", "runs", "versions", "deployments"), 2):
        console.send(str(digit))
        console.wait_until(lambda text, name=name: name in text.splitlines()[1], f"the title of {name}")


def test_the_cursor_walks_the_runs(open_console: OpenConsole) -> None:
    console = open_console()
    console.wait_for(FLEET)
    console.send("3")
    console.wait_for(r"(?m)^▸\s+train-")
    names = re.findall(r"(?m)^[▸ ]\s+(train-\d+)", console.text)
    console.send(DOWN)
    console.wait_for(rf"(?m)^▸\s+{names[1]}")


def test_without_colour_every_cell_is_grey_and_readable(open_console: OpenConsole) -> None:
    console = open_console(env={"NO_COLOR": "1"})
    console.wait_for(FLEET)
    for line in range(console.screen.lines):
        for column in range(console.screen.columns):
            cell = console.screen.buffer[line][column]
            for colour in (cell.fg, cell.bg):
                is_grey = bool(re.fullmatch(r"([0-9a-f]{2})\1\1", colour))
                assert colour in ("default", "white", "black") or is_grey, (line, column, cell)
            if cell.data.strip():
                assert cell.fg != cell.bg, (line, column, cell)


def test_without_colour_what_is_drawn_is_far_brighter_than_its_ground(open_console: OpenConsole) -> None:
    console = open_console(env={"NO_COLOR": "1"})
    console.wait_for(FLEET)
    console.send("6")
    console.wait_for(r"drift \(psi\)")
    faint = []
    for line in range(console.screen.lines):
        for column in range(console.screen.columns):
            cell = console.screen.buffer[line][column]
            if cell.data.strip() and abs(_brightness(cell.fg, 255) - _brightness(cell.bg, 0)) < 96:
                faint.append((line, column, cell.data, cell.fg, cell.bg))
    assert faint == []


def _brightness(colour: str, default: int) -> int:
    """Of a grey, 0 to 255."""
    named = {"default": default, "white": 255, "black": 0}
    return named[colour] if colour in named else int(colour[:2], 16)


def test_sixteen_colours_are_the_only_ones(open_console: OpenConsole) -> None:
    console = open_console(env={"TERM": "xterm-16color", "COLORTERM": ""})
    console.wait_for(FLEET)
    sequences = re.findall(rb"\x1b\[([0-9;:]*)m", bytes(console.received))
    assert sequences
    assert not [sequence for sequence in sequences if re.search(rb"[34]8[;:][25]", sequence)]


def test_in_sixteen_colours_text_stands_out_from_its_ground(open_console: OpenConsole) -> None:
    console = open_console(env={"TERM": "xterm-16color", "COLORTERM": ""})
    console.wait_for(FLEET)
    unreadable = [
        (line, column, cell.data)
        for line in range(console.screen.lines)
        for column in range(console.screen.columns)
        if (cell := console.screen.buffer[line][column]).data.strip() and cell.fg == cell.bg != "default"
    ]
    assert unreadable == []


def test_an_ascii_locale_gets_ascii_only(open_console: OpenConsole) -> None:
    console = open_console(env={"LC_ALL": "C"})
    console.wait_for(FLEET)
    console.send("3")
    console.wait_for(r"train-\d")
    assert re.findall(rb".{0,20}[\x7f-\xff].{0,20}", bytes(console.received)) == []


def test_q_leaves_with_status_0_and_a_clean_terminal(open_console: OpenConsole) -> None:
    console = open_console()
    console.wait_for(FLEET)
    console.send("q")
    assert console.wait_end() == 0
    for restored in (b"\x1b[?1049l", b"\x1b[?25h"):
        assert restored in console.received


def test_hanging_up_ends_the_console_and_not_the_agent(open_console: OpenConsole) -> None:
    console = open_console()
    console.wait_for(FLEET)
    pid = console.child.pid
    children = psutil.Process(pid).children(recursive=True)
    console.hang_up()
    assert wait_gone(pid, 15)
    assert all(wait_gone(child.pid, 15) for child in children)
    # The agent answers the next console.
    open_console().wait_for(FLEET)


def test_a_resize_storm_does_no_harm(open_console: OpenConsole) -> None:
    console = open_console()
    console.wait_for(FLEET)
    for number in range(60):
        columns, lines = [(80, 24), (40, 10), (200, 60), (20, 5), (3, 2), (120, 40)][number % 6]
        console.resize(columns, lines)
        console.pump(0.01)
    console.resize(120, 40)
    console.send("3")
    console.wait_for(r"train-\d")
    console.send("1")
    console.wait_for(FLEET)
    console.send("q")
    assert console.wait_end() == 0
