"""Requests end to end: recorded, carried out, journaled, refused, repeated, superseded."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from release_bench import ALICE, DEPLOYMENT, Bench

from store.database import Actor, times
from store.protocol import ActionParams, ExitCode, Refusal
from store.release.listings import deployment_rows, show_deployment

BOB = Actor("bob", "console")


def journal(bench: Bench) -> list[tuple[Any, ...]]:
    sql = (
        "SELECT action, actor, before, after, reason, data_age FROM journal"
        " WHERE kind = 'deployments' ORDER BY sequence"
    )
    return bench.database.reader.read(lambda connection: connection.execute(sql).fetchall())


def test_promote_makes_the_version_effective(bench: Bench) -> None:
    outcome = bench.act("promote", "2")
    assert (outcome.revision, outcome.phase, outcome.before, outcome.after) == (1, "effective", {}, {"2": 1.0})
    assert bench.served_bits() == "bits of 2"


def test_requested_observed_and_effective_agree_after_a_promote(bench: Bench) -> None:
    bench.act("promote", "2")
    row = bench.row()
    assert row.requested == row.observed == row.effective == {"2": 1.0}
    assert (row.health, row.actor, row.effective_revision) == ("ok", "alice", 1)


def test_rollback_serves_the_bits_of_before(bench: Bench) -> None:
    bench.act("promote", "1")
    bench.act("promote", "2")
    bench.act("rollback")
    assert bench.served_bits() == "bits of 1"


def test_a_version_without_bits_is_deployed_by_its_name(bench: Bench) -> None:
    bench.register("9", with_bits=False)
    assert bench.act("promote", "9").phase == "effective"


def test_a_stale_expect_is_refused_with_what_changed(bench: Bench) -> None:
    bench.act("promote", "1")
    bench.act("promote", "2", actor=BOB, reason="drift")
    with pytest.raises(Refusal) as refused:
        bench.act("promote", "3", expect=1)
    assert refused.value.code == ExitCode.CHANGED
    assert "is at revision 2, not 1: bob asked for promote version 1 → version 2 at" in refused.value.message
    detail = refused.value.detail
    assert (detail["revision"], detail["actor"], detail["before"], detail["after"], detail["reason"]) == (
        2,
        "bob",
        {"1": 1.0},
        {"2": 1.0},
        "drift",
    )


def test_expect_zero_means_never_deployed(bench: Bench) -> None:
    assert bench.act("promote", "1", expect=0).revision == 1
    with pytest.raises(Refusal, match="is at revision 1, not 0"):
        bench.act("promote", "2", expect=0)


def test_of_many_with_the_same_expect_one_succeeds(bench: Bench) -> None:
    bench.act("promote", "1")
    params = [ActionParams("promote", DEPLOYMENT, "23"[n % 2], "race", 1, request_id=f"r{n}") for n in range(50)]
    futures = [bench.releases.submit(each, ALICE) for each in params]
    failures = [future.exception(timeout=30) for future in futures]
    refused = [failure for failure in failures if isinstance(failure, Refusal)]
    assert failures.count(None) == 1
    assert [refusal.code for refusal in refused] == [ExitCode.CHANGED] * 49
    assert bench.row().revision == 2


def test_a_repeated_request_is_one_action(bench: Bench) -> None:
    first = bench.act("promote", "1", request_id="r1")
    bench.act("promote", "2")
    again = bench.act("promote", "1", request_id="r1", expect=0)
    assert (again.repeated, again.revision, again.sequence) == (True, first.revision, first.sequence)
    assert bench.row().revision == 2


def test_a_request_id_names_one_request(bench: Bench) -> None:
    bench.act("promote", "1", request_id="r1")
    with pytest.raises(Refusal, match="Request 'r1' was promote of flight-delay@production"):
        bench.act("promote", "1", request_id="r1", subject="flight-delay@staging")


def test_every_change_is_journaled_with_before_after_and_reason(bench: Bench) -> None:
    bench.act("promote", "1")
    params = ActionParams("promote", DEPLOYMENT, "2", "the new one", 1, data_age=3.5)
    bench.releases.perform(params, BOB)
    rows = journal(bench)
    assert [row[0] for row in rows] == ["promote", "apply", "effective"] * 2
    action, actor, before, after, reason, data_age = rows[3]
    assert (action, actor, reason, data_age) == ("promote", "bob", "the new one", 3.5)
    assert json.loads(before) == {"revision": 1, "requested": {"1": 1.0}, "effective": {"1": 1.0}}
    assert json.loads(after) == {"revision": 2, "requested": {"2": 1.0}}


def test_a_refused_request_leaves_no_trace(bench: Bench) -> None:
    with pytest.raises(Refusal):
        bench.act("rollback")
    assert journal(bench) == []


@pytest.mark.parametrize(
    ("subject", "version", "says"),
    [
        (DEPLOYMENT, "9", "There is no version '9' of flight-delay."),
        ("nobody@production", "1", "There is no version '1' of nobody."),
        ("flight-delay@moon", "1", "There is no environment 'moon'."),
        ("flight-delay", "1", "'flight-delay' is no deployment."),
        ("..@production", "1", "'..@production' is no deployment."),
        ("a/b@production", "1", "'a/b@production' is no deployment."),
        ("flight-delay@production\n", "1", r"'flight-delay@production\\n' is no deployment."),
    ],
)
def test_what_does_not_exist_is_bad_input(bench: Bench, subject: str, version: str, says: str) -> None:
    with pytest.raises(Refusal, match=says) as refused:
        bench.act("promote", version, subject=subject)
    assert refused.value.code == ExitCode.USAGE


def test_a_failed_target_is_an_outcome_and_changes_nothing_served(bench: Bench) -> None:
    bench.act("promote", "1")
    path = bench.objects.path(bench.register("4")["4"])
    (path / "model.skops").chmod(0o644)
    (path / "model.skops").write_text("tampered")
    outcome = bench.act("promote", "4")
    assert outcome.phase == "failed"
    assert "they were not released" in outcome.message
    row = bench.row()
    assert (row.health, row.requested, row.effective) == ("failed", {"4": 1.0}, {"1": 1.0})


def test_retry_succeeds_once_the_cause_is_gone(bench: Bench) -> None:
    path = bench.objects.path(bench.register("4")["4"])
    path.rename(path.with_suffix(".away"))
    assert bench.act("promote", "4").phase == "failed"
    path.with_suffix(".away").rename(path)
    outcome = bench.act("retry")
    assert (outcome.revision, outcome.phase) == (2, "effective")


def test_abort_of_a_failed_revision_brings_requested_back(bench: Bench) -> None:
    bench.act("promote", "1")
    lose_bits(bench, "2")
    bench.act("promote", "2")
    bench.act("abort")
    row = bench.row()
    assert row.requested == row.observed == row.effective == {"1": 1.0}


def test_since_and_by_are_those_of_the_effective_versions(bench: Bench) -> None:
    bench.act("promote", "1")
    since = bench.row().since
    lose_bits(bench, "2")
    bench.act("promote", "2", actor=BOB)
    row = bench.row()
    assert (row.since, row.actor, row.changed_by) == (since, "alice", "bob")


def test_an_apply_under_way_gives_way_to_a_newer_revision(bench: Bench) -> None:
    bench.act("promote", "1")
    staged, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        staged.set()
        go_on.wait(timeout=30)

    bench.target.hooks["stage"] = hold
    waiting = bench.releases.submit(ActionParams("promote", DEPLOYMENT, "2"), ALICE)
    assert staged.wait(timeout=30)
    del bench.target.hooks["stage"]
    newer = bench.releases.submit(ActionParams("promote", DEPLOYMENT, "3"), ALICE)
    # The writer takes changes in order: once this one is recorded, so is the newer one.
    assert bench.act("promote", "3", subject="flight-delay@staging", wait=False).phase == "requested"
    go_on.set()
    assert (waiting.result(timeout=30).phase, waiting.result().message) == ("aborted", "superseded by revision 3")
    assert newer.result(timeout=30).phase == "effective"
    assert bench.phases() == ["effective", "aborted", "effective"]


def test_a_waiting_revision_is_superseded_without_being_applied(bench: Bench) -> None:
    swapping, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        swapping.set()
        go_on.wait(timeout=30)

    bench.target.hooks["swap"] = hold
    first = bench.releases.submit(ActionParams("promote", DEPLOYMENT, "1"), ALICE)
    assert swapping.wait(timeout=30)
    del bench.target.hooks["swap"]
    second = bench.releases.submit(ActionParams("promote", DEPLOYMENT, "2"), ALICE)
    third = bench.releases.submit(ActionParams("promote", DEPLOYMENT, "3"), ALICE)
    bench.act("promote", "3", subject="flight-delay@staging")
    go_on.set()
    ended = [future.result(timeout=30).phase for future in (first, second, third)]
    assert ended == ["effective", "aborted", "effective"]
    assert bench.phases() == ["effective", "aborted", "effective"]


def test_abort_during_an_apply_keeps_what_was_effective(bench: Bench) -> None:
    bench.act("promote", "1")
    staged, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        staged.set()
        go_on.wait(timeout=30)

    bench.target.hooks["stage"] = hold
    promoted = bench.releases.submit(ActionParams("promote", DEPLOYMENT, "2"), ALICE)
    assert staged.wait(timeout=30)
    del bench.target.hooks["stage"]
    # The writer takes changes in order: once the second is recorded, so is the abort.
    aborted = bench.releases.submit(ActionParams("abort", DEPLOYMENT, reason="no"), ALICE)
    bench.act("promote", "1", subject="flight-delay@staging", wait=False)
    go_on.set()
    assert aborted.result(timeout=30).after == {"1": 1.0}
    assert promoted.result(timeout=30).phase == "aborted"
    assert bench.served_bits() == "bits of 1"


def test_abort_of_the_first_promote_leaves_nothing_served(bench: Bench) -> None:
    lose_bits(bench, "1")
    bench.act("promote", "1")
    outcome = bench.act("abort")
    assert (outcome.phase, outcome.after) == ("effective", {})
    assert bench.row().health == "ok"


def test_deployments_are_answered_as_they_were_at_a_time(bench: Bench) -> None:
    bench.act("promote", "1")
    then = times.now()
    bench.act("promote", "2")
    rows = bench.database.reader.read(lambda connection: deployment_rows(connection, then))
    assert [(row.revision, row.effective) for row in rows] == [(1, {"1": 1.0})]


def test_show_of_an_unknown_deployment_is_bad_input(bench: Bench) -> None:
    with pytest.raises(Refusal, match="There is no deployment 'x@y'"):
        bench.database.reader.read(lambda connection: show_deployment(connection, "x@y"))


def test_show_lists_the_revisions_newest_first(bench: Bench) -> None:
    bench.act("promote", "1")
    bench.act("promote", "2")
    sections = bench.database.reader.read(lambda connection: show_deployment(connection, DEPLOYMENT))
    assert [row[0] for row in sections[1].rows] == [2, 1]


def lose_bits(bench: Bench, version: str) -> None:
    """Take the kept bits of `version` out of the store."""
    sql = "SELECT digest FROM model_version WHERE version = ?"
    row = bench.database.reader.read(lambda connection: connection.execute(sql, [version]).fetchone())
    assert row
    path = bench.objects.path(row[0])
    path.rename(path.with_suffix(".away"))
