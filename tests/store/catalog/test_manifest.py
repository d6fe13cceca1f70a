"""model.json: what is wrong is named with the key, what was found and what was expected."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from store.catalog import manifest
from store.protocol import Refusal


@pytest.mark.parametrize(
    ("wrong", "found", "expected"),
    [
        ({"task": "guessing"}, "'guessing'", "one of binary, multiclass, regression"),
        ({"flavour": "pickle"}, "'pickle'", "one of skops, onnx, mlflow, opaque"),
        ({"threshold": "high"}, "'high'", "Expected `float`, got `str`"),
    ],
)
def test_a_wrong_key_says_what_was_found_and_what_was_expected(
    wrong: dict[str, Any], found: str, expected: str
) -> None:
    with pytest.raises(Refusal) as refused:
        manifest.parse(json.dumps({"model": "m", "version": "1", **wrong}).encode(), "m", "1")
    assert refused.value.detail == {"key": next(iter(wrong)), "found": found, "expected": expected}


def parsed(**keys: Any) -> manifest.ModelManifest:
    return manifest.parse(json.dumps(keys).encode(), "m", "1")


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2026-03-01T12:00:00Z", 12),
        ("2026-03-01T12:00:00+05:00", 7),
        ("2026-03-01 12:00", 12),
        ("20260301T120000-0100", 13),
    ],
)
def test_created_at_is_a_time_and_utc_without_a_zone(text: str, hour: int) -> None:
    assert parsed(created_at=text).created == datetime(2026, 3, 1, hour, tzinfo=UTC)


def test_a_version_need_not_say_when_it_was_made() -> None:
    assert parsed().created is None


@pytest.mark.parametrize("wrong", ["yesterday", "2026-13-01", "0001-01-01T00:00:00+14:00", 1772366400, "12:00"])
def test_a_created_at_that_is_no_time_is_refused_by_its_key(wrong: object) -> None:
    with pytest.raises(Refusal) as refused:
        parsed(created_at=wrong)
    assert refused.value.detail["key"] == "created_at"


def test_served_by_name_and_an_artifact_exclude_each_other() -> None:
    assert parsed(served_by="name").served_by == "name"
    with pytest.raises(Refusal, match=r"served_by is 'name', but artifact names 'x\.onnx'"):
        parsed(served_by="name", artifact="x.onnx")


@pytest.mark.parametrize(
    ("key", "likely"),
    [
        ("artefact", "artifact"), ("Artifact", "artifact"), ("artifacts", "artifact"), ("artifact_path", "artifact"),
        ("colums", "columns"), ("feature", "features"), ("flavor", "flavour"), ("treshold", "threshold"),
        ("createdAt", "created_at"), ("created", "created_at"), ("metric", "metrics"), ("trained-on", "trained_on"),
        ("served by", "served_by"), ("importances", "importance"), ("slice", "slices"), ("referance", "reference"),
    ],
)  # fmt: skip
def test_a_slip_in_a_key_is_told_with_the_key_that_was_meant(key: str, likely: str) -> None:
    assert manifest.unknown_keys(json.dumps({key: 1, "model": "m"}).encode()) == [(key, likely)]


@pytest.mark.parametrize("key", ["tags", "owner", "description", "team", "name", "license", "x", "", "é" * 300])
def test_keys_of_ones_own_are_no_slips(key: str) -> None:
    assert manifest.unknown_keys(json.dumps({key: 1}).encode()) == []
    assert parsed(**{key: 1}).extra == {key: 1}


def test_every_key_of_columns_that_means_nothing_is_told() -> None:
    document = json.dumps({"columns": {"labels": "y", "id": "i", "weight": "w"}}).encode()
    assert manifest.unknown_keys(document) == [("columns.labels", "columns.label"), ("columns.weight", "")]


def test_a_slip_in_the_reference_is_refused_with_the_key_that_was_meant() -> None:
    with pytest.raises(Refusal, match=r"unknown field `datset`.*did you mean `dataset`"):
        parsed(reference={"datset": "flights@1"})
