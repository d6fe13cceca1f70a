"""Pages of the agent put into words."""

from __future__ import annotations

import pytest

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
