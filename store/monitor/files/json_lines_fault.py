"""The first line of a JSON lines file that is no JSON object."""

from __future__ import annotations

import json

from store.monitor.files import csv_encoding
from store.protocol import Refusal

_SHOWN = 60


def refusal(name: str, location: str) -> Refusal | None:
    """What is wrong with the first line at fault of the file at `location`, or None where there is none.

    `name` is what the message calls the file.
    """
    try:
        with csv_encoding.open_bytes(location) as file:
            for number, line in enumerate(file, 1):
                # A mark of UTF-8 may stand before the first line.
                text = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
                if text and (fault := _fault(text)):
                    hint = "Correct or remove that line and retry."
                    return csv_encoding.refusal(name, number, fault, "one JSON object", hint)
    except (OSError, Refusal):
        return None
    return None


def _fault(line: bytes) -> str:
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return f"a byte that is not valid UTF-8 (the {error.start + 1:,}. of the line)"
    except RecursionError:
        return "values nested too deeply"
    except ValueError as error:
        return f"{_shown(line)} ({str(error).partition(': line')[0]})"
    return "" if isinstance(value, dict) else _shown(line)


def _shown(line: bytes) -> str:
    text = line.decode("utf-8", "replace")
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
