"""The spans of event time that the monitor's views offer: how far back, in windows of which width."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from console.places import Place
from console.text import duration
from store.protocol import ExitCode, Refusal

if TYPE_CHECKING:
    from console.screens.deck import Deck

_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "mo": 30 * 86_400, "q": 91 * 86_400, "y": 365 * 86_400}

#: (span, width): from what happened just now to what a year looked like.
PAIRS: tuple[tuple[str, str], ...] = (
    ("15m", "1m"),
    ("1h", "1m"),
    ("6h", "5m"),
    ("1d", "15m"),
    ("1d", "1h"),
    ("3d", "1h"),
    ("7d", "6h"),
    ("30d", "1d"),
    ("90d", "1d"),
    ("180d", "1w"),
    ("1y", "1w"),
    ("1y", "1mo"),
)
USUAL = ("90d", "1d")
#: No view draws more windows than this.
MOST = 600


def seconds(name: str) -> int:
    """How long `15m`, `6h`, `30d`, `1w`, `1mo`, `1q` or `1y` is, a month being 30 days. Raises `Refusal` for others."""
    found = re.fullmatch(r"([1-9]\d{0,4})(mo|[mhdwqy])", name)
    if found is None:
        raise Refusal(ExitCode.USAGE, f"{name!r} is no span of time.", "For instance 15m, 6h, 30d, 1w, 1y.")
    return int(found[1]) * _SECONDS[found[2]]


def width_of(lasts: float) -> str:
    """The name of windows that last so many seconds; "" when the views offer none like it."""
    return next((width for _, width in PAIRS if seconds(width) == lasts), "")


def spanned(place: Place) -> Place:
    """The place with a span and a width, the usual ones where it names none."""
    if place.window and place.span:
        return place
    if place.window:
        # The usual number of windows, of the width that was asked for.
        fitting = next((span for span, width in reversed(PAIRS) if width == place.window), "")
        return replace(place, span=fitting or USUAL[0])
    if place.span:
        fitting = next((width for span, width in PAIRS if span == place.span), "")
        return replace(place, window=fitting or USUAL[1])
    return replace(place, span=USUAL[0], window=USUAL[1])


def count(place: Place) -> int:
    """How many windows the place shows."""
    return max(1, min(MOST, round(seconds(place.span) / seconds(place.window))))


def said(place: Place) -> str:
    """The span and the width in words."""
    return f"{place.span} of {place.window} windows"


def pick_span(deck: Deck, present: Place, chosen: Callable[[str, str], None]) -> None:
    """Let the operator choose span and width; what is finer than the store keeps says so."""
    from console.screens.picker import Choice, Picker
    from console.widgets.rows import Column

    hello = deck.deck_app.link.hello
    finest = hello.base_window if hello is not None else 0

    def why(width: str) -> str:
        too_fine = seconds(width) < finest or (finest and seconds(width) % finest)
        return f"this store keeps windows of {duration(finest)} and their multiples" if too_fine else ""

    choices = [
        Choice(f"{span}/{width}", (span, width, f"{round(seconds(span) / seconds(width))} windows"), why(width))
        for span, width in PAIRS
    ]

    def answered(answer: str | None) -> None:
        if answer:
            span, _, width = answer.partition("/")
            chosen(span, width)

    deck.ask(
        Picker(
            "Span of time and width of its windows",
            [Column("span", priority=0), Column("windows of", priority=0), Column("are", title=" ", priority=0)],
            choices,
            current=f"{present.span}/{present.window}",
            note="arrow keys at either end show what came before and after",
        ),
        answered,
    )
