"""Makes any value safe and short enough for a terminal cell: outside strings, ages, numbers, sizes, times.

Every string that came from outside goes through `clean` before it is drawn. What comes out is plain text:
no control character, no escape sequence, no bidirectional override, nothing of zero width but at most two
combining marks a letter. It is never markup; draw it with `markup=False` or as a Segment.
"""

from __future__ import annotations

import math
import unicodedata
from datetime import UTC, datetime
from functools import lru_cache

from rich.cells import cell_len, get_character_cell_size

from console.glyphs import glyphs

DEFAULT_LIMIT = 200
"""Cells a cleaned string may take when the caller does not say."""

_MARKS_PER_LETTER = 2
_INVISIBLE = frozenset(
    chr(point)
    for first, last in (
        (0x034F, 0x034F),  # combining grapheme joiner
        (0x115F, 0x1160),  # Hangul fillers: letters that draw nothing
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x2800, 0x2800),  # blank braille pattern
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),  # variation selectors: terminals disagree about the width they leave
        (0xFFA0, 0xFFA0),
        (0x1F3FB, 0x1F3FF),  # skin tones: joined by some terminals, drawn apart by others
        (0xE0100, 0xE01EF),
    )
    for point in range(first, last + 1)
)


def clean(text: object, limit: int = DEFAULT_LIMIT) -> str:
    """Any value as one line of plain text of at most `limit` cells, cut with an ellipsis.

    Control characters become their visible pictures (a newline `␊`, escape `␛`), everything else that could
    move the cursor, reorder the line or hide (C1, bidirectional marks, zero width, surrogates, unassigned)
    becomes U+FFFD. Bytes are read as UTF-8. In an ASCII locale whatever is not ASCII is spelled plainly or
    becomes `?`.
    """
    if text is None:
        return glyphs().null
    if isinstance(text, bytes):
        text = text[: 8 * limit + 32].decode("utf-8", "replace")
    line = text if isinstance(text, str) else str(text)
    if len(line) <= limit and line.isascii() and line.isprintable():
        return line
    return _clean(line[: 4 * limit + 16], len(line) > 4 * limit + 16, limit, glyphs().ascii)


@lru_cache(maxsize=4096)
def _clean(line: str, was_cut: bool, limit: int, ascii_only: bool) -> str:
    if limit <= 0:
        return ""
    if ascii_only and not line.isascii():
        line = "".join(_plain(character) for character in line)
    kept: list[tuple[str, int]] = []
    width = marks = 0
    for character in line:
        shown = _visible(character, ascii_only)
        cells = get_character_cell_size(shown)
        if cells == 0:
            marks += 1
            if marks > _MARKS_PER_LETTER or not kept:
                continue
        else:
            marks = 0
        if width + cells > limit:
            was_cut = True
            break
        kept.append((shown, cells))
        width += cells
    if was_cut:
        ellipsis = glyphs().ellipsis
        while kept and width + 1 > limit:
            width -= kept.pop()[1]
        kept.append((ellipsis, 1))
    return "".join(shown for shown, _ in kept)


@lru_cache(maxsize=2048)
def _visible(character: str, ascii_only: bool) -> str:
    """The character itself if a terminal shows it and nothing else happens, or its visible replacement."""
    point = ord(character)
    if character == " ":
        return character
    if not ascii_only:
        if point < 0x20:
            return chr(0x2400 + point)
        if point == 0x7F:
            return "\u2421"
    replacement = "?" if ascii_only else "\ufffd"
    if unicodedata.category(character) == "Zs":
        return " "
    if not character.isprintable() or character in _INVISIBLE or (ascii_only and point > 0x7E):
        return replacement
    if get_character_cell_size(character) == 0 and unicodedata.category(character) not in ("Mn", "Me"):
        return replacement
    return character


@lru_cache(maxsize=2048)
def _plain(character: str) -> str:
    """A character spelled in ASCII: accents dropped, quotes made plain, `?` for what has no spelling."""
    if character.isascii():
        return character
    special = {"–": "-", "—": "-", "…": "~", "‘": "'", "’": "'", "“": '"', "”": '"', "→": ">", "×": "x"}
    if character in special:
        return special[character]
    spelled = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return spelled if spelled.isprintable() and spelled else "?"


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Clean text made exactly `width` cells wide: padded left or right, or cut with an ellipsis."""
    cells = cell_len(text)
    if cells > width:
        text = clean(text, width)
        cells = cell_len(text)
    padding = " " * (width - cells)
    return padding + text if right else text + padding


#: Of a longer name the end is not looked for.
LONGEST_NAME = 2000


def middle(text: object, width: int) -> str:
    """Clean text of at most `width` cells, cut in the middle: names that a pipeline made differ at their ends."""
    whole = clean(text, LONGEST_NAME)
    if cell_len(whole) <= width or width < 5:
        return clean(whole, width)
    tail, room = "", (width - 1) // 2
    for character in reversed(whole):
        if cell_len(character + tail) > room:
            break
        tail = character + tail
    # What `clean` cuts ends in the ellipsis.
    return clean(whole, width - cell_len(tail)) + tail


def loading() -> str:
    """What stands where the first answer is awaited: neither "none" nor "nothing" is known to be so."""
    return f"loading{glyphs().ellipsis}"


def age(seconds: float | None) -> str:
    """How long ago, in one coarse step: `4s`, `3m`, `2h`, `5d`, `3y`. A time in the future is `0s`."""
    if seconds is None or not math.isfinite(seconds):
        return glyphs().null
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m"
    if whole < 86_400:
        return f"{whole // 3600}h"
    if whole < 2 * 365 * 86_400:
        return f"{whole // 86_400}d"
    return f"{whole // (365 * 86_400)}y"


def duration(seconds: float | None) -> str:
    """How long something took, in two steps: `12ms`, `4.2s`, `3m05s`, `2h10m`, `5d03h`."""
    if seconds is None or not math.isfinite(seconds):
        return glyphs().null
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    if seconds < 0.9995:
        return f"{sign}{seconds * 1000:.0f}ms"
    if seconds < 59.95:
        return f"{sign}{seconds:.1f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{sign}{whole // 60}m{whole % 60:02d}s"
    if whole < 86_400:
        return f"{sign}{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{sign}{whole // 86_400}d{whole % 86_400 // 3600:02d}h"


def number(value: float | None) -> str:
    """A number in at most ten cells: `1,234`, `0.7021`, `12.3M`, `1.2e-07`, `nan`, `-inf`."""
    if value is None:
        return glyphs().null
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and abs(value) < 1_000_000:
        return f"{value:,}"
    if isinstance(value, int):
        if abs(value) >= 10**300:
            return "inf" if value > 0 else "-inf"
        value = float(value)
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    size = abs(value)
    if size == 0:
        return "0"
    if size < 1e-4 or size >= 1e15:
        return f"{value:.1e}"
    if size < 1e6:
        return f"{value:,.0f}" if size >= 9999.5 else f"{value:.4g}"
    for divisor, suffix in ((1e6, "M"), (1e9, "G"), (1e12, "T")):
        if size < divisor * 999.5:
            return f"{value / divisor:.3g}{suffix}"
    return f"{value:.1e}"


def share(value: float | None) -> str:
    """A fraction as a percentage, never rounded to 0% or 100%: `25%`, `0.50%`, `<0.01%`, `>99.9%`."""
    if value is None or not math.isfinite(value):
        return glyphs().null
    percent = value * 100
    if percent == 0:
        return "0%"
    if 0 < percent < 0.01:
        return "<0.01%"
    if 99.9 < percent < 100:
        return ">99.9%"
    if abs(percent - round(percent)) < 0.005:
        return f"{round(percent)}%"
    return f"{percent:.1f}%" if abs(percent) >= 1 else f"{percent:.2f}%"


def byte_size(value: float | None) -> str:
    """Bytes in decimal units: `812 B`, `1.6 kB`, `163 MB`."""
    if value is None or not math.isfinite(value):
        return glyphs().null
    size = float(value)
    if abs(size) < 1000:
        return f"{size:.0f} B"
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        size /= 1000
        if abs(size) < 999.5 or unit == "PB":
            return f"{size:.1f} {unit}" if abs(size) < 9.95 else f"{size:.0f} {unit}"
    raise AssertionError("unreachable")


def when(moment: float | datetime | None, *, seconds: bool = False) -> str:
    """A moment (seconds since the epoch, or a datetime) in UTC: `2013-07-03 14:05Z`, or with seconds."""
    if moment is None:
        return glyphs().null
    if not isinstance(moment, datetime):
        try:
            moment = datetime.fromtimestamp(moment, UTC)
        except (ValueError, OverflowError, OSError):
            return glyphs().replacement
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ" if seconds else "%Y-%m-%d %H:%MZ")
