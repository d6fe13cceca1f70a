"""From listings to the monitor's tracks: how many rows came, how late, and what is wrong with them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping

import msgspec

from console.glyphs import glyphs
from console.screens.monitor_data import letter, window_end
from console.text import clean, duration, loading, number, share
from console.widgets.tracks import Track, TracksData
from store import protocol
from store.protocol import Cell, ListParams, Page

#: Features times windows whose checks are counted over the whole span; of more, those of the chosen window alone.
MOST_CHECKED = 4000
#: Failures of checks that are asked for.
MOST_FAILURES = 1000
#: Failed checks that are named.
_NAMED = 3
#: What prediction files do not hold.
UNKNOWN = "latency, failed requests: not knowable, prediction files lack them"
#: Checks whose value is a number of rows, or seconds; that of any other is a share of rows.
_NO_SHARES = frozenset({"volume", "delay", "staleness"})


def asked_windows(drift: protocol.Heatmap, window: str) -> ListParams:
    """The windows of the heat map as rows; without how they were judged, which the heat map says."""
    asked = _listed("windows", drift, window, drift.starts[0], window_end(drift, drift.starts[-1]))
    return msgspec.structs.replace(asked, columns=["window_start", "window_end", "recorded_at"])


def asked_failures(drift: protocol.Heatmap, window: str, chosen: float | None) -> ListParams:
    """The failed checks of the heat map's windows, or of the chosen one where they are too many."""
    since, until = drift.starts[0], window_end(drift, drift.starts[-1])
    if not all_checked(drift):
        since = drift.starts[-1] if chosen is None else chosen
        until = window_end(drift, since)
    return _listed("quality", drift, window, since, until, "failed=true")


def all_checked(drift: protocol.Heatmap) -> bool:
    """Whether the checks of every window are asked for."""
    return len(drift.features) * len(drift.starts) <= MOST_CHECKED


def _listed(kind: str, drift: protocol.Heatmap, window: str, since: float, until: float, terms: str = "") -> ListParams:
    scope = {"deployment": drift.deployment}
    return ListParams(
        kind, terms, "window_start:desc", limit=MOST_FAILURES, window=window, since=since, until=until, scope=scope
    )


def traffic_data(
    drift: protocol.Heatmap, windows: Page | None, failures: Page | None, chosen: float | None, untold: str = ""
) -> TracksData:
    """Volume, delay and errors by window; what has not been answered yet is not known, for the reason `untold`."""
    if not drift.starts:
        return TracksData(title="traffic", why=drift.why or "no windows yet")
    came = _delays(windows) if windows is not None else {}
    failed = _failures(failures) if failures is not None else {}
    places = range(len(drift.starts))
    delays = tuple(came.get(start) for start in drift.starts)
    newest = drift.starts[-1]
    known = failures is not None and all_checked(drift)
    # The newest are listed first: of windows beyond the last that is listed nothing is known, nor of all in that one.
    cut = min(failed, default=0.0) if failures is not None and failures.total > len(failures.rows) else -math.inf
    errors: tuple[float | None, ...] = tuple(
        float(len(failed.get(start, ()))) if (known or start in failed) and start > cut else None
        for start in drift.starts
    )
    return TracksData(
        tracks=(
            Track(
                "volume",
                tuple(float(count) for count in drift.rows),
                tuple(f"{number(count)}" for count in drift.rows),
                tuple(any(check == "volume" for check, _ in failed.get(start, ())) for start in drift.starts),
            ),
            Track("errors", errors, tuple(_counted(count) for count in errors), tuple(bool(count) for count in errors)),
            Track("delay", delays, tuple(_delayed(came.get(start), start == newest) for start in drift.starts)),
        ),
        marks=tuple(_marks(drift)),
        chosen=min(places, key=lambda place: abs(drift.starts[place] - (newest if chosen is None else chosen))),
        title="traffic: rows, failed checks, delay",
        notes=tuple(_named(failed.get(start, [])) for start in drift.starts),
        unknown=(untold or loading()) if windows is None or failures is None else UNKNOWN,
    )


def _rows(page: Page) -> Iterator[Mapping[str, Cell]]:
    names = [column.name for column in page.columns]
    return (dict(zip(names, row, strict=False)) for row in page.rows)


def _delays(page: Page) -> dict[float, float]:
    """From the end of a window to its last file, seconds; none where all its files came before it ended."""
    found: dict[float, float] = {}
    for row in _rows(page):
        start, end, came = row.get("window_start"), row.get("window_end"), row.get("recorded_at")
        if isinstance(start, float) and isinstance(end, float) and isinstance(came, float) and came >= end:
            found[start] = max(found.get(start, 0.0), came - end)
    return found


def _failures(page: Page) -> dict[float, list[tuple[str, str]]]:
    """Of each window the checks that failed, each with what it says."""
    found: dict[float, list[tuple[str, str]]] = defaultdict(list)
    for row in _rows(page):
        start, check, feature, value = (row.get(name) for name in ("window_start", "check", "feature", "value"))
        if isinstance(start, float):
            of = f" of {clean(feature, 30)}" if feature else ""
            measured = value if isinstance(value, (int, float)) else None
            said = number(measured) if check in _NO_SHARES else share(measured)
            found[start].append((str(check), f"{clean(check, 20)}{of} {said}"))
    return found


def _counted(count: float | None) -> str:
    return glyphs().null if count is None else f"{number(int(count))}"


def _delayed(seconds: float | None, newest: bool) -> str:
    """In at most nine cells."""
    if seconds is None:
        return "not over" if newest else glyphs().null
    return duration(seconds) if seconds < 1000 * 86_400 else f"{seconds / (365 * 86_400):.0f} years"


def _named(failed: list[tuple[str, str]]) -> str:
    if not failed:
        return ""
    said = ", ".join(words for _, words in failed[:_NAMED])
    more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    return f"{len(failed)} failed check{'' if len(failed) == 1 else 's'}: {said}{more}"


def _marks(drift: protocol.Heatmap) -> Iterator[tuple[int, str]]:
    for mark in drift.marks:
        window = next((place for place in range(len(drift.starts) - 1, -1, -1) if drift.starts[place] <= mark.at), None)
        if window is not None and mark.at < window_end(drift, drift.starts[window]):
            yield window, letter(mark)
