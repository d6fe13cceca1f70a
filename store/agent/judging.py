"""Alert decisions follow the data: whenever windows or labels of a deployment were recorded, they are judged.

What a decision reads is read by a thread of its own; the writer is only asked where there is something to decide.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import duckdb

from store.database import Database, Transaction
from store.monitor import evaluate
from store.monitor.judge import foresee
from store.monitor.rules import Rule
from store.settings import AlertSettings, MonitorSettings

log = logging.getLogger(__name__)

_TOPICS = ("windows", "performance")
#: A deployment is judged at once, and then at most this often (seconds) while files keep coming.
SPACING = 5.0


class Judging:
    """Asks the monitor to decide, in a change of its own: a decision that fails never costs the data."""

    def __init__(
        self, database: Database, settings: MonitorSettings, alerts: AlertSettings, rules: Sequence[Rule]
    ) -> None:
        self._database = database
        self._settings = settings
        self._alerts = alerts
        self._rules = rules
        self._lock = threading.Lock()
        self._asked: set[str] = set()
        self._judged: dict[str, float] = {}
        self._later: set[str] = set()
        self._timer: threading.Timer | None = None
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="judging")

    def start(self) -> None:
        """Decide what ended while no agent ran."""
        for deployment in self._database.reader.read(_watched):
            self._ask(deployment, settle=True)

    def committed(self, topics: Mapping[str, set[str]], _at: datetime) -> None:
        """Called by the writer after each commit."""
        for topic in _TOPICS:
            for deployment in topics.get(topic, ()):
                if not self._put_off(deployment):
                    self._ask(deployment)

    def close(self) -> None:
        """Judge nothing more; what was put off is judged at the next start."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
        self._reading.shutdown(wait=True, cancel_futures=True)

    def _put_off(self, deployment: str) -> bool:
        with self._lock:
            if time.monotonic() - self._judged.get(deployment, -SPACING) >= SPACING:
                return False
            self._later.add(deployment)
            if self._timer is None:
                self._timer = threading.Timer(SPACING, self._catch_up)
                self._timer.daemon = True
                self._timer.start()
            return True

    def _catch_up(self) -> None:
        with self._lock:
            self._timer = None
            due, self._later = self._later, set()
        for deployment in due:
            self._ask(deployment)

    def _ask(self, deployment: str, settle: bool = False) -> None:
        with self._lock:
            if deployment in self._asked:
                return
            self._asked.add(deployment)
            self._judged[deployment] = time.monotonic()

        try:
            self._reading.submit(self._judge, deployment, settle)
        except RuntimeError:
            # It is closing.
            return

    def _judge(self, deployment: str, settle: bool) -> None:
        # Data recorded from here on asks anew.
        with self._lock:
            self._asked.discard(deployment)
        try:
            sums = self._database.reader.read(lambda cursor: foresee(cursor, deployment, self._rules))
            if sums is None and not settle:
                return

            def decide(tx: Transaction) -> None:
                evaluate(tx, deployment, self._settings, self._alerts, self._rules, settle, sums)

            # One decision's counts are held at a time, however far behind the writer is.
            self._database.writer.change(decide)
        except Exception:
            log.exception("alerts were not decided", extra={"deployment": deployment})


def _watched(connection: duckdb.DuckDBPyConnection) -> list[str]:
    return [str(row[0]) for row in connection.execute("SELECT DISTINCT deployment FROM monitor_window").fetchall()]
