"""How the text of a column reads: as numbers, truth values, times, nested values, text or names of rows."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from store.monitor.files.null_words import NULL_WORDS
from store.monitor.files.number_text import PLAIN, NumberEvidence, NumberForm

TextKind = Literal["number", "truth", "time", "nested", "text", "names", "empty"]

#: A column is of a kind when this share of its values is; the others are then values of a wrong type.
LEAST_SHARE = 0.95
#: So few different words among far more different numbers are of a wrong type, whatever their share.
MOST_WORDS, _NUMBERS_A_WORD = 5, 20
#: They say so by themselves, whatever their case.
TRUTH_WORDS = {"true": True, "false": False}

#: What a date cannot do without.
_DATE_RE = re.compile(r"\d{4}.*\d|\d.*\d{4}")


class ColumnForm(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was decided about a column of text: its kind and, of numbers, how they are written."""

    kind: TextKind
    number: NumberForm = PLAIN


def truth_value(word: str, letters: bool = False) -> bool | None:
    """What a truth word says; None for other words. `letters`: t, f, 1 and 0 are truth words, too."""
    lowered = word.strip().lower()
    if letters and lowered in ("t", "f", "1", "0", "1.0", "0.0"):
        return lowered[0] in "t1"
    return TRUTH_WORDS.get(lowered)


def _is_nested(token: str) -> bool:
    if token[:1] not in ("{", "["):
        return False
    try:
        json.loads(token)
    except (ValueError, RecursionError):
        return False
    return True


def form_of(
    tokens: Sequence[tuple[str, int]],
    null_words: Sequence[str] = NULL_WORDS,
    *,
    comma_likely: bool = False,
    as_number: bool = False,
) -> ColumnForm:
    """The form of a column from its distinct values with their rows (all, or an even sample of them).

    Null words are no values among numbers, truth values and times; a column of nothing else is text. JSON objects and
    arrays are nested values, also as text. `as_number`: numbers are expected, so that half of the values say how they
    are written.
    """
    ignored = {"", *null_words}
    present = [(token, rows) for token, rows in tokens if token.strip() not in ignored]
    if not present:
        return ColumnForm("text" if any(token for token, _ in tokens) else "empty")
    total = sum(rows for _, rows in present)
    if sum(rows for token, rows in present if truth_value(token) is not None) >= LEAST_SHARE * total:
        return ColumnForm("truth")
    if sum(rows for token, rows in present if _is_nested(token)) >= LEAST_SHARE * total:
        return ColumnForm("nested")
    if sum(rows for token, rows in present if _DATE_RE.search(token)) >= LEAST_SHARE * total:
        # Knows the names of all zones, which takes a while: only where times are likely.
        from store.monitor.files.written_times import is_time_text

        if sum(rows for token, rows in present if is_time_text(token)) >= LEAST_SHARE * total:
            return ColumnForm("time")
    evidence = NumberEvidence.of(present)
    form, share = evidence.form(comma_likely)
    # "?" and "unknown" among thousands of different numbers are missing values, however many.
    few_words = evidence.words <= MOST_WORDS and len(present) >= _NUMBERS_A_WORD * evidence.words
    enough = share >= LEAST_SHARE or (few_words and share >= 0.5)
    if (enough and not evidence.coded) or (as_number and share >= 0.5):
        return ColumnForm("number", form)
    return ColumnForm("text")
