"""model.json: what is wrong is named with the key, what was found and what was expected."""

from __future__ import annotations

import json
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
