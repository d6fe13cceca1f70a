"""What intake says of itself: how much came, and how the watched folders are watched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from store.intake.arrivals import Folder
from store.intake.roots import Standing, standing
from store.intake.watch import Watcher


class Status(msgspec.Struct, frozen=True):
    """`waiting` counts files seen and not dealt with; `polling` says why folders are polled ("" while they are not)."""

    taken: int
    quarantined: int
    waiting: int
    polling: str
    trouble: str
    """Why nothing can be recorded now ("" while it can)."""


class WatchedFolder(NamedTuple):
    """One watched folder: `told` while the kernel tells of it, `polling` why it is polled ("" while it is not)."""

    path: str
    standing: Standing
    told: bool
    polling: str


#: Seconds that `doctor` waits at most for the watched folders of a store that has just been opened.
SETTLED = 5.0


def watched_folders(watcher: Watcher, folders: Sequence[Folder]) -> list[WatchedFolder]:
    """Where each folder lies now, and how what arrives there is noticed."""
    if not watcher.polling:
        watcher.settled.wait(SETTLED)
    return [
        WatchedFolder(folder.path, standing(folder.path), watcher.watches(folder), watcher.polling)
        for folder in folders
    ]
