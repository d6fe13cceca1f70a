"""What the fake agent knows: one small store in July 2013, with a deployment in trouble and one that is well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from store.protocol import (
    Column,
    Distribution,
    Field,
    Heatmap,
    Mark,
    MetricSeries,
    Performance,
    PerformanceLine,
    RunMetrics,
    Section,
    Statistic,
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
    ]
    rows: list[list[Any]] = [
        [
            "flight-delay@production", "flight-delay@production", "alarm", '{"1":1.0}', NOW - 3 * DAY, _TRAFFIC,
            "temperature_f", 8.48, "auc", 0.592, 0.702, 5, NOW - 3 * DAY, "ada", 7, "effective", '{"1":1.0}',
            '{"1":1.0}', "the first version", "",
        ],
        [
            "flight-delay@staging", "flight-delay@staging", "ok", '{"2":1.0}', NOW - 2 * HOUR, _TRAFFIC[::-1],
            "carrier", 0.021, "auc", 0.742, 0.751, 0, NOW - 2 * HOUR, "grace", 2, "effective", '{"2":1.0}',
            '{"2":1.0}', "try it", "",
        ],
        [
            "fraud@production", "fraud@production", "ok", '{"11":0.9,"12":0.1}', NOW - 40 * DAY, None,
            None, None, None, None, None, 0, NOW - 40 * DAY, "ada", 31, "effective", '{"11":0.9,"12":0.1}',
            '{"11":0.9,"12":0.1}', "", "",
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
    ]
    deployment = "flight-delay@production"
    rows: list[list[Any]] = [
        ["a2", "open", "critical", deployment, "1", "auc", 0.592, 0.65, NOW - HOUR],
        ["a1", "open", "warning", deployment, "1", "temperature_f", 8.48, 0.25, NOW - DAY],
        ["a0", "closed", "warning", deployment, "1", "carrier", 0.3, 0.25, NOW - 9 * DAY],
    ]
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
        Column("flavour", priority=2),
        Column("metrics", "json", priority=1),
        Column("registered", "time", priority=1),
    ]
    rows: list[list[Any]] = [
        ["flight-delay@2", "flight-delay@2", "flight-delay", "2", "skops", '{"auc":0.751,"log_loss":0.48}', NOW - DAY],
        [
            "flight-delay@1",
            "flight-delay@1",
            "flight-delay",
            "1",
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
    **{kind: _plain(kind) for kind in ("datasets", "models", "quarantine", "drift", "windows", "performance")},
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
        [0.02 + day / 20 for day in range(30)],
        [0.05 + day % 7 / 40 for day in range(30)],
        [None if day == 9 else 0.01 for day in range(30)],
    ]
    marks = [Mark(starts[12], "revision", "7", "version 1"), Mark(starts[20], "alert", "a1", "temperature_f")]
    noise: list[list[float | None]] = [[0.02] * 30] * 3
    return Heatmap(
        params.deployment, "psi", int(DAY), starts, features, values, noise, [900] * 30, ["1"] * 30, 0.1, 0.25, marks
    )


def _distribution(params: Any) -> Distribution:
    labels = ["< 40", "40 … 50", "50 … 60", "60 … 70", "> 70"]
    statistics = [Statistic("psi", 8.48, 0.01, 0.25), Statistic("js", 0.81, 0.09), Statistic("missing", 0.0)]
    return Distribution(
        params.deployment, "1", params.feature, "numeric", labels, [0.3, 0.4, 0.2, 0.1, 0.0], [0.0, 0.1, 0.2, 0.3, 0.4],
        28_886, 994, params.since, params.until, statistics,
    )  # fmt: skip


def _performance(params: Any) -> Performance:
    starts = [NOW - (30 - day) * DAY for day in range(30)]
    lines = [
        PerformanceLine("auc", "", "realised", [0.70 - day / 300 for day in range(29)] + [None], 0.702),
        PerformanceLine("log_loss", "", "realised", [0.49 + day / 300 for day in range(29)] + [None], 0.49),
    ]
    marks = [Mark(starts[12], "revision", "7", "version 1")]
    return Performance(params.deployment, int(DAY), starts, [900] * 30, [850] * 29 + [0], lines, marks)


def _run_metrics(params: Any) -> RunMetrics:
    steps = list(range(40))
    times = [NOW + step for step in steps]
    train: list[float | None] = [0.6 + step / 200 for step in steps]
    validation: list[float | None] = [0.6 + step / 400 for step in steps]
    return RunMetrics(
        params.run,
        "running",
        [
            MetricSeries("train_auc", steps, times, train, 40),
            MetricSeries("validation_auc", steps, times, validation, 40),
            MetricSeries("log_loss", steps, times, [0.5 - step / 400 for step in steps], 40),
        ],
    )


def answers() -> dict[str, Callable[[Any], Any]]:
    """How the fake agent answers what is no listing."""
    return {
        "heatmap": _heatmap,
        "distribution": _distribution,
        "performance": _performance,
        "run_metrics": _run_metrics,
    }
