"""The scorer: follows the pointer, writes whole files, takes up where it was, and refuses spoilt bits."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from demo_processes import DEPLOYMENT, Scorer, Target

Start = Callable[..., Scorer]
SHORT = ("--from", "2013-03-01", "--until", "2013-03-03", "--speed", 1000)
NO_DIGEST = "sha256:" + "0" * 64


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def predictions(store: Path, day: str) -> pd.DataFrame:
    return pd.read_parquet(store / "inbox" / "predictions" / DEPLOYMENT / f"{day}.parquet")


def labels(store: Path, day: str) -> pd.DataFrame:
    return pd.read_parquet(store / "inbox" / "labels" / DEPLOYMENT / f"{day}.parquet")


@dataclass
class Scored:
    """A store in which three days are scored, with their labels, and what the scorer said."""

    store: Path
    said: list[dict[str, object]]


@pytest.fixture(scope="module")
def scored(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Scored:
    store = tmp_path_factory.mktemp("scored")
    Target(trained, store).point_to("1")
    scorer = Scorer(store, *SHORT)
    try:
        said = [scorer.next()]
        while "ended" not in said[-1]:
            said.append(scorer.next())
    finally:
        scorer.stop()
    return Scored(store, said)


def test_each_day_has_its_predictions_and_what_landed_its_labels(scored: Scored) -> None:
    days = [f"2013-03-0{day}.parquet" for day in (1, 2, 3)]
    assert names(scored.store / "inbox" / "predictions" / DEPLOYMENT) == days
    assert names(scored.store / "inbox" / "labels" / DEPLOYMENT) == [*days, "2013-03-04.parquet"]


def test_a_prediction_file_has_the_columns_of_the_model_file_and_the_version(scored: Scored) -> None:
    import flights

    found = predictions(scored.store, "2013-03-02")
    assert set(found.columns) == {"flight_id", "scheduled_at", *flights.FEATURES, "p_late", "late", "model_version"}
    assert set(found["model_version"]) == {"1"}
    assert set(found["scheduled_at"].dt.date.astype(str)) == {"2013-03-02"}
    assert found["p_late"].between(0, 1).all()


def test_a_label_comes_from_the_landing_on_and_never_for_a_cancelled_flight(scored: Scored) -> None:
    days = ("2013-03-01", "2013-03-02", "2013-03-03")
    predicted = pd.concat(predictions(scored.store, day) for day in days)
    known = pd.concat(labels(scored.store, day) for day in (*days, "2013-03-04"))
    assert set(known["flight_id"]) < set(predicted["flight_id"])
    assert known["flight_id"].is_unique
    assert set(labels(scored.store, "2013-03-02")["landed_at"].dt.date.astype(str)) == {"2013-03-02"}


def test_labels_of_a_day_come_after_the_next_day_was_scored(scored: Scored) -> None:
    assert [line.get("day") or f"labels of {line['labelled_day']}" for line in scored.said[:4]] == [
        "2013-03-01",
        "2013-03-02",
        "labels of 2013-03-01",
        "2013-03-03",
    ]


def test_predictions_after_a_swap_come_from_the_version_then_effective(
    target: Target, start_scorer: Start, tmp_path: Path
) -> None:
    target.point_to("1")
    scorer = start_scorer("--from", "2013-07-01", "--until", "2013-07-30", "--speed", 10)
    scorer.until("day", "2013-07-02")
    target.point_to("2")
    second = scorer.until("version", "2")
    target.point_to("1")
    third = scorer.until("version", "1")
    assert (second["revision"], third["revision"]) == (2, 3)
    assert set(predictions(tmp_path, str(second["day"]))["model_version"]) == {"2"}
    assert set(predictions(tmp_path, str(third["day"]))["model_version"]) == {"1"}


def test_it_waits_until_a_version_is_deployed_and_takes_up_where_it_was_stopped(
    target: Target, start_scorer: Start, tmp_path: Path
) -> None:
    first = start_scorer("--from", "2013-03-01", "--until", "2013-03-03", "--speed", 0.01)
    assert first.next()["waiting"] == "no version is deployed"
    target.point_to("1")
    assert first.next()["day"] == "2013-03-01"
    assert first.stop() == 0
    before = (tmp_path / "inbox" / "predictions" / DEPLOYMENT / "2013-03-01.parquet").stat()
    again = start_scorer(*SHORT)
    assert again.next()["day"] == "2013-03-02"
    again.until("ended", "all days are scored")
    assert (tmp_path / "inbox" / "predictions" / DEPLOYMENT / "2013-03-01.parquet").stat() == before
    assert "2013-03-01.parquet" in names(tmp_path / "inbox" / "labels" / DEPLOYMENT)


def test_every_file_that_appears_is_whole(target: Target, start_scorer: Start, tmp_path: Path) -> None:
    target.point_to("1")
    scorer = start_scorer("--from", "2013-03-01", "--until", "2013-03-25", "--speed", 1000)
    folder = tmp_path / "inbox" / "predictions" / DEPLOYMENT
    read: set[Path] = set()
    while scorer.process.poll() is None:
        for path in set(folder.glob("[!.]*")) - read:
            assert path.suffix == ".parquet"
            assert len(pd.read_parquet(path)) > 0
            read.add(path)
    assert len(read) >= 20


def test_bits_with_another_digest_are_not_loaded(target: Target, tmp_path: Path) -> None:
    from serving import Serving

    target.point_to("1", digest=NO_DIGEST)
    serving = Serving(tmp_path / "targets", DEPLOYMENT)
    assert "it is not loaded" in serving.follow()
    assert serving.revision is None


def test_spoilt_bits_leave_the_version_before_serving(target: Target, tmp_path: Path) -> None:
    from serving import Serving

    target.point_to("1")
    serving = Serving(tmp_path / "targets", DEPLOYMENT)
    assert serving.follow() == ""
    target.point_to("2", digest=NO_DIGEST)
    assert "it is not loaded" in serving.follow()
    assert serving.revision is not None and serving.revision.version == "1"


def test_a_model_that_is_not_trusted_leaves_the_version_before_serving(target: Target, tmp_path: Path) -> None:
    import os

    import skops.io
    from serving import Serving
    from whole_files import sha256

    target.point_to("1")
    serving = Serving(tmp_path / "targets", DEPLOYMENT)
    serving.follow()
    folder = target.point_to("2")
    skops.io.dump({"surprise": os.system}, folder / "model" / "model.skops")
    pointer = json.loads((folder / "revision.json").read_text())
    pointer["digest"] = f"sha256:{sha256(folder / 'model' / 'model.skops')}"
    (folder / "revision.json").write_text(json.dumps(pointer))
    assert "UntrustedTypesFoundException" in serving.follow()
    assert serving.revision is not None and serving.revision.version == "1"


def test_the_digest_of_the_whole_folder_is_accepted(target: Target, tmp_path: Path) -> None:
    from pointer import folder_digest
    from serving import Serving

    folder = target.point_to("1")
    pointer = json.loads((folder / "revision.json").read_text())
    (folder / "revision.json").write_text(json.dumps({**pointer, "digest": folder_digest(folder / "model")}))
    assert Serving(tmp_path / "targets", DEPLOYMENT).follow() == ""


def test_the_folder_digest_is_the_stores(trained: Path) -> None:
    from pointer import folder_digest

    objects = pytest.importorskip("store.catalog.objects")
    folder = trained / "models" / "flight-delay" / "1"
    assert folder_digest(folder) == objects.tree_digest(folder)
