"""The timeline: which cells a span fills, what is gravest, and an axis of dates that fit."""

from __future__ import annotations

import pytest

from console.widgets.timeline import Span, Timeline, TimelineData, TimelineRow, Tone, axis, tones

DAY = 86_400.0


def drawn(spans: list[Span], cells: int = 10) -> str:
    marks: dict[Tone | None, str] = {None: ".", "warning": "w", "critical": "c", "quiet": "q"}
    return "".join(marks[tone] for tone in tones(spans, 0.0, 100.0, cells))


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (Span(0.0, 20.0), "ww........"),
        (Span(25.0, 45.0), "..www....."),
        (Span(90.0, None), ".........w"),
        (Span(-50.0, 10.0), "w........."),
        (Span(50.0, 50.0), ".....w...."),
        (Span(100.0, None), ".........w"),
        (Span(120.0, None), ".........."),
        (Span(-9.0, -5.0), ".........."),
    ],
)
def test_a_span_fills_the_cells_it_reaches_into(span: Span, expected: str) -> None:
    assert drawn([span]) == expected


def test_the_gravest_of_two_is_shown() -> None:
    assert drawn([Span(0.0, 50.0, "warning"), Span(20.0, 30.0, "critical"), Span(0.0, 100.0, "quiet")]) == "wwcwwqqqqq"


def test_the_axis_has_its_ends_and_its_middle() -> None:
    assert axis(0.0, 90 * DAY, 40) == "1970-01-01     1970-02-15     1970-04-01"


def test_a_narrow_axis_leaves_out_the_middle() -> None:
    assert axis(0.0, 90 * DAY, 24) == "1970-01-01    1970-04-01"


def test_a_short_one_has_times() -> None:
    assert axis(0.0, 2 * DAY, 30) == "01-01 00:00        01-03 00:00"


def test_long_names_that_differ_at_their_ends_stay_apart() -> None:
    name = "one_hot_encoded_carrier_of_the_previous_leg_"
    rows = tuple(TimelineRow(name + code, (Span(0.0, 50.0),)) for code in ("UA", "EV"))
    drawn = Timeline(TimelineData("when", 0.0, 100.0, rows)).compose_lines(80, 5)
    labels = ["".join(written for written, _ in line)[:31].strip() for line in drawn[1:3]]
    assert [label[-3:] for label in labels] == ["_UA", "_EV"]
