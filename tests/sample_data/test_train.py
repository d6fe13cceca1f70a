"""What train.py hands over: files as DESIGN.md describes them, with the figures that the data really gives."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pandas as pd
import pytest
from demo_processes import FLIGHTS, run_script


def read_json(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(path.read_text())
    return found


def test_nothing_unfinished_is_left_in_the_inbox(trained: Path) -> None:
    assert [path.name for path in trained.rglob("*") if path.name.startswith(".")] == []


def test_the_model_file_names_only_files_that_are_there(trained: Path) -> None:
    for version in ("1", "2"):
        folder = trained / "models" / "flight-delay" / version
        manifest = read_json(folder / "model.json")
        assert {path.name for path in folder.iterdir()} == {"model.json", manifest["artifact"], manifest["reference"]}


def test_the_store_reads_the_model_file(trained: Path) -> None:
    manifest_of = pytest.importorskip("store.catalog.manifest")
    document = (trained / "models" / "flight-delay" / "1" / "model.json").read_bytes()
    manifest = manifest_of.parse(document, "flight-delay", "1")
    assert (manifest.task, manifest.flavour, manifest.columns.score) == ("binary", "skops", "p_late")


def test_the_reference_holds_what_the_model_file_says(trained: Path) -> None:
    folder = trained / "models" / "flight-delay" / "1"
    manifest = read_json(folder / "model.json")
    reference = pd.read_parquet(folder / "reference.parquet")
    columns = manifest["columns"]
    features = manifest["features"]
    assert isinstance(columns, dict) and isinstance(features, dict)
    assert set(reference.columns) == {*columns.values(), *features}
    assert set(reference["scheduled_at"].dt.month) == {3}
    assert reference["was_late"].isna().sum() == reference["landed_at"].isna().sum() > 0


def test_the_version_names_the_run_and_the_dataset_that_made_it(trained: Path) -> None:
    import whole_files

    manifest = read_json(trained / "models" / "flight-delay" / "1" / "model.json")
    run = read_json(trained / "runs" / str(manifest["run"]) / "run.json")
    dataset = trained / "datasets" / "flights" / "2013-01_2013-02.parquet"
    assert manifest["trained_on"] == run["datasets_in"] == [f"flights@sha256:{whole_files.sha256(dataset)}"]


def test_the_reference_of_held_out_days_shares_no_day_with_the_training_data(trained: Path) -> None:
    training = pd.read_parquet(
        trained / "datasets" / "flights" / "2013-01_2013-06_less_every_6th_day.parquet", columns=["scheduled_at"]
    )
    reference = pd.read_parquet(trained / "models" / "flight-delay" / "2" / "reference.parquet")
    assert not set(training["scheduled_at"].dt.date) & set(reference["scheduled_at"].dt.date)


def test_metrics_are_a_line_of_json_for_every_fourth_step(trained: Path) -> None:
    text = (trained / "runs" / "train-flight-delay-1" / "metrics.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["step"] for line in lines] == list(range(4, 101, 4))
    assert set(lines[0]) - {"step", "time"} == {
        f"{rows}_{metric}" for rows in ("train", "validation") for metric in ("auc", "log_loss")
    }


def test_the_last_metrics_are_those_of_the_version(trained: Path) -> None:
    last = json.loads((trained / "runs" / "train-flight-delay-1" / "metrics.jsonl").read_text().splitlines()[-1])
    metrics = read_json(trained / "models" / "flight-delay" / "1" / "model.json")["metrics"]
    assert isinstance(metrics, dict)
    assert last["validation_auc"] == pytest.approx(metrics["auc"], abs=1e-5)


@pytest.mark.parametrize(
    ("version", "month", "metric", "expected"),
    [
        ("1", 3, "auc", 0.70),
        ("1", 4, "auc", 0.63),
        ("1", 7, "auc", 0.68),
        ("1", 9, "auc", 0.65),
        ("2", 7, "auc", 0.75),
        ("1", 11, "log_loss", 0.45),
        ("2", 11, "log_loss", 0.47),
    ],
)
def test_figures_of_the_story(
    month_scores: dict[tuple[str, int], dict[str, float]], version: str, month: int, metric: str, expected: float
) -> None:
    assert month_scores[version, month][metric] == pytest.approx(expected, abs=0.012)


def test_version_2_is_better_in_july_and_worse_in_november(
    month_scores: dict[tuple[str, int], dict[str, float]],
) -> None:
    assert month_scores["2", 7]["log_loss"] < month_scores["1", 7]["log_loss"] - 0.03
    assert month_scores["2", 11]["log_loss"] > month_scores["1", 11]["log_loss"] + 0.005


@pytest.fixture(scope="module")
def month_scores(trained: Path) -> dict[tuple[str, int], dict[str, float]]:
    """AUC and log loss by version and month, of the saved models on all flights that landed."""
    import boosting
    import flights

    known = flights.labelled(flights.load(FLIGHTS))
    found = {}
    for version in ("1", "2"):
        model = boosting.load(trained / "models" / "flight-delay" / version / "model.skops")
        for month in (3, 4, 7, 9, 11):
            rows = flights.within(known, flights.parse_months(f"2013-{month:02}"))
            found[version, month] = boosting.measure(rows["was_late"].to_numpy(int), boosting.scores(model, rows))
    return found


def test_a_version_that_is_there_is_not_trained_again(trained: Path) -> None:
    done = run_script(
        "train.py", "--data", FLIGHTS, "--inbox", trained, "--version", 1,
        "--train", "2013-01", "--reference", "2013-02", check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "is there already" in done.stderr


def test_months_that_are_none_are_named_in_the_error(tmp_path: Path) -> None:
    done = run_script(
        "train.py", "--data", FLIGHTS, "--inbox", tmp_path, "--version", 1,
        "--train", "2013-14", "--reference", "2013-02", check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "'2013-14' is not a span of months" in done.stderr


def test_a_failed_training_is_a_failed_run(tmp_path: Path) -> None:
    from run_folder import RunFolder

    with pytest.raises(RuntimeError), RunFolder(tmp_path, "r", {}, {}):
        raise RuntimeError("out of luck")
    run = read_json(tmp_path / "runs" / "r" / "run.json")
    assert (run["status"], run["error"]) == ("failed", "RuntimeError: out of luck")


def test_a_model_file_with_a_type_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    import boosting
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    skops.io.dump({"surprise": os.system}, tmp_path / "model.skops")
    with pytest.raises(UntrustedTypesFoundException):
        boosting.load(tmp_path / "model.skops")


def test_a_folder_has_its_name_only_when_it_is_complete(tmp_path: Path) -> None:
    from whole_files import whole_folder

    with pytest.raises(RuntimeError), whole_folder(tmp_path / "1") as partial:
        (partial / "model.skops").write_text("half")
        assert not (tmp_path / "1").exists()
        assert partial.name.startswith(".")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
