"""The worker of `quarterdeck drift`: a request on its input, a report on its output.

`python -m store.monitor.compare` reads one JSON line (`store.protocol.DriftRequest`) and writes lines of
`DriftAnswer`. It starts before its request is known, so that it is ready when it is.
"""

from __future__ import annotations

import os
import sys

import msgspec

from store.protocol import DriftAnswer, DriftRequest, Refusal


def main() -> int:
    """Always answers; the exit status says only whether it could."""
    # What takes longest to import comes first, while the command line is still being parsed.
    import pyarrow.parquet  # noqa: F401

    from store.monitor.comparing import compare
    from store.settings import MonitorSettings

    line = sys.stdin.buffer.readline()
    if not line.strip():
        return 0

    output = sys.stdout.buffer

    def say(answer: DriftAnswer) -> None:
        output.write(msgspec.json.encode(answer) + b"\n")
        output.flush()

    try:
        request = msgspec.json.decode(line, type=DriftRequest)
        report = compare(request, MonitorSettings(), lambda done, parts: say(DriftAnswer(done, parts)))
    except Refusal as refusal:
        say(DriftAnswer(message=refusal.message, hint=refusal.hint))
    except MemoryError:
        say(DriftAnswer(message="There is not enough memory to compare these files."))
    else:
        say(DriftAnswer(report=report))
    return 0


if __name__ == "__main__":
    status = main()
    from store.monitor.files.scratch import remove_scratch

    remove_scratch()
    # Everything is written; giving back so much memory piece by piece would only take time.
    os._exit(status)
