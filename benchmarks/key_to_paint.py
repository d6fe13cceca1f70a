"""From a key press to the cursor's new row on the terminal, in a million runs and in the plain app."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks.first_frame import plain_is_full
from benchmarks.harness import PLAIN_APP, Terminal, cursor_text, summary

DOWN = b"\x1b[B"


def key_times(terminal: Terminal, key: bytes, count: int, interval: float) -> list[float]:
    """Presses `key` every `interval` seconds; seconds until another row stood highlighted, a press each.

    A paint that comes after the next press still counts for its own press. Raises RuntimeError when presses
    went unpainted.
    """
    pressed = []
    for _ in range(count):
        pressed.append(terminal.send(key))
        terminal.listen(interval)
    return paint_delays(terminal, pressed)


def paint_delays(terminal: Terminal, pressed: Sequence[float]) -> list[float]:
    waiting = list(pressed)
    delays: list[float] = []
    before = ""
    for at, screen in terminal.recording.replay():
        text = cursor_text(screen)
        if waiting and at > waiting[0] and text and text != before:
            delays.append(at - waiting.pop(0))
        if text:
            before = text
    if waiting:
        raise RuntimeError(f"{len(waiting)} of {len(pressed)} presses moved nothing; cursor on {before!r}")
    return delays


def plain_key_times(count: int, interval: float) -> list[float]:
    with Terminal(PLAIN_APP) as terminal:
        terminal.wait_for(plain_is_full, 20)
        terminal.until_quiet(0.5, 5)
        return key_times(terminal, DOWN, min(count, 190), interval)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=190)
    parser.add_argument("--interval", type=float, default=0.12, help="seconds between presses")
    options = parser.parse_args()
    print("plain app", summary(plain_key_times(options.keys, options.interval)))


if __name__ == "__main__":
    main()
