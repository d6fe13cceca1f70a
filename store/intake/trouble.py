"""Why a file could not be taken in, in words for the operator."""

from __future__ import annotations

from store.intake.clean import clean_line


class Trouble(Exception):
    """What goes to quarantine: the key that was wrong, what was found there and what was expected.

    `reason` is the whole of it in one line; `key`, `found` and `expected` may be empty. The texts may hold
    what came from outside: they are cleaned here.
    """

    def __init__(self, reason: str, *, key: str = "", found: str = "", expected: str = "") -> None:
        self.reason = clean_line(reason, 500)
        self.key = clean_line(key, 200)
        self.found = clean_line(found, 300)
        self.expected = clean_line(expected, 300)
        super().__init__(self.reason)

    @classmethod
    def wrong(cls, key: str, found: str, expected: str) -> Trouble:
        """For a value that is not what it should be."""
        return cls(f"{key}: found {found}, expected {expected}", key=key, found=found, expected=expected)


class Vanished(Exception):
    """The file went away, or changed, between being seen and being read: it is looked at again."""
