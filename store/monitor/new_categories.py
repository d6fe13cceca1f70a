"""Categories that the reference does not hold, kept by name: recorded with a file's counts, read over any span."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import duckdb

from store.database import Transaction, times
from store.monitor.incoming import INCOMING, Incoming
from store.monitor.kernel import WINDOW_NAMES
from store.monitor.names import Names
from store.monitor.windows import Window

if TYPE_CHECKING:
    from store.monitor.scan import PredictionScan, VersionPart

#: SQL: the names of rows that are added up, as `store.monitor.names.Names` adds them: of all that there are, those
#: with the smallest hashes. The rows of `{source}` have `names`, `counts`, `hashes`, `complete` and `{keys}`.
ADDED_NAMES = (
    "SELECT {keys}, list(name ORDER BY hash, name)[:{most}] AS names, list(n ORDER BY hash, name)[:{most}] AS counts,"
    " list(hash ORDER BY hash, name)[:{most}] AS hashes, bool_and(whole) AND count(*) <= {most} AS complete"
    " FROM (SELECT {keys}, name, any_value(hash) AS hash, sum(n)::BIGINT AS n, bool_and(complete) AS whole"
    " FROM (SELECT {keys}, complete, unnest(names) AS name, unnest(counts) AS n, unnest(hashes) AS hash"
    " FROM {source}) GROUP BY {keys}, name) GROUP BY {keys}"
)


def added_sql(source: str, keys: str) -> str:
    """`ADDED_NAMES` of the rows that `source` gives."""
    return ADDED_NAMES.format(source=source, keys=keys, most=WINDOW_NAMES)


def insert_new_names(
    tx: Transaction, scans: Sequence[PredictionScan], found: Sequence[tuple[int, VersionPart]]
) -> None:
    """Keep the new categories of some files; each part goes with the place of its scan."""
    import pyarrow as pa

    rows = [
        (scans[place], part, window, feature, names)
        for place, part in found
        for (window, feature), names in part.counts.names.items()
    ]
    if not rows:
        return
    table = pa.table(
        {
            "deployment": [scan.deployment for scan, *_ in rows],
            "version": [part.version for _, part, *_ in rows],
            "reference": [part.reference for _, part, *_ in rows],
            "feature": [feature for *_, feature, _ in rows],
            "start_us": pa.array([window * part.seconds * 1_000_000 for _, part, window, *_ in rows], pa.int64()),
            "seconds": pa.array([part.seconds for _, part, *_ in rows], pa.int32()),
            "names": pa.array([list(names.counts) for *_, names in rows], pa.list_(pa.string())),
            "counts": pa.array([list(names.counts.values()) for *_, names in rows], pa.list_(pa.int64())),
            "hashes": pa.array([names.hashes().tolist() for *_, names in rows], pa.list_(pa.uint64())),
            "complete": [names.complete for *_, names in rows],
            "arrival": [scan.arrival for scan, *_ in rows],
        }
    )
    with Incoming(tx, table):
        tx.execute(
            "INSERT INTO monitor_new_category SELECT deployment, version, reference, feature,"
            " make_timestamp(start_us), seconds, names, counts, hashes, complete, arrival, ?"
            f" FROM {INCOMING}",
            [tx.now_db],
        )


def new_categories(
    connection: duckdb.DuckDBPyConnection,
    deployment: str,
    version: str,
    feature: str,
    since: float,
    until: float,
    at: datetime | None,
) -> tuple[Names, bool]:
    """The feature's new categories in the windows that start in [since, until), with their counts; and whether names
    were kept of all of these windows: those that were counted before they were have none."""
    where = (
        "(SELECT * FROM monitor_new_category WHERE deployment = $1 AND version = $2 AND feature = $3"
        " AND window_start >= make_timestamp($4) AND window_start < make_timestamp($5)"
        " AND ($6 IS NULL OR recorded_at <= $6))"
    )
    span = [round(since * 1e6), round(until * 1e6), times.to_db(at) if at else None]
    found = connection.execute(
        f"SELECT names, counts, complete FROM ({added_sql(where, 'feature')})", [deployment, version, feature, *span]
    ).fetchall()
    # Moments are kept since names are.
    older = connection.execute(
        "SELECT 1 FROM monitor_window WHERE deployment = $1 AND version = $2 AND window_start >= make_timestamp($3)"
        " AND window_start < make_timestamp($4) AND ($5 IS NULL OR recorded_at <= $5) AND sums IS NULL LIMIT 1",
        [deployment, version, *span],
    ).fetchall()
    if not found:
        return Names(WINDOW_NAMES), not older
    names, counts, complete = found[0]
    return Names(WINDOW_NAMES, dict(zip(names, counts, strict=True)), bool(complete)), not older


def new_categories_by_window(
    connection: duckdb.DuckDBPyConnection,
    deployment: str,
    version: str,
    features: Sequence[str],
    window: Window,
    since: float,
    until: float,
    at: datetime | None,
) -> dict[tuple[str, int], Names]:
    """(feature, start) → its new categories in that window, of those that start in [since, until) and have any."""
    if not features:
        return {}
    where = (
        f"(SELECT *, {window.sql('window_start')} AS w FROM monitor_new_category WHERE deployment = $1 AND version = $2"
        " AND feature IN (SELECT unnest($3::VARCHAR[])) AND window_start >= make_timestamp($4)"
        " AND window_start < make_timestamp($5) AND ($6 IS NULL OR recorded_at <= $6))"
    )
    span = [round(since * 1e6), round(until * 1e6), times.to_db(at) if at else None]
    found = connection.execute(
        f"SELECT feature, w, names, counts, complete FROM ({added_sql(where, 'feature, w')})",
        [deployment, version, list(features), *span],
    ).fetchall()
    return {
        (str(feature), int(start)): Names(WINDOW_NAMES, dict(zip(names, counts, strict=True)), bool(complete))
        for feature, start, names, counts, complete in found
    }
