"""Counts by window that are read once, for whoever asks for a part of them."""

from __future__ import annotations

import dataclasses

import duckdb
import numpy as np

from store.monitor import counts, quality
from store.monitor.bins import Integers
from store.monitor.reference import Reference
from store.monitor.windows import Window

_Key = tuple[str, str, str, Window]


@dataclasses.dataclass(frozen=True)
class _Held:
    """(window starts ascending, counts[window][slot]) of [since, until), and `quality.watched_rows` of it."""

    since: float
    until: float
    starts: Integers
    dense: Integers
    rows: dict[int, int]


class Sums:
    """Keeps what was read last of each version. Counts of one moment: what is recorded later is not seen."""

    def __init__(self) -> None:
        self._held: dict[_Key, _Held] = {}

    def copy(self) -> Sums:
        """What is held so far; what either reads from here on is its own."""
        other = Sums()
        other._held = dict(self._held)
        return other

    def of(
        self,
        connection: duckdb.DuckDBPyConnection,
        deployment: str,
        version: str,
        reference: Reference,
        window: Window,
        since: float,
        until: float,
    ) -> tuple[Integers, Integers]:
        """As `counts.slot_sums`; read only where what is held does not reach."""
        return self.with_rows(connection, deployment, version, reference, window, since, until)[:2]

    def with_rows(
        self,
        connection: duckdb.DuckDBPyConnection,
        deployment: str,
        version: str,
        reference: Reference,
        window: Window,
        since: float,
        until: float,
    ) -> tuple[Integers, Integers, dict[int, int]]:
        """As `of`, and the rows by window (`quality.watched_rows`) of the same moment: a share is of rows that were
        counted, and rows that came since would all look as if they lacked every feature."""
        key = (deployment, version, reference.identity, window)
        held = self._held.get(key)
        if held is None or since < held.since or until > held.until:
            over = (connection, deployment, version, reference, window, since, until, None)
            held = self._held[key] = _Held(since, until, *counts.slot_sums(*over), quality.watched_rows(*over))
        low, high = np.searchsorted(held.starts, [since, until])
        rows = {start: count for start, count in held.rows.items() if since <= start < until}
        return held.starts[low:high], held.dense[low:high], rows
