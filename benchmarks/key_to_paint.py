"""From a key press to the cursor's new row on the terminal, in a million runs and in the plain app."""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from pathlib import Path

from benchmarks.agents import QUARTERDECK, seeded_agent, write_run
from benchmarks.first_frame import plain_is_full
from benchmarks.harness import PLAIN_APP, GrowingReplay, Terminal, cursor_text, percentile, report, shows, summary
from benchmarks.seed import RUNS

DOWN = b"\x1b[B"


def key_times(terminal: Terminal, key: bytes, count: int, interval: float, top: int = 2) -> list[float]:
    """Presses `key`, at least `interval` seconds apart; seconds until another row stood highlighted, a press each.

    A press waits for the paint of the one before. Raises RuntimeError when one moved nothing for ten seconds.
    """
    screens = terminal.recording.replay()
    before = _last_cursor(screens, top)
    delays: list[float] = []
    for number in range(count):
        pressed = terminal.send(key)
        while len(delays) == number:
            terminal.listen(interval)
            for at, screen in screens:
                text = cursor_text(screen, top=top)
                if text and text != before:
                    before = text
                    delays.append(at - pressed)
            if time.perf_counter() - pressed > 10:
                raise RuntimeError(f"press {number} moved nothing; the cursor is on {before!r}")
    return delays


def _last_cursor(screens: GrowingReplay, top: int) -> str:
    text = ""
    for _, screen in screens:
        text = cursor_text(screen, top=top)
    return text


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
