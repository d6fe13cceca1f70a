"""What each method of the wire does: reads go to reader threads, changes to the rooms that own them."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import msgspec

from store import agent as package
from store import monitor
from store.agent import acting, details, doctor
from store.agent.feed import Feed
from store.agent.rooms import Rooms
from store.agent.server import Connection, Handler
from store.catalog import run_metrics
from store.database import backup
from store.governance import journal
from store.monitor import replay as replaying
from store.protocol import (
    PROTOCOL_VERSION,
    ActionParams,
    AgentStatus,
    BackupDone,
    BackupParams,
    Detail,
    Distribution,
    DistributionParams,
    DoctorReport,
    Empty,
    EnvironmentInfo,
    ExitCode,
    Heatmap,
    Hello,
    HelloParams,
    ListParams,
    Located,
    LocateParams,
    Multivariate,
    MultivariateParams,
    Outcome,
    Page,
    Performance,
    PerformanceParams,
    Plan,
    Pong,
    Progress,
    Refusal,
    Replay,
    ReplayParams,
    RunMetrics,
    RunMetricsParams,
    ShowParams,
    SpanParams,
    Subscribed,
    SubscribeParams,
    Verified,
)

T = TypeVar("T")


class Service:
    """The handlers of one agent; `stop` is called when a peer who may asks for it."""

    def __init__(self, rooms: Rooms, feed: Feed, stop: Callable[[], None]) -> None:
        self._rooms = rooms
        self._feed = feed
        self._stop = stop
        self._started_at = time.time()
        self.connections: Callable[[], int] = lambda: 0

    def handlers(self) -> dict[str, Handler]:
        """One handler per name in `protocol.METHODS`."""
        return {
            "hello": self.hello,
            "ping": self.ping,
            "subscribe": self.subscribe,
            "list": self.list,
            "locate": self.locate,
            "show": self.show,
            "run_metrics": self.run_metrics,
            "heatmap": self.heatmap,
            "distribution": self.distribution,
            "performance": self.performance,
            "multivariate": self.multivariate,
            "replay": self.replay,
            "plan": self.plan,
            "act": self.act,
            "backup": self.backup,
            "doctor": self.doctor,
            "verify": self.verify,
            "status": self.status,
            "stop": self.stop,
        }

    def gone(self, connection: Connection) -> None:
        self._feed.unsubscribe(connection.number)

    async def hello(self, connection: Connection, _params: HelloParams) -> Hello:
        rooms, peer = self._rooms, connection.peer
        return Hello(
            protocol=PROTOCOL_VERSION,
            agent=package.__version__,
            store=str(rooms.layout.root),
            store_id=rooms.database.store_id,
            schema=rooms.database.schema,
            pid=os.getpid(),
            started_at=self._started_at,
            sequence=self._feed.sequence,
            user=peer.user,
            uid=peer.uid,
            may_act=acting.may_act(rooms.settings, peer),
            read_only=rooms.database.read_only,
            environments=[
                EnvironmentInfo(name, environment.danger, environment.target)
                for name, environment in sorted(rooms.settings.environments.items())
            ],
            base_window=rooms.settings.monitor.base_window_seconds,
            folders=[str(folder) for folder in rooms.layout.watched(rooms.settings)],
        )

    async def ping(self, _connection: Connection, _params: Empty) -> Pong:
        return Pong(self._feed.sequence, time.time(), self._feed.under_way)

    async def subscribe(self, connection: Connection, params: SubscribeParams) -> Subscribed:
        return self._feed.subscribe(connection.number, connection.notify, params.since)

    async def list(self, _connection: Connection, params: ListParams) -> Page:
        sequence = self._feed.sequence
        return await self._read(lambda cursor: self._rooms.listings.page(cursor, params, sequence))

    async def locate(self, _connection: Connection, params: LocateParams) -> Located:
        return await self._read(lambda cursor: self._rooms.listings.locate(cursor, params.params, params.id))

    async def show(self, _connection: Connection, params: ShowParams) -> Detail:
        sequence = self._feed.sequence
        return await self._read(lambda cursor: details.show(cursor, self._rooms, params, sequence))

    async def run_metrics(self, _connection: Connection, params: RunMetricsParams) -> RunMetrics:
        silent_after = self._rooms.settings.runs.silent_seconds
        return await self._read(lambda cursor: run_metrics.metrics(cursor, params, silent_after))

    async def heatmap(self, _connection: Connection, params: SpanParams) -> Heatmap:
        settings = self._rooms.settings.monitor
        return await self._read(lambda cursor: monitor.heatmap(cursor, params, settings))

    async def distribution(self, _connection: Connection, params: DistributionParams) -> Distribution:
        settings = self._rooms.settings.monitor
        return await self._read(lambda cursor: monitor.distribution(cursor, params, settings))

    async def performance(self, _connection: Connection, params: PerformanceParams) -> Performance:
        settings = self._rooms.settings.monitor
        return await self._read(lambda cursor: monitor.performance_over_time(cursor, params, settings))

    async def multivariate(self, _connection: Connection, params: MultivariateParams) -> Multivariate:
        rooms, task = self._rooms, f"multivariate {params.deployment}"

        def progress(label: str, done: int, total: int) -> None:
            self._feed.progress(Progress(task, f"{params.deployment}: {label}", done, total))

        try:
            return await asyncio.to_thread(rooms.comparing.compare, rooms.database.reader.read, params, progress)
        finally:
            self._feed.progress(Progress(task, params.deployment, 1, 1, finished=True))

    async def replay(self, _connection: Connection, params: ReplayParams) -> Replay:
        settings = self._rooms.settings
        return await self._read(lambda cursor: replaying.replay(cursor, params, settings.monitor, settings.alerts))

    async def plan(self, _connection: Connection, params: ActionParams) -> Plan:
        return await asyncio.to_thread(acting.plan, self._rooms, params)

    async def act(self, connection: Connection, params: ActionParams) -> Outcome:
        return await _finished(acting.act(self._rooms, params, connection.peer))

    async def backup(self, connection: Connection, params: BackupParams) -> BackupDone:
        acting.check_may_act(self._rooms.settings, connection.peer)
        sequence = self._rooms.journal.sequence
        path = Path(params.path)
        if not path.is_absolute():
            raise Refusal(ExitCode.USAGE, f"{params.path!r} is relative.", "The agent needs an absolute path.")

        def back_up() -> BackupDone:
            with self._rooms.database.cursor() as cursor:
                return backup.back_up(cursor, self._rooms.layout, path, sequence, self._feed.progress)

        return await asyncio.to_thread(back_up)

    async def doctor(self, _connection: Connection, _params: Empty) -> DoctorReport:
        rooms = self._rooms
        watched = await asyncio.to_thread(rooms.intake.watched)
        return await self._read(
            lambda cursor: doctor.examine(
                cursor, rooms.database, rooms.layout, rooms.settings, rooms.not_started, watched
            )
        )

    async def verify(self, _connection: Connection, _params: Empty) -> Verified:
        return await self._read(journal.verify)

    async def status(self, _connection: Connection, _params: Empty) -> AgentStatus:
        rooms, usage = self._rooms, resource.getrusage(resource.RUSAGE_SELF)
        intake = rooms.intake.status()
        return AgentStatus(
            pid=os.getpid(),
            started_at=self._started_at,
            store=str(rooms.layout.root),
            version=package.__version__,
            schema=rooms.database.schema,
            sequence=rooms.journal.sequence,
            connections=self.connections(),
            queue=intake.waiting,
            taken=intake.taken,
            quarantined=intake.quarantined,
            memory_bytes=_resident_bytes(),
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            store_bytes=rooms.database.path.stat().st_size,
        )

    async def stop(self, connection: Connection, _params: Empty) -> Empty:
        acting.check_may_act(self._rooms.settings, connection.peer)
        self._stop()
        return Empty()

    async def _read(self, read: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        return await _finished(self._rooms.database.reader.submit(read))


async def _finished(future: Future[T]) -> T:
    # Shielded: a console that leaves must not cancel what it asked for half-way.
    return await asyncio.shield(asyncio.wrap_future(future))


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def check_complete(
    handlers: dict[str, Any], methods: dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]
) -> None:
    """Every method of the wire has its handler. Raises AssertionError at start-up, not at three in the morning."""
    missing = methods.keys() ^ handlers.keys()
    assert not missing, f"methods without handler, or the reverse: {sorted(missing)}"
