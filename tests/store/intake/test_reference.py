"""A version's reference: a file beside it, a version of a dataset, or what a deployment predicted in a window."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as parquet
import pytest

from store.catalog import manifest
from store.intake import versions
from store.intake.facts import Facts
from store.intake.versions import VersionFolder
from store.monitor.multivariate import reference_file
from store.monitor.named_reference import window_file
from store.monitor.reference import Reference, load_reference
from store.monitor.workers import rows as worker_rows
from store.monitor.workers.messages import File
from store.protocol import Refusal
from tests.store.intake.running import QUICK, Running, eventually

MARCH = 1_362_096_000
DAY = 86_400
PLACES = ["a", "b", "b", "c", "c", "c"]


def rows(first: int, count: int) -> dict[str, list[Any]]:
    """A row an hour from the beginning of March 2013, with what was predicted and what was true."""
    numbers = range(first, first + count)
    return {
        "id": list(numbers),
        "time": [MARCH + 3600 * n for n in numbers],
        "x": [float(n % 40) for n in numbers],
        "place": [PLACES[n % 6] for n in numbers],
        "chance": [(n * 37 % 101) / 101 for n in numbers],
        "truth": [n * 37 % 101 > 60 for n in numbers],
    }


def as_parquet(columns: dict[str, list[Any]], *names: str) -> bytes:
    out = io.BytesIO()
    parquet.write_table(pa.table({name: columns[name] for name in names or columns}), out)
    return out.getvalue()


def as_csv(columns: dict[str, list[Any]], *names: str) -> bytes:
    out = io.BytesIO()
    pyarrow.csv.write_csv(pa.table({name: columns[name] for name in names}), out)
    return out.getvalue()


COLUMNS = {"id": "id", "time": "time", "score": "chance", "label": "truth"}
PREDICTED = ("id", "time", "x", "place", "chance")
WINDOW = {"deployment": "m@production", "since": "2013-03-02", "until": "2013-03-05"}


def model(store: Running, version: str, **more: Any) -> Path:
    return store.put(f"models/m/{version}/model.json", {"task": "binary", "columns": COLUMNS, **more})


def reference(store: Running, version: str) -> Reference:
    def found() -> Reference | None:
        return store.database.reader.read(lambda c: load_reference(c, "m", version))

    return eventually(found)  # type: ignore[no-any-return]


def counted(found: Reference, feature: str) -> dict[str, int]:
    bins = found.by_name[feature]
    return {name: int(n) for name, n in zip(bins.categories, found.of(bins), strict=False) if n}


def put_dataset(store: Running) -> str:
    content = as_parquet(rows(0, 300))
    store.put("datasets/d/first.parquet", content)
    eventually(lambda: store.rows("SELECT 1 FROM dataset_version"))
    return "sha256:" + hashlib.sha256(content).hexdigest()


def serve(store: Running) -> None:
    """Version 1 predicts a row an hour, three files of 40 each, the last one CSV; labels come for the first 60."""
    model(store, "1", flavour="opaque", reference="", artifact="")
    eventually(lambda: store.rows("SELECT 1 FROM model_version"))
    store.put("predictions/m@production/1.parquet", as_parquet(rows(0, 40), *PREDICTED))
    store.put("predictions/m@production/2.parquet", as_parquet(rows(40, 40), *PREDICTED))
    store.put("predictions/m@production/3.parquet", as_parquet(rows(80, 40), *PREDICTED))
    store.put("labels/m@production/1.parquet", as_parquet(rows(0, 60), "id", "truth"))
    eventually(lambda: store.one("SELECT count(*) FROM monitor_prediction") == 120)
    eventually(lambda: store.one("SELECT count(*) FROM monitor_label") == 60)


@pytest.mark.parametrize("by", ["number", "digest"])
def test_a_version_of_a_dataset_is_profiled_as_the_reference(store: Running, by: str) -> None:
    digest = put_dataset(store)
    model(store, "1", reference={"dataset": "d@1" if by == "number" else f"d@{digest}"})
    found = reference(store, "1")
    assert (found.source_digest, found.rows) == (digest, 300)
    assert counted(found, "place") == {"a": 50, "b": 100, "c": 150}
    assert store.one("SELECT reference_digest FROM model_version") == digest


def test_a_version_waits_for_the_dataset_that_it_names(store: Running) -> None:
    store.put("datasets/other/first.parquet", as_parquet(rows(0, 10)))
    model(store, "1", reference={"dataset": "d@1"})
    case = eventually(store.quarantined)[0]
    assert case["reason"] == "waits for its reference, dataset d@1: no such dataset"
    assert (case["key"], case["found"], case["expected"]) == ("reference", "missing", "dataset d@1")
    put_dataset(store)
    model(store, "1", reference={"dataset": "d@1"})
    assert reference(store, "1").rows == 300
    assert eventually(lambda: not store.quarantined())


def test_a_dataset_that_comes_soon_after_is_noticed_by_itself(tmp_path: Path) -> None:
    patience = dataclasses.replace(QUICK, incomplete=60.0)
    store = Running(tmp_path / "patient", patience=patience).start()
    try:
        model(store, "1", reference={"dataset": "d@1"})
        put_dataset(store)
        assert reference(store, "1").rows == 300
        assert not store.quarantined()
    finally:
        store.close()


def artifacts_staged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The versions whose artifacts were copied, as they are."""
    made: list[str] = []
    stage = versions.stage

    def counted(found: VersionFolder, *rest: Any) -> Path:
        made.append(found.manifest.version)
        return stage(found, *rest)

    monkeypatch.setattr(versions, "stage", counted)
    return made


@pytest.mark.parametrize("named", [{"dataset": "d@1"}, WINDOW])
def test_nothing_is_copied_of_a_version_whose_reference_never_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: dict[str, str]
) -> None:
    staged = artifacts_staged(monkeypatch)
    store = Running(tmp_path / "store").start()
    try:
        store.put("models/m/1/model.bin", b"weights")
        model(store, "1", artifact="model.bin", reference=named)
        assert eventually(store.quarantined)[0]["found"] == "missing"
        assert staged == []
        assert list(store.layout.objects.iterdir()) == []
    finally:
        store.close()


def test_a_version_that_waited_for_its_reference_is_copied_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = artifacts_staged(monkeypatch)
    monkeypatch.setattr("store.intake.intake._ELSEWHERE", 0.05)
    waited: list[str] = []
    keep = Facts._keep_reference

    def waits(self: Facts, *rest: Any) -> Any:
        waited.append("")
        return keep(self, *rest)

    monkeypatch.setattr(Facts, "_keep_reference", waits)
    store = Running(tmp_path / "store", patience=dataclasses.replace(QUICK, incomplete=60.0)).start()
    try:
        store.put("models/m/1/model.bin", b"weights")
        model(store, "1", artifact="model.bin", reference={"dataset": "d@1"})
        eventually(lambda: len(waited) > 2)
        put_dataset(store)
        assert reference(store, "1").rows == 300
        assert staged == ["1"]
    finally:
        store.close()


def test_nothing_is_kept_of_a_version_whose_reference_is_wrong(store: Running) -> None:
    bits = b"weights"
    store.put("models/m/1/model.bin", bits)
    store.put("models/m/1/reference.csv", "x\n1\n")
    model(store, "1", artifact="model.bin", reference="reference.csv", features={"y": "numeric"})
    assert eventually(store.quarantined)[0]["key"] == "feature"
    kept = [path.read_bytes() for path in store.layout.objects.rglob("*") if path.is_file()]
    assert bits not in kept


def test_a_dataset_whose_file_was_changed_is_no_reference(store: Running) -> None:
    put_dataset(store)
    place = store.put("datasets/d/first.parquet", as_parquet(rows(0, 200)))
    eventually(lambda: store.one("SELECT count(*) FROM dataset_version") == 2)
    model(store, "1", reference={"dataset": "d@1"})
    case = eventually(store.quarantined)[0]
    assert case["reason"] == f"reference: dataset d@1 is no longer what was registered: {place}"
    model(store, "2", reference={"dataset": "d@2"})
    assert reference(store, "2").rows == 200


def test_what_a_deployment_predicted_in_a_window_is_the_reference(store: Running) -> None:
    serve(store)
    model(store, "2", reference=WINDOW)
    found = reference(store, "2")
    inside = rows(24, 72)
    assert found.rows == 72
    assert counted(found, "place") == {name: inside["place"].count(name) for name in "abc"}
    assert {feature.name for feature in found.features} == {"x", "place", "score"}
    # Rows 24 to 59 have labels: what they say of the scores is the performance that others are compared with.
    dense = found.performance.dense()
    right = sum((c >= 0.5) == t for c, t in list(zip(inside["chance"], inside["truth"], strict=True))[:36])
    assert (int(dense[0]), int(dense[1] + dense[4])) == (36, right)


def test_rows_that_came_twice_are_once_in_a_window(store: Running) -> None:
    serve(store)
    store.put("predictions/m@production/again.parquet", as_parquet(rows(30, 60), *PREDICTED))
    eventually(lambda: store.one("SELECT count(*) FROM monitor_arrival WHERE kind = 'predictions'") == 4)
    model(store, "2", reference=WINDOW)
    assert reference(store, "2").rows == 72


def test_a_file_without_types_among_those_of_a_window_has_numbers_all_the_same(store: Running) -> None:
    serve(store)
    more = rows(200, 30)
    store.put("predictions/m@production/4.csv", as_csv(more, *PREDICTED))
    eventually(lambda: store.one("SELECT count(*) FROM monitor_prediction") == 150)
    model(store, "2", reference={**WINDOW, "until": "2013-04-01"})
    found = reference(store, "2")
    assert found.rows == 96 + 30
    assert found.by_name["x"].kind == "numeric"
    assert int(found.of(found.by_name["x"])[found.by_name["x"].missing_from :].sum()) == 0


@pytest.mark.parametrize(
    ("form", "formats"),
    [
        ("%d/%m/%Y %H:%M", {}),
        ("%Y-%m-%d %H:%M:%S America/New_York", {}),
        ("%d.%m.%y %H:%M", {"time": {"time": "%d.%m.%y %H:%M", "zone": "America/New_York"}}),
    ],
)
def test_a_window_has_the_rows_of_files_that_write_their_times_in_their_own_way(
    store: Running, form: str, formats: dict[str, Any]
) -> None:
    """The file's times are joined with those that were counted, so that both have to be read alike."""
    zone = ZoneInfo("America/New_York" if "New_York" in form or formats else "UTC")
    predicted = rows(0, 400)
    written = [datetime.fromtimestamp(second, zone).strftime(form) for second in predicted["time"]]
    model(store, "1", flavour="opaque", reference="", artifact="", formats=formats)
    eventually(lambda: store.rows("SELECT 1 FROM model_version"))
    path = store.put("predictions/m@production/1.csv", as_csv({**predicted, "time": written}, *PREDICTED))
    eventually(lambda: store.one("SELECT count(*) FROM monitor_prediction") == 400)
    # On the tenth at 02:00 clocks were put forward in New York: no hour comes twice.
    assert store.one("SELECT count(DISTINCT event_at) FROM monitor_prediction") == 400
    model(store, "2", reference={**WINDOW, "until": "2013-03-14"})
    found = reference(store, "2")
    assert found.rows == 12 * 24
    known = manifest.parse(json.dumps({"columns": COLUMNS, "formats": formats}).encode(), "m", "1")
    since, until = MARCH + DAY, MARCH + 13 * DAY
    sample, notes = worker_rows.sample(
        worker_rows.connect(), [File(str(path), "csv")], known, {"x": "numeric"}, 1000, 0, since=since, until=until
    )
    assert (sample.size, notes) == (12 * 24, [])
    assert sorted(sample.event) == [MARCH + 3600 * n for n in range(24, 13 * 24)]


def test_versions_with_the_same_window_share_its_bytes_and_its_profile(
    store: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(store)
    model(store, "2", reference=WINDOW)
    first = reference(store, "2")
    monkeypatch.setattr("store.intake.facts.scan_reference", None)
    model(store, "3", reference=WINDOW, artifact="", metrics={"auc": 0.5})
    second = reference(store, "3")
    assert second.source_digest == first.source_digest
    assert second.features == first.features
    assert second.counts.tolist() == first.counts.tolist()
    assert second.performance.counts.tolist() == first.performance.counts.tolist()
    monkeypatch.undo()
    model(store, "4", reference=WINDOW, features={"x": "numeric"})
    assert {feature.name for feature in reference(store, "4").features} == {"x", "score"}


def test_a_workers_sample_reads_the_window_as_any_reference(store: Running) -> None:
    serve(store)
    model(store, "2", reference=WINDOW)
    reference(store, "2")
    found = store.database.reader.read(lambda c: reference_file(c, store.layout, "m", "2"))
    assert not isinstance(found, str)
    _, file, known = found
    sample, notes = worker_rows.sample(worker_rows.connect(), [file], known, {"x": "numeric"}, 1000, 0)
    assert (sample.size, notes) == (72, [])
    assert sorted(sample.columns["x"]) == sorted(rows(24, 72)["x"])


def test_a_window_without_predictions_is_waited_for(store: Running) -> None:
    serve(store)
    model(store, "2", reference={**WINDOW, "since": "2014-01-01", "until": "2014-02-01"})
    case = eventually(store.quarantined)[0]
    assert case["reason"] == (
        "waits for its reference, m@production from 2014-01-01 to 2014-02-01: no predictions of that time have come"
    )


def test_a_window_of_too_many_predictions_is_refused_with_their_number(
    store: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(store)
    monkeypatch.setattr("store.monitor.named_reference.MAX_ROWS", 72)
    model(store, "2", reference=WINDOW)
    assert reference(store, "2").rows == 72
    monkeypatch.setattr("store.monitor.named_reference.MAX_ROWS", 71)
    model(store, "3", reference=WINDOW)
    case = eventually(store.quarantined)[0]
    assert case["reason"] == (
        "reference: m@production from 2013-03-02 to 2013-03-05 has 72 predictions of version 1; a window that is a"
        " reference has at most 71"
    )
    assert (case["key"], case["found"]) == ("reference", "72 predictions")
    assert case["expected"] == "Name a shorter window, or bring a sample of its rows as a dataset."


def labels_of_window(store: Running, folder: Path, before: Callable[[duckdb.DuckDBPyConnection], object]) -> list[str]:
    """What the window's file says of labels, `before` having been done within the same read."""

    def read(window: Callable[[duckdb.DuckDBPyConnection], Any]) -> Any:
        return store.database.reader.read(lambda c: (before(c), window(c))[1])

    path, _ = window_file(read, store.layout, manifest.ReferenceSource(**WINDOW), folder)
    return [label for label in parquet.read_table(path)["label"].to_pylist() if label is not None]


def test_labels_of_a_window_are_those_of_the_snapshot_that_its_rows_are_of(store: Running, tmp_path: Path) -> None:
    serve(store)

    def all_labels_come(connection: duckdb.DuckDBPyConnection) -> None:
        assert connection.execute("SELECT count(*) FROM monitor_label").fetchall() == [(60,)]
        store.put("labels/m@production/2.parquet", as_parquet(rows(60, 60), "id", "truth"))
        count = "SELECT count(*) FROM monitor_label"
        others = store.database.reader.submit
        eventually(lambda: others(lambda c: c.execute(count).fetchall()).result() == [(120,)])

    assert len(labels_of_window(store, tmp_path, all_labels_come)) == 36


def test_labels_of_other_predictions_are_not_gathered_for_a_window(store: Running, tmp_path: Path) -> None:
    serve(store)
    many = (
        "INSERT INTO monitor_label (deployment, prediction_id, label, ordinal, recorded_at) SELECT 'm@production',"
        " 'another prediction, number ' || i, repeat('long ', 60) || i, i, now()::TIMESTAMP FROM range(400_000) t(i)"
    )
    store.database.writer.change(lambda tx: tx.execute(many).fetchall())

    def little_memory(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute("SET memory_limit = '120MB'")
        connection.execute("SET max_temp_directory_size = '0KB'")
        # It may see by itself which labels count for nothing, and it may not.
        connection.execute("SET disabled_optimizers = 'join_filter_pushdown'")

    assert len(labels_of_window(store, tmp_path, little_memory)) == 36


def test_a_window_whose_files_are_gone_says_so(store: Running) -> None:
    serve(store)
    for path in (store.inbox / "predictions" / "m@production").iterdir():
        path.unlink()
    model(store, "2", reference=WINDOW)
    case = eventually(store.quarantined)[0]
    assert case["reason"] == (
        "The prediction files of m@production from 2013-03-02 to 2013-03-05 are no longer where they were."
    )


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({}, "reference needs either a dataset or a deployment with since and until"),
        ({"dataset": "d@1", "deployment": "m@production"}, "either a dataset or a deployment"),
        ({"dataset": "d@1", "since": "2013-03-01"}, "version, since and until go with a deployment"),
        ({"dataset": "d"}, "reference.dataset is 'd'; expected for instance flights@3"),
        ({"deployment": "m@production"}, "reference.since is ''; expected for instance 2013-03-01T00:00Z"),
        ({**WINDOW, "until": "soon"}, "reference.until is 'soon'"),
        ({**WINDOW, "until": "2013-03-02"}, "reference ends at 2013-03-02, not after its since"),
        ({"file": "x"}, "unknown field `file`"),
    ],
)
def test_a_reference_that_cannot_be_meant_is_refused_with_its_key(named: dict[str, str], said: str) -> None:
    import json

    with pytest.raises(Refusal, match=said) as refused:
        manifest.parse(json.dumps({"reference": named}).encode(), "m", "1")
    assert refused.value.detail["key"] == "reference"
