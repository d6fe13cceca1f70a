"""Pages of the agent put into words."""

from __future__ import annotations

import pytest

from console.glyphs import health_level
from console.screens.shaping import as_fleet
from store.agent.fleet import COLUMNS, listing
from store.protocol import Page
from store.settings import MonitorSettings


@pytest.mark.parametrize(("preset", "heading"), [("", "drift psi"), ("nannyml", "drift × nannyml")])
def test_the_fleet_says_in_what_its_drift_is(preset: str, heading: str) -> None:
    columns = listing(MonitorSettings(preset=preset)).columns  # type: ignore[arg-type]
    row = [{"deployment": "m@production", "drift": 3.5, "drift_feature": "x"}.get(one.name) for one in COLUMNS]
    shown = as_fleet(Page("deployments", list(columns), [row], 1, 0, 0, 0.0))
    place = [column.name for column in shown.columns].index("drift")
    assert shown.columns[place].title == heading
    assert shown.rows[0][place] == "3.5 x"


def fleet(**cells: object) -> dict[str, object]:
    row = [{"deployment": "m@production", **cells}.get(one.name) for one in COLUMNS]
    shown = as_fleet(Page("deployments", COLUMNS, [row], 1, 0, 0, 0.0))  # type: ignore[list-item]
    return dict(zip([column.name for column in shown.columns], shown.rows[0], strict=True))


def test_the_fleet_says_of_what_nobody_looked_at_that_it_was_not_judged() -> None:
    shown = fleet(health="not judged: too few rows", judged=0, not_judged=3)
    assert (shown["health"], shown["drift"], shown["not_judged"]) == ("not judged", "too few rows", "3/3")
    assert health_level(shown["health"]) == "unjudged"


def test_the_fleet_counts_what_was_not_judged_beside_what_was() -> None:
    shown = fleet(health="ok", drift=0.5, drift_feature="x", judged=18, not_judged=7)
    assert (shown["health"], shown["drift"], shown["not_judged"]) == ("ok", "0.5 x", "7/25")
    # Where all were judged the column takes no room.
    assert "not_judged" not in fleet(health="ok", judged=25, not_judged=0)
