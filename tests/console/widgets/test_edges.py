"""Edges of bins are said in as few digits as tell them apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from console.widgets.bars import BarsData, folded
from console.widgets.edges import short, span_labels


def test_digits_that_tell_nothing_apart_are_left_out() -> None:
    assert short([26.06, 28.49, 31.46, 60.08]) == ["26", "28", "31", "60"]
    assert short([0.01602, 0.06326, 0.08133]) == ["0.02", "0.06", "0.08"]
    assert short([0.0, 0.5, 1000.0]) == ["0", "0.5", "1,000"]


@given(st.lists(st.floats(-1e5, 1e5).map(lambda value: round(value, 3)), unique=True, min_size=2, max_size=20))
def test_different_edges_are_said_differently(edges: list[float]) -> None:
    rising = sorted(edges)
    assert len(set(short(rising))) == len({f"{edge:.4f}" for edge in rising})


def test_labels_say_open_ends_and_line_up() -> None:
    spans = [(None, 8.2), (8.2, 9.7), (9.7, 12.1), (12.1, None)]
    assert span_labels(spans) == ["< 8", " 8 … 10", "10 … 12", "> 12"]


def test_merged_bins_are_named_by_their_outer_edges_and_missing_values_stay_apart() -> None:
    data = BarsData(
        ("a", "b", "c", "d", "(missing)"),
        (0.1, 0.2, 0.3, 0.2, 0.2),
        (0.0, 0.5, 0.2, 0.2, 0.1),
        edges=((None, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, None), (None, None)),
    )
    assert [label for label, _, _ in folded(data, 3)] == ["< 2", "> 2", "(missing)"]


def test_a_share_far_from_its_neighbour_is_not_called_nothing() -> None:
    """Of scores from 0.016 to 0.92 none lies below 0."""
    assert span_labels([(None, 0.179), (0.179, 0.9185)]) == ["< 0.2", "0.2 … 1"]
