"""What goes by the clock rather than by arrivals: staleness, and mutes that run out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import datetime

import duckdb

from store.database import Database, Transaction, times
from store.monitor import staleness
from store.monitor.rules import Rule
from store.settings import AlertSettings

log = logging.getLogger(__name__)

#: Seconds between two looks, at most; shorter where a rule of staleness is.
INTERVAL = 30.0
SHORTEST = 1.0


class Scheduler:
    """Looks at the clock for the alerts; `tick` is one look."""

    def __init__(self, database: Database, alerts: AlertSettings, rules: Sequence[Rule]) -> None:
        self._database = database
        self._alerts = alerts
        self._stale = [rule for rule in rules if rule.kind == "staleness"]
        self._looked = self._since = times.now()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def interval(self) -> float:
        """Seconds between two looks: a tenth of the shortest expectation, within bounds."""
        shortest = min((rule.threshold or INTERVAL for rule in self._stale), default=INTERVAL * 10)
        return min(INTERVAL, max(SHORTEST, shortest / 10))

    def start(self) -> None:
        """Silence counts from here on: what arrived while no agent ran is only now being taken in."""
        self._looked = self._since = times.now()
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def tick(self, now: datetime) -> None:
        """Decide what the clock decides, as of `now`."""
        since, self._looked = self._looked, now
        woken = self._database.reader.read(lambda c: _unmuted(c, since, now))
        if woken:
            self._database.writer.change(lambda tx: _tell(tx, woken))
        if self._stale:
            self._database.writer.change(lambda tx: staleness.watch(tx, self._alerts, self._stale, self._since))

    def _run(self) -> None:
        while not self._stopping.wait(self.interval):
            try:
                self.tick(times.now())
            except Exception:
                log.exception("the scheduler's look failed; it looks again")


def _unmuted(connection: duckdb.DuckDBPyConnection, since: datetime, until: datetime) -> list[tuple[str, str]]:
    """(alert, deployment) whose mute ran out in (since, until]."""
    rows = connection.execute(
        "SELECT alert, deployment FROM monitor_alert_now WHERE muted_until > ? AND muted_until <= ? AND NOT is_over",
        [times.to_db(since), times.to_db(until)],
    ).fetchall()
    return [(str(row[0]), str(row[1])) for row in rows]


def _tell(tx: Transaction, woken: list[tuple[str, str]]) -> None:
    """The state of these alerts is another without a fact: consoles are to look again."""
    for alert, deployment in woken:
        tx.touch("alerts", alert)
        tx.touch("deployments", deployment)
