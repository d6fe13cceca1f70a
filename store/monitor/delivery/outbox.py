"""The outbox: messages are facts, queued in the transaction that opened or closed the alerts they tell of."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import duckdb
import msgspec

from store.database import Transaction, times
from store.monitor.alerts import News
from store.monitor.rules import Rule
from store.settings import AlertSettings, Severity

#: Seconds until the second try; each further pause is three times as long, up to the longest.
FIRST_PAUSE = 10.0
LONGEST_PAUSE = 3600.0
_RANK: dict[Severity, int] = {"info": 0, "warning": 1, "critical": 2}
#: Alerts that one message names in full.
NAMED = 20
#: Features that a title names of each rule.
TITLED = 3

Outcome = Literal["delivered", "failed", "given_up"]


@dataclasses.dataclass(frozen=True)
class Pending:
    """One message to one target of its route (the n-th url), with how often it was tried."""

    delivery: str
    route: str
    target: int
    attempts: int
    next_at: datetime
    event: str
    severity: Severity
    title: str
    body: str


def queue(tx: Transaction, settings: AlertSettings, rules: Sequence[Rule], deployment: str, news: list[News]) -> None:
    """Queue what the routes of the rules are to be told: what opened together is one message a route."""
    if not news or not settings.route:
        return
    routes = {rule.name: rule.routes for rule in rules}
    grouped: dict[tuple[str, str], list[News]] = {}
    for item in news:
        if item.muted:
            continue
        for name in routes.get(item.finding.rule, ()):
            route = settings.route[name]
            if item.finding.severity in route.severity and (item.event == "opened" or route.closed):
                grouped.setdefault((name, item.event), []).append(item)
    for (name, event), items in grouped.items():
        severity = max((item.finding.severity for item in items), key=lambda severity: _RANK[severity])
        title, body = _written(deployment, event, severity, items)
        tx.execute(
            "INSERT INTO monitor_delivery VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                uuid.uuid4().hex[:12],
                msgspec.json.encode([item.alert for item in items]).decode(),
                deployment,
                event,
                severity,
                name,
                title,
                body,
                tx.now_db,
            ],
        )
        tx.touch("deliveries")


def _written(deployment: str, event: str, severity: Severity, items: list[News]) -> tuple[str, str]:
    over = event == "closed"
    head = "over" if over else severity.upper()
    if len(items) == 1:
        title = f"[{head}] {deployment}: {items[0].finding.message}"
    else:
        title = f"[{head}] {deployment}: {len(items)} alerts {'are over' if over else 'opened'}: {_about(items)}"
    lines = []
    for item in items[:NAMED]:
        finding = item.finding
        version = f", version {finding.version}" if finding.version else ""
        lines.append(f"{item.alert} ({finding.rule}): {finding.message}")
        lines.append(f"  {finding.window_start:%Y-%m-%d %H:%M} to {finding.window_end:%Y-%m-%d %H:%M} UTC{version}")
        if finding.guarantee and not over:
            lines.append(f"  {finding.guarantee}")
    if len(items) > NAMED:
        lines.append(f"and {len(items) - NAMED} more")
    lines.append(f"quarterdeck show alerts {items[0].alert}")
    return title[:250], "\n".join(lines)


def _about(items: list[News]) -> str:
    """Which rules and features, for those who see the title alone: `drift of x, y, z and 27 more`."""
    by_rule: dict[str, list[str]] = {}
    for item in items:
        by_rule.setdefault(item.finding.rule, []).append(item.finding.feature)
    said = []
    for rule, features in by_rule.items():
        more = f" and {len(features) - TITLED} more" if len(features) > TITLED else ""
        said.append(f"{rule} of {', '.join(features[:TITLED])}{more}")
    return "; ".join(said)


def pending(connection: duckdb.DuckDBPyConnection, settings: AlertSettings) -> list[Pending]:
    """What was neither delivered nor given up, the oldest first. A route that is gone holds nothing pending."""
    rows = connection.execute(
        "SELECT d.delivery, d.route, d.event, d.severity, d.title, d.body, d.recorded_at, a.target, a.attempts,"
        " a.next_at, a.done FROM monitor_delivery AS d LEFT JOIN (SELECT delivery, target, max(attempt) AS attempts,"
        " max(next_at) AS next_at, bool_or(outcome <> 'failed') AS done"
        " FROM monitor_delivery_attempt GROUP BY delivery, target) AS a USING (delivery)"
        " ORDER BY d.recorded_at, d.delivery, a.target"
    ).fetchall()
    tried: dict[str, dict[int, tuple[int, datetime | None, bool]]] = {}
    queued: dict[str, tuple[str, str, Severity, str, str, datetime]] = {}
    for delivery, route, event, severity, title, body, recorded, target, attempts, next_at, done in rows:
        queued[delivery] = (route, event, severity, title, body, recorded)
        if target is not None:
            tried.setdefault(delivery, {})[target] = (attempts, next_at, done)
    found = []
    for delivery, (route, event, severity, title, body, recorded) in queued.items():
        if route not in settings.route:
            continue
        for target in range(len(settings.route[route].urls)):
            attempts, next_at, done = tried.get(delivery, {}).get(target, (0, None, False))
            if not done:
                due = times.from_db(next_at or recorded)
                found.append(Pending(delivery, route, target, attempts, due, event, severity, title, body))
    return found


def record_attempt(tx: Transaction, item: Pending, delivered: bool, detail: str, most: int) -> Outcome:
    """Note how a try went; a failed one is tried again after a pause, `most` times in all."""
    attempt = item.attempts + 1
    outcome: Outcome = "delivered" if delivered else "given_up" if attempt >= most else "failed"
    pause = timedelta(seconds=min(LONGEST_PAUSE, FIRST_PAUSE * 3 ** (attempt - 1)))
    next_at = tx.now + pause if outcome == "failed" else None
    tx.execute(
        "INSERT INTO monitor_delivery_attempt VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            item.delivery,
            item.target,
            attempt,
            outcome,
            detail,
            times.to_db(next_at) if next_at is not None else None,
            tx.now_db,
        ],
    )
    tx.touch("deliveries")
    return outcome
