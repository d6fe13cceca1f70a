"""Damaged stores: what is whole, what is lost, and the line that mends it; nothing is begun anew unasked."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from store.database import Layout, damage
from store.database.backup import back_up, known_backups, restore
from store.database.damage import Damage
from store.database.recovery import open_store
from store.database.tip import Tip, TipFile
from store.governance.journal import Journal
from store.protocol import ExitCode, Refusal

#: Records `count` rows in the journal of the store at argv[1] and dies without a checkpoint, or closes it.
_RECORD = """
import os, sys
from pathlib import Path
from store.database import Actor, Entry, Layout
from store.database.recovery import open_store
from store.database.tip import TipFile
from store.governance.journal import Journal
layout = Layout(Path(sys.argv[1]))
layout.create()
database = open_store(layout, Journal)
for number in range(int(sys.argv[2])):
    database.writer.change(lambda tx: tx.record(Entry(Actor("ada", "test"), "note", "runs", f"r{number}")))
TipFile(layout.tip).write(database.recorder.tip)
if sys.argv[3] == "close":
    database.close()
os._exit(0)
"""


def record(layout: Layout, count: int, how: str) -> None:
    subprocess.run([sys.executable, "-c", _RECORD, str(layout.root), str(count), how], check=True)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """10 rows up to the checkpoint, 20 more in the write-ahead log."""
    found = Layout(tmp_path / "my store")
    record(found, 10, "close")
    record(found, 20, "die")
    assert found.log_of_writes.stat().st_size > 1_000
    return found


def flip(path: Path, share: float, count: int = 64) -> None:
    with path.open("r+b") as file:
        file.seek(int(path.stat().st_size * share))
        found = file.read(count)
        file.seek(int(path.stat().st_size * share))
        file.write(bytes(byte ^ 0xFF for byte in found))


def refused(layout: Layout) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        open_store(layout, Journal)
    assert refusal.value.code == ExitCode.NO_AGENT
    return refusal.value


def rows(layout: Layout, accept_loss: bool = True) -> list[tuple[int, str]]:
    """The journal after opening: sequence and action."""
    database = open_store(layout, Journal, accept_loss)
    found = database.reader.read(lambda c: c.execute("SELECT sequence, action FROM journal ORDER BY ALL").fetchall())
    database.close()
    return found


def found_by_doctor(layout: Layout) -> dict[str, str]:
    return {check.name: f"{check.status}: {check.found}" for check in damage.examine(layout)}


def test_a_whole_store_opens_after_it_was_killed(layout: Layout) -> None:
    assert len(rows(layout, accept_loss=False)) == 30
    assert not list(layout.root.glob("*.before"))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_damaged_log_is_lost_from_the_checkpoint_on(layout: Layout, share: float) -> None:
    flip(layout.log_of_writes, share)
    before = layout.database.read_bytes(), layout.log_of_writes.read_bytes()
    refusal = refused(layout)
    assert "metadata.duckdb.wal" in refusal.message and "Corrupt WAL file" in refusal.message
    assert "up to its last checkpoint" in refusal.message and "journal sequence 10," in refusal.message
    assert "journal sequence 11 to 30" in refusal.message
    assert found_by_doctor(layout)["lost"] == "failed: what was recorded after that: journal sequence 11 to 30"
    assert (layout.database.read_bytes(), layout.log_of_writes.read_bytes()) == before
    # Going on is told, recorded, and throws nothing away.
    assert rows(layout) == [*((number, "note") for number in range(1, 11)), (11, "accept_loss")]
    (aside,) = layout.backups.glob("damaged-*/metadata.duckdb.wal")
    assert aside.read_bytes() == before[1]
    assert len(rows(layout, accept_loss=False)) == 11


@pytest.mark.parametrize("mutilate", ["cut", "emptied", "removed", "begins wrongly"])
def test_a_log_that_duckdb_takes_for_whole_is_missed_all_the_same(layout: Layout, mutilate: str) -> None:
    log = layout.log_of_writes
    kept = log.read_bytes()
    match mutilate:
        case "cut":
            os.truncate(log, len(kept) // 2)
        case "emptied":
            os.truncate(log, 0)
        case "removed":
            log.unlink()
        case _:
            flip(log, 0.0, 8)
    refusal = refused(layout)
    last = 10 if mutilate != "cut" else int(refusal.message.split("ends at sequence ")[1].split(",")[0])
    assert 10 <= last < 30
    assert (
        f"Whole: everything up to journal sequence {last}. Lost: journal sequence {last + 1} to 30" in refusal.message
    )
    if mutilate in ("cut", "begins wrongly"):
        # What DuckDB would have dropped at the next checkpoint is kept to be looked at.
        (aside,) = layout.backups.glob("damaged-*/metadata.duckdb.wal")
        assert aside.stat().st_size
    assert rows(layout)[-1] == (last + 1, "accept_loss")


def test_an_older_file_put_in_its_place_is_noticed(layout: Layout, tmp_path: Path) -> None:
    other = Layout(tmp_path / "other")
    record(other, 40, "close")
    layout.log_of_writes.unlink()
    layout.database.write_bytes(other.database.read_bytes())
    assert "row 30 is not the one that was recorded here" in refused(layout).message


@pytest.mark.parametrize("what", ["missing", "is empty (0 bytes)"])
@pytest.mark.parametrize("log", [True, False])
def test_no_empty_store_begins_beside_targets_that_serve(layout: Layout, what: str, log: bool) -> None:
    serve(layout)
    if not log:
        layout.log_of_writes.unlink()
    layout.database.unlink() if what == "missing" else os.truncate(layout.database, 0)
    message = refused(layout).message
    assert what in message
    assert "1 artifact in objects/, targets/ still serves churn@production (version 7, revision 3)" in message
    assert "every record" in message and "sequence 30" in message
    assert not layout.database.exists() or not layout.database.stat().st_size
    assert found_by_doctor(layout)["store"].startswith("failed: metadata.duckdb ")
    assert [action for _, action in rows(layout)] == ["accept_loss"]


def test_a_new_store_begins_without_a_question(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.create()
    assert damage.examine(layout)[0].status == "ok"
    assert rows(layout, accept_loss=False) == []


def test_a_file_whose_beginning_is_gone_is_said_to_be_lost(layout: Layout) -> None:
    layout.log_of_writes.unlink()
    flip(layout.database, 0.0, 12_288)
    message = refused(layout).message
    assert "metadata.duckdb is damaged" in message and "not a valid DuckDB database file" in message
    assert "Lost: every record (the journal had reached sequence 30)" in message
    damaged = layout.database.read_bytes()
    assert [action for _, action in rows(layout)] == ["accept_loss"]
    (aside,) = layout.backups.glob("damaged-*/metadata.duckdb")
    assert aside.read_bytes() == damaged


def test_tables_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    record(layout, 3_000, "close")
    raw = layout.database.read_bytes()
    # A block of the journal's text, found by what only the journal holds.
    place = raw.rfind(b"note")
    with layout.database.open("r+b") as file:
        file.seek(place)
        file.write(b"\xff" * 32)
    with duckdb.connect(str(layout.database), read_only=True) as connection:
        whole, damaged, why = damage.unreadable_tables(connection)
    assert damaged == ["journal"]
    assert "checksum" in why
    assert "quarantine" in whole
    # The agent's own doctor looks within one transaction, which the first failure ends.
    with duckdb.connect(str(layout.database), read_only=True) as connection:
        connection.execute("BEGIN TRANSACTION")
        assert damage.unreadable_tables(connection) == (whole, ["journal"], why)
        assert connection.execute("SELECT count(*) FROM quarantine").fetchall() == [(0,)]
    found = found_by_doctor(layout)
    assert found["store"].startswith(f"failed: 1 of {len(whole) + 1} tables of metadata.duckdb cannot be read")
    assert found["lost"] == "failed: what these tables held: journal"


def test_the_newest_backup_is_named_as_a_line_that_restores_it(layout: Layout, tmp_path: Path) -> None:
    database = open_store(layout, Journal)
    for name in ("one.tar", "two with blank.tar", "metadata.duckdb"):
        with database.cursor() as cursor:
            back_up(cursor, layout, tmp_path / name, 30, lambda _progress: None)
    database.close()
    flip(layout.database, 0.0, 12_288)
    hint = refused(layout).hint
    line = hint.partition("  (")[0]
    words = shlex.split(line)
    # An archive all the same: `backup` writes to any name.
    assert words == ["quarterdeck", "--store", str(layout.root), "restore", str(tmp_path / "metadata.duckdb")]
    assert "journal sequence 30)" in hint
    restore(layout, Path(words[-1]))
    assert len(rows(layout, accept_loss=False)) == 30
    (tmp_path / "metadata.duckdb").unlink()
    assert str(tmp_path / "two with blank.tar") in shlex.split(damage.mending(layout, Damage("", "", "")))
    (tmp_path / "two with blank.tar").unlink()
    assert [Path(backup.path).name for backup in known_backups(layout)] == ["one.tar"]


def test_a_copy_from_before_a_migration_brings_back_the_records_and_leaves_the_bits(layout: Layout) -> None:
    serve(layout)
    assert len(rows(layout, accept_loss=False)) == 30
    copy = layout.backups / "metadata-schema3-20260101T000000Z.duckdb"
    copy.write_bytes(layout.database.read_bytes())
    (layout.backups / "notes.txt").write_text("no backup")
    flip(layout.database, 0.0, 12_288)
    assert str(copy) in refused(layout).hint
    restore(layout, copy)
    assert len(rows(layout, accept_loss=False)) == 30
    assert damage.remains(layout).startswith("1 artifact")


def test_an_older_backup_is_no_loss_once_it_was_asked_for(layout: Layout, tmp_path: Path) -> None:
    database = open_store(layout, Journal)
    with database.cursor() as cursor:
        back_up(cursor, layout, tmp_path / "b.tar", 30, lambda _progress: None)
    database.close()
    record(layout, 5, "close")
    restore(layout, tmp_path / "b.tar")
    assert len(rows(layout, accept_loss=False)) == 30


def test_a_tip_that_lags_or_cannot_be_read_is_no_damage(layout: Layout) -> None:
    TipFile(layout.tip).write(Tip(0, "0" * 64))
    assert len(rows(layout, accept_loss=False)) == 30
    layout.tip.write_text("nonsense")
    assert len(rows(layout, accept_loss=False)) == 30


def test_a_file_that_may_not_be_read_or_is_held_is_not_called_damaged(layout: Layout) -> None:
    holding = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holding, str(layout.database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout and holder.stdin
        holder.stdout.readline()
        with pytest.raises(Refusal, match="Another process holds"):
            open_store(layout, Journal, accept_loss=True)
        assert damage.examine(layout)[0].hint.startswith("Stop what holds it")
        holder.stdin.close()


def serve(layout: Layout) -> None:
    """One artifact, and a target that serves it, as `store.release.targets.local` lays them down."""
    (layout.objects / "sha256/ab/cdef").mkdir(parents=True)
    place = layout.targets / "production/churn/revisions/3"
    place.mkdir(parents=True)
    (place / "revision.json").write_text(
        '{"deployment": "churn@production", "revision": 3, "version": "7", "digest": ""}'
    )
    (place.parent.parent / "current").symlink_to("revisions/3")


def test_a_database_that_was_cut_is_not_called_whole_because_its_log_fails_first(layout: Layout) -> None:
    record(layout, 3_000, "close")
    record(layout, 20, "die")
    flip(layout.log_of_writes, 0.5)
    os.truncate(layout.database, int(layout.database.stat().st_size * 0.6))
    refusal = refused(layout)
    assert "metadata.duckdb up to its last checkpoint" not in refusal.message
    # The cut takes tables or, as the blocks happened to be written, what says where the tables are.
    assert any(words in refusal.message for words in ("of metadata.duckdb cannot be read", "Whole: nothing.")), (
        refusal.message
    )
    assert ".examine-" not in refusal.message
    assert "begins an empty store" in refusal.hint
