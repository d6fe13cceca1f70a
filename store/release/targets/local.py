"""The local target: a folder per deployment whose `current` link is swapped atomically by a rename.

    <targets>/<environment>/<model>/current -> revisions/7
    <targets>/<environment>/<model>/revisions/7/revision.json     which deployment, revision, version, digest
    <targets>/<environment>/<model>/revisions/7/model/            the version's bits: model.json and artifact

A follower resolves `current` once and reads everything below the folder it got: that folder is never changed,
so what it reads belongs together. The bits are copied, not linked, so that nothing a follower does to its
folder can reach the bits the store keeps for the next rollback.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from store.release.targets import Intent, Observation, Placement, Step, TargetError

#: Folders of past revisions kept beside the current one: a follower may still be reading in them.
KEPT = 4

_NOTHING = Observation({}, {}, None, {}, "")


class Pointer(msgspec.Struct, frozen=True):
    """revision.json."""

    deployment: str
    revision: int
    version: str
    digest: str


class LocalTarget:
    """Places versions below `root` out of the bits the store keeps.

    `locate` gives the folder of the bits with a digest, None when they are not there; `digest_of` computes
    the digest of such a folder.
    """

    point_of_no_return = "swap"

    def __init__(self, root: Path, locate: Callable[[str], Path | None], digest_of: Callable[[Path], str]) -> None:
        self._root = root
        self._locate = locate
        self._digest_of = digest_of

    def folder(self, deployment: str) -> Path:
        model, _, environment = deployment.partition("@")
        return self._root / environment / model

    def apply(self, intent: Intent, step: Step) -> None:
        """Steps: start, stage, verify, place, link, swap, collect."""
        base = self.folder(intent.deployment)
        try:
            self._apply(intent, base, step)
        except OSError as error:
            raise TargetError(_in_words(error, base)) from error

    def observe(self, deployment: str, verify: bool) -> Observation:
        base = self.folder(deployment)
        current = base / "current"
        if not current.is_symlink():
            return msgspec.structs.replace(
                _NOTHING, message=f"{current} is no link" if current.exists() else f"{current} is not there"
            )
        place = base / current.readlink()
        try:
            pointer = msgspec.json.decode((place / "revision.json").read_bytes(), type=Pointer)
        except (OSError, msgspec.DecodeError) as error:
            return msgspec.structs.replace(
                _NOTHING, message=f"{current} points to {current.readlink()}: {_reason(error)}"
            )
        versions = {pointer.version: 1.0}
        if pointer.deployment != deployment:
            return Observation(versions, versions, None, {}, f"{current} points to a revision of {pointer.deployment}")
        digests: dict[str, str] = {}
        message = ""
        if verify and pointer.digest:
            try:
                digests[pointer.version] = self._digest_of(place / "model")
            except OSError as error:
                digests[pointer.version] = ""
                message = f"the bits of version {pointer.version} cannot be read: {_reason(error)}"
        return Observation(versions, versions, pointer.revision, digests, message)

    def _apply(self, intent: Intent, base: Path, step: Step) -> None:
        step("start")
        if len(intent.placements) > 1:
            raise TargetError(f"The local target serves one version at a time, not {len(intent.placements)}.")
        current = base / "current"
        if not intent.placements:
            step("swap")
            if current.is_symlink():
                current.unlink()
                _sync_folder(base)
            return
        if os.path.lexists(current) and not current.is_symlink():
            raise TargetError(f"{current} is no link; move it away, then retry.")
        revisions = base / "revisions"
        revisions.mkdir(parents=True, exist_ok=True)
        for left in revisions.glob(".staging-*"):
            shutil.rmtree(left, ignore_errors=True)
        placement = intent.placements[0]
        place = self._place(intent, placement, revisions, step)
        step("link")
        link = base / ".next"
        link.unlink(missing_ok=True)
        link.symlink_to(f"revisions/{place.name}")
        step("swap")
        link.replace(current)
        _sync_folder(base)
        step("collect")
        _collect(revisions, place.name)

    def _place(self, intent: Intent, placement: Placement, revisions: Path, step: Step) -> Path:
        """The finished folder of this revision below `revisions`."""
        pointer = Pointer(intent.deployment, intent.revision, placement.version, placement.digest)
        # A folder that was spoilt after it was placed may be the current one: it is not touched, the next
        # name is taken.
        names = [str(intent.revision), *(f"{intent.revision}.{again}" for again in range(1, 100))]
        for name in names:
            place = revisions / name
            if not os.path.lexists(place):
                break
            if self._holds(place, pointer):
                return place
        else:
            raise TargetError(f"{revisions} holds a hundred spoilt folders of revision {intent.revision}.")
        staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=revisions))
        try:
            staging.chmod(0o755)
            step("stage")
            self._fill(staging, placement, pointer)
            step("verify")
            if pointer.digest:
                found = self._digest_of(staging / "model")
                if found != pointer.digest:
                    raise TargetError(
                        f"The bits kept for version {pointer.version} have digest {found},"
                        f" not {pointer.digest}; they were not released."
                    )
            _sync_tree(staging)
            step("place")
            staging.rename(place)
            _sync_folder(revisions)
        except Exception:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        return place

    def _fill(self, staging: Path, placement: Placement, pointer: Pointer) -> None:
        model = staging / "model"
        if pointer.digest:
            kept = self._locate(pointer.digest)
            if kept is None:
                raise TargetError(f"The bits of version {pointer.version} ({pointer.digest}) are not in the store.")
            shutil.copytree(kept, model)
        else:
            model.mkdir()
            (model / "model.json").write_bytes(placement.manifest)
        (staging / "revision.json").write_bytes(msgspec.json.encode(pointer) + b"\n")

    def _holds(self, place: Path, pointer: Pointer) -> bool:
        """Whether `place` is the finished and unspoilt folder of `pointer`."""
        try:
            found = msgspec.json.decode((place / "revision.json").read_bytes(), type=Pointer)
            if found != pointer:
                return False
            return not pointer.digest or self._digest_of(place / "model") == pointer.digest
        except (OSError, msgspec.DecodeError):
            return False


def _collect(revisions: Path, current: str) -> None:
    """Remove the folders of old revisions. What cannot be removed now is tried again at the next release."""

    def age(name: str) -> tuple[int, ...]:
        return tuple(int(part) for part in name.split("."))

    with contextlib.suppress(OSError):
        names = [entry.name for entry in revisions.iterdir() if entry.name.replace(".", "").isdecimal()]
        ours = sorted((name for name in names if name != current and not name.startswith(".")), key=age)
        for name in ours[:-KEPT]:
            shutil.rmtree(revisions / name, ignore_errors=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_tree(folder: Path) -> None:
    for path, _folders, files in os.walk(folder):
        for name in files:
            file = Path(path, name)
            if file.is_symlink():
                continue
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        _sync_folder(Path(path))


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _in_words(error: OSError, base: Path) -> str:
    where: Any = error.filename or base
    if error.errno == errno.ENOSPC:
        return f"No space left on the disk of {base}; nothing was changed there. Free some, then retry."
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"{where} cannot be written ({_reason(error)}); nothing was changed there."
    return f"{where}: {_reason(error)}"
