"""Marked rows acted on together: one confirmation that says how many, and what came of each."""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING

import msgspec

from console.actions import Action, unavailable
from console.live import LinkLost
from console.screens.confirming import confirm
from console.screens.listing import ListingView
from console.text import clean
from store.protocol import ExitCode, Field, Outcome, Plan, Refusal

if TYPE_CHECKING:
    from console.screens.deck import Deck

#: Requests under way at once.
AT_ONCE = 8
#: Ids and failures that are named.
NAMED = 3


async def retry_marked(deck: Deck, action: Action, ids: list[str]) -> None:
    """Take the quarantined files `ids` in again, after one confirmation. Raises `Refusal` where nothing was asked."""
    from console.screens.acting import data_age, params_for

    count = f"{len(ids)} quarantined {'file' if len(ids) == 1 else 'files'}"
    command = f"quarterdeck retry {' '.join(shlex.quote(quarantine_id) for quarantine_id in ids)}"
    plan = Plan(
        action="retry",
        subject=count,
        allowed=True,
        why="",
        danger=1,
        revision=0,
        before={},
        after={},
        facts=[Field("marked", _some(ids, 12))],
        command=command,
        confirm_word="",
    )
    if await confirm(deck, action, plan) is None:
        deck.say(f"{action.title}: nothing was done")
        return
    why = unavailable(action, deck.view.situation())
    if why:
        raise Refusal(ExitCode.REFUSED, f"Nothing was done: {why}")
    view, turns = deck.view, asyncio.Semaphore(AT_ONCE)
    deck.say(f"{action.title}: {count} {'is' if len(ids) == 1 else 'are'} being read again")

    async def retry(quarantine_id: str) -> str:
        """ "" when it was taken in, else why not."""
        params = msgspec.structs.replace(params_for("retry", quarantine_id), data_age=data_age(deck))
        async with turns:
            try:
                outcome: Outcome = await deck.deck_app.link.call("act", params, 300.0)
            except LinkLost as lost:
                return f"not known: {lost.message}"
            except Refusal as refusal:
                return refusal.message.removeprefix(f"{quarantine_id}: ")
        return outcome.message if outcome.phase == "failed" else ""

    reasons = dict(zip(ids, await asyncio.gather(*map(retry, ids)), strict=True))
    failed = {quarantine_id: reason for quarantine_id, reason in reasons.items() if reason}
    words = f"{action.title}: {len(ids) - len(failed)} of {len(ids)} taken in"
    if failed:
        # What is still marked is what is still wrong.
        named = [f"{quarantine_id}: {clean(reason, 90)}" for quarantine_id, reason in list(failed.items())[:NAMED]]
        words += "; " + "; ".join(named)
        if len(failed) > NAMED:
            words += f"; {len(failed) - NAMED} more are still marked"
    if isinstance(view, ListingView):
        view.table.unmark(reasons.keys() - failed.keys())
    deck.deck_app.log_command(command, words)
    deck.say(words, "warning" if failed else "ok")
    deck.view.store_changed()


def _some(ids: list[str], most: int) -> str:
    return ", ".join(ids[:most]) + (f" and {len(ids) - most} more" if len(ids) > most else "")
