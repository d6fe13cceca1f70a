"""Which drifted features matter: drift × importance, and whether performance went down when the feature drifted."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import duckdb
import numpy as np

from store.catalog.manifest import ModelManifest
from store.monitor import estimated, performance
from store.monitor.bins import Floats, Integers
from store.monitor.performance_reading import PerformanceView
from store.monitor.spans import Span

#: Windows with drift and performance that a correlation takes.
MIN_WINDOWS = 8
#: Labels that a window's performance takes, else its estimate stands in.
MIN_LABELLED = 30


@dataclasses.dataclass(frozen=True)
class Relevance:
    """`importance` is the feature's share of what model.json says under `importance` (they add up to 1);
    `correlation` Spearman's rank correlation of its drift with the loss of performance, window by window.
    `basis` names what weighs the drift: the importance where it is given, else the correlation.
    """

    importance: Mapping[str, float]
    correlation: Mapping[str, float]
    basis: str

    def weight(self, feature: str) -> float | None:
        """0 to 1; null where neither is known. Drift that goes with better performance weighs nothing."""
        if self.importance:
            return self.importance.get(feature, 0.0)
        found = self.correlation.get(feature)
        return None if found is None else max(0.0, found)

    def of(self, feature: str, drift: float | None) -> float | None:
        """`drift` (see `excess`) times the weight."""
        weight = self.weight(feature)
        return None if weight is None or drift is None else weight * drift


def excess(value: float | None, noise: float | None, threshold: float) -> float | None:
    """How far a statistic lies beyond its noise floor, in units of its threshold."""
    if value is None:
        return None
    return max(0.0, abs(value) - (noise or 0.0)) / threshold if threshold > 0 else None


def declared(manifest: ModelManifest) -> dict[str, float]:
    """Feature → share of importance, of `"importance": {"feature": number, …}` in model.json; empty without one.

    Signs are left out (coefficients may be given); what is no number counts for nothing.
    """
    given = manifest.extra.get("importance")
    if not isinstance(given, dict):
        return {}
    numbers = {
        str(name): abs(float(value))
        for name, value in given.items()
        if isinstance(value, int | float) and np.isfinite(value)
    }
    total = sum(numbers.values())
    return {name: value / total for name, value in numbers.items()} if total > 0 else {}


def relevance(
    connection: duckdb.DuckDBPyConnection, deployment: str, asked: Span, drifts: Mapping[str, Mapping[int, float]]
) -> Relevance:
    """Weights for the features of `drifts` (feature → window start → how far it drifted)."""
    view = PerformanceView(connection, deployment, asked)
    served = [view.traffic.main_version(start) for start in asked.starts]
    newest = next((version for version in reversed(served) if version), None)
    importance = declared(view.manifests[newest]) if newest is not None else {}
    losses = _losses(view, served) if len(asked.starts) >= MIN_WINDOWS else {}
    correlation = {}
    for name, by_window in drifts.items():
        both = [start for start in losses if start in by_window]
        if len(both) >= MIN_WINDOWS:
            found = spearman(
                np.array([by_window[start] for start in both]), np.array([losses[start] for start in both])
            )
            if found is not None:
                correlation[name] = found
    basis = "importance" if importance else "correlation" if correlation else ""
    return Relevance(importance, correlation, basis)


def _losses(view: PerformanceView, served: list[str | None]) -> dict[int, float]:
    """Window start → how much worse than on the reference, by the task's first metric: realised where there are
    labels, else estimated."""
    found: dict[int, float] = {}
    expected: dict[str, dict[int, dict[str, estimated.Estimate]]] = {}
    for start, version in zip(view.asked.starts, served, strict=True):
        if version is None:
            continue
        name = performance.DEFAULT_LINES[view.manifests[version].task][0]
        value: float | None = None
        if view.sums.labelled.get((start, version), 0) >= MIN_LABELLED:
            value, _ = view.realised(start, version, name)
        if value is None:
            if version not in expected:
                expected[version] = view.estimates(version, (name,))[0]
            estimate = expected[version].get(start, {}).get(name)
            value = estimate.value if estimate else None
        if value is not None:
            before = view.reference(version, name) or 0.0
            found[start] = value - before if name in performance.LOSSES else before - value
    return found


def spearman(first: Floats, second: Floats) -> float | None:
    """Spearman's rank correlation, ties with their mean rank; null where one side does not vary."""
    ranks = [_ranks(first), _ranks(second)]
    centred = [rank - rank.mean() for rank in ranks]
    bottom = float(np.sqrt((centred[0] ** 2).sum() * (centred[1] ** 2).sum()))
    return float((centred[0] * centred[1]).sum()) / bottom if bottom > 0 else None


def _ranks(values: Floats) -> Floats:
    place: Integers
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Floats = (last - (counts - 1) / 2)[place]
    return ranks
