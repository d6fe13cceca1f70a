"""Decides, at the end of each window, which alerts open and which are over."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime

from store.database import Transaction, times
from store.monitor import counts, performance, statistics
from store.monitor.alerts import Finding, Ledger, Rule
from store.monitor.bins import Integers
from store.monitor.deployments import split
from store.monitor.realised import performance_sums, reference_metric
from store.monitor.reference import load_reference, manifest_of
from store.monitor.scan import DEFAULTS
from store.monitor.windows import Window, window
from store.settings import MonitorSettings

#: After a long absence (or a year in one file) at most so many windows are decided at once.
MAX_WINDOWS = 400
#: An alert is over when its value falls this far below the threshold: what wavers around it does not flap.
HYSTERESIS = 0.8
#: The metrics that open alerts.
_WATCHED: dict[str, tuple[str, ...]] = {
    "binary": ("auc", "log_loss"),
    "multiclass": ("accuracy",),
    "regression": ("mae", "rmse"),
}


def evaluate(tx: Transaction, deployment: str, settings: MonitorSettings = DEFAULTS) -> None:
    """Open, update and close the deployment's alerts for the windows that ended since the last time.

    A window has ended when a later event time has arrived (for performance: a later label), so that the clock
    of the host plays no part. Each decision looks at `alert_span` windows together; `open_after` decisions in
    a row above the threshold open an alert, `close_after` below 0.8 of it close it. Cheap when no window ended.
    Late rows are seen by the next decision; past decisions stand.
    """
    width = window(settings.alert_window, settings.base_window_seconds)
    for rule, table, moment in (
        ("drift", "monitor_window", "last_at"),
        ("performance", "monitor_performance", "window_start"),
    ):
        found = tx.execute(
            f"SELECT (SELECT max(through) FROM monitor_judged WHERE deployment = $1 AND kind = $2), min(window_start),"
            f" max({moment}) FROM {table} WHERE deployment = $1",
            [deployment, rule],
        ).fetchall()[0]
        judged, earliest, latest = (times.seconds(value) for value in found)
        if latest is None or earliest is None:
            continue
        until = width.start(latest)
        since = int(judged) if judged is not None else width.start(earliest)
        if until <= since:
            continue
        ends = [width.next(start) for start in width.starts(width.back(until - 1, MAX_WINDOWS), until)]
        ends = [end for end in ends if end > since]
        _decide(tx, deployment, rule, width, ends, settings)  # type: ignore[arg-type]  # one of the two above
        tx.execute(
            "INSERT INTO monitor_judged VALUES (?, ?, ?, ?)",
            [deployment, rule, times.to_db(times.from_seconds(until)), tx.now_db],
        )


def _decide(
    tx: Transaction, deployment: str, rule: Rule, width: Window, ends: list[int], settings: MonitorSettings
) -> None:
    # The decisions just before are worked out again, so that "in a row" needs no memory of its own.
    memory = max(settings.open_after, settings.close_after) - 1
    first = ends[0]
    for _ in range(memory):
        first = width.next(width.start(width.start(first - 1) - 1))
    every = [width.next(start) for start in width.starts(first - 1, ends[-1])]
    judge = _drift if rule == "drift" else _performance
    ledger = Ledger(tx, deployment)
    runs: dict[tuple[str, str], int] = {}
    latest: dict[tuple[str, str], Finding] = {}
    for end, findings in judge(tx, deployment, width, every, settings):
        for finding in findings:
            run = runs.get(finding.key, 0)
            if finding.over is None:
                runs[finding.key] = 0
            else:
                runs[finding.key] = max(run, 0) + 1 if finding.over else min(run, 0) - 1
            if end < ends[0]:
                continue
            run = runs[finding.key]
            held = ledger.held.get(finding.key)
            if held is None:
                if run >= settings.open_after:
                    ledger.open(finding)
            elif run <= -settings.close_after:
                ledger.close(finding)
                latest.pop(finding.key, None)
            else:
                latest[finding.key] = finding
    for finding in latest.values():
        ledger.update(finding)
    ledger.write()


def _drift(
    tx: Transaction, deployment: str, width: Window, ends: list[int], settings: MonitorSettings
) -> Iterator[tuple[int, list[Finding]]]:
    """PSI of each feature over the last `alert_span` windows, of the version that predicted most of the last one."""
    since, until = width.back(width.start(ends[0] - 1), settings.alert_span), ends[-1]
    traffic = counts.traffic(tx.connection, deployment, width, since, until, None)
    model = split(deployment).model
    references = {version: load_reference(tx.connection, model, version) for version in set(traffic.versions)}
    sums: dict[str, tuple[Integers, Integers]] = {}
    for end in ends:
        start = width.start(end - 1)
        version = traffic.main_version(start)
        reference = references[version] if version is not None else None
        if version is None or reference is None:
            continue
        if version not in sums:
            sums[version] = counts.slot_sums(tx.connection, deployment, version, reference, width, since, until, None)
        begin = width.back(start, settings.alert_span)
        starts, dense = sums[version]
        total = dense[(starts >= begin) & (starts < end)].sum(axis=0)
        findings = []
        for feature in reference.features:
            current = total[feature.offset : feature.offset + feature.width]
            if int(current.sum()) < settings.min_rows:
                continue
            found = statistics.statistic("psi", feature, reference.groups[feature.name], reference.of(feature), current)
            if found.value is None or found.noise_floor is None:
                continue
            limit = settings.psi_alarm
            over = True if found.value > limit + found.noise_floor else None
            if found.value <= HYSTERESIS * limit + found.noise_floor:
                over = False
            findings.append(
                Finding(
                    "drift",
                    feature.name,
                    version,
                    found.value,
                    limit,
                    found.noise_floor,
                    over,
                    "warning",
                    _time(begin),
                    _time(end),
                    f"psi of {feature.name} is {found.value:.3g}, above {limit:g} + noise {found.noise_floor:.2g}"
                    if over
                    else f"psi of {feature.name} is {found.value:.3g}, threshold {limit:g}",
                )
            )
        yield end, findings


def _performance(
    tx: Transaction, deployment: str, width: Window, ends: list[int], settings: MonitorSettings
) -> Iterator[tuple[int, list[Finding]]]:
    """AUC and losses over the last `alert_span` windows, of the version with most labels in the last one."""
    since, until = width.back(width.start(ends[0] - 1), settings.alert_span), ends[-1]
    model = split(deployment).model
    sums = performance_sums(tx.connection, deployment, width, since, until, None)
    manifests = {version: manifest_of(tx.connection, model, version) for version in sums.names}
    on_reference = {
        (version, name): reference_metric(tx.connection, manifest, name)
        for version, manifest in manifests.items()
        for name in _WATCHED[manifest.task]
    }
    for end in ends:
        start = width.start(end - 1)
        version = sums.main_version(start)
        if version is None:
            continue
        begin = width.back(start, settings.alert_span)
        dense, totals = sums.total(version, begin, end)
        if int(dense[performance.LABELLED]) < settings.min_labelled:
            continue
        task = manifests[version].task
        findings = []
        for name in _WATCHED[task]:
            value, _ = performance.metric(task, name, dense, totals)
            expected = on_reference[version, name]
            if value is None or expected is None:
                continue
            findings.append(_compared(name, version, value, expected, dense, settings, _time(begin), _time(end)))
        yield end, findings


def _compared(
    name: str,
    version: str,
    value: float,
    expected: float,
    dense: Integers,
    settings: MonitorSettings,
    begin: datetime,
    end: datetime,
) -> Finding:
    """A metric against its value on the reference."""
    noise: float | None = None
    if name in ("auc", "accuracy"):
        # The same drop is asked of both; accuracy's error is that of a share.
        noise = (
            auc_error(value, dense)
            if name == "auc"
            else math.sqrt(value * (1 - value) / int(dense[performance.LABELLED]))
        )
        worse, allowed = expected - value, settings.auc_drop
        threshold = expected - allowed
    else:
        worse, allowed = value - expected, settings.loss_rise * abs(expected)
        threshold = expected + allowed
    over = True if worse > allowed + (noise or 0.0) else None
    if worse <= HYSTERESIS * allowed + (noise or 0.0):
        over = False
    said = f"{name} is {value:.3f}, on the reference {expected:.3f}"
    return Finding("performance", name, version, value, threshold, noise, over, "critical", begin, end, said)


def auc_error(value: float, dense: Integers) -> float:
    """Standard error of an AUC (Hanley & McNeil 1982) from the score histograms in `dense`."""
    negatives, positives = (max(1, int(part.sum())) for part in performance.histograms(dense))
    first, second = value / (2 - value), 2 * value**2 / (1 + value)
    variance = value * (1 - value) + (positives - 1) * (first - value**2) + (negatives - 1) * (second - value**2)
    return math.sqrt(max(0.0, variance) / (negatives * positives))


def _time(seconds: float) -> datetime:
    return times.from_seconds(seconds)
