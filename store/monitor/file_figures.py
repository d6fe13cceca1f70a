"""What was dropped from files or came twice, as figures: by file, by the windows that files fed, and of files that fed
none."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal

import duckdb
import numpy as np

from store.database import times
from store.monitor import stored_notes
from store.monitor.notes import Note
from store.monitor.windows import Window

Kind = Literal["predictions", "labels"]
#: The checks of each kind of file, and what their notes' codes begin with.
CHECKS: dict[Kind, dict[str, tuple[str, ...]]] = {
    "predictions": {
        "duplicates": ("repeated_id",),
        "left_out": ("left_out.",),
        "without_time": ("left_out.time",),
        "implausible_time": ("left_out.implausible_time",),
        "without_id": ("without_id",),
    },
    "labels": {
        "label_left_out": ("left_out.",),
        "label_without_id": ("left_out.id",),
        "label_missing": ("left_out.label",),
        "label_duplicates": ("repeated_id",),
        "label_not_a_number": ("label_not_a_number",),
        "label_time_unreadable": ("label_time.unreadable",),
        "label_time_implausible": ("label_time.implausible",),
    },
}
#: Labels that are not there yet are no loss: they have a check of their own.
_NOT_IN = {"label_left_out": "left_out.label"}


@dataclasses.dataclass(frozen=True)
class Figures:
    """What was noted of `files` files with `rows` rows together: `counts` is rows by check, and `others` rows by (code,
    column) of the notes that belong to no check, each with its words."""

    files: int = 0
    rows: int = 0
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    others: Mapping[tuple[str, str], tuple[int, str]] = dataclasses.field(default_factory=dict)

    def __add__(self, other: Figures) -> Figures:
        counts, others = dict(self.counts), dict(self.others)
        for check, rows in other.counts.items():
            counts[check] = counts.get(check, 0) + rows
        for key, (rows, text) in other.others.items():
            others[key] = (others.get(key, (0, ""))[0] + rows, text)
        return Figures(self.files + other.files, self.rows + other.rows, counts, others)


def total(figures: Iterable[Figures]) -> Figures:
    return sum(figures, Figures())


def figures(kind: Kind, rows: int, notes: Sequence[Note]) -> Figures:
    """The figures of one file."""
    counts: dict[str, int] = {}
    others: dict[tuple[str, str], tuple[int, str]] = {}
    for note in notes:
        if note.rows is None:
            continue
        checks = checks_of(kind, note.code)
        for check in checks:
            counts[check] = counts.get(check, 0) + note.rows
        if not checks:
            others[note.code, note.column] = (others.get((note.code, note.column), (0, ""))[0] + note.rows, note.text)
    return Figures(1, rows, counts, others)


def checks_of(kind: Kind, code: str) -> list[str]:
    """The checks that count a note with this code; none of a code that no check knows."""
    return [
        check for check, begins in CHECKS[kind].items() if code.startswith(begins) and _NOT_IN.get(check, "-") != code
    ]


# --- files that fed windows ------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Fed:
    """A window of one version as its files brought it; `figures` are of these files, which may have fed others, too."""

    version: str
    start: int
    rows: int
    last: float
    first_recorded: float
    last_recorded: float
    figures: Figures


def fed(
    connection: duckdb.DuckDBPyConnection,
    deployment: str,
    version: str,
    window: Window,
    since: int,
    until: int,
    at: datetime | None = None,
) -> list[Fed]:
    """The windows that start in [since, until) as their files brought them, in order; `version` "" is every one."""
    bound = [deployment, since * 1_000_000, until * 1_000_000, times.to_db(at) if at else None, version]
    rows = connection.execute(
        f"SELECT {window.sql('window_start')} AS w, version, sum(row_count)::BIGINT, epoch(max(last_at)),"
        " epoch(min(coalesce(first_recorded_at, recorded_at))), epoch(max(recorded_at)), list(DISTINCT arrival)"
        " FROM monitor_window"
        " WHERE deployment = $1 AND window_start >= make_timestamp($2) AND window_start < make_timestamp($3)"
        " AND ($4 IS NULL OR recorded_at <= $4) AND ($5 = '' OR version = $5) GROUP BY ALL ORDER BY w, version",
        bound,
    ).fetchall()
    files = _files(connection, deployment, {arrival for row in rows for arrival in row[6]})
    return [
        Fed(
            str(of),
            int(start),
            int(count),
            float(last),
            float(first_recorded),
            float(last_recorded),
            total(files[arrival] for arrival in arrivals if arrival in files),
        )
        for start, of, count, last, first_recorded, last_recorded, arrivals in rows
    ]


def _files(connection: duckdb.DuckDBPyConnection, deployment: str, wanted: set[str]) -> dict[str, Figures]:
    """The figures of the prediction files with these digests."""
    rows = connection.execute(
        "SELECT arrival, row_count, notes FROM monitor_arrival WHERE deployment = ? AND kind = 'predictions'"
        " AND arrival IN (SELECT unnest(?::VARCHAR[]))",
        [deployment, sorted(wanted)],
    ).fetchall()
    return {str(row[0]): figures("predictions", int(row[1]), stored_notes.decode(row[2])) for row in rows}


# --- files that fed none ---------------------------------------------------------------------------------


def unplaced(
    connection: duckdb.DuckDBPyConnection,
    deployment: str,
    windows: Sequence[Fed],
    since: int,
    until: int,
    at: datetime | None = None,
) -> dict[tuple[int, Kind], Figures]:
    """Label files, and prediction files of which no row was counted, by (start of a window, kind).

    They have no window of their own. Each stands in the window that was the newest with data when it came, so that it
    lies on the axis of event time beside what came with it; one that came before any predictions stands in the first.
    `windows` are those that start in [since, until).
    """
    begun: dict[int, float] = {}
    for fed_window in windows:
        start, first_known = fed_window.start, fed_window.first_recorded
        begun[start] = min(first_known, begun.get(start, first_known))
    if not begun:
        return {}
    moment = times.to_db(at) if at else None
    earlier, after = connection.execute(
        "SELECT EXISTS (FROM monitor_window WHERE deployment = $1 AND window_start < make_timestamp($2)"
        " AND ($4 IS NULL OR recorded_at <= $4)), (SELECT epoch(min(coalesce(first_recorded_at, recorded_at)))"
        " FROM monitor_window WHERE deployment = $1 AND window_start >= make_timestamp($3)"
        " AND ($4 IS NULL OR recorded_at <= $4))",
        [deployment, since * 1_000_000, until * 1_000_000, moment],
    ).fetchall()[0]
    starts = np.array(sorted(begun), np.int64)
    # When data of the window, or of a later one, was first known.
    known = np.minimum.accumulate(np.array([begun[start] for start in starts.tolist()])[::-1])[::-1]
    first = float(known[0]) if earlier else None
    found: dict[tuple[int, Kind], Figures] = {}
    for kind, came, one in _windowless(connection, deployment, first, after, moment):
        place = max(0, int(np.searchsorted(known, came, side="right")) - 1)
        key = (int(starts[place]), kind)
        found[key] = found.get(key, Figures()) + one
    return found


def unplaced_without_data(
    connection: duckdb.DuckDBPyConnection,
    deployment: str,
    window: Window,
    since: float | None,
    until: float | None,
    count: int,
    at: datetime | None = None,
) -> dict[tuple[int, Kind], Figures]:
    """The same of a deployment that has no window at all: by the window of the moment when each came, the last
    `count` of them."""
    found: dict[tuple[int, Kind], Figures] = {}
    for kind, came, one in _windowless(connection, deployment, since, until, times.to_db(at) if at else None):
        key = (window.start(came), kind)
        found[key] = found.get(key, Figures()) + one
    kept = sorted({start for start, _ in found})[-count:]
    return {key: one for key, one in found.items() if key[0] in kept}


def _windowless(
    connection: duckdb.DuckDBPyConnection,
    deployment: str,
    since: float | None,
    until: float | None,
    at: datetime | None,
) -> list[tuple[Kind, float, Figures]]:
    """(kind, when it came, its figures) of files without a window that came in [since, until)."""
    rows = connection.execute(
        "SELECT kind, epoch(recorded_at), row_count, notes, arrival FROM monitor_arrival WHERE deployment = $1"
        " AND ($2 IS NULL OR recorded_at >= make_timestamp($2)) AND ($3 IS NULL OR recorded_at < make_timestamp($3))"
        " AND ($4 IS NULL OR recorded_at <= $4)"
        # Of prediction files only those that lost rows, or whose notes are the sentences of earlier versions.
        """ AND (kind = 'labels' OR contains(notes, '"left_out.') OR contains(notes, '"repeated_id"')"""
        """ OR starts_with(notes, '["')) ORDER BY ordinal""",
        [deployment, _micros(since), _micros(until), at],
    ).fetchall()
    found: list[tuple[str, Kind, float, Figures]] = []
    for kind, came, count, notes, arrival in rows:
        one = figures(kind, int(count), stored_notes.decode(notes))
        if kind == "labels" or nothing_counted(one):
            found.append((str(arrival), kind, float(came), one))
    lost = [arrival for arrival, kind, _, _ in found if kind == "predictions"]
    fed_some = {
        str(row[0])
        for row in connection.execute(
            "SELECT arrival FROM monitor_file WHERE deployment = ? AND arrival IN (SELECT unnest(?::VARCHAR[]))",
            [deployment, lost],
        ).fetchall()
    } if lost else set()  # fmt: skip
    return [(kind, came, one) for arrival, kind, came, one in found if arrival not in fed_some]


def nothing_counted(one: Figures) -> bool:
    """Whether no row of a predictions file was counted."""
    return one.counts.get("left_out", 0) + one.counts.get("duplicates", 0) >= one.rows


def _micros(moment: float | None) -> int | None:
    return None if moment is None else round(moment * 1e6)
