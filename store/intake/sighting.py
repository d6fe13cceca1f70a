"""What the watcher reports, sorted into subjects; what is known and unchanged is left out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from store.intake.arrivals import Folder, Known
from store.intake.candidates import readable, version_look
from store.intake.inotify import Change, Hint
from store.intake.recognise import Place, recognise, run_folder
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
    companions: dict[int, bool] = {}
    for change in changes:
        relative = folder.relative(change.path)
        if not relative:
            continue
        place = recognise(relative, environments) or run_folder(relative)
        if place is None:
            continue
        key = folder.key(place.subject)
        if place.unless and key not in companions:
            companions[key] = has_company(folder, place)
        if companions.get(key):
            continue
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


def has_company(folder: Folder, place: Place) -> bool:
    """Whether one of the files lies there beside which a file in an unknown place is nothing odd."""
    return any(os.path.lexists(f"{folder.path}/{file}") for file in place.unless)


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
