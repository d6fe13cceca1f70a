"""Runs that say they are running and have given no word for long: their process may be gone."""

from __future__ import annotations

#: Stands for the moment that a listing is asked for, in seconds since the epoch (listing.py puts it in).
MOMENT = "{moment}"
#: Seconds after which a running run that gave no word is said to be silent, where no setting says otherwise.
SILENT_AFTER = 3600.0

#: When a run last gave word, as seconds: its last metric or rewritten document, else its start. Rows recorded before
#: this was kept have the time of their last change.
LAST_WORD = (
    "epoch(CASE WHEN attempts IS NULL THEN recorded_at"
    " ELSE coalesce(last_word_at, least(effective_at, recorded_at)) END)"
)


def silence(moment: str = MOMENT, after: float = SILENT_AFTER) -> str:
    """SQL over `run`: `no word for 3 h`, null for a run that has ended or was heard lately."""
    age = f"({moment} - {LAST_WORD})"
    words = (
        f"CASE WHEN {age} < 3600 THEN floor({age} / 60)::BIGINT || ' min'"
        f" WHEN {age} < 172800 THEN floor({age} / 3600)::BIGINT || ' h'"
        f" ELSE floor({age} / 86400)::BIGINT || ' d' END"
    )
    return f"CASE WHEN status = 'running' AND {age} >= {after!r} THEN 'no word for ' || {words} END"
