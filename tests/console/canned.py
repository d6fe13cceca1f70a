"""What the fake agent knows: one small store in July 2013, with a deployment in trouble and one that is well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from store.protocol import (
    Column,
    Distribution,
    Episode,
    Field,
    Heatmap,
    LabelDelays,
    Mark,
    Maturity,
    MetricSeries,
    NewCategory,
    Performance,
    PerformanceLine,
    Replay,
    ReplayLine,
    ReplayParams,
    RunMetrics,
    Section,
    Statistic,
    ValueSummary,
)
from tests.console.fake_agent import NOW, Listing

HOUR, DAY = 3600.0, 86_400.0
#: A name as an attacker would choose it: escape sequence, markup, right-to-left override.
HOSTILE = "evil\x1b[31m[red]x[/red]\u202egnp"

_TRAFFIC = [120.0, 140.0, 160.0, 90.0, 70.0, 130.0, 180.0, 210.0, 190.0, 150.0, 110.0, 100.0]


def _deployments() -> Listing:
    columns = [
        Column("id", priority=9),
        Column("deployment", priority=0),
        Column("health", "health", priority=0),
        Column("effective", "json", "version", 0),
        Column("since", "time", priority=2),
        Column("traffic", "spark", priority=3),
        Column("drift_feature", title="drift", priority=1),
        Column("drift", "number", "psi", 1),
        Column("metric", priority=2),
        Column("performance", "number", "now", 1),
        Column("reference", "number", "ref", 1),
        Column("alerts", "number", priority=0),
        Column("changed", "time", "last change", 4),
        Column("by", priority=4),
        Column("revision", "number", "rev", 3),
        Column("phase", "health", priority=5),
        Column("requested", "json", priority=8),
        Column("observed", "json", priority=8),
        Column("reason", priority=6),
        Column("message", priority=7),
        Column("judged", "number", priority=3),
        Column("not_judged", "number", "not judged", 1),
    ]
    rows: list[list[Any]] = [
        [
            "flight-delay@production", "flight-delay@production", "alarm", '{"1":1.0}', NOW - 3 * DAY, _TRAFFIC,
            "temperature_f", 8.48, "auc", 0.592, 0.702, 5, NOW - 3 * DAY, "ada", 7, "effective", '{"1":1.0}',
            '{"1":1.0}', "the first version", "", 12, 0,
        ],
        [
            "flight-delay@staging", "flight-delay@staging", "ok", '{"2":1.0}', NOW - 2 * HOUR, _TRAFFIC[::-1],
            "carrier", 0.021, "auc", 0.742, 0.751, 0, NOW - 2 * HOUR, "grace", 2, "effective", '{"2":1.0}',
            '{"2":1.0}', "try it", "", 5, 7,
        ],
        [
            "fraud@production", "fraud@production", "not judged: no reference", '{"11":0.9,"12":0.1}', NOW - 40 * DAY,
            None, None, None, None, None, None, 0, NOW - 40 * DAY, "ada", 31, "effective", '{"11":0.9,"12":0.1}',
            '{"11":0.9,"12":0.1}', "", "", 0, 25,
        ],
    ]  # fmt: skip
    return columns, rows


def _runs() -> Listing:
    columns = [
        Column("id", priority=9),
        Column("name", priority=0),
        Column("status", "health", priority=0),
        Column("started", "time", priority=1),
        Column("duration", "duration", priority=2),
        Column("owner", priority=3),
        Column("metric.auc", "number", "auc", 2),
        Column("param.depth", "text", "depth", 2),
    ]
    states = ("finished", "finished", "failed", "running")
    rows: list[list[Any]] = [
        [
            f"train-{number:03d}", f"train-{number:03d}", states[number % 4], NOW - number * HOUR, 60.0 + number,
            ("ada", "grace")[number % 2], 0.5 + number % 40 / 100, str(number % 7),
        ]
        for number in range(200)
    ]  # fmt: skip
    rows[3][1] = HOSTILE
    return columns, rows


def _alerts() -> Listing:
    columns = [
        Column("id", priority=0),
        Column("state", "health", priority=0),
        Column("severity"),
        Column("deployment", priority=0),
        Column("version"),
        Column("feature", priority=0),
        Column("value", "number"),
        Column("threshold", "number"),
        Column("opened_at", "time"),
        Column("rule"),
        Column("window_end", "time"),
        Column("opened_window", "time"),
        Column("closed_window", "time"),
    ]
    deployment = "flight-delay@production"
    rows: list[list[Any]] = [
        [
            "a2", "open", "critical", deployment, "1", "auc", 0.592, 0.65, NOW - HOUR,
            "performance", NOW, NOW - 6 * DAY, None,
        ],
        [
            "a1", "open", "warning", deployment, "1", "temperature_f", 8.48, 0.25, NOW - DAY,
            "drift", NOW, NOW - 30 * DAY, None,
        ],
        [
            "a0", "closed", "warning", deployment, "1", "carrier", 0.3, 0.25, NOW - 9 * DAY,
            "drift", NOW - 40 * DAY, NOW - 50 * DAY, NOW - 40 * DAY,
        ],
    ]  # fmt: skip
    return columns, rows


def _revisions() -> Listing:
    columns = [
        Column("id", priority=9),
        Column("deployment", priority=0),
        Column("revision", "number", priority=0),
        Column("action", priority=0),
        Column("versions", "json", priority=0),
        Column("before", "json", priority=1),
        Column("phase", "health", priority=0),
        Column("by"),
        Column("at", "time"),
        Column("reason", priority=2),
    ]
    deployment = "flight-delay@production"
    rows: list[list[Any]] = [
        [f"{deployment}/7", deployment, 7, "rollback", '{"1":1.0}', '{"2":1.0}', "effective", "ada", NOW - 3 * DAY,
         "log loss went up"],
        [f"{deployment}/6", deployment, 6, "promote", '{"2":1.0}', '{"1":1.0}', "effective", "grace", NOW - 4 * DAY,
         "trained on more months"],
    ]  # fmt: skip
    return columns, rows


def _versions() -> Listing:
    columns = [
        Column("id", priority=9),
        Column("name", priority=0),
        Column("model", priority=8),
        Column("version", priority=8),
        Column("rank", "number", priority=8),
        Column("flavour", priority=2),
        Column("metrics", "json", priority=1),
        Column("registered", "time", priority=1),
    ]
    rows: list[list[Any]] = [
        [
            "flight-delay@2",
            "flight-delay@2",
            "flight-delay",
            "2",
            1,
            "skops",
            '{"auc":0.751,"log_loss":0.48}',
            NOW - DAY,
        ],
        [
            "flight-delay@1",
            "flight-delay@1",
            "flight-delay",
            "1",
            2,
            "skops",
            '{"auc":0.702,"log_loss":0.49}',
            NOW - 9 * DAY,
        ],
    ]
    return columns, rows


def _plain(kind: str) -> Listing:
    columns = [Column("id", priority=9), Column("name", priority=0), Column("recorded", "time", priority=1)]
    return columns, [[f"{kind}-{number}", f"{kind} {number}", NOW - number * DAY] for number in range(3)]


def _journal() -> Listing:
    columns = [
        Column("id", priority=9),
        Column("sequence", "number", priority=0),
        Column("time", "time", priority=0),
        Column("actor", priority=0),
        Column("via", priority=2),
        Column("action", priority=0),
        Column("kind", priority=1),
        Column("subject", priority=0),
        Column("before", "json", priority=3),
        Column("after", "json", priority=2),
        Column("reason", priority=1),
    ]
    rows: list[list[Any]] = [
        ["9", 9, NOW - DAY, "ada", "console", "rollback", "deployments", "flight-delay@production", '{"2":1.0}',
         '{"1":1.0}', "log loss went up"],
        ["8", 8, NOW - 2 * DAY, "agent", "agent", "open", "alerts", "a1", None, '{"value":8.48}', ""],
    ]  # fmt: skip
    return columns, rows


LISTINGS: dict[str, Listing] = {
    "deployments": _deployments(),
    "runs": _runs(),
    "alerts": _alerts(),
    "revisions": _revisions(),
    "versions": _versions(),
    "journal": _journal(),
    **{kind: _plain(kind) for kind in ("datasets", "models", "quarantine", "performance")},
}

SHOWN: dict[tuple[str, str], list[Section]] = {
    ("runs", "train-000"): [
        Section(
            "run", [Field("name", "train-000"), Field("status", "finished", "health"), Field("tags", {"by": HOSTILE})]
        ),
        Section("params", [Field("depth", "6"), Field("learning_rate", 0.1, "number")]),
        Section("model versions from this run", columns=[Column("version"), Column("at", "time")], rows=[["2", NOW]]),
    ],
    ("deployments", "flight-delay@production"): [
        Section(
            "State",
            [
                Field("Deployment", "flight-delay@production"),
                Field("Health", "alarm", "health"),
                Field("Requested", {"1": 1.0}, "json"),
                Field("Observed", {"1": 1.0}, "json"),
                Field("Effective", {"1": 1.0}, "json"),
                Field("Revision", 7, "number"),
            ],
        )
    ],
}


def _heatmap(params: Any) -> Heatmap:
    features = ["temperature_f", "humidity_pct", "carrier"]
    starts = [NOW - (30 - day) * DAY for day in range(30)]
    values: list[list[float | None]] = [
        [0.02 * 1.25**day for day in range(30)],
        [0.05 + day % 7 / 40 for day in range(30)],
        [None if day == 9 else 0.01 for day in range(30)],
    ]
    marks = [Mark(starts[12], "revision", "7", "version 1"), Mark(starts[20], "alert", "a1", "temperature_f")]
    noise: list[list[float | None]] = [[0.02 + day % 3 / 200 for day in range(30)]] * 3
    alarms = [
        ["critical" if (value or 0) > 0.27 else "warning" if (value or 0) > 0.12 else "" for value in row]
        for row in values
    ]
    return Heatmap(
        params.deployment, params.statistic, int(DAY), starts, features, values, noise, [900] * 30, ["1"] * 30, 0.1,
        0.25, marks, alarms=alarms, importance=[0.41, 0.22, 0.05], relevance=[3.0, 0.2, 4.0],
        relevance_basis="importance",
        reasons=[
            [""] * 30,
            ["few_rows" if day in (3, 4, 29) else "" for day in range(30)],
            ["no_reference" if day < 12 and day != 9 else "" for day in range(30)],
        ],
    )  # fmt: skip


def _distribution(params: Any) -> Distribution:
    statistics = [Statistic("psi", 8.48, 0.01, 0.1), Statistic("js", 0.81, 0.09, 0.1), Statistic("missing", 0.0)]
    more = (params.deployment, "1", params.feature)
    if params.feature == "carrier":
        labels = ["UA", "B6", "EV", "(other)"]
        return Distribution(
            *more, "categorical", labels, [0.4, 0.3, 0.2, 0.1], [0.38, 0.2, 0.3, 0.12], 28_886, 994, params.since,
            params.until, statistics, new=[NewCategory("ZZ", 41), NewCategory("Y[b]Y", 7)], new_total=2,
        )  # fmt: skip
    labels = ["< 40", "40 … 50", "50 … 60", "60 … 70", "> 70", "(missing)"]
    edges: list[tuple[float | None, float | None]] = [
        (None, 40.004), (40.004, 49.98), (49.98, 60.02), (60.02, 69.98), (69.98, None), (None, None),
    ]  # fmt: skip
    return Distribution(
        *more, "numeric", labels, [0.3, 0.4, 0.2, 0.08, 0.0, 0.02], [0.0, 0.1, 0.2, 0.29, 0.4, 0.01], 28_886, 994,
        params.since, params.until, statistics, edges=edges, summary=ValueSummary(984, 79.2, 7.13, 61.0, 100.9),
        reference_summary=ValueSummary(28_300, 39.86, 9.02, 10.94, 78.1),
    )  # fmt: skip


def _drift() -> Listing:
    columns = [
        Column("id", priority=9),
        Column("deployment"),
        Column("version"),
        Column("feature", priority=0),
        Column("window_start", "time"),
        Column("statistic"),
        Column("value", "number", priority=0),
        Column("noise_floor", "number"),
        Column("threshold", "number"),
        Column("alarm"),
        Column("why", priority=2),
        Column("p_value", "number", priority=2),
        Column("severity", priority=2),
        Column("guarantee", priority=2),
        Column("importance", "number", priority=2),
    ]
    of = "flight-delay@production"
    window = "of windows in which nothing changed, at most 0.5% raise any such alarm"
    watch = "of watches in which nothing changes, at most 1% ever raise any such alarm"
    found: list[tuple[Any, ...]] = [
        ("cvm", 329.8, 0.46, 9.665, True, "", 0.0, "critical", window),
        ("psi", 8.48, 0.01, 0.1, True, "", 1e-12, "critical", window),
        ("js", 0.81, 0.09, 0.1, True, "", 1e-12, "critical", window),
        ("ks", 0.18, 0.04, 0.1, True, "", 0.001, "warning", watch),
        ("wasserstein", 0.05, 0.06, 0.1, False, "", 0.4, "", ""),
        ("mean_change", -0.31, 0.02, 0.25, False, "", 0.02, "", ""),
        ("median_change", 0.11, 0.08, 0.25, False, "", 0.2, "", ""),
        ("new_categories", None, None, 0.01, False, "new_categories is not for numeric features", None, "", ""),
    ]
    rows: list[list[Any]] = [
        [f"{of}/1/{feature}/{name}", of, "1", feature, NOW - DAY, name, *rest, 0.41]
        for feature in ("temperature_f", "humidity_pct", "carrier")
        for name, *rest in found
    ]
    return columns, rows


#: Windows of the performance answer whose labels have all come; then some have, then none but an estimate, then none.
COMPLETE, EARLY, ESTIMATED = 20, 24, 28


def _performance(params: Any) -> Performance:
    starts = [NOW - (30 - day) * DAY for day in range(30)]
    days = range(30)
    realised: list[float | None] = [0.70 - day / 300 if day < EARLY else None for day in days]
    expected: list[float | None] = [0.71 - day / 300 if day < ESTIMATED else None for day in days]
    low = [None if value is None else value - 0.02 for value in expected]
    high = [None if value is None else value + 0.02 for value in expected]
    lines = []
    for metric in params.metrics or ["auc", "log_loss"]:
        lines.append(PerformanceLine(metric, "", "realised", realised, 0.702))
        lines.append(PerformanceLine(metric, "", "estimated", expected, 0.702, low, high))
        if params.slice:
            for number, name in enumerate(("UA", "EV", "B6")):
                values = [None if value is None else value - number / 20 for value in realised]
                lines.append(PerformanceLine(metric, "", "realised", values, None, slice=name))
    marks = [Mark(starts[12], "revision", "7", "version 1")]
    labelled = [850] * COMPLETE + [600, 450, 300, 100] + [0] * 6
    maturity: list[Maturity] = ["realised"] * COMPLETE
    maturity += ["partial"] * (EARLY - COMPLETE)
    maturity += ["estimated"] * (ESTIMATED - EARLY)
    maturity += ["unknown"] * (30 - ESTIMATED)
    delays = LabelDelays(
        24_000, 3, 0, 0.94, [0.5, 0.9, 0.95], [4 * HOUR, 40 * HOUR, 70 * HOUR],
        [0.0, HOUR, 4 * HOUR, 16 * HOUR, 64 * HOUR], [3000, 9000, 8000, 4000],
    )  # fmt: skip
    return Performance(
        params.deployment, int(DAY), starts, [900] * 30, labelled, lines, marks, maturity=maturity,
        expected=[*[0.94] * COMPLETE, 0.9, 0.7, 0.4, 0.1, *[0.0] * 6], frontier=starts[COMPLETE], delays=delays,
        slices=["carrier", "origin"], metrics=["auc", "log_loss", "f1"],
    )  # fmt: skip


def _run_metrics(params: Any) -> RunMetrics:
    steps = list(range(40))
    times = [NOW + step for step in steps]
    train = [0.6 + step / 200 for step in steps]
    validation = [0.6 + step / 400 for step in steps]
    curves = {"train_auc": train, "validation_auc": validation, "log_loss": [0.5 - step / 400 for step in steps]}
    return RunMetrics(
        params.run,
        "running",
        [
            MetricSeries(name, steps, times, values, 40, values[-1], min(values), max(values), [1] * 40)
            for name, values in curves.items()
        ],
    )


def replayed(params: ReplayParams) -> Replay:
    """A rule that is on for the last month of ninety days, the less the higher its threshold."""
    ends = [NOW - (89 - place) * DAY for place in range(90)]
    own = None if params.rule == "performance" else 0.1
    lines = []
    for threshold in sorted({own, *params.thresholds}, key=lambda value: value or 0.0):
        first = min(89, round(60 + (threshold or 0.1) * 40))
        on = [int(place >= first) for place in range(90)]
        episode = Episode(
            "flight-delay@production", "temperature_f", "1", ends[first], None, 8.48, "psi of temperature_f is 8.48"
        )
        lines.append(ReplayLine(threshold, threshold == own, 1, 0, 90 - first, first / 90, on, [episode]))
    said = "psi of * above 0.1 in 2 of 2 windows (7 × 1d)"
    rules = ["drift", "performance", "volume"]
    return Replay(params.rule, said, ["flight-delay@production"], 86_400, ends, 540, rules, lines)


def answers() -> dict[str, Callable[[Any], Any]]:
    """How the fake agent answers what is no listing."""
    return {
        "heatmap": _heatmap,
        "distribution": _distribution,
        "performance": _performance,
        "run_metrics": _run_metrics,
        "replay": replayed,
    }


def _windows() -> Listing:
    """A day each; the data of the last ten came later and later."""
    columns = [
        Column("id", priority=9),
        Column("deployment"),
        Column("version"),
        Column("window_start", "time", priority=0),
        Column("window_end", "time"),
        Column("rows", "number", priority=0),
        Column("recorded_at", "time"),
    ]
    of = "flight-delay@production"
    starts = [NOW - (30 - day) * DAY for day in range(30)]
    rows: list[list[Any]] = [
        [f"{of}/1/{start}", of, "1", start, start + DAY, 900, start + DAY + HOUR * max(1, day - 19)]
        for day, start in enumerate(starts)
    ]
    rows[-1][-1] = NOW - HOUR
    return columns, rows[::-1]


def _quality() -> Listing:
    columns = [
        Column("id", priority=9),
        Column("deployment"),
        Column("version"),
        Column("feature", priority=0),
        Column("window_start", "time", priority=0),
        Column("window_end", "time"),
        Column("check", priority=0),
        Column("value", "number", priority=0),
        Column("failed", priority=0),
    ]
    of = "flight-delay@production"
    found: list[tuple[str, int, str, float, bool]] = [
        ("", 12, "volume", 900.0, False),
        ("humidity_pct", 27, "null_share", 0.31, True),
        ("carrier", 29, "out_of_range", 0.12, True),
        ("humidity_pct", 29, "null_share", 0.44, True),
        ("", 29, "duplicates", 0.02, True),
    ]
    rows: list[list[Any]] = [
        [f"{of}/{feature}/{check}/{day}", of, "1", feature, NOW - (30 - day) * DAY, NOW - (29 - day) * DAY, check,
         value, bad]
        for feature, day, check, value, bad in found
    ]  # fmt: skip
    return columns, rows


LISTINGS["drift"] = _drift()
LISTINGS["windows"] = _windows()
LISTINGS["quality"] = _quality()
