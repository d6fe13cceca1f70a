"""Opening the store's DuckDB file and handing out its writer and readers."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from store.database import migrate, times
from store.database.reader import Reader
from store.database.rows import first_row
from store.database.writer import Recorder, Writer
from store.protocol import ExitCode, Refusal

#: The agent opens the file with these. Extensions and network stay off: files that arrive are not trusted.
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_unsigned_extensions": "false",
    "preserve_insertion_order": "false",
    # What is kept of the tables for the next reader, and what one query may hold before it goes to disk. Without it the
    # agent grows as its file does.
    "memory_limit": "384MiB",
}


class Database:
    """The metadata store: one writer, many readers, one file. Use `Database.open`."""

    def __init__(self, path: Path, recorder: Callable[[duckdb.DuckDBPyConnection], Recorder]) -> None:
        self.path = path
        self.read_only = ""
        self._lock = threading.Lock()
        self._listeners: list[Callable[[Mapping[str, set[str]], datetime], None]] = []
        self._root = self._open()
        try:
            if not self.read_only:
                self.schema = migrate.bring_up_to_date(self._root, path)
            else:
                self.schema = migrate.check(self._root, path)
            self.store_id = self._identity()
            self.recorder = recorder(self._root)
        except BaseException:
            self._root.close()
            raise
        self.reader = Reader(self._cursor)
        self.writer = Writer(self._cursor, self._reopen, self.recorder, self._committed, self.read_only)

    @classmethod
    def open(cls, path: Path, recorder: Callable[[duckdb.DuckDBPyConnection], Recorder]) -> Database:
        """Open or create the store's file, migrating it when it is older.

        Raises `Refusal`: another process holds it, it comes from a newer version, it is no DuckDB file, or
        it cannot be created. A file that may only be read is opened read-only (`read_only` says why).
        """
        return cls(path, recorder)

    def listen(self, on_commit: Callable[[Mapping[str, set[str]], datetime], None]) -> None:
        """Call `on_commit(topics, time)`, on the writer's thread, after each commit that changed something."""
        self._listeners.append(on_commit)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A cursor of its own, outside the readers' transactions: for what attaches or checkpoints. Close it."""
        return self._cursor()

    def checkpoint(self) -> None:
        """Fold the write-ahead log into the file."""
        if not self.read_only:
            with self._cursor() as cursor:
                cursor.execute("CHECKPOINT")

    def close(self) -> None:
        """Commit what is queued, checkpoint and close."""
        self.writer.close()
        self.reader.close()
        with contextlib.suppress(duckdb.Error):
            self.checkpoint()
        self._root.close()

    def _committed(self, topics: Mapping[str, set[str]], at: datetime) -> None:
        for listener in self._listeners:
            listener(topics, at)

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        with self._lock:
            return self._root.cursor()

    def _reopen(self) -> None:
        with self._lock:
            with contextlib.suppress(duckdb.Error):
                self._root.close()
            self._root = self._open()
        self.reader.renew()

    def _open(self) -> duckdb.DuckDBPyConnection:
        existed = self.path.exists()
        try:
            connection = duckdb.connect(str(self.path), config=CONFIG)
            # Predictions and their ids are somebody's data: for the store's owner alone.
            self.path.chmod(0o600)
            return connection
        except duckdb.Error as error:
            if existed and _only_readable(error):
                self.read_only = _first_line(error)
                config: dict[str, Any] = {**CONFIG}
                return duckdb.connect(str(self.path), read_only=True, config=config)
            raise _opening_refused(self.path, error) from error

    def _identity(self) -> str:
        row = first_row(self._root.execute("SELECT store_id FROM store_identity"))
        if row is None:
            row = (uuid.uuid4().hex,)
            self._root.execute("INSERT INTO store_identity VALUES (?, ?)", [row[0], times.to_db(times.now())])
        return str(row[0])


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _only_readable(error: duckdb.Error) -> bool:
    text = str(error)
    return "Read-only file system" in text or "Permission denied" in text


def _opening_refused(path: Path, error: duckdb.Error) -> Refusal:
    text = str(error)
    if "lock" in text.lower():
        return Refusal(
            ExitCode.NO_AGENT,
            f"Another process holds {path}: {_first_line(error)}",
            "Stop it (`quarterdeck agent stop`) or name another store with --store.",
        )
    if "newer version" in text or "serialization version" in text:
        return Refusal(
            ExitCode.USAGE,
            f"{path} was written by a newer DuckDB: {_first_line(error)}",
            "Upgrade Quarterdeck.",
        )
    if isinstance(error, duckdb.IOException):
        return Refusal(
            ExitCode.USAGE,
            f"{path} cannot be opened: {_first_line(error)}",
            "Check the path, its owner and the disk; `quarterdeck restore FILE` brings back a backup.",
        )
    return Refusal(ExitCode.USAGE, f"{path} cannot be opened: {_first_line(error)}", "See `quarterdeck doctor`.")
