"""Intake: watched folders in, facts and quarantine out."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from store.database import Actor, Database, Entry, Layout
from store.intake import arrivals, commit, quarantine
from store.intake.arrivals import GONE, Folder, Known
from store.intake.burst import Burst
from store.intake.candidates import Candidate, Candidates, judge, of_case, readable, to_retry
from store.intake.commit import Item, Recorded
from store.intake.facts import Fact, Facts
from store.intake.follow import Followed
from store.intake.inotify import Change
from store.intake.misplaced import Misplaced
from store.intake.quarantine import Keeper, Open
from store.intake.read import Incomplete
from store.intake.settle import Look, Patience, Settling
from store.intake.sighting import Sighting, sightings
from store.intake.status import SETTLED, Status, WatchedFolder, watched_folders
from store.intake.tables import Sandbox
from store.intake.trouble import Trouble, Vanished
from store.intake.versions import MANIFEST, Waiting
from store.intake.watch import Watcher
from store.protocol import ExitCode, Progress, Refusal
from store.settings import Settings

log = logging.getLogger(__name__)

#: Files recorded in one transaction at most; a console's action waits for one such batch at most.
BATCH = 200
#: Seconds between two transactions while nothing but predictions comes: most of what such a transaction costs is the
#: same for one file as for fifty. The first file after a pause is recorded at once.
GATHER = 0.25
#: Batches handed to the writer and not committed yet.
_IN_FLIGHT = 2
#: Past this many files waiting, the watcher is held back.
_BACKLOG = 20_000
_SCANNERS = 2
_LONGEST_BACKOFF = 60.0
#: Seconds between two looks at what waits for another folder's files.
_ELSEWHERE = 1.0
_FOLLOWS = 10_000


class Intake:
    """Takes in what arrives. `start` returns at once; `stop` when its threads have ended.

    One thread decides; two more digest and scan tables and models, so that a large file does not hold up a
    live run. What was recorded is remembered in the same transaction: a crash repeats nothing and loses nothing.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        layout: Layout,
        on_progress: Callable[[Progress], None] = lambda _progress: None,
        patience: Patience | None = None,
    ) -> None:
        self._database = database
        self._settings = settings
        self._layout = layout
        self._patience = patience or Patience(settle=settings.watch.settle_seconds)
        self._environments = frozenset(settings.environments)
        self._folders = arrivals.folders(
            layout.watched(settings),
            layout.inbox,
            lambda label: database.reader.read(lambda c: arrivals.recorded_under(c, label)),
        )
        self._messages: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._candidates = Candidates()
        self._ready: list[Item] = []
        self._gathered_at = -math.inf
        self._in_flight = 0
        self._follows: dict[int, Followed] = {}
        self._taken = self._quarantined = 0
        self._burst = Burst(on_progress)
        self._trouble = ""
        self._backoff = 0.0
        self._begun, self._stopping = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin. Does nothing on a store that takes no changes."""
        if self._database.read_only:
            log.warning("nothing is taken in: the store is read-only: %s", self._database.read_only)
            self._begun.set()
            return
        for folder in self._folders:
            with contextlib.suppress(OSError):
                os.makedirs(folder.path, exist_ok=True)  # noqa: PTH103
        self._known = self._database.reader.read(Known.read)
        self._open = self._database.reader.read(quarantine.read_open)
        self._sandbox = Sandbox(
            [*(f.path for f in self._folders), *map(str, (self._layout.objects, self._layout.quarantine))]
        )
        self._keeper = Keeper(self._layout.quarantine)
        self._facts = Facts(self._database, self._settings, self._layout, self._sandbox)
        self._pool = ThreadPoolExecutor(_SCANNERS, thread_name_prefix="intake-scan")
        self._watcher = Watcher(
            self._folders,
            self._changed,
            rescan_seconds=self._settings.watch.rescan_seconds,
            polling=self._settings.watch.polling,
            on_root=self._root_came,
            on_walked=lambda: self._messages.put(self._look_at_unreadable),
        )
        self._misplaced = Misplaced(
            self._database, self._folders, self._environments, self._patience.misplaced, self._left
        )
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._thread.start()
        self._watcher.start()
        self._begun.set()

    def stop(self) -> None:
        """End the threads; what was not recorded is found again at the next start."""
        if self._thread is None:
            return
        self._stopping.set()
        self._watcher.stop()
        self._messages.put(None)
        self._thread.join()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._sandbox.close()
        self._thread = None

    def status(self) -> Status:
        polling = self._watcher.polling if self._thread is not None else ""
        waiting = len(self._candidates) + self._messages.qsize()
        return Status(self._taken, self._quarantined, waiting, polling, self._trouble)

    def watched(self) -> list[WatchedFolder]:
        """Where each watched folder lies, and how what arrives there is noticed; nothing before intake has begun."""
        # A store that has just been opened brings its deployments in order first.
        self._begun.wait(SETTLED)
        return [] if self._thread is None else watched_folders(self._watcher, self._folders)

    def rescan(self) -> None:
        """Walk the folders now."""
        self._watcher.walk_soon()

    def retry(self, quarantine_id: str, actor: Actor, reason: str = "") -> Future[str]:
        """Read a quarantined file again: where it lies, or its kept copy where it is gone.

        The future carries words for the operator, or a `Refusal`: still wrong, nothing left to read, unknown id.
        """
        asked: Future[str] = Future()
        if self._thread is None:
            asked.set_exception(Refusal(ExitCode.REFUSED, "Nothing is taken in: the store is read-only."))
        else:
            self._messages.put(lambda: self._retry(quarantine_id, actor, reason, asked))
        return asked

    def _changed(self, folder: Folder, changes: Sequence[Change]) -> None:
        """On the watcher's threads."""
        seen = sightings(folder, changes, self._environments, self._known, self._is_unreadable)
        if seen:
            self._messages.put(lambda: self._see(folder, seen))
        while len(self._candidates) > _BACKLOG and not self._stopping.wait(0.05):
            pass

    def _root_came(self, folder: Folder) -> None:
        """On the watcher's threads: a watched folder is there, perhaps a disk that was empty so far."""
        if folder.path == str(self._layout.inbox):
            self._layout.create_kinds()

    def _is_unreadable(self, key: int) -> bool:
        case = self._open.get(key)
        return case is not None and case.unreadable

    # --- on intake's own thread --------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if not self._step():
                    return
            except Exception:
                # A bug in one file's handling must not end intake; the walk finds the file again.
                log.exception("intake stumbled")

    def _step(self) -> bool:
        """Handle what came, then what is due. False: stop."""
        now = time.monotonic()
        wait = self._candidates.wait(now)
        sweep = self._misplaced.wait(now, self._open)
        wait = sweep if wait is None else wait if sweep is None else min(wait, sweep)
        if self._ready:
            gathering = self._gathering(now)
            wait = gathering if wait is None else min(wait, gathering)
        if self._in_flight >= _IN_FLIGHT:
            wait = None
        try:
            message = self._messages.get(timeout=wait) if wait is None or wait > 0 else self._messages.get_nowait()
            while True:
                if message is None:
                    return False
                message()
                message = self._messages.get_nowait()
        except queue.Empty:
            pass
        if self._in_flight < _IN_FLIGHT:
            for candidate in self._candidates.due(time.monotonic(), BATCH - len(self._ready)):
                self._look_at(candidate)
            self._flush()
            self._misplaced.look(time.monotonic(), self._open)
        self._burst.tell(len(self._candidates))
        return True

    def _left(self, cases: Sequence[Open]) -> None:
        """On the writer's thread: misplaced files are gone from where they lay."""

        def forget() -> None:
            for case in cases:
                self._known.remember(case.path_key, GONE)
                self._open.pop(case.path_key, None)

        self._messages.put(forget)

    def _see(self, folder: Folder, seen: dict[int, Sighting]) -> None:
        now = time.monotonic()
        for key, (place, hint) in seen.items():
            candidate = self._candidates.get(key)
            if candidate is None:
                candidate = Candidate(key, place, folder, Settling(self._patience), now, hint)
                self._candidates.add(candidate, now)
                continue
            candidate.hint = hint if hint else candidate.hint
            if candidate.busy:
                candidate.again = True
            elif not candidate.failures:
                self._candidates.look_at(candidate, now)

    def _look_at(self, candidate: Candidate) -> None:
        now = time.monotonic()
        try:
            unreadable = self._is_unreadable(candidate.key)
            verdict = judge(candidate, self._patience, self._known, now, time.time(), unreadable=unreadable)
        except Trouble as trouble:
            self._quarantine(candidate, None, trouble)
            return
        if verdict.wait > 0:
            self._candidates.look_at(candidate, now + verdict.wait)
        elif verdict.look is None:
            self._candidates.drop(candidate)
            for asked in candidate.asked:
                asked.set_exception(Refusal(ExitCode.REFUSED, "The file is gone."))
        elif verdict.mended:
            self._take(candidate, verdict.look, Fact(""))
        elif candidate.place.kind in ("run", "params", "metrics"):
            self._read(candidate, verdict.look)
        else:
            self._scan(candidate, verdict.look)

    def _read(self, candidate: Candidate, look: Look) -> None:
        """Small documents and the next stretch of metrics: here and now."""
        try:
            if candidate.place.kind == "metrics":
                fact = self._facts.metrics(candidate.found, self._followed(candidate.key))
            else:
                fact = self._facts.run(candidate.found, first=self._known.identity(candidate.key) is None)
        except Exception as error:
            self._failed(candidate, look, error)
            return
        self._take(candidate, look, fact)

    def _scan(self, candidate: Candidate, look: Look) -> None:
        """Tables and models: digested and scanned on the pool."""
        candidate.busy = True
        found, kind, exclude_known = candidate.found, candidate.place.kind, candidate.exclude_known

        def work() -> Fact:
            if kind == "model":
                return self._facts.version(found, self._facts.examine_version(found))
            return self._facts.table(found, exclude_known=exclude_known)

        def done(future: Future[Fact]) -> None:
            self._messages.put(lambda: self._scanned(candidate, look, future))

        self._pool.submit(work).add_done_callback(done)

    def _scanned(self, candidate: Candidate, look: Look, future: Future[Fact]) -> None:
        candidate.busy = False
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            self._take(candidate, look, future.result())
        else:
            self._failed(candidate, look, error)

    def _followed(self, key: int) -> Followed:
        known = self._follows.get(key)
        if known is None:
            fresh = self._known.identity(key) is None
            known = Followed() if fresh else self._database.reader.read(lambda c: arrivals.followed(c, key))
            if len(self._follows) >= _FOLLOWS:
                self._follows.pop(next(iter(self._follows)))
            self._follows[key] = known
        return known

    def _take(self, candidate: Candidate, look: Look, fact: Fact) -> None:
        candidate.busy = True
        self._ready.append(Item(candidate, look.identity, fact=fact))

    def _failed(self, candidate: Candidate, look: Look, error: BaseException) -> None:
        now = time.monotonic()
        if (
            isinstance(error, Waiting)
            and now - candidate.first_seen < self._patience.incomplete
            and not candidate.forced
        ):
            # What it waits for reports itself; the last look is only for the report that it still waits.
            last = candidate.first_seen + self._patience.incomplete
            self._candidates.look_at(candidate, min(last, now + _ELSEWHERE) if error.elsewhere else last)
        elif isinstance(error, Incomplete) and (wait := candidate.settling.wait(look, now, time.time())) > 0:
            self._candidates.look_at(candidate, now + wait)
        elif isinstance(error, Trouble):
            self._quarantine(candidate, look, error)
        elif isinstance(error, Vanished):
            self._candidates.look_at(candidate, now + 0.02)
        elif isinstance(error, OSError):
            candidate.failures += 1
            wait = min(_LONGEST_BACKOFF, 0.5 * 2.0**candidate.failures)
            log.warning("%r: %s; again in %.0f s", candidate.path, error, wait)
            self._candidates.look_at(candidate, now + wait)
        else:
            log.error("%r could not be read", candidate.path, exc_info=error)
            said = f"{type(error).__name__}: {error}"
            self._quarantine(candidate, look, Trouble(f"could not be read: {said}", key="content", found=said))

    def _quarantine(self, candidate: Candidate, look: Look | None, trouble: Trouble) -> None:
        path, within = candidate.path, candidate.found.within
        if candidate.place.kind == "model":
            path += f"/{MANIFEST}"
        kept = self._keeper.keep(path, within)
        if look is None:
            with contextlib.suppress(OSError):
                look = Look.of(os.lstat(candidate.path))
        candidate.busy = True
        case = commit.case_of(candidate, look, trouble, kept)
        self._ready.append(Item(candidate, case.identity, case=case))

    # --- recording ---------------------------------------------------------------------------------------

    def _gathering(self, now: float) -> float:
        """For how many more seconds what is ready waits for company."""
        if len(self._ready) >= BATCH or not all(item.fact and item.fact.predictions for item in self._ready):
            return 0.0
        return max(0.0, self._gathered_at + GATHER - now)

    def _flush(self) -> None:
        now = time.monotonic()
        while self._ready and self._in_flight < _IN_FLIGHT and not self._gathering(now):
            items, self._ready = self._ready[:BATCH], self._ready[BATCH:]
            if any(item.fact and item.fact.predictions for item in items):
                self._gathered_at = now
            self._submit(items)

    def _submit(self, items: list[Item]) -> None:
        self._in_flight += 1
        still_open = dict(self._open)

        def done(future: Future[Recorded]) -> None:
            self._messages.put(lambda: self._committed(items, future))

        self._database.writer.submit(lambda tx: commit.record(tx, items, still_open)).add_done_callback(done)

    def _committed(self, items: list[Item], future: Future[Recorded]) -> None:
        self._in_flight -= 1
        error = future.exception()
        if error is None:
            self._trouble, self._backoff = "", 0.0
            self._remember(items, future.result())
        elif isinstance(error, Refusal):
            # The disk is full or the agent is stopping: everything stays where it is, and is tried again.
            self._backoff = min(_LONGEST_BACKOFF, max(1.0, self._backoff * 2))
            if not self._stopping.is_set():
                self._trouble = error.message
                log.error("nothing can be recorded: %s; again in %.0f s", error.message, self._backoff)
            for item in items:
                self._again(item.candidate, self._backoff)
        elif len(items) > 1:
            for item in items:
                self._submit([item])
        else:
            self._spoiled(items[0], error)

    def _spoiled(self, item: Item, error: BaseException) -> None:
        log.error("%r could not be recorded", item.candidate.path, exc_info=error)
        item.candidate.failures += 1
        if item.case is None:
            said = f"{type(error).__name__}: {error}"
            self._quarantine(item.candidate, None, Trouble(f"could not be recorded: {said}", key="content", found=said))
        else:
            self._again(item.candidate, _LONGEST_BACKOFF)

    def _remember(self, items: list[Item], recorded: Recorded) -> None:
        for case in recorded.closed:
            self._open.pop(case.path_key, None)
        for case in recorded.opened:
            self._open[case.path_key] = case
        now = time.monotonic()
        for item in items:
            candidate, fact = item.candidate, item.fact
            if candidate.key in recorded.again:
                candidate.busy, candidate.exclude_known, candidate.forced = False, True, True
                self._candidates.look_at(candidate, now)
                continue
            trouble = item.case.trouble if item.case else recorded.refused.get(candidate.key)
            self._known.remember(candidate.key, item.identity)
            if fact is not None and fact.followed is not None:
                self._follows[candidate.key] = fact.followed
            if trouble is None:
                self._taken += 1
            else:
                self._quarantined += 1
                log.info("quarantined %r: %s", candidate.place.subject, trouble.reason)
            self._burst.done += 1
            candidate.busy, candidate.forced, candidate.failures = False, False, 0
            for asked in candidate.asked:
                if trouble is None:
                    asked.set_result(f"{candidate.place.subject} was taken in.")
                else:
                    asked.set_exception(Refusal(ExitCode.REFUSED, f"Still wrong: {trouble.reason}"))
            candidate.asked.clear()
            if candidate.again or (fact is not None and fact.more):
                candidate.again, candidate.first_seen = False, now
                candidate.forced = fact is not None and fact.more
                self._candidates.look_at(candidate, now)
            else:
                self._candidates.drop(candidate)

    def _again(self, candidate: Candidate, wait: float) -> None:
        candidate.busy = False
        self._follows.pop(candidate.key, None)
        self._candidates.look_at(candidate, time.monotonic() + wait)

    def _retry(self, quarantine_id: str, actor: Actor, reason: str, asked: Future[str]) -> None:
        try:
            case = self._database.reader.read(lambda c: quarantine.find(c, quarantine_id))
        except Refusal as refusal:
            asked.set_exception(refusal)
            return
        self._open[case.path_key] = case
        try:
            candidate = to_retry(case, self._folders, self._environments, self._patience, self._layout.quarantine)
        except Refusal as refusal:
            asked.set_exception(refusal)
            return
        candidate.asked.append(asked)
        entry = Entry(actor, "retry", "quarantine", case.id, reason=reason)
        self._database.writer.submit(lambda tx: tx.record(entry))
        self._candidates.add(candidate, time.monotonic())

    def _look_at_unreadable(self) -> None:
        """Take up the quarantined files that may be read by now, whoever changed their mode, and when."""
        for case in list(self._open.values()):
            candidate = of_case(case, self._folders, self._environments, self._patience) if case.unreadable else None
            if candidate is not None and self._candidates.get(case.path_key) is None and readable(candidate.path):
                self._candidates.add(candidate, time.monotonic())
