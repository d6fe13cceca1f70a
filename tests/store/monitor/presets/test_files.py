"""Two files compared under a preset, as `quarterdeck drift --preset NAME` does, against the peers' record."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from store.monitor import binning
from store.monitor.comparing import compare
from store.monitor.files.table_files import open_files
from store.monitor.reference_chunks import chunks_of
from store.protocol import DriftReport, DriftRequest, ExitCode, Refusal
from store.settings import MonitorSettings
from tests.store.monitor.presets.test_parity import _cases, recorded

CASE = "flights march, july"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("presets")
    paths = []
    for name, frame in zip(("reference", "current"), _cases()[CASE], strict=True):
        paths.append(folder / f"{name}.parquet")
        frame.to_parquet(paths[-1], row_group_size=5_000)
    return str(paths[0]), str(paths[1])


def report(files: tuple[str, str], preset: str) -> DriftReport:
    return compare(DriftRequest(files[1], files[0], preset=preset), MonitorSettings())


def test_evidently_says_of_files_what_evidently_said(files: tuple[str, str]) -> None:
    found, peer = report(files, "evidently"), recorded("evidently")[CASE]
    assert {feature.feature: feature.alarm for feature in found.features} == {
        name: column["drifted"] for name, column in peer["columns"].items()
    }
    assert (found.preset, found.preset_drifted) == ("evidently", peer["drifted"])
    assert found.preset_share == pytest.approx(peer["share"])


def test_whylogs_says_of_files_what_whylogs_said(files: tuple[str, str]) -> None:
    found, peer = report(files, "whylogs"), recorded("whylogs")[CASE]["columns"]
    assert {feature.feature: feature.alarm for feature in found.features} == {
        name: column["category"] == "DRIFT" for name, column in peer.items()
    }


def test_nannyml_has_its_thresholds_from_the_files_own_chunks(files: tuple[str, str]) -> None:
    found, peer = report(files, "nannyml"), recorded("nannyml")[CASE]["columns"]
    for feature in found.features:
        assert feature.statistic == "nannyml.js"
        assert feature.threshold == pytest.approx(peer[feature.feature]["threshold"], abs=0.05), feature.feature


def test_what_drifted_most_comes_first_and_quarterdecks_own_statistics_stay(files: tuple[str, str]) -> None:
    found = report(files, "evidently")
    assert [feature.alarm for feature in found.features] == sorted(
        (feature.alarm for feature in found.features), reverse=True
    )
    assert found.features[0].feature in ("dew_point_f", "temperature_f")
    names = [value.statistic for value in found.features[0].statistics]
    assert names[0] == "evidently.wasserstein" and "psi" in names


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_chunks_are_the_references_rows_in_order_and_sum_to_it(tmp_path: Path, suffix: str) -> None:
    draw = np.random.default_rng(2)
    frame = pd.DataFrame({"a": np.sort(draw.normal(size=1_234)), "b": draw.choice(["x", "y"], 1_234)})
    for place, part in enumerate((frame[:700], frame[700:])):
        path = tmp_path / f"{place}.{suffix}"
        part.to_parquet(path, row_group_size=300) if suffix == "parquet" else part.to_csv(path, index=False)
    paths = sorted(str(path) for path in tmp_path.iterdir())
    files = open_files(paths)
    reference = binning.profile(files)
    chunks = chunks_of(files, reference, reference.rows)
    assert (chunks.sum(axis=0) == reference.counts).all()
    feature = reference.by_name["a"]
    rows = chunks[:, feature.offset : feature.offset + feature.width].sum(axis=1)
    assert rows.tolist() == [123] * 10 + [4]
    # Sorted values: each chunk lies in bins of its own.
    places = [np.flatnonzero(row[feature.offset : feature.offset + feature.missing_from]) for row in chunks]
    assert all(later.min() >= earlier.max() for earlier, later in pairwise(places))


def test_an_unknown_preset_is_refused_before_any_file_is_read() -> None:
    with pytest.raises(Refusal) as refused:
        compare(DriftRequest("nowhere", "nowhere", preset="alibi"), MonitorSettings())
    assert refused.value.code == ExitCode.USAGE
    assert "alibi" in refused.value.message


def test_a_column_that_went_missing_stays_an_alarm(files: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "less.parquet"
    pd.read_parquet(files[1]).drop(columns=["carrier"]).to_parquet(path)
    found = report((files[0], str(path)), "evidently")
    gone = next(feature for feature in found.features if feature.feature == "carrier")
    assert gone.alarm and gone.why == "the current files have no such column"
