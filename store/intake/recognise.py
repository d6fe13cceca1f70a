"""What a file is, by its place under a watched folder (DESIGN.md, "What arrives")."""

from __future__ import annotations

import difflib
import functools
from pathlib import Path
from typing import Literal

import msgspec

from store.intake.clean import NAME_RULE, clean_line, clean_name, is_name, shown

Kind = Literal["dataset", "run", "params", "metrics", "model", "predictions", "labels", "unknown"]
Format = Literal["parquet", "csv", "jsonl"]

KINDS_OF_FOLDER = ("datasets", "runs", "models", "predictions", "labels")
_RUN_FILES: dict[str, Kind] = {"run.json": "run", "params.json": "params", "metrics.jsonl": "metrics"}
#: What people call the run files, and how such files end.
_MEANT = {
    **dict.fromkeys(("run", "runs"), "run.json"),
    **dict.fromkeys(("param", "params", "parameter", "parameters"), "params.json"),
    **dict.fromkeys(("metric", "metrics"), "metrics.jsonl"),
}
_DOCUMENT_ENDINGS = frozenset(
    {"json", "jsonl", "ndjson", "jsonlines", "json5", "yaml", "yml", "toml", "csv", "tsv", "txt"}
)
FORMATS: dict[str, Format] = {"parquet": "parquet", "csv": "csv", "jsonl": "jsonl", "ndjson": "jsonl"}
#: Endings of files that somebody is still writing and will rename.
UNFINISHED = (".tmp", ".part", ".partial", ".crdownload")
#: Endings of what editors leave beside a file.
_EDITORS = (".swp", "~")


class Place(msgspec.Struct, frozen=True):
    """`name` is the dataset, run, model or deployment; `part` the file's name, for a model its version.

    `subject` is the path, relative to the watched folder, of what is taken in as one: the file itself or the
    model version's folder. An unknown place says what is wrong in `key`, `found`, `expected`.
    """

    kind: Kind
    subject: str
    name: str = ""
    part: str = ""
    format: Format | None = None
    key: str = ""
    found: str = ""
    expected: str = ""
    unless: tuple[str, ...] = ()
    """Of an unknown place: files (below the watched folder) beside which it is a companion and nothing is wrong."""


def ignored(relative: str) -> bool:
    """Whether `relative` is nobody's business: hidden, or on its way to another name."""
    return any(part.startswith(".") for part in relative.split("/")) or relative.endswith((*UNFINISHED, *_EDITORS))


def recognise(relative: str, environments: frozenset[str] = frozenset()) -> Place | None:
    """The place of the file at `relative` (with `/`, under the watched folder); None where it is to be ignored.

    A `relative` that ends in `/` is a folder that could not be looked into, or whose mode changed.

    `environments` are those that deployments may name; empty allows any.
    """
    if ignored(relative):
        return None
    if relative.endswith("/"):
        return _unknown(relative, "permission", "a folder that may not be entered", "one the agent's user may read")
    parts = relative.split("/")
    kind = parts[0]
    if kind not in KINDS_OF_FOLDER or len(parts) == 1:
        return _unknown(relative, "folder", shown(kind), f"one of the folders {', '.join(KINDS_OF_FOLDER)}")
    if kind == "runs":
        return _in_run(relative, parts)
    if kind == "models":
        return _in_model(relative, parts)
    return _table(relative, parts, environments)


def _in_run(relative: str, parts: list[str]) -> Place | None:
    if len(parts) < 3:
        return _unknown(relative, "place", shown(relative), "runs/<run>/run.json, params.json or metrics.jsonl")
    name = parts[-1]
    if len(parts) == 3 and name in _RUN_FILES:
        return Place(_RUN_FILES[name], relative, clean_name(parts[1]), name)
    meant = meant_run_file(name)
    if not meant:
        # A run's folder may hold what its author likes: plots, checkpoints, notes.
        return None
    own = f"{parts[0]}/{parts[1]}"
    if name.lower() == meant and meant != "params.json":
        # Nothing else is called so: a run in a folder too deep, or Run.json.
        unless: tuple[str, ...] = ()
    elif len(parts) == 3:
        # metrics.csv beside metrics.jsonl is another logger's.
        unless = (f"{own}/{meant}",) if name.lower() != meant else ()
    else:
        # Checkpoints have params of their own.
        unless = tuple(f"{own}/{file}" for file in _RUN_FILES)
    place = _unknown(relative, "place", shown(relative), f"runs/<run>/{meant}, so spelt and in no folder further down")
    return msgspec.structs.replace(place, unless=unless)


@functools.lru_cache(maxsize=4096)
def meant_run_file(name: str) -> str:
    """The run file that was meant by `name`: Run.json, metrics.json, params.yaml, metircs.jsonl; "" for none."""
    lowered = name.lower()
    if lowered in _RUN_FILES:
        return lowered
    stem, _, ending = lowered.partition(".")
    if stem in _MEANT and ending.partition(".")[0] in _DOCUMENT_ENDINGS:
        return _MEANT[stem]
    if len(name) <= 20 and ending.startswith("js"):
        near = difflib.get_close_matches(lowered, _RUN_FILES, 1, 0.88)
        return near[0] if near else ""
    return ""


def run_folder(relative: str) -> Place | None:
    """The run's folder that `relative`, no run file, lies in: wrong where it holds none at all. None elsewhere."""
    parts = relative.split("/")
    if len(parts) != 3 or parts[0] != "runs" or ignored(relative):
        return None
    own = f"runs/{parts[1]}"
    place = _unknown(own, "run", "no run.json, params.json or metrics.jsonl in the folder", "one of them")
    return msgspec.structs.replace(place, unless=tuple(f"{own}/{file}" for file in _RUN_FILES))


def _in_model(relative: str, parts: list[str]) -> Place:
    if len(parts) < 4:
        return _unknown(relative, "place", shown(relative), "models/<model>/<version>/model.json and the artifact")
    for key, name in (("model", parts[1]), ("version", parts[2])):
        if not is_name(name):
            return _unknown("/".join(parts[:3]), key, shown(name), NAME_RULE)
    return Place("model", "/".join(parts[:3]), parts[1], parts[2])


def _table(relative: str, parts: list[str], environments: frozenset[str]) -> Place:
    singular: dict[str, Kind] = {"datasets": "dataset", "predictions": "predictions", "labels": "labels"}
    kind = singular[parts[0]]
    holder = "<dataset>" if kind == "dataset" else "<model@environment>"
    if len(parts) != 3:
        return _unknown(relative, "place", shown(relative), f"{parts[0]}/{holder}/<file>.parquet, .csv or .jsonl")
    name, file = parts[1], parts[2]
    if kind == "dataset":
        if not is_name(name):
            return _unknown(relative, "dataset", shown(name), NAME_RULE)
    else:
        model, at, environment = name.partition("@")
        if not at or not is_name(model) or not is_name(environment):
            return _unknown(relative, "deployment", shown(name), f"model@environment, each {NAME_RULE}")
        if environments and environment not in environments:
            known = ", ".join(sorted(environments))
            return _unknown(relative, "environment", shown(environment), f"one of {known} (quarterdeck.toml)")
    form = FORMATS.get(file.rpartition(".")[2].lower()) if "." in file else None
    if form is None:
        return _unknown(relative, "format", shown(file), "a file ending in .parquet, .csv or .jsonl")
    return Place(kind, relative, name, clean_line(file, 255), form)


def _unknown(subject: str, key: str, found: str, expected: str) -> Place:
    return Place("unknown", subject, key=key, found=found, expected=expected)


def place_of(folder: str, relative: str, environments: frozenset[str]) -> Place | None:
    """The place of what a case is about: a file, or the folder of a run that holds none of a run's files.

    `relative` lies below the watched folder of that path.
    """
    if relative.count("/") == 1 and Path(folder, relative).is_dir():
        return run_folder(f"{relative}/*")
    return recognise(relative, environments)
