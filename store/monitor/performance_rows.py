"""The rows of `ls performance`: one a window, version, metric, kind and slice value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import duckdb

from store.monitor import performance
from store.monitor.frontier import frontier
from store.monitor.performance_reading import PerformanceView
from store.monitor.realised import SEPARATOR
from store.protocol import Cell


def performance_rows(
    connection: duckdb.DuckDBPyConnection, deployment: str, view: PerformanceView, version: str, slices: list[str]
) -> Iterator[list[Cell]]:
    """Rows of one deployment, of `version` alone if it is not ""; `slices` are the columns that are listed too.

    Metrics that cannot be computed, or not be estimated, are null with a `why`; of versions that nothing can be
    estimated for, no estimates are rows.
    """
    asked, traffic = view.asked, view.traffic
    totals = [traffic.total(start) for start in asked.starts]
    labels = [sum(view.sums.labelled.get((start, name), 0) for name in view.sums.names) for start in asked.starts]
    found = frontier(connection, deployment, asked.window, asked.starts, totals, labels, view.estimable(), asked.at)
    maturity = dict(zip(asked.starts, found.maturity, strict=True)) if found.maturity else {}
    on_reference: dict[tuple[str, str], float | None] = {}
    estimates = {}
    for name, manifest in view.manifests.items():
        for metric in performance.METRICS[manifest.task]:
            on_reference[name, metric] = view.reference(name, metric)
        if name in traffic.versions and version in ("", name):
            estimates[name] = view.estimates(name, performance.METRICS[manifest.task])[0]
    for place, served in enumerate(traffic.versions):
        if version and served != version:
            continue
        start, rows = int(traffic.starts[place]), int(traffic.rows[place])
        labelled = view.sums.labelled.get((start, served), 0)
        window: list[Cell] = [deployment, served, float(start), float(asked.window.next(start))]
        name = f"{deployment}/{served}"
        for metric in performance.METRICS[view.manifests[served].task]:
            value, why = view.realised(start, served, metric)
            before = on_reference[served, metric]
            known: list[Cell] = [metric, value, before, "realised", rows, labelled, why]
            yield [f"{name}/{metric}/{start}", *window, *known, None, None, "", maturity.get(start, "")]
            expected = estimates[served].get(start, {}).get(metric)
            if expected is not None:
                known = [metric, expected.value, before, "estimated", rows, labelled, expected.why]
                band: list[Cell] = [expected.lower, expected.upper]
                yield [f"{name}/{metric}/{start}/estimated", *window, *known, *band, "", maturity.get(start, "")]
    for slice in slices:
        yield from _slice_rows(deployment, view, version, slice, maturity)


def _slice_rows(
    deployment: str, view: PerformanceView, version: str, slice: str, maturity: Mapping[int, str]
) -> Iterator[list[Cell]]:
    sums = view.slice_sums(slice)
    for (start, key), labelled in sorted(sums.labelled.items()):
        served, _, value = key.partition(SEPARATOR)
        if version and served != version:
            continue
        task = view.manifests[served].task
        cell = sums.total(key, start, start + 1)
        for metric in performance.METRICS[task]:
            found, why = performance.metric(task, metric, *cell)
            yield [
                f"{deployment}/{served}/{metric}/{start}/{slice}={value}", deployment, served, float(start),
                float(view.asked.window.next(start)), metric, found, None, "realised", None, labelled, why,
                None, None, f"{slice}={value}", maturity.get(start, ""),
            ]  # fmt: skip
