"""The quality of what arrives, per window: missing and wrong values, duplicates, volume and staleness, from counts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

import duckdb
import numpy as np

from store.database import times
from store.monitor import counts
from store.monitor.bins import FeatureBins, Integers
from store.monitor.deployments import split
from store.monitor.file_figures import CHECKS, Figures, Kind, fed, unplaced, unplaced_without_data
from store.monitor.reference import Reference, load_reference
from store.monitor.scan import DEFAULTS
from store.monitor.spans import Span, span
from store.monitor.windows import Window
from store.protocol import SpanParams
from store.settings import MonitorSettings

#: By how much a share may exceed the reference's, beyond what chance puts on top of it. Labels that are not there yet
#: come in a later file as a rule.
LIMITS: dict[str, float] = {
    "missing": 0.05,
    "null_share": 0.05,
    "type_errors": 0.0,
    "out_of_range": 0.05,
    "absent": 0.0,
    **dict.fromkeys([*CHECKS["predictions"], *CHECKS["labels"]], 0.01),
    "label_missing": 0.5,
}
#: Of each feature; the other limits are of a window's files.
FEATURE_CHECKS = ("missing", "null_share", "type_errors", "out_of_range", "absent")
#: A window of less than this share of the usual rows has too little volume.
LEAST_VOLUME = 0.5
#: Windows that must be known before any volume is called usual.
USUAL_FROM = 4
#: Standard errors that a share may be above the reference's by chance.
_ERRORS = 3.0


@dataclasses.dataclass(frozen=True)
class QualityRow:
    """One check of one window; `feature` is "" where it is of the window as a whole.

    `check` is one of `LIMITS`, volume, delay or staleness, or the code of any other note that counts rows (`feature` is
    then its column). Shares are of `rows`; `value` of volume is in rows, of delay and staleness in seconds. `reference`
    is the reference's share, or the usual volume. `failed` is None where nothing says what would be right.
    """

    version: str
    feature: str
    start: int
    check: str
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
    without the column), `missing` (rows without any usable value: null, NaN, infinite, no number, or absent).
    Of a window: `volume` against the median of the other windows, `delay` from the window's last event to the first
    file that brought it, and shares of the rows of its files (those that fed several windows count in each):
    `duplicates` (rows that repeat a prediction_id), `left_out`, and of these `without_time` (no readable time) and
    `implausible_time`; `without_id` (counted, but never labelled). `staleness` is said of the newest window alone: how
    long ago its last file came.

    Of label files, in the window that was the newest with data when they came (they have none of their own):
    `label_left_out`, `label_without_id`, `label_missing` (no label yet), `label_duplicates`, `label_not_a_number` (of a
    regression), `label_time_unreadable` and `label_time_implausible`. Prediction files of which no row was counted
    stand there, too, under version "". Of a deployment that has no window at all it is the window of the moment when
    they came. Whatever else counts rows is listed by its code, without a limit.
    """
    asked = span(connection, params, settings)
    if not asked.starts:
        if counts.last_data(connection, params.deployment, asked.at) is None and params.version == "":
            found = unplaced_without_data(
                connection, params.deployment, asked.window, params.since, params.until, params.count, asked.at
            )
            yield from _unplaced(found, "in the window when it came")
        return
    yield from _windows(connection, params, asked)
    versions = counts.traffic(connection, params.deployment, asked.window, asked.since, asked.end, asked.at).versions
    model = split(params.deployment).model
    for version in sorted(set(versions)):
        reference = load_reference(connection, model, version)
        if reference is None or params.version not in ("", version):
            continue
        over = (connection, params.deployment, version, reference, asked.window, asked.since, asked.end, asked.at)
        rows = watched_rows(*over)
        starts, dense = counts.slot_sums(*over)
        place = {start: number for number, start in enumerate(starts.tolist())}
        nothing = np.zeros(reference.width, np.int64)
        for start, count in sorted(rows.items()):
            # Files may lack every column: then nothing was counted anywhere.
            window = dense[place[start]] if start in place else nothing
            for feature in reference.features:
                yield from _feature(version, reference, feature, start, window, count)


def watched_rows(
    connection: duckdb.DuckDBPyConnection,
    deployment: str,
    version: str,
    reference: Reference,
    window: Window,
    since: float,
    until: float,
    at: datetime | None,
) -> dict[int, int]:
    """Window start → rows that came while the version's features were watched: what came before there was a
    reference lacks every feature for no fault of its own."""
    rows = connection.execute(
        f"SELECT {window.sql('window_start')} AS w, sum(row_count)::BIGINT FROM monitor_window WHERE deployment = $1"
        " AND version = $2 AND reference = $3 AND window_start >= make_timestamp($4)"
        " AND window_start < make_timestamp($5) AND ($6 IS NULL OR recorded_at <= $6) GROUP BY ALL",
        [
            deployment,
            version,
            reference.identity,
            round(since * 1e6),
            round(until * 1e6),
            times.to_db(at) if at else None,
        ],
    ).fetchall()
    return {int(start): int(count) for start, count in rows}


@dataclasses.dataclass(frozen=True)
class Share:
    """`value` of `rows` rows fail a check, and `reference` of the reference's; null where there are no rows of it.

    `noise` is what chance may put on top of a limit of `reference` + `LIMITS[check]`.
    """

    check: str
    value: float | None
    reference: float | None
    noise: float | None
    rows: int


class Counted(Protocol):
    """What a window's counts are held against: a version's reference, or the profile of some files."""

    @property
    def rows(self) -> int: ...
    def of(self, feature: FeatureBins) -> Integers: ...


def fails(share: Share) -> bool | None:
    """Whether more rows than the limit allows fail the check, beyond chance; null where nothing says what would be."""
    if share.value is None or share.reference is None or share.noise is None:
        return None
    return share.value > share.reference + LIMITS[share.check] + share.noise


def shares(reference: Counted, feature: FeatureBins, window: Integers, window_rows: int) -> Iterator[Share]:
    """Every check of one feature, from the counts of a window (its slots) of so many rows."""
    before = reference.of(feature)
    after = window[feature.offset : feature.offset + feature.width]
    n, m = int(before.sum()), int(after.sum())
    # What a file lacks stands in no slot. An uncounted score is no column of the reference.
    gone, never = max(0, window_rows - m), max(0, reference.rows - n)
    missing = slice(feature.missing_from, None)
    if n:
        yield _share("absent", gone, window_rows, never, reference.rows)
        found, known = int(after[missing].sum()) + gone, int(before[missing].sum()) + never
        yield _share("missing", found, window_rows, known, reference.rows)
    null = slice(feature.null_slot, feature.null_slot + (1 if feature.kind == "categorical" else 2))
    yield _share("null_share", int(after[null].sum()), m, int(before[null].sum()), n)
    if feature.kind == "categorical":
        if feature.tail_known:
            new = feature.new_slots
            share = _share("out_of_range", int(after[new].sum()), m, int(before[new].sum()), n)
            yield dataclasses.replace(share, noise=_with_unseen(share.noise, feature, m, n))
        return
    yield _share("type_errors", int(after[-1]), m, int(before[-1]), n)
    outside = [0, feature.bins + 1, feature.null_slot + 2]
    yield _share("out_of_range", int(after[outside].sum()), m, int(before[outside].sum()), n)


def _with_unseen(noise: float | None, feature: FeatureBins, m: int, n: int) -> float | None:
    """With the share of categories that the reference may lack by chance: singles / n (Good 1953), and three errors."""
    if noise is None or not feature.singles:
        return noise
    unseen = feature.singles / n
    return max(noise, unseen + _ERRORS * math.sqrt(unseen * (1 / m + 1 / n)))


def _share(check: str, found: int, of: int, known: int, known_of: int) -> Share:
    value = found / of if of else None
    expected = known / known_of if known_of else None
    if value is None or expected is None:
        return Share(check, value, expected, None, of)
    noise = _ERRORS * _error(expected + LIMITS[check], known + found, known_of + of) * math.sqrt(1 / of + 1 / known_of)
    return Share(check, value, expected, noise, of)


def _feature(
    version: str, reference: Reference, feature: FeatureBins, start: int, window: Integers, window_rows: int
) -> Iterator[QualityRow]:
    for share in shares(reference, feature, window, window_rows):
        limit = failed = None
        why = ""
        if share.value is None:
            why = "no rows"
        elif share.reference is None or share.noise is None:
            why = "the reference holds no values of this feature"
        else:
            limit = share.reference + LIMITS[share.check]
            failed = fails(share)
        yield QualityRow(
            version,
            feature.name,
            start,
            share.check,
            share.value,
            share.reference,
            share.noise,
            limit,
            share.rows,
            failed,
            why,
        )


def _error(limit: float, found: int, of: int) -> float:
    """Standard deviation of one row where the share is at its limit, or as pooled if that is more; never quite 0."""
    share = min(0.5, max(limit, (found + 1) / (of + 2)))
    return math.sqrt(share * (1 - share))


# --- windows as a whole ----------------------------------------------------------------------------------


def _windows(connection: duckdb.DuckDBPyConnection, params: SpanParams, asked: Span) -> Iterator[QualityRow]:
    every = fed(connection, params.deployment, params.version, asked.window, asked.since, asked.end, asked.at)
    volumes: dict[int, int] = {}
    for one in every:
        volumes[one.start] = volumes.get(one.start, 0) + one.rows
    newest = max((one.last_recorded for one in every), default=0.0)
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
    for one in every:
        yield QualityRow(
            one.version, "", one.start, "delay", one.first_recorded - one.last, None, None, None, one.rows, None
        )
        if one.figures.files:
            yield from _files("predictions", one.version, one.start, one.figures)
        else:
            for check in CHECKS["predictions"]:
                why = "its files are no longer known"
                yield QualityRow(one.version, "", one.start, check, None, 0.0, None, LIMITS[check], 0, None, why)
    if params.version == "":
        found = unplaced(connection, params.deployment, every, asked.since, asked.end, asked.at)
        yield from _unplaced(found, "in the window that was the newest when it came")


def _unplaced(found: dict[tuple[int, Kind], Figures], where: str) -> Iterator[QualityRow]:
    for (start, kind), one in sorted(found.items()):
        files = f"{one.files:,} file{'s' if one.files > 1 else ''}"
        what = f"of {files} of labels" if kind == "labels" else f"no row of {files} was counted"
        yield from _files(kind, "", start, one, f"{what}, {where}")


def _files(kind: Kind, version: str, start: int, one: Figures, why: str = "") -> Iterator[QualityRow]:
    """The checks of files, then what else was counted about them."""
    for check in CHECKS[kind]:
        share, limit = one.counts.get(check, 0) / one.rows if one.rows else None, LIMITS[check]
        failed = None if share is None else share > limit
        yield QualityRow(
            version, "", start, check, share, 0.0, None, limit, one.rows, failed, why if one.rows else "no rows"
        )
    for (code, column), (rows, text) in sorted(one.others.items()):
        share = rows / one.rows if one.rows else None
        said = f"{text}; {why}" if why else text
        yield QualityRow(version, column, start, code, share, None, None, None, one.rows, None, said)
