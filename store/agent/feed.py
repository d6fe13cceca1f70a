"""The change feed: what each commit changed, numbered, kept for consoles that were away."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime

from store.protocol import Change, Progress, Subscribed

#: Changes remembered for consoles that reconnect.
KEPT = 2048
#: More subjects than this in one change travel as "many" (an empty list).
MAX_SUBJECTS = 50
#: Notifications to one subscriber are at least this far apart; what happens in between is merged.
SPACING_SECONDS = 0.05

Send = Callable[[str, Change | Progress], None]


class Feed:
    """Numbers commits and tells subscribers. Lives on the event loop; `committed` may come from any thread.

    Sequences start at the clock's microseconds, so that a number from an earlier agent is never mistaken
    for one of this agent's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._changes: deque[Change] = deque(maxlen=KEPT)
        self._first = self.sequence = time.time_ns() // 1000
        self._subscribers: dict[int, _Subscriber] = {}
        self._progress: dict[str, Progress] = {}

    def committed(self, topics: Mapping[str, set[str]], at: datetime) -> None:
        """Called by the writer's thread after a commit."""
        named = {topic: set(subjects) for topic, subjects in topics.items()}
        self._loop.call_soon_threadsafe(self._publish, named, at.timestamp())

    def progress(self, progress: Progress) -> None:
        """Called by any thread that does long work."""
        self._loop.call_soon_threadsafe(self._publish_progress, progress)

    @property
    def under_way(self) -> list[Progress]:
        return list(self._progress.values())

    def subscribe(self, key: int, send: Send, since: int | None) -> Subscribed:
        """Tell `send` of every change from now on; returns what was missed after `since`."""
        self._subscribers[key] = _Subscriber(self._loop, send)
        if since is None or since == self.sequence:
            missed, complete = [], True
        else:
            missed = [change for change in self._changes if change.sequence > since]
            oldest = self._changes[0].sequence - 1 if self._changes else self.sequence
            complete = oldest <= since <= self.sequence and since >= self._first
        return Subscribed(self.sequence, time.time(), missed if complete else [], complete)

    def unsubscribe(self, key: int) -> None:
        subscriber = self._subscribers.pop(key, None)
        if subscriber:
            subscriber.close()

    def _publish(self, topics: Mapping[str, set[str]], at: float) -> None:
        self.sequence += 1
        subjects = sorted(set().union(*topics.values()))
        change = Change(self.sequence, at, sorted(topics), subjects if len(subjects) <= MAX_SUBJECTS else [])
        self._changes.append(change)
        for subscriber in self._subscribers.values():
            subscriber.change(change)

    def _publish_progress(self, progress: Progress) -> None:
        if progress.finished:
            self._progress.pop(progress.task, None)
        else:
            self._progress[progress.task] = progress
        for subscriber in self._subscribers.values():
            subscriber.progress(progress)


class _Subscriber:
    """Sends at once when nothing was sent lately, else merges until the spacing is over."""

    def __init__(self, loop: asyncio.AbstractEventLoop, send: Send) -> None:
        self._loop = loop
        self._send = send
        self._pending: Change | None = None
        self._progress: dict[str, Progress] = {}
        self._timer: asyncio.TimerHandle | None = None

    def change(self, change: Change) -> None:
        self._pending = merged(self._pending, change)
        self._soon()

    def progress(self, progress: Progress) -> None:
        self._progress[progress.task] = progress
        self._soon()

    def close(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _soon(self) -> None:
        if self._timer is None:
            self._flush()
            self._timer = self._loop.call_later(SPACING_SECONDS, self._spaced)

    def _spaced(self) -> None:
        self._timer = None
        if self._pending or self._progress:
            self._soon()

    def _flush(self) -> None:
        pending, self._pending = self._pending, None
        progress, self._progress = self._progress, {}
        if pending:
            self._send("change", pending)
        for item in progress.values():
            self._send("progress", item)


def merged(earlier: Change | None, later: Change) -> Change:
    """Two changes as one; "many" subjects stay "many"."""
    if earlier is None:
        return later
    subjects = sorted({*earlier.subjects, *later.subjects})
    many = not earlier.subjects or not later.subjects or len(subjects) > MAX_SUBJECTS
    return Change(later.sequence, later.at, sorted({*earlier.topics, *later.topics}), [] if many else subjects)
