"""The wire: every method, parameter and result that crosses the socket between a console and the agent.

The only module of the store that the console may import; it therefore imports nothing but the standard
library and msgspec. Messages are JSON-RPC 2.0, one JSON text per line, UTF-8. Times are seconds since the
epoch (UTC) as floats.
"""

from __future__ import annotations

import enum
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

PROTOCOL_VERSION = 1
#: A request line longer than this is refused and its connection closed.
MAX_REQUEST_BYTES = 1 << 20
#: A response line is never longer; readers size their buffers by it.
MAX_RESPONSE_BYTES = 32 << 20

Cell = None | bool | int | float | str | list[float | None]
Kind = Literal["text", "number", "time", "duration", "share", "bytes", "health", "spark", "json"]


class ExitCode(enum.IntEnum):
    """What a command's exit status says (DESIGN.md, "The command line")."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    NO_AGENT = 3
    CHANGED = 4
    NOT_PERMITTED = 5
    NOT_JUDGED = 6


class Refusal(Exception):
    """A request that cannot be done, in words for the operator.

    `message` names the value that was wrong, `hint` what to do next, `detail` is machine-readable
    (for `ExitCode.CHANGED` it holds what changed).
    """

    def __init__(self, code: ExitCode, message: str, hint: str = "", detail: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = ExitCode(code)
        self.message = message
        self.hint = hint
        self.detail: dict[str, Any] = dict(detail or {})


# --- JSON-RPC envelope -----------------------------------------------------------------------------------


class Request(msgspec.Struct, frozen=True, omit_defaults=True):
    method: str
    params: msgspec.Raw = msgspec.Raw(b"{}")
    id: int | str | None = None
    jsonrpc: Literal["2.0"] = "2.0"


class ErrorObject(msgspec.Struct, frozen=True, omit_defaults=True):
    """`code` is the JSON-RPC code (-32000 - exit code for refusals); `data` carries hint and detail."""

    code: int
    message: str
    data: dict[str, Any] = {}


class Response(msgspec.Struct, frozen=True, omit_defaults=True):
    id: int | str | None = None
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: ErrorObject | msgspec.UnsetType = msgspec.UNSET
    method: str | msgspec.UnsetType = msgspec.UNSET
    params: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    jsonrpc: Literal["2.0"] = "2.0"


def refusal_to_error(refusal: Refusal) -> ErrorObject:
    return ErrorObject(-32000 - int(refusal.code), refusal.message, {"hint": refusal.hint, "detail": refusal.detail})


def error_to_refusal(error: ErrorObject) -> Refusal:
    number = -32000 - error.code
    code = ExitCode(number) if 0 < number <= max(ExitCode) else ExitCode.USAGE
    return Refusal(code, error.message, str(error.data.get("hint", "")), error.data.get("detail") or {})


# --- hello, feed, progress -------------------------------------------------------------------------------


class HelloParams(msgspec.Struct, frozen=True):
    protocol: int = PROTOCOL_VERSION
    client: str = ""


class EnvironmentInfo(msgspec.Struct, frozen=True):
    name: str
    danger: int
    target: str


class Hello(msgspec.Struct, frozen=True):
    protocol: int
    agent: str
    store: str
    store_id: str
    schema: int
    pid: int
    started_at: float
    sequence: int
    user: str
    uid: int
    may_act: bool
    read_only: str
    """Why the store takes no changes ("" when it does)."""
    environments: list[EnvironmentInfo]
    base_window: int
    """Width of the finest monitoring window, seconds."""
    folders: list[str]
    """Watched folders."""


class Empty(msgspec.Struct, frozen=True):
    pass


class Change(msgspec.Struct, frozen=True):
    """Something that was committed: consoles refetch what they show of these topics.

    `topics` are listing kinds (`runs`, `deployments`, …), `subjects` the names that changed (bounded: an
    empty list with topics set means "many").
    """

    sequence: int
    at: float
    topics: list[str]
    subjects: list[str] = []


class SubscribeParams(msgspec.Struct, frozen=True):
    since: int | None = None


class Subscribed(msgspec.Struct, frozen=True):
    """`complete` is false when the feed no longer reaches back to `since`: refetch everything."""

    sequence: int
    at: float
    changes: list[Change]
    complete: bool


class Progress(msgspec.Struct, frozen=True):
    """A notification for long work (backup, intake of a burst, verify): `total` 0 when unknown."""

    task: str
    label: str
    done: int
    total: int
    finished: bool = False


class Pong(msgspec.Struct, frozen=True):
    sequence: int
    at: float
    progress: list[Progress] = []


# --- listings --------------------------------------------------------------------------------------------


class Column(msgspec.Struct, frozen=True, omit_defaults=True):
    """`priority` 0 is always shown; higher numbers are left out first when the screen is narrow."""

    name: str
    kind: Kind = "text"
    title: str = ""
    priority: int = 1


class ListParams(msgspec.Struct, frozen=True, omit_defaults=True):
    """`sort` is `COL`, `COL:desc` or `COL:asc`; `at` asks for the listing as the store knew it then.

    `window` (`1h`, `1d` …), `since`, `until` apply to drift, performance and windows; `scope` narrows to
    one subject, for instance {"deployment": "flight-delay@production"}. Without `columns` a page has the first of
    very many, and those that `sort` and `filter` name; with `all_columns` every one.
    """

    kind: str
    filter: str = ""
    sort: str = ""
    offset: int = 0
    limit: int = 100
    at: float | None = None
    since: float | None = None
    until: float | None = None
    window: str = ""
    scope: dict[str, str] = {}
    columns: list[str] = []
    all_columns: bool = False


class Page(msgspec.Struct, frozen=True):
    """Rows `offset` to `offset + len(rows)` of `total`; `rows[i][0]` is the row's id. `columns_left_out`: how many
    more columns there are than a page has that names none."""

    kind: str
    columns: list[Column]
    rows: list[list[Cell]]
    total: int
    offset: int
    sequence: int
    at: float
    columns_left_out: int = 0


class LocateParams(msgspec.Struct, frozen=True):
    """Where the row `id` stands in the listing `params` describes."""

    params: ListParams
    id: str


class Located(msgspec.Struct, frozen=True):
    offset: int | None
    total: int


class ShowParams(msgspec.Struct, frozen=True):
    kind: str
    name: str
    at: float | None = None


class Field(msgspec.Struct, frozen=True, omit_defaults=True):
    label: str
    value: bool | int | float | str | dict[str, Any] | list[Any] | None
    kind: Kind = "text"


class Section(msgspec.Struct, frozen=True, omit_defaults=True):
    """A titled block of a detail page: label/value fields, or a small table."""

    title: str
    fields: list[Field] = []
    columns: list[Column] = []
    rows: list[list[Cell]] = []


class Detail(msgspec.Struct, frozen=True):
    kind: str
    name: str
    sections: list[Section]
    sequence: int
    at: float


class RunMetricsParams(msgspec.Struct, frozen=True):
    """The points of a run's metrics, thinned to at most `points` per metric (ends and extremes kept)."""

    run: str
    metrics: list[str] = []
    points: int = 400
    at: float | None = None


Number = float | str
"""A number; NaN and infinities travel as the texts `nan`, `inf` and `-inf`, for which JSON has no number."""


class MetricSeries(msgspec.Struct, frozen=True):
    """Points by attempt and step. `last` is the value that was logged last, whatever its step."""

    metric: str
    steps: list[int]
    times: list[float]
    values: list[Number]
    total: int
    last: Number | None = None
    lowest: Number | None = None
    """Of all points but NaN; `nan` where there is no other."""
    highest: Number | None = None
    attempts: list[int] = []
    """Of each point: a run that logs steps again, or whose file begins anew, is in its next attempt."""


class RunMetrics(msgspec.Struct, frozen=True):
    run: str
    status: str
    series: list[MetricSeries]
    silence: str = ""
    """`no word for 3 h`, of a running run that was not heard for longer than the setting allows."""
    last_word: float | None = None
    """When the run last gave a sign of itself, by the store's clock."""
    last_metric: float | None = None
    """The time of its last point."""
    attempts: int = 1


# --- judged or not ---------------------------------------------------------------------------------------

#: How the judging of a feature ended. "left out": it was not to be judged (a time, an id, a nested value).
FeatureState = Literal["steady", "drifted", "not judged", "left out"]
#: Why a feature was not judged, or left out: code → words that follow a count ("5 too few rows").
REASONS: dict[str, str] = {
    "no_reference": "no reference",
    "few_reference_rows": "too few rows in the reference",
    "no_reference_values": "no usable value in the reference",
    "few_rows": "too few rows",
    "no_values": "no values",
    "absent": "column absent",
    "no_value": "statistic not computable",
    "not_for_kind": "statistic not for this kind",
    "time": "a time",
    "nested": "nested or binary",
    "row_names": "names of rows",
    "prediction_id": "ids of predictions",
}
#: What stands for a feature that is not judged, beside a glyph.
NOT_JUDGED = "not judged"


def reason_words(reason: str) -> str:
    """The words of a reason; a code that this version does not know, as it is."""
    return REASONS.get(reason, reason.replace("_", " "))


def not_judged_text(reasons: Mapping[str, int], features: int) -> str:
    """`7 of 25 features not judged: 5 too few rows, 2 no reference`, most frequent first; "" where all were.

    `reasons` is how many features were not judged for which reason, `features` how many there are in all.
    """
    ranked = sorted((-count, reason) for reason, count in reasons.items() if count)
    if not ranked:
        return ""
    parts = ", ".join(f"{-count:,} {reason_words(reason)}" for count, reason in ranked)
    total = -sum(count for count, _ in ranked)
    return f"{total:,} of {features:,} feature{'' if features == 1 else 's'} {NOT_JUDGED}: {parts}"


# --- monitor ---------------------------------------------------------------------------------------------


class SpanParams(msgspec.Struct, frozen=True, omit_defaults=True):
    """A deployment over a span of event time; absent `until` means the last data, absent `since` what
    `count` windows before it reach."""

    deployment: str
    window: str = "1d"
    since: float | None = None
    until: float | None = None
    at: float | None = None
    count: int = 120
    statistic: str = "psi"
    version: str = ""


class Mark(msgspec.Struct, frozen=True):
    """A revision or an alert on the event-time axis."""

    at: float
    kind: Literal["revision", "alert"]
    id: str
    label: str


class Heatmap(msgspec.Struct, frozen=True):
    """`values[feature][window]`, null where nothing was computed; features sorted by the worst value, those of which
    nothing was judged last."""

    deployment: str
    statistic: str
    window_seconds: int
    starts: list[float]
    features: list[str]
    values: list[list[float | None]]
    noise: list[list[float | None]]
    """The noise floor of each value, null where none is computed."""
    rows: list[int]
    versions: list[str]
    """The version that made most of the window's predictions."""
    warn: float
    alarm: float
    marks: list[Mark]
    why: str = ""
    """Why there is nothing to show, when there is nothing."""
    alarms: list[list[str]] = []
    """Of each cell: `warning` or `critical` where a large effect is also more than chance, else ""."""
    importance: list[float | None] = []
    """Of each feature: its share of the model's importances (model.json, `importance`); null where none are given."""
    correlation: list[float | None] = []
    """Of each feature: rank correlation, over the windows, of its drift with the loss of performance (realised, else
    estimated); null with fewer than 8 such windows."""
    relevance: list[float | None] = []
    """Of each feature: its worst drift beyond noise, in units of the threshold, times importance (where that is not
    given, times the correlation, if positive): which drifted features matter."""
    relevance_basis: str = ""
    """`importance`, `correlation`, or "" when there is neither."""
    reasons: list[list[str]] = []
    """Of each cell why it was not judged (a code of `REASONS`), "" where it was and where there were no predictions."""


class DistributionParams(msgspec.Struct, frozen=True, omit_defaults=True):
    deployment: str
    feature: str
    since: float | None = None
    until: float | None = None
    at: float | None = None
    bars: int = 16
    version: str = ""


class Statistic(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    value: float | None
    noise_floor: float | None = None
    threshold: float | None = None
    """What the value must pass, beyond the noise floor, to be an alarm."""
    why: str = ""
    p_value: float | None = None
    """Of the statistic's own test, where it has one."""


class ValueSummary(msgspec.Struct, frozen=True):
    """The finite values of a numeric feature; what is too large for a number is null."""

    values: int
    mean: float | None
    deviation: float | None
    """Of the population: divided by the number of values."""
    low: float | None
    high: float | None


class NewCategory(msgspec.Struct, frozen=True):
    """A category that the reference does not hold, and in how many rows it came."""

    name: str
    rows: int


class Distribution(msgspec.Struct, frozen=True):
    """Shares of the reference and of the current span over the same bars (bins merged for display)."""

    deployment: str
    version: str
    feature: str
    kind: str
    labels: list[str]
    reference: list[float]
    current: list[float]
    reference_rows: int
    rows: int
    since: float | None
    until: float | None
    statistics: list[Statistic]
    why: str = ""
    edges: list[tuple[float | None, float | None]] = []
    """Of a numeric feature the values that each bar holds, null where it is open; of missing values both are null."""
    summary: ValueSummary | None = None
    """Null where there is no value, and where windows were counted before moments were kept."""
    reference_summary: ValueSummary | None = None
    new: list[NewCategory] = []
    """Most frequent first; where there are too many to keep, some of them."""
    new_total: int | None = None
    """How many different ones there are: estimated where that is more than are kept, null where that is not known: in
    windows that were counted before names were kept, and against a reference of before its rare ones were."""
    new_estimated: bool = False
    causes: list[str] = []
    """What differs from the reference beyond chance, in words, what explains most rows first."""
    reason: str = ""
    """Why the feature cannot be judged over this span by the usual test (a code of `REASONS`), "" where it can."""


class PerformanceParams(msgspec.Struct, frozen=True, omit_defaults=True):
    deployment: str
    metrics: list[str] = []
    window: str = "1d"
    since: float | None = None
    until: float | None = None
    at: float | None = None
    count: int = 120
    slice: str = ""
    """A slice column: realised lines of each of its values beside the whole."""


class PerformanceLine(msgspec.Struct, frozen=True):
    """One metric over the windows of a `Performance`; `reference` is its value on the reference data.

    An estimated line has the 95 % band of what labels would show in `lower` and `upper` (by window, as `values`).
    """

    metric: str
    version: str
    """"" for the line over whatever version served."""
    kind: Literal["realised", "estimated"]
    values: list[float | None]
    reference: float | None
    lower: list[float | None] = []
    """Empty where the line has no band."""
    upper: list[float | None] = []
    slice: str = ""
    """The value of the slice column that was asked for; "" for the whole."""
    why: str = ""
    """Why the line has no value at all."""


#: empty: no predictions · realised: (nearly) all labels that will come have come, realised values hold · partial:
#: some have, realised values are of the early ones · estimated: none has, an estimate stands in · unknown: none
#: has and nothing can be estimated, the performance cannot be known yet.
Maturity = Literal["empty", "realised", "partial", "estimated", "unknown"]


class LabelDelays(msgspec.Struct, frozen=True):
    """How late labels come: label time minus event time, of the labels in the span and the 90 days before it.

    `seconds[i]` is the delay within which the share `shares[i]` of the labels come (corrected for labels of recent
    predictions that are still to come). `counts[i]` labels had a delay between `edges[i]` and `edges[i + 1]` seconds.
    """

    labels: int
    unknown: int
    """Labels without a time."""
    early: int
    """Labels dated before their prediction."""
    final_share: float | None
    """The share of predictions that ever get a label."""
    shares: list[float]
    seconds: list[float]
    edges: list[float]
    counts: list[int]
    why: str = ""
    """Why there is no distribution."""


class Performance(msgspec.Struct, frozen=True):
    """Metrics over windows of event time; every list below is by window but `lines`, `marks` and `slices`."""

    deployment: str
    window_seconds: int
    starts: list[float]
    rows: list[int]
    labelled: list[int]
    lines: list[PerformanceLine]
    marks: list[Mark]
    why: str = ""
    maturity: list[Maturity] = []
    expected: list[float | None] = []
    """The share of the window's rows whose label should have come by now: beside `labelled / rows` it tells labels
    that are still to come from labels that are overdue. Null where labels carry no times."""
    frontier: float | None = None
    """Event time before which labels are as good as complete (95 % of those that ever come)."""
    delays: LabelDelays | None = None
    slices: list[str] = []
    """Slice columns that can be asked for."""
    metrics: list[str] = []
    """Metrics that can be asked for."""


class MultivariateParams(msgspec.Struct, frozen=True, omit_defaults=True):
    """Compare the rows of [since, until) (as `DistributionParams`: by default the last alert window) with the
    reference's, all features together; with `at`, those of files that had come by then. Takes seconds: a worker reads
    at most `rows` rows a side from the files."""

    deployment: str
    since: float | None = None
    until: float | None = None
    rows: int = 10_000
    version: str = ""
    at: float | None = None


class FeatureWeight(msgspec.Struct, frozen=True):
    """A feature and its part in what was found; `change` says in words how it moved."""

    feature: str
    value: float
    change: str


class Multivariate(msgspec.Struct, frozen=True):
    """Whether current rows can be told from the reference's (domain classifier), and whether they still hang together
    as those did (PCA reconstruction error).

    `auc` is 0.5 where nothing tells the two apart and 1 where everything does; below `auc_noise` it is noise (99 %).
    `telling` are the features it leans on: how much of the AUC is lost when one is shuffled. `error` is the mean
    reconstruction error; outside `error_lower` … `error_upper` it differs from the reference's (99 %). `off` are the
    features whose squared error changed most.
    """

    deployment: str
    version: str
    since: float
    until: float
    reference_rows: int
    rows: int
    auc: float | None
    auc_noise: float | None
    telling: list[FeatureWeight]
    error: float | None
    error_reference: float | None
    error_lower: float | None
    error_upper: float | None
    components: int
    off: list[FeatureWeight]
    seconds: float
    notes: list[str] = []
    """What was odd: files that are gone, files left out."""
    why: str = ""
    """Why nothing was compared."""
    error_why: str = ""


# --- alerts ----------------------------------------------------------------------------------------------


class ReplayParams(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an alert rule would have done over the stored counts of the last `days` of event time.

    `rule` is the name of a rule that holds, or one to try, as a TOML inline table. `thresholds` are tried beside the
    rule's own. Without a deployment it is every one that the rule watches.
    """

    rule: str = "drift"
    deployment: str = ""
    thresholds: list[float] = []
    days: float = 90.0
    until: float | None = None


class Episode(msgspec.Struct, frozen=True):
    """An alert that would have been: from the end of the window that opens it to that of the one that closes it."""

    deployment: str
    feature: str
    version: str
    opened: float
    closed: float | None
    worst: float
    """The value farthest beyond the threshold while it was on."""
    message: str


class ReplayLine(msgspec.Struct, frozen=True):
    """The rule with one threshold; null is the rule's own where that is no single number (learnt, or by change)."""

    threshold: float | None
    own: bool
    fired: int
    """Alerts that would have opened in the span."""
    carried: int
    """Alerts that were on when it began."""
    over: int
    """Decisions (window × feature) above the threshold."""
    quiet_share: float | None
    """The share of windows in which no alert was on, of those in which anything was decided; null without any."""
    on: list[int]
    """How many alerts were on after each window."""
    episodes: list[Episode]
    undecided: int = 0
    """Windows in which nothing could be decided: no data, too few rows, no reference."""


class Replay(msgspec.Struct, frozen=True):
    rule: str
    said: str
    """The rule in words."""
    deployments: list[str]
    window_seconds: int
    ends: list[float]
    """Ends of the windows that were decided."""
    decisions: int
    rules: list[str]
    """The rules that hold and can be replayed."""
    lines: list[ReplayLine]
    why: str = ""
    """Why there is nothing to show, when there is nothing."""


# --- actions ---------------------------------------------------------------------------------------------

ActionName = Literal["promote", "rollback", "abort", "retry", "ack", "mute", "resolve", "note"]


class ActionParams(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing an operator asks for.

    `subject`: `model@environment` for promote/rollback/abort/retry, an alert id for ack/mute/resolve, a
    quarantine id (`q…`) for retry, `KIND/NAME` for note. `version` is the version to promote, or to roll
    back to. `expect` is the revision the operator saw. `request_id` makes a repeated request one action.
    `data_age` is the age in seconds of what the actor was looking at.
    """

    action: ActionName
    subject: str
    version: str = ""
    reason: str = ""
    expect: int | None = None
    dry_run: bool = False
    wait: bool = True
    request_id: str = ""
    via: str = ""
    data_age: float | None = None
    until: float | None = None
    """Until when a mute lasts; null for a day."""


class Plan(msgspec.Struct, frozen=True):
    """What an action would do: shown by the dialog and by --dry-run; `revision` goes into `expect`."""

    action: str
    subject: str
    allowed: bool
    why: str
    danger: int
    revision: int
    before: dict[str, float]
    after: dict[str, float]
    facts: list[Field]
    """Blast radius, checks, digests, performance of both versions, open alerts …"""
    command: str
    """The CLI line that would do it."""
    confirm_word: str
    """What level 3 asks the operator to type ("" below)."""


class Outcome(msgspec.Struct, frozen=True):
    action: str
    subject: str
    revision: int
    phase: str
    before: dict[str, float]
    after: dict[str, float]
    message: str
    sequence: int
    """Journal sequence of the change."""
    repeated: bool = False
    warning: str = ""
    """What is odd about what is served now, although the change was made: a version without an artifact."""


# --- the store itself ------------------------------------------------------------------------------------


class BackupParams(msgspec.Struct, frozen=True):
    path: str


class BackupDone(msgspec.Struct, frozen=True):
    path: str
    bytes: int
    seconds: float
    sequence: int


class CheckResult(msgspec.Struct, frozen=True):
    """One line of `doctor`."""

    name: str
    status: Literal["ok", "warning", "failed"]
    found: str
    hint: str = ""


class DoctorReport(msgspec.Struct, frozen=True):
    checks: list[CheckResult]


class Verified(msgspec.Struct, frozen=True):
    """`broken_at` is the first journal sequence whose hash does not follow, null when all hold."""

    rows: int
    last_sequence: int
    last_hash: str
    broken_at: int | None
    why: str = ""


class AgentStatus(msgspec.Struct, frozen=True):
    pid: int
    started_at: float
    store: str
    version: str
    schema: int
    sequence: int
    connections: int
    queue: int
    """Arrivals waiting to be taken in."""
    taken: int
    quarantined: int
    memory_bytes: int
    cpu_seconds: float
    store_bytes: int


#: method name -> (params type, result type). The console's link and the agent's server both read it.
METHODS: dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]] = {
    "hello": (HelloParams, Hello),
    "ping": (Empty, Pong),
    "subscribe": (SubscribeParams, Subscribed),
    "list": (ListParams, Page),
    "locate": (LocateParams, Located),
    "show": (ShowParams, Detail),
    "run_metrics": (RunMetricsParams, RunMetrics),
    "heatmap": (SpanParams, Heatmap),
    "distribution": (DistributionParams, Distribution),
    "performance": (PerformanceParams, Performance),
    "multivariate": (MultivariateParams, Multivariate),
    "replay": (ReplayParams, Replay),
    "plan": (ActionParams, Plan),
    "act": (ActionParams, Outcome),
    "backup": (BackupParams, BackupDone),
    "doctor": (Empty, DoctorReport),
    "verify": (Empty, Verified),
    "status": (Empty, AgentStatus),
    "stop": (Empty, Empty),
}
#: Notifications that the agent sends to subscribed connections.
NOTIFICATIONS: dict[str, type[msgspec.Struct]] = {"change": Change, "progress": Progress}


# --- any two files ---------------------------------------------------------------------------------------


class DriftRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What `quarterdeck drift` asks of its worker process: paths, folders, globs or URLs, and what to say of them."""

    current: str
    reference: str
    statistic: str = "psi"
    """The one whose alarms are calibrated and by which features are sorted."""
    features: list[str] = []
    """Names or globs; empty for every column."""
    preset: str = ""
    engine: str = ""
    """`dask`: the processes of the cluster at `scheduler` count."""
    scheduler: str = ""


class StatisticValue(msgspec.Struct, frozen=True):
    """One statistic of a feature; `why` when the value is null. A preset's verdict stands in `drifted`."""

    statistic: str
    value: float | None
    noise_floor: float | None = None
    threshold: float | None = None
    p_value: float | None = None
    drifted: bool | None = None
    why: str = ""


class ComparedFeature(msgspec.Struct, frozen=True):
    """One feature's verdict, all its statistics, and both distributions as shares of neighbouring cells.

    `reason` (a code of `REASONS`) says why `state` is "not judged", or "absent" where a column that is missing is the
    alarm; `why` says it in words, or why a statistic has no value.
    """

    feature: str
    kind: str
    statistic: str
    value: float | None
    noise_floor: float | None
    threshold: float | None
    p_value: float | None
    q_value: float | None
    alarm: bool
    severity: Literal["", "warning", "critical"]
    guarantee: str
    why: str
    reference_rows: int
    rows: int
    statistics: list[StatisticValue]
    reference_shape: list[float]
    shape: list[float]
    shape_labels: list[str]
    reference_mean: float | None = None
    mean: float | None = None
    new_categories: list[str] = []
    notes: list[str] = []
    dropped: dict[str, int] = {}
    """Rows whose value is none of the feature's, by reason: null, nan, infinite, type_errors, absent."""
    reference_dropped: dict[str, int] = {}
    causes: list[str] = []
    """What changed, in words; of an alarm, what explains most rows first."""
    state: FeatureState = "steady"
    reason: str = ""
    absent_share: float = 0.0
    """The share of the current rows whose file has no such column."""
    reference_absent_share: float = 0.0


class DriftReport(msgspec.Struct, frozen=True):
    """The answer: features sorted by how far they lie beyond what chance and the threshold allow."""

    reference_rows: int
    rows: int
    reference_files: int
    files: int
    features: list[ComparedFeature]
    left_out: dict[str, str]
    """Column → why it was not compared."""
    notes: list[str]
    guarantee: str = ""
    """What stands behind the alarms, in words."""
    preset: str = ""
    preset_drifted: bool | None = None
    preset_share: float | None = None
    left_out_reasons: dict[str, str] = {}
    """Column that was left out → a code of `REASONS`."""
    requested: list[str] = []
    """Columns that were asked for by their own names: of those, one that was left out was not judged."""


class DriftAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line that the worker writes: how far it is, or the report, or why there is none."""

    done: int = 0
    parts: int = 0
    report: DriftReport | None = None
    message: str = ""
    hint: str = ""


# --- where things are ------------------------------------------------------------------------------------


def default_store() -> Path:
    """`QUARTERDECK_STORE`, else the XDG data folder."""
    named = os.environ.get("QUARTERDECK_STORE")
    if named:
        return Path(named).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "quarterdeck"


#: The agent touches its socket this often, seconds: its time says since when one that hangs has hung.
HEARTBEAT_SECONDS = 5.0


def lock_path(store: Path) -> Path:
    """The file that the store's agent holds locked while it runs; its number is in it."""
    return store / "agent.lock"


def socket_path(store: Path) -> Path:
    """The agent's socket for this store: a short path, since a Unix socket's holds at most 107 bytes."""
    inside = store.resolve() / "run" / "agent.sock"
    if len(os.fsencode(inside)) <= 100:
        return inside
    base = os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/quarterdeck-{os.getuid()}"
    name = hashlib.sha256(os.fsencode(store.resolve())).hexdigest()[:16]
    return Path(base) / "quarterdeck" / name / "agent.sock"
