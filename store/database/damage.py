"""What is wrong with a store's files: what is whole, what is lost, and the command line that mends it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import msgspec

from store.database import migrate
from store.database.backup import known_backups
from store.database.database import CONFIG
from store.database.layout import Layout
from store.database.rows import first_row
from store.database.tip import Tip, TipFile
from store.protocol import CheckResult, ExitCode, Refusal

#: In what DuckDB says where the file may well be whole.
_NO_DAMAGE = (
    *("set lock", "Conflicting lock", "newer version", "serialization version", "Permission denied", "Read-only"),
    *("No space left", "Cannot open file", "Out of Memory", "Too many open files"),
)
_UNREADABLE = ("Corrupt", "checksum", "Could not read enough bytes", "has been invalidated")
#: Of names, in a message.
_NAMED = 5
#: Where a database lies while it is looked at without its log.
_SCRATCH = re.compile(r"\.examine-\w+/")
_BEGIN_ANEW = "begins an empty store; the damaged file is kept in backups/"


class Damage(msgspec.Struct, frozen=True):
    """`accept` says what going on without a backup means ("" where that mends nothing); `aside` are the files that
    are then moved away."""

    found: str
    whole: str
    lost: str
    accept: str = ""
    aside: tuple[str, ...] = ()


def refusal(layout: Layout, damage: Damage) -> Refusal:
    """Why the agent does not start, with the lines that mend it."""
    return Refusal(
        ExitCode.NO_AGENT,
        f"{damage.found}. Whole: {damage.whole}. Lost: {damage.lost}.",
        mending(layout, damage),
        {"damage": damage.found},
    )


def checks(layout: Layout, damage: Damage) -> list[CheckResult]:
    """The same as lines of `doctor`."""
    return [
        CheckResult("store", "failed", damage.found, mending(layout, damage)),
        CheckResult("whole", "ok", damage.whole),
        CheckResult("lost", "failed", damage.lost, "Unless a backup holds it."),
    ]


def mending(layout: Layout, damage: Damage) -> str:
    """The exact command lines."""
    command = f"quarterdeck --store {shlex.quote(str(layout.root))}"
    backups = known_backups(layout)
    if backups:
        newest = backups[0]
        upto = f", journal sequence {newest.sequence}" if newest.sequence is not None else ""
        at = datetime.fromtimestamp(newest.at, UTC)
        words = f"{command} restore {shlex.quote(newest.path)}  (of {at:%Y-%m-%d %H:%M}Z{upto})"
    else:
        words = f"No backup is known here; with one from elsewhere: {command} restore FILE"
    if damage.accept:
        words += f"; or without: {command} agent start --accept-loss  ({damage.accept})"
    return words


# --- what to find out ----------------------------------------------------------------------------------------


def before_opening(layout: Layout) -> Damage | None:
    """Whether opening would begin an empty store beside what one has left behind; DuckDB would do so silently."""
    size = layout.database.stat().st_size if layout.database.exists() else None
    log = layout.log_of_writes
    if size:
        return None
    left = remains(layout)
    has_log = log.exists() and log.stat().st_size > 0
    if not left and not has_log and size is None:
        return None
    state = "is missing" if size is None else "is empty (0 bytes)"
    if has_log:
        state += f", while its write-ahead log ({log.stat().st_size:,} bytes) is there"
    tip = TipFile(layout.tip).read()
    upto = f" (the journal had reached sequence {tip.sequence})" if tip else ""
    return Damage(
        f"{layout.database.name} {state}",
        left or "nothing",
        f"every record: deployments, versions, runs, windows, alerts, journal{upto}",
        "begins an empty store" + (" beside what is left" if left else ""),
        (layout.database.name, log.name),
    )


def of_error(layout: Layout, error: duckdb.Error) -> Damage:
    """What is whole where DuckDB cannot open the store's file; nothing is changed, no agent may run."""
    why = _without_path(layout, error)
    log = layout.log_of_writes
    tip = TipFile(layout.tip).read()
    with contextlib.suppress(duckdb.Error), _opened(layout.database) as connection:
        # It opens after all: it is what lies in it that cannot be read.
        damage = _of_contents(layout, connection)
        if damage is not None:
            return damage
    if log.exists():
        try:
            with _without_log(layout) as connection:
                schema = migrate.check(connection, layout.database)
                last = _head(connection)
                damage = _of_contents(layout, connection)
        except (duckdb.Error, OSError, Refusal):
            pass
        else:
            if damage is not None:
                # Not the log is at fault but what it was to be added to.
                return damage
            lost = "what was recorded after that"
            if tip is not None and tip.sequence > last.sequence:
                lost += f": journal sequence {last.sequence + 1} to {tip.sequence}"
            return Damage(
                f"{log.name} ({log.stat().st_size:,} bytes) is damaged: {why}",
                f"{layout.database.name} up to its last checkpoint at {_written(layout.database)},"
                f" journal sequence {last.sequence}, schema {schema}",
                lost,
                "goes on from the checkpoint; files that still lie in the watched folders are taken in again",
                (log.name,),
            )
    upto = f" (the journal had reached sequence {tip.sequence})" if tip else ""
    return Damage(
        f"{layout.database.name} is damaged: {why}",
        remains(layout) or "nothing",
        f"every record{upto}",
        _BEGIN_ANEW,
        (layout.database.name, log.name),
    )


def _of_contents(layout: Layout, connection: duckdb.DuckDBPyConnection) -> Damage | None:
    """Whether every table of the file can be read; without a backup there is no going on where one cannot."""
    whole, damaged, why = unreadable_tables(connection)
    if not damaged:
        return None
    files = (layout.database.name, layout.log_of_writes.name)
    return msgspec.structs.replace(of_tables(layout, whole, damaged, why), accept=_BEGIN_ANEW, aside=files)


def of_tip(layout: Layout, connection: duckdb.DuckDBPyConnection) -> Damage | None:
    """Whether the journal ends before the last row that is known to have been recorded."""
    tip = TipFile(layout.tip).read()
    if tip is None or tip.sequence == 0:
        return None
    last = _head(connection)
    row = first_row(connection.execute("SELECT hash FROM journal WHERE sequence = ?", [tip.sequence]))
    if row is not None and row[0] == tip.hash:
        return None
    if row is None:
        found = f"the journal ends at sequence {last.sequence}, while {tip.sequence} had been recorded"
        lost = f"journal sequence {last.sequence + 1} to {tip.sequence}, with all that came with it"
    else:
        found = f"the journal's row {tip.sequence} is not the one that was recorded here: this is another file"
        lost = "what the file held that belongs here"
    return Damage(
        f"{found} (write-ahead log cut short or removed, or an older {layout.database.name} put in its place)",
        f"everything up to journal sequence {last.sequence}",
        lost,
        "goes on from there; files that still lie in the watched folders are taken in again",
    )


def unreadable_tables(connection: duckdb.DuckDBPyConnection) -> tuple[list[str], list[str], str]:
    """Reads every block of every table: the tables that can be read, those that cannot, and why not.

    DuckDB keeps a checksum of each block and compares it when it reads.
    """
    names = [
        str(row[0])
        for row in connection.execute("SELECT table_name FROM duckdb_tables() WHERE NOT internal").fetchall()
    ]
    whole: list[str] = []
    damaged: list[str] = []
    why = ""
    for name in sorted(names):
        quoted = '"' + name.replace('"', '""') + '"'
        try:
            connection.execute(f"SELECT bit_xor(hash(t)) FROM {quoted} AS t").fetchall()
        except duckdb.Error as error:
            damaged.append(name)
            why = why or _first_line(error)
            after_error(connection)
        else:
            whole.append(name)
    return whole, damaged, why


def after_error(connection: duckdb.DuckDBPyConnection) -> None:
    """Begin another transaction where a failed statement has spoilt the one it was part of: all that followed would
    seem to be damaged, too."""
    with contextlib.suppress(duckdb.Error):
        # Outside of a transaction this is an error, and nothing is begun.
        connection.execute("ROLLBACK")
        connection.execute("BEGIN TRANSACTION")


def of_tables(layout: Layout, whole: list[str], damaged: list[str], why: str) -> Damage:
    """Blocks of tables that cannot be read, in words."""
    return Damage(
        f"{len(damaged)} of {len(whole) + len(damaged)} tables of {layout.database.name} cannot be read:"
        f" {_SCRATCH.sub('', why.replace(f'{layout.root}/', ''))}",
        f"{len(whole)} tables; {remains(layout) or 'no artifact'}",
        f"what these tables held: {_some(damaged)}",
    )


def examine(layout: Layout) -> list[CheckResult]:
    """The store's files without an agent; nothing is changed. Holds the store's lock by its caller."""
    damage = before_opening(layout)
    if damage is None and not layout.database.exists():
        return [CheckResult("store", "ok", "new: nothing has been recorded yet")]
    if damage is None:
        try:
            with _opened(layout.database) as connection:
                schema = migrate.check(connection, layout.database)
                damage = of_tip(layout, connection)
                if damage is None:
                    whole, damaged, why = unreadable_tables(connection)
                    damage = of_tables(layout, whole, damaged, why) if damaged else None
                last = _head(connection)
        except duckdb.Error as error:
            if not is_damage(error):
                hint = "Stop what holds it, upgrade, or look at its owner, mode and disk."
                return [CheckResult("store", "failed", _first_line(error), hint)]
            damage = of_error(layout, error)
        except Refusal as found:
            return [CheckResult("store", "failed", found.message, found.hint)]
    if damage is not None:
        return checks(layout, damage)
    words = f"{len(whole)} tables can be read, schema {schema}, journal sequence {last.sequence}"
    return [CheckResult("store", "ok", words)]


def remains(layout: Layout) -> str:
    """What lies beside the database, in words; "" for nothing."""
    found = []
    kept = sum(1 for _ in _artifacts(layout))
    if kept:
        found.append(f"{kept} {'artifact' if kept == 1 else 'artifacts'} in objects/")
    serving = served(layout)
    if serving:
        words = [f"{deployment} (version {version}, revision {number})" for deployment, version, number in serving]
        found.append(f"targets/ still serves {_some(words)}")
    return ", ".join(found)


def served(layout: Layout) -> list[tuple[str, str, int]]:
    """What followers of the local targets get: deployment, version and revision, as the targets themselves say."""
    found = []
    for link in sorted(layout.targets.glob("*/*/current")):
        try:
            pointer = json.loads((link / "revision.json").read_bytes())
            found.append((str(pointer["deployment"]), str(pointer["version"]), int(pointer["revision"])))
        except (OSError, ValueError, KeyError, TypeError):
            found.append((f"{link.parent.name}@{link.parent.parent.name}", "?", 0))
    return found


def is_damage(error: duckdb.Error) -> bool:
    """Whether the file itself is at fault; not another process, a later DuckDB's format, the disk or its rights."""
    text = str(error)
    return not any(word in text for word in _NO_DAMAGE)


def is_unreadable(error: duckdb.Error) -> bool:
    """Whether a query failed because of what the file holds."""
    return isinstance(error, duckdb.FatalException) or any(word in str(error) for word in _UNREADABLE)


def _artifacts(layout: Layout) -> Iterator[Path]:
    for folder in layout.objects.glob("sha256/??"):
        yield from folder.iterdir()


def _without_log(layout: Layout) -> duckdb.DuckDBPyConnection:
    """The file as of its last checkpoint, by another name: DuckDB looks for the log beside the name it is given."""
    with tempfile.TemporaryDirectory(prefix=".examine-", dir=layout.root) as scratch:
        name = Path(scratch) / layout.database.name
        try:
            os.link(layout.database, name)
        except OSError:
            shutil.copyfile(layout.database, name)
        return _opened(name)


def _opened(path: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(str(path), read_only=True, config=CONFIG)


def _head(connection: duckdb.DuckDBPyConnection) -> Tip:
    row = first_row(connection.execute("SELECT sequence, hash FROM journal ORDER BY sequence DESC LIMIT 1"))
    return Tip(int(row[0]), str(row[1])) if row else Tip(0, "")


def _written(path: Path) -> str:
    return f"{datetime.fromtimestamp(path.stat().st_mtime, UTC):%Y-%m-%d %H:%M:%S}Z"


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"


def _without_path(layout: Layout, error: Exception) -> str:
    return _first_line(error).replace(f"{layout.root}/", "").removesuffix("!")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
