"""Progress of a burst of arrivals, told now and then."""

from __future__ import annotations

import time
from collections.abc import Callable

from store.protocol import Progress

#: Fewer waiting files than this are no burst, and report no progress.
_BURST = 100
_EVERY = 0.25


class Burst:
    """Counts what is done while many files wait; `tell` reports at most four times a second, and the end."""

    def __init__(self, on_progress: Callable[[Progress], None]) -> None:
        self._on_progress = on_progress
        self._told = 0.0
        self.done = 0

    def tell(self, waiting: int) -> None:
        if waiting < _BURST and not self._told:
            self.done = 0
            return
        now = time.monotonic()
        finished = waiting == 0
        if finished or now - self._told > _EVERY:
            self._told = 0.0 if finished else now
            self._on_progress(Progress("intake", "taking in files", self.done, self.done + waiting, finished))
