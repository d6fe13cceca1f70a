"""What each action makes of each situation, without a database."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from store.protocol import ExitCode, Refusal
from store.release.state import Phase, Revision, Situation, compare, decide, follows

NAME = "flight-delay@production"


def past(number: int, version: str, phase: Phase = Phase.EFFECTIVE, action: str = "promote") -> Revision:
    return Revision(
        NAME,
        number,
        action,
        {version: 1.0} if version else {},
        {version: f"sha256:{version}"} if version else {},
        None,
        "alice",
        "cli",
        "because",
        "",
        datetime(2026, 1, 1, 0, 0, number, tzinfo=UTC),
        phase,
        "",
        phase is Phase.EFFECTIVE,
    )


def after(*revisions: Revision, trouble: str = "") -> Situation:
    served = [revision for revision in revisions if revision.became_effective]
    effective = served[-1].versions if served else {}
    return Situation(NAME, revisions[-1], effective, effective, trouble=trouble, served=served)


def refusal(situation: Situation, action: str, version: str = "") -> Refusal:
    with pytest.raises(Refusal) as refused:
        decide(situation, action, version)
    return refused.value


def test_promote_asks_for_the_version_alone() -> None:
    assert decide(Situation(NAME), "promote", "3").versions == {"3": 1.0}


def test_promote_without_a_version_is_bad_input() -> None:
    assert refusal(Situation(NAME), "promote").code == ExitCode.USAGE


def test_promote_of_what_is_effective_is_refused() -> None:
    refused = refusal(after(past(1, "3")), "promote", "3")
    assert refused.message == f"version 3 is effective in {NAME} already (revision 1)."


def test_promote_of_what_is_on_its_way_is_refused() -> None:
    refused = refusal(after(past(1, "2"), past(2, "3", Phase.APPLYING)), "promote", "3")
    assert refused.message == f"version 3 is on its way to {NAME}: revision 2 is applying."


def test_promote_of_what_failed_is_a_new_try() -> None:
    assert decide(after(past(1, "3", Phase.FAILED)), "promote", "3").versions == {"3": 1.0}


def test_promote_of_what_the_target_lost_is_a_new_try() -> None:
    assert decide(after(past(1, "3"), trouble="missing"), "promote", "3").versions == {"3": 1.0}


def test_rollback_goes_to_what_was_effective_before() -> None:
    decision = decide(after(past(1, "1"), past(2, "2")), "rollback", "")
    assert (decision.versions, decision.restores, decision.digests) == ({"1": 1.0}, 1, {"1": "sha256:1"})


def test_rollback_never_goes_to_a_revision_that_failed() -> None:
    held = after(past(1, "1"), past(2, "2", Phase.FAILED), past(3, "3"))
    assert decide(held, "rollback", "").restores == 1


def test_rollback_of_a_failed_revision_undoes_that_revision() -> None:
    assert decide(after(past(1, "1"), past(2, "2"), past(3, "3", Phase.FAILED)), "rollback", "").restores == 2


def test_rollback_during_a_change_undoes_that_change() -> None:
    assert decide(after(past(1, "1"), past(2, "2"), past(3, "3", Phase.APPLYING)), "rollback", "").restores == 2


def test_rollback_of_a_rollback_returns_to_what_it_left() -> None:
    held = after(past(1, "1"), past(2, "2"), past(3, "1", action="rollback"))
    assert decide(held, "rollback", "").versions == {"2": 1.0}


def test_rollback_passes_over_a_retry_of_the_same_version() -> None:
    held = after(past(1, "1"), past(2, "2"), past(3, "2", action="retry"))
    assert decide(held, "rollback", "").versions == {"1": 1.0}


def test_rollback_skips_the_time_when_nothing_was_served() -> None:
    held = after(past(1, "1"), past(2, ""), past(3, "2"))
    assert decide(held, "rollback", "").versions == {"1": 1.0}


def test_rollback_with_nothing_before_is_refused() -> None:
    assert refusal(after(past(1, "1")), "rollback").message == f"Nothing but version 1 was ever effective in {NAME}."


def test_rollback_to_takes_the_newest_revision_of_that_version() -> None:
    held = after(past(1, "1"), past(2, "2"), past(3, "1"), past(4, "3"))
    assert decide(held, "rollback", "1").restores == 3


def test_rollback_to_a_version_that_only_failed_is_refused() -> None:
    refused = refusal(after(past(1, "1"), past(2, "2", Phase.FAILED), past(3, "3")), "rollback", "2")
    assert (refused.code, refused.message) == (ExitCode.REFUSED, f"Version 2 was never effective in {NAME}.")


@pytest.mark.parametrize("phase", [Phase.REQUESTED, Phase.APPLYING, Phase.FAILED])
def test_abort_returns_to_the_last_effective_versions(phase: Phase) -> None:
    assert decide(after(past(1, "1"), past(2, "2", phase)), "abort", "").restores == 1


def test_abort_of_the_first_revision_leaves_nothing_served() -> None:
    assert decide(after(past(1, "1", Phase.APPLYING)), "abort", "").versions == {}


def test_abort_of_an_effective_revision_points_to_rollback() -> None:
    assert refusal(after(past(1, "1")), "abort").hint == "To leave its version, roll back."


def test_abort_of_an_abort_under_way_is_refused() -> None:
    held = after(past(1, "1"), past(2, "1", Phase.APPLYING, "abort"))
    assert refusal(held, "abort").message == f"Revision 2 of {NAME} is an abort under way."


def test_retry_asks_for_the_failed_versions_again() -> None:
    decision = decide(after(past(1, "1"), past(2, "2", Phase.FAILED)), "retry", "")
    assert (decision.versions, decision.restores) == ({"2": 1.0}, 2)


def test_retry_sets_back_a_target_that_strayed() -> None:
    assert decide(after(past(1, "1"), trouble="drifted"), "retry", "").versions == {"1": 1.0}


def test_retry_of_an_effective_revision_is_refused() -> None:
    assert refusal(after(past(1, "1")), "retry").code == ExitCode.REFUSED


@pytest.mark.parametrize("action", ["rollback", "abort", "retry"])
def test_what_was_never_deployed_can_only_be_promoted(action: str) -> None:
    assert refusal(Situation(NAME), action).message == f"{NAME} was never deployed."


@pytest.mark.parametrize("phase", [Phase.EFFECTIVE, Phase.FAILED, Phase.ABORTED])
def test_an_ended_revision_never_goes_on(phase: Phase) -> None:
    assert not any(follows(phase, later) for later in Phase if later is not phase)


def test_compare_says_what_came_in_between() -> None:
    one, two, three = past(1, "1"), past(2, "2"), past(3, "3")
    with pytest.raises(Refusal) as refused:
        compare(after(one, two, three), 1, [one, two, three])
    assert refused.value.code == ExitCode.CHANGED
    assert refused.value.message == (
        f"{NAME} is at revision 3, not 1: alice asked for promote version 2 → version 3 at 2026-01-01 00:00:03 UTC."
    )
    assert [change["revision"] for change in refused.value.detail["changes"]] == [2, 3]


def test_compare_with_a_revision_of_the_future_is_refused() -> None:
    with pytest.raises(Refusal) as refused:
        compare(after(past(1, "1")), 7, [])
    assert refused.value.message == f"{NAME} is at revision 1; there is no revision 7 yet."
