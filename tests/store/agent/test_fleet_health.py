"""The health that a line of the fleet tells: the release's trouble, then the alerts, then whether anything is known."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from store.agent.fleet import health
from store.release.listings import DeploymentRow

NOW = datetime(2013, 7, 3, tzinfo=UTC)
WELL = DeploymentRow(
    "m@production", "m", "production", "local", 1, "promote", {"1": 1.0}, {"1": 1.0}, {"1": 1.0}, 1, "effective", "ok",
    "", NOW, "ada", "", NOW, "ada", "",
)  # fmt: skip


@pytest.mark.parametrize(
    ("release", "unheeded", "on", "seen", "told"),
    [
        ("ok", 0, 0, True, "ok"),
        ("ok", 0, 2, True, "warning"),
        ("ok", 1, 2, True, "alarm"),
        ("failed", 1, 2, True, "failed"),
        ("ok", 0, 0, False, "no data"),
        ("ok", 1, 1, False, "alarm"),
        ("damaged", 0, 0, False, "damaged"),
    ],
)
def test_health(release: str, unheeded: int, on: int, seen: bool, told: str) -> None:
    assert health(msgspec.structs.replace(WELL, health=release), unheeded, on, seen) == told
