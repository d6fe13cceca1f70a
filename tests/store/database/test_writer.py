"""The writer: group commit, what one bad change costs the others, and what survives a reopening."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from store.database import Actor, Database, Entry, Transaction
from store.governance import journal
from store.governance.journal import Journal
from store.protocol import ExitCode, Refusal

ACTOR = Actor("tester", "cli")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "metadata.duckdb", Journal)
    yield opened
    opened.close()


def entry(subject: str) -> Entry:
    return Entry(ACTOR, "register", "runs", subject, after={"status": "running"})


def recorded(database: Database) -> list[str]:
    rows = database.reader.read(lambda c: c.execute("SELECT subject FROM journal ORDER BY sequence").fetchall())
    return [row[0] for row in rows]


def outcome(future: Future[Any]) -> Any:
    return future.exception() or future.result()


def test_a_change_is_visible_to_readers_once_it_is_acknowledged(database: Database) -> None:
    assert database.writer.change(lambda tx: tx.record(entry("a"))) == 1
    assert recorded(database) == ["a"]


def test_a_failing_change_costs_the_others_of_its_group_nothing(database: Database) -> None:
    def fail(tx: Transaction) -> None:
        tx.record(entry("never"))
        raise ValueError("boom")

    futures: list[Future[Any]] = []
    for name in "abc":
        futures.append(database.writer.submit(lambda tx, name=name: tx.record(entry(name))))
        futures.append(database.writer.submit(fail))
    results = [outcome(future) for future in futures]
    assert [result for result in results if isinstance(result, int)] == [1, 2, 3]
    assert all(isinstance(result, ValueError) for result in results[1::2])
    assert recorded(database) == ["a", "b", "c"]
    assert database.reader.read(journal.verify).broken_at is None


def test_a_refusal_before_the_first_write_reaches_only_its_asker(database: Database) -> None:
    def refuse(_tx: Transaction) -> None:
        raise Refusal(ExitCode.CHANGED, "somebody was faster")

    kept = database.writer.submit(lambda tx: tx.record(entry("kept")))
    refused = database.writer.submit(refuse)
    assert kept.result() == 1
    assert isinstance(refused.exception(), Refusal)


def test_a_refusal_after_a_write_takes_that_write_back(database: Database) -> None:
    def refuse_late(tx: Transaction) -> None:
        tx.record(entry("half"))
        raise Refusal(ExitCode.REFUSED, "no")

    with pytest.raises(Refusal):
        database.writer.change(refuse_late)
    assert recorded(database) == []


def test_listeners_hear_which_subjects_of_which_topics_changed(database: Database) -> None:
    heard: list[dict[str, set[str]]] = []
    database.listen(lambda topics, _at: heard.append({topic: set(names) for topic, names in topics.items()}))

    def change(tx: Transaction) -> None:
        tx.record(entry("a"))
        tx.touch("models", "m")

    database.writer.change(change)
    assert heard == [{"runs": {"a"}, "models": {"m"}}]


def test_bulk_insert_keeps_nan_infinity_nulls_lists_and_odd_text(database: Database) -> None:
    def change(tx: Transaction) -> None:
        tx.execute("CREATE TABLE odd (x DOUBLE, t VARCHAR, n BIGINT[])")
        tx.insert(
            "odd",
            {"x": "DOUBLE", "t": "VARCHAR", "n": "BIGINT[]"},
            [
                {"x": float("nan"), "t": 'a"\n\x1b[31m', "n": [1, 2]},
                {"x": float("-inf"), "t": "\udce9", "n": []},
                {"t": None},
            ],
        )

    database.writer.change(change)
    rows = database.reader.read(lambda c: c.execute("SELECT x::VARCHAR, t, n FROM odd").fetchall())
    assert sorted(rows, key=str) == sorted(
        [("nan", 'a"\n\x1b[31m', [1, 2]), ("-inf", "?", []), (None, None, None)], key=str
    )


def test_what_was_acknowledged_is_there_after_reopening(database: Database, tmp_path: Path) -> None:
    for name in "ab":
        database.writer.change(lambda tx, name=name: tx.record(entry(name)))
    store_id = database.store_id
    database.close()
    again = Database.open(tmp_path / "metadata.duckdb", Journal)
    try:
        assert recorded(again) == ["a", "b"]
        assert again.store_id == store_id
        assert again.writer.change(lambda tx: tx.record(entry("c"))) == 3
        assert again.reader.read(journal.verify).broken_at is None
    finally:
        again.close()
