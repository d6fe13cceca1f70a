"""What was odd about something that was read: a code, how many rows, and the words for people."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class Note(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was not read as it stands, left out or guessed.

    `code` is stable and is what programs go by (`left_out.time`, `null_words`, …), `rows` how many rows it is about
    (None: the column or file as a whole), `column` which column ("" where it is of the file), `examples` a few of the
    values as they stood there. `text` says it to people, without the number of rows.
    """

    code: str
    text: str
    rows: int | None = None
    column: str = ""
    examples: tuple[str, ...] = ()

    def describe(self) -> str:
        """One line for people."""
        words = self.text if self.rows is None else f"{self.rows:,} {self.text}"
        return f"{words} ({', '.join(map(repr, self.examples))})" if self.examples else words


def merged(notes: Iterable[Note], most: int = 3) -> list[Note]:
    """Notes on many files with one for each code and column: the first one's words, all their rows, some examples."""
    groups: dict[tuple[str, str], list[Note]] = {}
    for note in notes:
        groups.setdefault((note.code, note.column), []).append(note)
    found = []
    for group in groups.values():
        first, others = group[0], len(group) - 1
        if not others:
            found.append(first)
            continue
        counted = [note.rows for note in group if note.rows is not None]
        examples = dict.fromkeys(example for note in group for example in note.examples)
        text = f"{first.text}; likewise {others} other{'s' * (others > 1)}"
        rows = sum(counted) if counted else None
        found.append(Note(first.code, text, rows, first.column, tuple(examples)[:most]))
    return found
