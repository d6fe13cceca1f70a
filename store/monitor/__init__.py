"""What is watched: references, counts per window, drift, realised performance, alerts."""

from store.monitor.alerts import act, insight, open_alerts
from store.monitor.counts import Taken, record_predictions
from store.monitor.fleet import Fleet, Summary, summary
from store.monitor.judge import evaluate
from store.monitor.labels import Labelled, LabelScan, record_labels, scan_labels
from store.monitor.reading import distribution, drift, heatmap, performance_over_time
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
