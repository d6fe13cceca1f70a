"""Bytes that hypothesis makes up, as every kind of file: intake lives, and each ends taken in or in quarantine."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.intake import follow, read
from store.intake.clean import clean_line, clean_name, clean_text
from store.intake.follow import Followed
from store.intake.trouble import Trouble
from tests.store.intake.running import Running, eventually

PLACES = [
    "datasets/d{n}/f.parquet",
    "datasets/d{n}/f.csv",
    "datasets/d{n}/f.jsonl",
    "runs/r{n}/run.json",
    "runs/r{n}/params.json",
    "runs/r{n}/metrics.jsonl",
    "models/m{n}/1/model.json",
    "predictions/m@production/f{n}.csv",
    "predictions/m@production/f{n}.parquet",
    "predictions/m@production/f{n}.jsonl",
    "labels/m@production/f{n}.csv",
    "labels/m@production/f{n}.jsonl",
]
_scalar = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
_json = st.recursive(
    _scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
_RUN_KEYS = ["status", "started_at", "tags", "step", "auc", "metric", "value", "name", "time", "datasets_in", "params"]
_MODEL_KEYS = ["task", "model", "version", "artifact", "features", "reference", "columns", "metrics"]
_keys = st.sampled_from([*_RUN_KEYS, *_MODEL_KEYS, "prediction_id", "label"])
_document = st.dictionaries(_keys | st.text(max_size=8), _json, max_size=6).map(
    lambda value: json.dumps(value).encode()
)
_lines = st.lists(_document | st.binary(max_size=30), max_size=5).map(b"\n".join)
_csv = st.lists(st.lists(st.text(max_size=6), max_size=4).map(",".join), max_size=5).map(
    lambda r: "\n".join(r).encode("utf-8", "replace")
)
CONTENT = st.binary(max_size=300) | _document | _lines | _csv


@pytest.fixture(scope="module")
def shared() -> Iterator[Running]:
    folder = Path(tempfile.mkdtemp())
    running = Running(folder / "store").start()
    yield running
    running.close()
    shutil.rmtree(folder)


_number = iter(range(10**9))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(PLACES), CONTENT), min_size=1, max_size=8))
def test_any_bytes_in_any_place_are_taken_in_or_quarantined(shared: Running, files: list[tuple[str, bytes]]) -> None:
    paths = []
    for place, content in files:
        path = place.format(n=next(_number))
        shared.put(path, content)
        paths.append("inbox/" + (path.rpartition("/")[0] if path.startswith("models/") else path))
    seen = eventually(lambda: dealt_with(shared, paths))
    assert set(seen.values()) <= {"taken", "quarantined"}
    reasons = shared.rows('SELECT reason || path || "key" || found || expected FROM quarantine')
    assert all(text.isprintable() for (text,) in reasons)
    # What nobody foresaw is caught too, but should not occur.
    assert shared.rows("SELECT path, reason FROM quarantine WHERE reason LIKE 'could not be %'") == []


def dealt_with(shared: Running, paths: list[str]) -> dict[str, str]:
    rows = shared.rows(
        "SELECT path, arg_max(outcome, rowid) FROM arrival WHERE path IN (SELECT unnest(?::VARCHAR[])) GROUP BY path",
        paths,
    )
    return dict(rows) if len(rows) == len(set(paths)) else {}


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_parquet_file_with_bytes_changed_is_taken_in_or_quarantined(shared: Running, data: st.DataObject) -> None:
    path = shared.layout.root / "whole.parquet"
    if not path.exists():
        duckdb.connect().execute(f"COPY (SELECT range AS i, 'x' || range AS s FROM range(500)) TO '{path}'")
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(4, len(content) - 9), min_size=1, max_size=10)):
        content[place] = data.draw(st.integers(0, 255))
    name = f"datasets/d{next(_number)}/f.parquet"
    shared.put(name, bytes(content))
    assert eventually(lambda: dealt_with(shared, [f"inbox/{name}"]))


@given(_document | st.binary(max_size=200))
def test_a_document_is_read_or_refused_with_a_reason(content: bytes) -> None:
    for parse in (read.run, read.params):
        try:
            parse(content, "r", "somewhere")
        except Trouble as trouble:
            assert trouble.reason


@given(_lines, st.lists(st.integers(0, 400), max_size=4))
def test_points_do_not_depend_on_where_the_file_was_cut_while_it_grew(content: bytes, cuts: list[int]) -> None:
    content += b"\n"
    whole = _followed([content])
    pieces = [content[: min(cut, len(content))] for cut in sorted(cuts)] + [content]
    grown = _followed(pieces)
    assert [(p.metric, p.step, str(p.value)) for p in grown] == [(p.metric, p.step, str(p.value)) for p in whole]


def _followed(states: list[bytes]) -> list[follow.MetricPoint]:
    from store.database import times

    points: list[follow.MetricPoint] = []
    known = Followed()
    with tempfile.TemporaryFile() as file:
        for state in states:
            file.seek(0)
            file.write(state)
            file.flush()
            stretch = follow.read_on(file.fileno(), os.fstat(file.fileno()).st_size, known, times.now())
            known = stretch.followed
            points += stretch.points
    return points


@given(st.text())
def test_cleaned_texts_hold_no_control_character(text: str) -> None:
    assert clean_line(text).isprintable()
    assert not any(ord(letter) < 32 and letter not in "\n\t" for letter in clean_text(text))
    assert 0 < len(clean_name(text).encode()) <= 255


@given(st.text(), st.text())
def test_two_names_stay_two(one: str, other: str) -> None:
    if one != other:
        assert clean_name(one) != clean_name(other)
