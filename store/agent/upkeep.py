"""What the agent does to the store when there is time: old counts are rolled up."""

from __future__ import annotations

import logging
import threading

from store.database import Database
from store.monitor.compaction import compact
from store.settings import MonitorSettings

log = logging.getLogger(__name__)

#: Seconds between two looks for what has grown old enough.
INTERVAL = 600.0
#: Seconds after the start before the first one: what waited for the agent comes first.
PATIENCE = 30.0


class Upkeep:
    """A thread that looks now and then."""

    def __init__(self, database: Database, settings: MonitorSettings) -> None:
        self._database = database
        self._rolls = settings.rolls
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, unless nothing is ever to be rolled up."""
        if self._rolls:
            self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End with the portion under way."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        pause = PATIENCE
        while not self._stopping.wait(pause):
            pause = INTERVAL
            try:
                compact(self._database, self._rolls, self._stopping)
            except Exception:
                log.exception("old counts were not rolled up; the agent tries again")
