"""docs/model-json.md tells every key of model.json, with the default and an example that are true."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from store.catalog import manifest
from store.catalog.manifest import PLAIN, READ_FROM_EXTRA, ColumnFormat, ColumnNames, ModelManifest, ReferenceSource

DOCUMENT = (Path(__file__).parents[3] / "docs/model-json.md").read_text()
#: The cells of every row that begins with a key.
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in DOCUMENT.splitlines()
    if re.match(r"\| `[a-z_.]+` \|", line)
]
KEYS = {row[0].strip("`"): row for row in ROWS}
TOP = {key: row for key, row in KEYS.items() if "." not in key}


def test_every_key_is_documented_and_no_other() -> None:
    read = (set(ModelManifest.__struct_fields__) - {"extra"}) | set(READ_FROM_EXTRA)
    assert set(TOP) == read
    structs = ((ColumnNames, "columns."), (ColumnFormat, "formats."), (ReferenceSource, "reference."))
    for struct, prefix in structs:
        documented = {key.removeprefix(prefix) for key in KEYS if key.startswith(prefix)}
        assert documented == set(struct.__struct_fields__)


def test_no_key_stands_twice() -> None:
    assert len(ROWS) == len(KEYS)


def test_the_defaults_are_those_of_the_code() -> None:
    fields = {field.name: field for field in msgspec.structs.fields(ModelManifest)}
    for key, row in TOP.items():
        if row[2].startswith("`"):
            default: Any = fields[key].default
            if default is msgspec.NODEFAULT:
                default = fields[key].default_factory()  # type: ignore[operator]
            if isinstance(default, ColumnNames):
                assert default == ColumnNames()
                default = {}
            assert msgspec.json.decode(row[2].strip("`")) == default, key


@pytest.mark.parametrize("key", sorted(TOP))
def test_each_example_is_accepted_and_taken(key: str) -> None:
    example = msgspec.json.decode(TOP[key][4].strip("`"))
    parsed = manifest.parse(msgspec.json.encode({key: example}), *(("net", "7")))
    value = parsed.extra[key] if key in READ_FROM_EXTRA else getattr(parsed, key)
    plain = msgspec.to_builtins(value)
    if key == "columns":
        plain = {name: text for name, text in plain.items() if text}
    if key == "formats":
        plain = {column: {name: text for name, text in one.items() if text} for column, one in plain.items()}
    assert plain == example
    assert manifest.unknown_keys(msgspec.json.encode({key: example})) == []


def test_the_plain_names_are_those_of_the_code() -> None:
    for role in ColumnNames.__struct_fields__:
        assert KEYS[f"columns.{role}"][1].strip("`") == getattr(PLAIN, role)


@pytest.mark.parametrize(("key", "module"), READ_FROM_EXTRA.items())
def test_keys_that_other_rooms_read_are_read_there(key: str, module: str) -> None:
    assert f'manifest.extra.get("{key}")' in inspect.getsource(importlib.import_module(module))
