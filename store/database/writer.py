"""The one writer: changes queue up, share a transaction (group commit) and are acknowledged after its commit."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

import duckdb

from store.database import times
from store.protocol import ExitCode, Refusal

log = logging.getLogger(__name__)

T = TypeVar("T")

#: As many changes share one commit at most; a burst then still lets an operator's change in between.
GROUP_LIMIT = 64
_WRITES = ("INSERT", "UPDATE", "DELETE", "ALTER", "CREATE", "DROP", "MERGE")


@dataclasses.dataclass(frozen=True)
class Actor:
    """Who asks, by what the kernel says of the socket's peer; `via` is the way: console, cli, intake, agent."""

    name: str
    via: str


@dataclasses.dataclass(frozen=True)
class Entry:
    """One journal row before it gets its sequence, time and hash.

    `kind` is the listing kind of the subject (`deployments`, `runs` …), `before` and `after` are small
    JSON-able mappings, `data_age` is the age in seconds of what the actor was looking at.
    """

    actor: Actor
    action: str
    kind: str
    subject: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    reason: str = ""
    data_age: float | None = None
    request_id: str = ""


class Recorder(Protocol):
    """What writes the journal (store.governance.journal): kept out of this room, so that it only looks down."""

    def append(self, entry: Entry, at: datetime) -> int: ...

    def flush(self, connection: duckdb.DuckDBPyConnection) -> None: ...

    def committed(self) -> None: ...

    def rolled_back(self) -> None: ...


class Transaction:
    """What a change works with: one DuckDB transaction, shared by the changes of its group."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, recorder: Recorder, now: datetime) -> None:
        self._connection = connection
        self._recorder = recorder
        self.now = now
        self.wrote = False
        self.topics: dict[str, set[str]] = {}

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """For reads that want relations or numpy; writes go through `execute`."""
        return self._connection

    @property
    def now_db(self) -> datetime:
        """`now` as a TIMESTAMP column takes it."""
        return times.to_db(self.now)

    def execute(self, sql: str, params: Sequence[Any] | Mapping[str, Any] = ()) -> duckdb.DuckDBPyConnection:
        if sql.lstrip()[:6].upper().startswith(_WRITES):
            self.wrote = True
        return self._connection.execute(sql, params)

    def insert(self, table: str, types: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> None:
        """Append `rows` to `table` in one statement; see `insert_rows`."""
        self.wrote = True
        insert_rows(self._connection, table, types, rows)

    def record(self, entry: Entry) -> int:
        """Append `entry` to the journal in this transaction; returns its sequence."""
        self.wrote = True
        self.touch(entry.kind, entry.subject)
        return self._recorder.append(entry, self.now)

    def touch(self, topic: str, subject: str = "") -> None:
        """Tell the change feed, after the commit, that `subject` of listing `topic` changed."""
        subjects = self.topics.setdefault(topic, set())
        if subject:
            subjects.add(subject)


def insert_rows(
    connection: duckdb.DuckDBPyConnection, table: str, types: Mapping[str, str], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Append `rows` (column → value; absent is NULL) to `table`; `types` gives each column's DuckDB type.

    The rows travel as one JSON parameter: DuckDB's price is per statement and per bound value, so this is
    eight times as fast as a VALUES list at 500 rows. Datetimes become UTC, NaN and infinities survive.
    """
    if not rows:
        return
    shape = json.dumps([types])
    document = json.dumps([{name: _cell(value) for name, value in row.items()} for row in rows])
    columns = ", ".join(_quoted(name) for name in types)
    connection.execute(
        f"INSERT INTO {_quoted(table)} ({columns}) SELECT {columns}"
        " FROM (SELECT unnest(from_json(?::JSON, ?), recursive := true))"
        if not any(kind.endswith("[]") for kind in types.values())
        # `recursive` would unnest the lists inside the rows too.
        else f"INSERT INTO {_quoted(table)} ({columns}) SELECT {', '.join('r.' + _quoted(name) for name in types)}"
        " FROM (SELECT unnest(from_json(?::JSON, ?)) AS r)",
        [document, shape],
    )


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _cell(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str) and not value.isascii():
        # A lone surrogate (a file name that is not UTF-8) is no JSON.
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, datetime):
        return times.to_db(value).isoformat() if value.tzinfo else value.isoformat()
    if isinstance(value, list | tuple):
        return [_cell(item) for item in value]
    return value


@dataclasses.dataclass
class _Queued(Generic[T]):
    change: Callable[[Transaction], T]
    future: Future[T]


class Writer:
    """Runs changes one after another on its own thread.

    A change is a pure function of the database: when its group is rolled back because of another change,
    it is run again. It checks first and writes after; a `Refusal` raised before the first write costs the
    other changes of the group nothing. Its result is handed over only once the commit is on disk.
    """

    def __init__(
        self,
        connect: Callable[[], duckdb.DuckDBPyConnection],
        reopen: Callable[[], None],
        recorder: Recorder,
        on_commit: Callable[[Mapping[str, set[str]], datetime], None],
        read_only: str = "",
    ) -> None:
        self._connect = connect
        self._reopen = reopen
        self._recorder = recorder
        self._on_commit = on_commit
        self._read_only = read_only
        self._queue: queue.SimpleQueue[_Queued[Any] | None] = queue.SimpleQueue()
        self._closed = False
        #: Whatever is queued lies before the end, or whoever waits for it would wait for ever.
        self._closing = threading.Lock()
        self._connection = connect()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def submit(self, change: Callable[[Transaction], T]) -> Future[T]:
        """Queue `change`; the future carries its result after the commit, or what it raised."""
        future: Future[T] = Future()
        if self._read_only:
            future.set_exception(Refusal(ExitCode.REFUSED, f"The store is read-only: {self._read_only}"))
            return future
        with self._closing:
            if not self._closed:
                self._queue.put(_Queued(change, future))
                return future
        future.set_exception(Refusal(ExitCode.NO_AGENT, "The agent is stopping.", "Try again."))
        return future

    def change(self, change: Callable[[Transaction], T]) -> T:
        """`submit` and wait: for callers on threads of their own, never on the event loop."""
        return self.submit(change).result()

    @property
    def waiting(self) -> int:
        return self._queue.qsize()

    def close(self) -> None:
        """Commit what is queued, then stop."""
        with self._closing:
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            first = self._queue.get()
            if first is None:
                return
            group = [first]
            while len(group) < GROUP_LIMIT:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    stopping = True
                    break
                group.append(more)
            group = [item for item in group if item.future.set_running_or_notify_cancel()]
            if group and not self._commit(group) and len(group) > 1:
                for item in group:
                    self._commit([item])

    def _commit(self, group: list[_Queued[Any]]) -> bool:
        """Run and commit `group` as one transaction. False: nothing was done, run them one by one."""
        alone = len(group) == 1
        results: list[tuple[_Queued[Any], Any, BaseException | None]] = []
        try:
            self._connection.execute("BEGIN TRANSACTION")
            transaction = Transaction(self._connection, self._recorder, times.now())
            for item in group:
                transaction.wrote = False
                try:
                    results.append((item, item.change(transaction), None))
                except Refusal as refusal:
                    if transaction.wrote:
                        raise
                    results.append((item, None, refusal))
            self._recorder.flush(self._connection)
            self._connection.execute("COMMIT")
        except Exception as error:
            self._roll_back(error)
            if alone:
                group[0].future.set_exception(_in_words(error))
            return alone
        self._recorder.committed()
        # The feed hears of it before the asker does, so that a console that acted refetches what is new.
        if transaction.topics:
            self._on_commit(transaction.topics, transaction.now)
        for item, result, refused in results:
            if refused is None:
                item.future.set_result(result)
            else:
                item.future.set_exception(refused)
        return True

    def _roll_back(self, error: Exception) -> None:
        self._recorder.rolled_back()
        try:
            self._connection.execute("ROLLBACK")
        except duckdb.Error as rollback_error:
            # After a failed COMMIT there is no transaction any more; after a fatal error no database.
            log.debug("rollback: %s", rollback_error)
        if isinstance(error, duckdb.FatalException):
            log.error("database invalidated, reopening: %s", error)
            self._reopen()
            self._connection = self._connect()


def _in_words(error: Exception) -> Exception:
    """What the asker is told: disk trouble becomes a refusal in words, the rest stays what it was."""
    text = str(error)
    if isinstance(error, duckdb.IOException | duckdb.FatalException) or "No space left" in text:
        first_line = text.splitlines()[0] if text else type(error).__name__
        return Refusal(
            ExitCode.REFUSED,
            f"The store could not write: {first_line}",
            "Free space on the store's disk (`quarterdeck doctor`) and try again; nothing was changed.",
        )
    return error
