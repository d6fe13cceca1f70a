"""What is watched: references, counts per window, drift, realised performance, alerts.

The names below are imported when they are first used: what needs only the counting (the drift command's worker, a
process of a cluster) starts without the database.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from store.monitor.alerts import act, insight, open_alerts
    from store.monitor.fleet import Fleet, Summary, summary
    from store.monitor.judge import evaluate
    from store.monitor.labels import Labelled, LabelScan, record_labels, scan_labels
    from store.monitor.performance_reading import performance_over_time
    from store.monitor.reading import distribution, drift, heatmap
    from store.monitor.recording import Taken, record_predictions
    from store.monitor.reference import Reference, record_reference, scan_reference
    from store.monitor.scan import PredictionScan, scan_predictions

__all__ = [
    "Fleet",
    "LabelScan",
    "Labelled",
    "PredictionScan",
    "Reference",
    "Summary",
    "Taken",
    "act",
    "distribution",
    "drift",
    "evaluate",
    "heatmap",
    "insight",
    "open_alerts",
    "performance_over_time",
    "record_labels",
    "record_predictions",
    "record_reference",
    "scan_labels",
    "scan_predictions",
    "scan_reference",
    "summary",
]

_MODULES = {
    "alerts": ("act", "insight", "open_alerts"),
    "fleet": ("Fleet", "Summary", "summary"),
    "judge": ("evaluate",),
    "labels": ("LabelScan", "Labelled", "record_labels", "scan_labels"),
    "performance_reading": ("performance_over_time",),
    "reading": ("distribution", "drift", "heatmap"),
    "recording": ("Taken", "record_predictions"),
    "reference": ("Reference", "record_reference", "scan_reference"),
    "scan": ("PredictionScan", "scan_predictions"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
