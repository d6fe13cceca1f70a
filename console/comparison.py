"""The worker that compares two sets of files: started before the command line is read, then asked one question."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from store.protocol import DriftReport, DriftRequest

#: The worker takes and returns memory all the time: that it keeps it saves the kernel a fifth of the whole work.
_ALLOCATION = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(32 << 20),
    "MIMALLOC_PURGE_DELAY": "100000",
}

_early: subprocess.Popen[bytes] | None = None


def start() -> subprocess.Popen[bytes]:
    """The worker, importing what it needs while it waits. It ends by itself when its input is closed."""
    global _early
    if _early is None:
        _early = subprocess.Popen(
            [sys.executable, "-P", "-m", "store.monitor.compare"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**_ALLOCATION, **os.environ},
        )
    return _early


def wanted(arguments: list[str]) -> bool:
    """Whether the arguments are those of a comparison, as far as can be told without parsing them."""
    return arguments[:1] == ["drift"] and len(arguments) > 2


def ask(request: DriftRequest, progress: Callable[[int, int], None]) -> DriftReport:
    """The worker's report. Raises `Refusal` with what it said was wrong, or that it died."""
    import contextlib

    import msgspec

    from store.protocol import DriftAnswer, ExitCode, Refusal

    global _early
    worker, _early = start(), None
    assert worker.stdin is not None
    assert worker.stdout is not None
    assert worker.stderr is not None
    try:
        with contextlib.suppress(BrokenPipeError):
            # One that died says so below, by its silence.
            worker.stdin.write(msgspec.json.encode(request) + b"\n")
            worker.stdin.flush()
        decoder = msgspec.json.Decoder(DriftAnswer)
        for line in worker.stdout:
            answer = decoder.decode(line)
            if answer.report is not None:
                return answer.report
            if answer.message:
                raise Refusal(ExitCode.USAGE, answer.message, answer.hint)
            progress(answer.done, answer.parts)
        said = worker.stderr.read().decode("utf-8", "replace").strip().splitlines()
        why = said[-1] if said else f"status {worker.wait()}"
        raise Refusal(ExitCode.USAGE, f"The comparison ended early: {why}", "Was it killed for its memory?")
    except BaseException:
        worker.terminate()
        raise
    finally:
        with contextlib.suppress(BrokenPipeError):
            worker.stdin.close()
        worker.stdout.close()
        worker.stderr.close()
        worker.wait()
