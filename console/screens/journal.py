"""The journal and the quarantine."""

from __future__ import annotations

from typing import ClassVar

from console.screens.listing import ListingView
from console.screens.shaping import as_journal
from store.protocol import Change, Page


class Journal(ListingView):
    """Every change is a row here, so every change concerns it."""

    topics: ClassVar[frozenset[str]] = frozenset()

    def reshape(self, page: Page) -> Page:
        return as_journal(page)

    def concerns(self, change: Change) -> bool:
        return change.sequence > 0


class Quarantine(ListingView):
    """What could not be read; T takes a row in again."""

    topics: ClassVar[frozenset[str]] = frozenset({"quarantine"})
