"""The terminal's bell and title when a critical alert opens, so that a terminal in the background is heard and seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from console.live import LinkLost
from console.text import clean
from store.protocol import ListParams, Page, Refusal

if TYPE_CHECKING:
    from console.live import Link

#: Alerts that are open and critical, as far as they are told apart.
LOOKED_AT = 100
BELL = "\a"
_OPEN = ListParams("alerts", "state=open severity=critical", "opened_at:desc", limit=LOOKED_AT)


def title_sequence(text: str) -> str:
    """OSC 2: the title of the window, or of the pane inside tmux."""
    return f"\x1b]2;{clean(text, 120)}\x07"


#: The title of before is put on the terminal's own stack and taken from it again (xterm, kitty, iTerm2, VTE, foot,
#: tmux); other terminals are left with an empty one, which they replace by their default.
SAVE_TITLE = "\x1b[22;2t"
RESTORE_TITLE = "\x1b]2;\x07\x1b[23;2t"


class Alarm:
    """Rings once for each critical alert that opens while the console looks on; `show` sets the title ("" restores).

    Alerts that were open before do not ring: whoever opens the console looks at them anyway.
    """

    def __init__(self, link: Link, ring: Callable[[], None], show: Callable[[str], None]) -> None:
        self._link = link
        self._ring = ring
        self._show = show
        self._known: set[str] | None = None
        self._title = ""

    async def look(self) -> None:
        """Ask which critical alerts are open; what the agent refuses is not worth an alarm."""
        try:
            page: Page = await self._link.call("list", _OPEN)
        except (Refusal, LinkLost):
            return
        found = {str(row[0]) for row in page.rows}
        new, self._known = found - (found if self._known is None else self._known), found
        title = self._worded(page)
        if title != self._title:
            self._title = title
            self._show(title)
        if new:
            self._ring()

    def _worded(self, page: Page) -> str:
        if not page.rows:
            return ""
        names = [column.name for column in page.columns]
        cells = dict(zip(names, page.rows[0], strict=False))
        more = f" and {page.total - 1} more" if page.total > 1 else ""
        return f"! {cells.get('feature') or 'alert'} on {cells.get('deployment') or '?'}{more} - quarterdeck"
