"""Follows a deployment's pointer in a local target: which version serves, and are its bits what they should be?

<targets>/<environment>/<model>/current -> revisions/<n>/{revision.json, model/}
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whole_files import sha256


class PointerError(Exception):
    """The pointer is there but what it points to cannot be served; the message says why."""


@dataclass(frozen=True)
class Revision:
    """What `current` pointed to: `folder` is never changed once the pointer named it."""

    deployment: str
    revision: int
    version: str
    digest: str
    folder: Path


def current(targets: Path, deployment: str) -> Revision | None:
    """The revision that is effective now; None where there is none. Raises PointerError."""
    model, _, environment = deployment.partition("@")
    link = targets / environment / model / "current"
    # The pointer may move on, and the folder it named be collected, between two looks: then look again.
    for _ in range(5):
        try:
            folder = link.resolve(strict=True)
            found = json.loads((folder / "revision.json").read_text(encoding="utf-8"))
            return Revision(
                str(found["deployment"]), int(found["revision"]), str(found["version"]), str(found["digest"]), folder
            )
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PointerError(f"{link}: {type(error).__name__}: {error}") from error
    if link.is_symlink():
        raise PointerError(f"{link} points to {link.readlink()}, which holds no revision.json")
    return None


def verified_model(revision: Revision) -> tuple[dict[str, Any], Path]:
    """The manifest and the artifact's path, once the bits were found to have the revision's digest.

    Raises PointerError when they have not. The digest is that of the artifact, or of the whole folder where the
    store keeps the version as one.
    """
    bits = revision.folder / "model"
    try:
        manifest = json.loads((bits / "model.json").read_text(encoding="utf-8"))
        artifact = bits / str(manifest["artifact"])
        found = [f"sha256:{sha256(artifact)}"]
        if revision.digest not in found:
            found.append(folder_digest(bits))
    except (OSError, ValueError, KeyError) as error:
        raise PointerError(f"version {revision.version} in {bits}: {type(error).__name__}: {error}") from error
    if revision.digest not in found:
        raise PointerError(
            f"version {revision.version} in {bits} has digest {found[0]}, not {revision.digest}: it is not loaded"
        )
    return manifest, artifact


def folder_digest(folder: Path) -> str:
    """`sha256:<hex>` over the sorted relative paths and file digests of a folder, as the store takes it."""
    whole = hashlib.sha256()
    for path in sorted(found for found in folder.rglob("*") if found.is_file()):
        whole.update(path.relative_to(folder).as_posix().encode("utf-8", "surrogateescape") + b"\0")
        whole.update(f"sha256:{sha256(path)}\n".encode())
    return f"sha256:{whole.hexdigest()}"
