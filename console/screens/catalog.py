"""Runs, models and versions: the listings of what can be deployed and where it came from."""

from __future__ import annotations

from typing import ClassVar

from console.places import Place
from console.screens.listing import ListingView


class Runs(ListingView):
    def target(self) -> Place | None:
        row = self.row_id()
        return Place("run", row) if row else None


class Models(ListingView):
    """Enter leads to the model's versions."""

    topics: ClassVar[frozenset[str]] = frozenset({"models", "versions"})

    def target(self) -> Place | None:
        row = self.row_id()
        return Place("versions", scope=(("model", row),)) if row else None


class Versions(ListingView):
    topics: ClassVar[frozenset[str]] = frozenset({"models", "versions"})

    def subject(self) -> str:
        """`model@version`: what `promote` takes apart."""
        return self.row_id() or ""
