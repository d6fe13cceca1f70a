"""The words by which text says that there is no value."""

from __future__ import annotations

#: "" and what pandas, R, SQL and spreadsheets write. NaN is a number that is none, not a missing value.
NULL_WORDS = ("", "NA", "N/A", "#N/A", "<NA>", "NULL", "null", "None", "\\N")
