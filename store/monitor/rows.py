"""The rows of a predictions file: which of them count, and what is kept of each for the join with its label."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, TypeVar

import duckdb
import numpy as np
import numpy.typing as npt

from store.monitor import source
from store.monitor.bins import Integers, Marks

#: Event times before 1900 or after tomorrow are mistakes; such rows are counted and left out.
EARLIEST_US = -2_208_988_800 * 1_000_000
_FEW_HASHES, _CELL_BITS = 100_000, 22
#: SQL: of the rows with one prediction_id, the one that counts.
FIRST_OF_ITS_ID = "row_number() OVER (PARTITION BY prediction_id ORDER BY event_us, score, prediction) = 1"


@dataclasses.dataclass(frozen=True)
class TakenRows:
    """`times` (microseconds since the epoch) and `counted` (null: all) of every row of the file, in its order.

    `predictions`: an Arrow table of what is kept of those that count (null: none). `seen` rows are the version's.
    """

    times: Integers
    counted: Marks | None
    predictions: Any
    seen: int
    repeated: int
    timeless: int
    absurd: int
    nameless: int


def read_rows(
    connection: duckdb.DuckDBPyConnection,
    location: str,
    select: str,
    condition: str,
    kept: list[str],
    known: str,
    latest_us: int,
) -> TakenRows:
    """The rows of a Parquet file for which `condition` holds, as `select` says what they are.

    Each prediction_id counts once: its earliest row; those that the query `known` gives, not at all.
    """
    import pyarrow as pa

    table: Any = connection.sql(
        f"SELECT {select}, ({condition}) IS TRUE AS mine, file_row_number AS file_row"
        f" FROM read_parquet({source.pattern(location)}, hive_partitioning = false, file_row_number = true)"
    ).to_arrow_table()
    if not table.num_rows:
        return TakenRows(np.zeros(0, np.int64), None, None, 0, 0, 0, 0, 0)
    mine = table.column("mine").to_numpy()
    moments = table.column("event_us")
    timeless = moments.is_null().to_numpy() if moments.null_count else np.zeros(len(mine), bool)
    times = np.where(timeless, 0, moments.to_numpy()).astype(np.int64) if moments.null_count else moments.to_numpy()
    absurd = ((times < EARLIEST_US) | (times > latest_us)) & ~timeless
    counted = mine & ~timeless & ~absurd
    first = counted
    if known or _repeats(table.column("id_hash"), counted):
        first = _first(connection, table, counted, known)
    every = bool(first.all())
    possible = table if every else table.filter(pa.array(first))
    place = table.column("file_row").to_numpy()
    return TakenRows(
        _placed(times, place),
        None if every else _placed(first, place),
        possible.select(kept) if possible.num_rows else None,
        int(mine.sum()),
        int(counted.sum() - first.sum()),
        int((mine & timeless).sum()),
        int((mine & absurd).sum()),
        possible.column("prediction_id").null_count,
    )


_Array = TypeVar("_Array", Integers, Marks)


def _placed(values: _Array, place: Integers) -> _Array:
    """In the file's order: the store's connections give rows in any."""
    if (place[1:] > place[:-1]).all():
        return values
    found = np.empty_like(values)
    found[place] = values
    return found


def _repeats(hashes: Any, counted: Marks) -> bool:
    """Whether any prediction_id comes twice."""
    if hashes.null_count:
        counted = counted & hashes.is_valid().to_numpy()
        hashes = hashes.fill_null(0)
    found = hashes.to_numpy()
    return any_repeats(found if counted.all() else found[counted])


def any_repeats(hashes: npt.NDArray[np.integer[Any]]) -> bool:
    """Whether any hash comes twice.

    Of many, only those that share a cell of a table with another one are sorted: by their leading bits few do.
    """
    if len(hashes) > _FEW_HASHES:
        cells = (hashes.astype(np.uint64) >> (64 - _CELL_BITS)).astype(np.int64)
        numbers = np.arange(len(hashes), dtype=np.uint32)
        last = np.empty(1 << _CELL_BITS, np.uint32)
        last[cells] = numbers
        shared = np.zeros(1 << _CELL_BITS, bool)
        shared[cells[last[cells] != numbers]] = True
        hashes = hashes[shared[cells]]
    ordered = np.sort(hashes)
    return bool((ordered[1:] == ordered[:-1]).any())


def _first(connection: duckdb.DuckDBPyConnection, table: Any, counted: Marks, known: str) -> Marks:
    """Marks the rows that count once each prediction_id counts once, and none that is known."""
    import pyarrow as pa

    candidates = table.select(["prediction_id", "event_us", "score", "prediction"]).append_column(
        "place", pa.array(np.arange(table.num_rows))
    )
    connection.register("monitor_candidates", candidates.filter(pa.array(counted)))
    try:
        unknown = f"prediction_id NOT IN ({known})" if known else "true"
        places = connection.execute(
            f"SELECT place FROM monitor_candidates WHERE prediction_id IS NULL OR ({unknown})"
            f" QUALIFY prediction_id IS NULL OR {FIRST_OF_ITS_ID}"
        ).fetchnumpy()["place"]
    finally:
        connection.unregister("monitor_candidates")
    first = np.zeros(table.num_rows, bool)
    first[places] = True
    return first


class Pass:
    """One reading of a version's rows: what was left out, and what is kept for the join with labels."""

    def __init__(self, latest_us: int, names: list[str]) -> None:
        # 50 MB of memory and 0.2 s: only where prediction files arrive.
        import pyarrow
        import pyarrow.compute

        self._arrow = pyarrow
        self._compute = pyarrow.compute
        self._latest_us = latest_us
        self._names = names
        self._kept: list[Any] = []
        self._hashes: list[Any] = []
        self.rows = self.timeless = self.absurd = self.nameless = 0

    def possible(self, batch: Any) -> Iterator[Any]:
        """The batch's rows that have a possible time, if any have."""
        self.rows += batch.num_rows
        possible = self._in_time(batch) if batch.num_rows else batch
        if possible.num_rows:
            self.nameless += possible.column("prediction_id").null_count
            self._hashes.append(possible.column("id_hash").drop_null().to_numpy().copy())
            self._kept.append(self._copied(possible))
            yield possible

    def repeats(self) -> bool:
        """Whether any prediction_id came twice."""
        if not self._hashes:
            return False
        return any_repeats(np.concatenate(self._hashes))

    def taken(self, seen: int) -> TakenRows:
        """What was read, of `seen` rows of the version in the file."""
        kept = self._arrow.Table.from_batches(self._kept) if self._kept else None
        nothing = np.zeros(0, np.int64)
        return TakenRows(nothing, None, kept, seen, seen - self.rows, self.timeless, self.absurd, self.nameless)

    def _copied(self, batch: Any) -> Any:
        """The kept columns in memory of their own: a column of a batch holds the whole batch."""
        columns = [batch.column(name) for name in self._names]
        halves = batch.num_rows // 2
        copies = [self._arrow.concat_arrays([column.slice(0, halves), column.slice(halves)]) for column in columns]
        return self._arrow.RecordBatch.from_arrays(copies, self._names)

    def _in_time(self, batch: Any) -> Any:
        times = batch.column("event_us")
        low, high = (scalar.as_py() for scalar in self._compute.min_max(times).values())
        if not times.null_count and low >= EARLIEST_US and high <= self._latest_us:
            return batch
        late_enough = self._compute.greater_equal(times, EARLIEST_US)
        kept = batch.filter(self._compute.and_(late_enough, self._compute.less_equal(times, self._latest_us)))
        self.timeless += times.null_count
        self.absurd += batch.num_rows - times.null_count - kept.num_rows
        return kept
