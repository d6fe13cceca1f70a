"""quarterdeck.toml: every setting of a store, with its default and its meaning."""

from __future__ import annotations

import functools
import itertools
import re
import tomllib
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Literal

import msgspec

from store.protocol import ExitCode, Refusal
from store.settings_template import TEMPLATE as TEMPLATE

FILE_NAME = "quarterdeck.toml"


class EnvironmentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    target: str = "local"
    """Which release target serves this environment."""
    danger: int = 2
    """How hard the console asks before a change: 1 (y/N), 2 (before → after), 3 (type the model's name)."""


class WatchSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    folders: list[str] = []
    """Folders watched beside the store's own `inbox`; relative to the store."""
    settle_seconds: float = 0.15
    """A file that was not renamed into place counts as whole when it kept its size this long."""
    rescan_seconds: float = 60.0
    """How often the folders are walked for what the kernel did not report (network file systems)."""
    polling: bool = False
    """Poll instead of inotify."""
    max_document_bytes: int = 4 << 20
    """Largest run.json, params.json or model.json."""


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d|w)")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DAY = 86_400


def duration(text: str) -> float:
    """Seconds of `90s`, `15m`, `4h`, `28d`, `2w`. Raises ValueError that says what was expected."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or not float(match[1]):
        raise ValueError(f"{text[:40]!r} is no duration: write 90s, 15m, 4h, 28d or 2w")
    return float(match[1]) * _UNITS[match[2]]


class Roll(msgspec.Struct, frozen=True):
    """Rows of counts recorded longer than `after` seconds ago are added up into windows of `width` seconds."""

    width: int
    after: float


class MonitorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    base_window_seconds: int = 60
    """Width of the finest window that counts are kept for: 60 or more."""
    compact: tuple[str, ...] = ("1h after 2d", "1d after 180d")
    """How rows are rolled up by age; `--at` is exact within the first age, and then to the width. Empty keeps all."""
    alert_window: str = "1d"
    """How often alerts are decided: at the end of each window of this width."""
    alert_span: int = 7
    """How many of these windows together an alert is decided on."""
    open_after: int = 2
    """Decisions in a row that must pass the threshold before an alert opens."""
    psi_warn: float = 0.1
    """PSI that is drift, where it stands this far above the noise floor and is more than chance."""
    psi_alarm: float = 0.25
    """PSI from which drift is critical."""
    min_rows: int = 200
    """With fewer rows, of a window or of the reference, drift must be five times as certain to raise an alert, and
    nothing else (a metric, a share of quality) raises one."""
    min_labelled: int = 200
    auc_drop: float = 0.05
    """Realised AUC this far below the reference's opens an alert."""
    loss_rise: float = 0.10
    """Relative rise of log loss, MAE or RMSE over the reference's that opens an alert."""
    close_after: int = 7
    """Decisions in a row well below the threshold that close an alert."""
    engine: Literal["", "dask"] = ""
    """"dask": large files are counted by the processes of a Dask cluster, which must see them under the same path."""
    scheduler: str = ""
    """Its scheduler: tcp://host:8786."""
    preset: Literal["", "evidently", "nannyml", "sagemaker", "vertex", "whylogs"] = ""
    """Whose verdicts on drift hold in listings, heat map and the default rule; "" for Quarterdeck's own."""

    null_words: tuple[str, ...] = ("NA", "N/A", "#N/A", "<NA>", "NULL", "null", "None", "\\N")
    """Words by which CSV files (without quotes) and numbers in text say that there is no value."""

    def __post_init__(self) -> None:
        if self.base_window_seconds < 60 or _DAY % self.base_window_seconds:
            raise ValueError(
                f"base_window_seconds is {self.base_window_seconds}; expected 60 or more, and a part of a day"
            )
        _ = self.rolls
        if self.engine and not re.match(r"(tcp|tls|ucx|ws|wss)://", self.scheduler):
            raise ValueError(f"scheduler is {self.scheduler[:80]!r}; engine dask expects for instance tcp://host:8786")

    @property
    def rolls(self) -> tuple[Roll, ...]:
        """`compact`, read; widths below the base window are left out."""
        return _rolls(self.compact, self.base_window_seconds)

    def width_at(self, age: float) -> int:
        """Width, in seconds, of the windows that rows are recorded in whose last event is `age` seconds old: what
        arrives so late that it would be rolled up is not cut fine first."""
        if self.rolls and age >= self.rolls[0].after:
            return self.rolls[0].width
        return self.base_window_seconds


@functools.lru_cache(maxsize=64)
def _rolls(compact: tuple[str, ...], base: int) -> tuple[Roll, ...]:
    found = tuple(_roll(text) for text in compact)
    for before, roll in itertools.pairwise(found):
        if roll.width <= before.width or roll.width % before.width or roll.after < before.after:
            raise ValueError(f"compact has {list(compact)}; expected ever wider windows of ever greater age")
    for roll in found:
        if roll.width > base and roll.width % base:
            raise ValueError(f"compact has {roll.width} s, no multiple of base_window_seconds")
    return tuple(roll for roll in found if roll.width >= base)


def _roll(text: str) -> Roll:
    width, _, after = text.partition(" after ")
    seconds = duration(width)
    if not after or seconds < 60 or _DAY % seconds:
        raise ValueError(f'compact has {text[:40]!r}; expected for instance "1h after 2d", with a part of a day first')
    return Roll(int(seconds), duration(after))


class LearnSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which windows a learnt threshold is taken from: from `since` to `until`, or the `last` before each decision."""

    since: datetime | None = None
    until: datetime | None = None
    last: str = ""
    """28d where neither `since` nor `until` is given."""
    quantile: float = 0.99
    """The share of healthy windows that must lie within the threshold."""
    least: int = 8
    """Windows that an hour or a day of the week must have for a threshold of its own."""

    def __post_init__(self) -> None:
        if not 0.5 <= self.quantile < 1:
            raise ValueError(f"quantile is {self.quantile:g}; expected 0.5 or more and less than 1")
        if self.least < 3:
            raise ValueError(f"least is {self.least}; expected 3 or more")
        if self.last:
            if self.since or self.until:
                raise ValueError("last does not go together with since and until")
            duration(self.last)
        elif bool(self.since) != bool(self.until):
            raise ValueError("since and until go together")


Severity = Literal["info", "warning", "critical"]


class RuleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One `[[alerts.rule]]`: either a `statistic` of drift or a `metric`; what is left out comes from [monitor]."""

    name: str
    statistic: str = ""
    """psi, js, ks … of features, scores and predictions."""
    metric: str = ""
    """auc, log_loss … · main: the main metrics of the task · volume: rows of a window · staleness: no file came · a
    check of quality, as a share of rows: missing, null_share, type_errors, out_of_range, absent of each feature;
    duplicates, left_out, without_time, implausible_time, without_id of prediction files; label_left_out,
    label_without_id, label_missing, label_duplicates, label_not_a_number, label_time_unreadable, label_time_implausible
    of label files."""
    feature: str = "*"
    """Name or pattern (`temp*`) of the features that a statistic or a check is watched on; `label`: the labels of a
    classifier, decided as they come."""
    deployment: str = "*"
    """Name or pattern of deployments: `*@production`."""
    window: str = ""
    """The rule is decided at the end of each window of this width."""
    span: int | None = None
    """How many of these windows together a decision looks at."""
    threshold: float | str | None = None
    """A number, "learnt", or for staleness a duration such as "2h"."""
    change: float | None = None
    """How much worse than on the reference: absolute for shares such as auc or null_share, relative for losses; for
    volume the fall below what is usual. Instead of a threshold."""
    for_windows: int | None = msgspec.field(name="for", default=None)
    of_windows: int | None = msgspec.field(name="of", default=None)
    """An alert opens after `for` decisions above the threshold out of the last `of`."""
    close_after: int | None = None
    min_rows: int | None = None
    guarantee: Literal["window", "sequential"] = "window"
    """What an alarm of drift must pass: the test of its window, or that of the whole watch too."""
    severity: Severity = "warning"
    route: str | list[str] = ""
    """Which [alerts.route.NAME] hear of it; "" takes [alerts] route."""
    learn: LearnSettings | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", self.name):
            raise ValueError(f"name is {self.name[:40]!r}; expected letters, digits, . _ -, at most 64")
        if bool(self.statistic) == bool(self.metric):
            raise ValueError(f"rule {self.name} needs either a statistic or a metric")
        if isinstance(self.threshold, str):
            if self.metric == "staleness":
                duration(self.threshold)
            elif self.threshold != "learnt":
                raise ValueError(f'threshold is {self.threshold[:40]!r}; expected a number or "learnt"')
        elif self.metric == "staleness":
            raise ValueError(f'rule {self.name} needs a threshold such as "2h"')
        if self.threshold is not None and self.change is not None:
            raise ValueError(f"rule {self.name} has both a threshold and a change; one of them decides")
        if self.learn is not None and self.threshold != "learnt" and self.metric != "volume":
            raise ValueError(f'rule {self.name} has learn but its threshold is not "learnt"')
        for name in ("span", "for_windows", "of_windows", "close_after", "min_rows"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name.removesuffix('_windows')} is {value}; expected 1 or more")
        if (self.for_windows or 1) > (self.of_windows or self.for_windows or 1):
            raise ValueError(f"for is {self.for_windows}, more than of, which is {self.of_windows}")


class RouteSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where messages go, as apprise writes it (`slack://…`, `mailto://…`, `json://host/…`). Holds secrets."""

    urls: list[str] = []
    """`$NAME` stands for the agent's environment variable of that name."""
    severity: frozenset[Severity] = frozenset({"info", "warning", "critical"})
    """Of which severities the route is told."""
    closed: bool = True
    """Whether the end of an alert is told too."""

    def __repr__(self) -> str:
        return f"RouteSettings({len(self.urls)} urls)"


class AlertSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    defaults: bool = True
    """Whether the rules that need no configuration (drift, performance, missing, volume) hold beside those given here;
    a rule of the same name takes the place of one."""
    rule: list[RuleSettings] = []
    route: dict[str, RouteSettings] = {}
    default_route: str = ""
    """The route of rules that name none; "" is the one called `default`, if there is one."""
    attempts: int = 12
    """How often a message is tried before it is given up."""

    def __post_init__(self) -> None:
        names = [rule.name for rule in self.rule]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two rules are called {name!r}")
        for rule in self.rule:
            for route in routes_of(self, rule.route):
                if route not in self.route:
                    raise ValueError(f"rule {rule.name} names route {route!r}; there is no [alerts.route.{route}]")
        if self.default_route and self.default_route not in self.route:
            raise ValueError(
                f"default_route is {self.default_route!r}; there is no [alerts.route.{self.default_route}]"
            )
        if self.attempts < 1:
            raise ValueError(f"attempts is {self.attempts}; expected 1 or more")


def routes_of(settings: AlertSettings, named: str | list[str]) -> list[str]:
    """The routes that a rule's `route` means."""
    routes = [named] if isinstance(named, str) else list(named)
    routes = [route for route in routes if route]
    if routes:
        return routes
    if settings.default_route:
        return [settings.default_route]
    return ["default"] if "default" in settings.route else []


class AccessSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    group: str = ""
    """Members of this group may open the socket; "" leaves it to its owner."""
    operators: list[str] = []
    """Users who may change things; empty means whoever may open the socket."""


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    level: str = "INFO"
    max_bytes: int = 4 << 20
    files: int = 4


class RunSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    silent_after: str = "1h"
    """A run that says it is running and gave no word for this long is shown so: its process may be gone."""

    def __post_init__(self) -> None:
        duration(self.silent_after)

    @property
    def silent_seconds(self) -> float:
        return duration(self.silent_after)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    environments: dict[str, EnvironmentSettings] = msgspec.field(
        default_factory=lambda: {
            "production": EnvironmentSettings(danger=3),
            "staging": EnvironmentSettings(danger=2),
        }
    )
    watch: WatchSettings = WatchSettings()
    runs: RunSettings = RunSettings()
    monitor: MonitorSettings = MonitorSettings()
    alerts: AlertSettings = AlertSettings()
    access: AccessSettings = AccessSettings()
    log: LogSettings = LogSettings()


def load(store: Path) -> Settings:
    """The settings of `store`; defaults where the file or a key is absent.

    Raises `Refusal` (usage) that names the file, the key and what was expected.
    """
    path = store / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(ExitCode.USAGE, f"{path}: {error}", "Mend the file or remove it.") from error
    try:
        return msgspec.convert(_moments(tomllib.loads(text)), Settings)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Refusal(ExitCode.USAGE, f"{path}: {error}", "`quarterdeck init` writes a commented example.") from error


def _moments(value: Any) -> Any:
    """TOML's dates and times without a zone as UTC, so that `since = 2013-04-01` may be written."""
    if isinstance(value, dict):
        return {key: _moments(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_moments(part) for part in value]
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    return value


def rule_from_text(text: str) -> RuleSettings:
    """A rule written as a TOML inline table, for instance `{statistic = "js", threshold = 0.2}`; its name may be
    left out. Raises `Refusal` (usage) that names the key."""
    try:
        table = tomllib.loads(f"rule = {text}")
        found = _moments(table["rule"])
        if len(table) != 1 or not isinstance(found, dict):
            raise ValueError("expected one table, { … }")
        return msgspec.convert({"name": "tried", **found}, RuleSettings)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, ValueError) as error:
        raise Refusal(
            ExitCode.USAGE, f"The rule cannot be read: {error}", 'For instance: {statistic = "js", threshold = 0.2}'
        ) from error
