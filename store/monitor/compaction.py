"""Counts grow old: rows of narrow windows are added up into wider ones by age, a portion at a time.

A rule "1h after 2d" adds up rows of one deployment, version and reference whose windows lie in one hour *and* that
were recorded within one hour (both by UTC), once that hour of recording ended two days ago. The sum says that it was
recorded when the last of its rows was. So an as-of query (`--at`) still answers:

- for a moment within the last two days, and for every full hour before, exactly as if nothing had been rolled up;
- for a moment within an older hour, it never knows what came later, and may lack what came earlier in that hour.

With "1d after 180d" beside it the same holds of days from there on. Late rows are further rows of their own window, and
are rolled up in their turn. A portion is one transaction: whatever stops the agent, counts are there once.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import threading
import time
from datetime import timedelta

import duckdb

from store.database import Database, Transaction, times
from store.monitor.new_categories import added_sql
from store.settings import Roll

log = logging.getLogger(__name__)

#: Rows that one transaction adds up, about: the writer is held for a fraction of a second.
PORTION = 1_000
#: Between two portions the writer is left to others for so many times as long as the last one took.
REST = 2.0


@dataclasses.dataclass(frozen=True)
class _Table:
    name: str
    keys: tuple[str, ...]
    """What rows that are added up have in common, beside their window."""
    totals: tuple[str, ...]
    """Columns that are added."""
    sums: bool = True
    """Whether there is a list `sums`, which is added place by place."""
    sparse: bool = True
    """Whether there are slots and counts."""
    windows: bool = False
    """Whether this is monitor_window, which keeps more of what was added up."""
    names: bool = False
    """Whether there are names with their counts."""


TABLES = (
    _Table("monitor_window", ("deployment", "version", "reference"), ("row_count",), sums=False, windows=True),
    _Table("monitor_performance", ("deployment", "version"), ("labelled",)),
    _Table("monitor_performance_slice", ("deployment", "version", "slice", "value"), ("labelled",)),
    _Table("monitor_estimate", ("deployment", "version"), ("row_count",), sparse=False),
    _Table(
        "monitor_new_category",
        ("deployment", "version", "reference", "feature"),
        (),
        sums=False,
        sparse=False,
        names=True,
    ),
)


@dataclasses.dataclass(frozen=True)
class Portion:
    """Rows of one deployment that are added up in one transaction: those recorded in the period that begins at
    `recorded` with windows in [since, until), all in seconds since the epoch."""

    table: _Table
    roll: Roll
    deployment: str
    recorded: int
    since: int
    until: int


def compact(database: Database, rolls: tuple[Roll, ...], stopping: threading.Event | None = None) -> int:
    """Roll up whatever is old enough; returns how many rows that took away. Wait for it on a thread of its own.

    Doing it again changes nothing; what a crash left undone is done the next time.
    """
    gone = 0
    for roll in rolls:
        horizon = (times.now() - timedelta(seconds=roll.after)).timestamp()
        for table in TABLES:
            for portion in database.reader.read(functools.partial(_portions, table, roll, horizon)):
                begun = time.monotonic()
                gone += database.writer.change(functools.partial(_roll_up, portion))
                if stopping is not None and stopping.wait(REST * (time.monotonic() - begun)):
                    return gone
    if gone:
        log.info("rolled up", extra={"rows": gone})
    return gone


def _bucket(column: str, seconds: int) -> str:
    """Start of the period that the TIMESTAMP falls into, in seconds since the epoch."""
    return f"floor(epoch_us({column}) / {seconds * 1_000_000}.0)::BIGINT * {seconds}"


def _portions(table: _Table, roll: Roll, horizon: float, connection: duckdb.DuckDBPyConnection) -> list[Portion]:
    closed = int(horizon // roll.width) * roll.width
    found = connection.execute(
        "SELECT recorded, deployment, start, sum(n)::BIGINT FROM"
        f" (SELECT {_bucket('recorded_at', roll.width)} AS recorded, {_bucket('window_start', roll.width)} AS start,"
        f" {', '.join(table.keys)}, count(*) AS n FROM {table.name} WHERE recorded_at < make_timestamp($1)"
        " AND window_seconds <= $2 GROUP BY ALL HAVING count(*) > 1 OR min(window_seconds) < $2)"
        " GROUP BY ALL ORDER BY ALL",
        [closed * 1_000_000, roll.width],
    ).fetchall()
    portions: list[Portion] = []
    rows = 0
    for recorded, deployment, start, count in found:
        end = start + roll.width
        last = portions[-1] if portions else None
        if last and (last.recorded, last.deployment) == (recorded, deployment) and rows + count <= PORTION:
            portions[-1], rows = dataclasses.replace(last, until=end), rows + count
        else:
            portions.append(Portion(table, roll, deployment, recorded, start, end))
            rows = count
    return portions


def _roll_up(portion: Portion, tx: Transaction) -> int:
    """Put the sums of the portion's rows in their place; returns by how many rows there are fewer."""
    table, width = portion.table, portion.roll.width
    keys = ", ".join(table.keys)
    where = (
        f"FROM {table.name} WHERE deployment = $1 AND recorded_at >= make_timestamp($2) AND recorded_at <"
        " make_timestamp($3) AND window_start >= make_timestamp($4) AND window_start < make_timestamp($5)"
        " AND window_seconds <= $6"
    )
    params = [
        portion.deployment,
        *(moment * 1_000_000 for moment in (portion.recorded, portion.recorded + width, portion.since, portion.until)),
        width,
    ]
    before = int(tx.execute(f"SELECT count(*) {where}", params).fetchall()[0][0])
    if not before:
        return 0
    columns = [*table.keys, "window_start", "window_seconds", *table.totals]
    start = _bucket("window_start", width)
    totals = [f"sum({name})::BIGINT AS {name}" for name in table.totals]
    if table.windows:
        columns += ["first_at", "last_at", "files", "first_recorded_at"]
        totals += [
            "min(first_at) AS first_at",
            "max(last_at) AS last_at",
            "(count(DISTINCT arrival) FILTER (files IS NULL) + coalesce(sum(files), 0))::INTEGER AS files",
            "min(coalesce(first_recorded_at, recorded_at)) AS first_recorded_at",
        ]
    if table.sums:
        columns.append("sums")
        length = int(tx.execute(f"SELECT coalesce(max(len(sums)), 0) {where}", params).fetchall()[0][0])
        # Rows of before a sum was kept have shorter lists; exact sums (Shewchuk's or Kahan's) keep the last digits.
        totals.append("[" + ", ".join(f"fsum(coalesce(sums[{place + 1}], 0))" for place in range(length)) + "] AS sums")
    columns += ["arrival", "recorded_at"]
    totals += ["'' AS arrival", "max(recorded_at) AS recorded_at"]
    grouped = f"SELECT {start} AS w, {keys}, {', '.join(totals)} {where} GROUP BY w, {keys}"
    select = ["make_timestamp(w * 1000000)" if name == "window_start" else name for name in columns]
    select = [str(width) if name == "window_seconds" else name for name in select]
    each = f"w, {keys}"
    lists = []
    if table.sparse:
        columns += ["slots", "counts"]
        select += ["coalesce(slots, [])", "coalesce(counts, [])"]
        lists.append(
            f"SELECT {each}, list(slot ORDER BY slot) AS slots, list(n ORDER BY slot) AS counts FROM"
            f" (SELECT {each}, slot, sum(n)::BIGINT AS n FROM (SELECT {start} AS w, {keys}, unnest(slots) AS slot,"
            f" unnest(counts) AS n {where}) GROUP BY ALL HAVING sum(n) <> 0) GROUP BY {each}"
        )
    if table.windows:
        columns += ["sums", "lows", "highs"]
        select += ["sums", "lows", "highs"]
        lists.append(
            f"SELECT {each}, list(total ORDER BY place) AS sums FROM"
            f" (SELECT {each}, place, fsum(total) AS total FROM (SELECT {start} AS w, {keys}, unnest(sums) AS total,"
            f" generate_subscripts(sums, 1) AS place {where}) GROUP BY ALL) GROUP BY {each}"
        )
        lists.append(
            f"SELECT {each}, list(low ORDER BY place) AS lows, list(high ORDER BY place) AS highs FROM"
            f" (SELECT {each}, place, min(low) AS low, max(high) AS high FROM (SELECT {start} AS w, {keys},"
            f" unnest(lows) AS low, unnest(highs) AS high, generate_subscripts(lows, 1) AS place {where})"
            f" GROUP BY ALL) GROUP BY {each}"
        )
    if table.names:
        columns += ["names", "counts", "hashes", "complete"]
        select += ["names", "counts", "hashes", "complete"]
        lists.append(added_sql(f"(SELECT *, {start} AS w {where})", each))
    joined = "".join(f" LEFT JOIN ({one}) USING ({each})" for one in lists)
    named = ", ".join(f"{value} AS {name}" for value, name in zip(select, columns, strict=True))
    tx.execute(f"CREATE TEMP TABLE rolled_up AS SELECT {named} FROM ({grouped}){joined}", params)
    tx.execute(f"DELETE {where}", params)
    tx.execute(
        f"INSERT INTO {table.name} ({', '.join(columns)}) SELECT {', '.join(columns)} FROM rolled_up"
        " ORDER BY window_start"
    )
    after = int(tx.execute("SELECT count(*) FROM rolled_up").fetchall()[0][0])
    tx.execute("DROP TABLE rolled_up")
    return before - after
