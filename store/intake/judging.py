"""Alerts are judged after predictions and labels came, once for all that came meanwhile."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future

from store.database import Database
from store.monitor import evaluate
from store.protocol import Refusal
from store.settings import MonitorSettings

log = logging.getLogger(__name__)


class Judging:
    """Each judgement is a change of its own, one at a time per deployment: one that fails costs no arrival."""

    def __init__(self, database: Database, settings: MonitorSettings) -> None:
        self._database = database
        self._settings = settings
        self._lock = threading.Lock()
        self._under_way: dict[str, bool] = {}
        """Deployment → whether something came since its judgement was asked for."""

    def ask(self, deployment: str) -> None:
        with self._lock:
            if deployment in self._under_way:
                self._under_way[deployment] = True
                return
            self._under_way[deployment] = False
        self._submit(deployment)

    def _submit(self, deployment: str) -> None:
        judged = self._database.writer.submit(lambda tx: evaluate(tx, deployment, self._settings))
        judged.add_done_callback(lambda future: self._judged(deployment, future))

    def _judged(self, deployment: str, future: Future[None]) -> None:
        """On the writer's thread."""
        error = future.exception()
        if error is not None and not isinstance(error, Refusal):
            log.error("%s could not be judged", deployment, exc_info=error)
        with self._lock:
            again = self._under_way.pop(deployment, False) and error is None
            if again:
                self._under_way[deployment] = False
        if again:
            self._submit(deployment)
