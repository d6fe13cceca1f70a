"""Scores flights day after day with whatever version the deployment's pointer names, and writes them as files.

    python score.py --data flights_2013.parquet --store STORE --inbox INBOX --from 2013-03-01 --until 2013-12-31

Each day of flights becomes predictions/flight-delay@production/<day>.parquet. One day of event time later what landed
that day becomes labels/flight-delay@production/<day>.parquet. A line of JSON on standard output says each day what
was done. Days that already have their file are passed over, so the script can be stopped and started at any time.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import boosting
import flights
import pandas as pd
from lifeline import die_with_parent
from pointer import PointerError, Revision, current, verified_model
from train import score_flights
from whole_files import whole_file

#: Seconds between two looks at a pointer that is not there yet.
LOOK_SECONDS = 0.2


class Serving:
    """The version that scores: loaded again when the pointer names other bits."""

    def __init__(self, targets: Path, deployment: str) -> None:
        self.targets = targets
        self.deployment = deployment
        self.revision: Revision | None = None
        self.model: Any = None
        self.threshold = 0.5

    def follow(self) -> str:
        """Load what is effective now; returns "" or why the version loaded before (if any) goes on serving."""
        try:
            revision = current(self.targets, self.deployment)
            if revision is None:
                return "no version is deployed"
            if revision != self.revision:
                if self.revision is None or revision.digest != self.revision.digest:
                    manifest, artifact = verified_model(revision)
                    self.model = boosting.load(artifact)
                    self.threshold = float(manifest.get("threshold", 0.5))
                self.revision = revision
        except Exception as error:  # a spoilt or untrusted file must not end the service
            return str(error) if isinstance(error, PointerError) else f"{type(error).__name__}: {error}"
        return ""


class Scorer:
    """Writes the files of one day after another."""

    def __init__(self, everything: pd.DataFrame, inbox: Path, serving: Serving, first: date, last: date) -> None:
        served = everything[everything["scheduled_at"] >= pd.Timestamp(first, tz="UTC")]
        served = served[served["scheduled_at"] < pd.Timestamp(last, tz="UTC") + pd.Timedelta(days=1)]
        self.scheduled = dict(iter(served.groupby(served["scheduled_at"].dt.date)))
        landed = flights.labelled(served)
        self.landed = dict(iter(landed.groupby(landed["landed_at"].dt.date)))
        self.serving = serving
        self.predictions = inbox / "predictions" / serving.deployment
        self.labels = inbox / "labels" / serving.deployment

    def predict(self, day: date) -> int | None:
        """Write the day's predictions; the number of rows, None when there is nothing (left) to do."""
        path = self.predictions / f"{day}.parquet"
        if day not in self.scheduled or path.exists():
            return None
        assert self.serving.revision is not None
        scored = score_flights(self.serving.model, self.scheduled[day], self.serving.threshold)
        scored["model_version"] = self.serving.revision.version
        with whole_file(path) as partial:
            scored.to_parquet(partial, index=False)
        return len(scored)

    def label(self, day: date) -> int | None:
        """Write the labels of the flights that landed on `day`; as `predict`."""
        path = self.labels / f"{day}.parquet"
        if day not in self.landed or path.exists():
            return None
        known = self.landed[day][["flight_id", "was_late", "landed_at"]].sort_values(["landed_at", "flight_id"])
        with whole_file(path) as partial:
            known.astype({"was_late": "int8"}).to_parquet(partial, index=False)
        return len(known)


def main(arguments: list[str] | None = None) -> int:
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    die_with_parent()
    options = _parser().parse_args(arguments)
    serving = Serving(options.targets or options.store / "targets", options.deployment)
    scorer = Scorer(flights.load(options.data), options.inbox, serving, options.first, options.last)
    due = time.monotonic()
    day = options.first
    # The labels of the last day's flights come on the days after it.
    while day <= options.last + timedelta(days=2):
        if day <= options.last and not (scorer.predictions / f"{day}.parquet").exists():
            due = max(due + 1.0 / options.speed, time.monotonic())
            trouble = _follow(serving, day, stopping)
            if not stopping.is_set() and (rows := scorer.predict(day)) is not None:
                _say_scored(day, rows, serving, trouble)
        if stopping.is_set():
            break
        if (labelled := scorer.label(day - timedelta(days=1))) is not None:
            _say(labelled_day=str(day - timedelta(days=1)), labels=labelled)
        if stopping.wait(max(0.0, due - time.monotonic())):
            break
        day += timedelta(days=1)
    _say(ended="stopped" if stopping.is_set() else "all days are scored")
    return 0


def _follow(serving: Serving, day: date, stopping: threading.Event) -> str:
    """Follow the pointer; waits (saying so once) while no version can serve."""
    said = ""
    while not stopping.is_set():
        trouble = serving.follow()
        if not trouble or serving.revision is not None:
            return trouble
        if trouble != said:
            _say(day=str(day), waiting=trouble)
            said = trouble
        stopping.wait(LOOK_SECONDS)
    return ""


def _say_scored(day: date, rows: int, serving: Serving, trouble: str) -> None:
    assert serving.revision is not None
    more = {"trouble": trouble} if trouble else {}
    _say(day=str(day), rows=rows, version=serving.revision.version, revision=serving.revision.revision, **more)


def _say(**status: Any) -> None:
    print(json.dumps({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), **status}), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="flights_2013.parquet")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--targets", type=Path, help="the local target's folder (default: STORE/targets)")
    parser.add_argument("--inbox", type=Path, required=True, help="a watched folder")
    parser.add_argument("--deployment", default=f"{flights.MODEL}@production")
    parser.add_argument("--from", dest="first", type=date.fromisoformat, default=date(2013, 3, 1), metavar="DAY")
    parser.add_argument("--until", dest="last", type=date.fromisoformat, default=date(2013, 12, 31), metavar="DAY")
    parser.add_argument("--speed", type=_positive, default=1.0, help="days of flights per second")
    return parser


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return number


if __name__ == "__main__":
    sys.exit(main())
