"""Decides by the rules, at the end of each window, which alerts open and which are over."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

import duckdb

from store.database import Transaction, times
from store.database.rows import first_row
from store.monitor import staleness
from store.monitor.alerts import Finding, Ledger
from store.monitor.course import Course, decode
from store.monitor.deciding import Deciding, Spans, learning_ends
from store.monitor.delivery.outbox import queue
from store.monitor.deployments import split
from store.monitor.readings import CHUNK, Reading, earliest, latest, passed_over, read
from store.monitor.readings import foresee as foresee_drift
from store.monitor.reference import load_reference
from store.monitor.rules import Rule, compiled
from store.monitor.scan import DEFAULTS
from store.monitor.sums import Sums
from store.monitor.watching import watch
from store.monitor.windows import Window
from store.settings import AlertSettings, MonitorSettings

#: After a long absence (or a year in one file) at most so many windows are decided at once.
MAX_WINDOWS = 400
NO_ALERTS = AlertSettings()


def evaluate(
    tx: Transaction,
    deployment: str,
    settings: MonitorSettings = DEFAULTS,
    alerts: AlertSettings = NO_ALERTS,
    rules: Sequence[Rule] | None = None,
    settle: bool = False,
    sums: Sums | None = None,
) -> None:
    """Open, update and close the deployment's alerts for the windows that ended since the last time.

    A window has ended when a later event time has arrived (for performance and labels: a later label), so that the
    clock of the host plays no part; only staleness goes by it. Each decision looks at the rule's `span` of windows
    together; `for` of the last `of` decisions over the threshold open an alert, `close_after` in a row well
    below it close it. While a feature's values are told to be missing no alert of its drift opens: it is one cause.
    `settle` closes what no rule decides any more even where no window ended: the first time after the rules may have
    changed. Otherwise cheap when none ended. Late rows are seen by the next decision; past decisions stand.
    A rule that was added later learns from the past, but opens only what is still bad at the newest of the windows.
    `sums` are counts that `foresee` read.
    """
    rules = compiled(settings, alerts) if rules is None else rules
    # The transaction may be rolled back and decided anew: what is read within it is not to be found then.
    sums = sums.copy() if sums is not None else Sums()
    mine = [rule for rule in rules if rule.watches(deployment)]
    due = {one.rule.name: one for one in _due(tx.connection, deployment, mine)}
    ledger = Ledger(tx, deployment) if settle else None
    # What is missing is decided first: it explains the drift of the same feature.
    for rule in sorted(mine, key=lambda rule: not rule.sudden):
        if rule.kind == "staleness":
            ledger = staleness.freshen(tx, deployment, rule, ledger)
            continue
        if rule.name not in due:
            continue
        ledger = ledger or Ledger(tx, deployment)
        explained: Spans = {}
        if rule.kind == "drift":
            ledger.write()
            explained = missing_spans(tx.connection, deployment, mine)
        _decide(tx, deployment, due[rule.name], settings, ledger, explained, sums)
        tx.execute(
            "INSERT INTO monitor_judged VALUES (?, ?, ?, ?)",
            [deployment, rule.name, times.to_db(times.from_seconds(due[rule.name].ends[-1])), tx.now_db],
        )
    if ledger is not None:
        _give_up_unwatched(ledger, mine, tx)
        ledger.write()
        queue(tx, alerts, mine, deployment, ledger.news)


def foresee(connection: duckdb.DuckDBPyConnection, deployment: str, rules: Sequence[Rule]) -> Sums | None:
    """Counts that `evaluate` is about to take, read outside the writer's transaction; null: there is nothing to decide.

    They are most of what a decision costs. What is recorded in between is late: it is seen by the next decision.
    """
    mine = [rule for rule in rules if rule.watches(deployment)]
    due = list(_due(connection, deployment, mine))
    now = times.now()
    stale = (rule for rule in mine if rule.kind == "staleness")
    if not due and not any(staleness.fed_again(connection, deployment, rule, now) for rule in stale):
        return None
    sums = Sums()
    for one in due:
        if one.rule.of_features:
            ends = learning_ends(one.rule, one.ends, *one.span)
            # More are not held at once.
            if len(ends) <= CHUNK:
                foresee_drift(connection, deployment, one.rule, ends, sums)
    return sums


@dataclasses.dataclass(frozen=True)
class _Due:
    """The ends of the windows that `rule` is to decide, of the `span` that it reaches. `added`: others were decided
    before the rule was there."""

    rule: Rule
    ends: list[int]
    span: tuple[float, float]
    added: bool


def _due(connection: duckdb.DuckDBPyConnection, deployment: str, rules: Sequence[Rule]) -> Iterator[_Due]:
    """Of each rule that has something to decide."""
    rows = connection.execute(
        "SELECT kind, epoch(max(through)), max(recorded_at) FROM monitor_judged WHERE deployment = ? GROUP BY kind",
        [deployment],
    ).fetchall()
    judged = {str(name): float(through) for name, through, _ in rows}
    last = max((at for _, _, at in rows), default=None)
    reached: dict[bool, float | None] = {}
    for rule in rules:
        if rule.kind == "staleness":
            continue
        labelled = rule.labelled
        if labelled not in reached:
            reached[labelled] = latest(connection, deployment, rule)
        newest, through = reached[labelled], judged.get(rule.name)
        if newest is None or (through is not None and rule.window.start(newest) <= through):
            continue
        span = (earliest(connection, deployment, rule), newest)
        ends = _ended(rule.window, span, through)
        if ends:
            added = through is None and last is not None and passed_over(connection, deployment, rule, last)
            yield _Due(rule, ends, span, added)


def _ended(width: Window, span: tuple[float, float], judged: float | None) -> list[int]:
    """Ends of the windows that are over and were not decided yet."""
    earliest, latest = span
    until = width.start(latest)
    since = int(judged) if judged is not None else width.start(earliest)
    if until <= since:
        return []
    ends = [width.next(start) for start in width.starts(max(since, width.back(until - 1, MAX_WINDOWS)), until)]
    return [end for end in ends if since < end <= until]


def _decide(
    tx: Transaction,
    deployment: str,
    due: _Due,
    settings: MonitorSettings,
    ledger: Ledger,
    explained: Spans,
    sums: Sums,
) -> None:
    rule, ends = due.rule, due.ends
    course = load_course(tx.connection, deployment, rule.name)
    readings = read(tx.connection, deployment, rule, learning_ends(rule, ends, *due.span), sums)
    bad = _joined(bad_spans(tx.connection, deployment, rule.name), course.past) if rule.learn is not None else {}
    watched = watch(tx.connection, deployment, rule, ends, readings, course, sums) if rule.kind == "drift" else {}
    latest: dict[str, Finding] = {}
    untold: set[str] = set()
    for step in Deciding(rule, settings, readings, course, ledger.on(rule.name), bad, watched, explained).decide(ends):
        feature = step.finding.feature
        if step.move == "open" and due.added:
            untold.add(feature)
            latest[feature] = step.finding
        elif step.move == "open":
            ledger.open(step.finding)
        elif step.move == "close":
            latest.pop(feature, None)
            if feature in untold:
                untold.discard(feature)
            else:
                ledger.close(step.finding)
        elif feature in untold or (rule.name, feature) in ledger.held:
            latest[feature] = step.finding
    if due.added:
        course.past = _until(bad, ends[-1])
        for feature in sorted(untold):
            finding = latest.pop(feature)
            if finding.over and finding.window_end == times.from_seconds(ends[-1]):
                ledger.open(finding)
    for finding in latest.values():
        ledger.update(finding)
    if rule.of_features:
        _give_up_vanished(tx, deployment, rule, readings.get(ends[-1], []), ledger)
    _keep_course(tx, deployment, rule.name, course)


def load_course(connection: duckdb.DuckDBPyConnection, deployment: str, rule: str) -> Course:
    row = first_row(
        connection.execute("SELECT state FROM monitor_course WHERE deployment = ? AND rule = ?", [deployment, rule])
    )
    return decode(row[0]) if row else Course()


def _keep_course(tx: Transaction, deployment: str, rule: str, course: Course) -> None:
    tx.execute("DELETE FROM monitor_course WHERE deployment = ? AND rule = ?", [deployment, rule])
    tx.execute("INSERT INTO monitor_course VALUES (?, ?, ?, ?)", [deployment, rule, course.encoded(), tx.now_db])


def missing_spans(connection: duckdb.DuckDBPyConnection, deployment: str, rules: Sequence[Rule]) -> Spans:
    """Feature → the spans of event time in which an alert told that its values are missing: that they drift, too, is
    the same cause, and no alert of its own."""
    found: Spans = {}
    for rule in rules:
        if rule.sudden:
            past = load_course(connection, deployment, rule.name).past
            found = _joined(found, _joined(bad_spans(connection, deployment, rule.name), past))
    return found


def _joined(some: Spans, others: Spans) -> Spans:
    return {feature: [*some.get(feature, []), *others.get(feature, [])] for feature in some.keys() | others.keys()}


def _until(spans: Spans, end: float) -> Spans:
    return {feature: [(since, min(until, end)) for since, until in mine] for feature, mine in spans.items()}


def bad_spans(connection: duckdb.DuckDBPyConnection, deployment: str, rule: str) -> Spans:
    """Feature → the spans of event time in which its alert was on: nothing healthy is learnt from them.

    An operator who resolves an alert says that what it saw is healthy from then on.
    """
    rows = connection.execute(
        "SELECT feature, epoch(window_start), epoch(coalesce(closed_window, window_end)), state FROM monitor_alert_now"
        " WHERE deployment = ? AND rule = ? AND window_start IS NOT NULL ORDER BY window_start",
        [deployment, rule],
    ).fetchall()
    found: Spans = {}
    for feature, since, until, state in rows:
        ended = until if state in ("closed", "resolved") else math.inf
        found.setdefault(feature, []).append((since, ended))
    return found


def _give_up_vanished(tx: Transaction, deployment: str, rule: Rule, readings: list[Reading], ledger: Ledger) -> None:
    """Close what the version that now serves has no feature for."""
    versions = {reading.version for reading in readings}
    if not versions:
        return
    version = next(iter(versions))
    reference = load_reference(tx.connection, split(deployment).model, version)
    if reference is None:
        return
    for feature in ledger.on(rule.name) - reference.by_name.keys():
        why = f"Version {version} has no feature {feature}: nothing to compare it with."
        ledger.give_up(rule.name, feature, why, times.from_seconds(readings[0].end))


def _give_up_unwatched(ledger: Ledger, rules: list[Rule], tx: Transaction) -> None:
    """Close what no rule decides any more, because the configuration changed."""
    known = {rule.name: rule for rule in rules}
    for name, feature in list(ledger.held):
        rule = known.get(name)
        if rule is None:
            ledger.give_up(name, feature, f"There is no rule {name} any more.", tx.now)
        elif rule.of_features and not rule.looks_at(feature):
            ledger.give_up(name, feature, f"Rule {name} watches {rule.feature} only.", tx.now)
