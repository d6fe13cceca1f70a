"""What intake says of itself: how much came, and how the watched folders are watched."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from store.intake.roots import Standing


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
