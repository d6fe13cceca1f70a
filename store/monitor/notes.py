"""What was odd about something that was read: a code, how many rows, and the words for people."""

from __future__ import annotations

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
