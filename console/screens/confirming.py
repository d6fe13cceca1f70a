"""Asks for the confirmation that a plan's danger level demands, and for the words that a note needs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

from console.actions import Action
from console.screens.values import value_text, weights
from console.widgets.confirm import Confirmation, ConfirmDialog, Confirmed
from store.protocol import Plan

if TYPE_CHECKING:
    from console.screens.deck import Deck


async def confirm(deck: Deck, action: Action, plan: Plan) -> Confirmed | None:
    """What the operator decided after looking at the plan; None when they turned back."""
    level: Literal[1, 2, 3] = 1 if plan.danger <= 1 else 2 if plan.danger == 2 else 3
    asked = Confirmation(
        title=_title(action, plan),
        level=level,
        before=weights(plan.before) if level > 1 else "",
        after=weights(plan.after) if level > 1 else "",
        facts=tuple((fact.label, value_text(fact)) for fact in plan.facts),
        cli_line=plan.command,
        expected_word=plan.confirm_word,
    )
    return await deck.app.push_screen_wait(ConfirmDialog(asked))


def _title(action: Action, plan: Plan) -> str:
    at = f" (revision {plan.revision})" if plan.revision else ""
    return f"{action.title}: {plan.subject}{at}"


async def ask_words(deck: Deck, question: str, explain: str) -> str:
    """A line of the operator's own; "" when they left it."""
    from console.commandline import CommandLine, History

    said: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    line = CommandLine("prompt", question, History(), explain=explain)
    deck.type_into(line, said.set_result, lambda: said.set_result(""))
    return (await said).strip()
