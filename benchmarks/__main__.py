"""`make bench`: every benchmark after the other, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

BENCHMARKS = (
    "first_frame",
    "key_to_paint",
    "lists_at_scale",
    "arrival_to_screen",
    "idle",
    "burst",
    "calibration",
    "drift_agent",
    "drift_files",
    "json_lines",
    "span_cost",
    "command_start",
)


def main() -> int:
    failed = []
    for name in BENCHMARKS:
        print(f"\n{name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode:
            failed.append(name)
    print(f"\n{len(BENCHMARKS) - len(failed)} of {len(BENCHMARKS)} met", *failed)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
