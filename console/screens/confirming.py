"""Asks for the confirmation that a plan's danger level demands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.actions import Action
from store.protocol import Plan

if TYPE_CHECKING:
    from console.screens.deck import Deck


@dataclass(frozen=True, slots=True)
class Agreed:
    """The operator agreed, for this reason."""

    reason: str


async def confirm(deck: Deck, action: Action, plan: Plan) -> Agreed | None:
    """What the operator decided after looking at the plan; None when they turned back."""
    raise NotImplementedError
