"""The console's living connection to the agent: requests, the change feed, and reconnection by itself."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from console.link import (
    REQUEST_SECONDS,
    Client,
    check_protocol,
    decode_response,
    encode_request,
    open_socket,
    read_result,
)
from store import protocol
from store.protocol import (
    Change,
    Empty,
    ExitCode,
    Hello,
    HelloParams,
    Progress,
    Refusal,
    Subscribed,
    SubscribeParams,
)

Status = Literal["connecting", "connected", "lost"]

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
#: An agent that says nothing for this long is asked whether it is still there.
PING_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class LinkState:
    """How the link is, since when (wall clock, seconds), and why when it is lost."""

    status: Status
    since: float
    why: str = ""

    @property
    def connected(self) -> bool:
        return self.status == "connected"


class LinkLost(Refusal):
    """The request went unanswered because the connection broke, or there is none."""

    def __init__(self, message: str = "The agent is not connected.") -> None:
        super().__init__(ExitCode.NO_AGENT, message, "The console reconnects by itself; look again then.")


@dataclass(slots=True)
class _Pending:
    method: str
    future: asyncio.Future[Any]


class LinkListener:
    """What the link tells, on the event loop; each method does nothing until it is overridden."""

    def changed(self, change: Change) -> None:
        """A change was committed; changes come in order and none twice."""

    def missed(self) -> None:
        """The feed no longer reaches back to what was known: everything shown must be fetched again."""

    def link_state(self, state: LinkState) -> None:
        """The link came or went."""

    def progress(self, progress: Progress) -> None:
        """Long work of the agent went on."""


class Link:
    """One connection at a time to the agent of `store`; `run` keeps it alive until it is cancelled.

    `adopted` is an already greeted synchronous connection to go on with; `listener` hears what comes.
    """

    def __init__(self, store: Path, adopted: Client | None = None) -> None:
        self.store = store
        self.hello: Hello | None = adopted.hello if adopted else None
        self.sequence: int | None = self.hello.sequence if self.hello else None
        self.state = LinkState("connected" if adopted else "connecting", time.time())
        #: When the agent was last heard, wall clock.
        self.heard = time.time()
        self.listener = LinkListener()
        self._adopted = adopted
        self._number = adopted.number if adopted else 0
        self._pending: dict[int, _Pending] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._ready = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self) -> None:
        """Connect, follow the feed, and connect again whenever that ends."""
        pause = FIRST_PAUSE
        try:
            while True:
                try:
                    await self._session()
                    why = "The agent closed the connection."
                except Refusal as refusal:
                    why = refusal.message
                except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                    why = str(error) or type(error).__name__
                if self.state.connected:
                    pause = FIRST_PAUSE
                self._drop(why)
                self._hurry.clear()
                try:
                    await asyncio.wait_for(self._hurry.wait(), pause)
                except TimeoutError:
                    pass
                pause = min(LONGEST_PAUSE, pause * 1.7)
        finally:
            self._drop("The console is closing.", tell=False)

    def reconnect_now(self) -> None:
        """Try at once instead of waiting for the next attempt."""
        self._hurry.set()

    async def call(self, method: str, params: msgspec.Struct, within: float | None = REQUEST_SECONDS) -> Any:
        """The result of `method` (`protocol.METHODS`); raises `Refusal`, of which `LinkLost` is one.

        A cancelled call is forgotten: its answer is thrown away when it comes.
        """
        if not self._ready.is_set():
            if self.state.status == "lost":
                raise LinkLost
            try:
                await asyncio.wait_for(self._ready.wait(), 5.0)
            except TimeoutError:
                raise LinkLost from None
        return await self._call(method, params, within)

    async def _call(self, method: str, params: msgspec.Struct, within: float | None) -> Any:
        writer = self._writer
        if writer is None:
            raise LinkLost
        self._number += 1
        number = self._number
        line = encode_request(number, method, params)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending[number] = _Pending(method, future)
        try:
            writer.write(line)
            async with asyncio.timeout(within):
                return await future
        except TimeoutError:
            raise Refusal(ExitCode.NO_AGENT, f"The agent did not answer {method} within {within:g} s.") from None
        finally:
            self._pending.pop(number, None)

    async def _session(self) -> None:
        client, self._adopted = self._adopted, None
        connection = client.connection if client else open_socket(self.store, timeout=2.0)
        early = bytes(client.buffer) if client else b""
        connection.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=connection, limit=protocol.MAX_RESPONSE_BYTES)
        self._writer = writer
        reading = asyncio.create_task(self._read(reader, early))
        opening = asyncio.create_task(self._open(greeted=client is not None))
        try:
            await asyncio.wait({reading, opening}, return_when=asyncio.FIRST_COMPLETED)
            if opening.done():
                await opening
                while not reading.done():
                    await asyncio.wait({reading}, timeout=PING_SECONDS)
                    if not reading.done() and time.time() - self.heard >= PING_SECONDS * 0.9:
                        await self._call("ping", Empty(), 10.0)
            await reading
        finally:
            for task in (reading, opening):
                task.cancel()
            await asyncio.gather(reading, opening, return_exceptions=True)
            writer.close()
            self._writer = None

    async def _open(self, greeted: bool) -> None:
        if not greeted:
            hello: Hello = await self._call("hello", HelloParams(client="console"), 10.0)
            check_protocol(hello)
            if self.hello is not None and hello.store_id != self.hello.store_id:
                # Another store stands in this folder now: what was shown belongs to the past one.
                self.sequence = None
            self.hello = hello
        known = self.sequence
        feed: Subscribed = await self._call("subscribe", SubscribeParams(since=known), 10.0)
        self._ready.set()
        self.state = LinkState("connected", time.time())
        self.listener.link_state(self.state)
        if known is not None and not feed.complete:
            self.sequence = feed.sequence
            self.listener.missed()
        else:
            for change in feed.changes:
                self._changed(change)
        self.sequence = max(self.sequence or 0, feed.sequence)

    async def _read(self, reader: asyncio.StreamReader, early: bytes) -> None:
        while True:
            try:
                line = await reader.readline()
            except ValueError as error:
                raise Refusal(ExitCode.NO_AGENT, "The agent sent a message that is too long.") from error
            if early:
                line, early = early + line, b""
            if not line.endswith(b"\n"):
                return
            for whole in line.splitlines() if line.count(b"\n") > 1 else (line,):
                self._accept(whole)

    def _accept(self, line: bytes) -> None:
        self.heard = time.time()
        response = decode_response(line)
        if isinstance(response.id, int):
            pending = self._pending.pop(response.id, None)
            if pending is None or pending.future.done():
                return
            try:
                pending.future.set_result(read_result(pending.method, response))
            except Refusal as refusal:
                pending.future.set_exception(refusal)
        elif isinstance(response.params, msgspec.UnsetType):
            return
        elif response.method == "change":
            self._changed(msgspec.json.decode(response.params, type=Change))
        elif response.method == "progress":
            self.listener.progress(msgspec.json.decode(response.params, type=Progress))

    def _changed(self, change: Change) -> None:
        if self.sequence is not None and change.sequence <= self.sequence and self._ready.is_set():
            return
        self.sequence = max(self.sequence or 0, change.sequence)
        self.listener.changed(change)

    def _drop(self, why: str, tell: bool = True) -> None:
        self._ready.clear()
        for pending in list(self._pending.values()):
            if not pending.future.done():
                pending.future.set_exception(LinkLost(f"The connection broke: {why}"))
        self._pending.clear()
        if self._adopted is not None:
            self._adopted.close()
            self._adopted = None
        if tell and self.state.status != "lost":
            self.state = LinkState("lost", time.time(), why)
            self.listener.link_state(self.state)
