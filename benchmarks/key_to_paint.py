"""From a key press to the cursor's new row on the terminal, in a million runs and in the plain app."""

from __future__ import annotations

import argparse
import statistics
import threading
from collections.abc import Sequence
from pathlib import Path

from benchmarks.agents import QUARTERDECK, seeded_agent, write_run
from benchmarks.first_frame import plain_is_full
from benchmarks.harness import PLAIN_APP, Terminal, cursor_text, percentile, report, shows, summary
from benchmarks.seed import RUNS

DOWN = b"\x1b[B"


def key_times(terminal: Terminal, key: bytes, count: int, interval: float, top: int = 2) -> list[float]:
    """Presses `key` every `interval` seconds; seconds until another row stood highlighted, a press each.

    A paint that comes after the next press still counts for its own press. Raises RuntimeError when presses
    went unpainted.
    """
    pressed = []
    for _ in range(count):
        pressed.append(terminal.send(key))
        terminal.listen(interval)
    return paint_delays(terminal, pressed, top)


def paint_delays(terminal: Terminal, pressed: Sequence[float], top: int) -> list[float]:
    waiting = list(pressed)
    delays: list[float] = []
    before = ""
    for at, screen in terminal.recording.replay():
        text = cursor_text(screen, top=top)
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


def console_key_times(store: Path, count: int, interval: float, arrivals_a_second: float) -> list[float]:
    """The cursor goes down in the runs, by name, while other runs arrive."""
    making, inbox = store / "making", store / "inbox" / "runs"
    over = threading.Event()

    def arrive() -> None:
        number = 0
        while not over.wait(1 / arrivals_a_second):
            number += 1
            name = f"arrival-{number:06d}"
            write_run(making, name).rename(inbox / name)

    with Terminal([*QUARTERDECK, "--store", str(store)]) as terminal:
        terminal.wait_for(shows("quit"), 20)
        terminal.send(b"3")
        terminal.wait_for(shows("run-0999990"), 20)
        terminal.until_quiet(0.5, 5)
        arriving = threading.Thread(target=arrive)
        arriving.start()
        try:
            return key_times(terminal, DOWN, count, interval, top=3)
        finally:
            over.set()
            arriving.join()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=180, help="presses a round (the plain app has 200 rows)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--interval", type=float, default=0.12, help="seconds between presses")
    parser.add_argument("--arrivals", type=float, default=5, help="runs that arrive a second")
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    plain: list[float] = []
    console: list[float] = []
    for _ in range(options.rounds):
        with seeded_agent(options.runs) as (store, _):
            plain += plain_key_times(options.keys, options.interval)
            console += console_key_times(store, options.keys, options.interval, options.arrivals)
    print(f"     plain app              {summary(plain)}")
    print(f"     a million runs         {summary(console)}")
    ratio = percentile(console, 0.99) / percentile(plain, 0.99)
    median = statistics.median(console) / statistics.median(plain)
    return 0 if report("key to paint", f"p99 {ratio:.2f} ×, median {median:.2f} ×", "p99 <= 1.5 ×", ratio <= 1.5) else 1


if __name__ == "__main__":
    raise SystemExit(main())
