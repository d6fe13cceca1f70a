"""The glyphs follow the locale."""

from __future__ import annotations

import dataclasses

import pytest
from rich.cells import cell_len

from console import glyphs


@pytest.mark.parametrize(
    ("environment", "chosen"),
    [
        ({}, glyphs.UNICODE),
        ({"LANG": "en_GB.UTF-8"}, glyphs.UNICODE),
        ({"LANG": "C.utf8"}, glyphs.UNICODE),
        ({"LC_ALL": "C", "LANG": "en_GB.UTF-8"}, glyphs.ASCII),
        ({"LANG": "POSIX"}, glyphs.ASCII),
        ({"LANG": "en_GB.ISO-8859-1"}, glyphs.ASCII),
        ({"LC_ALL": "", "LANG": "en_GB.UTF-8"}, glyphs.UNICODE),
        ({"TERM": "linux", "LANG": "en_GB.UTF-8"}, glyphs.ASCII),
        ({"QUARTERDECK_ASCII": "1", "LANG": "en_GB.UTF-8"}, glyphs.ASCII),
        ({"QUARTERDECK_ASCII": "0", "LC_ALL": "C"}, glyphs.UNICODE),
    ],
)
def test_locale_decides(environment: dict[str, str], chosen: glyphs.Glyphs) -> None:
    assert glyphs.choose(environment) is chosen


@pytest.mark.parametrize("chosen", [glyphs.UNICODE, glyphs.ASCII])
def test_every_glyph_is_one_cell(chosen: glyphs.Glyphs) -> None:
    for field in dataclasses.fields(chosen):
        value = getattr(chosen, field.name)
        if field.name in ("ascii", "border"):
            continue
        for glyph in value:
            assert cell_len(glyph) == 1, field.name
            assert glyph.isascii() or not chosen.ascii, field.name


@pytest.mark.parametrize("chosen", [glyphs.UNICODE, glyphs.ASCII])
def test_health_levels_differ_without_colour(chosen: glyphs.Glyphs) -> None:
    levels: list[glyphs.Health] = ["ok", "warning", "critical", "unknown", "busy"]
    assert len({chosen.health(level) for level in levels}) == len(levels)


def test_health_level_reads_the_first_word() -> None:
    assert glyphs.health_level("critical: psi on temperature") == "critical"
    assert glyphs.health_level("degraded") == "warning"
    assert glyphs.health_level(None) == "unknown"
