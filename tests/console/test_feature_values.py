"""What a feature's page says of values beside their shares: moments, and the names of new categories."""

from __future__ import annotations

import shlex
from typing import Any

import msgspec
import pytest

from console.screens.monitor_data import bars_data, figures, said_of_values
from store.protocol import Column, Distribution, NewCategory, Page, Statistic, ValueSummary
from tests.console.conftest import Console


def distribution(**more: Any) -> Distribution:
    return Distribution("m@production", "1", "x", "numeric", ["a"], [1.0], [1.0], 10, 10, 0.0, 1.0, [], **more)


NOW, BEFORE = ValueSummary(10, 2.5, 0.5, 1.0, 4.0), ValueSummary(99, 1.5, 0.25, 0.0, 3.0)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, ""),
        (
            {"summary": NOW, "reference_summary": BEFORE},
            "mean 2.5 (1.5), deviation 0.5 (0.25), range 1 … 4 (0 … 3); reference in brackets",
        ),
        ({"summary": NOW}, "mean 2.5, deviation 0.5, range 1 … 4"),
        ({"reference_summary": BEFORE}, ""),
        ({"summary": ValueSummary(2, None, None, 1.0, 1.7e308)}, "mean –, deviation –, range 1 … 1.7e+308"),
        ({"new": [NewCategory("zz", 4), NewCategory("y", 1)], "new_total": 2}, "2 new, with rows: zz 4, y 1"),
        (
            {"new": [NewCategory(f"n{i}", 1) for i in range(9)], "new_total": 5000, "new_estimated": True},
            "about 5,000 new, with rows: n0 1, n1 1, n2 1, n3 1, n4 1 …",
        ),
        ({"new": [NewCategory("zz", 4)]}, "some new, with rows: zz 4"),
        ({"new": [NewCategory("a\x1b[31mb", 2)], "new_total": 1}, "1 new, with rows: a␛[31mb 2"),
    ],
)
def test_it_is_said_in_a_line(more: dict[str, Any], said: str) -> None:
    assert said_of_values(distribution(**more)) == said


def test_the_monitor_names_new_categories_and_keeps_its_bars_for_numbers() -> None:
    assert bars_data(distribution(new=[NewCategory("zz", 4)], new_total=1)).facts == (("1 new, with rows: zz 4", ""),)
    assert bars_data(distribution(summary=NOW)).facts == ()


def test_the_causes_are_told_of_what_is_beyond_its_threshold() -> None:
    loud, quiet = (Statistic("psi", value, 0.01, 0.1) for value in (4.5, 0.05))
    causes = ["nulls 0 % → 49 %", "new: a\x1b[31mb 2.0 %"]

    def facts(*statistics: Statistic) -> list[str]:
        shown = msgspec.structs.replace(distribution(causes=causes), statistics=list(statistics))
        return [words for words, _ in bars_data(shown).facts]

    assert facts(loud)[0] == "changed: nulls 0 % → 49 %; new: a␛[31mb 2.0 %"
    assert not any(words.startswith("changed") for words in facts(quiet))


def test_the_page_of_a_feature_says_why_it_drifted() -> None:
    row = {
        "statistic": "psi",
        "value": 4.5,
        "noise_floor": 0.01,
        "threshold": 0.1,
        "alarm": True,
        "severity": "critical",
        "guarantee": "of windows",
        "causes": "nulls 0 % → 49 %",
        "state": "drifted",
    }
    page = Page("drift", [Column(name) for name in row], [list(row.values())], 1, 0, 1, 0.0)
    assert figures(page, "psi").note == "psi: nulls 0 % → 49 %; of windows"


async def test_y_copies_the_command_line_that_tells_the_feature(console: Console) -> None:
    async with console() as driver:
        await driver.press("6", "enter", "y")
        words = shlex.split(driver.app.clipboard)
        assert words[:3] == ["quarterdeck", "show", "drift"]
        assert words[4:6] == ["--feature", driver.app.deck.view.place.feature]
        assert [words[6], words[8]] == ["--since", "--until"]
