"""Facts and bad files recorded together, in one transaction with the memory of what was dealt with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import msgspec

from store.catalog import runs
from store.database import Transaction
from store.intake import arrivals, quarantine
from store.intake.arrivals import Arrival
from store.intake.candidates import Candidate
from store.intake.facts import INTAKE, Fact
from store.intake.quarantine import BadLines, Case, Open
from store.intake.settle import Look
from store.intake.trouble import Trouble
from store.intake.versions import from_refusal
from store.monitor.recording import record_all
from store.protocol import Refusal


@dataclasses.dataclass(frozen=True)
class Item:
    """One candidate's outcome, ready to be recorded: a fact, or a case for quarantine."""

    candidate: Candidate
    identity: int
    fact: Fact | None = None
    case: Case | None = None


@dataclasses.dataclass(frozen=True)
class Recorded:
    """What a commit did: the reason of each item that was refused after all, those to be read again, and cases."""

    refused: Mapping[int, Trouble]
    again: frozenset[int]
    opened: Sequence[Open]
    closed: Sequence[Open]


def case_of(candidate: Candidate, look: Look | None, trouble: Trouble, kept: tuple[int | None, str, str]) -> Case:
    size, digest, place = kept
    return Case(
        candidate.key,
        look.identity if look else 0,
        candidate.folder.label,
        candidate.place.subject,
        candidate.place.kind,
        candidate.place.name,
        trouble,
        size,
        digest,
        place,
    )


def record(tx: Transaction, items: Sequence[Item], still_open: Mapping[int, Open]) -> Recorded:
    """Record `items`; a fact that another room refuses goes to quarantine with the refusal as its reason."""
    named = [item.fact.run for item in items if item.fact and item.fact.run]
    if named:
        runs.record(tx, named, INTAKE)
    refused: dict[int, Trouble] = {}
    again = _record_predictions(tx, items)
    cases: list[Case] = []
    closed: list[Open] = []
    remembered: list[Arrival] = []
    for item in items:
        candidate, fact, case = item.candidate, item.fact, item.case
        if candidate.key in again:
            continue
        if fact is not None and fact.change is not None:
            try:
                if not fact.change(tx):
                    again.add(candidate.key)
                    continue
            except Refusal as refusal:
                refused[candidate.key] = from_refusal(refusal)
                case = case_of(candidate, None, refused[candidate.key], (None, fact.digest, ""))
        if fact is not None and case is None:
            opened, bad_lines = _lines(item, still_open.get(candidate.key))
            cases += bad_lines
            closed += opened
        if case is not None:
            cases.append(case)
        remembered.append(
            Arrival(
                candidate.key,
                item.identity,
                f"{candidate.folder.label}/{candidate.place.subject}",
                candidate.place.kind,
                fact.digest if fact else case.digest if case else "",
                "quarantined" if case else "taken",
                fact.followed if fact else None,
            )
        )
    arrivals.record(tx, remembered)
    quarantine.clear(tx, closed, INTAKE)
    opened_now = quarantine.put(tx, cases, still_open, INTAKE) if cases else []
    return Recorded(refused, frozenset(again), opened_now, closed)


def _record_predictions(tx: Transaction, items: Sequence[Item]) -> set[int]:
    """Record the files of predictions together; answers which of them are to be read again."""
    scanned = [(item.candidate.key, item.fact.predictions) for item in items if item.fact and item.fact.predictions]
    if not scanned:
        return set()
    taken = record_all(tx, [scan for _, scan in scanned])
    return {key for (key, _), one in zip(scanned, taken, strict=True) if one.again}


def _lines(item: Item, old: Open | None) -> tuple[list[Open], list[Case]]:
    """(the case that this fact closes, the case that its bad lines open or add to)."""
    fact = item.fact
    assert fact is not None
    closed = [old] if old is not None and (not old.about_lines or fact.restarted) else []
    if not fact.bad_lines:
        return closed, []
    case = case_of(item.candidate, None, fact.troubles[0], (None, "", ""))
    lines = BadLines(fact.bad_lines, tuple(trouble.reason for trouble in fact.troubles))
    return closed if fact.restarted else [], [msgspec.structs.replace(case, lines=lines)]
