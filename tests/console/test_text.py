"""Outside strings come out safe, and values come out short."""

from __future__ import annotations

import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from console import glyphs, text

FORBIDDEN_CATEGORIES = {"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"}

nasty = st.one_of(
    st.text(),
    st.text(alphabet=st.characters(categories=["Cc", "Cf", "Cs", "Mn", "Me", "Zl", "Zp", "Zs", "Lo", "So"])),
    st.text(alphabet="\x1b[]31;m\x07\x9b\u202e\u2066\u200b\u200d\ufe0f\n\r\tab漢\u0301"),
)


@pytest.fixture(autouse=True, params=[glyphs.UNICODE, glyphs.ASCII], ids=["unicode", "ascii"])
def glyph_set(request: pytest.FixtureRequest):
    glyphs.use(request.param)
    yield request.param
    glyphs.use(None)


@given(nasty, st.integers(1, 60))
def test_no_control_or_bidi_character_survives(raw: str, limit: int) -> None:
    for chosen in (glyphs.UNICODE, glyphs.ASCII):
        glyphs.use(chosen)
        shown = text.clean(raw, limit)
        assert not {unicodedata.category(character) for character in shown} & FORBIDDEN_CATEGORIES
        if chosen.ascii:
            assert shown.isascii()


@given(nasty, st.integers(0, 60))
def test_cleaned_text_is_never_wider_than_its_limit(raw: str, limit: int) -> None:
    for chosen in (glyphs.UNICODE, glyphs.ASCII):
        glyphs.use(chosen)
        shown = text.clean(raw, limit)
        assert cell_len(shown) <= limit
        assert len(shown) <= 3 * limit


@given(nasty, st.integers(1, 60))
def test_cleaning_twice_changes_nothing(raw: str, limit: int) -> None:
    once = text.clean(raw, limit)
    assert text.clean(once, limit) == once


@given(st.text(), st.integers(0, 40), st.booleans())
def test_fit_is_exact(raw: str, width: int, right: bool) -> None:
    assert cell_len(text.fit(text.clean(raw), width, right=right)) == width


@given(st.binary())
def test_invalid_utf8_is_readable(raw: bytes) -> None:
    assert cell_len(text.clean(raw, 30)) <= 30


def test_printable_text_is_left_alone() -> None:
    assert text.clean("flight-delay [red]v3[/red]") == "flight-delay [red]v3[/red]"


def test_escape_sequences_are_shown_not_obeyed(glyph_set: glyphs.Glyphs) -> None:
    shown = text.clean("a\x1b[31mb\n")
    assert shown == ("a?[31mb?" if glyph_set.ascii else "a␛[31mb␊")


def test_right_to_left_override_and_surrogate_become_a_replacement(glyph_set: glyphs.Glyphs) -> None:
    replacement = glyph_set.replacement
    assert text.clean("a\u202eb\udcffc\u200bd") == f"a{replacement}b{replacement}c{replacement}d"


def test_a_megabyte_is_cut(glyph_set: glyphs.Glyphs) -> None:
    shown = text.clean("x" * 1_000_000, 10)
    assert shown == "x" * 9 + glyph_set.ellipsis


def test_wide_characters_are_cut_on_a_whole_one() -> None:
    glyphs.use(glyphs.UNICODE)
    assert text.clean("漢漢漢漢", 5) == "漢漢…"


def test_accents_are_spelled_plainly_in_ascii() -> None:
    glyphs.use(glyphs.ASCII)
    assert text.clean("café — naïve") == "cafe - naive"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"),
        (-5, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (7200, "2h"),
        (5 * 86400, "5d"),
        (3 * 365 * 86400, "3y"),
    ],
)
def test_age(seconds: float, shown: str) -> None:
    assert text.age(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.012, "12ms"),
        (4.2, "4.2s"),
        (59.97, "1m00s"),
        (185, "3m05s"),
        (7800, "2h10m"),
        (5.125 * 86400, "5d03h"),
    ],
)
def test_duration(seconds: float, shown: str) -> None:
    assert text.duration(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"), (1234, "1,234"), (0.70214, "0.7021"), (123.456, "123.5"), (12_345_678, "12.3M"),
        (1e-7, "1.0e-07"), (math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf"), (True, "yes"),
        (45678.9, "45,679"), (-(10**400), "-inf"), (10**299, "1.0e+299"), (10**400, "inf"), (999_999.9, "1,000,000"),
    ],
)  # fmt: skip
def test_number(value: float, shown: str) -> None:
    assert text.number(value) == shown


@given(st.floats() | st.integers())
def test_numbers_stay_short(value: float) -> None:
    assert len(text.number(value)) <= 10


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0%"),
        (1, "100%"),
        (0.25, "25%"),
        (0.255, "25.5%"),
        (0.005, "0.50%"),
        (0.00001, "<0.01%"),
        (0.99999, ">99.9%"),
    ],
)
def test_share(value: float, shown: str) -> None:
    assert text.share(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(812, "812 B"), (1600, "1.6 kB"), (163e6, "163 MB"), (999_999, "1.0 MB")])
def test_byte_size(value: float, shown: str) -> None:
    assert text.byte_size(value) == shown


def test_when_is_utc() -> None:
    assert text.when(1372860300) == "2013-07-03 14:05Z"
    assert text.when(1e30) == glyphs.glyphs().replacement


def test_missing_values_have_their_own_sign(glyph_set: glyphs.Glyphs) -> None:
    shown = {
        text.clean(None),
        text.age(None),
        text.number(None),
        text.share(None),
        text.byte_size(None),
        text.when(None),
    }
    assert shown == {glyph_set.null}


@given(st.text(max_size=60), st.integers(5, 40))
def test_what_is_cut_in_the_middle_fits_and_keeps_both_ends(name: str, width: int) -> None:
    cut = text.middle(name, width)
    whole = text.clean(name, text.LONGEST_NAME)
    assert cell_len(cut) <= width
    if cell_len(whole) <= width:
        assert cut == whole
    else:
        assert glyphs.glyphs().ellipsis in cut
