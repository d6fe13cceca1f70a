"""Each candidate is looked at once for however often it was asked."""

from __future__ import annotations

from store.intake.arrivals import Folder
from store.intake.candidates import Candidate, Candidates
from store.intake.recognise import Place
from store.intake.settle import Patience, Settling


def candidate(key: int) -> Candidate:
    return Candidate(key, Place("run", "runs/a/run.json"), Folder("/inbox", "inbox"), Settling(Patience()), 0.0)


def test_asked_twice_for_the_same_moment_it_is_due_once() -> None:
    waiting, one = Candidates(), candidate(1)
    waiting.add(one, 5.0)
    waiting.look_at(one, 5.0)
    assert waiting.due(5.0, 10) == [one]
    assert waiting.due(5.0, 10) == []


def test_the_last_moment_asked_for_counts() -> None:
    waiting, one = Candidates(), candidate(1)
    waiting.add(one, 5.0)
    waiting.look_at(one, 9.0)
    assert waiting.due(5.0, 10) == []
    assert waiting.due(9.0, 10) == [one]


def test_a_busy_one_is_not_due() -> None:
    waiting, one = Candidates(), candidate(1)
    waiting.add(one, 5.0)
    one.busy = True
    assert waiting.due(5.0, 10) == []


def test_the_one_that_took_another_s_place_is_not_dropped_with_it() -> None:
    waiting, old, new = Candidates(), candidate(1), candidate(1)
    waiting.add(old, 5.0)
    waiting.add(new, 5.0)
    waiting.drop(old)
    assert waiting.get(1) is new
    assert waiting.due(5.0, 10) == [new]
