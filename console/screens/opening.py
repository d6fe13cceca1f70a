"""Which view class shows a place; a view's module is imported when it is first opened."""

from __future__ import annotations

from importlib import import_module

from console.places import Place
from console.screens.listing import ListingView
from console.screens.view import View
from store.protocol import Page

#: view -> (module, class) for views that are more than the plain listing.
_VIEWS = {
    "fleet": ("console.screens.fleet", "Fleet"),
    "deployments": ("console.screens.fleet", "Deployments"),
    "runs": ("console.screens.catalog", "Runs"),
    "models": ("console.screens.catalog", "Models"),
    "versions": ("console.screens.catalog", "Versions"),
    "revisions": ("console.screens.fleet", "Revisions"),
    "alerts": ("console.screens.alerts", "Alerts"),
    "journal": ("console.screens.journal", "Journal"),
    "quarantine": ("console.screens.journal", "Quarantine"),
    "replay": ("console.screens.replay", "ReplayView"),
    "drift": ("console.screens.alerts", "Windowed"),
    "performance": ("console.screens.performance", "PerformanceView"),
    "feature": ("console.screens.feature", "FeatureView"),
    "quality": ("console.screens.alerts", "Windowed"),
    "windows": ("console.screens.alerts", "Windowed"),
    "run": ("console.screens.run", "RunView"),
    "deployment": ("console.screens.deployment", "DeploymentView"),
    "monitor": ("console.screens.monitor", "Monitor"),
    "describe": ("console.screens.describe", "Describe"),
    "log": ("console.screens.command_log", "CommandLog"),
}


def open_view(place: Place, first: Page | None = None) -> View:
    """The view of `place`, not yet mounted; `first` is its first page when that is here already."""
    module, name = _VIEWS.get(place.view, ("console.screens.listing", "ListingView"))
    if place.view == "performance" and (place.filter or place.sort):
        # Who filters or sorts wants the rows.
        module, name = _VIEWS["windows"]
    view_class = getattr(import_module(module), name)
    view: View = view_class(place, first) if issubclass(view_class, ListingView) else view_class(place)
    return view
