"""What an idle console and agent cost, and what a console keeps of 10,000 updates."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.agents import QUARTERDECK, agent_on, connect, cpu_seconds, memory_bytes, write_run
from benchmarks.harness import Terminal, report
from store.protocol import ActionParams

WARM_UP = 500


def idle(store: Path, agent: int, seconds: float) -> bool:
    """Bytes and CPU of a console on an unchanging store."""
    for number in range(50):
        write_run(store / "making", f"run-{number}").rename(store / "inbox" / "runs" / f"run-{number}")
    with Terminal([*QUARTERDECK, "--store", str(store)]) as terminal:
        terminal.until_quiet(2.0, 30)
        terminal.send(b"3")
        terminal.until_quiet(2.0, 30)
        # Ages on the screen go from seconds to minutes once: what is measured is the state after that.
        terminal.listen(65)
        size, started = terminal.recording.size(), time.perf_counter()
        console_cpu, agent_cpu = cpu_seconds(terminal.pid), cpu_seconds(agent)
        terminal.listen(seconds)
        elapsed = time.perf_counter() - started
        sent = (terminal.recording.size() - size) / elapsed * 60
        console_share = (cpu_seconds(terminal.pid) - console_cpu) / elapsed
        agent_share = (cpu_seconds(agent) - agent_cpu) / elapsed
    met = report("idle, to the terminal", f"{sent:.0f} bytes a minute", "< 2,000", sent < 2000)
    met &= report("idle, console", f"{console_share:.2%} of a core", "< 1%", console_share < 0.01)
    return met & report("idle, agent", f"{agent_share:.2%} of a core", "< 1%", agent_share < 0.01)


def growth(store: Path, updates: int, pause: float) -> bool:
    """Memory of a console whose journal view follows `updates` changes."""
    with Terminal([*QUARTERDECK, "--store", str(store)]) as terminal, connect(store) as client:
        terminal.until_quiet(1.0, 30)
        terminal.send(b"8")
        terminal.until_quiet(1.0, 30)
        at_first = 0
        for number in range(updates + WARM_UP):
            if number == WARM_UP:
                at_first = memory_bytes(terminal.pid)
            client.call("act", ActionParams("note", "runs/run-1", reason=f"update {number}"))
            terminal.listen(pause)
            # The recording is this process's own memory, and nobody looks at it.
            terminal.recording.chunks.clear()
        terminal.listen(1.0)
        grown = memory_bytes(terminal.pid) - at_first
    name = f"{updates:,} updates"
    return report(name, f"console grew by {grown / 1e6:.1f} MB", "< 10 MB", grown < 10e6)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--updates", type=int, default=10_000)
    parser.add_argument("--pause", type=float, default=0.02, help="seconds between updates")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="quarterdeck-") as folder, agent_on(Path(folder)) as agent:
        met = idle(Path(folder), agent.pid, options.seconds)
        met &= growth(Path(folder), options.updates, options.pause)
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
