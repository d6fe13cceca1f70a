"""A worker: hands messages to apprise. Run as `python -m store.monitor.workers.delivery`.

apprise is imported here alone; urls come on standard input, and no part of one is ever said or printed.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from store.monitor.delivery.letters import Delivered, Deliveries, Letter, Letters
from store.monitor.workers import serving
from store.monitor.workers.serving import Progress

MISSING = "apprise is not installed: pip install 'quarterdeck[alerts]'"
#: What is told of a failure.
_LONGEST = 200
_NOT_SECRET = frozenset({"http", "https", "json", "localhost", "error", "failed", "timeout", "notification"})


class _Said(logging.Handler):
    """Keeps what apprise logs, so that it goes nowhere else."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def deliver(asked: Letters, _progress: Progress) -> Deliveries:
    """Try each letter once."""
    try:
        import apprise
    except ImportError:
        return Deliveries([Delivered(False, MISSING) for _ in asked.letters])
    said = _Said()
    logger = logging.getLogger("apprise")
    logger.handlers, logger.propagate = [said], False
    logger.setLevel(logging.WARNING)
    return Deliveries([_one(apprise, letter, said) for letter in asked.letters])


def _one(apprise: Any, letter: Letter, said: _Said) -> Delivered:
    said.lines.clear()
    kind = "success" if letter.over else {"critical": "failure", "warning": "warning"}.get(letter.severity, "info")
    try:
        postman = apprise.Apprise()
        if not postman.add(letter.url):
            return Delivered(False, "apprise does not know this kind of url, or a part of it is missing")
        delivered = postman.notify(title=letter.title, body=letter.body, notify_type=kind, body_format="text")
    except Exception as error:
        # Whatever a plug-in raises, its words may quote the url: only its kind is told.
        return Delivered(False, f"apprise failed: {type(error).__name__}")
    if delivered:
        return Delivered(True)
    return Delivered(False, scrubbed("; ".join(said.lines), letter.url) or "the receiver did not take it")


def scrubbed(text: str, url: str) -> str:
    """`text` without control characters and without any part of `url` that could be a secret."""
    text = re.sub(r"\s+", " ", "".join(character if character.isprintable() else " " for character in text))
    text = text.replace(url, "…")
    for part in sorted(set(re.split(r"[^A-Za-z0-9_.-]+", url)), key=len, reverse=True):
        if len(part) >= 3 and part.lower() not in _NOT_SECRET:
            text = re.sub(re.escape(part), "…", text, flags=re.IGNORECASE)
    return text[:_LONGEST]


if __name__ == "__main__":
    serving.serve(Letters, deliver)
