"""The demo's second story: is a person employed? A model with protected attributes, on data that hardly drifts.

    python employment.py train --data employment_ma.parquet --inbox INBOX
    python employment.py score --data employment_ma.parquet --store STORE --inbox INBOX

Version 1 is trained on three quarters of the answers of 2015; the fourth quarter, held out, is its reference. `score`
serves 2016 to 2018 week after week. The protected attributes are no features of the model; the files carry them, so
that its decisions can be compared between groups.
"""

from __future__ import annotations

import argparse
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import boosting
import pandas as pd
from lifeline import die_with_parent
from provenance import provenance
from run_folder import RunFolder
from serving import Serving, Work, add_serving_options, serve
from whole_files import sha256, whole_file, whole_folder, write_json

MODEL = "employment"
DATASET = "employment-ma"
PROTECTED = ["sex_code", "race_code"]
NUMERIC = ["age_years"]
CATEGORICAL = [
    "schooling_code",
    "marital_status_code",
    "relationship_code",
    "disability_code",
    "parents_employment_code",
    "citizenship_code",
    "mobility_code",
    "military_code",
    "nativity_code",
]
COLUMNS = {
    "id": "person_id",
    "time": "answered_at",
    "prediction": "predicted_employed",
    "score": "p_employed",
    "label": "employed",
    "label_time": "known_at",
}
THRESHOLD = 0.5
PARAMS = {"max_iter": 60, "max_leaf_nodes": 15}
#: Multiplicative hashing (Knuth, The Art of Computer Programming 3, 6.4): 2**32 over the golden ratio.
_MIXER = 2654435761
WEEK = timedelta(days=7)


def load(path: Path) -> pd.DataFrame:
    """The answers with `answered_at` and `known_at`.

    The survey asks all through the year but its file tells the year only: the answers of a year are spread evenly
    over it, in an order mixed from the ids, since neighbours in the file are neighbours in the country. What was
    answered counts as known a week later.
    """
    answers = pd.read_parquet(path)
    mixed = answers["person_id"].astype("uint64") * _MIXER % 2**32
    answers = answers.assign(mixed=mixed).sort_values(["year", "mixed"], ignore_index=True).drop(columns="mixed")
    place = answers.groupby("year").cumcount() / answers.groupby("year")["year"].transform("size")
    start = pd.to_datetime(answers["year"].astype(str), format="%Y", utc=True)
    length = pd.to_datetime((answers["year"] + 1).astype(str), format="%Y", utc=True) - start
    answers["answered_at"] = (start + place * length).dt.floor("s").astype("datetime64[ms, UTC]")
    answers["known_at"] = answers["answered_at"] + WEEK
    return answers


def train(options: argparse.Namespace) -> int:
    folder = options.inbox / "models" / MODEL / "1"
    if folder.exists():
        print(f"employment.py: {folder} is there already; a version is never trained twice", file=sys.stderr)
        return 2
    answers = load(options.data)
    of_2015 = answers[answers["year"] == 2015]
    held = of_2015["person_id"] % 4 == 0
    training, reference = of_2015[~held], of_2015[held]
    path = options.inbox / "datasets" / DATASET / "2015.parquet"
    with whole_file(path) as partial:
        training.to_parquet(partial, index=False)
    dataset = f"{DATASET}@sha256:{sha256(path)}"
    params = {**boosting.PARAMS, **PARAMS, "train_rows": len(training), "validation_rows": len(reference)}
    name = f"train-{MODEL}-1"
    facts = {**provenance(), "datasets_in": [dataset], "tags": {"model": MODEL, "version": "1"}}
    with RunFolder(options.inbox, name, params, facts) as run:
        model = boosting.train(
            training,
            training["employed"],
            (reference, reference["employed"]),
            CATEGORICAL,
            NUMERIC,
            run.log,
            **PARAMS,
        )
        scored = score_answers(model, reference, THRESHOLD)
        scored["known_at"], scored["employed"] = reference["known_at"], reference["employed"]
        metrics = boosting.measure(scored["employed"].to_numpy(int), scored["p_employed"].to_numpy(float))
        with whole_folder(folder) as partial:
            boosting.save(model, partial / "model.skops")
            scored.to_parquet(partial / "reference.parquet", index=False)
            write_json(partial / "model.json", manifest(name, dataset, metrics))
    return 0


def manifest(run: str, dataset: str, metrics: dict[str, float]) -> dict[str, Any]:
    return {
        "model": MODEL,
        "version": "1",
        "task": "binary",
        "flavour": "skops",
        "artifact": "model.skops",
        "features": {**dict.fromkeys(CATEGORICAL, "categorical"), **dict.fromkeys(NUMERIC, "numeric")},
        "columns": COLUMNS,
        "positive": 1,
        "threshold": THRESHOLD,
        "protected": PROTECTED,
        "slices": PROTECTED,
        "reference": "reference.parquet",
        "run": run,
        "trained_on": [dataset],
        "metrics": {name: round(value, 6) for name, value in metrics.items()},
        "trusted_types": boosting.TRUSTED_TYPES,
    }


def score_answers(model: Any, rows: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """What a prediction file of this model holds; protected attributes included."""
    scored = rows[["person_id", "answered_at", *NUMERIC, *CATEGORICAL, *PROTECTED]].copy()
    scored["p_employed"] = boosting.scores(model, rows)
    scored["predicted_employed"] = (scored["p_employed"] >= threshold).astype("int8")
    return scored


def score(options: argparse.Namespace) -> int:
    answers = load(options.data)
    serving = Serving(options.targets or options.store / "targets", options.deployment)
    return serve(weeks_of_answers(answers, options.first, options.last), serving, options.inbox, options.speed)


def weeks_of_answers(answers: pd.DataFrame, first: date, last: date) -> Work:
    """The answers from `first` to `last` in weeks from `first` on, and the labels by the week they are known in."""
    start = pd.Timestamp(first, tz="UTC")
    served = answers[(answers["answered_at"] >= start) & (answers["answered_at"].dt.date <= last)]

    def week(moment: pd.Series[pd.Timestamp]) -> pd.Series[Any]:
        return (start + (moment - start) // WEEK * WEEK).dt.date

    return Work(
        first,
        last,
        WEEK,
        dict(iter(served.groupby(week(served["answered_at"])))),
        dict(iter(served[["person_id", "employed", "known_at"]].groupby(week(served["known_at"])))),
        score_answers,
    )


def main(arguments: list[str] | None = None) -> int:
    die_with_parent()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    training = commands.add_parser("train")
    training.add_argument("--data", type=Path, required=True, help="employment_ma.parquet")
    training.add_argument("--inbox", type=Path, required=True, help="a watched folder")
    training.set_defaults(command=train)
    scoring = commands.add_parser("score")
    add_serving_options(scoring, MODEL, date(2016, 1, 1), date(2018, 12, 31))
    scoring.set_defaults(command=score)
    options = parser.parse_args(arguments)
    return int(options.command(options))


if __name__ == "__main__":
    sys.exit(main())
