"""Files that were said to lie in a wrong place, and whether they still do: a note goes away with what it tells of."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

from store.database import Database, Transaction
from store.intake import arrivals, quarantine
from store.intake.arrivals import GONE, Arrival, Folder
from store.intake.facts import INTAKE
from store.intake.quarantine import Open
from store.intake.recognise import ignored, place_of
from store.intake.sighting import has_company

#: Looked at in one round at most, so that a folder full of strangers costs next to nothing.
_ROUND = 500


class Misplaced:
    """Closes the open cases of misplaced files that were moved or removed, a round every `interval` seconds.

    `on_closed` hears of each case on the writer's thread, after the commit.
    """

    def __init__(
        self,
        database: Database,
        folders: Iterable[Folder],
        environments: frozenset[str],
        interval: float,
        on_closed: Callable[[list[Open]], None],
    ) -> None:
        self._database = database
        self._folders = {folder.label: folder for folder in folders}
        self._environments = environments
        self._interval = interval
        self._on_closed = on_closed
        self._due = 0.0
        self._after = -1
        """The number of the case that the last round ended with."""
        self._busy = False

    def wait(self, now: float, still_open: Mapping[int, Open]) -> float | None:
        """Seconds until the next round; None while no misplaced file is known."""
        if self._busy or not any(case.kind == "unknown" for case in still_open.values()):
            return None
        return max(0.0, self._due - now)

    def look(self, now: float, still_open: Mapping[int, Open]) -> None:
        """Look for the next few, where a round is due."""
        if self._busy or now < self._due:
            return
        self._due = now + self._interval
        cases = sorted((case.number, case) for case in still_open.values() if case.kind == "unknown")
        cases = [pair for pair in cases if pair[0] > self._after] or cases
        chosen = [case for _, case in cases[:_ROUND]]
        self._after = chosen[-1].number if chosen and len(cases) > _ROUND else -1
        gone = [case for case in chosen if not self._still_wrong(case)]
        if gone:
            self._busy = True
            self._database.writer.submit(lambda tx: _close(tx, gone)).add_done_callback(
                lambda future: self._done(gone if future.exception() is None else [])
            )

    def _done(self, gone: list[Open]) -> None:
        self._busy = False
        self._on_closed(gone)

    def _still_wrong(self, case: Open) -> bool:
        folder = self._folders.get(case.folder)
        if folder is None or ignored(case.relative):
            return False
        if not os.path.lexists(f"{folder.path}/{case.relative}"):
            return False
        place = place_of(folder.path, case.relative, self._environments)
        return place is not None and not has_company(folder, place)


def _close(tx: Transaction, cases: list[Open]) -> None:
    quarantine.clear(tx, cases, INTAKE, "moved or removed")
    arrivals.record(
        tx,
        [Arrival(case.path_key, GONE, f"{case.folder}/{case.relative}", case.kind, "", "gone") for case in cases],
    )
