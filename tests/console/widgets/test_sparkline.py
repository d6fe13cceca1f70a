"""Sparklines fit their width, keep gaps, and do not make noise of a steady count."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from console import glyphs
from console.widgets.sparkline import sparkline

values = st.lists(st.none() | st.floats(allow_nan=True, allow_infinity=True))


@given(values, st.integers(0, 40))
def test_never_wider_than_asked(given_values: list[float | None], width: int) -> None:
    assert len(sparkline(given_values, width)) <= width


def test_low_to_high() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"


def test_gaps_are_blank() -> None:
    assert sparkline([0, None, 7, math.nan], 8) == "▁ █ "


def test_steady_count_is_flat() -> None:
    assert sparkline([1000, 1001, 1000], 8) == "███"


def test_zeros_are_low() -> None:
    assert sparkline([0, 0], 8) == "▁▁"


def test_many_values_are_averaged() -> None:
    assert sparkline([0, 0, 8, 8], 2) == "▁█"


def test_ascii() -> None:
    glyphs.use(glyphs.ASCII)
    assert sparkline([0, 7], 8) == "_#"
