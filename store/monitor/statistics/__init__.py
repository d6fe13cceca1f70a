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
from store.monitor.statistics.groups import Grouping, psi_groups
from store.monitor.statistics.values import Value, Values
from store.monitor.statistics.verdicts import GUARANTEES, WATCH_LEVEL, WINDOW_LEVEL, FeatureVerdict, verdicts

__all__ = [
    "CATEGORICAL",
    "GUARANTEES",
    "NUMERIC",
    "STATISTICS",
    "THRESHOLDS",
    "WATCH_LEVEL",
    "WINDOW_LEVEL",
    "FeatureVerdict",
    "Grouping",
    "Value",
    "Values",
    "psi_groups",
    "scale",
    "statistic",
    "statistics_for",
    "statistics_of",
    "thresholds",
    "verdicts",
]
