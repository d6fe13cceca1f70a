"""The fleet, the deployments and their revisions: listings whose rows are deployments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from console.places import Place
from console.screens.listing import ListingView
from console.screens.shaping import as_deployments, as_fleet
from store.protocol import Page

#: Seconds after which ages on the fleet are brought up to date although nothing changed.
AGEING = 60.0


class _OfDeployments(ListingView):
    def deployment(self) -> str:
        return str(self.cell("deployment") or self.row_id() or "")

    def subject(self) -> str:
        return self.deployment()

    def chosen(self) -> tuple[str, str]:
        name = self.deployment()
        return ("deployments", name) if name else ("", "")


class Fleet(_OfDeployments):
    """What is live, where, since when, how it is, and who put it there."""

    kind = "deployments"
    topics: ClassVar[frozenset[str]] = frozenset(
        {"deployments", "revisions", "alerts", "drift", "performance", "windows"}
    )

    def on_mount(self) -> None:
        super().on_mount()
        self.set_interval(AGEING, self.table.refresh_soon)

    def remarks(self) -> Iterable[str]:
        yield from super().remarks()
        if self.deck_app.news:
            yield self.deck_app.news

    def reshape(self, page: Page) -> Page:
        return as_fleet(page)

    def target(self) -> Place | None:
        name = self.deployment()
        return Place("monitor", name) if name else None


class Deployments(_OfDeployments):
    """Requested, observed and effective versions; enter leads to the revisions."""

    topics: ClassVar[frozenset[str]] = frozenset({"deployments", "revisions", "alerts"})

    def reshape(self, page: Page) -> Page:
        return as_deployments(page)

    def target(self) -> Place | None:
        name = self.deployment()
        return Place("deployment", name) if name else None


class Revisions(_OfDeployments):
    """The revisions of deployments, newest first."""

    topics: ClassVar[frozenset[str]] = frozenset({"deployments", "revisions"})

    def chosen(self) -> tuple[str, str]:
        row = self.row_id()
        return ("revisions", row) if row else ("", "")

    def deployment(self) -> str:
        scoped = dict(self.place.scope).get("deployment", "")
        return str(self.cell("deployment") or scoped)
