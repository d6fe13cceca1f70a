"""Widgets are drawn with Unicode glyphs whatever the locale of the machine that runs the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from console import glyphs
from console.widgets.scroll_bars import fit_scroll_bars


@pytest.fixture(autouse=True)
def unicode_glyphs() -> Iterator[None]:
    glyphs.use(glyphs.UNICODE)
    fit_scroll_bars()
    yield
    glyphs.use(None)
