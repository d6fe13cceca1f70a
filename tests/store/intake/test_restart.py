"""What was dealt with is remembered; what was not is taken up again; nothing counts twice."""

from __future__ import annotations

import json

import pytest

from store.database import Actor
from store.intake import commit
from store.intake.settle import Patience
from store.protocol import Refusal
from store.settings import Settings, WatchSettings
from tests.store.intake.running import Running, eventually

ADA = Actor("ada", "test")


def dealt(store: Running) -> int:
    return int(store.one("SELECT count(*) FROM arrival"))


def test_files_that_were_there_before_the_start_are_found(tmp_path_factory: pytest.TempPathFactory) -> None:
    store = Running(tmp_path_factory.mktemp("s") / "store")
    store.put("runs/a/run.json", {"status": "finished"})
    store.put("datasets/d/f.csv", "a\n1\n")
    store.start()
    eventually(lambda: dealt(store) == 2)
    assert store.rows("SELECT name FROM run") == [("a",)]
    store.close()


def test_a_restart_reads_nothing_twice(store: Running) -> None:
    store.put("runs/a/run.json", {"status": "finished"})
    store.put("runs/a/metrics.jsonl", '{"step": 1, "auc": 0.5}\n')
    store.put("datasets/d/f.csv", "a\n1\n")
    store.put("datasets/d/bad.parquet", b"no parquet, none at all")
    store.put("models/m/1/model.json", {})
    eventually(lambda: dealt(store) == 5)
    store.restart()
    store.put("runs/b/run.json", {"status": "finished"})
    eventually(lambda: dealt(store) == 6)
    eventually(lambda: store.intake.status().waiting == 0)
    assert store.one("SELECT count(*) FROM metric_point") == 1
    assert store.intake.status().taken == 1


def test_metrics_written_while_the_agent_was_away_are_read_from_where_it_stopped(store: Running) -> None:
    path = store.put("runs/a/metrics.jsonl", '{"step": 1, "auc": 0.5}\n{"step": 2')
    eventually(lambda: store.one("SELECT count(*) FROM metric_point") == 1)
    store.intake.stop()
    with path.open("a") as file:
        file.write(', "auc": 0.6}\n{"step": 3, "auc": 0.7}\n')
    store.restart()
    eventually(lambda: store.one("SELECT count(*) FROM metric_point") == 3)
    assert store.rows("SELECT step FROM metric_point ORDER BY step") == [(1,), (2,), (3,)]


def test_a_metrics_file_replaced_by_a_longer_copy_of_itself_goes_on(store: Running) -> None:
    lines = [json.dumps({"step": step, "auc": 0.5}) + "\n" for step in range(4)]
    store.put("runs/a/metrics.jsonl", "".join(lines[:2]))
    eventually(lambda: store.one("SELECT count(*) FROM metric_point") == 2)
    store.put("runs/a/metrics.jsonl", "".join(lines))
    eventually(lambda: store.one("SELECT count(*) FROM metric_point") == 4)


def test_a_metrics_file_that_began_anew_is_read_from_its_beginning(store: Running) -> None:
    store.put("runs/a/metrics.jsonl", '{"step": 1, "auc": 0.5}\n{"step": 2, "auc": 0.6}\n')
    eventually(lambda: store.one("SELECT count(*) FROM metric_point") == 2)
    store.put("runs/a/metrics.jsonl", '{"step": 1, "auc": 0.9}\n')
    eventually(lambda: store.one("SELECT count(*) FROM metric_point") == 3)
    assert store.rows("SELECT value FROM metric_point WHERE step = 1 ORDER BY value") == [(0.5,), (0.9,)]


def test_the_same_content_under_another_name_is_one_version(store: Running) -> None:
    store.put("datasets/d/a.csv", "a\n1\n")
    store.put("datasets/d/b.csv", "a\n1\n")
    eventually(lambda: dealt(store) == 2)
    assert store.one("SELECT count(*) FROM dataset_version") == 1


def test_a_version_is_not_changed_by_other_bits(store: Running) -> None:
    store.put("models/m/1/model.json", {"threshold": 0.5})
    eventually(lambda: store.rows("SELECT 1 FROM model_version"))
    store.put("models/m/1/model.json", {"threshold": 0.6})
    case = eventually(store.quarantined)[0]
    assert "is registered with other bits" in case["reason"]


def test_a_model_json_before_its_artifact_waits_and_says_so(store: Running) -> None:
    store.put("models/m/1/model.json", {"artifact": "model.bin"})
    case = eventually(store.quarantined)[0]
    assert case["reason"] == "waits for its artifact model.bin"
    store.put("models/m/1/model.bin", b"bits")
    eventually(lambda: store.rows("SELECT 1 FROM model_version"))
    eventually(lambda: not store.quarantined())


def test_an_artifact_before_its_model_json_is_taken_in_with_it(store: Running) -> None:
    store.put("models/m/1/model.bin", b"bits")
    store.put("models/m/1/model.json", {"artifact": "model.bin"})
    eventually(lambda: store.rows("SELECT 1 FROM model_version"))
    assert store.rows("SELECT * FROM quarantine") == []


def test_a_commit_that_fails_is_tried_again_and_counts_once(store: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = commit.record, []

    def full_once(*args: object) -> object:
        calls.append(1)
        if len(calls) == 1:
            raise OSError(28, "No space left on device")
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(commit, "record", full_once)
    store.put("runs/a/metrics.jsonl", '{"step": 1, "auc": 0.5}\n')
    eventually(lambda: store.one("SELECT count(*) FROM metric_point") == 1)
    assert store.quarantined() == []


def test_one_arrival_that_cannot_be_recorded_does_not_cost_the_others(
    store: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from store.catalog import runs

    real = runs.record

    def stumbles(tx: object, arrivals: list[object], actor: object) -> object:
        if any(arrival.name == "bad" for arrival in arrivals):  # type: ignore[attr-defined]
            raise ValueError("stumbled")
        return real(tx, arrivals, actor)  # type: ignore[arg-type]

    monkeypatch.setattr(runs, "record", stumbles)
    for name in ("a", "bad", "b"):
        store.put(f"runs/{name}/run.json", {"status": "finished"})
    eventually(lambda: store.one("SELECT count(*) FROM run") == 2)
    assert "stumbled" in eventually(store.quarantined)[0]["reason"]


def test_a_retry_of_what_is_still_wrong_says_so_and_opens_no_second_case(store: Running) -> None:
    store.put("runs/a/run.json", b"nonsense")
    eventually(store.quarantined)
    with pytest.raises(Refusal, match="Still wrong: no JSON"):
        store.intake.retry("q1", ADA, "again").result(20)
    assert [case["number"] for case in store.quarantined()] == [1], store.quarantined()
    assert store.rows("SELECT actor FROM journal WHERE action = 'retry'") == [("ada",)]


def test_a_retry_of_a_version_reads_its_folder_again(store: Running) -> None:
    store.put("models/m/1/model.json", {"task": "guessing"})
    eventually(store.quarantined)
    with pytest.raises(Refusal, match=r"Still wrong: model\.json: Invalid enum value"):
        store.intake.retry("q1", ADA).result(20)


def test_a_retry_reads_the_kept_copy_of_a_file_that_is_gone(store: Running) -> None:
    path = store.put("predictions/m@production/f.csv", "a\n1\n")
    eventually(store.quarantined)
    path.unlink()
    with pytest.raises(Refusal, match=r"Still wrong: f\.csv: no time column"):
        store.intake.retry("q1", ADA).result(20)


def test_a_retry_of_an_unknown_case_names_it(store: Running) -> None:
    with pytest.raises(Refusal, match="no open quarantine 'q7'"):
        store.intake.retry("q7", ADA).result(20)


def test_a_file_wrong_in_another_way_replaces_its_case(store: Running) -> None:
    store.put("runs/a/run.json", b"nonsense")
    eventually(store.quarantined)
    store.put("runs/a/run.json", {"status": 3})
    assert eventually(lambda: [c for c in store.quarantined() if c["number"] == 2])[0]["key"] == "status"
    assert len(store.quarantined()) == 1


def test_a_burst_is_taken_in_and_reports_its_progress(store: Running) -> None:
    for number in range(400):
        store.put(f"runs/r{number}/run.json", {"status": "finished"})
    eventually(lambda: store.one("SELECT count(*) FROM run") == 400)
    eventually(lambda: store.progress and store.progress[-1].finished)
    assert store.progress[-1].done == store.progress[-1].total


def test_polled_folders_are_taken_in_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = Settings(watch=WatchSettings(polling=True, rescan_seconds=0.05))
    store = Running(tmp_path_factory.mktemp("s") / "store", settings).start()
    store.put("runs/a/run.json", {"status": "finished"})
    eventually(lambda: store.rows("SELECT name FROM run"))
    assert store.intake.status().polling == "asked for by the settings"
    store.close()


def test_a_further_folder_of_the_settings_is_watched(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("s")
    further = root / "further"
    settings = Settings(watch=WatchSettings(folders=[str(further)]))
    store = Running(root / "store", settings).start()
    (further / "runs/a").mkdir(parents=True)
    (further / "runs/a/run.json").write_text("{}")
    eventually(lambda: store.rows("SELECT name FROM run"))
    store.close()


def test_a_slow_writer_s_file_is_one_version(tmp_path_factory: pytest.TempPathFactory) -> None:
    patience = Patience(settle=0.2, open_end=5.0)
    store = Running(tmp_path_factory.mktemp("s") / "store", patience=patience).start()
    path = store.inbox / "datasets/d/f.csv"
    path.parent.mkdir()
    with path.open("w") as file:
        for number in range(20):
            file.write(f"a\n{number}")
            file.flush()
            eventually(lambda: store.intake.status().waiting == 1)
        file.write("\n")
    eventually(lambda: store.rows("SELECT row_count FROM dataset_version"))
    assert store.one("SELECT count(*) FROM dataset_version") == 1
    store.close()
