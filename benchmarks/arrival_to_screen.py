"""From `rename()` of a finished run to its row in another process's console."""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from time import perf_counter

from benchmarks.agents import QUARTERDECK, agent_on, seeded_agent, write_run
from benchmarks.harness import Terminal, report, shows, summary


def arrivals(store: Path, times: int) -> list[float]:
    """Seconds from rename to row, an arrival each, with a second of quiet between them."""
    delays = []
    outside = store / "making"
    with Terminal([*QUARTERDECK, "--store", str(store)]) as terminal:
        terminal.until_quiet(0.5, 20)
        terminal.send(b"3")
        terminal.until_quiet(0.5, 20)
        for number in range(times):
            name = f"arrival-{number:04d}"
            run = write_run(outside, name)
            before = len(terminal.recording.chunks)
            started = perf_counter()
            run.rename(store / "inbox" / "runs" / name)
            at = terminal.wait_for(shows(name), 10)
            assert at > started and len(terminal.recording.chunks) > before
            delays.append(at - started)
            terminal.listen(1.0)
    return delays


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--runs", type=int, default=0, help="runs in the store before; 0: an empty store")
    options = parser.parse_args()
    if options.runs:
        with seeded_agent(options.runs) as (store, _):
            delays = arrivals(store, options.times)
    else:
        with tempfile.TemporaryDirectory(prefix="quarterdeck-") as folder, agent_on(Path(folder)):
            delays = arrivals(Path(folder), options.times)
    name = f"arrival to screen, {options.runs:,} runs"
    return 0 if report(name, summary(delays), "median < 300 ms", statistics.median(delays) < 0.3) else 1


if __name__ == "__main__":
    raise SystemExit(main())
