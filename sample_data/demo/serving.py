"""Serves whatever version a deployment's pointer names: batch after batch of event time, as files."""

from __future__ import annotations

import argparse
import json
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import boosting
import pandas as pd
from lifeline import set_on
from pointer import PointerError, Revision, current, verified_model
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


@dataclass(frozen=True)
class Work:
    """What there is to score, in batches of `step` named by their first day.

    `to_score` holds the rows of a batch, `known` the labels that became known during it, `score` turns rows into
    what a prediction file holds (model, rows, threshold).
    """

    first: date
    last: date
    step: timedelta
    to_score: Mapping[date, pd.DataFrame]
    known: Mapping[date, pd.DataFrame]
    score: Callable[[Any, pd.DataFrame, float], pd.DataFrame]


def serve(work: Work, serving: Serving, inbox: Path, speed: float) -> int:
    """Score batch after batch, `speed` a second; the labels of a batch are written one batch later.

    What has its file already is passed over. Ends when all is done or on SIGTERM; each step is a line of JSON on
    standard output. Returns the exit status.
    """
    stopping = threading.Event()
    set_on(stopping, signal.SIGTERM, signal.SIGINT)
    predictions, labels = (inbox / kind / serving.deployment for kind in ("predictions", "labels"))
    due = time.monotonic()
    day = work.first
    # The labels of the last batch become known in those after it.
    while day <= work.last + 2 * work.step and not stopping.is_set():
        path = predictions / f"{day}.parquet"
        if day in work.to_score and not path.exists():
            due = max(due + 1.0 / speed, time.monotonic())
            trouble = _follow(serving, day, stopping)
            if stopping.is_set():
                break
            assert serving.revision is not None
            scored = work.score(serving.model, work.to_score[day], serving.threshold)
            scored["model_version"] = serving.revision.version
            _write(scored, path)
            more = {"trouble": trouble} if trouble else {}
            revision = serving.revision
            _say(day=str(day), rows=len(scored), version=revision.version, revision=revision.revision, **more)
        before = day - work.step
        path = labels / f"{before}.parquet"
        if before in work.known and not path.exists():
            _write(work.known[before], path)
            _say(labelled_day=str(before), labels=len(work.known[before]))
        stopping.wait(max(0.0, due - time.monotonic()))
        day += work.step
    _say(ended="stopped" if stopping.is_set() else "all days are scored")
    return 0


def _write(rows: pd.DataFrame, path: Path) -> None:
    with whole_file(path) as partial:
        rows.to_parquet(partial, index=False)


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


def _say(**status: Any) -> None:
    print(json.dumps({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), **status}), flush=True)


def add_serving_options(parser: argparse.ArgumentParser, model: str, first: date, last: date) -> None:
    """The options that every scorer has: --data --store --targets --inbox --deployment --from --until --speed."""
    parser.add_argument("--data", type=Path, required=True, help="the file of the sample data")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--targets", type=Path, help="the local target's folder (default: STORE/targets)")
    parser.add_argument("--inbox", type=Path, required=True, help="a watched folder")
    parser.add_argument("--deployment", default=f"{model}@production")
    parser.add_argument("--from", dest="first", type=date.fromisoformat, default=first, metavar="DAY")
    parser.add_argument("--until", dest="last", type=date.fromisoformat, default=last, metavar="DAY")
    parser.add_argument("--speed", type=_positive, default=1.0, help="batches per second")


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return number
