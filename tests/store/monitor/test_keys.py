"""Labels find their predictions by hashes of ids, whatever made the hashes that are kept."""

from __future__ import annotations

import pytest

from store.database import Transaction
from store.monitor import record_labels, record_predictions, scan_labels, scan_predictions
from tests.store.monitor.conftest import DEPLOYMENT, Bench

PREDICTED = (
    "SELECT 'p' || i AS prediction_id, TIMESTAMP '2024-05-01' AS timestamp, 0.5 AS score"
    " FROM range({first}, {last}) t(i)"
)
LABELLED = "SELECT 'p' || i AS prediction_id, i % 2 AS label FROM range({first}, {last}) t(i)"


def joined(bench: Bench) -> int:
    return int(bench.rows("SELECT coalesce(sum(labelled), 0) FROM monitor_performance")[0][0])


@pytest.mark.parametrize(
    "spoil",
    [
        # A store of before there were hashes.
        ["UPDATE monitor_prediction SET id_hash = NULL", "UPDATE monitor_label SET id_hash = NULL",
         "DELETE FROM monitor_key"],
        # Another DuckDB hashed otherwise.
        ["UPDATE monitor_prediction SET id_hash = id_hash + 1", "UPDATE monitor_label SET id_hash = id_hash + 1",
         "UPDATE monitor_key SET probe = 1"],
    ],
)  # fmt: skip
@pytest.mark.parametrize("order", ["labels last", "predictions last"])
def test_hashes_that_are_not_this_duckdbs_are_worked_out_anew(bench: Bench, spoil: list[str], order: str) -> None:
    bench.register()
    bench.predict(bench.file(PREDICTED.format(first=0, last=10)))
    bench.label(bench.file(LABELLED.format(first=0, last=5)))
    bench.label(bench.file(LABELLED.format(first=20, last=25)))

    def change(tx: Transaction) -> None:
        for statement in spoil:
            tx.execute(statement)

    bench.database.writer.change(change)
    if order == "labels last":
        # Two that are known, three that are new.
        assert bench.label(bench.file(LABELLED.format(first=3, last=8))).labels == 3
        assert joined(bench) == 8
    else:
        assert bench.predict(bench.file(PREDICTED.format(first=18, last=22))).labelled == 2
        assert joined(bench) == 7
    kept = "SELECT count(*) FROM {} WHERE id_hash IS DISTINCT FROM hash(prediction_id)"
    assert [bench.rows(kept.format(table)) for table in ("monitor_prediction", "monitor_label")] == [[(0,)], [(0,)]]


@pytest.mark.parametrize("order", ["predictions first", "labels first"])
def test_what_the_same_transaction_recorded_is_found(bench: Bench, order: str) -> None:
    """The writer commits several files at once."""
    bench.register()
    predictions, labels = bench.file(PREDICTED.format(first=0, last=10)), bench.file(LABELLED.format(first=5, last=12))
    read = bench.database.reader.read
    predicted = read(lambda c: scan_predictions(c, predictions, "parquet", DEPLOYMENT, "p"))
    labelled = read(lambda c: scan_labels(c, labels, "parquet", DEPLOYMENT, "l"))
    found: list[int] = []

    def change(tx: Transaction) -> None:
        steps = [
            lambda: found.append(record_predictions(tx, predicted).labelled),
            lambda: found.append(record_labels(tx, labelled).joined),
        ]
        for step in steps if order == "predictions first" else reversed(steps):
            step()

    bench.database.writer.change(change)
    assert sum(found) == 5
    assert joined(bench) == 5


def test_an_id_that_shares_its_hash_with_another_is_not_taken_for_it(bench: Bench) -> None:
    bench.register()
    bench.predict(bench.file(PREDICTED.format(first=0, last=10)))
    bench.database.writer.change(lambda tx: tx.execute("UPDATE monitor_prediction SET id_hash = hash('p3')"))
    bench.database.writer.change(lambda tx: tx.execute("INSERT INTO monitor_key SELECT hash('quarterdeck')"))
    assert bench.label(bench.file(LABELLED.format(first=3, last=4))).joined == 1
    assert joined(bench) == 1
