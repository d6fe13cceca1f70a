"""Labels find their predictions by hashes of ids, whatever made the hashes that are kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from store.database import Transaction
from store.monitor import record_labels, record_predictions, scan_labels, scan_predictions
from store.monitor.recording import record_all
from store.monitor.scan import PredictionScan
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


# --- several files ---------------------------------------------------------------------------------------

#: Of two versions, of which one has slices, in two environments whose requests have the same ids; some came twice.
SEVERAL = [
    (deployment, f"SELECT 'p' || i AS prediction_id, TIMESTAMP '2024-05-01' + to_hours(i::INT) AS timestamp,"
     f" 0.1 * (i % 10) AS score, 'c' || (i % 3) AS place, (1 + i % 2)::VARCHAR AS model_version"
     f" FROM range({first}, {first + 20}) t(i)")
    for first in (0, 20, 40, 200)
    for deployment in (DEPLOYMENT, "m@staging")
]  # fmt: skip


def scanned(bench: Bench) -> list[PredictionScan]:
    """The files of `SEVERAL`, with labels that were there before them: other ones in either environment."""
    bench.register("1", slices=["place"], features={"place": "categorical"})
    bench.register("2", features={"place": "categorical"})
    read, change = bench.database.reader.read, bench.database.writer.change
    for deployment, of in ((DEPLOYMENT, 2), ("m@staging", 3)):
        # The second file corrects labels of the first.
        for name, labels in (
            ("early", f"SELECT 'p' || i AS prediction_id, i % {of} = 0 AS label FROM range(50) t(i)"),
            ("late", "SELECT 'p' || i AS prediction_id, true AS label FROM range(10, 30) t(i)"),
        ):
            path = bench.file(labels)
            found = read(lambda c, path=path, to=deployment, name=name: scan_labels(c, path, "parquet", to, name + to))
            change(lambda tx, found=found: record_labels(tx, found))
    paths = [(deployment, bench.file(select)) for deployment, select in SEVERAL]
    return [
        read(lambda c, path=path, to=deployment: scan_predictions(c, path, "parquet", to, path.name))
        for deployment, path in paths
    ]


def test_files_recorded_together_count_as_they_do_one_by_one(tmp_path: Path) -> None:
    def counted(folder: Path, record: Callable[[Transaction, Sequence[PredictionScan]], list[int]]) -> Any:
        folder.mkdir()
        bench = Bench(folder)
        scans = scanned(bench)
        labelled = bench.database.writer.change(lambda tx: record(tx, scans))
        kept = [
            bench.rows(f"SELECT * EXCLUDE (recorded_at) FROM {table} ORDER BY ALL")
            for table in ("monitor_performance", "monitor_performance_slice")
        ]
        bench.close()
        return labelled, kept

    together = counted(tmp_path / "a", lambda tx, scans: [taken.labelled for taken in record_all(tx, scans)])
    alone = counted(tmp_path / "b", lambda tx, scans: [record_predictions(tx, scan).labelled for scan in scans])
    assert together == alone
    assert together[0] == [20, 20, 20, 20, 10, 10, 0, 0]
    assert all(together[1])


def reads(monkeypatch: pytest.MonkeyPatch, table: str, said: Callable[[Transaction, str, Sequence[Any]], Any]) -> Any:
    """What `said` answers to each statement that looks ids up in the table, from now on."""
    execute = Transaction.execute
    heard: list[Any] = []

    def listening(tx: Transaction, sql: str, params: Any = ()) -> Any:
        if f"FROM {table} WHERE id_hash IN" in sql:
            heard.append(said(tx, sql, params))
        return execute(tx, sql, params)

    monkeypatch.setattr(Transaction, "execute", listening)
    return heard


def test_files_recorded_together_look_for_labels_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    scans = scanned(bench)
    heard = reads(monkeypatch, "monitor_label", lambda tx, sql, params: sql)
    bench.database.writer.change(lambda tx: record_all(tx, scans))
    assert len(heard) == 1


@pytest.mark.parametrize("arriving", ["labels", "predictions"])
def test_of_other_columns_only_the_row_groups_that_hold_the_ids_are_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, arriving: str
) -> None:
    bench.register()
    bench.label(bench.file(LABELLED.format(first=-9, last=-5)))
    into = {
        "labels": "monitor_prediction (version, event_at, recorded_at, deployment, prediction_id, id_hash)"
        " SELECT '1', TIMESTAMP '2024-05-01', ?",
        "predictions": "monitor_label (label, ordinal, recorded_at, deployment, prediction_id, id_hash)"
        " SELECT '1', 1, ?",
    }[arriving]
    # Four row groups of ids, of many deployments.
    ids = (
        f"SELECT CASE i % 500 WHEN 0 THEN '{DEPLOYMENT}' ELSE 'm@' || i % 500 END AS deployment, 'p' || i AS id"
        " FROM range(480_000) t(i)"
    )
    bench.database.writer.change(
        lambda tx: tx.execute(f"INSERT INTO {into}, deployment, id, hash(id) FROM ({ids})", [tx.now_db])
    )

    def groups(tx: Transaction, sql: str, params: Sequence[Any]) -> list[tuple[int, int]]:
        plan = str(tx.connection.execute("EXPLAIN ANALYZE " + sql[sql.index("SELECT") :], params).fetchall()[0][1])
        return [(int(read), int(of)) for read, of in re.findall(r"Row Groups Scanned: (\d+) / (\d+)", plan)]

    heard = reads(monkeypatch, into.split()[0], groups)
    if arriving == "labels":
        assert bench.label(bench.file(LABELLED.format(first=400_000, last=400_010))).joined == 1
    else:
        assert bench.predict(bench.file(PREDICTED.format(first=400_000, last=400_010))).labelled == 1
    # All hashes, then of all groups the one that holds the id.
    columns, hashes = sorted(scan for scan in heard[0] if scan[1] >= 4)
    assert columns[0] == 1
    assert hashes[0] == hashes[1]
