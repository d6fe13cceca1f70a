"""Backup and restore: a consistent copy of the metadata with the bits, as one tar file, while the agent works."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import duckdb

from store.database import migrate, times
from store.database.layout import Layout
from store.protocol import BackupDone, ExitCode, Progress, Refusal
from store.settings import FILE_NAME

_DATABASE = "metadata.duckdb"
#: What a backup holds beside the metadata. Targets are left out: reconciliation makes them from the bits.
_FOLDERS = ("objects", "quarantine")
#: In the backups' folder: a line for each backup that was taken, wherever it was put.
_TAKEN = "taken.jsonl"


class Backup(NamedTuple):
    """A backup that can be restored: when it was taken (seconds) and up to where in the journal, if that is known."""

    path: str
    at: float
    sequence: int | None


def known_backups(layout: Layout) -> list[Backup]:
    """The backups of this store that are still where they were put, the newest first."""
    found: dict[str, Backup] = {}
    for path in sorted(layout.backups.glob("*")):
        if path.is_file() and path.name != _TAKEN and (path.suffix == ".duckdb" or _holds_a_store(path)):
            found[str(path)] = Backup(str(path), path.stat().st_mtime, None)
    with contextlib.suppress(OSError):
        for line in (layout.backups / _TAKEN).read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError, OSError):
                taken = json.loads(line)
                path, size = Path(taken["path"]), int(taken["bytes"])
                if path.stat().st_size == size:
                    found[str(path)] = Backup(str(path), float(taken["at"]), int(taken["sequence"]))
    return sorted(found.values(), key=lambda backup: backup.at, reverse=True)


def _holds_a_store(path: Path) -> bool:
    try:
        with tarfile.open(path) as archive:
            # The database is written first: a large archive need not be read to its end.
            first = archive.next()
            return first is not None and first.name == _DATABASE
    except (OSError, tarfile.TarError):
        return False


def back_up(
    connection: duckdb.DuckDBPyConnection,
    layout: Layout,
    path: Path,
    sequence: int,
    on_progress: Callable[[Progress], None],
) -> BackupDone:
    """Write the store to `path` (a tar file that must not exist); readers and the writer go on meanwhile.

    `connection` is a cursor of its own; its snapshot is what is written. Raises `Refusal` when the file
    exists or cannot be written; a half-written file never carries the final name.
    """
    started = time.monotonic()
    if path.exists():
        raise Refusal(ExitCode.USAGE, f"{path} exists already.", "Name a new file; a backup is never overwritten.")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    task = f"backup {path.name}"
    try:
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=layout.root) as scratch:
            copy = Path(scratch) / _DATABASE
            on_progress(Progress(task, "copying the metadata", 0, 0))
            _copy_database(connection, layout.database.stem, copy)
            files = [
                file
                for folder in _FOLDERS
                for file in sorted((layout.root / folder).rglob("*"))
                if file.is_file() and not any(part.startswith(".incoming-") for part in file.parts)
            ]
            os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            with tarfile.open(partial, "w") as archive:
                archive.add(copy, _DATABASE)
                with contextlib.suppress(FileNotFoundError):
                    archive.add(layout.root / FILE_NAME, FILE_NAME)
                for done, file in enumerate(files):
                    archive.add(file, file.relative_to(layout.root).as_posix())
                    if done % 100 == 0:
                        on_progress(Progress(task, "adding the bits", done, len(files)))
            with partial.open("rb") as written:
                os.fsync(written.fileno())
            partial.rename(path)
            _note(layout, path, sequence)
    except (OSError, duckdb.Error) as error:
        raise Refusal(
            ExitCode.REFUSED, f"The backup to {path} failed: {str(error).splitlines()[0]}", "Check the folder and disk."
        ) from error
    finally:
        partial.unlink(missing_ok=True)
        on_progress(Progress(task, "", 0, 0, finished=True))
    return BackupDone(str(path), path.stat().st_size, round(time.monotonic() - started, 3), sequence)


def _note(layout: Layout, path: Path, sequence: int) -> None:
    """Remember where the backup is: on the day it is needed the journal may not be there to say so."""
    line = {"path": str(path), "at": time.time(), "bytes": path.stat().st_size, "sequence": sequence}
    with contextlib.suppress(OSError), (layout.backups / _TAKEN).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _copy_database(connection: duckdb.DuckDBPyConnection, name: str, copy: Path) -> None:
    quoted = str(copy).replace("'", "''")
    connection.execute(f"ATTACH '{quoted}' AS backup_copy")
    try:
        connection.execute(f'COPY FROM DATABASE "{name}" TO backup_copy')
    finally:
        connection.execute("DETACH backup_copy")


def restore(layout: Layout, path: Path) -> int:
    """Make the store what the backup at `path` holds; returns its schema number. No agent may run.

    What the store held before is moved to `backups/before-restore-<time>/`, not deleted. The backup is
    unpacked and opened beside the store first, so that a broken one changes nothing. A bare database, as it is
    copied before a migration, brings back the records; the bits stay as they are. Raises `Refusal`.
    """
    layout.create()
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=layout.root) as scratch:
        unpacked = Path(scratch)
        try:
            # By what it holds: `backup` writes its archive to whatever name it is given.
            bare = path.is_file() and not tarfile.is_tarfile(path)
            if bare:
                shutil.copyfile(path, unpacked / _DATABASE)
            else:
                with tarfile.open(path) as archive:
                    # The `data` filter refuses links and names that leave the folder.
                    archive.extractall(unpacked, filter="data")
            with duckdb.connect(str(unpacked / _DATABASE), read_only=True) as connection:
                schema = migrate.check(connection, path)
        except (OSError, tarfile.TarError, duckdb.Error) as error:
            raise Refusal(
                ExitCode.USAGE, f"{path} is no Quarterdeck backup: {str(error).splitlines()[0]}", "Nothing was changed."
            ) from error
        aside = layout.backups / f"before-restore-{times.now():%Y%m%dT%H%M%S.%fZ}"
        aside.mkdir(parents=True)
        for name in (_DATABASE, f"{_DATABASE}.wal", layout.tip.name, *(() if bare else _FOLDERS)):
            if (layout.root / name).exists():
                (layout.root / name).rename(aside / name)
        if (unpacked / FILE_NAME).exists() and (layout.root / FILE_NAME).exists():
            (layout.root / FILE_NAME).rename(aside / FILE_NAME)
        for name in (_DATABASE, FILE_NAME, *_FOLDERS):
            if (unpacked / name).exists():
                (unpacked / name).replace(layout.root / name)
    layout.create()
    return schema
