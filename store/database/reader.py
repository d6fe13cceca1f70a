"""Readers: a few threads, each on its own cursor, so that a slow read holds up nobody else's key press."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import duckdb

T = TypeVar("T")
#: Gives the cursor of a read, and begins its snapshot the first time.
Connect = Callable[[], duckdb.DuckDBPyConnection]

#: More threads than cores: a slow scan of one console must not queue the short reads of another.
THREADS = 6


class Reader:
    """Runs reads on a pool of threads; each read sees one snapshot of the store."""

    def __init__(self, connect: Callable[[], duckdb.DuckDBPyConnection]) -> None:
        self._connect = connect
        self._local = threading.local()
        self._generation = 0
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="reader")

    def submit(self, read: Callable[[duckdb.DuckDBPyConnection], T]) -> Future[T]:
        """Queue `read`; the future carries its result or what it raised."""
        return self._pool.submit(self.read, read)

    def read(self, read: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Run `read` on the calling thread's own cursor, within one snapshot."""
        return self.read_if_needed(lambda connect: read(connect()))

    def read_if_needed(self, read: Callable[[Connect], T]) -> T:
        """As `read`, for work that may do without the store: its snapshot is of when it first asks for the cursor.

        A transaction costs more than it looks: whoever ends one cleans up after the writer.
        """
        begun: list[duckdb.DuckDBPyConnection] = []

        def connect() -> duckdb.DuckDBPyConnection:
            if not begun:
                connection = self._cursor()
                connection.execute("BEGIN TRANSACTION")
                begun.append(connection)
            return begun[0]

        try:
            return read(connect)
        finally:
            for connection in begun:
                try:
                    connection.execute("ROLLBACK")
                except duckdb.Error:
                    # A failed statement may have ended the transaction; this cursor starts afresh.
                    self._local.connection = None

    def renew(self) -> None:
        """Drop the cursors: the database was reopened."""
        self._generation += 1

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        held: duckdb.DuckDBPyConnection | None = getattr(self._local, "connection", None)
        if held is None or self._local.generation != self._generation:
            held = self._connect()
            self._local.connection = held
            self._local.generation = self._generation
        return held
