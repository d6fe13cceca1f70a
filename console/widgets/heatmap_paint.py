"""How a heat map is drawn: its title, marks and dates, a line a feature, what the cursor is on, and the legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from console import text
from console.glyphs import glyphs
from console.widgets.heatmap_data import EXTREME, WORDS, HeatmapData, Rank, level_at, part_of, reason_at, worst
from console.widgets.lines import Piece

#: Lines above and below the features.
HEAD = 3
FOOT = 2
#: From so many cells on, words are written out.
ROOMY = 96
#: The component class of a cell that was not judged, without its prefix.
UNJUDGED = "unjudged"


@dataclass(frozen=True, slots=True)
class Sight:
    """What of a heat map is in sight, and where."""

    data: HeatmapData
    ranks: Sequence[Sequence[Rank]]
    order: Sequence[int]
    """The features from the top, as places in the data."""
    rows: range
    """The places of `order` that are in sight."""
    shown: range
    """The windows that are in sight."""
    wide: int
    """Cells a window."""
    left: int
    """Cells before the windows."""
    cursor: tuple[int, int]
    """Place in `order`, and window."""


def paint(sight: Sight, width: int) -> list[list[Piece]]:
    """The lines: HEAD above, one a feature, FOOT below."""
    return [
        _title(sight, width),
        _marks(sight),
        _labels(sight),
        *(_row(sight, row) for row in sight.rows),
        _here(sight, width),
        _legend(sight.data, width),
    ]


def _title(sight: Sight, width: int) -> list[Piece]:
    data, shown = sight.data, sight.shown
    span = f"{_moment(data, data.starts[shown[0]])} {glyphs().arrow} {_moment(data, data.starts[shown[-1]])}"
    hidden = ""
    if shown[0] > 0:
        hidden += f"  {glyphs().left}{shown[0]} earlier"
    if shown[-1] < len(data.starts) - 1:
        hidden += f"  {len(data.starts) - 1 - shown[-1]} later{glyphs().right}"
    unjudged = _not_judged(sight, width)
    named = f"{data.title or data.statistic}, {_count(sight)}"
    title = text.clean(named, max(8, width - len(span) - len(hidden) - len(unjudged) - 2))
    return [(title, "title"), (f"  {span}{hidden}", "label"), (unjudged, UNJUDGED)]


def _not_judged(sight: Sight, width: int) -> str:
    """How many features were not judged in the cursor's window, of those that have data there; "" where all were."""
    data, window = sight.data, sight.cursor[1]
    count = sum(1 for row in sight.order if reason_at(data, row, window))
    there = sum(1 for row in sight.order if reason_at(data, row, window) or data.values[row][window] is not None)
    words = " not judged" if width >= ROOMY else ""
    return f"  {glyphs().unjudged} {count} of {there}{words}" if count else ""


def _count(sight: Sight) -> str:
    """Which features are in sight, of how many."""
    there, all_there = len(sight.order), max(sight.data.of, len(sight.order))
    if there > len(sight.rows):
        of = f"{there}" if there == all_there else f"{there} ({all_there} in all)"
        return f"features {sight.rows.start + 1}-{sight.rows.stop} of {of}"
    return f"{there} feature{'' if there == 1 else 's'}" if there == all_there else f"{there} of {all_there} features"


def _moment(data: HeatmapData, start: float) -> str:
    """The beginning of a window: of days and more the date says all."""
    moment = text.when(start)
    return moment.partition(" ")[0] if data.window_seconds >= 86_400 and moment.endswith("00:00Z") else moment


def _marks(sight: Sight) -> list[Piece]:
    shown, wide = sight.shown, sight.wide
    line = [" "] * (len(shown) * wide)
    for mark in sight.data.marks:
        window = _window_of(sight.data, mark.at)
        if window is not None and window in shown:
            x = (window - shown[0]) * wide
            letter = text.clean(mark.letter, 1)
            # Two of a kind are one letter; of two kinds the revision is drawn, alerts show as colour below.
            if line[x] in (" ", "!") or letter == "R":
                line[x] = letter
    x = (sight.cursor[1] - shown[0]) * wide
    if 0 <= x < len(line) and line[x] == " ":
        line[x] = glyphs().down
    return [(" " * sight.left, ""), ("".join(line), "mark")]


def _labels(sight: Sight) -> list[Piece]:
    data, shown, wide = sight.data, sight.shown, sight.wide
    daily = data.window_seconds >= 86_400
    line = ""
    head = "worst".rjust(9)
    for place, window in enumerate(shown):
        if place * wide < len(line) or (place and len(line) > place * wide - 1):
            continue
        label = _label(data.starts[window], daily)
        if place * wide + len(label) <= len(shown) * wide:
            line = line.ljust(place * wide) + label + "  "
    return [(head.rjust(sight.left - 1) + " ", "label"), (line[: len(shown) * wide], "label")]


def _row(sight: Sight, row: int) -> list[Piece]:
    data, index = sight.data, sight.order[row]
    here = row == sight.cursor[0]
    name_width = sight.left - 11
    found = worst(sight.ranks[index], sight.shown)
    none_judged = found.level < 0 and any(reason_at(data, index, window) for window in sight.shown)
    value = data.values[index][found.window] if found.level >= 0 else None
    pieces: list[Piece] = [
        (f"{glyphs().cursor if here else ' '} ", "title" if here else ""),
        (text.fit(text.middle(data.features[index], name_width), name_width), "title" if here else ""),
        (
            (glyphs().unjudged if none_judged else text.number(value)).rjust(8) + " ",
            UNJUDGED if none_judged else part_of(found.level if found.level >= 0 else None),
        ),
    ]
    for window in sight.shown:
        level = level_at(data, index, window)
        glyph = glyphs().no_data if level is None else glyphs().shades[level]
        part = part_of(level)
        if reason_at(data, index, window):
            glyph, part = glyphs().unjudged, UNJUDGED
        if here and window == sight.cursor[1]:
            glyph = glyphs().here
            part += "!"
        pieces.append((glyph * sight.wide, part))
    return pieces


def _here(sight: Sight, width: int) -> list[Piece]:
    data, index, window = sight.data, sight.order[sight.cursor[0]], sight.cursor[1]
    value = data.values[index][window]
    noise = data.noise[index][window] if data.noise else None
    level = level_at(data, index, window)
    parts = [
        text.middle(data.features[index], 32),
        _moment(data, data.starts[window]),
        f"{data.statistic} {text.number(value)}",
    ]
    if noise is not None:
        parts.append(f"noise {text.number(noise)}")
    if data.rows:
        parts.append(f"{text.number(data.rows[window])} row{'' if data.rows[window] == 1 else 's'}")
    if data.versions and data.versions[window]:
        parts.append(f"version {text.clean(data.versions[window], 12)}")
    importance = data.importance[index] if data.importance else None
    if importance is not None:
        parts.append(f"importance {text.share(importance)}")
    reason = reason_at(data, index, window)
    word = f"not judged: {reason}" if reason else "no data" if level is None else WORDS[level]
    if level is not None and level >= 3 and data.alarm > 0:
        word = f"{abs(value or 0.0) / data.alarm:.3g}{glyphs().times} alarm"
    said = text.clean("  ".join(parts), max(0, width - len(word) - 4))
    return [(f"{glyphs().cursor} {said}  ", "title"), (word, UNJUDGED if reason else part_of(level))]


def _legend(data: HeatmapData, width: int) -> list[Piece]:
    roomy = width >= ROOMY
    words = (
        "below noise" if roomy else "noise",
        "ok",
        f"warn {text.number(data.warn)}",
        f"alarm {text.number(data.alarm)}",
        f"{EXTREME:g}{glyphs().times} alarm",
    )
    entries = [(glyphs().shades[level], part_of(level), word) for level, word in enumerate(words)]
    if any(any(row) for row in data.reasons):
        entries.append((glyphs().unjudged, UNJUDGED, "not judged"))
    entries.append((glyphs().no_data, "none", "no data" if roomy else "none"))
    if data.marks:
        entries += [("R", "mark", "revision" if roomy else "rev"), ("!", "mark", "alert")]
    # What does not fit is left out whole, the marks first: half a word is none.
    gap = "  " if roomy or sum(len(word) + 4 for _, _, word in entries) <= width else " "
    pieces: list[Piece] = [("  ", "")]
    left = width - 2
    for glyph, part, word in entries:
        if len(word) + 2 > left:
            break
        pieces += [(glyph, part), (f" {word}{gap}", "label")]
        left -= len(word) + 2 + len(gap)
    return pieces


def _window_of(data: HeatmapData, at: float) -> int | None:
    for window in range(len(data.starts) - 1, -1, -1):
        if data.starts[window] <= at:
            inside = at < data.starts[window] + data.window_seconds
            return window if inside or window + 1 < len(data.starts) else None
    return None


def _label(start: float, daily: bool) -> str:
    try:
        moment = datetime.fromtimestamp(start, UTC)
    except (ValueError, OverflowError, OSError):
        return glyphs().replacement
    return moment.strftime("%b%d" if daily or (moment.hour, moment.minute) == (0, 0) else "%H:%M")
