"""The `:` language and the trail of views."""

from __future__ import annotations

import pytest

from console.places import Place, Trail, complete_command, parse_command
from store.protocol import Refusal


def test_a_command_with_filter_and_sort_is_a_place() -> None:
    assert parse_command("deployments /fraud env=production sort=drift:desc") == Place(
        "deployments", filter="fraud env=production", sort="drift:desc"
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("runs", Place("runs")),
        ("dep", Place("deployments")),
        ("run train-1", Place("run", "train-1")),
        ("describe run train-1", Place("describe", "train-1", "run")),
        ("monitor m@production", Place("monitor", "m@production")),
        ("drift window=1d", Place("drift", window="1d")),
        ("runs status:failed metric.auc>0.9", Place("runs", filter="status:failed metric.auc>0.9")),
        ('runs "two words"', Place("runs", filter='"two words"')),
    ],
)
def test_a_command_leads_to_its_place(text: str, place: Place) -> None:
    assert parse_command(text) == place


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rnus", "no view 'rnus'"),
        ("describe x", "a kind and a name"),
        ('runs "x', "No closing quotation|no closing"),
        ("run", "takes one name"),
    ],
)
def test_a_wrong_command_is_refused_by_what_was_wrong(text: str, message: str) -> None:
    with pytest.raises(Refusal, match=message):
        parse_command(text)


def test_a_misspelt_view_is_answered_with_the_nearest() -> None:
    with pytest.raises(Refusal) as caught:
        parse_command("quarantene")
    assert "quarantine" in caught.value.hint


def test_tab_completes_views_then_columns_then_directions() -> None:
    assert complete_command("quar") == ["quarantine"]
    assert complete_command("runs sort=st", ("started", "status")) == ["runs sort=started", "runs sort=status"]
    assert complete_command("runs sort=status", ("started", "status")) == ["runs sort=status:desc"]


def test_escape_returns_to_where_one_drilled_in_and_history_remembers_the_way() -> None:
    trail = Trail([Place("fleet")])
    trail.go(Place("monitor", "m@p"), drill=True)
    assert trail.rise()
    assert trail.here == Place("fleet")
    assert trail.step(1)
    assert trail.here == Place("monitor", "m@p")
    assert trail.previous == Place("fleet")


def test_escape_from_a_view_that_was_not_drilled_into_leads_nowhere() -> None:
    trail = Trail([Place("fleet")])
    trail.go(Place("runs"))
    assert not trail.rise()


def test_a_new_place_forgets_what_was_ahead() -> None:
    trail = Trail([Place("fleet")])
    trail.go(Place("runs"))
    trail.step(-1)
    trail.go(Place("alerts"))
    assert [place.view for place in trail.places] == ["fleet", "alerts"]


def test_a_long_trail_forgets_its_beginning_and_still_rises() -> None:
    trail = Trail([Place("fleet")])
    for number in range(Trail.LONGEST + 20):
        trail.go(Place("runs", filter=str(number)))
    trail.go(Place("run", "a"), drill=True)
    assert len(trail.places) == Trail.LONGEST
    assert trail.rise()
    assert trail.here.filter == str(Trail.LONGEST + 19)
