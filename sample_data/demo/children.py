"""The processes that the demo's conductor starts: each dies with it, and writes to one log."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from lifeline import environment_for_child

#: Seconds that a child has to end by itself once it was asked to.
PATIENCE = 5.0
_HERE = Path(__file__).resolve().parent


class Children:
    """Starts scripts and commands; `end` leaves none of them behind."""

    def __init__(self, log: IO[str], quarterdeck: Sequence[str], environment: Mapping[str, str]) -> None:
        self.log = log
        self.quarterdeck = list(quarterdeck)
        self.environment = dict(environment)
        self._running: list[subprocess.Popen[str]] = []

    def script(self, name: str, *arguments: object, listen: bool = False) -> subprocess.Popen[str]:
        """Start sample_data/demo/`name`; with `listen` its standard output is for the caller, else for the log."""
        process = subprocess.Popen(
            [sys.executable, str(_HERE / name), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if listen else self.log,
            stderr=self.log,
            text=True,
            # One thread each: the console and the agent are to stay quick on a machine with two cores.
            env=environment_for_child({**self.environment, "OMP_NUM_THREADS": "1"}),
        )
        self._running.append(process)
        return process

    def command(self, *arguments: object, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run `quarterdeck ARGUMENTS` to its end. Raises `subprocess.TimeoutExpired`."""
        return subprocess.run(
            [*self.quarterdeck, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env=self.environment,
        )

    def end(self) -> None:
        """End all that still run: asked first, killed when they do not within `PATIENCE` seconds."""
        running = [process for process in self._running if process.poll() is None]
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()
