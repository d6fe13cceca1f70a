"""model.json: what a model version says of itself (docs/model-json.md has every key)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, get_args, get_type_hints

import msgspec

from store.database.zones import zone_names
from store.protocol import ExitCode, Refusal

FeatureKind = Literal["numeric", "categorical"]


class ColumnNames(msgspec.Struct, frozen=True):
    """What the prediction and label files call the columns; "" means the plain name."""

    id: str = ""
    time: str = ""
    prediction: str = ""
    score: str = ""
    label: str = ""
    label_time: str = ""


#: The plain names of DESIGN.md.
PLAIN = ColumnNames("prediction_id", "timestamp", "prediction", "score", "label", "timestamp")


class ColumnFormat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one column is written where that is not to be found out: `time` a strptime format (DuckDB's), or s, ms, us or
    ns since the epoch; `zone` the IANA zone of its times that name none; `decimal` and `thousands` the signs of its
    numbers. "": as it is found."""

    time: str = ""
    zone: str = ""
    decimal: str = ""
    thousands: str = ""

    def __post_init__(self) -> None:
        if self.time and self.time not in TIME_UNITS and not _is_time_format(self.time):
            raise ValueError(
                f"`time`: found {self.time[:60]!r}, expected a strptime format with a day, a month and a year such as"
                " %d/%m/%Y %H:%M (%Z only at its end), or one of s, ms, us, ns"
            )
        if self.zone and self.zone not in zone_names():
            raise ValueError(
                f"`zone`: found {self.zone[:60]!r}, expected the name of a time zone such as Europe/Berlin or UTC"
            )


#: Units of a time that is a number since the epoch, as `ColumnFormat.time` names them.
TIME_UNITS = ("s", "ms", "us", "ns")
_DIRECTIVE = re.compile(r"%(-[dmyHIMSj]|[aAbBhdmyYHIpMSfgnzZjcxXT%])")


def _is_time_format(format: str) -> bool:
    """Whether DuckDB's strptime takes it and a date comes of it."""
    found = set(_DIRECTIVE.findall(format))
    if "%" in _DIRECTIVE.sub("", format) or ("Z" in found and (format.count("%Z") > 1 or not format.endswith("%Z"))):
        return False
    plain = {directive.removeprefix("-") for directive in found}
    dated = plain & {"d"} and plain & {"m", "b", "B", "h"} and plain & {"y", "Y"}
    return bool(dated or plain & {"c", "x"} or ("j" in plain and plain & {"y", "Y"}))


class ReferenceSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reference that is no file in the version's folder: `{"dataset": "flights@3"}` (or `flights@sha256:…`), or
    what a deployment predicted in a window, `{"deployment": "m@production", "since": "2013-03-01", "until":
    "2013-04-01"}`, by `version` or by the one that predicted most of it."""

    dataset: str = ""
    deployment: str = ""
    version: str = ""
    since: str = ""
    until: str = ""

    def __post_init__(self) -> None:
        if bool(self.dataset) == bool(self.deployment):
            raise ValueError("reference needs either a dataset or a deployment with since and until")
        if self.dataset and (self.version or self.since or self.until):
            raise ValueError("reference has a dataset; version, since and until go with a deployment")
        if self.dataset and not all(self.dataset.partition("@")):
            raise ValueError(f"reference.dataset is {self.dataset[:80]!r}; expected for instance flights@3")
        if self.deployment:
            since, until = self.span
            if since >= until:
                raise ValueError(f"reference ends at {self.until[:40]}, not after its since, {self.since[:40]}")

    @property
    def span(self) -> tuple[float, float]:
        """Seconds since the epoch of `since` and `until`; times without a zone are UTC."""
        return _moment("since", self.since), _moment("until", self.until)

    def __str__(self) -> str:
        if self.dataset:
            return f"dataset {self.dataset}"
        version = f" by version {self.version}" if self.version else ""
        return f"{self.deployment} from {self.since} to {self.until}{version}"


def _moment(key: str, text: str) -> float:
    return _time(f"reference.{key}", text).timestamp()


def _time(key: str, text: str) -> datetime:
    """ISO 8601 as UTC; without a zone it is taken for UTC. Raises ValueError that names `key`."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{key} is {text[:40]!r}; expected for instance 2013-03-01T00:00Z") from error


class ModelManifest(msgspec.Struct, frozen=True):
    """The keys of model.json that the house knows; `extra` (filled by `parse`) keeps the rest.

    `created_at` (ISO 8601, "" where it is not said) and then the natural order of `version` say which version of a
    model is the newest. `served_by` "name" declares that targets need no more than the version's name.
    """

    model: str
    version: str
    created_at: str = ""
    task: Literal["binary", "multiclass", "regression"] = "binary"
    flavour: Literal["skops", "onnx", "mlflow", "opaque"] = "opaque"
    artifact: str = ""
    served_by: Literal["artifact", "name"] = "artifact"
    features: dict[str, FeatureKind] = {}
    columns: ColumnNames = ColumnNames()
    formats: dict[str, ColumnFormat] = {}
    positive: int | float | str | bool = 1
    threshold: float = 0.5
    score_scale: Literal["", "probability", "percent", "logit", "rank"] = ""
    """Of a binary task: what its scores are; "" is told from the scores themselves."""
    protected: list[str] = []
    slices: list[str] = []
    reference: str | ReferenceSource = ""
    run: str = ""
    trained_on: list[str] = []
    metrics: dict[str, float] = {}
    extra: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if self.created_at:
            _time("created_at", self.created_at)
        if self.served_by == "name" and self.artifact:
            raise ValueError(f"served_by is 'name', but artifact names {self.artifact[:80]!r}; give one of the two")

    @property
    def created(self) -> datetime | None:
        """When the version was made as it says itself, in UTC; None where it does not say."""
        return _time("created_at", self.created_at) if self.created_at else None


_KNOWN = frozenset(ModelManifest.__struct_fields__) - {"extra"}
#: Keys that are read out of `extra`, with the module that reads them.
READ_FROM_EXTRA = {"importance": "store.monitor.relevance", "quantiles": "store.monitor.quantiles"}


def parse(document: bytes, model: str = "", version: str = "") -> ModelManifest:
    """The manifest in `document`, which lies under models/<model>/<version>/ ("" to take its own names).

    Raises `Refusal` (usage) naming the key, what was found and what was expected.
    """
    try:
        raw = msgspec.json.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(ExitCode.USAGE, f"model.json is no JSON: {error}") from error
    if not isinstance(raw, dict):
        raise Refusal(ExitCode.USAGE, f"model.json: found {type(raw).__name__}, expected an object")
    if isinstance(raw.get("version"), int) and not isinstance(raw["version"], bool):
        raw["version"] = str(raw["version"])
    raw.setdefault("model", model)
    raw.setdefault("version", version)
    known = {key: value for key, value in raw.items() if key in _KNOWN}
    extra = {key: value for key, value in raw.items() if key not in _KNOWN}
    _check_formats(known.get("formats"))
    try:
        manifest = msgspec.convert({**known, "extra": extra}, ModelManifest)
    except msgspec.ValidationError as error:
        raise Refusal(
            ExitCode.USAGE, f"model.json: {_with_near_key(error)}", detail=_found(known, str(error))
        ) from error
    for key, found, expected in (("model", manifest.model, model), ("version", manifest.version, version)):
        if expected and found != expected:
            raise Refusal(
                ExitCode.USAGE,
                f"model.json: `{key}`: found {found!r}, expected {expected!r} from the folder's name",
                detail={"key": key, "found": found, "expected": expected},
            )
    return manifest


def _check_formats(formats: Any) -> None:
    """Raises `Refusal` that names the column: msgspec's own message does not."""
    for column, declared in formats.items() if isinstance(formats, dict) else ():
        try:
            msgspec.convert(declared, ColumnFormat)
        except msgspec.ValidationError as error:
            words, _, path = str(error).partition(" - at `$")
            key = f"formats.{column}{path.rstrip('`')}"[:200]
            if "unknown field" in words:
                words += f"; expected {', '.join(ColumnFormat.__struct_fields__)}"
            detail = {"key": key, "found": repr(declared)[:200], "expected": words.partition("expected ")[2] or words}
            raise Refusal(ExitCode.USAGE, f"model.json: `{key}`: {words}", detail=detail) from error


class UnknownKey(NamedTuple):
    """A key of model.json that nothing reads: where it stands (`columns.labels`), and the key that was likely meant.

    `likely` is "" where none is near.
    """

    path: str
    likely: str


def unknown_keys(document: bytes) -> list[UnknownKey]:
    """The keys of a model.json that `parse` accepts which look like a slip, at every level.

    At the top, where any key may be kept for people to see, only those close to a known one; elsewhere every one that
    means nothing.
    """
    raw = msgspec.json.decode(document)
    likely_keys = {key: near_key(key, _TOP_LEVEL) for key in raw if key not in _TOP_LEVEL}
    unknown = [UnknownKey(key, likely) for key, likely in likely_keys.items() if likely]
    columns = raw.get("columns")
    if isinstance(columns, dict):
        roles = ColumnNames.__struct_fields__
        for key in columns:
            if key not in roles:
                likely = near_key(key, roles)
                unknown.append(UnknownKey(f"columns.{key}", f"columns.{likely}" if likely else ""))
    return unknown


_TOP_LEVEL = (*sorted(_KNOWN), *READ_FROM_EXTRA)
#: difflib's ratio from which on a key is taken for a slip of another: "artefact" and "artifact" have 0.875, "tags" and
#: "task" 0.75.
_NEAR = 0.8


def near_key(key: str, known: Iterable[str]) -> str:
    """The one of `known` that `key` was likely meant to be ("" where none is near); case, `_` and `-` do not count."""
    plain = {_plain(name): name for name in known}
    near = difflib.get_close_matches(_plain(key), plain, n=1, cutoff=_NEAR)
    return plain[near[0]] if near else ""


def _plain(key: str) -> str:
    return key[:100].lower().replace("_", "").replace("-", "").replace(" ", "")


def _with_near_key(error: msgspec.ValidationError) -> str:
    """The message; where it names a field that `reference` does not have, with the one that was likely meant."""
    message = str(error)
    unknown = re.match(r"Object contains unknown field `([^`]*)` - at `\$\.reference`", message)
    likely = near_key(unknown[1], ReferenceSource.__struct_fields__) if unknown else ""
    return f"{message}; did you mean `{likely}`?" if likely else message


def _found(known: dict[str, Any], error: str) -> dict[str, Any]:
    """The key that a msgspec message names (`… - at `$.task``), or begins with, and what was found there."""
    _, inside, path = error.rpartition("$.")
    key = path.strip("`").split(".")[0].split("[")[0] if inside else error.split(" ")[0]
    choices = get_args(get_type_hints(ModelManifest).get(key))
    words = all(isinstance(choice, str) for choice in choices)
    expected = f"one of {', '.join(choices)}" if choices and words else error.partition(" - at")[0]
    return {"key": key, "found": repr(known.get(key))[:200], "expected": expected}
