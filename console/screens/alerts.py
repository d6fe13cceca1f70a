"""Alerts, and the listings of windows: what the monitor found, as rows."""

from __future__ import annotations

from console.places import Place
from console.screens.listing import ListingView
from console.screens.shaping import as_alerts
from store.protocol import Page


class Alerts(ListingView):
    """Enter leads to the monitor of the alert's deployment."""

    def reshape(self, page: Page) -> Page:
        return as_alerts(page)

    def target(self) -> Place | None:
        name = self.deployment()
        return Place("monitor", name) if name else super().target()


class Windowed(ListingView):
    """Drift, performance, quality or windows: rows of windows of a deployment."""

    def deployment(self) -> str:
        return str(self.cell("deployment") or dict(self.place.scope).get("deployment", ""))

    def chosen(self) -> tuple[str, str]:
        name = self.deployment()
        return ("deployments", name) if name else ("", "")

    def subject(self) -> str:
        return self.deployment()

    def target(self) -> Place | None:
        name = self.deployment()
        return Place("monitor", name) if name else None
