"""The health that a line of the fleet tells: the release's trouble, then the alerts, then whether anything is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest

from store.agent.fleet import health
from store.monitor.fleet import Summary
from store.monitor.unjudged import Judging
from store.release.listings import DeploymentRow

NOW = datetime(2013, 7, 3, tzinfo=UTC)
WELL = DeploymentRow(
    "m@production", "m", "production", "local", 1, "promote", {"1": 1.0}, {"1": 1.0}, {"1": 1.0}, 1, "effective", "ok",
    "", NOW, "ada", "", NOW, "ada", "",
)  # fmt: skip


SEEN = Summary("m@production", [], 500, "x", 0.1, 0.01, 0, "auc", None, None, 0, NOW, Judging(3))


@pytest.mark.parametrize(
    ("release", "unheeded", "on", "summary", "told"),
    [
        ("ok", 0, 0, SEEN, "ok"),
        ("ok", 0, 2, SEEN, "warning"),
        ("ok", 1, 2, SEEN, "alarm"),
        ("failed", 1, 2, SEEN, "failed"),
        ("ok", 0, 0, None, "no data"),
        ("ok", 1, 1, None, "alarm"),
        ("damaged", 0, 0, None, "damaged"),
        ("ok", 0, 0, replace(SEEN, judging=Judging(3, {"few_rows": 1, "absent": 1})), "ok"),
        ("ok", 0, 0, replace(SEEN, judging=Judging(3, {"few_rows": 2, "absent": 1})), "not judged: too few rows"),
        ("ok", 0, 0, replace(SEEN, judging=Judging()), "not judged: no reference"),
        ("ok", 1, 1, replace(SEEN, judging=Judging()), "alarm"),
    ],
)
def test_health(release: str, unheeded: int, on: int, summary: Summary | None, told: str) -> None:
    assert health(msgspec.structs.replace(WELL, health=release), unheeded, on, summary) == told
