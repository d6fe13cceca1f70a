"""Files in, facts out: the whole path on a real store."""

from __future__ import annotations

from pathlib import Path

import duckdb

from tests.store.intake.running import Running, eventually


def test_a_run_renamed_into_place_becomes_a_run(store: Running) -> None:
    store.put("runs/train-1/run.json", {"status": "finished", "user": "ada"})
    eventually(lambda: store.rows("SELECT name FROM run"))
    assert store.rows("SELECT name, status, owner FROM run") == [("train-1", "finished", "ada")]


def test_metrics_are_followed_while_they_grow(store: Running) -> None:
    path = store.put("runs/r/metrics.jsonl", '{"step": 1, "auc": 0.6}\n', rename=False)
    eventually(lambda: store.one("SELECT count(*) FROM metric_point") == 1)
    with path.open("a") as file:
        file.write('{"step": 2, "auc": 0.7}\n{"step": 3, "au')
        file.flush()
        eventually(lambda: store.one("SELECT count(*) FROM metric_point") == 2)
        file.write('c": 0.8}\n')
    eventually(lambda: store.one("SELECT count(*) FROM metric_point") == 3)
    assert store.rows("SELECT step, value FROM metric_point ORDER BY step") == [(1, 0.6), (2, 0.7), (3, 0.8)]


def test_a_dataset_has_its_rows_and_profile(store: Running) -> None:
    store.put("datasets/flights/jan.csv", "carrier,delay\nAA,3\nUA,\n")
    row = eventually(lambda: store.rows("SELECT dataset, version, row_count, profile FROM dataset_version"))[0]
    assert row[:3] == ("flights", 1, 2)
    assert '"nulls":1' in row[3]


def test_a_model_version_is_registered_with_its_bits(store: Running) -> None:
    store.put("models/m/1/model.bin", b"bits")
    store.put("models/m/1/model.json", {"model": "m", "version": "1", "artifact": "model.bin"})
    digest = eventually(lambda: store.rows("SELECT digest FROM model_version"))[0][0]
    kept = store.layout.objects / "sha256" / digest[7:9] / digest[9:]
    assert (kept / "model.bin").read_bytes() == b"bits"


def test_predictions_and_labels_reach_the_monitor(store: Running) -> None:
    store.put("models/m/1/model.json", {"task": "binary"})
    eventually(lambda: store.rows("SELECT * FROM model_version"))
    store.put("predictions/m@production/a.csv", "timestamp,prediction_id,score\n2013-01-01 00:00:00,a,0.7\n")
    store.put("labels/m@production/a.csv", "prediction_id,label,timestamp\na,1,2013-01-02 00:00:00\n")
    eventually(lambda: store.one("SELECT count(*) FROM monitor_arrival") == 2)
    assert store.quarantined() == []


def test_predictions_in_parquet_of_several_row_groups_reach_the_monitor(store: Running, tmp_path: Path) -> None:
    made = tmp_path / "made.parquet"
    duckdb.sql(
        "SELECT 'p' || i AS prediction_id, TIMESTAMP '2013-01-01' + to_seconds(i) AS timestamp, 0.5 AS score, i AS x"
        " FROM range(20000) t(i)"
    ).write_parquet(str(made), row_group_size=5000)
    store.put("models/m/1/model.json", {"task": "binary"})
    eventually(lambda: store.rows("SELECT * FROM model_version"))
    store.put("predictions/m@production/a.parquet", made.read_bytes())
    eventually(lambda: store.quarantined() or store.one("SELECT count(*) FROM monitor_arrival") == 1)
    assert store.quarantined() == []


def test_predictions_that_came_before_in_another_file_count_once(store: Running) -> None:
    store.put("models/m/1/model.json", {"task": "binary"})
    eventually(lambda: store.rows("SELECT * FROM model_version"))
    head = "timestamp,prediction_id,score\n2013-01-01 00:00:00,a,0.7\n"
    store.put("predictions/m@production/a.csv", head)
    eventually(lambda: store.one("SELECT count(*) FROM monitor_arrival") == 1)
    store.put("predictions/m@production/a.csv", head + "2013-01-01 00:10:00,b,0.2\n")
    eventually(lambda: store.one("SELECT count(*) FROM monitor_arrival") == 2)
    assert store.one("SELECT sum(row_count) FROM monitor_window") == 2
