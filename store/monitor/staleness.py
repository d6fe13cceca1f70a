"""Staleness: no predictions file came for longer than expected. The one rule that goes by the wall clock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import duckdb

from store.database import Transaction, times
from store.monitor.alerts import Finding, Ledger
from store.monitor.delivery.outbox import queue
from store.monitor.rules import Rule
from store.settings import AlertSettings

#: What the findings of such a rule are about.
ARRIVALS = "arrivals"


def watch(tx: Transaction, alerts: AlertSettings, rules: Sequence[Rule], since: datetime) -> None:
    """Open alerts of deployments that no predictions came for in time, and close those that are fed again.

    Called by the agent's scheduler. Time counts from the last file, from when the present revision became
    effective, or from `since` (when the agent began to look: files that came while none ran are no silence),
    whichever is latest; event times play no part. A deployment that nothing was ever promoted to and no file
    came for is not expected to send any.
    """
    rules = [rule for rule in rules if rule.kind == "staleness"]
    if not rules:
        return
    for deployment, heard in _heard(tx.connection).items():
        ledger: Ledger | None = None
        mine = [rule for rule in rules if rule.watches(deployment)]
        for rule in mine:
            age = (tx.now - max(heard, since)).total_seconds()
            if age <= (rule.threshold or 0.0):
                ledger = freshen(tx, deployment, rule, ledger)
                continue
            ledger = ledger or Ledger(tx, deployment)
            if (rule.name, ARRIVALS) not in ledger.held:
                ledger.open(_finding(rule, age, max(heard, since), tx.now, True))
        if ledger is not None:
            ledger.write()
            queue(tx, alerts, mine, deployment, ledger.news)


def freshen(tx: Transaction, deployment: str, rule: Rule, ledger: Ledger | None) -> Ledger | None:
    """Close the rule's alert where files come again; the ledger when it was needed."""
    if ledger is None and not _on(tx.connection, deployment, rule):
        return None
    ledger = ledger or Ledger(tx, deployment)
    heard = _heard(tx.connection).get(deployment)
    if (rule.name, ARRIVALS) in ledger.held and heard is not None:
        age = (tx.now - heard).total_seconds()
        if age <= (rule.threshold or 0.0):
            ledger.close(_finding(rule, age, heard, tx.now, False))
    return ledger


def fed_again(connection: duckdb.DuckDBPyConnection, deployment: str, rule: Rule, now: datetime) -> bool:
    """Whether `freshen` has an alert to close."""
    if not _on(connection, deployment, rule):
        return False
    heard = _heard(connection).get(deployment)
    return heard is not None and (now - heard).total_seconds() <= (rule.threshold or 0.0)


def _on(connection: duckdb.DuckDBPyConnection, deployment: str, rule: Rule) -> bool:
    return bool(
        connection.execute(
            "SELECT 1 FROM monitor_alert_now WHERE deployment = ? AND rule = ? AND NOT is_over", [deployment, rule.name]
        ).fetchall()
    )


def _finding(rule: Rule, age: float, heard: datetime, now: datetime, over: bool) -> Finding:
    said = (
        f"no predictions for {timedelta(seconds=round(age))}, expected at least every"
        f" {timedelta(seconds=round(rule.threshold or 0))}"
        if over
        else "predictions come again"
    )
    return Finding(
        rule=rule.name,
        feature=ARRIVALS,
        version="",
        value=age,
        threshold=rule.threshold or 0.0,
        noise_floor=None,
        over=over,
        severity=rule.severity,
        window_start=heard,
        window_end=now,
        message=said,
        statistic="staleness",
        guarantee="by the agent's clock",
    )


def _heard(connection: duckdb.DuckDBPyConnection) -> dict[str, datetime]:
    """Deployment → when it was last heard of: a file of predictions, or a revision that became effective."""
    rows = connection.execute(
        "SELECT deployment, max(heard) FROM ("
        " SELECT deployment, recorded_at AS heard FROM monitor_arrival WHERE kind = 'predictions'"
        " UNION ALL SELECT deployment, recorded_at FROM deployment_event WHERE phase = 'effective')"
        " GROUP BY deployment ORDER BY deployment"
    ).fetchall()
    return {str(row[0]): times.from_db(row[1]) for row in rows}
