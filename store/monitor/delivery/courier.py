"""The courier: takes what is due from the outbox to the delivery worker, and records how each try went."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Mapping
from datetime import datetime

from store.database import Database, times
from store.monitor.delivery.letters import Delivered, Deliveries, Letter, Letters
from store.monitor.delivery.outbox import Pending, pending, record_attempt
from store.monitor.workers import process
from store.protocol import Refusal
from store.settings import AlertSettings

log = logging.getLogger(__name__)

#: Messages that one worker takes along, and what it may take for them.
BATCH = 8
SECONDS = 90.0
MEMORY_BYTES = 1 << 30
#: The outbox is looked through at least this often, seconds.
LONGEST_WAIT = 60.0

Hand = Callable[[list[Letter]], list[Delivered]]


def hand_to_worker(letters: list[Letter]) -> list[Delivered]:
    """Have a worker process try each letter once; what happens to it costs the agent nothing but the try."""
    try:
        found = process.run(
            "delivery", Letters(letters), Deliveries, memory_bytes=MEMORY_BYTES, seconds=SECONDS
        ).outcomes
    except Refusal as refusal:
        return [Delivered(False, refusal.message)] * len(letters)
    return found


class Courier:
    """Delivers at least once: an agent that dies between a delivery and its record delivers again."""

    def __init__(self, database: Database, settings: AlertSettings, hand: Hand = hand_to_worker) -> None:
        self._database = database
        self._settings = settings
        self._hand = hand
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Take up what is pending, and from now on whatever comes; nothing where no route is configured."""
        if self._settings.route and not self._database.read_only:
            self._thread = threading.Thread(target=self._run, name="courier", daemon=True)
            self._thread.start()

    def committed(self, topics: Mapping[str, set[str]], _at: datetime) -> None:
        """Called by the writer after each commit."""
        if "deliveries" in topics:
            self._wake.set()

    def stop(self) -> None:
        """Begin nothing more; a try that is cut short from here on was none."""
        self._stopping = True
        self._wake.set()

    def close(self) -> None:
        """Wait for the end; what is pending stays pending, for the next agent."""
        self.stop()
        if self._thread is not None:
            self._thread.join()

    def deliver_due(self, now: datetime) -> datetime | None:
        """Try everything that is due once; when the next is due (null: nothing is pending)."""
        while not self._stopping:
            waiting = self._database.reader.read(lambda c: pending(c, self._settings))
            due = [item for item in waiting if item.next_at <= now][:BATCH]
            if not due:
                return min((item.next_at for item in waiting), default=None)
            self._deliver(due)
        return None

    def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            wait = LONGEST_WAIT
            try:
                following = self.deliver_due(times.now())
                if following is not None:
                    wait = min(wait, max(0.05, (following - times.now()).total_seconds()))
            except Exception:
                # The outbox is kept: the next look takes it up again.
                log.exception("messages could not be delivered")
            self._wake.wait(wait)

    def _deliver(self, due: list[Pending]) -> None:
        outcomes: dict[int, Delivered] = {}
        letters: dict[int, Letter] = {}
        for place, item in enumerate(due):
            url, why = resolved(self._settings.route[item.route].urls[item.target])
            if why:
                outcomes[place] = Delivered(False, why)
            else:
                letters[place] = Letter(url, item.title, item.body, item.severity, item.event == "closed")
        if letters:
            outcomes.update(zip(letters, self._hand(list(letters.values())), strict=True))
        if self._stopping and not any(outcome.delivered for outcome in outcomes.values()):
            return  # The worker was ended with the agent: that was no try.
        for place, item in enumerate(due):
            self._record(item, outcomes[place])

    def _record(self, item: Pending, found: Delivered) -> None:
        most = self._settings.attempts
        outcome = self._database.writer.change(lambda tx: record_attempt(tx, item, found.delivered, found.detail, most))
        noted = {"delivery": item.delivery, "route": item.route, "target": item.target, "attempt": item.attempts + 1}
        if outcome == "delivered":
            log.info("message delivered", extra=noted)
        else:
            log.warning("message %s: %s", outcome.replace("_", " "), found.detail, extra=noted)


def resolved(url: str) -> tuple[str, str]:
    """(the url, why there is none): `$NAME` and `${NAME}` are read from the environment."""
    named = re.fullmatch(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?", url.strip())
    if named is None:
        return url, ""
    found = os.environ.get(named[1], "")
    return (found, "") if found else ("", f"the agent's environment has no {named[1]}")
