"""Drift statistics from counts, each with its noise floor, and alarms that say which guarantee stands behind them."""

from store.monitor.statistics.catalogue import (
    CATEGORICAL,
    NUMERIC,
    STATISTICS,
    THRESHOLDS,
    scale,
    statistic,
    statistics_for,
    statistics_of,
    thresholds,
)
from store.monitor.statistics.causes import Cause, causes, describe
from store.monitor.statistics.groups import Grouping, psi_groups
from store.monitor.statistics.values import Value, Values
from store.monitor.statistics.verdicts import (
    FEW_ROWS_LEVEL,
    GUARANTEES,
    WATCH_LEVEL,
    WINDOW_LEVEL,
    FeatureVerdict,
    verdicts,
)

__all__ = [
    "CATEGORICAL",
    "FEW_ROWS_LEVEL",
    "GUARANTEES",
    "NUMERIC",
    "STATISTICS",
    "THRESHOLDS",
    "WATCH_LEVEL",
    "WINDOW_LEVEL",
    "Cause",
    "FeatureVerdict",
    "Grouping",
    "Value",
    "Values",
    "causes",
    "describe",
    "psi_groups",
    "scale",
    "statistic",
    "statistics_for",
    "statistics_of",
    "thresholds",
    "verdicts",
]
