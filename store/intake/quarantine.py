"""What could not be taken in: why, with its bytes kept, until it is mended, retried or resolved."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from store.catalog.listing import Source, SqlListing
from store.catalog.listings import fixed
from store.database import Actor, Entry, Transaction, times
from store.database.rows import first_row
from store.intake import opening
from store.intake.clean import clean_line
from store.intake.follow import QUOTED_LINES
from store.intake.trouble import Trouble, Vanished
from store.protocol import ExitCode, Refusal

log = logging.getLogger(__name__)

#: Bytes of a bad file are kept up to this size, and the folder as a whole up to the second.
KEEP_FILE = 64 << 20
KEEP_ALL = 2 << 30


class BadLines(msgspec.Struct, frozen=True):
    """Lines of a followed file that had a fault: how many, and the reasons of the first few."""

    count: int
    reasons: tuple[str, ...]


class Case(msgspec.Struct, frozen=True):
    """One bad file: where it lies, what it should have been, and what is wrong with it (with all of it or, of a
    followed file that is taken in, with `lines` of it)."""

    path_key: int
    identity: int
    folder: str
    relative: str
    kind: str
    subject: str
    trouble: Trouble
    bytes: int | None = None
    digest: str = ""
    kept: str = ""
    lines: BadLines | None = None


class Open(msgspec.Struct, frozen=True):
    """A case that is not closed: its number, and enough to take it up again."""

    number: int
    path_key: int
    folder: str
    relative: str
    kind: str
    digest: str
    reason: str
    kept: str

    @property
    def id(self) -> str:
        return f"q{self.number}"

    @property
    def about_lines(self) -> bool:
        """Whether some lines of a followed file were bad, while the file as a whole is taken in."""
        return self.kind == "metrics" and self.reason.startswith("line ")

    @property
    def unreadable(self) -> bool:
        """Whether nothing but the file's mode, or what its link points to, has to change: its bytes were never read."""
        return self.reason.startswith("permission:") or self.reason == opening.POINTS_TO_NOTHING


class Keeper:
    """Keeps copies of bad files under `root`, bounded in all."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._held: int | None = None

    def keep(self, path: str, folder: str) -> tuple[int | None, str, str]:
        """Copy the bytes of the file at `path`; returns size, digest and the copy's place below the root.

        What may not be opened, is too large, or finds the disk full is left where it is ("" for its place).
        """
        if self._held is None:
            self._held = _held(self._root)
        size, digest, place = _keep(path, folder, self._root, KEEP_ALL - self._held)
        if place and size:
            self._held += size
        return size, digest, place


def _keep(path: str, folder: str, root: Path, room: int) -> tuple[int | None, str, str]:
    try:
        with opening.opened(path, folder) as (descriptor, look):
            digest = opening.digest_of(descriptor) if look.size <= KEEP_FILE else ""
            if not digest or look.size == 0 or look.size > room:
                return look.size, digest, ""
            name = clean_line(path.rpartition("/")[2], 100).replace("/", "_")
            place = f"{digest[7:23]}/{name}"
            target = root / place
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not target.exists():
                scratch = target.with_name(f".incoming-{os.getpid()}")
                scratch.unlink(missing_ok=True)
                opening.copy(descriptor, scratch)
                scratch.rename(target)
            return look.size, digest, place
    except (Trouble, Vanished):
        return None, "", ""
    except OSError as error:
        log.warning("bytes of a quarantined file are not kept: %s", error)
        return None, "", ""


def _held(root: Path) -> int:
    total = 0
    for folder in os.scandir(root):
        if folder.is_dir(follow_symlinks=False):
            total += sum(file.stat(follow_symlinks=False).st_size for file in os.scandir(folder.path))
    return total


_TYPES = {
    "number": "BIGINT",
    "sequence": "BIGINT",
    "path_key": "BIGINT",
    "folder": "VARCHAR",
    "path": "VARCHAR",
    "raw_path": "VARCHAR",
    "kind": "VARCHAR",
    "subject": "VARCHAR",
    "reason": "VARCHAR",
    "key": "VARCHAR",
    "found": "VARCHAR",
    "expected": "VARCHAR",
    "bytes": "BIGINT",
    "digest": "VARCHAR",
    "kept": "VARCHAR",
    "recorded_at": "TIMESTAMP",
}


def put(tx: Transaction, cases: Sequence[Case], still_open: Mapping[int, Open], actor: Actor) -> list[Open]:
    """Record the bad files; returns what is newly open.

    A file that is open for the same reason with the same content is noted as retried; one that is wrong in
    another way now replaces its old case.
    """
    last = first_row(tx.execute("SELECT coalesce(max(number), 0) FROM quarantine"))
    number = int(last[0]) if last else 0
    rows: list[dict[str, Any]] = []
    opened: list[Open] = []
    for case in cases:
        old = still_open.get(case.path_key)
        if old is not None and not _is_open(tx, old):
            # Somebody resolved it meanwhile; it is wrong again.
            old = None
        if old is not None and case.lines is not None and old.about_lines:
            # One case for all bad lines of a file: they are added up.
            _add_lines(tx, old.number, case.lines)
            tx.touch("quarantine", old.id)
            continue
        if old is not None:
            same = (old.reason, old.digest) == (case.trouble.reason, case.digest)
            _event(tx, old.number, "retried" if same else "replaced", actor, case.trouble.reason)
            tx.touch("quarantine", old.id)
            if same:
                continue
        number += 1
        path = clean_line(case.relative, 1_000)
        trouble = case.trouble
        sequence = tx.record(
            Entry(
                actor,
                "quarantine",
                "quarantine",
                f"q{number}",
                after={"path": path, "key": trouble.key, "found": trouble.found, "expected": trouble.expected},
                reason=trouble.reason,
            )
        )
        rows.append(
            {
                "number": number,
                "sequence": sequence,
                "path_key": case.path_key,
                "folder": case.folder,
                "path": path,
                "raw_path": os.fsencode(case.relative).hex(),
                "kind": case.kind,
                "subject": clean_line(case.subject, 300),
                "reason": trouble.reason,
                "key": trouble.key,
                "found": trouble.found,
                "expected": trouble.expected,
                "bytes": case.bytes,
                "digest": case.digest,
                "kept": case.kept,
                "recorded_at": tx.now,
            }
        )
        if case.lines is not None:
            _add_lines(tx, number, case.lines)
        opened.append(
            Open(
                number,
                case.path_key,
                case.folder,
                case.relative,
                case.kind,
                case.digest,
                case.trouble.reason,
                case.kept,
            )
        )
    tx.insert("quarantine", _TYPES, rows)
    return opened


def _add_lines(tx: Transaction, number: int, lines: BadLines) -> None:
    row = first_row(tx.execute("SELECT coalesce(sum(quoted), 0) FROM quarantine_line WHERE number = ?", [number]))
    reasons = lines.reasons[: max(0, QUOTED_LINES - int(row[0] if row else 0))]
    tx.execute(
        "INSERT INTO quarantine_line VALUES (?, ?, ?, ?, ?)",
        [number, lines.count, len(reasons), "; ".join(clean_line(reason, 200) for reason in reasons), tx.now_db],
    )


def of_run(connection: duckdb.DuckDBPyConnection, run: str, at: datetime | None) -> list[tuple[str, str, str]]:
    """The open cases about the files of a run: (id, path, reason)."""
    source = _source(at)
    return connection.execute(
        f"SELECT 'q' || number, path, {_REASON} FROM {source.sql} WHERE state = 'open' AND subject = ?"
        " AND kind IN ('run', 'params', 'metrics') ORDER BY number",
        [*source.params, run],
    ).fetchall()


def _is_open(tx: Transaction, case: Open) -> bool:
    return first_row(tx.execute("SELECT 1 FROM quarantine_open WHERE number = ?", [case.number])) is not None


def clear(tx: Transaction, cases: Sequence[Open], actor: Actor, reason: str = "taken in") -> None:
    """Close the cases of files that were taken in after all, or for another `reason` are wrong no more."""
    for case in cases:
        if _is_open(tx, case):
            _event(tx, case.number, "cleared", actor, reason)
            tx.record(Entry(actor, "clear", "quarantine", case.id, reason=reason))


def resolve(tx: Transaction, quarantine_id: str, actor: Actor, reason: str) -> int:
    """Close a case by decision; its bytes stay. Returns the journal's sequence.

    Raises `Refusal` when there is no such open case.
    """
    case = find(tx.connection, quarantine_id)
    _event(tx, case.number, "resolved", actor, reason)
    return tx.record(Entry(actor, "resolve", "quarantine", case.id, reason=reason))


def _event(tx: Transaction, number: int, event: str, actor: Actor, reason: str) -> None:
    tx.execute("INSERT INTO quarantine_event VALUES (?, ?, ?, ?, ?)", [number, event, actor.name, reason, tx.now_db])


_FAR = datetime(9999, 1, 1, tzinfo=UTC)
_OPEN = "SELECT number, path_key, folder, raw_path, kind, digest, reason, kept FROM quarantine_open"


def read_open(connection: duckdb.DuckDBPyConnection) -> dict[int, Open]:
    """Every open case by its path's key."""
    return {case.path_key: case for case in map(_case, connection.execute(f"{_OPEN} ORDER BY number").fetchall())}


def find(connection: duckdb.DuckDBPyConnection, quarantine_id: str) -> Open:
    """The open case `q<number>`. Raises `Refusal` (usage)."""
    digits = quarantine_id.removeprefix("q")
    row = None
    if digits.isascii() and digits.isdigit() and len(digits) < 18:
        row = first_row(connection.execute(f"{_OPEN} WHERE number = ?", [int(digits)]))
    if row is None:
        raise Refusal(
            ExitCode.USAGE, f"There is no open quarantine {quarantine_id[:40]!r}.", "See `quarterdeck ls quarantine`."
        )
    return _case(row)


def _case(row: tuple[Any, ...]) -> Open:
    number, path_key, folder, raw_path, kind, digest, reason, kept = row
    return Open(number, path_key, folder, os.fsdecode(bytes.fromhex(raw_path)), kind, digest, reason, kept)


def _source(at: datetime | None) -> Source:
    moment = times.to_db(at or _FAR)
    return Source(
        "(SELECT q.*, coalesce((SELECT arg_max(e.event, e.rowid) FROM quarantine_event AS e"
        " WHERE e.number = q.number AND e.event <> 'retried' AND e.recorded_at <= ?), 'open') AS state"
        ", l.lines, l.reasons AS line_reasons FROM quarantine AS q LEFT JOIN (SELECT number, sum(lines) AS lines,"
        " string_agg(reasons, '; ' ORDER BY rowid) FILTER (quoted > 0) AS reasons FROM quarantine_line"
        " WHERE recorded_at <= ? GROUP BY number) AS l USING (number) WHERE q.recorded_at <= ?)",
        "true",
        (moment, moment, moment),
    )


#: One bad line is its own reason; of several, how many, and the first three.
_REASON = (
    "CASE WHEN lines > 1 THEN format('{:,} lines with a fault', lines::BIGINT)"
    f" || CASE WHEN lines > {QUOTED_LINES} THEN ', the first: ' ELSE ': ' END || line_reasons ELSE reason END"
)


#: The newest on top: `state` is open, cleared, replaced or resolved.
QUARANTINE = SqlListing(
    "quarantine",
    fixed(
        ("id", "text", 0, "'q' || number"),
        ("state", "health", 0, "state"),
        ("path", "text", 0, "path"),
        ("reason", "text", 1, _REASON),
        ("key", "text", 3, '"key"'),
        ("found", "text", 4, "found"),
        ("expected", "text", 5, "expected"),
        ("kind", "text", 6, "CASE WHEN kind = 'unknown' AND \"key\" <> 'permission' THEN 'misplaced' ELSE kind END"),
        ("bytes", "bytes", 7, '"bytes"'),
        ("recorded", "time", 2, "epoch(recorded_at)"),
        ("kept", "text", 8, "kept"),
        ("digest", "text", 9, "digest[8:19]"),
        ("number", "number", 9, "number"),
    ),
    _source,
    "number:desc",
    name_column="path",
)
