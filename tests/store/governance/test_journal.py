"""The journal's chain: whoever alters, removes or inserts a row is found out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from store.database import Actor, Database, Entry
from store.governance import journal
from store.governance.journal import Journal


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "metadata.duckdb", Journal)
    for number in range(5):
        entry = Entry(
            Actor("ann", "cli"), "promote", "deployments", "m@e", {"v": number}, {"v": number + 1}, "why", 1.5
        )
        opened.writer.change(lambda tx, entry=entry: tx.record(entry))
    yield opened
    opened.close()


def test_an_untouched_journal_holds(database: Database) -> None:
    verified = database.reader.read(journal.verify)
    assert (verified.rows, verified.last_sequence, verified.broken_at) == (5, 5, None)


@pytest.mark.parametrize(
    ("tampering", "broken_at", "why"),
    [
        ("UPDATE journal SET reason = 'other' WHERE sequence = 3", 3, "row 3 was altered"),
        ("UPDATE journal SET data_age = 0.1 WHERE sequence = 2", 2, "row 2 was altered"),
        ("DELETE FROM journal WHERE sequence = 2", 2, "sequence 2 is missing"),
        ("UPDATE journal SET sequence = 10 - sequence WHERE sequence IN (4, 5)", 4, "sequence 4 is missing"),
        ("INSERT INTO journal SELECT * REPLACE (6 AS sequence) FROM journal WHERE sequence = 5", 6, "does not follow"),
    ],
)
def test_tampering_is_found_at_its_row(database: Database, tampering: str, broken_at: int, why: str) -> None:
    database.writer.change(lambda tx: tx.execute(tampering) and None)
    verified = database.reader.read(journal.verify)
    assert verified.broken_at == broken_at
    assert why in verified.why


def test_rows_name_actor_way_reason_and_data_age(database: Database) -> None:
    row = database.reader.read(
        lambda c: c.execute("SELECT actor, via, reason, data_age, before, after FROM journal LIMIT 1").fetchone()
    )
    assert row == ("ann", "cli", "why", 1.5, '{"v": 0}', '{"v": 1}')
