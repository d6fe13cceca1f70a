"""A preset's verdicts on two sets of files, put into the report that `quarterdeck drift` shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from store.monitor import counting, parts
from store.monitor.bins import Integers
from store.monitor.parts import Part
from store.monitor.presets.judging import Preset
from store.monitor.presets.nannyml import CHUNKS
from store.monitor.presets.verdicts import PresetVerdict, verdicts
from store.monitor.profile import Binned
from store.protocol import ComparedFeature, DriftReport, StatisticValue


def reported(
    report: DriftReport, preset: Preset, reference: Binned, current: Integers, chunks: Integers | None = None
) -> DriftReport:
    """The report with the preset's verdict on each feature and on the whole; worst features first.

    Each feature's headline and alarm are the preset's; what Quarterdeck computed stays among its statistics. A
    column that went missing stays an alarm.
    """
    judgement = preset.judge(reference.features, reference.counts, current, chunks)
    [told] = verdicts(preset, reference, current[None, :], chunks)
    by_name = {verdict.feature: verdict for verdict in told}
    extra: dict[str, list[StatisticValue]] = {}
    for row in judgement.rows:
        p = row.value if row.statistic.endswith("_p") else None
        name = f"{preset.name}.{row.statistic}" if row.statistic else preset.name
        extra.setdefault(row.feature, []).append(
            StatisticValue(name, row.value, None, row.threshold, p, row.drifted, row.why)
        )
    features = [_headed(feature, by_name[feature.feature], extra[feature.feature]) for feature in report.features]

    def rank(feature: ComparedFeature) -> tuple[bool, float, str]:
        verdict = by_name[feature.feature]
        size = verdict.strength if isinstance(verdict, PresetVerdict) else None
        return not feature.alarm, -(size or 0.0), feature.feature

    return msgspec.structs.replace(
        report,
        features=sorted(features, key=rank),
        preset=preset.name,
        preset_drifted=judgement.drifted,
        preset_share=judgement.share,
    )


def _headed(feature: ComparedFeature, verdict: Any, statistics: list[StatisticValue]) -> ComparedFeature:
    gone = feature.alarm and not feature.rows
    return msgspec.structs.replace(
        feature,
        statistic=verdict.statistic,
        value=verdict.value,
        noise_floor=None,
        threshold=None if np.isnan(verdict.threshold) else verdict.threshold,
        p_value=verdict.p_value,
        q_value=None,
        alarm=verdict.alarm or gone,
        severity="critical" if gone else verdict.severity,
        guarantee="",
        why=feature.why if gone else verdict.why,
        statistics=[*statistics, *feature.statistics],
    )


def chunks_of(paths: Sequence[str], reference: Binned, rows: int) -> Integers:
    """The reference's own rows, in the order of its files, in ten chunks and what remains (chunks × width).

    One more reading of the files. Raises `Refusal` (usage).
    """
    size = max(1, rows // CHUNKS)
    found = np.zeros(((rows + size - 1) // size, reference.width), np.int64)
    first = 0
    for part in parts.parts_of(paths):
        first += _deal(part, reference, first, size, found)
    return found


def _deal(part: Part, reference: Binned, first: int, size: int, found: Integers) -> int:
    """Add the part's rows, of which the first is row `first` of all, to their chunks; how many there were."""
    if part.format == "parquet":
        held = parts.open_parquet(part.path).types
        wanted = [feature.name for feature in reference.features if feature.name in held]
        rows = part.rows or 0
        for arrays in parts.read_columns(part, wanted):
            _slices(arrays, {}, rows, reference, first, size, found)
        return rows
    rows = 0
    names = {feature.name: feature.name for feature in reference.features}
    for batch_rows, arrays, marks in counting.text_batches(part, reference, names):
        _slices(arrays, marks, batch_rows, reference, first + rows, size, found)
        rows += batch_rows
    return rows


def _slices(
    arrays: dict[str, Any],
    marks: dict[str, Any],
    rows: int,
    reference: Binned,
    first: int,
    size: int,
    found: Integers,
) -> None:
    start = 0
    while start < rows:
        chunk = (first + start) // size
        length = min(rows - start, (chunk + 1) * size - (first + start))
        cut = {name: array.slice(start, length) for name, array in arrays.items()}
        wrong = {name: array.slice(start, length) for name, array in marks.items()}
        found[chunk] += counting.count_columns(cut, length, reference, 0, wrong).counts
        start += length
