"""run.json, params.json and other small documents, read from untrusted bytes into frozen structs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from store.catalog.runs import RunArrival
from store.intake.clean import clean_line, clean_name, clean_text, shown
from store.intake.trouble import Trouble

MAX_PARAMS = 2_000
#: Deepest nesting of params.json that is flattened; what lies deeper is kept as JSON text.
MAX_DEPTH = 16
_MILLISECONDS = 1e11
"""A number of this size cannot be seconds (year 5138): it is milliseconds, as MLflow writes them."""

_STATUS = {
    "running": "running",
    "scheduled": "running",
    "started": "running",
    "finished": "finished",
    "completed": "finished",
    "complete": "finished",
    "success": "finished",
    "succeeded": "finished",
    "done": "finished",
    "failed": "failed",
    "error": "failed",
    "crashed": "failed",
    "killed": "killed",
    "cancelled": "killed",
    "canceled": "killed",
    "aborted": "killed",
}


class Incomplete(Trouble):
    """The document is no JSON (yet): it may still be growing."""


def document(content: bytes) -> dict[str, Any]:
    """The JSON object in `content`; NaN and Infinity are taken as Python's json writes them.

    Raises `Incomplete` when it is no JSON, `Trouble` when it is nested too deeply or no object.
    """
    try:
        value = decoded(content)
    except RecursionError as error:
        raise Trouble("nested too deeply", key="nesting", found="too many levels", expected="at most 500") from error
    except ValueError as error:
        raise Incomplete(f"no JSON: {error}", key="json", found=str(error), expected="a JSON object") from error
    if not isinstance(value, dict):
        raise Trouble.wrong("json", _kind(value), "an object")
    return value


def decoded(content: bytes) -> Any:
    """Any JSON value. Raises ValueError (also for bad UTF-8) and RecursionError."""
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Slower, but knows NaN, Infinity, a byte order mark and numbers beyond a double.
        return json.loads(content.removeprefix(b"\xef\xbb\xbf").decode("utf-8"))


def run(content: bytes, name: str, source: str) -> RunArrival:
    """What run.json says of the run `name`; keys that nobody knows are kept in `extra`."""
    raw = document(content)
    taken: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for key, value in raw.items():
        field, convert = _RUN_KEYS.get(key, ("", _text))
        if not field:
            if key != "name" or value != name:
                extra[clean_name(key)] = kept(value)
        elif value is not None:
            taken[field] = convert(key, value)
    params = taken.pop("params", {})
    return RunArrival(name=name, source=source, params=params, extra=extra or None, **taken)


def params(content: bytes, name: str, source: str) -> RunArrival:
    """params.json: an object, flat or nested; nested keys are joined with dots."""
    return RunArrival(name=name, source=source, params=_params("params", document(content)))


def moment(value: object) -> datetime | None:
    """An ISO 8601 text (no zone means UTC), seconds or milliseconds since the epoch; None when it is none."""
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
        try:
            return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
        except OverflowError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value / 1000 if abs(value) >= _MILLISECONDS else value, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def kept(value: Any, depth: int = 0) -> Any:
    """An unknown value as it may be stored as JSON and shown: bounded, cleaned, no NaN."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and not -(1 << 63) <= value < 1 << 63:
        return clean_line(_digits(value))
    if isinstance(value, dict | list) and depth >= MAX_DEPTH:
        return "…"
    if isinstance(value, dict):
        return {clean_name(key): kept(item, depth + 1) for key, item in list(value.items())[:MAX_PARAMS]}
    if isinstance(value, list):
        return [kept(item, depth + 1) for item in value[:MAX_PARAMS]]
    return value


def _digits(value: int) -> str:
    # str() of an int of many digits is quadratic and refused past 4,300.
    return str(value) if value.bit_length() < 10_000 else f"an integer of {value.bit_length():,} bits"


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _text(key: str, value: object) -> str:
    if isinstance(value, bool | int | float):
        value = json.dumps(value)
    if not isinstance(value, str):
        raise Trouble.wrong(key, _kind(value), "a text")
    return clean_line(value, 1_000)


def _run_name(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise Trouble.wrong(key, _kind(value), "a run's name")
    return clean_name(value)


def _status(key: str, value: object) -> str:
    known = _STATUS.get(value.strip().lower()) if isinstance(value, str) else None
    if known is None:
        raise Trouble.wrong(key, shown(value), "running, finished, failed or killed")
    return known


def _moment(key: str, value: object) -> datetime:
    found = moment(value)
    if found is None:
        raise Trouble.wrong(key, shown(value), "ISO 8601 or seconds since the epoch")
    return found


def _flag(key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise Trouble.wrong(key, shown(value), "true or false")
    return value


def _tags(key: str, value: object) -> dict[str, str]:
    if isinstance(value, list):
        return {clean_name(_text(key, item)): "" for item in value[:MAX_PARAMS]}
    if not isinstance(value, dict):
        raise Trouble.wrong(key, _kind(value), "an object of texts or a list of texts")
    return {clean_name(name): clean_text(_as_text(item)) for name, item in list(value.items())[:MAX_PARAMS]}


def _datasets(key: str, value: object) -> list[str]:
    """`"flights@sha256:…"`, or `{"name": "flights", "digest": "sha256:…"}`, one or a list of them."""
    named = []
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict) and isinstance(item.get("name"), str):
            digest = item.get("digest") or item.get("version")
            item = f"{item['name']}@{digest}" if digest else item["name"]
        if not isinstance(item, str):
            raise Trouble.wrong(key, shown(item), "names of dataset versions, like flights@sha256:…")
        named.append(clean_line(item, 400))
    return named[:MAX_PARAMS]


def _params(key: str, value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise Trouble.wrong(key, _kind(value), "an object")
    flat: dict[str, str] = {}
    for name, item in flattened(value):
        flat[clean_name(name)] = clean_text(_as_text(item))
        if len(flat) > MAX_PARAMS:
            raise Trouble.wrong(key, f"more than {MAX_PARAMS:,} params", f"at most {MAX_PARAMS:,}")
    return flat


def flattened(value: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Leaves of nested objects, their keys joined with dots."""
    for name, item in value.items():
        whole = f"{prefix}.{name}" if prefix else name
        if isinstance(item, dict) and item and depth < MAX_DEPTH:
            yield from flattened(item, whole, depth + 1)
        else:
            yield whole, item


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return _digits(value)
    return json.dumps(kept(value) if isinstance(value, dict | list) else value, ensure_ascii=False)


#: key of run.json → field of RunArrival, and what reads it.
_RUN_KEYS: dict[str, tuple[str, Callable[[str, object], Any]]] = {
    "status": ("status", _status),
    "started_at": ("started_at", _moment),
    "start_time": ("started_at", _moment),
    "ended_at": ("ended_at", _moment),
    "end_time": ("ended_at", _moment),
    "user": ("owner", _text),
    "owner": ("owner", _text),
    "host": ("host", _text),
    "git_commit": ("revision", _text),
    "svn_revision": ("revision", _text),
    "revision": ("revision", _text),
    "dirty": ("dirty", _flag),
    "git_dirty": ("dirty", _flag),
    "environment": ("environment", _text),
    "environment_digest": ("environment", _text),
    "parent": ("parent", _run_name),
    "tags": ("tags", _tags),
    "datasets_in": ("datasets_in", _datasets),
    "datasets_out": ("datasets_out", _datasets),
    "params": ("params", _params),
}
