"""Numbered migrations: an older store is backed up, then migrated as one transaction, or left untouched."""

from __future__ import annotations

import re
import shutil
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import duckdb

from store.database import times
from store.database.rows import first_row
from store.protocol import ExitCode, Refusal


class Migration(NamedTuple):
    number: int
    name: str
    sql: str


def migrations() -> list[Migration]:
    """Every migration of this version, in order."""
    found = []
    for file in resources.files("store.database").joinpath("migrations").iterdir():
        match = re.fullmatch(r"(\d{4})_(\w+)\.sql", file.name)
        if match:
            found.append(Migration(int(match[1]), match[2], file.read_text(encoding="utf-8")))
    return sorted(found)


def newest() -> int:
    return max(migration.number for migration in migrations())


def applied(connection: duckdb.DuckDBPyConnection) -> set[int]:
    exists = first_row(connection.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'migration'"))
    if not exists or not exists[0]:
        return set()
    return {int(row[0]) for row in connection.execute("SELECT number FROM migration").fetchall()}


def check(connection: duckdb.DuckDBPyConnection, path: Path) -> int:
    """The store's schema number. Raises `Refusal` when it is newer than this version knows, or not a store."""
    done = applied(connection)
    if not done:
        raise Refusal(ExitCode.USAGE, f"{path} is not a Quarterdeck store.", "Name another one with --store.")
    if max(done) > newest():
        raise Refusal(
            ExitCode.USAGE,
            f"{path} is a store of schema {max(done)}; this version knows up to {newest()}.",
            "Upgrade Quarterdeck; the store was left untouched.",
        )
    return max(done)


def bring_up_to_date(connection: duckdb.DuckDBPyConnection, path: Path) -> int:
    """Apply what is missing; returns the schema number.

    An existing store is copied to `backups/` first. Raises `Refusal` when the store is newer than this
    version, or when a migration fails; the store is then as it was.
    """
    done = applied(connection)
    if not done and first_row(connection.execute("SELECT count(*) FROM duckdb_tables()")) != (0,):
        raise Refusal(
            ExitCode.USAGE,
            f"{path} is a DuckDB file but not a Quarterdeck store.",
            "Name another with --store.",
        )
    if done:
        check(connection, path)
    missing = [migration for migration in migrations() if migration.number not in done]
    if not missing:
        return max(done)
    if done:
        connection.execute("CHECKPOINT")
        backup = path.parent / "backups" / f"{path.stem}-schema{max(done)}-{times.now():%Y%m%dT%H%M%SZ}.duckdb"
        backup.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, backup)
    connection.execute("BEGIN TRANSACTION")
    try:
        connection.execute("CREATE TABLE IF NOT EXISTS migration (number INTEGER, name VARCHAR, applied_at TIMESTAMP)")
        for migration in missing:
            connection.execute(migration.sql)
            connection.execute(
                "INSERT INTO migration VALUES (?, ?, ?)",
                [migration.number, migration.name, times.to_db(times.now())],
            )
        connection.execute("COMMIT")
    except duckdb.Error as error:
        connection.execute("ROLLBACK")
        raise Refusal(
            ExitCode.REFUSED,
            f"{path} could not be migrated to schema {missing[-1].number}: {str(error).splitlines()[0]}",
            "The store was left as it was.",
        ) from error
    return missing[-1].number
