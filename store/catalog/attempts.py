"""Which attempt of a run a metric point belongs to: a run resumed from a checkpoint logs some steps again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import duckdb


@dataclasses.dataclass
class _Metric:
    """The steps of one metric within the present attempt: `stored` says that some are in the database."""

    first: int
    greatest: int
    last: int
    stored: bool
    steps: set[int]


class Attempts:
    """Numbers the points of `runs`, in the order in which they were logged.

    A step that its metric has already in the present attempt begins the next one, and so does one from before where
    the attempt resumed; a step logged twice in a row does not, and one that merely comes late neither. `counts` are
    the attempts so far by run sequence, at least 1.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, counts: Mapping[int, int]) -> None:
        self._connection = connection
        self._counts = dict(counts)
        self._metrics: dict[tuple[int, str], _Metric] = {}
        if not counts:
            return
        # The range lets DuckDB pass over the points of other runs by its zone maps.
        rows = connection.execute(
            "SELECT run, metric, coalesce(attempt, 1), arg_min(step, rowid), max(step), arg_max(step, rowid)"
            " FROM metric_point WHERE run BETWEEN ? AND ? AND run IN (SELECT unnest(?::BIGINT[])) GROUP BY ALL",
            [min(counts), max(counts), list(counts)],
        ).fetchall()
        for run, metric, attempt, first, greatest, last in rows:
            if attempt == self._counts[run]:
                self._metrics[run, metric] = _Metric(first, greatest, last, True, set())

    def begin(self, run: int) -> None:
        """The run begins anew, whatever its steps: its file was replaced."""
        self._counts[run] = self._counts.get(run, 1) + 1
        self._forget(run)

    def has_points(self, run: int) -> bool:
        """Whether the present attempt has any."""
        return any(key[0] == run for key in self._metrics)

    def number(self, run: int, points: Sequence[tuple[str, int]]) -> list[int]:
        """The attempt of each (metric, step)."""
        numbers = []
        for metric, step in points:
            known = self._metrics.get((run, metric))
            if known is not None and step <= known.greatest and step != known.last and self._repeats(run, metric, step):
                self.begin(run)
                known = None
            if known is None:
                known = self._metrics[run, metric] = _Metric(step, step, step, False, set())
            known.greatest, known.last = max(known.greatest, step), step
            known.steps.add(step)
            numbers.append(self.count(run))
        return numbers

    def count(self, run: int) -> int:
        return self._counts.get(run, 1)

    def _forget(self, run: int) -> None:
        for key in [key for key in self._metrics if key[0] == run]:
            del self._metrics[key]

    def _repeats(self, run: int, metric: str, step: int) -> bool:
        known = self._metrics[run, metric]
        if self.count(run) > 1 and step < known.first:
            return True
        if known.stored:
            rows = self._connection.execute(
                "SELECT DISTINCT step FROM metric_point WHERE run = ? AND metric = ? AND coalesce(attempt, 1) = ?",
                [run, metric, self.count(run)],
            ).fetchall()
            known.steps |= {int(row[0]) for row in rows}
            known.stored = False
        return step in known.steps
