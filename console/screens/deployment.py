"""One deployment: what is requested, observed and effective, and its revisions."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult

from console.places import Place
from console.screens.detail_pane import DetailPane, lay_out_sections
from console.screens.listing import ListingView
from console.screens.shaping import as_revisions
from store.protocol import Detail, Page, ShowParams

#: Lines that the state takes at most; the revisions take the rest.
STATE_LINES = 14


class DeploymentView(ListingView):
    """The state above, the revisions below."""

    DEFAULT_CSS = """
    DeploymentView > DetailPane { height: auto; max-height: 50%; }
    """
    kind = "revisions"
    topics: ClassVar[frozenset[str]] = frozenset({"deployments", "revisions", "alerts"})

    def __init__(self, place: Place, first: Page | None = None) -> None:
        super().__init__(place, first)
        self.with_place(scope=(("deployment", place.name),))
        self.pane = DetailPane()
        self.pane.can_focus = False

    def compose(self) -> ComposeResult:
        yield self.pane
        yield self.table

    def on_mount(self) -> None:
        super().on_mount()
        self.fetch_soon()

    def reshape(self, page: Page) -> Page:
        return as_revisions(page)

    def heading(self) -> str:
        return f"deployment {self.place.name}"

    def deployment(self) -> str:
        return self.place.name

    def subject(self) -> str:
        return self.place.name

    def row_id(self) -> str | None:
        # The actions are about the deployment, also while its revisions are being fetched.
        return self.place.name

    def chosen(self) -> tuple[str, str]:
        return "deployments", self.place.name

    async def fetch(self) -> None:
        detail: Detail = await self.ask("show", ShowParams("deployments", self.place.name))
        self.pane.put(detail.sections[:1])
        self.pane.styles.height = min(STATE_LINES, len(lay_out_sections(detail.sections[:1], self.size.width or 80)))
        await super().fetch()

    def target(self) -> Place | None:
        row = self.table.cursor_id
        return Place("describe", kind="revisions", name=row) if row else None
