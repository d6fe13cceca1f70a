"""Trains a version of the flights model and hands everything over as files: dataset, run, model.

python train.py --data flights_2013.parquet --inbox INBOX --version 1 --train 2013-01..2013-02 --reference 2013-03
python train.py --data flights_2013.parquet --inbox INBOX --version 2 --train 2013-01..2013-06 --hold-out 6
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import boosting
import flights
import pandas as pd
from lifeline import die_with_parent
from provenance import provenance
from run_folder import RunFolder
from whole_files import sha256, whole_file, whole_folder, write_json

THRESHOLD = 0.5


def main(arguments: list[str] | None = None) -> int:
    die_with_parent()
    options = _parser().parse_args(arguments)
    folder = options.inbox / "models" / flights.MODEL / options.version
    if folder.exists():
        print(f"train.py: {folder} is there already; a version is never trained twice", file=sys.stderr)
        return 2
    everything = flights.load(options.data)
    try:
        training = flights.within(everything, flights.parse_months(options.train))
        if options.hold_out:
            training, reference = flights.hold_out_days(training, options.hold_out)
        else:
            reference = flights.within(everything, flights.parse_months(options.reference))
    except ValueError as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 2
    dataset = _publish_dataset(training, options)
    _train(training, reference, dataset, folder, options)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="flights_2013.parquet")
    parser.add_argument("--inbox", type=Path, required=True, help="a watched folder")
    parser.add_argument("--version", required=True)
    parser.add_argument("--train", required=True, metavar="MONTHS", help="such as 2013-01..2013-02 (UTC)")
    held = parser.add_mutually_exclusive_group(required=True)
    held.add_argument("--reference", metavar="MONTHS", help="held-out months that become the reference")
    held.add_argument("--hold-out", type=int, metavar="N", help="keep every Nth day out of training, as the reference")
    parser.add_argument("--run", default="", help="name of the run (default: train-VERSION)")
    return parser


def _publish_dataset(training: pd.DataFrame, options: argparse.Namespace) -> str:
    """Writes the training rows as a new version of the dataset; returns `flights@sha256:…`."""
    held = f"_less_every_{options.hold_out}th_day" if options.hold_out else ""
    path = options.inbox / "datasets" / flights.DATASET / f"{options.train.replace('..', '_')}{held}.parquet"
    with whole_file(path) as partial:
        training.to_parquet(partial, index=False)
    return f"{flights.DATASET}@sha256:{sha256(path)}"


def _train(
    training: pd.DataFrame, reference: pd.DataFrame, dataset: str, folder: Path, options: argparse.Namespace
) -> None:
    rows, validation = flights.labelled(training), flights.labelled(reference)
    params = {
        **boosting.PARAMS,
        "train_months": options.train,
        "reference": options.reference or f"every {options.hold_out}th day of {options.train}",
        "train_rows": len(rows),
        "validation_rows": len(validation),
        "late_minutes": flights.LATE_MINUTES,
    }
    name = options.run or f"train-{flights.MODEL}-{options.version}"
    facts = {**provenance(), "datasets_in": [dataset], "tags": {"model": flights.MODEL, "version": options.version}}
    with RunFolder(options.inbox, name, params, facts) as run:
        model = boosting.train(
            rows,
            rows["was_late"],
            (validation, validation["was_late"]),
            flights.CATEGORICAL,
            flights.NUMERIC,
            run.log,
        )
        scored = score_flights(model, reference, THRESHOLD)
        scored["landed_at"], scored["was_late"] = reference["landed_at"], reference["was_late"]
        known = flights.labelled(scored)
        metrics = boosting.measure(known["was_late"].to_numpy(int), known["p_late"].to_numpy(float))
        with whole_folder(folder) as partial:
            boosting.save(model, partial / "model.skops")
            scored.to_parquet(partial / "reference.parquet", index=False)
            write_json(partial / "model.json", manifest(options.version, name, dataset, metrics))


def score_flights(model: Any, rows: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """What a prediction file of this model holds: id, time, features, `p_late`, `late` (0/1)."""
    scored = rows[["flight_id", "scheduled_at", *flights.FEATURES]].copy()
    scored["p_late"] = boosting.scores(model, rows)
    scored["late"] = (scored["p_late"] >= threshold).astype("int8")
    return scored


def manifest(version: str, run: str, dataset: str, metrics: dict[str, float]) -> dict[str, Any]:
    return {
        "model": flights.MODEL,
        "version": version,
        "task": "binary",
        "flavour": "skops",
        "artifact": "model.skops",
        "features": flights.FEATURE_KINDS,
        "columns": flights.COLUMNS,
        "positive": 1,
        "threshold": THRESHOLD,
        "slices": ["carrier", "origin"],
        "reference": "reference.parquet",
        "run": run,
        "trained_on": [dataset],
        "metrics": {name: round(value, 6) for name, value in metrics.items()},
        "trusted_types": boosting.TRUSTED_TYPES,
    }


if __name__ == "__main__":
    sys.exit(main())
