"""From alerts, and from what a replay says of them, to lines of a timeline."""

from __future__ import annotations

from collections.abc import Sequence

from console.text import number
from console.widgets.timeline import Span, TimelineData, TimelineRow, Tone
from store.protocol import Page, Replay, ReplayLine

#: States in which nobody need look at an alert any more, or for now.
_HANDLED = frozenset({"acknowledged", "muted", "resolved", "closed"})


def of_alerts(page: Page, chosen: str | None) -> TimelineData:
    """A line for each thing that alerts were opened for, the gravest and latest first; `chosen` is an alert's id."""
    names = [column.name for column in page.columns]
    if "opened_window" not in names:
        return TimelineData()
    spans: dict[tuple[str, str, str], list[Span]] = {}
    last: dict[tuple[str, str, str], tuple[bool, bool, float]] = {}
    here: tuple[str, str, str] | None = None
    moments: list[float] = []
    for row in page.rows:
        cells = dict(zip(names, row, strict=False))
        since, until = cells.get("opened_window"), cells.get("closed_window")
        if not isinstance(since, float):
            continue
        key = (str(cells.get("deployment")), str(cells.get("rule")), str(cells.get("feature")))
        ends = until if isinstance(until, float) else None
        latest = cells.get("window_end")
        grave = cells.get("severity") == "critical"
        handled = cells.get("state") in _HANDLED and ends is None
        tone: Tone = "quiet" if handled else "critical" if grave else "warning"
        spans.setdefault(key, []).append(Span(since, ends, tone))
        moments += [moment for moment in (since, ends, latest) if isinstance(moment, float)]
        last[key] = max(last.get(key, (False, False, 0.0)), (ends is None and not handled, grave, since))
        if str(row[0]) == chosen:
            here = key
    if not spans:
        return TimelineData(title="when alerts were on", why="no alert of a window of event time")
    order = sorted(spans, key=lambda key: last[key], reverse=True)
    if here is not None:
        # What the cursor is on is always in sight.
        order.sort(key=lambda key: key != here)
    several = len({key[0] for key in spans}) > 1
    return TimelineData(
        title="when alerts were on, in event time",
        since=min(moments),
        until=max(*moments, min(moments) + 1.0),
        rows=tuple(
            TimelineRow(
                f"{key[2]} {key[0]}" if several else key[2],
                tuple(sorted(spans[key], key=lambda span: span.since)),
                key == here,
            )
            for key in order
        ),
    )


def of_replay(found: Replay, line: ReplayLine | None) -> TimelineData:
    """When the alerts of one line of a replay would have been on."""
    if line is None or not found.ends:
        return TimelineData(title="when it would have been on", why=found.why or "no windows yet")
    threshold = "the rule's own limit" if line.threshold is None else f"a threshold of {number(line.threshold)}"
    since, until = found.ends[0] - found.window_seconds, found.ends[-1]
    title = f"when it would have been on, with {threshold}"
    rows = _by_feature(line, several=len(found.deployments) > 1)
    return TimelineData(title, since, until, tuple(rows), f"with {threshold} it would never have fired")


def _by_feature(line: ReplayLine, several: bool) -> Sequence[TimelineRow]:
    spans: dict[tuple[str, str], list[Span]] = {}
    for episode in line.episodes:
        spans.setdefault((episode.deployment, episode.feature), []).append(Span(episode.opened, episode.closed))
    order = sorted(spans, key=lambda key: (-_length(spans[key]), key))
    return [TimelineRow(f"{key[1]} {key[0]}" if several else key[1], tuple(spans[key])) for key in order]


def _length(spans: Sequence[Span]) -> float:
    return sum((float("inf") if span.until is None else span.until - span.since) for span in spans)
