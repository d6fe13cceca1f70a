"""The server: connections, framing, limits and dispatch; what the methods do is in `service`."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import duckdb
import msgspec

from store.agent.endpoint import Peer, peer_of
from store.database.damage import is_unreadable
from store.protocol import (
    MAX_REQUEST_BYTES,
    METHODS,
    PROTOCOL_VERSION,
    Change,
    ErrorObject,
    ExitCode,
    HelloParams,
    Progress,
    Refusal,
    Request,
    Response,
    refusal_to_error,
)

log = logging.getLogger(__name__)

#: Requests of one connection under way at once; more wait unread in the socket.
MAX_UNDER_WAY = 32
#: Seconds that a client has to read what it was sent when the connection ends.
GRACE_SECONDS = 1.0
#: A console that does not read this much of what it was sent is cut off; it reconnects when it is back.
MAX_UNREAD_BYTES = 64 << 20

_encode = msgspec.json.Encoder().encode
_decode_request = msgspec.json.Decoder(Request).decode

Handler = Callable[["Connection", Any], Awaitable[msgspec.Struct]]


class Connection:
    """One console or command at the other end of the socket."""

    _count = 0

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: Peer) -> None:
        Connection._count += 1
        self.number = Connection._count
        self.peer = peer
        self.client = ""
        self.greeted = False
        self._reader = reader
        self._writer = writer

    async def line(self) -> bytes:
        """The next request's line, b"" at the end. Raises LimitOverrunError when it is too long."""
        try:
            return await self._reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            return error.partial

    def send(self, response: Response) -> None:
        if self._writer.is_closing():
            return
        self._writer.write(_encode(response) + b"\n")
        if self._writer.transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            log.warning("cut off a client that does not read", extra={"pid": self.peer.pid})
            self._writer.transport.abort()

    def notify(self, method: str, params: Change | Progress) -> None:
        self.send(Response(method=method, params=msgspec.Raw(_encode(params))))

    async def close(self) -> None:
        """End the connection; a client that does not read what it was sent is not waited for."""
        self._writer.close()
        try:
            await asyncio.wait_for(self._writer.wait_closed(), GRACE_SECONDS)
        except TimeoutError:
            self._writer.transport.abort()
        except OSError:
            pass  # The other end went first.


class Server:
    """Accepts connections on `listener` and answers with `handlers`, one per name in `protocol.METHODS`."""

    def __init__(self, handlers: dict[str, Handler], gone: Callable[[Connection], None]) -> None:
        self._handlers = handlers
        self._gone = gone
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def start(self, listener: socket.socket) -> None:
        """Accept connections on `listener`, and no longer on the one before."""
        if self._server:
            self._server.close()
        self._server = await asyncio.start_unix_server(self._accept, sock=listener, limit=MAX_REQUEST_BYTES)

    async def close(self) -> None:
        if self._server:
            self._server.close()
        await asyncio.gather(*(connection.close() for connection in self._connections))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer, peer_of(writer.get_extra_info("socket")))
        self._connections.add(connection)
        under_way = asyncio.Semaphore(MAX_UNDER_WAY)
        tasks: set[asyncio.Task[None]] = set()
        try:
            while line := await self._line(connection):
                await under_way.acquire()
                task = asyncio.create_task(self._answer(connection, line))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                task.add_done_callback(lambda _done: under_way.release())
                # A greeting takes effect before what was sent behind it is looked at.
                if not connection.greeted:
                    await task
        except (ConnectionError, asyncio.CancelledError):
            pass  # The other end is gone, or the agent stops.
        finally:
            self._connections.discard(connection)
            self._gone(connection)
            # An action that was asked for is finished though nobody waits for its answer; a read is not.
            await connection.close()

    async def _line(self, connection: Connection) -> bytes:
        try:
            return await connection.line()
        except asyncio.LimitOverrunError:
            connection.send(Response(error=ErrorObject(-32600, f"A request may hold {MAX_REQUEST_BYTES} bytes.")))
            log.warning("request too long", extra={"pid": connection.peer.pid})
            return b""

    async def _answer(self, connection: Connection, line: bytes) -> None:
        request_id: int | str | None = None
        try:
            request = _decode_request(line)
            request_id = request.id
            handler = self._handlers.get(request.method)
            if handler is None:
                connection.send(Response(request_id, error=ErrorObject(-32601, f"No method {request.method!r}.")))
                return
            params = msgspec.json.decode(request.params, type=METHODS[request.method][0])
            _check_greeting(connection, request.method, params)
            result = await handler(connection, params)
            connection.send(Response(request_id, result=msgspec.Raw(_encode(result))))
        except Refusal as refusal:
            connection.send(Response(request_id, error=refusal_to_error(refusal)))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            connection.send(Response(request_id, error=ErrorObject(-32600, f"Not a valid request: {error}")))
        except Exception as error:
            log.exception("request failed", extra={"line": line[:500].decode("utf-8", "replace")})
            message, hint = "The agent failed on this request.", "Its log (log/agent.log) says where."
            if isinstance(error, duckdb.Error) and is_unreadable(error):
                message = f"The store's file cannot be read: {str(error).splitlines()[0]}"
                hint = "`quarterdeck doctor` says what is whole, what is lost, and how to restore it."
            error_object = ErrorObject(-32603, message, {"hint": hint})
            connection.send(Response(request_id, error=error_object))


def _check_greeting(connection: Connection, method: str, params: Any) -> None:
    if method == "hello":
        assert isinstance(params, HelloParams)
        if params.protocol != PROTOCOL_VERSION:
            raise Refusal(
                ExitCode.NO_AGENT,
                f"This agent speaks protocol {PROTOCOL_VERSION}, the console speaks {params.protocol}.",
                "Use the same version of Quarterdeck: `quarterdeck agent stop`, then start it again.",
            )
        connection.greeted = True
        connection.client = params.client[:100]
    elif not connection.greeted:
        raise Refusal(ExitCode.USAGE, "Say hello first.", "The first request of a connection is `hello`.")
