"""What was not judged is told apart from what is steady: by feature and window, with its reason, and counted."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from store.agent.fleet import health
from store.catalog.listing import Listings
from store.monitor import distribution, evaluate, heatmap
from store.monitor.fleet import one
from store.monitor.listings import listings
from store.monitor.unjudged import Judging
from store.protocol import DistributionParams, ListParams, SpanParams, not_judged_text
from store.release.listings import DeploymentRow
from store.settings import MonitorSettings
from tests.store.agent.test_fleet_health import WELL
from tests.store.monitor.conftest import DEPLOYMENT, Bench

SETTINGS = MonitorSettings(alert_span=1, open_after=2, close_after=2, min_rows=200)
REFERENCE = "SELECT (i % 1000)::DOUBLE AS x, ['a', 'b'][1 + i % 2] AS c, NULL::DOUBLE AS nothing FROM range(20000) t(i)"


def day(bench: Bench, number: int, rows: int = 500, columns: str = "x, c, nothing", shift: int = 0) -> None:
    """Predictions of one day."""
    bench.predict(
        bench.file(
            f"SELECT prediction_id, timestamp, {columns} FROM (SELECT 'd{number}-' || i AS prediction_id,"
            f" TIMESTAMP '2024-05-01' + to_days({number}) AS timestamp, (i * 619 % 1000 + {shift})::DOUBLE AS x,"
            f" ['a', 'b'][1 + i % 2] AS c, NULL::DOUBLE AS nothing, 1.0 AS other FROM range({rows}) t(i))"
        )
    )


def listed(bench: Bench, kind: str, **params: Any) -> list[dict[str, Any]]:
    page = bench.database.reader.read(
        lambda c: Listings(listings(SETTINGS)).page(c, ListParams(kind, sort="window_start", limit=1000, **params))
    )
    names = [column.name for column in page.columns]
    return [dict(zip(names, row, strict=True)) for row in page.rows]


def states(bench: Bench) -> list[dict[str, str | None]]:
    """Of each day, feature → its state, or why it was not judged."""
    by_day: dict[float, dict[str, str | None]] = {}
    for row in listed(bench, "drift"):
        by_day.setdefault(row["window_start"], {})[row["feature"]] = row["reason"] or row["state"]
    return [dict(sorted(found.items())) for _, found in sorted(by_day.items())]


@pytest.fixture
def watched(bench: Bench) -> Bench:
    """A version that declares a feature more than its reference holds."""
    kinds = {"x": "numeric", "c": "categorical", "nothing": "numeric", "gone": "numeric"}
    bench.reference(bench.register(features=kinds), bench.file(REFERENCE))
    return bench


def test_every_feature_of_every_window_ends_in_a_state(watched: Bench) -> None:
    day(watched, 0)
    day(watched, 1, rows=50)
    day(watched, 2, shift=800)
    day(watched, 3, columns="c, nothing")
    day(watched, 4, columns="other")
    always = {"gone": "no_reference", "nothing": "no_reference_values"}
    assert states(watched) == [
        {"c": "steady", "x": "steady", **always},
        {"c": "few_rows", "x": "few_rows", **always},
        {"c": "steady", "x": "drifted", **always},
        {"c": "steady", "x": "absent", **always},
        {"c": "absent", "x": "absent", "gone": "no_reference", "nothing": "absent"},
    ]


def test_a_row_says_why_in_words_and_stays_no_alarm(watched: Bench) -> None:
    day(watched, 0, rows=50)
    [row] = listed(watched, "drift", scope={"feature": "x"})
    assert (row["state"], row["why"], row["alarm"]) == ("not judged", "too few rows: 50", False)


def test_what_came_before_there_was_a_reference_is_not_judged(bench: Bench) -> None:
    manifest = bench.register(features={"x": "numeric"})
    day(bench, 0)
    bench.reference(manifest, bench.file(REFERENCE))
    day(bench, 1)
    assert [found["x"] for found in states(bench)] == ["no_reference", "steady"]


def test_a_version_without_a_reference_has_its_declared_features_and_scores_unjudged(bench: Bench) -> None:
    bench.reference(bench.register(features={"x": "numeric", "c": "categorical"}), None)
    day(bench, 0)
    day(bench, 1, columns="x, 0.5 AS score")
    assert states(bench) == [
        {"c": "no_reference", "x": "no_reference"},
        {"c": "no_reference", "x": "no_reference", "score": "no_reference"},
    ]


def test_by_a_preset_what_has_no_value_is_not_judged(watched: Bench) -> None:
    day(watched, 0)
    day(watched, 1, columns="c, nothing")
    rows = listed(watched, "drift", scope={"statistic": "evidently"})
    found = {(row["window_start"], row["feature"]): row["reason"] or row["state"] for row in rows}
    first, second = sorted({start for start, _ in found})
    assert [found[first, name] for name in ("c", "nothing")] == ["steady", "no_reference_values"]
    assert [found[second, name] for name in ("x", "c")] == ["absent", "steady"]


def test_windows_count_what_was_judged(watched: Bench) -> None:
    day(watched, 0)
    day(watched, 1, rows=50)
    rows = listed(watched, "windows")
    assert [(row["judged"], row["not_judged"]) for row in rows] == [(2, 2), (0, 4)]
    assert [row["why"] for row in rows] == [
        "2 of 4 features not judged: 1 no reference, 1 no usable value in the reference",
        "4 of 4 features not judged: 2 too few rows, 1 no reference, 1 no usable value in the reference",
    ]


def test_a_page_of_windows_that_asks_for_other_columns_needs_no_verdicts(watched: Bench) -> None:
    day(watched, 0)
    [row] = listed(watched, "windows", columns=["window_start", "rows"])
    assert (row["rows"], row["judged"], row["not_judged"]) == (500, None, None)


def test_windows_may_be_filtered_and_sorted_by_what_was_judged(watched: Bench) -> None:
    day(watched, 0)
    day(watched, 1, rows=50)
    assert [row["rows"] for row in listed(watched, "windows", filter="judged<1")] == [50]
    page = watched.database.reader.read(
        lambda c: Listings(listings(SETTINGS)).page(c, ListParams("windows", sort="not_judged:desc", limit=1))
    )
    assert page.rows[0][[column.name for column in page.columns].index("not_judged")] == 4


def test_the_heat_map_has_the_reason_of_each_cell(watched: Bench) -> None:
    for number, rows in ((0, 500), (1, 50), (3, 500)):
        day(watched, number, rows)
    found = watched.database.reader.read(lambda c: heatmap(c, SpanParams(DEPLOYMENT, count=4), SETTINGS))
    reasons = dict(zip(found.features, found.reasons, strict=True))
    assert reasons["x"] == ["", "few_rows", "", ""]
    assert reasons["gone"] == ["no_reference", "no_reference", "", "no_reference"]
    # Nobody predicted on the third day, and the worst stand on top of what was never judged.
    assert set(found.features[:2]) == {"x", "c"}
    assert found.rows == [500, 50, 0, 500]


def test_windows_of_a_version_without_a_reference_are_not_judged_in_the_heat_map(watched: Bench) -> None:
    day(watched, 0)
    watched.register("2")
    watched.predict(
        watched.file(
            "SELECT 'v2-' || i AS prediction_id, TIMESTAMP '2024-05-02' AS timestamp, '2' AS model_version,"
            " 1.0::DOUBLE AS x FROM range(500) t(i)"
        )
    )
    found = watched.database.reader.read(lambda c: heatmap(c, SpanParams(DEPLOYMENT, count=2), SETTINGS))
    assert dict(zip(found.features, found.reasons, strict=True))["x"] == ["", "no_reference"]


def test_of_a_feature_page_too_few_rows_are_said(watched: Bench) -> None:
    day(watched, 0, rows=50)

    def reason(feature: str) -> str:
        return watched.database.reader.read(
            lambda c: distribution(c, DistributionParams(DEPLOYMENT, feature), SETTINGS)
        ).reason

    assert [reason(name) for name in ("x", "nothing", "gone")] == ["few_rows", "no_reference_values", "no_reference"]
    day(watched, 1)
    assert reason("x") == ""


@pytest.mark.parametrize(
    ("rows", "columns", "judged", "told"),
    [
        (500, "x, c, nothing", 2, "ok"),
        (50, "x, c, nothing", 0, "not judged: too few rows"),
        (500, "other", 0, "not judged: column absent"),
    ],
)
def test_a_deployment_of_which_nothing_was_judged_is_not_well(
    watched: Bench, rows: int, columns: str, judged: int, told: str
) -> None:
    day(watched, 0, rows, columns)
    found = watched.database.reader.read(lambda c: one(c, DEPLOYMENT, None, SETTINGS))
    assert found is not None
    assert (found.judging.judged, health(_well(), 0, 0, found)) == (judged, told)
    # A value that says nothing is not told as the worst drift.
    assert (found.worst_value is not None) == (judged > 0)


def test_without_a_reference_no_deployment_is_well(bench: Bench) -> None:
    bench.register()
    day(bench, 0)
    found = bench.database.reader.read(lambda c: one(c, DEPLOYMENT, None, SETTINGS))
    assert health(_well(), 0, 0, found) == "not judged: no reference"


def _well() -> DeploymentRow:
    return msgspec.structs.replace(WELL, deployment=DEPLOYMENT)


def test_windows_with_too_few_rows_close_no_alert(watched: Bench) -> None:
    """Nor does a day without the column."""

    def open_alerts() -> list[tuple[Any, ...]]:
        watched.database.writer.change(lambda tx: evaluate(tx, DEPLOYMENT, SETTINGS))
        return watched.rows("SELECT state FROM monitor_alert_now WHERE rule = 'drift' AND feature = 'x'")

    for number, (rows, columns, shift) in enumerate(
        [(500, "x, c", 0), (500, "x, c", 800), (500, "x, c", 800), *[(50, "x, c", 0)] * 3, *[(500, "c", 0)] * 3]
    ):
        day(watched, number, rows, columns, shift)
    assert open_alerts() == [("open",)]
    for number in range(10, 14):
        day(watched, number)
    assert open_alerts() == [("closed",)]


def test_counts_are_put_into_words_most_frequent_first() -> None:
    assert not_judged_text({"no_reference": 2, "few_rows": 5}, 25) == (
        "7 of 25 features not judged: 5 too few rows, 2 no reference"
    )
    assert not_judged_text({}, 25) == ""
    assert not_judged_text({"of_tomorrow": 1}, 1) == "1 of 1 feature not judged: 1 of tomorrow"


def test_of_no_known_feature_nothing_is_judged() -> None:
    assert (Judging().judged, Judging().why_nothing, Judging().describe()) == (
        0,
        "no reference",
        "not judged: no reference",
    )
    assert Judging(3).why_nothing == ""


def test_a_feature_that_a_statistic_cannot_be_computed_of_stays_in_the_heat_map_as_not_judged(bench: Bench) -> None:
    kinds = {"x": "numeric", "c": "categorical", "same": "numeric"}
    bench.reference(bench.register(features=kinds), bench.file(f"SELECT *, 1.0 AS same FROM ({REFERENCE})"))
    day(bench, 0, columns="x, c, 1.0 AS same")
    asked = SpanParams(DEPLOYMENT, "1d", statistic="mean_change")
    cells = bench.database.reader.read(lambda c: heatmap(c, asked, SETTINGS))
    # A constant has no spread to measure a change of the mean by; a category has no mean, and so no line.
    assert dict(zip(cells.features, cells.reasons, strict=True)) == {"x": [""], "same": ["no_value"]}
    reasons = {row["feature"]: row["reason"] for row in listed(bench, "drift", scope={"statistic": "mean_change"})}
    assert reasons == {"x": None, "same": "no_value", "c": "not_for_kind"}


def test_a_model_without_scores_lacks_no_reference(watched: Bench) -> None:
    day(watched, 0)
    asked = DistributionParams(DEPLOYMENT, "score")
    found = watched.database.reader.read(lambda c: distribution(c, asked, SETTINGS))
    assert (found.reason, found.labels, found.why) == ("", [], "Neither predictions nor reference have scores.")
