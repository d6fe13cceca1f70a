"""The console's living connection to the agent: requests, the change feed, and reconnection by itself."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from console.link import (
    HELLO_SECONDS,
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

#: `silent`: the connection stands, but the agent says nothing: it is stopped, hangs, or the host is overloaded.
Status = Literal["connecting", "connected", "silent", "lost"]

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
#: An agent that says nothing for this long is asked whether it is still there, and has this long to say so: together
#: less than 5 s. Its event loop answers that whatever else it works on.
PING_SECONDS = 2.0
ALIVE_SECONDS = 2.0
#: What came in the meantime is taken up before an agent is called silent: it may be this process that was held up.
GRACE_SECONDS = 0.1
#: Requests that go on waiting for an agent that is silent: what became of an action is to be known.
_KEPT_WAITING = frozenset({"act", "backup", "ping", "hello", "subscribe"})


@dataclass(frozen=True, slots=True)
class LinkState:
    """How the link is, since when (wall clock, seconds), why when it is lost, and what helps."""

    status: Status
    since: float
    why: str = ""
    help: str = ""

    @property
    def connected(self) -> bool:
        return self.status == "connected"


class LinkLost(Refusal):
    """The request went unanswered because the connection broke, or there is none."""

    def __init__(self, message: str = "The agent is not connected.", help: str = "") -> None:
        super().__init__(ExitCode.NO_AGENT, message, help or "The console reconnects by itself; look again then.")


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
                help = ""
                try:
                    await self._session()
                    why = "The agent closed the connection."
                except Refusal as refusal:
                    why, help = refusal.message, refusal.hint if "pid" in refusal.detail else ""
                except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                    why = str(error) or type(error).__name__
                if self.state.status in ("connected", "silent"):
                    pause = FIRST_PAUSE
                self._drop(why, help)
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
                raise LinkLost(self.state.why, self.state.help) if self.state.help else LinkLost
            try:
                await asyncio.wait_for(self._ready.wait(), 5.0)
            except TimeoutError:
                raise LinkLost from None
        if self.state.status == "silent":
            raise LinkLost(self.state.why, self.state.help)
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
                        await self._check_alive(reading)
            await reading
        finally:
            for task in (reading, opening):
                task.cancel()
            await asyncio.gather(reading, opening, return_exceptions=True)
            writer.close()
            self._writer = None

    async def _open(self, greeted: bool) -> None:
        if not greeted:
            try:
                hello: Hello = await self._call("hello", HelloParams(client="console"), HELLO_SECONDS)
            except LinkLost:
                raise
            except Refusal:
                raise self._silence("hello") from None
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

    async def _check_alive(self, reading: asyncio.Task[None]) -> None:
        """Ask the agent whether it is there; returns when it has said so, however long that takes, or is gone."""
        asked = time.time()
        try:
            await self._call("ping", Empty(), ALIVE_SECONDS)
            return
        except LinkLost:
            raise
        except Refusal:
            await asyncio.sleep(GRACE_SECONDS)
        while self.heard < asked and not reading.done():
            silence = self._silence("ping")
            why = silence.message.replace(" did not answer ping", " does not answer")
            before = self.state
            self.state = LinkState("silent", self.heard, why, silence.hint)
            if before.status != "silent":
                for pending in list(self._pending.values()):
                    if pending.method not in _KEPT_WAITING and not pending.future.done():
                        pending.future.set_exception(LinkLost(why, silence.hint))
            self.listener.link_state(self.state)
            # No further question: whatever it says, the answer to this one among it, ends the silence.
            await asyncio.wait({reading}, timeout=ALIVE_SECONDS)

    def _silence(self, what: str) -> Refusal:
        from console.agent_process import silent

        connection = self._writer.get_extra_info("socket") if self._writer is not None else None
        return silent(self.store, what, connection)

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
        if self.state.status == "silent":
            self.state = LinkState("connected", self.heard)
            self.listener.link_state(self.state)
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

    def _drop(self, why: str, help: str = "", tell: bool = True) -> None:
        self._ready.clear()
        for pending in list(self._pending.values()):
            if not pending.future.done():
                pending.future.set_exception(LinkLost(f"The connection broke: {why}"))
        self._pending.clear()
        if self._adopted is not None:
            self._adopted.close()
            self._adopted = None
        lost = self.state.status == "lost"
        if tell and (not lost or (help and help != self.state.help)):
            self.state = LinkState("lost", self.state.since if lost else time.time(), why, help)
            self.listener.link_state(self.state)
