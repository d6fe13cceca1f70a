"""The page of a run: values that are no numbers, attempts, and a process that is gone."""

from __future__ import annotations

import time

from console.screens.run import chart_data
from console.screens.shaping import with_silence
from console.widgets.chart_draw import draw
from store.protocol import Column, MetricSeries, Page, RunMetrics
from tests.console.conftest import Console


def series(values: list[float | str], attempts: list[int] | None = None, name: str = "loss") -> MetricSeries:
    steps = list(range(1, len(values) + 1))
    numbers = [value for value in values if isinstance(value, float)]
    return MetricSeries(
        name, steps, [0.0] * len(values), values, len(values), values[-1], min(numbers, default="nan"),
        max(numbers, default="nan"), attempts or [1] * len(values),
    )  # fmt: skip


def test_nan_and_infinities_are_gaps_with_a_line_where_they_begin() -> None:
    data = chart_data("loss", [series([1.0, 0.5, "nan", "nan", "inf", 0.3])])
    (curve,) = data.series
    assert [y for _, y in curve.points] == [1.0, 0.5, None, None, None, 0.3]
    assert [(mark.x, mark.letter) for mark in data.marks] == [(3.0, "N"), (5.0, "I")]
    assert data.title == "loss by step, nan at step 3 and 2 more"
    assert "N" in draw(data, 60, 12).text()


def test_points_of_which_none_is_finite_are_not_no_points() -> None:
    assert chart_data("gain", [series(["-inf"], name="gain")]).why == "1 points, none of them a finite number"
    assert chart_data("gain", []).why == "no points yet"


def test_each_attempt_is_a_curve_of_its_own() -> None:
    data = chart_data("loss", [series([3.0, 2.0, 1.0, 2.5], [1, 1, 2, 2])])
    assert [(curve.label, [y for _, y in curve.points]) for curve in data.series] == [
        ("loss #1", [3.0, 2.0]),
        ("loss #2", [1.0, 2.5]),
    ]


def test_of_many_attempts_the_last_are_drawn_and_that_is_said() -> None:
    data = chart_data("loss", [series([1.0] * 6, [1, 2, 3, 4, 5, 6])])
    assert [curve.label for curve in data.series] == ["loss #3", "loss #4", "loss #5", "loss #6"]
    assert data.title == "loss by step, the last 4 of 6 attempts"


def test_a_silent_run_says_so_in_place_of_its_status() -> None:
    columns = [Column("id"), Column("status", "health"), Column("silence")]
    page = Page("runs", columns, [["a", "running", "no word for 3 h"], ["b", "running", None]], 2, 0, 1, 0.0)
    shaped = with_silence(page)
    assert [row[1] for row in shaped.rows] == ["silent: no word for 3 h", "running"]
    assert shaped.columns[2].priority == -1


async def test_the_page_tells_the_value_logged_last_the_silence_and_the_attempts(console: Console) -> None:
    metrics = RunMetrics(
        "train-001", "running", [series([1.0, 0.5, "nan"], [1, 2, 2])], "no word for 3 h", time.time() - 11_000,
        time.time() - 3 * 86_400, 2,
    )  # fmt: skip
    async with console() as driver:
        driver.agent.answer("run_metrics", lambda _params: metrics)
        await driver.press("colon", *"run train-001", "enter")
        await driver.until(lambda: "loss" in driver.picture)
        assert "no word for 3 h" in driver.line(1)
        assert "last metric 20" in driver.line(1)
        assert "3 points" in driver.line(1)
        assert "2 attempts" in driver.line(1)
        row = next(line for line in driver.picture.splitlines() if "▸" in line).split()
        assert row[1:6] == ["loss", "nan", "0.5", "1", "3"]
