"""The connection to the agent, synchronous: one request after another over the store's Unix socket.

The command line uses `Client` as it is; the Textual application starts on one (console/launch.py) and hands
its socket over to the asyncio link (console/live.py). Nothing heavier than msgspec is imported here, since this
module stands between the shell prompt and the first frame.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from store import protocol
from store.protocol import Empty, ExitCode, Hello, HelloParams, Progress, Refusal

if TYPE_CHECKING:
    import subprocess

#: Seconds a request may take before the caller is told so; `None` where work has no bound (a backup).
REQUEST_SECONDS = 30.0
PATIENT_METHODS: Mapping[str, float | None] = {
    "backup": None,
    "doctor": None,
    "verify": None,
    "act": 300.0,
    "multivariate": 300.0,
}
#: Seconds without a word after which an agent that owes an answer is asked whether it is there, and those it has to say
#: so: its event loop answers that whatever else it works on.
SILENCE_SECONDS = 3.0
ALIVE_SECONDS = 3.0
#: Seconds that greeting may take, and after which it is looked whether the agent is stopped.
HELLO_SECONDS = 5.0
STOPPED_SECONDS = 1.0
#: Seconds that a freshly started agent has until it answers hello (it may be migrating an old store).
START_SECONDS = 30.0

_ENCODER = msgspec.json.Encoder()
_RESPONSE = msgspec.json.Decoder(protocol.Response)


def encode_request(number: int, method: str, params: msgspec.Struct) -> bytes:
    """The line that asks for `method`; a request that is too long for the wire is refused here."""
    line = _ENCODER.encode(protocol.Request(method, msgspec.Raw(_ENCODER.encode(params)), number)) + b"\n"
    if len(line) > protocol.MAX_REQUEST_BYTES:
        raise Refusal(ExitCode.USAGE, f"The request is {len(line):,} bytes; at most {protocol.MAX_REQUEST_BYTES:,} go.")
    return line


def decode_response(line: bytes) -> protocol.Response:
    """The message on `line`; raises `Refusal` when it is not one of the protocol."""
    try:
        return _RESPONSE.decode(line)
    except msgspec.MsgspecError as error:
        raise Refusal(ExitCode.NO_AGENT, f"The agent sent a message that cannot be read: {error}") from error


def read_result(method: str, response: protocol.Response) -> Any:
    """The result struct of `method` (`protocol.METHODS`), or the refusal that the agent answered with."""
    if isinstance(response.error, protocol.ErrorObject):
        raise protocol.error_to_refusal(response.error)
    raw = b"{}" if isinstance(response.result, msgspec.UnsetType) else response.result
    try:
        return msgspec.json.decode(raw, type=protocol.METHODS[method][1])
    except msgspec.MsgspecError as error:
        raise Refusal(
            ExitCode.NO_AGENT,
            f"The agent's answer to {method} cannot be read: {error}",
            "The console and the agent may be of different versions: quarterdeck agent stop, then try again.",
        ) from error


def check_protocol(hello: Hello) -> None:
    if hello.protocol != protocol.PROTOCOL_VERSION:
        raise Refusal(
            ExitCode.NO_AGENT,
            f"The agent (process {hello.pid}, version {hello.agent}) speaks protocol {hello.protocol}, "
            f"this console {protocol.PROTOCOL_VERSION}.",
            "Stop it with the version that started it: quarterdeck agent stop; then try again.",
        )


def check_folder(store: Path, path: Path) -> None:
    """Refuse a socket that somebody else could have put there.

    Its folder must belong to this user, to root or to the owner of the store, and not be writable by
    everybody.
    """
    folder = path.parent
    try:
        found = folder.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except PermissionError as error:
        raise Refusal(
            ExitCode.NOT_PERMITTED, f"You may not enter {folder.parent}.", "Its owner or group may let you in."
        ) from error
    owners = _trusted_owners(store)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners or found.st_mode & stat.S_IWOTH:
        raise Refusal(
            ExitCode.NO_AGENT,
            f"The socket folder {folder} is not trusted: owner {found.st_uid}, mode {stat.filemode(found.st_mode)}.",
            "It must belong to you or to the owner of the store, and not be writable by everybody.",
        )


def check_peer(store: Path, connection: socket.socket) -> None:
    """Refuse an agent that the kernel says belongs to a stranger."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    if uid not in _trusted_owners(store):
        raise Refusal(
            ExitCode.NO_AGENT,
            f"The process that answers for {store} belongs to user {uid}, not to you or the store's owner.",
        )


def _trusted_owners(store: Path) -> set[int]:
    owners = {os.getuid(), 0}
    try:
        owners.add(store.stat().st_uid)
    except OSError:
        pass
    return owners


def open_socket(store: Path, timeout: float | None = 5.0) -> socket.socket:
    """Connect to the agent of `store`; raises `Refusal(NO_AGENT)` when none listens or it is not trusted."""
    path = protocol.socket_path(store)
    check_folder(store, path)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        connection.connect(os.fspath(path))
        check_peer(store, connection)
    except Refusal:
        connection.close()
        raise
    except (TimeoutError, BlockingIOError) as error:
        # More wait to be let in than the kernel keeps waiting: it has not accepted anybody for long.
        connection.close()
        from console.agent_process import silent

        raise silent(store, "the connection") from error
    except PermissionError as error:
        connection.close()
        raise Refusal(
            ExitCode.NOT_PERMITTED, f"You may not talk to the agent of {store}.", f"{path}: permission denied"
        ) from error
    except OSError as error:
        connection.close()
        raise Refusal(
            ExitCode.NO_AGENT,
            f"No agent runs for {store}.",
            "Start one with: quarterdeck agent start",
            {"errno": error.errno},
        ) from error
    return connection


def start_agent(store: Path, accept_loss: bool = False) -> subprocess.Popen[bytes]:
    """Start the agent in the background, in a session of its own, as `tmux` starts its server.

    With `accept_loss` it goes on without what is damaged or missing.
    """
    import subprocess
    import tempfile

    root = Path(protocol.__file__).resolve().parents[1]
    installed = "site-packages" in root.parts or "dist-packages" in root.parts
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "store.agent", "--store", os.fspath(store.absolute())),
                *(["--accept-loss"] if accept_loss else []),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
            # The package is found from its source tree; never from wherever the operator happens to stand.
            cwd="/" if installed else os.fspath(root),
        )
        _STARTED[process.pid] = os.dup(errors.fileno())
    return process


#: Where the agents started by this process wrote their last words, until they answered or died.
_STARTED: dict[int, int] = {}


def last_words(process: subprocess.Popen[bytes]) -> tuple[str, str]:
    """What a started agent said of its end, and what it advises; each "" when it said nothing."""
    descriptor = _STARTED.pop(process.pid, None)
    if descriptor is None:
        return "", ""
    with os.fdopen(descriptor, "rb") as errors:
        errors.seek(0)
        lines = errors.read(1 << 16).decode("utf-8", "replace").strip().splitlines()
    if not lines:
        return "", ""
    try:
        refusal = msgspec.json.decode(lines[-1])
        return str(refusal["message"]), str(refusal["hint"])
    except (msgspec.DecodeError, KeyError, TypeError):
        # Of a traceback only the end says something.
        return lines[-1], ""


class Client:
    """A connection that sends one request and waits for its answer.

    `post` and `take` split the two, so that other work (importing Textual) goes on while the agent answers.
    """

    def __init__(self, store: Path, connection: socket.socket) -> None:
        self.store = store
        self.connection = connection
        self.hello: Hello | None = None
        self.buffer = bytearray()
        self.number = 0
        self.on_progress: Callable[[Progress], None] | None = None
        self._waiting: dict[int, str] = {}
        self._answers: dict[int, protocol.Response] = {}

    @classmethod
    def connect(
        cls,
        store: Path,
        start_agent: bool = True,
        timeout: float = START_SECONDS,
        client: str = "command line",
        accept_loss: bool = False,
    ) -> Client:
        """Connect and greet; starts an agent when none runs and `start_agent` allows it (`accept_loss` as there).

        Raises `Refusal` with `NO_AGENT` when none can be reached or started within `timeout` seconds, with
        `NOT_PERMITTED` when the socket is closed to this user.
        """
        try:
            self = cls(store, open_socket(store))
        except Refusal as refusal:
            if refusal.code is not ExitCode.NO_AGENT or "errno" not in refusal.detail:
                raise
            if not start_agent:
                from console.agent_process import unreachable

                raise unreachable(store) or refusal from refusal
            return cls._connect_to_started(store, timeout, client, accept_loss)
        self.greet(client)
        return self

    @classmethod
    def _connect_to_started(cls, store: Path, timeout: float, client: str, accept_loss: bool) -> Client:
        process = start_agent(store, accept_loss)
        deadline = time.monotonic() + timeout
        patience_after_exit = 2.0
        pause = 0.02
        while True:
            # A second console may have started the agent that won: the loser exits, and both talk to it.
            ended = process.poll() is not None
            try:
                self = cls(store, open_socket(store))
                self.greet(client, max(0.5, deadline - time.monotonic()))
            except Refusal as refusal:
                if "errno" not in refusal.detail and "closed" not in refusal.detail:
                    raise
            else:
                words = _STARTED.pop(process.pid, None)
                if words is not None:
                    os.close(words)
                return self
            if ended:
                deadline = min(deadline, time.monotonic() + patience_after_exit)
                patience_after_exit = 0.0
            if time.monotonic() >= deadline:
                from console.agent_process import unreachable

                said, hint = last_words(process)
                other = unreachable(store)
                raise other or Refusal(
                    ExitCode.NO_AGENT,
                    f"The agent for {store} did not start" + (f": {said}" if said else "."),
                    hint or f"Its log: {store / 'log' / 'agent.log'}; in the foreground: quarterdeck agent run",
                )
            time.sleep(pause)
            pause = min(0.1, pause * 1.5)

    def greet(self, client: str, timeout: float = HELLO_SECONDS) -> Hello:
        return self.greeted(self.post("hello", HelloParams(client=client)), timeout)

    def greeted(self, number: int, timeout: float = HELLO_SECONDS) -> Hello:
        """The answer to the greeting `number`; raises `Refusal` where none comes in time, with what helps."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                hello: Hello = self.take(number, min(STOPPED_SECONDS, max(0.0, deadline - time.monotonic())))
                break
            except TimeoutError:
                found = self._silent("hello")
                # One that is stopped answers nobody: there is nothing to wait for.
                if time.monotonic() >= deadline or found.detail.get("state") in ("T", "t"):
                    raise found from None
        check_protocol(hello)
        self.hello = hello
        return hello

    def post(self, method: str, params: msgspec.Struct) -> int:
        """Send a request without waiting; `take` fetches its answer."""
        self.number += 1
        line = encode_request(self.number, method, params)
        try:
            self.connection.sendall(line)
        except OSError as error:
            raise self._closed(error) from error
        self._waiting[self.number] = method
        return self.number

    def take(self, number: int, timeout: float | None) -> Any:
        """The result of the request `number`; raises `Refusal`, and `TimeoutError` after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while number not in self._answers:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            self._receive(left)
        return read_result(self._waiting.pop(number), self._answers.pop(number))

    def call(self, method: str, params: msgspec.Struct, timeout: float | None = REQUEST_SECONDS) -> Any:
        """Ask and wait: the result is the struct that `protocol.METHODS` names for `method`."""
        if timeout == REQUEST_SECONDS:
            timeout = PATIENT_METHODS.get(method, timeout)
        number = self.post(method, params)
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = SILENCE_SECONDS if deadline is None else min(SILENCE_SECONDS, deadline - time.monotonic())
            try:
                return self.take(number, max(0.0, left))
            except TimeoutError:
                self._check_alive(method)
            if deadline is not None and time.monotonic() >= deadline:
                raise Refusal(
                    ExitCode.NO_AGENT,
                    f"The agent is there, but did not answer {method} within {timeout:g} s: it is busy.",
                    "Try again; `quarterdeck agent status` says how much waits.",
                )

    def _check_alive(self, method: str) -> None:
        """Raises `Refusal` when the agent answers nothing at all, with its process and what helps."""
        try:
            self.take(self.post("ping", Empty()), ALIVE_SECONDS)
        except TimeoutError:
            raise self._silent(method) from None

    def _silent(self, method: str) -> Refusal:
        from console.agent_process import silent

        return silent(self.store, method, self.connection)

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _receive(self, timeout: float | None) -> None:
        self.connection.settimeout(timeout if timeout is None or timeout > 0 else 0.000_001)
        try:
            data = self.connection.recv(1 << 18)
        except TimeoutError:
            raise
        except BlockingIOError:
            raise TimeoutError from None
        except OSError as error:
            raise self._closed(error) from error
        if not data:
            raise self._closed(None)
        start = len(self.buffer)
        self.buffer += data
        if len(self.buffer) > protocol.MAX_RESPONSE_BYTES + len(data):
            raise Refusal(ExitCode.NO_AGENT, "The agent sent a message longer than the protocol allows.")
        end = self.buffer.find(b"\n", start)
        while end >= 0:
            line = bytes(self.buffer[:end])
            del self.buffer[: end + 1]
            self._accept(decode_response(line))
            end = self.buffer.find(b"\n")

    def _accept(self, response: protocol.Response) -> None:
        if isinstance(response.id, int):
            self._answers[response.id] = response
        elif response.method == "progress" and self.on_progress is not None:
            if not isinstance(response.params, msgspec.UnsetType):
                self.on_progress(msgspec.json.decode(response.params, type=Progress))
        elif isinstance(response.error, protocol.ErrorObject):
            # An answer without a number: the agent could not even read who asked.
            raise protocol.error_to_refusal(response.error)

    def _closed(self, error: OSError | None) -> Refusal:
        why = f" ({error.strerror})" if error is not None and error.strerror else ""
        return Refusal(
            ExitCode.NO_AGENT,
            f"The agent closed the connection{why}.",
            f"Its log: {self.store / 'log' / 'agent.log'}",
            {"closed": True},
        )
