"""The agent's log: one JSON object a line, rotated by size."""

from __future__ import annotations

import json
import logging
import logging.handlers
from datetime import UTC, datetime
from pathlib import Path

from store.settings import LogSettings

_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """time, level, where, message, whatever `extra` carried, and the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "where": record.name,
            "message": record.getMessage(),
            **{key: value for key, value in record.__dict__.items() if key not in _PLAIN},
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        # ASCII alone: a log is read with `less`, and what arrived may hold escape sequences.
        return json.dumps(fields, default=str)


class _Rotating(logging.handlers.RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk costs log lines, never the agent."""


def set_up(path: Path, settings: LogSettings, foreground: bool) -> None:
    """Log to `path`, and in the foreground to standard error too. Raises OSError."""
    handlers: list[logging.Handler] = [
        _Rotating(path, maxBytes=settings.max_bytes, backupCount=settings.files, encoding="utf-8")
    ]
    if foreground:
        handlers.append(logging.StreamHandler())
    for handler in handlers:
        handler.setFormatter(JsonLines())
    logging.basicConfig(level=settings.level.upper(), handlers=handlers, force=True)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
