"""The life of an alert, as facts: opened and closed by the monitor; acknowledged, muted, resolved by people."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

import duckdb

from store.database import Actor, Entry, Transaction, times
from store.protocol import ActionParams, ExitCode, Field, Outcome, Refusal
from store.settings import Severity

#: Who the journal names for what the monitor did.
MONITOR = Actor("agent", "agent")
MUTED_FOR = timedelta(hours=24)
#: Who wants to hear of it no more resolves it, or changes the rule.
LONGEST_MUTE = timedelta(days=90)

_TYPES = {
    "ordinal": "BIGINT",
    "alert": "VARCHAR",
    "deployment": "VARCHAR",
    "rule": "VARCHAR",
    "feature": "VARCHAR",
    "version": "VARCHAR",
    "event": "VARCHAR",
    "severity": "VARCHAR",
    "value": "DOUBLE",
    "threshold": "DOUBLE",
    "noise_floor": "DOUBLE",
    "statistic": "VARCHAR",
    "guarantee": "VARCHAR",
    "q_value": "DOUBLE",
    "window_start": "TIMESTAMP",
    "window_end": "TIMESTAMP",
    "message": "VARCHAR",
    "actor": "VARCHAR",
    "muted_until": "TIMESTAMP",
    "recorded_at": "TIMESTAMP",
}


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a rule says of one feature (or metric) over one span: `over` true or false, null in between.

    `guarantee` says in words what bounds the chance that an alarm is a false one; `q_value` is that of the
    window's test, null where there is none.
    """

    rule: str
    feature: str
    version: str
    value: float
    threshold: float
    noise_floor: float | None
    over: bool | None
    severity: Severity
    window_start: datetime
    window_end: datetime
    message: str
    statistic: str = ""
    guarantee: str = ""
    q_value: float | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.rule, self.feature


@dataclasses.dataclass(frozen=True)
class Held:
    """An alert that is not over: open, acknowledged or muted, or resolved by hand while its cause lasts."""

    alert: str
    resolved: bool
    muted: bool
    severity: Severity
    version: str
    value: float
    threshold: float


@dataclasses.dataclass(frozen=True)
class News:
    """What is to be told of an alert: it `opened` or it `closed`. `muted` alerts are told to nobody."""

    alert: str
    event: Literal["opened", "closed"]
    finding: Finding
    muted: bool = False


class Ledger:
    """The alerts of one deployment within one transaction; writes what changes, once, at the end."""

    def __init__(self, tx: Transaction, deployment: str) -> None:
        self._tx = tx
        self._deployment = deployment
        rows = tx.execute(
            "SELECT rule, feature, alert, state, severity, version, coalesce(value, 0), coalesce(threshold, 0)"
            " FROM monitor_alert_now WHERE deployment = ? AND NOT is_over",
            [deployment],
        ).fetchall()
        self.held: dict[tuple[str, str], Held] = {
            (row[0], row[1]): Held(row[2], row[3] == "resolved", row[3] == "muted", *row[4:]) for row in rows
        }
        self._ordinal, self._alerts = (int(value) for value in _numbers(tx))
        self._rows: list[dict[str, Any]] = []
        self._news: dict[str, News] = {}

    @property
    def news(self) -> list[News]:
        """What opened and stayed open, and what closed, since the ledger was made."""
        return list(self._news.values())

    def on(self, rule: str) -> set[str]:
        """The features whose alert by this rule is not over."""
        return {feature for name, feature in self.held if name == rule}

    def open(self, finding: Finding) -> None:
        self._alerts += 1
        alert = f"a{self._alerts}"
        self.held[finding.key] = Held(alert, False, False, finding.severity, finding.version, 0.0, 0.0)
        self._news[alert] = News(alert, "opened", finding)
        self._add(alert, "opened", finding)
        self._journal("open", alert, finding)

    def update(self, finding: Finding) -> None:
        """The latest value of an alert that is still on: shown, not journalled."""
        self._add(self.held[finding.key].alert, "updated", finding)

    def close(self, finding: Finding) -> None:
        held = self.held.pop(finding.key)
        if self._news.pop(held.alert, None) is None and not held.resolved:
            # What opens and closes within one change (a year in one file) is told to nobody.
            self._news[held.alert] = News(held.alert, "closed", finding, held.muted)
        self._add(held.alert, "cleared" if held.resolved else "closed", finding)
        if not held.resolved:
            self._journal("close", held.alert, finding)

    def give_up(self, rule: str, feature: str, why: str, at: datetime) -> None:
        """Close an alert that nothing will ever decide again: its rule or its feature is gone."""
        held = self.held[rule, feature]
        self.close(
            Finding(rule, feature, held.version, held.value, held.threshold, None, False, held.severity, at, at, why)
        )

    def write(self) -> None:
        """What changed since the last time."""
        rows, self._rows = self._rows, []
        if rows:
            self._tx.insert("monitor_alert_event", _TYPES, rows)
            self._tx.touch("deployments", self._deployment)
            for row in rows:
                self._tx.touch("alerts", row["alert"])

    def _journal(self, action: str, alert: str, finding: Finding) -> None:
        after = {
            "deployment": self._deployment,
            "rule": finding.rule,
            "feature": finding.feature,
            "version": finding.version,
            "value": finding.value,
            "threshold": finding.threshold,
            "guarantee": finding.guarantee,
            "window_end": finding.window_end.isoformat(),
        }
        self._tx.record(Entry(MONITOR, action, "alerts", alert, after=after, reason=finding.message))

    def _add(self, alert: str, event: str, finding: Finding) -> None:
        self._ordinal += 1
        self._rows.append(
            {
                "ordinal": self._ordinal,
                "alert": alert,
                "deployment": self._deployment,
                "rule": finding.rule,
                "feature": finding.feature,
                "version": finding.version,
                "event": event,
                "severity": finding.severity,
                "value": finding.value,
                "threshold": finding.threshold,
                "noise_floor": finding.noise_floor,
                "statistic": finding.statistic or None,
                "guarantee": finding.guarantee or None,
                "q_value": finding.q_value,
                "window_start": finding.window_start,
                "window_end": finding.window_end,
                "message": finding.message,
                "actor": MONITOR.name,
                "recorded_at": self._tx.now,
            }
        )


def _numbers(tx: Transaction) -> tuple[int, int]:
    """(the last ordinal, how many alerts there ever were)."""
    row = tx.execute("SELECT coalesce(max(ordinal), 0), count(DISTINCT alert) FROM monitor_alert_event").fetchall()[0]
    return int(row[0]), int(row[1])


# --- what people do --------------------------------------------------------------------------------------

_EVENTS: Mapping[str, str] = {"ack": "acknowledged", "mute": "muted", "resolve": "resolved"}


def act(tx: Transaction, params: ActionParams, actor: Actor) -> Outcome:
    """Carry out `ack`, `mute` (until `params.until`, by default a day from now) or `resolve` on `params.subject`.

    Raises `Refusal`: no such alert, a mute that would be over already, or changed since it was looked at (it is
    over, or somebody did this before).
    """
    repeated = _repeated(tx, params)
    if repeated is not None:
        return repeated
    event = _EVENTS[params.action]
    rows = tx.execute(
        "SELECT deployment, rule, feature, version, severity, state, actor, is_over FROM monitor_alert_now"
        " WHERE alert = ?",
        [params.subject],
    ).fetchall()
    if not rows:
        raise Refusal(ExitCode.USAGE, f"There is no alert {params.subject[:80]!r}.", "`quarterdeck ls alerts`")
    deployment, rule, feature, version, severity, state, by, is_over = rows[0]
    if is_over or state in ("resolved", "closed"):
        raise Refusal(ExitCode.CHANGED, f"Alert {params.subject} is {state} already.", detail={"state": state})
    if params.action == "ack" and state == "acknowledged":
        raise Refusal(
            ExitCode.CHANGED, f"{by} acknowledged alert {params.subject} already.", detail={"state": state, "by": by}
        )
    muted_until = mute_end(params, tx.now) if params.action == "mute" else None
    after: dict[str, Any] = {"state": event, "deployment": deployment, "rule": rule, "feature": feature}
    if muted_until:
        after["until"] = muted_until.isoformat()
    sequence = tx.record(
        Entry(
            actor,
            params.action,
            "alerts",
            params.subject,
            before={"state": state},
            after=after,
            reason=params.reason,
            data_age=params.data_age,
            request_id=params.request_id,
        )
    )
    tx.insert(
        "monitor_alert_event",
        _TYPES,
        [
            {
                "ordinal": _numbers(tx)[0] + 1,
                "alert": params.subject,
                "deployment": deployment,
                "rule": rule,
                "feature": feature,
                "version": version,
                "event": event,
                "severity": severity,
                "message": params.reason,
                "actor": actor.name,
                "muted_until": muted_until,
                "recorded_at": tx.now,
            }
        ],
    )
    tx.touch("deployments", deployment)
    return Outcome(params.action, params.subject, 0, event, {}, {}, _said(params.action, muted_until), sequence)


def mute_end(params: ActionParams, now: datetime) -> datetime:
    """Until when a mute asked for at `now` lasts. Raises `Refusal` for a time that is over or too far away."""
    if params.until is None:
        return now + MUTED_FOR
    try:
        until = times.from_seconds(params.until)
    except (OverflowError, ValueError, OSError) as error:
        raise Refusal(ExitCode.USAGE, f"{params.until:g} is no time to mute until: {error}") from error
    latest = f"up to {now + LONGEST_MUTE:%Y-%m-%dT%H:%MZ} ({LONGEST_MUTE.days} days)"
    if until <= now:
        raise Refusal(ExitCode.USAGE, f"{until:%Y-%m-%d %H:%M} UTC is over already.", f"Mute until later, {latest}.")
    if until - now > LONGEST_MUTE:
        raise Refusal(ExitCode.USAGE, f"{until:%Y-%m-%d} is too far away to mute until.", f"Mute {latest}.")
    return until


def _said(action: str, muted_until: datetime | None) -> str:
    if action == "mute" and muted_until:
        return f"Muted until {muted_until:%Y-%m-%d %H:%M} UTC."
    return {"ack": "Acknowledged.", "resolve": "Resolved: quiet until its cause is over."}[action]


def _repeated(tx: Transaction, params: ActionParams) -> Outcome | None:
    if not params.request_id:
        return None
    rows = tx.execute("SELECT sequence FROM journal WHERE request_id = ? LIMIT 1", [params.request_id]).fetchall()
    if not rows:
        return None
    event = _EVENTS[params.action]
    return Outcome(params.action, params.subject, 0, event, {}, {}, "Done before.", int(rows[0][0]), True)


def open_alerts(connection: duckdb.DuckDBPyConnection, at: datetime | None = None) -> dict[str, tuple[int, int]]:
    """Deployment → (alerts that nobody took up yet, all that are on): for the fleet."""
    moment = times.to_db(at) if at else datetime.max  # noqa: DTZ901  (naive, as the database has it)
    rows = connection.execute(
        "SELECT deployment, count(*) FILTER (state = 'open'), count(*) FROM monitor_alert_at(?)"
        " WHERE state IN ('open', 'acknowledged', 'muted') GROUP BY deployment",
        [moment],
    ).fetchall()
    return {row[0]: (int(row[1]), int(row[2])) for row in rows}


def insight(connection: duckdb.DuckDBPyConnection, deployment: str) -> list[Field]:
    """The open alerts of a deployment, for the dialog of a release."""
    rows = connection.execute(
        "SELECT alert, rule, feature, value FROM monitor_alert_now WHERE deployment = ? AND state = 'open'"
        " ORDER BY severity, opened_at LIMIT 20",
        [deployment],
    ).fetchall()
    if not rows:
        return [Field("Open alerts", "none")]
    named = ", ".join(f"{alert} {rule} {feature} {value:.3g}" for alert, rule, feature, value in rows[:5])
    return [Field("Open alerts", f"{len(rows)}: {named}" + (" …" if len(rows) > 5 else ""))]
