"""Many deployments, a file a minute each, at many times real time, with consoles open: does the agent keep up?

python -m benchmarks.sustained --minutes 3

Exit code 0: it kept up and its memory stayed flat; 1: it did not; 130: interrupted (the agent and its store are gone).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import signal
import statistics
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.agents import QUARTERDECK, agent_on, connect, cpu_seconds, memory_bytes, settled, waited_seconds
from benchmarks.fleets import Traffic, name, write_model
from benchmarks.harness import Terminal, percentile, report, summary
from console.link import Client
from store.protocol import ActionParams, Empty, ListParams

MINUTE = 60
DAY = 86_400
#: What each console looks at: the keys that lead there from the first screen.
VIEWS = (b"", b":monitor model-00@production\r", b":windows\r")


@dataclasses.dataclass(frozen=True)
class Sample:
    """The agent at one moment: `at` in seconds since the first file, memory in bytes, CPU in seconds; its threads
    `waited` so many seconds for a processor."""

    at: float
    queue: int
    memory: int
    cpu: float
    waited: float
    database: int


def produce(store: str, deployments: int, files: int, rows: int, speed: float, begin: float, log: str) -> None:
    """A process: renames file after file into place on time, and notes when (`log`: digest and time, a line each)."""
    # Ctrl-C reaches every process of the terminal: this one is ended by its parent.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    making = Path(store) / "making"
    making.mkdir(exist_ok=True)
    inbox = Path(store) / "inbox" / "predictions"
    traffic = [Traffic(making, number, rows) for number in range(deployments)]
    gap = MINUTE / speed / deployments
    day = time.time() - DAY
    with Path(log).open("w") as noted:
        for minute in range(files):
            for number, source in enumerate(traffic):
                path, digest = source.write(minute, day + minute * MINUTE)
                wait = begin + (minute * deployments + number) * gap - time.time()
                if wait > 0:
                    time.sleep(wait)
                at = time.time()
                path.rename(inbox / f"{name(number)}@production" / path.name)
                noted.write(f"{digest} {at}\n")


def prepare(store: Path, deployments: int) -> None:
    """Models registered and in production."""
    with connect(store) as client:
        for number in range(deployments):
            made = write_model(store / "making", number)
            target = store / "inbox" / "models" / name(number)
            target.mkdir(parents=True)
            made.rename(target / "1")
        deadline = time.monotonic() + 300
        while client.call("list", ListParams(kind="versions", limit=1)).total < deployments:
            if time.monotonic() > deadline:
                raise TimeoutError("the models were not taken in")
            time.sleep(0.2)
        for number in range(deployments):
            (store / "inbox" / "predictions" / f"{name(number)}@production").mkdir(parents=True)
            client.call("act", ActionParams("promote", f"{name(number)}@production", "1", "benchmark"))


def sustain(store: Path, agent: int, options: argparse.Namespace) -> tuple[list[Sample], dict[str, float], int]:
    """Samples, when each file was renamed, and how many bytes the consoles received."""
    log = store / "renamed.log"
    begin = time.time() + 6
    producer = multiprocessing.get_context("spawn").Process(
        target=produce,
        args=(str(store), options.deployments, options.files, options.rows, options.speed, begin, str(log)),
    )
    over = threading.Event()
    received = [0] * options.consoles
    closed: list[int] = []
    screens = [
        threading.Thread(target=_watch, args=(store, number, over, received, closed))
        for number in range(options.consoles)
    ]
    samples: list[Sample] = []

    def look(client: Client) -> None:
        status = client.call("status", Empty())
        database = sum(file.stat().st_size for file in store.glob("metadata.duckdb*"))
        usage = memory_bytes(agent), cpu_seconds(agent), waited_seconds(agent)
        samples.append(Sample(time.time() - begin, status.queue, *usage, database))
        if options.verbose:
            print(f"     {samples[-1]}", flush=True)

    try:
        producer.start()
        for screen in screens:
            screen.start()
        with connect(store) as client:
            while producer.is_alive():
                producer.join(2)
                look(client)
            settled(client, 600)
    finally:
        over.set()
        producer.terminate()
        producer.join()
        for screen in screens:
            if screen.ident is not None:
                screen.join()
    if producer.exitcode:
        raise RuntimeError(f"the producer ended with code {producer.exitcode}")
    if closed:
        raise RuntimeError(f"consoles closed before the end: {closed}")
    return samples, {d: float(at) for d, at in map(str.split, log.read_text().splitlines())}, sum(received)


def _watch(store: Path, number: int, over: threading.Event, received: list[int], closed: list[int]) -> None:
    """A console that is looked at until it is `over`; `closed` tells of one that closed by itself."""
    with Terminal([*QUARTERDECK, "--store", str(store)]) as terminal:
        terminal.until_quiet(1.0, 20)
        terminal.send(VIEWS[number % len(VIEWS)] or b" ")
        while not over.is_set():
            if not terminal.listen(1.0):
                closed.append(number)
                return
            received[number] += terminal.recording.size()
            # The recording is this process's own memory.
            terminal.recording.chunks.clear()


def lags(store: Path, renamed: dict[str, float]) -> list[float]:
    """Seconds from rename to the transaction that recorded it, of each file, in order of renaming."""
    import duckdb

    with duckdb.connect(str(store / "metadata.duckdb"), read_only=True) as connection:
        rows = connection.execute("SELECT arrival, epoch(recorded_at) FROM monitor_arrival").fetchall()
    recorded = dict(rows)
    missing = [digest for digest in renamed if digest not in recorded]
    if missing:
        raise AssertionError(f"{len(missing)} of {len(renamed)} files were not recorded")
    return [recorded[digest] - at for digest, at in renamed.items()]


def slope(samples: list[Sample]) -> float:
    """Growth of memory in bytes an hour, by the least squares of all samples."""
    at = [sample.at for sample in samples]
    return statistics.linear_regression(at, [sample.memory for sample in samples]).slope * 3_600


def verdict(samples: list[Sample], lag: list[float], received: int, options: argparse.Namespace) -> bool:
    rate = options.deployments * options.speed / MINUTE
    last = samples[-1]
    busy = (last.cpu - samples[0].cpu) / (last.at - samples[0].at)
    waited = (last.waited - samples[0].waited) / (last.at - samples[0].at)
    print(
        f"     {len(lag):,} files of {options.rows} rows, {rate:.0f} a second; the agent used {busy:.2f} cores, and its"
    )
    print(f"     threads waited for a processor {waited:.1f} s a second (above 2, the machine is too busy to tell);")
    print(f"     its file grew to {last.database / 1e6:.0f} MB, the consoles were sent {received / 1e6:.1f} MB")
    half = len(lag) // 2
    report("lag, first half", summary(lag[:half]), "", True)
    late = percentile(lag[half:], 0.99)
    kept_up = report("lag, second half", summary(lag[half:]), "p99 < 5 s", late < 5)
    peak = max(sample.queue for sample in samples)
    figure = f"{last.queue:,} files wait at the end, {peak:,} at most"
    kept_up &= report("queue", figure, f"< {5 * rate:.0f} (5 s of files)", peak < 5 * rate)
    print(f"     the agent {'kept up' if kept_up else 'did not keep up'}")
    quarters = [samples[round(part * (len(samples) - 1) / 4)].memory / 1e6 for part in (1, 2, 3, 4)]
    print("     memory at 25, 50, 75 and 100 %: " + ", ".join(f"{memory:.0f}" for memory in quarters) + " MB")
    third = len(samples) // 3
    # A query's peak, in one sample of many, is no growth.
    middle = percentile([sample.memory for sample in samples[third : 2 * third]], 0.95) / 1e6
    end = percentile([sample.memory for sample in samples[2 * third :]], 0.95) / 1e6
    figure = f"p95 {middle:.0f} MB in the middle third, {end:.0f} MB in the last: "
    figure += f"{slope(samples[third:]) / 1e6:+.0f} MB an hour; at most {max(s.memory for s in samples) / 1e6:.0f} MB"
    return report("memory", figure, "grows by < 10%", end < 1.1 * middle) and kept_up


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        return run(arguments())
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        return 130


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=24, help="how long; 24 at 60 times real time are a day")
    parser.add_argument("--speed", type=float, default=60)
    parser.add_argument("--deployments", type=int, default=50)
    parser.add_argument("--rows", type=int, default=100, help="rows of each file")
    parser.add_argument("--consoles", type=int, default=3)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--keep", type=Path, help="keep the store here, to look at")
    options = parser.parse_args()
    options.files = round(options.minutes * options.speed)
    return options


def run(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="quarterdeck-") as folder:
        store = options.keep or Path(folder)
        store.mkdir(exist_ok=True)
        (store / "quarterdeck.toml").write_text(f"[monitor]\nbase_window_seconds = {MINUTE}\n")
        with agent_on(store) as agent:
            started = time.perf_counter()
            prepare(store, options.deployments)
            print(
                f"     {options.deployments} deployments stand after {time.perf_counter() - started:.0f} s", flush=True
            )
            samples, renamed, received = sustain(store, agent.pid, options)
        lag = lags(store, renamed)
    if options.keep:
        (store / "samples.json").write_text(json.dumps([dataclasses.asdict(sample) for sample in samples]))
    return 0 if verdict(samples, lag, received, options) else 1


if __name__ == "__main__":
    raise SystemExit(main())
