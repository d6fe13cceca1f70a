"""The worker's side: its limits, its end when the agent ends, one request, one answer."""

from __future__ import annotations

import os
import re
import resource
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

import msgspec

from store.monitor.workers.messages import Message, Settings
from store.protocol import Refusal

Asked = TypeVar("Asked", bound=msgspec.Struct)
Progress = Callable[[str, int, int], None]
_MEMORY = re.compile(r"failed to map|allocate|out of memory|start new thread", re.IGNORECASE)


def serve(request: type[Asked], answer: Callable[[Asked, Progress], msgspec.Struct]) -> None:
    """Read the limits and the request from standard input, answer on standard output, and end."""
    source, out = sys.stdin.buffer, sys.stdout.buffer
    settings = msgspec.json.decode(source.readline(), type=Settings)
    resource.setrlimit(resource.RLIMIT_AS, (settings.memory_bytes, settings.memory_bytes))
    os.nice(5)
    asked = msgspec.json.decode(source.readline(), type=request)
    threading.Thread(target=_end_with, args=(source.fileno(),), daemon=True).start()
    # Only messages go to the pipe: what a library prints goes with the complaints.
    sys.stdout = sys.stderr

    def say(message: Message) -> None:
        out.write(msgspec.json.encode(message) + b"\n")
        out.flush()

    try:
        result = answer(asked, lambda label, done, total: say(Message(label, done, total)))
    except Refusal as refusal:
        say(Message(failed=refusal.message, hint=refusal.hint))
        return
    except (MemoryError, ImportError, RuntimeError, OSError) as error:
        # A library that could not be mapped, a thread that could not be started: the limit has many faces.
        if not isinstance(error, MemoryError) and not _MEMORY.search(str(error)):
            raise
        say(
            Message(
                failed=f"The worker needs more than {settings.memory_bytes >> 20} MiB of memory.",
                hint="Ask for a shorter span.",
            )
        )
        return
    say(Message(result=msgspec.Raw(msgspec.json.encode(result))))


def _end_with(source: int) -> None:
    """The agent holds the other end of the pipe for as long as it lives."""
    while os.read(source, 1):
        pass
    os._exit(1)
