"""Notes as the database holds them: JSON objects, and the sentences that earlier versions wrote."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from store.monitor.notes import Note


def encode(notes: Sequence[Note]) -> str:
    """A JSON list of objects."""
    return msgspec.json.encode(notes).decode()


def decode(text: str) -> tuple[Note, ...]:
    """What `encode` wrote, or a list of sentences of before notes had codes."""
    if text == "[]":
        return ()
    return tuple(one if isinstance(one, Note) else _from_sentence(one) for one in _decode(text))


_decode = msgspec.json.Decoder(list[Note | str]).decode

#: How the sentences of earlier versions began or ended, and the code that says the same.
_SENTENCES = (
    ("rows without a time are left out", "left_out.time"),
    ("rows with a time before 1900 or in the future are left out", "left_out.implausible_time"),
    ("rows without a prediction_id can never be labelled", "without_id"),
    ("rows repeat a prediction_id: the first counts", "repeated_id"),
    ("rows without a prediction_id are left out", "left_out.id"),
    ("rows have no label yet", "left_out.label"),
    ("rows repeat a prediction_id: the latest label counts", "repeated_id"),
    ("label times before 1900 or in the future are taken as unknown", "label_time.implausible"),
    ("rows had no prediction of their id yet", "waiting"),
)


def _from_sentence(sentence: str) -> Note:
    """The note that a store of before notes had codes holds as a sentence: "1,234 rows without a time are left out".

    The only place where a figure is read from words; what is recorded now is never read so.
    """
    count, _, text = sentence.partition(" ")
    digits = count.replace(",", "")
    if not digits.isdigit():
        return Note("remark", sentence)
    code = next((code for known, code in _SENTENCES if text == known), "")
    if not code:
        code = "left_out.other" if text.endswith("left out") else "remark"
    return Note(code, text, int(digits))
