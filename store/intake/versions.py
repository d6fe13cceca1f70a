"""A model version's folder, taken in as one when it is whole: model.json, the reference, and every other file as bits.

What `artifact` names and what only lies beside it are bits alike, for a model may need both (`model.onnx.data`, a
tokenizer, `conda.yaml`). Left out are only hidden files and those that editors leave, and that is noted.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from store.catalog import manifest as manifests
from store.catalog.manifest import ModelManifest, ReferenceSource
from store.intake import opening
from store.intake.clean import clean_line, clean_name, shown
from store.intake.recognise import FORMATS, UNFINISHED, Format, ignored
from store.intake.settle import Look
from store.intake.trouble import Trouble, Vanished
from store.monitor.notes import Note
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
    named: frozenset[str]
    """Those of the files of `artifact` that model.json names, one by one or by their folder."""
    reference: str | ReferenceSource
    flagged: str
    notes: list[Note]


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
    reference = manifest.reference if isinstance(manifest.reference, str) else ""
    if reference and len(list(_files(folder, watched, reference, "reference"))) != 1:
        raise Trouble.wrong("reference", "a folder", "one Parquet, CSV or JSON lines file")
    named = frozenset(name for name, _ in artifact)
    left_out: list[str] = []
    artifact += _beside(folder, watched, {MANIFEST, reference, *named}, manifest.artifact, left_out)
    if len(artifact) > MAX_FILES:
        raise Trouble.wrong("artifact", f"more than {MAX_FILES:,} files", f"at most {MAX_FILES:,}")
    if artifact and not any(look.size for _, look in artifact):
        raise Waiting("its files are all empty", key="artifact", found="0 bytes", expected="bits")
    if not artifact and not reference and manifest.flavour != "opaque":
        raise Trouble.wrong("artifact", "nothing", f"the name of the {manifest.flavour} file")
    flagged = _flag(artifact, named, manifest, folder, watched)
    return VersionFolder(manifest, document, artifact, named, manifest.reference, flagged, _notes(document, left_out))


def _notes(document: bytes, left_out: list[str]) -> list[Note]:
    """What is odd about the folder although it is taken in."""
    notes = []
    for unknown in manifests.unknown_keys(document):
        path = clean_line(unknown.path, 100)
        likely = f": did you mean `{unknown.likely}`?" if unknown.likely else " and means nothing there"
        notes.append(Note("unknown_key", f"`{path}` is not a key of model.json{likely}", examples=(path,)))
    if left_out:
        examples = tuple(clean_line(name, 100) for name in left_out[:3])
        words = f"{len(left_out):,} hidden or left by an editor, not among the bits"
        notes.append(Note("left_out", words, examples=examples))
    return notes


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
    """`name` when it is a plain relative path. Raises `Trouble` for one that leaves its folder, or is model.json."""
    parts = name.split("/")
    if name == MANIFEST:
        raise Trouble.wrong(key, shown(name), "another file than model.json itself")
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
    for place, folders, names in os.walk(real, onerror=_unreadable, followlinks=False):
        _refuse_linked_folders(place, folders)
        for file in sorted(names):
            below = os.path.relpath(f"{place}/{file}", real)
            _wait_for_unfinished(f"{place}/{file}", f"{name}/{below}")
            with opening.opened(f"{place}/{file}", watched) as (_, look):
                yield f"{name}/{below}", look
            found += 1
            if found > MAX_FILES:
                raise Trouble.wrong(key, f"more than {MAX_FILES:,} files", f"at most {MAX_FILES:,}")
    if not found:
        raise Waiting(f"its {key} {clean_line(name, 200)} is empty", key=key, found="no file", expected="files")


def _beside(
    folder: str, watched: str, taken: set[str], artifact: str, left_out: list[str]
) -> Iterator[tuple[str, Look]]:
    """The files of the folder that are not `taken`, nor below `artifact`; what is no part of it goes to `left_out`.

    Raises `Waiting` while one of them is still being written, by its name.
    """
    found = 0
    for place, folders, names in os.walk(folder, onerror=_unreadable, followlinks=False):
        below = place[len(folder) + 1 :] + "/" if len(place) > len(folder) else ""
        left_out += [f"{below}{name}/" for name in folders if name.startswith(".")]
        folders[:] = sorted(name for name in folders if not name.startswith(".") and below + name != artifact)
        _refuse_linked_folders(place, folders)
        for file in sorted(names):
            name = below + file
            if name in taken:
                continue
            _wait_for_unfinished(f"{place}/{file}", name)
            if ignored(file):
                left_out.append(name)
                continue
            with opening.opened(f"{place}/{file}", watched) as (_, look):
                yield name, look
            found += 1
            if found > MAX_FILES:
                return


#: What rsync writes before it renames: `.NAME.` and six letters or digits of chance.
_RSYNC = re.compile(r"\..+\.[A-Za-z0-9]{6}")
#: Seconds after which such a file that nobody wrote to is only a hidden file: other names look the same.
_RSYNC_SECONDS = 10.0


def _wait_for_unfinished(path: str, name: str) -> None:
    """Raises `Waiting` where somebody still writes the file at `path`, which is called `name` in the folder."""
    if not name.endswith(UNFINISHED):
        if not _RSYNC.fullmatch(name.rpartition("/")[2]):
            return
        with contextlib.suppress(OSError):
            if time.time() - os.lstat(path).st_mtime >= _RSYNC_SECONDS:
                return
    shown_name = clean_line(name, 200)
    raise Waiting(
        f"waits for {shown_name}, which is still being written",
        key="artifact",
        found=shown_name,
        expected="files that have their final names",
    )


def _refuse_linked_folders(place: str, folders: list[str]) -> None:
    """A walk passes over links to folders: what lies there would be missing without a word."""
    for name in folders:
        if os.path.islink(f"{place}/{name}"):  # noqa: PTH114
            raise Trouble.wrong("link", f"{shown(name)}, a link to a folder", "the folder itself")


def _unreadable(error: OSError) -> None:
    if isinstance(error, PermissionError):
        what = f"a folder that may not be entered, {shown(os.path.basename(str(error.filename)))}"  # noqa: PTH119
        raise Trouble.wrong("permission", what, "one the agent's user may read") from error
    raise Vanished(str(error.filename)) from error


def _flag(
    artifact: list[tuple[str, Look]], named: frozenset[str], manifest: ModelManifest, folder: str, watched: str
) -> str:
    """Why the artifact is treated as opaque: code would run if it were loaded ("" when it is not).

    An MLflow folder is judged by the files in it: its scikit-learn models are usually pickles.
    """
    # Where model.json does not name the skops file, its ending does.
    skops = named or {name for name, _ in artifact if name.lower().endswith(".skops")}
    for name, _ in artifact:
        if name.lower().endswith(_PICKLED):
            return f"{clean_line(name, 100)} is a pickle: never loaded"
        with opening.opened(f"{folder}/{name}", watched) as (descriptor, look):
            if _is_pickle(os.pread(descriptor, 2, 0), os.pread(descriptor, 1, max(0, look.size - 1))):
                return f"{clean_line(name, 100)} holds a pickle: never loaded"
            if manifest.flavour == "skops" and name in skops and os.pread(descriptor, 4, 0) != b"PK\x03\x04":
                return f"{clean_line(name, 100)} is no skops file"
    return "no skops file is among its files" if manifest.flavour == "skops" and artifact and not skops else ""


def _is_pickle(first: bytes, last: bytes) -> bool:
    # PROTO opcode with a protocol of 2 to 5, and STOP at the end (Python's pickletools).
    return len(first) == 2 and first[0] == 0x80 and 2 <= first[1] <= 5 and last == b"."


def stage(found: VersionFolder, folder: str, watched: str, scratch: Path) -> Path:
    """Copy model.json and the bits into a new folder under `scratch`, file by file through safe opens.

    Only regular files are copied, never what a link outside points to; the caller removes the folder.
    Raises `Vanished` when a file changed since it was examined.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    target = Path(tempfile.mkdtemp(prefix=".version-", dir=scratch))
    try:
        (target / MANIFEST).write_bytes(found.document)
        for name, look in found.artifact:
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
