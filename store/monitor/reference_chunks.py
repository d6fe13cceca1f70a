"""The reference's rows in ten chunks, in their order: how much it changes over its own time, which NannyML goes by."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import numpy as np

from store.database import Transaction
from store.monitor import counting, parts
from store.monitor.bins import Integers
from store.monitor.cache import Cache
from store.monitor.files.table_files import TableFiles
from store.monitor.parts import Part
from store.monitor.presets.nannyml import CHUNKS, NannyML
from store.monitor.profile import Binned

#: Whose thresholds come from them.
PRESET = NannyML.name


def chunks_of(
    files: TableFiles,
    reference: Binned,
    rows: int,
    places: Mapping[str, str] | None = None,
) -> Integers:
    """The reference's own rows, in the order of its files, in ten chunks and what remains (chunks × width).

    One more reading of the files; `places` as for `binning.profile`. Raises `Refusal` (usage).
    """
    homes = {feature.name: (places or {}).get(feature.name, feature.name) for feature in reference.features}
    size = max(1, rows // CHUNKS)
    found = np.zeros(((rows + size - 1) // size, reference.width), np.int64)
    first = 0
    for part in files.parts:
        _deal(part, files, reference, homes, first, size, found)
        first += part.rows
    return found


def _deal(
    part: Part, files: TableFiles, reference: Binned, homes: Mapping[str, str], first: int, size: int, found: Integers
) -> None:
    """Add the part's rows, of which the first is row `first` of all, to their chunks."""
    types = parts.open_parquet(part.path).types
    by_home: dict[str, list[str]] = {}
    for name, home in homes.items():
        if home in types:
            by_home.setdefault(home, []).append(name)
    forms = {name: files.number_forms[home] for name, home in homes.items() if home in files.number_forms}
    for arrays in parts.read_columns(part, list(by_home)):
        named = {name: array for home, array in arrays.items() for name in by_home[home]}
        start = 0
        while start < part.rows:
            chunk = (first + start) // size
            length = min(part.rows - start, (chunk + 1) * size - (first + start))
            cut = {name: array.slice(start, length) for name, array in named.items()}
            found[chunk] += counting.count_columns(cut, length, reference, 0, forms).counts
            start += length


# --- kept ------------------------------------------------------------------------------------------------

_TYPES = {
    "reference": "VARCHAR",
    "chunk": "INTEGER",
    "slots": "UINTEGER[]",
    "counts": "BIGINT[]",
    "recorded_at": "TIMESTAMP",
}
_kept: Cache[Integers] = Cache()


def record_chunks(tx: Transaction, identity: str, chunks: Integers) -> None:
    """Keep the chunks of the reference that is called `identity` (chunks × width)."""
    rows = []
    for number, counts in enumerate(chunks):
        slots = np.flatnonzero(counts)
        rows.append(
            {
                "reference": identity,
                "chunk": number,
                "slots": slots.tolist(),
                "counts": counts[slots].tolist(),
                "recorded_at": tx.now,
            }
        )
    tx.insert("monitor_reference_chunk", _TYPES, rows)


def load_chunks(connection: duckdb.DuckDBPyConnection, identity: str, width: int, preset: str) -> Integers | None:
    """The chunks (chunks × width) of a reference; null where the preset does not go by them, or none were kept."""
    if preset != PRESET:
        return None
    found = _kept.get(identity, lambda: _read(connection, identity, width))
    return found if len(found) else None


def _read(connection: duckdb.DuckDBPyConnection, identity: str, width: int) -> Integers:
    rows = connection.execute(
        "SELECT chunk, slots, counts FROM monitor_reference_chunk WHERE reference = ? ORDER BY chunk", [identity]
    ).fetchall()
    found = np.zeros((len(rows), width), np.int64)
    for number, slots, counts in rows:
        found[number, np.array(slots, np.int64)] = counts
    return found
