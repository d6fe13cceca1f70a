"""Expected errors of regressions, before labels: a worker looks at each new file once, in the background."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from datetime import datetime

from store.database import Database, Layout
from store.monitor import errors
from store.monitor.workers import process
from store.monitor.workers.messages import Errors
from store.protocol import Refusal
from store.settings import MonitorSettings

log = logging.getLogger(__name__)

#: A deployment's files are gathered between two looks: learning takes seconds, whether for one file or fifty.
GATHER_SECONDS = 20.0
#: What arrives together is looked at together.
SETTLE_SECONDS = 0.5


class Estimating:
    """One thread that asks one worker at a time; it begins when the first regression's predictions come."""

    def __init__(self, database: Database, layout: Layout, settings: MonitorSettings) -> None:
        self._database = database
        self._layout = layout
        self._settings = settings
        self._changed = threading.Condition()
        self._due: dict[str, float] = {}
        self._looked: dict[str, float] = {}
        self._failed: set[tuple[str, str]] = set()
        self._closed = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look at what came while no agent ran."""
        for deployment in self._database.reader.read(errors.regressions):
            self._ask(deployment)

    def committed(self, topics: Mapping[str, set[str]], _at: datetime) -> None:
        """Called by the writer after each commit."""
        for deployment in topics.get("windows", ()):
            self._ask(deployment)

    def close(self) -> None:
        """End the thread and its worker."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        process.stop_all()
        if self._thread:
            self._thread.join(10)

    def _ask(self, deployment: str) -> None:
        with self._changed:
            if self._closed:
                return
            next_look = self._looked.get(deployment, -GATHER_SECONDS) + GATHER_SECONDS
            self._due.setdefault(deployment, max(time.monotonic() + SETTLE_SECONDS, next_look))
            self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="estimating", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._closed and (not self._due or min(self._due.values()) > time.monotonic()):
                    wait = min(self._due.values()) - time.monotonic() if self._due else None
                    self._changed.wait(None if wait is None else max(0.0, wait))
                if self._closed:
                    return
                deployment = min(self._due, key=lambda name: self._due[name])
                del self._due[deployment]
            try:
                # Where nothing is to be estimated, too: a file a minute is looked at with those that follow.
                self._looked[deployment] = time.monotonic()
                while self._one(deployment):
                    self._looked[deployment] = time.monotonic()
            except Exception:
                if self._closed:
                    return
                log.exception("errors were not estimated", extra={"deployment": deployment})

    def _one(self, deployment: str) -> bool:
        """Look at the next files; whether there may be more."""
        task = self._database.reader.read(
            lambda connection: errors.next_files(connection, self._layout, deployment, self._settings)
        )
        if task is None or (task.deployment, task.arrivals[0]) in self._failed:
            return False
        found: Errors | None = None
        if task.request is not None:
            try:
                found = process.run("errors", task.request, Errors)
            except Refusal as refusal:
                # Not for ever: the next agent tries again.
                self._failed.add((task.deployment, task.arrivals[0]))
                log.warning("errors were not estimated: %s", refusal.message, extra={"deployment": deployment})
                return False
        self._database.writer.change(lambda tx: errors.record_errors(tx, task, found, self._settings))
        return True
