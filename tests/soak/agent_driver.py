"""Starts the real agent on a store, speaks to it over its real socket, and kills it the hard way."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from store.catalog import models
from store.catalog.manifest import parse
from store.catalog.objects import Objects
from store.database import Actor, Database, Layout, times
from store.governance.journal import Journal
from store.protocol import (
    METHODS,
    ActionParams,
    Empty,
    ErrorObject,
    HelloParams,
    ListParams,
    Outcome,
    Page,
    Verified,
    error_to_refusal,
    socket_path,
)

T = TypeVar("T")


class AgentGone(Exception):
    """The connection broke before the answer came: whether the request was carried out is not known."""


class Client:
    """One connection to the agent: one request at a time."""

    def __init__(self, store: Path, timeout: float = 60.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        self._buffer = b""
        self._id = 0
        try:
            self._socket.connect(str(socket_path(store)))
        except OSError as error:
            self._socket.close()
            raise AgentGone(str(error)) from error
        try:
            self.call("hello", HelloParams(client="test"))
        except BaseException:
            self._socket.close()
            raise

    def call(self, method: str, params: msgspec.Struct) -> Any:
        """The typed result. Raises `Refusal` as the agent told it, `AgentGone` when the connection broke."""
        self._id += 1
        request = {"jsonrpc": "2.0", "id": self._id, "method": method, "params": msgspec.to_builtins(params)}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            while True:
                message = json.loads(self._line())
                if message.get("id") == self._id:
                    break
        except OSError as error:
            raise AgentGone(str(error)) from error
        if message.get("error") is not None:
            raise error_to_refusal(msgspec.convert(message["error"], ErrorObject))
        return msgspec.convert(message["result"], METHODS[method][1])

    def act(self, params: ActionParams) -> Outcome:
        outcome: Outcome = self.call("act", params)
        return outcome

    def rows(self, kind: str, **more: Any) -> list[dict[str, Any]]:
        """Every row of a listing as a mapping, page by page."""
        rows: list[dict[str, Any]] = []
        while True:
            page: Page = self.call("list", ListParams(kind, limit=5000, offset=len(rows), **more))
            names = [column.name for column in page.columns]
            rows += [dict(zip(names, row, strict=True)) for row in page.rows]
            if not page.rows or len(rows) >= page.total:
                return rows

    def verify(self) -> Verified:
        verified: Verified = self.call("verify", Empty())
        return verified

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _line(self) -> bytes:
        while b"\n" not in self._buffer:
            chunk = self._socket.recv(1 << 16)
            if not chunk:
                raise ConnectionResetError("the agent closed the connection")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line


class Agent:
    """The agent of `store` as a child process."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self._complaints = store.parent / "agent.err"
        self._process: subprocess.Popen[bytes] | None = None

    def spawn(self) -> None:
        """Start the process and wait for nothing."""
        with self._complaints.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "store.agent", "--store", str(self.store)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )

    def start(self, timeout: float = 60.0) -> None:
        """Start it and wait until it answers."""
        self.spawn()
        assert self._process is not None
        deadline = time.monotonic() + timeout
        while True:
            try:
                Client(self.store).close()
                return
            except AgentGone:
                if self._process.poll() is not None:
                    raise AssertionError(f"the agent ended at its start: {self._complaints.read_text()}") from None
                if time.monotonic() > deadline:
                    self.kill()
                    raise AssertionError(f"no answer within {timeout} s") from None
                # The socket does not exist yet: there is nothing to wait on but the clock.
                select.select([], [], [], 0.01)

    def kill(self) -> None:
        """SIGKILL: it gets to clean up nothing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Agent:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def seed(store: Path, model: str, versions: str) -> None:
    """Make the store with some registered versions of `model`, before any agent runs."""
    layout = Layout(store)
    layout.create()
    objects = Objects(layout.objects)
    database = Database.open(layout.database, Journal)
    try:
        for version in versions:
            folder = store.parent / "made" / model / version
            folder.mkdir(parents=True)
            (folder / "model.json").write_text(json.dumps({"model": model, "version": version}))
            (folder / "model.skops").write_text(f"bits of {version}")
            digest, size, files = objects.keep(folder)
            arrival = models.VersionArrival(
                parse((folder / "model.json").read_bytes()), digest, size, files, "", "", "", "", times.now()
            )
            database.writer.change(lambda tx, arrival=arrival: models.register(tx, arrival, Actor("test", "test")))
    finally:
        database.close()
