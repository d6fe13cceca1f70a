"""Performance over time as the screens and listings show it: realised, estimated, and how far labels have come."""

from __future__ import annotations

import functools

import duckdb
import numpy as np

from store.catalog.manifest import ModelManifest
from store.database import times
from store.monitor import counts, estimated, performance
from store.monitor.bins import SCORE, Floats, Integers
from store.monitor.counts import Traffic
from store.monitor.deployments import split
from store.monitor.estimated import Estimate
from store.monitor.frontier import frontier
from store.monitor.realised import (
    SEPARATOR,
    PerformanceSums,
    performance_sums,
    reference_metric,
    slice_names,
    slice_sums,
)
from store.monitor.reference import load_reference, manifest_of
from store.monitor.scan import DEFAULTS
from store.monitor.spans import Span, marks, span
from store.protocol import ExitCode, Performance, PerformanceLine, PerformanceParams, Refusal
from store.settings import MonitorSettings

#: A slice column shows at most so many of its values, those with most labels.
MAX_SLICE_LINES = 12


def performance_over_time(
    connection: duckdb.DuckDBPyConnection, params: PerformanceParams, settings: MonitorSettings = DEFAULTS
) -> Performance:
    """Realised and estimated metrics per window: of each version, and ("" as version) of whichever had most labels
    (if estimated: made most predictions) in the window; with `params.slice`, realised ones by its values too.

    Raises `Refusal` for an unknown metric, or a slice column that no label was counted by.
    """
    asked = span(connection, params, settings)
    view = PerformanceView(connection, params.deployment, asked)
    task = next(iter(view.manifests.values())).task if view.manifests else "binary"
    for name in params.metrics:
        if not performance.known_metric(name):
            known = {name for names in performance.METRICS.values() for name in names}
            raise Refusal(ExitCode.USAGE, f"No metric {name!r}.", "One of: " + ", ".join(sorted(known)))
    slices = slice_names(connection, params.deployment, asked.since, asked.end, asked.at)
    if params.slice and params.slice not in slices:
        held = ", ".join(slices) or "none; model.json names them under `slices`"
        raise Refusal(ExitCode.USAGE, f"No labels are counted by {params.slice[:80]!r}.", f"Slices: {held}.")
    lines: list[PerformanceLine] = []
    for name in params.metrics or performance.DEFAULT_LINES[task]:
        lines += view.realised_lines(name)
        lines += view.estimated_lines(name)
        if params.slice:
            lines += view.slice_lines(name, params.slice)
    rows = [view.traffic.total(start) for start in asked.starts]
    labelled = [sum(view.sums.labelled.get((start, name), 0) for name in view.sums.names) for start in asked.starts]
    found = frontier(
        connection, params.deployment, asked.window, asked.starts, rows, labelled, view.estimable(), asked.at
    )
    return Performance(
        deployment=params.deployment,
        window_seconds=asked.window.seconds,
        starts=[float(start) for start in asked.starts],
        rows=rows,
        labelled=labelled,
        lines=lines,
        marks=marks(connection, params.deployment, asked.since, asked.end, asked.at),
        why=asked.why or ("" if any(labelled) else "No labels have arrived for these predictions."),
        maturity=found.maturity,
        expected=found.expected,
        frontier=found.before,
        delays=found.delays,
        slices=slices,
        metrics=list(performance.METRICS[task]),
    )


class PerformanceView:
    """What one reading of a deployment's performance over a span works with; each part is read once, when needed."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, deployment: str, asked: Span) -> None:
        self._connection = connection
        self._deployment = deployment
        self._model = split(deployment).model
        self._scores: dict[str, tuple[Integers, Integers]] = {}
        self.asked = asked

    @functools.cached_property
    def traffic(self) -> Traffic:
        asked = self.asked
        return counts.traffic(self._connection, self._deployment, asked.window, asked.since, asked.end, asked.at)

    @functools.cached_property
    def sums(self) -> PerformanceSums:
        asked = self.asked
        return performance_sums(self._connection, self._deployment, asked.window, asked.since, asked.end, asked.at)

    @functools.cached_property
    def manifests(self) -> dict[str, ModelManifest]:
        names = sorted({*self.traffic.versions, *self.sums.names})
        return {name: manifest_of(self._connection, self._model, name) for name in names}

    def reference(self, version: str, metric: str) -> float | None:
        """The metric on the version's reference."""
        return reference_metric(self._connection, self.manifests[version], metric)

    # --- realised ----------------------------------------------------------------------------------------

    @functools.cached_property
    def _cells(self) -> dict[tuple[int, str], tuple[Integers, Floats]]:
        return {(start, version): self.sums.total(version, start, start + 1) for start, version in self.sums.labelled}

    def realised(self, start: int, version: str, name: str) -> tuple[float | None, str]:
        """(value, why there is none) of a metric in one window."""
        cell = self._cells.get((start, version))
        if cell is None:
            return None, "no labelled predictions"
        return performance.metric(self.manifests[version].task, name, *cell)

    def realised_lines(self, name: str) -> list[PerformanceLine]:
        """The line of what served, then one a version if there are several."""
        starts = self.asked.starts
        versions = [version for version in self.sums.names if performance.of_task(self.manifests[version].task, name)]
        main = [self.sums.main_version(start) for start in starts]

        def line(version: str, by: list[str | None]) -> PerformanceLine:
            found = [
                self.realised(start, chosen, name) if chosen in versions else (None, "no labelled predictions")
                for start, chosen in zip(starts, by, strict=True)
            ]
            values = [value for value, _ in found]
            known = next((chosen for chosen in reversed(by) if chosen), None)
            why = "" if any(value is not None for value in values) or not found else _last_reason(found)
            before = self.reference(known, name) if known is not None else None
            return PerformanceLine(name, version, "realised", values, before, why=why)

        lines = [line("", main)]
        if len(versions) > 1:
            lines += [line(version, [version] * len(starts)) for version in versions]
        return lines

    def slice_lines(self, name: str, slice: str) -> list[PerformanceLine]:
        """The metric of whatever version served, by the values of a slice column, most labels first."""
        sums = self.slice_sums(slice)
        labels: dict[str, int] = {}
        for (_, key), count in sums.labelled.items():
            value = key.partition(SEPARATOR)[2]
            labels[value] = labels.get(value, 0) + count
        lines = []
        for value in sorted(labels, key=lambda value: (-labels[value], value))[:MAX_SLICE_LINES]:
            values: list[float | None] = []
            for start in self.asked.starts:
                version = self.sums.main_version(start)
                key = f"{version}{SEPARATOR}{value}"
                cell = sums.total(key, start, start + 1) if (start, key) in sums.labelled else None
                values.append(
                    performance.metric(self.manifests[version].task, name, *cell)[0] if cell and version else None
                )
            lines.append(PerformanceLine(name, "", "realised", values, None, slice=value))
        return lines

    def slice_sums(self, slice: str) -> PerformanceSums:
        asked = self.asked
        return slice_sums(self._connection, self._deployment, slice, asked.window, asked.since, asked.end, asked.at)

    # --- estimated ---------------------------------------------------------------------------------------

    def estimates(self, version: str, names: tuple[str, ...]) -> tuple[dict[int, dict[str, Estimate]], str]:
        """(window start → metric → estimate, why there is none at all) of one version."""
        manifest = self.manifests[version]
        if manifest.task == "regression":
            return self._errors(version, names)
        reference = load_reference(self._connection, self._model, version)
        if reference is None:
            return {}, "the version has no reference"
        fitted, why = estimated.calibration(reference, manifest)
        if fitted is None:
            return {}, why
        if version not in self._scores:
            feature, asked = reference.by_name[SCORE], self.asked
            self._scores[version] = counts.feature_sums(
                self._connection, self._deployment, version, reference, feature, asked.window, asked.since, asked.end,
                asked.at,
            )  # fmt: skip
        starts, dense = self._scores[version]
        return {start: fitted.estimate(names, dense[place]) for place, start in enumerate(starts.tolist())}, ""

    def _errors(self, version: str, names: tuple[str, ...]) -> tuple[dict[int, dict[str, Estimate]], str]:
        """What a worker expected of a regression's errors, file by file."""
        asked = self.asked
        rows = self._connection.execute(
            f"SELECT {asked.window.sql('window_start')} AS w, sum(row_count)::BIGINT, sum(sums[1]), sum(sums[2]),"
            " sum(sums[3]), sum(sums[4]) FROM monitor_estimate WHERE deployment = $1 AND version = $2"
            " AND window_start >= make_timestamp($3) AND window_start < make_timestamp($4)"
            " AND ($5 IS NULL OR recorded_at <= $5) GROUP BY ALL",
            [
                self._deployment, version, round(asked.since * 1e6), round(asked.end * 1e6),
                times.to_db(asked.at) if asked.at else None,
            ],
        ).fetchall()  # fmt: skip
        if not rows:
            return {}, "no worker has estimated this version's errors yet"
        return {int(row[0]): estimated.of_errors(names, int(row[1]), np.array(row[2:], np.float64)) for row in rows}, ""

    def estimated_lines(self, name: str) -> list[PerformanceLine]:
        """The line over the version that made most of each window's predictions, then one a version if several."""
        starts = self.asked.starts
        found: dict[str, dict[int, dict[str, Estimate]]] = {}
        whys: dict[str, str] = {}
        for version in sorted(set(self.traffic.versions)):
            if performance.of_task(self.manifests[version].task, name):
                found[version], whys[version] = self.estimates(version, (name,))
        if not found:
            return []
        main = [self.traffic.main_version(start) for start in starts]
        nothing = Estimate(None)

        def line(version: str, by: list[str | None]) -> PerformanceLine:
            cells = [
                found.get(chosen or "", {}).get(start, {}).get(name, nothing)
                for chosen, start in zip(by, starts, strict=True)
            ]
            shown = version or next((chosen for chosen in reversed(by) if chosen), "")
            values = [cell.value for cell in cells]
            why = "" if any(value is not None for value in values) else whys.get(shown, "")
            why = why or next((cell.why for cell in cells if cell.why and not any(v is not None for v in values)), "")
            return PerformanceLine(
                name, version, "estimated", values, self.reference(shown, name) if shown in self.manifests else None,
                [cell.lower for cell in cells], [cell.upper for cell in cells], why=why,
            )  # fmt: skip

        lines = [line("", main)]
        if len(found) > 1:
            lines += [line(version, [version] * len(starts)) for version in found]
        return lines

    def estimable(self) -> list[bool]:
        """Window by window, whether an estimate stands in where no label has come."""
        able: dict[str, bool] = {}
        for version, manifest in self.manifests.items():
            if manifest.task == "regression":
                able[version] = bool(self._errors(version, ())[0])
                continue
            reference = load_reference(self._connection, self._model, version)
            able[version] = reference is not None and estimated.calibration(reference, manifest)[0] is not None
        return [able.get(self.traffic.main_version(start) or "", False) for start in self.asked.starts]


def _last_reason(found: list[tuple[float | None, str]]) -> str:
    """Why the newest window that has labels has no value, else why none has."""
    whys = [why for _, why in found]
    return next((why for why in reversed(whys) if why != "no labelled predictions"), whys[-1])
