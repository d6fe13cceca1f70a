"""Readers: one snapshot a read, begun when it is first needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from store.database import Actor, Database, Entry
from store.database.reader import Connect
from store.database.rows import first_row
from store.governance.journal import Journal


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "metadata.duckdb", Journal)
    yield opened
    opened.close()


def record(database: Database, subject: str) -> None:
    entry = Entry(Actor("tester", "cli"), "register", "runs", subject)
    database.writer.change(lambda tx: tx.record(entry))


def subjects(connection: duckdb.DuckDBPyConnection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT subject FROM journal ORDER BY sequence").fetchall()]


def test_the_snapshot_is_of_when_the_cursor_is_first_asked_for(database: Database) -> None:
    def read(connect: Connect) -> tuple[list[str], list[str]]:
        record(database, "before")
        first = subjects(connect())
        record(database, "after")
        return first, subjects(connect())

    assert database.reader.read_if_needed(read) == (["before"], ["before"])
    assert database.reader.read(subjects) == ["before", "after"]


def test_a_read_that_fails_leaves_the_next_one_a_cursor(database: Database) -> None:
    with pytest.raises(duckdb.CatalogException):
        database.reader.read_if_needed(lambda connect: connect().execute("SELECT * FROM no_such_table"))
    record(database, "seen")
    assert database.reader.read(subjects) == ["seen"]


@pytest.mark.parametrize("sql", ["SELECT 1", "SELECT 1 WHERE false", "SELECT range FROM range(5000)"])
def test_the_first_row_of_a_result_leaves_the_connection_to_others(database: Database, sql: str) -> None:
    def read(connection: duckdb.DuckDBPyConnection) -> object:
        row = first_row(connection.execute(sql))
        assert connection.sql("SELECT 7 AS x").to_arrow_table().to_pydict() == {"x": [7]}
        return row

    assert database.reader.read(read) == {"SELECT 1": (1,), "SELECT 1 WHERE false": None}.get(sql, (0,))
