"""A real agent on a store of its own, for tests that need the process: start, kill, talk, wait."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from console.link import Client
from store.protocol import ListParams, Page, socket_path

T = TypeVar("T")

#: Long enough for a loaded machine; a test that passes never waits this long.
PATIENCE_SECONDS = 30.0


def wait_for(what: str, look: Callable[[], T | None], patience: float = PATIENCE_SECONDS) -> T:
    """The first truthy answer of `look`, asked again and again. Raises AssertionError with `what`."""
    deadline = time.monotonic() + patience
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience:.0f} s for {what}; last saw {found!r}")
        time.sleep(0.01)


class RunningAgent:
    """`with RunningAgent(store) as agent:`; leaving ends the process."""

    def __init__(self, store: Path, **environment: str) -> None:
        self.store = store
        self.environment = environment
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> RunningAgent:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "store.agent", "--store", str(self.store)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, **self.environment},
        )
        wait_for("the agent to answer", self._answers)
        return self

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stderr
        self.process.stderr.close()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process
        self.process.terminate()
        code = self.process.wait(PATIENCE_SECONDS)
        assert self.process.stderr
        self.process.stderr.close()
        return code

    def client(self) -> Client:
        return Client.connect(self.store, start_agent=False, client="test")

    def page(self, kind: str, **params: Any) -> Page:
        with self.client() as client:
            page: Page = client.call("list", ListParams(kind, **params))
            return page

    def raw(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE_SECONDS)
        connection.connect(str(socket_path(self.store)))
        return connection

    @property
    def log(self) -> list[dict[str, Any]]:
        lines = (self.store / "log" / "agent.log").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def _answers(self) -> bool:
        assert self.process
        if self.process.poll() is not None:
            assert self.process.stderr
            raise AssertionError(f"the agent ended: {self.process.stderr.read().decode()}")
        try:
            self.client().close()
        except Exception:
            return False
        return True

    def __enter__(self) -> RunningAgent:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        if self.process and self.process.poll() is None:
            self.stop()
