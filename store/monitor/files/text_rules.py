"""What is known beforehand about how the columns of a text file read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from store.monitor.files.null_words import NULL_WORDS
from store.monitor.files.number_text import NumberForm

if TYPE_CHECKING:
    from store.catalog.manifest import ColumnFormat

#: What a column is to be read as: `number` where the other side has numbers, `text` where the digits are the value.
Wanted = Literal["number", "text"]


@dataclasses.dataclass(frozen=True)
class TextRules:
    """`wanted` says what columns are to be read as, `formats` how model.json says that they are written, `null_words`
    how text says that there is no value."""

    wanted: Mapping[str, Wanted] = dataclasses.field(default_factory=dict)
    formats: Mapping[str, ColumnFormat] = dataclasses.field(default_factory=dict)
    null_words: Sequence[str] = NULL_WORDS
    categories: Mapping[str, frozenset[str]] = dataclasses.field(default_factory=dict)
    """Column → the null words that are categories of it, as the other side shows: a region NA. A CSV file may have them
    without quotes."""

    def declared(self, column: str) -> NumberForm | None:
        """How the column's numbers are declared to be written; None where nothing is."""
        format = self.formats.get(column)
        if format is None or not (format.decimal or format.thousands):
            return None
        comma = format.decimal == "," or (not format.decimal and format.thousands == ".")
        return NumberForm("," if comma else ".", bool(format.thousands))


DEFAULT_RULES = TextRules()
