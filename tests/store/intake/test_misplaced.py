"""Files in a place that means nothing are said, once each, and no longer when they are moved or removed."""

from __future__ import annotations

import shutil
import time

import pytest

from store.catalog.listing import Listings
from store.intake.quarantine import QUARANTINE
from store.intake.recognise import meant_run_file
from store.protocol import ListParams
from tests.store.intake.running import Running, eventually

RUN = '{"status": "finished"}'
LINE = '{"step": 1, "loss": 0.5}\n'


def paths(store: Running) -> list[str]:
    return sorted(case["path"] for case in store.quarantined())


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        ("runs/T/0/run.json", RUN, "runs/<run>/run.json"),
        ("runs/T/0/metrics.jsonl", LINE, "runs/<run>/metrics.jsonl"),
        ("runs/T/0/params.json", "{}", "runs/<run>/params.json"),
        ("runs/T/Run.json", RUN, "runs/<run>/run.json"),
        ("runs/T/RUN.JSON", RUN, "runs/<run>/run.json"),
        ("runs/T/metrics.json", LINE, "runs/<run>/metrics.jsonl"),
        ("runs/T/metrics.csv", "step,loss\n1,2\n", "runs/<run>/metrics.jsonl"),
        ("runs/T/metircs.jsonl", LINE, "runs/<run>/metrics.jsonl"),
        ("runs/T/parameters.yaml", "a: 1\n", "runs/<run>/params.json"),
        ("run/T/run.json", RUN, "one of the folders datasets, runs"),
        ("datasets/jan.parquet", "x", "datasets/<dataset>/<file>"),
        ("predictions/m@production/deep/x.csv", "x\n", "predictions/<model@environment>/<file>"),
        ("models/m/model.json", "{}", "models/<model>/<version>/model.json"),
    ],
)
def test_a_misplaced_file_is_said_with_the_nearest_right_place(
    store: Running, path: str, content: str, expected: str
) -> None:
    store.put(path, content)
    (case,) = eventually(store.quarantined)
    assert case["path"] == path
    assert expected in case["expected"]
    misplaced = ListParams("quarantine", filter="kind=misplaced state=open")
    page = store.database.reader.read(lambda c: Listings([QUARANTINE]).page(c, misplaced))
    assert page.total == 1
    assert store.rows("SELECT count(*) FROM run") == [(0,)]


def test_the_note_goes_away_with_the_file_and_comes_back_with_it(store: Running) -> None:
    path = store.put("runs/T/0/run.json", RUN)
    eventually(lambda: paths(store) == ["runs/T/0/run.json"])
    (store.inbox / "runs/0").parent.mkdir(exist_ok=True)
    shutil.move(path.parent, store.inbox / "runs/0")
    eventually(lambda: paths(store) == [])
    eventually(lambda: store.rows("SELECT name FROM run") == [("0",)])
    assert store.rows("SELECT event, reason FROM quarantine_event") == [("cleared", "moved or removed")]
    store.put("runs/T/0/run.json", RUN)
    eventually(lambda: paths(store) == ["runs/T/0/run.json"])
    store.restart()
    (store.inbox / "runs/T/0/run.json").unlink()
    eventually(lambda: paths(store) == [])


def test_each_is_said_once_however_often_it_changes(store: Running) -> None:
    path = store.put("runs/T/metrics.json", LINE)
    eventually(lambda: paths(store) == ["runs/T/metrics.json"])
    for _ in range(3):
        with path.open("a") as file:
            file.write(LINE)
        time.sleep(0.15)
    store.intake.rescan()
    store.restart()
    time.sleep(0.5)
    assert store.one("SELECT count(*) FROM quarantine") == 1
    assert store.one("SELECT count(*) FROM quarantine_event") == 0


@pytest.mark.parametrize(
    "companion",
    ["metrics.csv", "plot.png", "checkpoint-5/params.json", "checkpoint-5/weights.bin", "config.yaml",
     ".hidden/run.json", "run.json.tmp", "version_0/metrics.csv", "results.json"],
)  # fmt: skip
def test_what_lies_beside_a_run_s_files_is_its_author_s(store: Running, companion: str) -> None:
    store.put(f"runs/r/{companion}", "x")
    store.put("runs/r/metrics.jsonl", LINE)
    store.put("runs/last/run.json", RUN)
    eventually(lambda: store.one("SELECT count(*) FROM run") == 2)
    time.sleep(store.patience.incomplete + 0.3)
    assert store.quarantined() == []


def test_a_folder_that_holds_no_run_is_said_once_and_no_more_when_it_does(store: Running) -> None:
    for name in ("results.json", "plot.png", "model.pt"):
        store.put(f"runs/r/{name}", "x")
    (case,) = eventually(store.quarantined)
    assert (case["path"], case["key"]) == ("runs/r", "run")
    assert "no run.json, params.json or metrics.jsonl" in case["reason"]
    store.put("runs/r/run.json", RUN)
    eventually(lambda: store.quarantined() == [])
    assert store.one("SELECT count(*) FROM quarantine") == 1


@pytest.mark.parametrize(
    ("name", "meant"),
    [("config.json", ""), ("train.json", ""), ("run_config.json", ""), ("hparams.yaml", ""), ("metrics.png", ""),
     ("metrics.jsonl.gz", "metrics.jsonl"), ("Params.JSON", "params.json"), ("metrics.ndjson", "metrics.jsonl"),
     ("prams.json", "params.json"), ("result.json", ""), ("summary.json", "")],
)  # fmt: skip
def test_what_a_name_was_meant_to_be(name: str, meant: str) -> None:
    assert meant_run_file(name) == meant
