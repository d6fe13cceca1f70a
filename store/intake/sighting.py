"""What the watcher reports, sorted into subjects; what is known and unchanged is left out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from store.intake.arrivals import Folder, Known
from store.intake.candidates import readable, version_look
from store.intake.inotify import Change, Hint
from store.intake.recognise import Place, recognise
from store.intake.settle import Look
from store.intake.trouble import Vanished


class Sighting(NamedTuple):
    place: Place
    hint: Hint


def sightings(
    folder: Folder,
    changes: Sequence[Change],
    environments: frozenset[str],
    known: Known,
    unreadable: Callable[[int], bool] = lambda _key: False,
) -> dict[int, Sighting]:
    """Key → what was seen there. Runs on the watcher's threads, whose walks are paced by what they cost.

    `unreadable` says of a key whether the file is in quarantine because it could not be opened.
    """
    seen: dict[int, Sighting] = {}
    unchanged: dict[int, bool] = {}
    for change in changes:
        relative = folder.relative(change.path)
        place = recognise(relative, environments) if relative else None
        if place is None:
            continue
        key = folder.key(place.subject)
        if change.hint == Hint.SEEN:
            if key not in unchanged:
                unchanged[key] = key not in seen and (
                    not readable(f"{folder.path}/{place.subject}")
                    if unreadable(key)
                    else _unchanged(folder, place, known.identity(key), change.path)
                )
            if unchanged[key]:
                continue
        seen[key] = Sighting(place, change.hint)
    return seen


def _unchanged(folder: Folder, place: Place, identity: int | None, path: str) -> bool:
    """Whether the file that a walk came by is as it was when it was dealt with."""
    if identity is None:
        return False
    try:
        if place.kind == "model":
            return version_look(f"{folder.path}/{place.subject}").identity == identity
        return Look.of(os.lstat(path)).identity == identity
    except (OSError, Vanished):
        return False
