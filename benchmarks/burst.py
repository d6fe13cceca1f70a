"""10,000 small artifacts at once: how long until all are taken in, and what another console feels meanwhile."""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.agents import agent_on, connect, total_runs, write_run
from benchmarks.harness import percentile, report, summary
from store.protocol import ListParams


def burst(store: Path, count: int, limit: float) -> tuple[float, list[float]]:
    """Seconds until all stand in the catalog, and the latency of a page asked for every 50 ms meanwhile."""
    made = [write_run(store / "making", f"burst-{number:05d}") for number in range(count)]
    latencies: list[float] = []
    over = threading.Event()

    def watch() -> None:
        with connect(store) as client:
            while not over.wait(0.05):
                asked = time.perf_counter()
                client.call("list", ListParams(kind="runs", limit=40))
                latencies.append(time.perf_counter() - asked)

    watcher = threading.Thread(target=watch)
    with connect(store) as client:
        watcher.start()
        started = time.perf_counter()
        try:
            for run in made:
                run.rename(store / "inbox" / "runs" / run.name)
            while (taken := total_runs(client)) < count:
                if time.perf_counter() - started > limit:
                    raise TimeoutError(f"{taken} of {count} after {limit} s")
                time.sleep(0.1)
            elapsed = time.perf_counter() - started
        finally:
            over.set()
            watcher.join()
    return elapsed, latencies


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--limit", type=float, default=600, help="seconds to give up after")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="quarterdeck-") as folder, agent_on(Path(folder)):
        elapsed, latencies = burst(Path(folder), options.count, options.limit)
    name = f"burst of {options.count:,}"
    print(f"     {name:<22} taken in {elapsed:.1f} s, {options.count / elapsed:.0f} a second")
    met = percentile(latencies, 0.99) < 0.5
    return 0 if report("page during the burst", summary(latencies), "p99 < 500 ms", met) else 1


if __name__ == "__main__":
    raise SystemExit(main())
