"""Runs, models and versions: the listings of what can be deployed and where it came from."""

from __future__ import annotations

from typing import ClassVar

from console.places import Place
from console.screens.listing import ListingView
from console.screens.shaping import SILENCE_INTERVAL, in_words, with_silence
from store.protocol import Page


class Runs(ListingView):
    """Runs; of one that says it is running and gave no word for long, the status says that."""

    def on_mount(self) -> None:
        super().on_mount()
        self.set_interval(SILENCE_INTERVAL, self._fetch_again)

    def _fetch_again(self) -> None:
        if self.deck_app.at is None and any("running" in row for row in self.table.rows_on_screen()):
            self.fetch_soon()

    def reshape(self, page: Page) -> Page:
        return in_words(with_silence(page))

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
