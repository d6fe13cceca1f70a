"""A model version's folder: model.json, the artifact and the reference, taken in as one when all are whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from store.catalog import manifest as manifests
from store.catalog.manifest import ModelManifest, ReferenceSource
from store.intake import opening
from store.intake.clean import clean_line, clean_name, shown
from store.intake.recognise import FORMATS, Format
from store.intake.settle import Look
from store.intake.trouble import Trouble, Vanished
from store.protocol import Refusal

MANIFEST = "model.json"
#: Files of one artifact folder at most.
MAX_FILES = 10_000
_PICKLED = (".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle", ".pt", ".pth")


class Waiting(Trouble):
    """Not wrong, only not all there yet. What is `elsewhere` does not report itself when it comes."""

    elsewhere = False


class WaitingElsewhere(Waiting):
    """For what comes by another folder: a dataset, predictions."""

    elsewhere = True


class VersionFolder(NamedTuple):
    """What was found of a version: the manifest and the files to keep, as (path below the folder, look)."""

    manifest: ModelManifest
    document: bytes
    artifact: list[tuple[str, Look]]
    reference: str | ReferenceSource
    flagged: str


def examine(folder: str, watched: str, model: str, version: str, limit: int) -> VersionFolder:
    """Read model.json (at most `limit` bytes) and see that what it names is there; nothing is loaded.

    Raises `Waiting` while model.json, the artifact or the reference is missing, `Trouble` for what is wrong.
    """
    try:
        with opening.opened(f"{folder}/{MANIFEST}", watched) as (descriptor, _):
            document = opening.read_capped(descriptor, limit)
    except Vanished as error:
        if not os.path.isdir(folder):  # noqa: PTH112  (paths are kept as the strings the kernel gave)
            raise
        raise Waiting(f"waits for its {MANIFEST}", key=MANIFEST, found="missing", expected=MANIFEST) from error
    try:
        manifest = manifests.parse(document, model, version)
    except Refusal as refusal:
        raise from_refusal(refusal) from refusal
    except (ValueError, RecursionError) as error:
        raise Trouble(f"{MANIFEST} cannot be read: {error}", key=MANIFEST, expected="a JSON object") from error
    manifest = msgspec.structs.replace(manifest, run=clean_name(manifest.run) if manifest.run else "")
    artifact = list(_files(folder, watched, manifest.artifact, "artifact")) if manifest.artifact else []
    named = manifest.reference if isinstance(manifest.reference, str) else ""
    if named and len(list(_files(folder, watched, named, "reference"))) != 1:
        raise Trouble.wrong("reference", "a folder", "one Parquet, CSV or JSON lines file")
    if not manifest.artifact and not manifest.reference and manifest.flavour != "opaque":
        raise Trouble.wrong("artifact", "nothing", f"the name of the {manifest.flavour} file")
    return VersionFolder(manifest, document, artifact, manifest.reference, _flag(artifact, manifest, folder, watched))


def from_refusal(refusal: Refusal) -> Trouble:
    """A refusal of another room, with the key, what was found and what was expected where it says so."""
    detail = refusal.detail
    return Trouble(
        refusal.message,
        key=str(detail.get("key", "")),
        found=str(detail.get("found", "")),
        expected=str(detail.get("expected", "") or refusal.hint),
    )


def table_format(name: str) -> Format:
    """By the name's ending. Raises `Trouble`."""
    form = FORMATS.get(name.rpartition(".")[2].lower())
    if form is None:
        raise Trouble.wrong("reference", shown(name), "a file ending in .parquet, .csv or .jsonl")
    return form


def named_inside(key: str, name: str) -> str:
    """`name` when it is a plain relative path. Raises `Trouble` for one that leaves its folder."""
    parts = name.split("/")
    if name.startswith("/") or "\0" in name or any(part in {"", ".", ".."} for part in parts):
        raise Trouble.wrong(key, shown(name), "a path inside the version's folder")
    return name


def _files(folder: str, watched: str, name: str, key: str) -> Iterator[tuple[str, Look]]:
    """The regular files that `name` stands for: itself, or everything below it."""
    path = f"{folder}/{named_inside(key, name)}"
    try:
        real = opening.resolve(path, watched)
    except Vanished as error:
        raise Waiting(
            f"waits for its {key} {clean_line(name, 200)}", key=key, found="missing", expected=clean_line(name, 200)
        ) from error
    if not os.path.isdir(real):  # noqa: PTH112
        with opening.opened(path, watched) as (_, look):
            if look.size == 0:
                raise Waiting(f"its {key} {clean_line(name, 200)} is empty", key=key, found="0 bytes", expected="bits")
            yield name, look
        return
    found = 0
    for place, _, names in os.walk(real, followlinks=False):
        for file in sorted(names):
            below = os.path.relpath(f"{place}/{file}", real)
            with opening.opened(f"{place}/{file}", watched) as (_, look):
                yield f"{name}/{below}", look
            found += 1
            if found > MAX_FILES:
                raise Trouble.wrong(key, f"more than {MAX_FILES:,} files", f"at most {MAX_FILES:,}")
    if not found:
        raise Waiting(f"its {key} {clean_line(name, 200)} is empty", key=key, found="no file", expected="files")


def _flag(artifact: list[tuple[str, Look]], manifest: ModelManifest, folder: str, watched: str) -> str:
    """Why the artifact is treated as opaque: code would run if it were loaded ("" when it is not).

    An MLflow folder is judged by the files in it: its scikit-learn models are usually pickles.
    """
    for name, _ in artifact:
        if name.lower().endswith(_PICKLED):
            return f"{clean_line(name, 100)} is a pickle: never loaded"
        with opening.opened(f"{folder}/{name}", watched) as (descriptor, look):
            if _is_pickle(os.pread(descriptor, 2, 0), os.pread(descriptor, 1, max(0, look.size - 1))):
                return f"{clean_line(name, 100)} holds a pickle: never loaded"
            if manifest.flavour == "skops" and os.pread(descriptor, 4, 0) != b"PK\x03\x04":
                return f"{clean_line(name, 100)} is no skops file"
    return ""


def _is_pickle(first: bytes, last: bytes) -> bool:
    # PROTO opcode with a protocol of 2 to 5, and STOP at the end (Python's pickletools).
    return len(first) == 2 and first[0] == 0x80 and 2 <= first[1] <= 5 and last == b"."


def stage(found: VersionFolder, folder: str, watched: str, scratch: Path) -> Path:
    """Copy model.json and the artifact into a new folder under `scratch`, file by file through safe opens.

    Only regular files are copied, never what a link outside points to; the caller removes the folder.
    Raises `Vanished` when a file changed since it was examined.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    target = Path(tempfile.mkdtemp(prefix=".version-", dir=scratch))
    try:
        (target / MANIFEST).write_bytes(found.document)
        for name, look in found.artifact:
            if name == MANIFEST:
                continue
            place = target / name
            place.parent.mkdir(parents=True, exist_ok=True)
            with opening.opened(f"{folder}/{name}", watched) as (descriptor, now):
                if now.identity != look.identity:
                    raise Vanished(name)
                opening.copy(descriptor, place)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    return target
