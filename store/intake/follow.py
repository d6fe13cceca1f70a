"""metrics.jsonl, followed while it grows: each line becomes points exactly once."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Set
from datetime import datetime
from typing import Any

import msgspec

from store.catalog.runs import MetricPoint
from store.intake import read
from store.intake.clean import clean_name, shown
from store.intake.trouble import Trouble

LINE_LIMIT = 1 << 20
#: Read at one go at most, in bytes (more than a line) and points; the rest follows in the next transaction.
STRETCH = LINE_LIMIT + (64 << 10)
MAX_POINTS = 5_000
#: Metrics in one line at most.
MAX_METRICS = 1_000
#: Bad lines of a file that are quoted; the others are counted.
QUOTED_LINES = 3
_MARK = 4096
_TIME_KEYS = ("time", "timestamp", "at")
#: Numbers below are no moment (this one is in March 1973).
_LEAST_MOMENT = 1e8
#: Texts that JSON writers put for numbers that JSON does not have.
_NOT_FINITE = frozenset({"nan", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"})
_STEP_KEYS = ("step", "epoch", "iteration")
_STEP_BOUND = 1 << 62


class Followed(msgspec.Struct, frozen=True):
    """How far a file has been taken in: `position` bytes, `lines` lines (the step of lines that name none).

    `prefix` is a digest of the first and last 4096 bytes before `position`: a file rewritten or rotated is
    told from one that was replaced by a longer copy of itself. `skipping`: `position` lies within a line
    that is too long to read. `metrics` are those that had a number so far (not kept in the database): a text in the
    place of one is a fault, other texts are none.
    """

    position: int = 0
    lines: int = 0
    prefix: str = ""
    skipping: bool = False
    metrics: frozenset[str] = frozenset()


class Stretch(msgspec.Struct, frozen=True):
    """What one reading gave; `bad_lines` counts those with a fault, of which `troubles` are the first few, `more` says
    that there is more to read."""

    points: list[MetricPoint]
    followed: Followed
    troubles: list[Trouble]
    more: bool
    restarted: bool
    bad_lines: int = 0


def read_on(descriptor: int, size: int, known: Followed, now: datetime) -> Stretch:
    """The points of the whole lines past `known.position`; `now` is the time of those that name none.

    A last line without its end waits, unless it is a whole JSON object already.
    """
    restarted = False
    if known.position and (size < known.position or _prefix(descriptor, known.position) != known.prefix):
        known, restarted = Followed(), True
    points: list[MetricPoint] = []
    troubles: list[Trouble] = []
    bad_lines = 0
    metrics = set(known.metrics)
    position, lines, skipping = known.position, known.lines, known.skipping
    block = os.pread(descriptor, STRETCH, position)
    start = 0
    while start < len(block) and len(points) < MAX_POINTS:
        end = block.find(b"\n", start)
        line = block[start : end if end >= 0 else len(block)]
        if skipping:
            start = end + 1 if end >= 0 else len(block)
            skipping = end < 0
            continue
        if len(line) > LINE_LIMIT:
            lines, bad_lines = lines + 1, bad_lines + 1
            _note(troubles, lines, Trouble.wrong("line", f"more than {LINE_LIMIT:,} bytes", "a short line"))
            skipping = end < 0
            start = end + 1 if end >= 0 else len(block)
            continue
        if line.strip():
            try:
                found, fault = _points(line, lines, now, metrics)
            except Trouble as trouble:
                if end < 0 and isinstance(trouble, read.Incomplete) and _may_become_whole(line):
                    break
                found, fault = [], trouble
                skipping = end < 0
            if fault is not None:
                bad_lines += 1
                _note(troubles, lines + 1, _quoting(fault, line) if isinstance(fault, read.Incomplete) else fault)
            points += found
            metrics |= {point.metric for point in found}
            lines += 1
        start = end + 1 if end >= 0 else len(block)
    position += start
    # Only a stretch that moved on can have more to give: a last line without its end waits for a write.
    more = position < size and start > 0
    followed = Followed(position, lines, _prefix(descriptor, position), skipping, frozenset(metrics))
    return Stretch(points, followed, troubles, more, restarted, bad_lines)


def _may_become_whole(line: bytes) -> bool:
    """Whether the beginning of a line can still become a JSON object."""
    text = line.lstrip()
    return text.startswith(b"{") and not any(byte < 0x20 and byte not in b"\t\r" for byte in text)


def _prefix(descriptor: int, position: int) -> str:
    state = hashlib.sha256(os.pread(descriptor, min(_MARK, position), 0))
    state.update(os.pread(descriptor, min(_MARK, position), max(0, position - _MARK)))
    return state.hexdigest()


def _note(troubles: list[Trouble], line: int, trouble: Trouble) -> None:
    if len(troubles) < QUOTED_LINES:
        key = f"line {line}" + (f", {trouble.key}" if trouble.key else "")
        troubles.append(
            Trouble(f"line {line:,}: {trouble.reason}", key=key, found=trouble.found, expected=trouble.expected)
        )


def _quoting(trouble: Trouble, line: bytes) -> Trouble:
    """What is no JSON is told by its text: the decoder's own "line 1 column 18" would be taken for the file's line."""
    found = shown(line.decode("utf-8", "replace"), 80)
    return Trouble(f"no JSON: {found}", key=trouble.key, found=found, expected=trouble.expected)


def _points(line: bytes, number: int, now: datetime, metrics: Set[str]) -> tuple[list[MetricPoint], Trouble | None]:
    """The points of `{"metric": "auc", "value": 0.7, "step": 3}` or `{"step": 3, "auc": 0.7, "loss": 0.5}`, and what is
    wrong with a part of it. Raises `Trouble` where nothing can be taken.
    """
    raw = read.document(line)
    step = _step(raw, number)
    at, time_key, fault = _time(raw, now)
    name = raw.get("metric", raw.get("name", raw.get("key")))
    if isinstance(name, str) and "value" in raw:
        value = _value(raw["value"])
        if value is None:
            raise Trouble.wrong("value", shown(raw["value"]), "a number")
        return [MetricPoint(clean_name(name), step, at, value)], fault
    wide: list[tuple[str, float]] = []
    for key, item in read.flattened({key: item for key, item in raw.items() if key != time_key}):
        if key in _STEP_KEYS:
            continue
        if isinstance(item, str) and item.strip().lower() not in _NOT_FINITE:
            if clean_name(key) in metrics and fault is None:
                fault = Trouble.wrong(key, shown(item), "a number")
            continue
        value = _value(item)
        if value is not None:
            wide.append((key, value))
    if not wide:
        raise fault or Trouble.wrong(
            "line", shown(line.decode("utf-8", "replace")), 'like {"metric": "auc", "value": 0.7}'
        )
    if len(wide) > MAX_METRICS:
        raise Trouble.wrong("line", f"{len(wide):,} metrics", f"at most {MAX_METRICS:,}")
    return [MetricPoint(clean_name(key), step, at, value) for key, value in wide], fault


def _time(raw: dict[str, Any], now: datetime) -> tuple[datetime, str, Trouble | None]:
    """When the line was measured, the key that says so ("" for none), and what is wrong with one that should.

    A small number is a duration (`"time": 0.53` a step), not a moment of 1970.
    """
    fault = None
    for key in _TIME_KEYS:
        value = raw.get(key)
        if value is None or isinstance(value, bool | list | dict):
            continue
        if isinstance(value, int | float) and not abs(value) >= _LEAST_MOMENT:
            continue
        moment = read.moment(value)
        if moment is not None:
            return moment, key, None
        fault = Trouble.wrong(key, shown(value), "ISO 8601 or seconds since the epoch; taken as of its arrival")
    return now, "", fault


def _step(raw: dict[str, Any], number: int) -> int:
    for key in _STEP_KEYS:
        if key not in raw:
            continue
        value = raw[key]
        if isinstance(value, float) and math.isfinite(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _STEP_BOUND:
            raise Trouble.wrong(key, shown(value), "a whole number")
        return value
    return number


def _value(value: object) -> float | None:
    """A number; null is NaN (what strict JSON writers make of it), and so are the texts NaN, Infinity, -inf."""
    if value is None:
        return math.nan
    if isinstance(value, bool | float):
        return float(value)
    if isinstance(value, int | str):
        try:
            return float(value)
        except OverflowError:
            return math.inf if isinstance(value, int) and value > 0 else -math.inf
        except ValueError:
            return None
    return None
