"""Names and texts from outside are made safe to keep: no control characters, bounded length."""

from __future__ import annotations

import hashlib
import re
import unicodedata

#: What models, versions, datasets and environments may be called.
NAME_RULE = "1 to 128 of A-Z a-z 0-9 . _ - and no leading dot"
_NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,128}")
#: Longest name that is kept, in UTF-8 bytes: what a file system takes too.
NAME_BYTES = 255
#: Longest parameter value, tag or other text that is kept, in characters.
TEXT_LIMIT = 16_000
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def is_name(text: str) -> bool:
    """Whether `text` keeps NAME_RULE."""
    return _NAME.fullmatch(text) is not None


def _cleaned(text: str, keep: str = "") -> str:
    """Each character that a terminal would not simply draw is replaced.

    Those are control characters, right-to-left marks and other invisible ones, lone surrogates (which no database
    takes), line breaks, and what Unicode leaves to private use or to the future.
    """
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character in keep
        else " "
        if unicodedata.category(character) == "Zs"
        else REPLACEMENT
        for character in text
    )


def clean_line(text: str, limit: int = TEXT_LIMIT) -> str:
    """`text` on one line, each control or invisible character replaced, at most `limit` characters.

    What was cut off is said: "… (1,234,567 characters)".
    """
    whole = len(text)
    text = _cleaned(text[:limit])
    return text if whole <= limit else f"{text}… ({whole:,} characters)"


def clean_text(text: str, limit: int = TEXT_LIMIT) -> str:
    """As `clean_line`, but tabs and newlines stay: for notes and values of several lines."""
    whole = len(text)
    text = _cleaned(text[:limit], "\n\t")
    return text if whole <= limit else f"{text}… ({whole:,} characters)"


def clean_name(text: str) -> str:
    """A name for a run, metric or parameter: one line, at most `NAME_BYTES` bytes, never empty.

    A name that had to be changed ends in `~` and eight digits of its hash, so that two different names stay
    two.
    """
    raw = text.encode("utf-8", "surrogatepass")
    cleaned = _cleaned(text[:NAME_BYTES])
    if cleaned == text and text == text.strip() and 0 < len(raw) <= NAME_BYTES:
        return text
    mark = "~" + hashlib.sha256(raw).hexdigest()[:8]
    kept = cleaned.strip().encode()[: NAME_BYTES - len(mark)]
    return kept.decode("utf-8", "ignore") + mark


def shown(value: object, limit: int = 120) -> str:
    """What was found, in words for an error message: short, on one line, without control characters."""
    if isinstance(value, str):
        return f'"{clean_line(value, limit)}"'
    return clean_line(repr(value), limit)
