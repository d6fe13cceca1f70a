"""Everything that the store knows of one thing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from textual.app import ComposeResult

from console.places import Place
from console.screens.detail_pane import DetailPane
from console.screens.view import View
from store.protocol import Change, Detail, ShowParams

#: What `show` calls the kinds that are said in the singular on the command line.
PLURALS = {
    "dataset": "datasets",
    "run": "runs",
    "model": "models",
    "version": "versions",
    "deployment": "deployments",
    "revision": "revisions",
    "alert": "alerts",
}


class Describe(View):
    """`show` as a page; `/` keeps only the lines that match."""

    def __init__(self, place: Place) -> None:
        super().__init__(replace(place, kind=PLURALS.get(place.kind, place.kind)))
        self.pane = DetailPane()

    def compose(self) -> ComposeResult:
        yield self.pane

    def on_mount(self) -> None:
        self.fetch_soon()

    def heading(self) -> str:
        return f"{self.place.kind} {self.place.name}"

    def remarks(self) -> Iterable[str]:
        if self.pane.pattern:
            yield f"/{self.pane.pattern}"

    def row_id(self) -> str | None:
        return self.place.name

    def subject(self) -> str:
        return self.place.name

    def chosen(self) -> tuple[str, str]:
        return self.place.kind, self.place.name

    def deployment(self) -> str:
        return self.place.name if self.place.kind == "deployments" else ""

    def concerns(self, change: Change) -> bool:
        return self.place.kind in change.topics or "notes" in change.topics

    async def fetch(self) -> None:
        detail: Detail = await self.ask("show", ShowParams(self.place.kind, self.place.name))
        self.pane.put(detail.sections)
        self.fetched(detail.at)

    def do_filter(self) -> None:
        from console.commandline import CommandLine

        deck = self.deck_app.deck
        line = CommandLine(
            "filter",
            "/",
            self.deck_app.history("filter"),
            value=self.pane.pattern,
            explain="lines in which this regular expression is found; empty: all",
        )
        deck.type_into(line, self._search)

    def _search(self, pattern: str) -> None:
        try:
            self.pane.search(pattern.strip())
        except re.error as error:
            self.deck_app.deck.say(f"/{pattern}: {error}", "critical")
        self.deck_app.deck.refresh_lines()

    def do_back(self) -> None:
        from console.screens.doing import leave

        if self.pane.pattern:
            self._search("")
        else:
            leave(self.deck_app.deck)
