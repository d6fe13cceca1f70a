"""The story on census answers: protected attributes travel with the files and are no features."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from demo_processes import SAMPLE_DATA, run_script

EMPLOYMENT = SAMPLE_DATA / "employment_ma.parquet"


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("employment")
    run_script("employment.py", "train", "--data", EMPLOYMENT, "--inbox", folder)
    return folder


def test_protected_attributes_are_in_the_reference_but_no_features(inbox: Path) -> None:
    folder = inbox / "models" / "employment" / "1"
    manifest = json.loads((folder / "model.json").read_text())
    reference = pd.read_parquet(folder / "reference.parquet")
    assert manifest["protected"] == ["sex_code", "race_code"]
    assert set(manifest["protected"]) < set(reference.columns) - set(manifest["features"])


def test_the_reference_was_held_out(inbox: Path) -> None:
    training = pd.read_parquet(inbox / "datasets" / "employment-ma" / "2015.parquet")
    reference = pd.read_parquet(inbox / "models" / "employment" / "1" / "reference.parquet")
    assert not set(training["person_id"]) & set(reference["person_id"])


def test_the_years_after_are_as_good_as_the_reference(inbox: Path) -> None:
    import boosting
    import employment

    folder = inbox / "models" / "employment" / "1"
    answers = employment.load(EMPLOYMENT)
    later = answers[answers["year"] > 2015]
    score = boosting.scores(boosting.load(folder / "model.skops"), later)
    expected = json.loads((folder / "model.json").read_text())["metrics"]["auc"]
    assert boosting.measure(later["employed"].to_numpy(int), score)["auc"] == pytest.approx(expected, abs=0.015)


def test_weeks_hold_every_answer_once_and_its_label_a_week_later() -> None:
    from datetime import date

    import employment

    answers = employment.load(EMPLOYMENT)
    work = employment.weeks_of_answers(answers, date(2016, 1, 1), date(2016, 12, 31))
    assert sum(map(len, work.to_score.values())) == sum(map(len, work.known.values())) == 12_000
    asked = {person: day for day, rows in work.to_score.items() for person in rows["person_id"]}
    known = {person: day for day, rows in work.known.items() for person in rows["person_id"]}
    assert all(known[person] == day + work.step for person, day in asked.items())
