"""A preset's verdicts on two sets of files, put into the report that `quarterdeck drift` shows."""

from __future__ import annotations

import msgspec
import numpy as np

from store.monitor.bins import Integers
from store.monitor.presets.judging import Preset
from store.monitor.presets.verdicts import PresetVerdict, verdicts
from store.monitor.profile import Binned
from store.monitor.statistics import FeatureVerdict
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
        # Of a window in which it judged nothing a preset says nothing either.
        preset_drifted=judgement.drifted if any(row.drifted is not None for row in judgement.rows) else None,
        preset_share=judgement.share,
    )


def _headed(feature: ComparedFeature, verdict: FeatureVerdict, statistics: list[StatisticValue]) -> ComparedFeature:
    # Rows without the column are certain, whatever a preset says of those that have it.
    gone = feature.alarm and feature.reason == "absent"
    return msgspec.structs.replace(
        feature,
        statistic=verdict.statistic,
        value=verdict.value,
        noise_floor=None,
        threshold=None if np.isnan(verdict.threshold) else verdict.threshold,
        p_value=verdict.p_value,
        q_value=None,
        alarm=verdict.alarm or gone,
        severity=feature.severity if gone else verdict.severity,
        guarantee="",
        why=feature.why if gone else verdict.explanation,
        state="drifted" if gone else verdict.state,
        reason=feature.reason if gone else verdict.reason,
        statistics=[*statistics, *feature.statistics],
    )
