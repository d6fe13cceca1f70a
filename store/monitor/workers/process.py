"""The agent's side of a worker: one process a task, asked on its standard input, stopped when it takes too much."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import TypeVar

import msgspec

from store.monitor.workers.messages import Message, Settings
from store.protocol import ExitCode, Refusal

log = logging.getLogger(__name__)

MEMORY_BYTES = 3 << 30
SECONDS = 120.0
#: What a worker may say in all.
_MAX_ANSWER = 16 << 20

Answer = TypeVar("Answer", bound=msgspec.Struct)

_alive: set[subprocess.Popen[bytes]] = set()


def stop_all() -> None:
    """End every worker of this process: whoever waits for one is told that it failed."""
    for process in list(_alive):
        _kill(process)


def run(
    module: str,
    request: msgspec.Struct,
    answer: type[Answer],
    *,
    memory_bytes: int = MEMORY_BYTES,
    seconds: float = SECONDS,
    progress: Callable[[str, int, int], None] | None = None,
) -> Answer:
    """What `python -m store.monitor.workers.<module>` answers to `request`.

    Raises `Refusal` (refused) when it takes longer than `seconds`, needs more than `memory_bytes` of address space,
    dies, or says that it cannot: what happens to it costs the caller nothing else. It ends with its caller.
    """
    # Neither the folder it starts in nor anything else that is not installed is imported from.
    command = [sys.executable, "-P", "-m", f"store.monitor.workers.{module}"]
    # One thread: a worker runs beside the agent, not instead of it.
    alone = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env={**os.environ, **alone},
            start_new_session=True,
            cwd="/",
        )
        _alive.add(process)
        late = threading.Event()

        def stop() -> None:
            late.set()
            _kill(process)

        timer = threading.Timer(seconds, stop)
        timer.start()
        try:
            found = _converse(process, request, memory_bytes, progress)
        finally:
            timer.cancel()
            _kill(process)
            code = process.wait()
            _alive.discard(process)
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()
        if late.is_set():
            raise Refusal(
                ExitCode.REFUSED, f"The {module} worker took more than {seconds:g} s and was stopped.", "Ask for less."
            )
        if found is None or found.failed:
            complaints.seek(0)
            said = complaints.read()[-4000:].decode("utf-8", "replace").strip()
            log.warning("worker failed", extra={"worker": module, "code": code, "said": said})
            raise Refusal(ExitCode.REFUSED, *_why(module, found, said, memory_bytes))
        return msgspec.json.decode(found.result, type=answer)


def _converse(
    process: subprocess.Popen[bytes],
    request: msgspec.Struct,
    memory_bytes: int,
    progress: Callable[[str, int, int], None] | None,
) -> Message | None:
    """The worker's last message; null when it ended without one."""
    assert process.stdin and process.stdout
    try:
        # Its input stays open: when the agent dies it closes, and the worker ends itself.
        process.stdin.write(msgspec.json.encode(Settings(memory_bytes)) + b"\n" + msgspec.json.encode(request) + b"\n")
        process.stdin.flush()
        while line := process.stdout.readline(_MAX_ANSWER):
            message = msgspec.json.decode(line, type=Message)
            if bytes(message.result) or message.failed:
                return message
            if progress:
                progress(message.label, message.done, message.total)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        log.warning("worker misbehaved: %s", error)
    return None


def _why(module: str, found: Message | None, said: str, memory_bytes: int) -> tuple[str, str]:
    if found is not None and found.failed:
        return found.failed, found.hint
    if "bad_alloc" in said or "Memory allocation" in said:
        return f"The worker needs more than {memory_bytes >> 20} MiB of memory.", "Ask for a shorter span."
    last = said.splitlines()[-1][:300] if said else "it said nothing"
    return f"The {module} worker failed: {last}", "The agent's log says more."


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # It ended by itself just now.
