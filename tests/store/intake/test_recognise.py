"""What a file is, by its place."""

from __future__ import annotations

import pytest

from store.intake.recognise import recognise

KNOWN = {
    "datasets/flights/jan.parquet": ("dataset", "flights", "jan.parquet", "parquet"),
    "datasets/flights/jan.CSV": ("dataset", "flights", "jan.CSV", "csv"),
    "runs/train 1/run.json": ("run", "train 1", "run.json", None),
    "runs/a/params.json": ("params", "a", "params.json", None),
    "runs/a/metrics.jsonl": ("metrics", "a", "metrics.jsonl", None),
    "models/m/3/model.json": ("model", "m", "3", None),
    "models/m/3/deep/down/weights.bin": ("model", "m", "3", None),
    "predictions/m@production/x.jsonl": ("predictions", "m@production", "x.jsonl", "jsonl"),
    "labels/m@staging/x.csv": ("labels", "m@staging", "x.csv", "csv"),
}
IGNORED = ["runs/a/.run.json", ".git/config", "datasets/d/f.csv.tmp", "datasets/d/f.csv.part", "runs/a/plot.png", "x~"]
UNKNOWN = {
    "readme.txt": "folder",
    "runs/run.json": "place",
    "models/m/model.json": "place",
    "models/a b/1/model.json": "model",
    "models/m/v 1/model.json": "version",
    "datasets/d/sub/f.csv": "place",
    "datasets/d/f.txt": "format",
    "predictions/m@a@b/f.csv": "deployment",
}


@pytest.mark.parametrize("path", KNOWN)
def test_a_known_place_is_recognised(path: str) -> None:
    place = recognise(path)
    assert place is not None
    assert (place.kind, place.name, place.part, place.format) == KNOWN[path]


@pytest.mark.parametrize("path", IGNORED)
def test_unfinished_and_private_files_are_ignored(path: str) -> None:
    assert recognise(path) is None


@pytest.mark.parametrize("path", UNKNOWN)
def test_an_unknown_place_says_what_is_wrong_with_it(path: str) -> None:
    place = recognise(path)
    assert place is not None
    assert (place.kind, place.key) == ("unknown", UNKNOWN[path])


def test_all_files_of_a_version_are_one_subject() -> None:
    found = {place.subject for path in KNOWN if (place := recognise(path)) and place.kind == "model"}
    assert found == {"models/m/3"}


def test_an_environment_that_is_not_set_up_is_unknown() -> None:
    place = recognise("labels/m@moon/x.csv", frozenset({"production"}))
    assert place is not None
    assert (place.key, place.expected) == ("environment", "one of production (quarterdeck.toml)")
