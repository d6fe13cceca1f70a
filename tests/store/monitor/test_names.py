"""Names kept up to a bound are the same ones, with the same counts, whatever the order they came in."""

from __future__ import annotations

import collections

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.monitor.names import Names

BOUND = 5
dealt = st.lists(st.tuples(st.text(max_size=3), st.integers(1, 9), st.integers(0, 3)), max_size=60)


@given(dealt, st.permutations(range(4)))
def test_any_cut_in_any_order_keeps_the_same_names(pairs: list[tuple[str, int, int]], order: list[int]) -> None:
    whole = Names.of(((name, count) for name, count, _ in pairs), BOUND)
    total = Names(BOUND)
    for part in order:
        total += Names.of(((name, count) for name, count, home in pairs if home == part), BOUND)
    assert total == whole


@given(dealt)
def test_the_counts_of_kept_names_are_exact(pairs: list[tuple[str, int, int]]) -> None:
    every: collections.Counter[str] = collections.Counter()
    for name, count, _ in pairs:
        every[name] += count
    kept = Names.of(((name, count) for name, count, _ in pairs), BOUND)
    assert len(kept.counts) == min(BOUND, len(every))
    assert all(every[name] == count for name, count in kept.counts.items())
    assert kept.complete == (len(every) <= BOUND)


def test_how_many_names_there_are_is_estimated_beyond_the_bound() -> None:
    many = Names.of((f"name-{number}", 1) for number in range(100_000))
    assert not many.complete
    assert many.distinct == pytest.approx(100_000, rel=0.15)
