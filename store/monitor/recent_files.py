"""Whether the files that came last lost rows: the newest of each deployment, kept up with what arrives."""

from __future__ import annotations

import dataclasses
import threading
from datetime import datetime
from typing import get_args

import duckdb

from store.database import times
from store.monitor import stored_notes
from store.monitor.file_figures import CHECKS, Figures, Kind, checks_of, figures, nothing_counted
from store.monitor.notes import Note
from store.monitor.quality import LIMITS

#: Files of each kind, the newest, that a deployment's health looks at.
LAST_FILES = 10


@dataclasses.dataclass(frozen=True)
class Loss:
    """The newest of a deployment's last files of a kind that failed a check of its rows.

    `share` of its `rows` failed `check`; `text` says it in words. `failing` of the `looked_at` last files failed one.
    """

    kind: Kind
    check: str
    share: float
    rows: int
    text: str
    failing: int
    looked_at: int

    def describe(self) -> str:
        """One line for people."""
        of = self.kind.removesuffix("s")
        several = self.looked_at > 1
        which = f"{self.failing} of the last {self.looked_at} {of} files" if several else f"the only {of} file"
        share = "all" if self.share >= 1 else f"{self.share:.1%} of"
        return f"{self.kind}: {share} {self.rows:,} {self.text} ({which})"


@dataclasses.dataclass(frozen=True)
class _File:
    ordinal: int
    figures: Figures
    notes: tuple[Note, ...]


class RecentFiles:
    """The last files of every deployment of one store; what was recorded since the last time is read, nothing twice.
    Safe on several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._through = 0
        self._files: dict[tuple[str, Kind], list[_File]] = {}

    def losses(self, connection: duckdb.DuckDBPyConnection, at: datetime | None = None) -> dict[str, list[Loss]]:
        """Deployment → what its last files lost, as the store knows it, or knew it `at`."""
        if at is not None:
            past = RecentFiles()
            past._begin(connection, times.to_db(at))
            return past._found()
        with self._lock:
            if self._through:
                self._add(connection, "ordinal > ?", [self._through])
            else:
                self._begin(connection, None)
            return self._found()

    def _begin(self, connection: duckdb.DuckDBPyConnection, at: datetime | None) -> None:
        newest = connection.execute(
            "SELECT unnest(max(ordinal, ?)) FROM monitor_arrival WHERE ? IS NULL OR recorded_at <= ?"
            " GROUP BY deployment, kind",
            [LAST_FILES, at, at],
        ).fetchall()
        if newest:
            self._add(connection, "ordinal IN (SELECT unnest(?::BIGINT[]))", [[row[0] for row in newest]])

    def _add(self, connection: duckdb.DuckDBPyConnection, where: str, params: list[object]) -> None:
        rows = connection.execute(
            f"SELECT deployment, kind, ordinal, row_count, notes FROM monitor_arrival WHERE {where} ORDER BY ordinal",
            params,
        ).fetchall()
        for deployment, kind, ordinal, count, text in rows:
            notes = stored_notes.decode(text)
            files = self._files.setdefault((deployment, kind), [])
            files.append(_File(ordinal, figures(kind, int(count), notes), notes))
            del files[:-LAST_FILES]
            self._through = max(self._through, int(ordinal))

    def _found(self) -> dict[str, list[Loss]]:
        found: dict[str, list[Loss]] = {}
        for (deployment, kind), files in sorted(self._files.items()):
            loss = _loss(kind, files)
            if loss is not None:
                found.setdefault(deployment, []).append(loss)
        return found


def losses_of(connection: duckdb.DuckDBPyConnection, deployment: str, at: datetime | None = None) -> list[Loss]:
    """What the last files of one deployment lost."""
    found = RecentFiles()
    moment = times.to_db(at) if at else None
    for kind in get_args(Kind):
        newest = connection.execute(
            "SELECT ordinal FROM monitor_arrival WHERE deployment = ? AND kind = ? AND (? IS NULL OR recorded_at <= ?)"
            " ORDER BY ordinal DESC LIMIT ?",
            [deployment, kind, moment, moment, LAST_FILES],
        ).fetchall()
        if newest:
            found._add(connection, "ordinal IN (SELECT unnest(?::BIGINT[]))", [[row[0] for row in newest]])
    return found._found().get(deployment, [])


def _loss(kind: Kind, files: list[_File]) -> Loss | None:
    """Of the newest file that failed a check, the worst of its checks."""
    failing = [(file, worst) for file in files if (worst := _worst(kind, file.figures)) is not None]
    if not failing:
        return None
    file, (check, share) = failing[-1]
    said = [note for note in file.notes if note.rows and check in checks_of(kind, note.code)]
    text = max(said, key=lambda note: note.rows or 0).text if said else check
    counted = "" if kind == "labels" or not nothing_counted(file.figures) else "; no row was counted"
    return Loss(kind, check, share, file.figures.rows, f"{text}{counted}", len(failing), len(files))


def _worst(kind: Kind, one: Figures) -> tuple[str, float] | None:
    """(check, share) of the check that is farthest beyond its limit; None where none is."""
    if not one.rows:
        return None
    shares = [(one.counts.get(check, 0) / one.rows, check) for check in CHECKS[kind]]
    beyond = [(share, check) for share, check in shares if share > LIMITS[check]]
    if not beyond:
        return None
    share, check = max(beyond, key=lambda pair: pair[0])
    return check, share
