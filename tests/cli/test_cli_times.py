"""The TIME of `--at`, `--since` and `--until`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.commands.output import iso
from console.commands.times import future_examples, read_duration, read_future, read_time

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-02", 86_400.0),
        ("1970-01-01T00:01Z", 60.0),
        ("1970-01-01T02:00:00+02:00", 0.0),
        ("1970-01-01 00:00:01", 1.0),
        ("now", NOW),
        ("-2h", NOW - 7200),
        ("-1.5d", NOW - 129_600),
    ],
)
def test_reads(text: str, seconds: float) -> None:
    assert read_time(text, now=NOW) == seconds


@pytest.mark.parametrize("text", ["", "yesterday", "2h", "2013-13-01", "-2y", "1e9"])
def test_says_what_a_time_looks_like(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time: write 2013-07-03T14:05Z"):
        read_time(text, now=NOW)


@given(st.floats(min_value=0, max_value=4e9))
def test_reads_back_what_json_prints(seconds: float) -> None:
    printed = iso(seconds)
    assert isinstance(printed, str)
    assert read_time(printed) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("+4h", NOW + 14_400),
        ("4h", NOW + 14_400),
        ("2027-01-16", 1_800_057_600.0),
        ("2027-01-16T02:00+02:00", 1_800_057_600.0),
    ],
)
def test_reads_a_time_to_come(text: str, seconds: float) -> None:
    assert read_future(text, now=NOW) == seconds


@pytest.mark.parametrize("text", ["soon", "2013-07-03", "-2h", "now", "0h", "yesterday", "2026-01-01T00:00Z"])
@given(now=st.floats(min_value=1_780_000_000, max_value=4e9))
def test_what_a_refused_time_to_come_is_told_to_write_is_accepted(text: str, now: float) -> None:
    with pytest.raises(ValueError, match="write ") as caught:
        read_future(text, now=now)
    for example in caught.value.args[0].partition("write ")[2].replace(" or ", ", ").split(", "):
        # A mute lasts 90 days at most.
        assert now < read_future(example, now=now) <= now + 90 * 86_400
    assert len(future_examples(now)) == 3


@pytest.mark.parametrize("text", ["soon", "4", "4 hours", "0h", "-2h", "1y"])
def test_what_a_refused_duration_is_told_to_write_is_accepted(text: str) -> None:
    with pytest.raises(ValueError, match="write ") as caught:
        read_duration(text)
    for example in caught.value.args[0].partition("write ")[2].replace(" or ", ", ").split(", "):
        assert 0 < read_duration(example) <= 90 * 86_400
