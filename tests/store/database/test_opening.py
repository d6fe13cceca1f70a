"""Opening a store: older, newer, foreign, held by another process, read-only."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import duckdb
import pytest

from store.database import Database, migrate
from store.database.migrate import Migration
from store.governance.journal import Journal
from store.protocol import ExitCode, Refusal

#: SHA-256, in part, of each migration as stores out there have run it; one that is finished adds its line.
AS_RUN = {
    1: "a9d29ec527be938f",
    2: "dda162cb4a37c81e",
    3: "a30363ca897361ef",
    4: "917b6a0e8da7c2ba",
    5: "2417623b5b472a9d",
    6: "854f1d903ecc81d3",
    7: "e063f54751eb3b26",
    8: "b862738d4bd7bf3c",
    9: "5aff9700755b2d05",
    10: "09358cfb79d261a0",
    11: "bce50aee9410aacb",
    12: "f2f2f04df7da56dd",
    16: "07ec2f61e0987df8",
}


def make(path: Path) -> None:
    Database.open(path, Journal).close()


def tables(path: Path) -> set[str]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return {row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}


def test_a_store_from_a_newer_version_is_refused_and_left_untouched(tmp_path: Path) -> None:
    path = tmp_path / "metadata.duckdb"
    make(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("INSERT INTO migration VALUES (9999, 'future', now()::TIMESTAMP)")
    before = path.read_bytes()
    with pytest.raises(Refusal, match="schema 9999; this version knows up to"):
        Database.open(path, Journal)
    assert path.read_bytes() == before


def test_a_duckdb_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "metadata.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE somebody_elses (x INTEGER)")
    with pytest.raises(Refusal, match="not a Quarterdeck store"):
        Database.open(path, Journal)
    assert tables(path) == {"somebody_elses"}


def test_a_file_that_is_no_database_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "metadata.duckdb"
    path.write_bytes(b"hello" * 5000)
    with pytest.raises(Refusal) as refusal:
        Database.open(path, Journal)
    assert str(path) in refusal.value.message


def test_a_store_held_by_another_process_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "metadata.duckdb"
    make(path)
    holding = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holding, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as holder:
        assert holder.stdout and holder.stdin
        holder.stdout.readline()
        with pytest.raises(Refusal, match="Another process holds") as refusal:
            Database.open(path, Journal)
        holder.stdin.close()
    assert refusal.value.code == ExitCode.NO_AGENT


def test_an_older_store_is_backed_up_then_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metadata.duckdb"
    make(path)
    later = Migration(9000, "later", "CREATE TABLE later (x INTEGER)")
    known = migrate.migrations()
    monkeypatch.setattr(migrate, "migrations", lambda: [*known, later])
    database = Database.open(path, Journal)
    database.close()
    assert database.schema == 9000
    assert "later" in tables(path)
    (backup,) = (tmp_path / "backups").iterdir()
    assert "later" not in tables(backup)


def test_a_migration_that_stores_have_run_is_never_edited() -> None:
    found = {each.number: hashlib.sha256(each.sql.encode()).hexdigest()[:16] for each in migrate.migrations()}
    assert {number: found.get(number) for number in AS_RUN} == AS_RUN, (
        "an edit reaches only new stores: write a further migration"
    )


def test_a_migration_that_fails_leaves_the_store_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metadata.duckdb"
    make(path)
    before = tables(path)
    known = migrate.migrations()
    bad = [Migration(9000, "half", "CREATE TABLE half (x INTEGER)"), Migration(9001, "bad", "CREATE NONSENSE")]
    monkeypatch.setattr(migrate, "migrations", lambda: [*known, *bad])
    with pytest.raises(Refusal, match="could not be migrated to schema 9001"):
        Database.open(path, Journal)
    assert tables(path) == before


def test_migration_numbers_are_distinct_and_every_file_is_one() -> None:
    found = migrate.migrations()
    assert len({migration.number for migration in found}) == len(found)
    files = [f for f in resources.files("store.database").joinpath("migrations").iterdir() if f.name.endswith(".sql")]
    assert len(files) == len(found)


def test_a_copy_taken_while_nobody_writes_opens_as_the_same_store(tmp_path: Path) -> None:
    path = tmp_path / "metadata.duckdb"
    database = Database.open(path, Journal)
    database.close()
    copy = tmp_path / "copy" / "metadata.duckdb"
    copy.parent.mkdir()
    shutil.copy2(path, copy)
    again = Database.open(copy, Journal)
    again.close()
    assert again.store_id == database.store_id
