"""The rules that alerts are decided by: those of quarterdeck.toml, and those that hold without one."""

from __future__ import annotations

import dataclasses
import fnmatch
from datetime import datetime
from typing import Literal

from store.monitor import performance, presets, quality, statistics
from store.monitor.bins import LABEL
from store.monitor.windows import MAX_WINDOWS, Window, window
from store.protocol import ExitCode, Refusal
from store.settings import (
    AlertSettings,
    LearnSettings,
    MonitorSettings,
    RuleSettings,
    Severity,
    duration,
    routes_of,
)

Kind = Literal["drift", "labels", "performance", "quality", "volume", "staleness"]
#: What a rule of performance calls "the metrics that one watches on a task like this".
MAIN = "main"
MAIN_METRICS: dict[str, tuple[str, ...]] = {
    "binary": ("auc", "log_loss"),
    "multiclass": ("accuracy",),
    "regression": ("mae", "rmse"),
}
#: Losses and errors, of which a relative rise is asked; of other metrics an absolute change.
RELATIVE = frozenset({"log_loss", "brier", "mae", "rmse"})
#: An alert is over when its value falls this far below the threshold: what wavers around it does not flap.
HYSTERESIS = {"drift": 0.5, "labels": 0.5, "performance": 0.8, "quality": 0.5, "volume": 0.8}
#: A learnt threshold looks at no more windows than this.
MAX_LEARNT = 2_000
LEARN_LAST = "28d"


@dataclasses.dataclass(frozen=True)
class Learn:
    """Which windows are healthy: those of [since, until), or the `last` seconds before each decision."""

    since: float | None
    until: float | None
    last: float
    quantile: float
    least: int


@dataclasses.dataclass(frozen=True)
class Rule:
    """One rule with everything filled in. `threshold` is null where it is learnt or follows from `change`."""

    name: str
    kind: Kind
    statistic: str
    """The statistic, metric or check, or `main`."""
    feature: str
    deployment: str
    window: Window
    span: int
    threshold: float | None
    change: float | None
    learn: Learn | None
    for_windows: int
    of_windows: int
    close_after: int
    min_rows: int
    guarantee: Literal["window", "sequential"]
    severity: Severity
    routes: tuple[str, ...]

    def watches(self, deployment: str) -> bool:
        return fnmatch.fnmatchcase(deployment, self.deployment)

    def looks_at(self, feature: str) -> bool:
        return fnmatch.fnmatchcase(feature, self.feature)

    @property
    def of_features(self) -> bool:
        """Whether it decides each feature for itself."""
        return self.kind == "drift" or (self.kind == "quality" and self.statistic in quality.FEATURE_CHECKS)

    @property
    def labelled(self) -> bool:
        """Whether it looks at labels, which come later than the predictions of their window."""
        return self.kind in ("performance", "labels")

    @property
    def sudden(self) -> bool:
        """Whether it alerts only of what was well before: a feature that production never had is no event."""
        return self.kind == "quality" and self.statistic == "missing"

    @property
    def memory(self) -> int:
        """How many decisions back one decision may depend on."""
        return max(self.of_windows, self.close_after)

    def said(self) -> str:
        """The rule in a few words, for people: `psi of * above 0.25 in 2 of 2 windows (7 × 1d)`."""
        if self.kind == "staleness":
            return f"no file for {self.threshold or 0:,.0f} s"
        what = f"{self.statistic} of {self.feature}" if self.of_features or self.kind == "labels" else self.statistic
        if self.threshold is not None:
            limit = f"{'above' if self.worse_above(self.statistic) else 'below'} {self.threshold:g}"
        elif self.learn is not None and self.change is None:
            limit = f"beyond {self.learn.quantile:.0%} of healthy windows"
        elif self.kind == "volume":
            limit = f"{self.change or 0:.0%} below what is usual"
        else:
            limit = "worse than on the reference" + (f" by {self.change:g}" if self.change is not None else "")
        wide = f"{self.span} × {self.window.name}" if self.span > 1 else self.window.name
        return f"{what} {limit} in {self.for_windows} of {self.of_windows} windows ({wide})"

    def worse_above(self, name: str) -> bool:
        """Whether it is high values that are bad."""
        if self.kind == "performance":
            return name in performance.LOSSES or name in ("bias", "ece")
        return self.kind != "volume"


def allowed_change(rule: Rule, metric: str, settings: MonitorSettings) -> float:
    """How much worse than on the reference a metric may be: relative for losses, absolute for the others."""
    if rule.change is not None:
        return rule.change
    if rule.kind == "quality":
        return next(limit for check, limit in quality.LIMITS.items() if check == rule.statistic)
    return settings.loss_rise if metric in RELATIVE else settings.auc_drop


def compiled(settings: MonitorSettings, alerts: AlertSettings) -> list[Rule]:
    """Every rule that holds, the default ones first. Raises `Refusal` that names the rule and its key."""
    own = {rule.name: rule for rule in alerts.rule}
    wanted = [own.pop(rule.name, rule) for rule in defaults(settings)] if alerts.defaults else []
    return [compile_rule(rule, settings, alerts) for rule in [*wanted, *own.values()]]


def defaults(settings: MonitorSettings) -> list[RuleSettings]:
    """What is watched with no configuration at all."""
    return [
        # What a preset says is in units of its own threshold.
        RuleSettings(name="drift", statistic=settings.preset, threshold=1.0)
        if settings.preset
        else RuleSettings(name="drift", statistic="psi"),
        RuleSettings(name="performance", metric=MAIN, severity="critical"),
        # A column that went missing or turned to text is certain at once. The rest of quality is listed, not told.
        RuleSettings(
            name="missing", metric="missing", change=0.5, span=1, for_windows=1, close_after=2, severity="critical"
        ),
        # Of one window, against the same day of the week: a week that lacks a day hides it.
        RuleSettings(name="volume", metric="volume", change=0.5, span=1),
    ]


def compile_rule(rule: RuleSettings, settings: MonitorSettings, alerts: AlertSettings) -> Rule:
    """Raises `Refusal` (usage) that names the rule and what is wrong with it."""
    kind = _kind(rule)
    try:
        width = window(rule.window or settings.alert_window, settings.base_window_seconds)
    except Refusal as refusal:
        raise _wrong(rule, f"window: {refusal.message}", refusal.hint) from refusal
    threshold = rule.threshold
    learnt = threshold == "learnt" or (kind == "volume" and threshold is None)
    change = rule.change
    if kind == "volume" and learnt and threshold != "learnt" and change is None:
        change = 0.5
    needed = rule.for_windows or (1 if kind == "staleness" else settings.open_after)
    rows = settings.min_labelled if kind in ("performance", "labels") else settings.min_rows
    # A learnt threshold is taken from windows that share no rows.
    span = rule.span or (1 if learnt else settings.alert_span)
    if span > MAX_WINDOWS:
        raise _wrong(rule, f"span is {span}", f"At most {MAX_WINDOWS} windows.")
    return Rule(
        name=rule.name,
        kind=kind,
        statistic=rule.statistic or rule.metric,
        feature=rule.feature,
        deployment=rule.deployment,
        window=width,
        span=span,
        threshold=_number(rule, kind, settings),
        change=change,
        learn=_learn(rule, width) if learnt else None,
        for_windows=needed,
        of_windows=max(rule.of_windows or needed, needed),
        close_after=rule.close_after or settings.close_after,
        min_rows=rule.min_rows if rule.min_rows is not None else 0 if kind == "volume" else rows,
        guarantee=rule.guarantee,
        severity=rule.severity,
        routes=tuple(routes_of(alerts, rule.route)),
    )


def _kind(rule: RuleSettings) -> Kind:
    if rule.statistic:
        known_names = (*statistics.STATISTICS, *presets.NAMES)
        if rule.statistic not in known_names:
            raise _wrong(rule, f"statistic is {rule.statistic[:40]!r}", f"One of: {', '.join(known_names)}")
        if rule.change is not None:
            raise _wrong(rule, "change is for metrics", "A statistic takes a threshold.")
        if rule.feature != LABEL:
            return "drift"
        if rule.guarantee != "window":
            raise _wrong(rule, "labels have no sequential test", 'Leave guarantee = "sequential" out.')
        return "labels"
    if rule.guarantee != "window":
        raise _wrong(rule, "guarantee is for statistics", "No sequential test stands behind a metric: leave it out.")
    if rule.metric == "staleness":
        return "staleness"
    if rule.metric == "volume":
        return "volume"
    if rule.metric in quality.LIMITS:
        return "quality"
    known = {MAIN, *(name for names in performance.METRICS.values() for name in names)}
    if rule.metric != MAIN and not performance.known_metric(rule.metric):
        raise _wrong(
            rule,
            f"metric is {rule.metric[:40]!r}",
            f"One of: {', '.join([*sorted(known), *quality.LIMITS, 'volume', 'staleness'])}",
        )
    if rule.metric == MAIN and isinstance(rule.threshold, float | int):
        raise _wrong(rule, "main stands for several metrics, which have no threshold in common", "Take change.")
    return "performance"


def _number(rule: RuleSettings, kind: Kind, settings: MonitorSettings) -> float | None:
    if kind == "staleness":
        return duration(str(rule.threshold))
    if isinstance(rule.threshold, str):
        return None
    if rule.threshold is None and rule.statistic:
        return statistics_threshold(rule.statistic, settings)
    return rule.threshold


def statistics_threshold(statistic: str, settings: MonitorSettings) -> float:
    """The threshold of a statistic that a rule gives none for: the one that its verdicts go by."""
    return 1.0 if statistic in presets.NAMES else statistics.thresholds(statistic, settings)[0]


def _learn(rule: RuleSettings, width: Window) -> Learn:
    learn = rule.learn or LearnSettings()
    since, until = _seconds(learn.since), _seconds(learn.until)
    last = duration(learn.last or LEARN_LAST)
    held = ((until - since) if since is not None and until is not None else last) / width.seconds
    if not 1 <= held <= MAX_LEARNT:
        raise _wrong(
            rule, f"learn holds {held:,.0f} windows of {width.name}", f"Expected 1 to {MAX_LEARNT}: take wider windows."
        )
    return Learn(since, until, last, learn.quantile, learn.least)


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment is not None else None


def _wrong(rule: RuleSettings, what: str, hint: str) -> Refusal:
    return Refusal(ExitCode.USAGE, f"Alert rule {rule.name}: {what}.", hint)
