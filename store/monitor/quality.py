"""The quality of what arrives, per window: missing and wrong values, duplicates, volume and staleness, from counts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Literal

import duckdb
import msgspec
import numpy as np

from store.database import times
from store.monitor import counts
from store.monitor.bins import FeatureBins, Integers
from store.monitor.deployments import split
from store.monitor.reference import Reference, load_reference
from store.monitor.scan import DEFAULTS
from store.monitor.spans import Span, span
from store.protocol import SpanParams
from store.settings import MonitorSettings

Check = Literal[
    "null_share",
    "type_errors",
    "out_of_range",
    "absent",
    "volume",
    "duplicates",
    "left_out",
    "delay",
    "staleness",
]

#: By how much a share may exceed the reference's, beyond what chance puts on top of it.
LIMITS: dict[Check, float] = {
    "null_share": 0.05,
    "type_errors": 0.0,
    "out_of_range": 0.05,
    "absent": 0.0,
    "duplicates": 0.01,
    "left_out": 0.01,
}
#: A window of less than this share of the usual rows has too little volume.
LEAST_VOLUME = 0.5
#: Windows that must be known before any volume is called usual.
USUAL_FROM = 4
#: Standard errors that a share may be above the reference's by chance.
_ERRORS = 3.0


@dataclasses.dataclass(frozen=True)
class QualityRow:
    """One check of one window; `feature` is "" where it is of the window as a whole.

    Shares are of `rows`; `value` of volume is in rows, of delay and staleness in seconds. `reference` is the
    reference's share, or the usual volume. `failed` is null where nothing says what would be right.
    """

    version: str
    feature: str
    start: int
    check: Check
    value: float | None
    reference: float | None
    noise_floor: float | None
    threshold: float | None
    rows: int
    failed: bool | None
    why: str = ""


def quality(
    connection: duckdb.DuckDBPyConnection, params: SpanParams, settings: MonitorSettings = DEFAULTS
) -> Iterator[QualityRow]:
    """Every check of every window that has data, version by version.

    Of a feature: `null_share` (null and NaN), `type_errors` (no numbers where numbers were expected),
    `out_of_range` (beyond the reference's extremes, infinite, or a category it lacks), `absent` (rows of files
    without the column). Of a window: `volume` against the median of the other windows, `delay` from the window's
    last event to the first file that brought it, and, of the files that fed it, `duplicates` (rows that repeat a
    prediction_id) and `left_out` (rows without a possible time); files that fed several windows count in each.
    `staleness` is said of the newest window alone: how long ago its last file came.
    """
    asked = span(connection, params, settings)
    if not asked.starts:
        return
    yield from _windows(connection, params, asked)
    traffic = counts.traffic(connection, params.deployment, asked.window, asked.since, asked.end, asked.at)
    rows = {
        (version, start): int(count)
        for version, start, count in zip(traffic.versions, traffic.starts.tolist(), traffic.rows, strict=True)
    }
    model = split(params.deployment).model
    for version in sorted(set(traffic.versions)):
        reference = load_reference(connection, model, version)
        if reference is None or params.version not in ("", version):
            continue
        starts, dense = counts.slot_sums(
            connection, params.deployment, version, reference, asked.window, asked.since, asked.end, asked.at
        )
        for place, start in enumerate(starts.tolist()):
            for feature in reference.features:
                yield from _feature(version, reference, feature, start, dense[place], rows.get((version, start), 0))


def _feature(
    version: str, reference: Reference, feature: FeatureBins, start: int, window: Integers, window_rows: int
) -> Iterator[QualityRow]:
    before = reference.of(feature)
    after = window[feature.offset : feature.offset + feature.width]
    n, m = int(before.sum()), int(after.sum())

    def row(check: Check, found: int, of: int, known: int, known_of: int) -> QualityRow:
        value = found / of if of else None
        expected = known / known_of if known_of else None
        if value is None or expected is None:
            why = "no rows" if value is None else "the reference holds no values of this feature"
            return QualityRow(version, feature.name, start, check, value, expected, None, None, of, None, why)
        limit = expected + LIMITS[check]
        noise = _ERRORS * _error(limit, known + found, known_of + of) * math.sqrt(1 / of + 1 / known_of)
        return QualityRow(version, feature.name, start, check, value, expected, noise, limit, of, value > limit + noise)

    # What a file lacks stands in no slot. An uncounted score is no column of the reference.
    if n:
        yield row("absent", max(0, window_rows - m), window_rows, max(0, reference.rows - n), reference.rows)
    missing = slice(feature.null_slot, feature.null_slot + (1 if feature.kind == "categorical" else 2))
    yield row("null_share", int(after[missing].sum()), m, int(before[missing].sum()), n)
    if feature.kind == "categorical":
        yield row("out_of_range", int(after[feature.bins]), m, int(before[feature.bins]), n)
        return
    yield row("type_errors", int(after[-1]), m, int(before[-1]), n)
    outside = [0, feature.bins + 1, feature.null_slot + 2]
    yield row("out_of_range", int(after[outside].sum()), m, int(before[outside].sum()), n)


def _error(limit: float, found: int, of: int) -> float:
    """Standard deviation of one row where the share is at its limit, or as pooled if that is more; never quite 0."""
    share = min(0.5, max(limit, (found + 1) / (of + 2)))
    return math.sqrt(share * (1 - share))


# --- windows as a whole ----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Fed:
    """A window of one version as its files brought it; the last three count over these files."""

    version: str
    start: int
    rows: int
    last: float
    first_recorded: float
    last_recorded: float
    file_rows: int
    repeated: int
    left_out: int


def _windows(connection: duckdb.DuckDBPyConnection, params: SpanParams, asked: Span) -> Iterator[QualityRow]:
    every = _fed(connection, params, asked)
    volumes: dict[int, int] = {}
    for fed in every:
        volumes[fed.start] = volumes.get(fed.start, 0) + fed.rows
    newest = max((fed.last_recorded for fed in every), default=0.0)
    now = (asked.at or times.now()).timestamp()
    last = max(volumes, default=0)
    for start, volume in sorted(volumes.items()):
        others = [value for other, value in volumes.items() if other != start]
        usual = float(np.median(others)) if len(others) >= USUAL_FROM else None
        # The newest window may not have ended.
        open_ended = start == last
        yield QualityRow(
            "",
            "",
            start,
            "volume",
            float(volume),
            usual,
            _ERRORS * math.sqrt(usual) if usual is not None else None,
            LEAST_VOLUME * usual if usual is not None else None,
            volume,
            None if usual is None or open_ended else volume < LEAST_VOLUME * usual - _ERRORS * math.sqrt(usual),
            "the window has not ended" if open_ended else "" if usual is not None else "too few windows to compare",
        )
        if start == last:
            age = max(0.0, now - newest)
            yield QualityRow("", "", start, "staleness", age, None, None, None, volume, None)
    for fed in every:
        delay = fed.first_recorded - fed.last
        yield QualityRow(fed.version, "", fed.start, "delay", delay, None, None, None, fed.rows, None)
        for check, found in (("duplicates", fed.repeated), ("left_out", fed.left_out)):
            share = found / fed.file_rows if fed.file_rows else None
            limit = LIMITS[check]  # type: ignore[index]  # both are checks
            yield QualityRow(
                fed.version,
                "",
                fed.start,
                check,  # type: ignore[arg-type]
                share,
                0.0,
                None,
                limit,
                fed.file_rows,
                None if share is None else share > limit,
                "" if share is not None else "its files are no longer known",
            )


def _fed(connection: duckdb.DuckDBPyConnection, params: SpanParams, asked: Span) -> list[_Fed]:
    at = times.to_db(asked.at) if asked.at else None
    bound = [params.deployment, asked.since * 1_000_000, asked.end * 1_000_000, at, params.version]
    rows = connection.execute(
        f"SELECT {asked.window.sql('window_start')} AS w, version, sum(row_count)::BIGINT, epoch(max(last_at)),"
        " epoch(min(coalesce(first_recorded_at, recorded_at))), epoch(max(recorded_at)), list(DISTINCT arrival)"
        " FROM monitor_window"
        " WHERE deployment = $1 AND window_start >= make_timestamp($2) AND window_start < make_timestamp($3)"
        " AND ($4 IS NULL OR recorded_at <= $4) AND ($5 = '' OR version = $5) GROUP BY ALL ORDER BY w, version",
        bound,
    ).fetchall()
    files = _files(connection, params.deployment, {arrival for row in rows for arrival in row[6]})
    found = []
    for start, version, count, last, first_recorded, last_recorded, arrivals in rows:
        known = [files[arrival] for arrival in arrivals if arrival in files]
        found.append(
            _Fed(
                str(version),
                int(start),
                int(count),
                float(last),
                float(first_recorded),
                float(last_recorded),
                sum(file.rows for file in known),
                sum(file.repeated for file in known),
                sum(file.left_out for file in known),
            )
        )
    return found


@dataclasses.dataclass(frozen=True)
class _File:
    rows: int
    repeated: int
    left_out: int


def _files(connection: duckdb.DuckDBPyConnection, deployment: str, wanted: set[str]) -> dict[str, _File]:
    """What was noted of the files with these digests."""
    rows = connection.execute(
        "SELECT arrival, row_count, notes FROM monitor_arrival WHERE deployment = ? AND kind = 'predictions'"
        " AND arrival IN (SELECT unnest(?::VARCHAR[]))",
        [deployment, sorted(wanted)],
    ).fetchall()
    return {str(row[0]): _File(int(row[1]), *_noted(msgspec.json.decode(row[2], type=list[str]))) for row in rows}


def _noted(notes: list[str]) -> tuple[int, int]:
    """(rows that repeat an id, rows left out) as the scan's notes say it: a count and then what it counts."""
    repeated = left_out = 0
    for note in notes:
        count, _, text = note.partition(" rows ")
        if not count.replace(",", "").isdigit():
            continue
        number = int(count.replace(",", ""))
        if text.startswith("repeat a prediction_id"):
            repeated += number
        elif text.endswith("left out"):
            left_out += number
    return repeated, left_out
