"""The age badge speaks in coarse steps and says when it will change next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from widget_app import WidgetApp

from console.widgets.age import AgeBadge, age_text


@pytest.mark.parametrize(
    ("seconds", "said"), [(-3, "now"), (4, "now"), (7, "5s"), (59, "30s"), (61, "1m"), (3700, "1h"), (90_000, "1d")]
)
def test_steps(seconds: float, said: str) -> None:
    assert age_text(seconds)[0] == said


@given(st.floats(0, 1e7))
def test_text_changes_when_it_said_it_would_and_not_before(seconds: float) -> None:
    said, due = age_text(seconds)
    assert due > 0
    assert age_text(seconds + due * 0.99)[0] == said
    assert age_text(seconds + due + 1e-3)[0] != said


@given(st.floats(60, 1e7))
def test_over_a_minute_it_changes_at_most_once_a_minute(seconds: float) -> None:
    assert age_text(seconds - seconds % 60)[1] >= 59.9


async def test_lost_link_is_said_and_taken_back() -> None:
    app = WidgetApp(AgeBadge(at=1000.0, clock=lambda: 1130.0))
    app.widget.styles.width = 30
    async with app.run_test(size=(80, 3)) as pilot:
        await pilot.pause()
        assert app.lines()[0].strip() == "2m old"
        app.widget.lost("agent away")
        assert app.lines()[0].strip() == "▲ agent away 2m"
        app.widget.fresh(1129.0)
        assert app.lines()[0].strip() == "now"


async def test_same_text_writes_nothing() -> None:
    app = WidgetApp(AgeBadge(at=1000.0, clock=lambda: 1130.0))
    async with app.run_test(size=(80, 3)) as pilot:
        await pilot.pause()
        app.painted.clear()
        app.widget.fresh(1005.0)
        await pilot.pause()
        assert app.painted == set()
