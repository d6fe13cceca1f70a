"""Pages of 100 of a million runs through the agent: filtered, sorted, first, last, and newest first."""

from __future__ import annotations

import argparse
import random
import statistics
import time

from benchmarks.agents import connect, seeded_agent
from benchmarks.harness import milliseconds, percentile, report, summary
from benchmarks.seed import METRICS, PARAMS, RUNS
from console.link import Client
from store.protocol import ListParams, Page

PAGE = 100


def timed(client: Client, params: ListParams) -> tuple[float, Page]:
    started = time.perf_counter()
    page: Page = client.call("list", params)
    return time.perf_counter() - started, page


def query(chance: random.Random) -> ListParams:
    """A filter on a metric and a param, sorted by a metric."""
    param, metric, sort = chance.choice(list(PARAMS)), chance.choice(METRICS), chance.choice(METRICS)
    return ListParams(
        kind="runs",
        filter=f"metric.{metric}>{chance.uniform(0.0, 0.95):.3f} param.{param}=v{chance.randrange(2)}",
        sort=f"metric.{sort}:desc",
        limit=PAGE,
    )


def at_offset(params: ListParams, offset: int) -> ListParams:
    return ListParams(kind="runs", filter=params.filter, sort=params.sort, limit=PAGE, offset=offset)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--queries", type=int, default=100)
    options = parser.parse_args()
    chance = random.Random(20130101)
    times: dict[str, list[float]] = {"first": [], "middle": [], "last": [], "newest": [], "newest, last page": []}
    with seeded_agent(options.runs) as (store, _), connect(store) as client:
        for _ in range(options.queries):
            params = query(chance)
            seconds, page = timed(client, params)
            times["first"].append(seconds)
            assert page.rows or not page.total, "a page with rows"
            last = max(0, (page.total - 1) // PAGE * PAGE)
            times["middle"].append(timed(client, at_offset(params, chance.randrange(max(1, page.total))))[0])
            seconds, page = timed(client, at_offset(params, last))
            times["last"].append(seconds)
            assert page.rows or not page.total, "the last page has rows"
            times["newest"].append(timed(client, ListParams(kind="runs", limit=PAGE))[0])
            end = ListParams(kind="runs", limit=PAGE, offset=options.runs - PAGE)
            times["newest, last page"].append(timed(client, end)[0])
    for name, values in times.items():
        print(f"     {name:<22} {summary(values)}")
    pages = times["first"] + times["middle"] + times["last"]
    first, last_page = statistics.median(times["first"]), statistics.median(times["last"])
    met = report("any filtered page", summary(pages), "p99 < 150 ms", percentile(pages, 0.99) < 0.150)
    met &= report(
        "last page / first",
        f"{milliseconds(last_page)} / {milliseconds(first)} = {last_page / first:.2f}",
        "as fast",
        last_page / first < 1.25,
    )
    newest = times["newest"]
    met &= report("newest first", summary(newest), "median < 20 ms", statistics.median(newest) < 0.020)
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
