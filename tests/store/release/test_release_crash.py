"""The agent dies at every point between intent and outcome; afterwards requested and observed agree."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from release_bench import ALICE, DEPLOYMENT, Bench, Killed

from store.protocol import ActionParams, Refusal
from store.release import revisions
from store.release.state import Phase

STEPS = ["start", "stage", "verify", "place", "link", "swap", "collect", "observe"]


def kill() -> None:
    raise Killed


def die_at(bench: Bench, step: str, action: str, version: str = "") -> None:
    bench.target.hooks[step] = kill
    with pytest.raises(Killed):
        bench.act(action, version)
    bench.restart()


def assert_settled(bench: Bench, version: str) -> None:
    row = bench.row()
    assert (row.phase, row.health) == ("effective", "ok")
    assert row.requested == row.observed == row.effective == {version: 1.0}
    assert bench.served_bits() == f"bits of {version}"


@pytest.mark.parametrize("step", STEPS)
def test_a_promote_that_died_is_taken_up_again(bench: Bench, step: str) -> None:
    bench.act("promote", "1")
    die_at(bench, step, "promote", "2")
    assert bench.row().phase == "applying"
    bench.settle()
    assert_settled(bench, "2")


@pytest.mark.parametrize("step", STEPS)
def test_a_first_promote_that_died_is_taken_up_again(bench: Bench, step: str) -> None:
    die_at(bench, step, "promote", "1")
    bench.settle()
    assert_settled(bench, "1")


@pytest.mark.parametrize("step", STEPS)
def test_dying_again_while_taking_up_is_taken_up_too(bench: Bench, step: str) -> None:
    bench.act("promote", "1")
    die_at(bench, "stage", "promote", "2")
    bench.target.hooks[step] = kill
    with pytest.raises(Killed):
        bench.settle()
    bench.restart()
    bench.settle()
    assert_settled(bench, "2")


@pytest.mark.parametrize("step", ["start", "swap", "observe"])
def test_an_abort_that_died_with_nothing_to_serve_is_taken_up(bench: Bench, step: str) -> None:
    bench.target.hooks["stage"] = disk_full
    bench.act("promote", "1")
    die_at(bench, step, "abort")
    bench.settle()
    row = bench.row()
    assert (row.phase, row.requested, row.observed) == ("effective", {}, {})


def disk_full() -> None:
    raise OSError(28, "No space left on device")


def test_an_intent_that_nobody_began_is_taken_up(bench: Bench) -> None:
    params = ActionParams("promote", DEPLOYMENT, "2", "because")
    bench.database.writer.change(lambda tx: revisions.request(tx, params, ALICE, lambda _environment: "local"))
    bench.settle()
    assert_settled(bench, "2")


def test_of_two_open_intents_the_newer_one_is_taken_up(bench: Bench) -> None:
    bench.act("promote", "1")
    die_at(bench, "stage", "promote", "2")
    params = ActionParams("promote", DEPLOYMENT, "3", "because")
    bench.database.writer.change(lambda tx: revisions.request(tx, params, ALICE, lambda _environment: "local"))
    bench.settle()
    assert bench.phases() == ["effective", "aborted", "effective"]
    assert_settled(bench, "3")


def test_a_request_before_the_intent_was_taken_up_supersedes_it(bench: Bench) -> None:
    bench.act("promote", "1")
    die_at(bench, "stage", "promote", "2")
    bench.act("promote", "3")
    bench.settle()
    assert bench.phases() == ["effective", "aborted", "effective"]
    assert_settled(bench, "3")


def test_a_death_leaves_nothing_half_placed(bench: Bench) -> None:
    die_at(bench, "verify", "promote", "1")
    bench.settle()
    assert [entry.name for entry in (bench.current().parent / "revisions").iterdir()] == ["1"]


def test_reconciling_at_rest_records_nothing(bench: Bench) -> None:
    bench.act("promote", "1")
    count = bench.database.recorder.sequence  # type: ignore[attr-defined]
    assert bench.settle() == []
    assert bench.database.recorder.sequence == count  # type: ignore[attr-defined]


def test_stopping_leaves_the_intent_open(bench: Bench) -> None:
    stopping: list[Callable[[], None]] = []

    def stop() -> None:
        bench.releases._executor._stopping = True
        stopping.append(stop)

    bench.target.hooks["stage"] = stop
    with pytest.raises(Refusal, match="the intent is recorded and applied at its next start"):
        bench.act("promote", "2")
    assert bench.row().phase == "applying"
    bench.restart()
    bench.settle()
    assert_settled(bench, "2")


def test_started_releases_take_up_what_is_open(bench: Bench) -> None:
    die_at(bench, "stage", "promote", "2")
    swapped = threading.Event()
    bench.target.hooks["collect"] = swapped.set
    bench.releases.start(every=3600)
    assert swapped.wait(timeout=30)


def test_started_releases_look_again_and_again(bench: Bench) -> None:
    looks = threading.Semaphore(0)
    bench.act("promote", "1")
    bench.target.hooks["observe"] = looks.release
    bench.releases.start(every=0.01)
    assert all(looks.acquire(timeout=30) for _ in range(3))


# --- the target strays by itself -----------------------------------------------------------------------------


def test_a_link_moved_by_hand_is_recorded_and_left_alone(bench: Bench) -> None:
    bench.act("promote", "1")
    bench.act("promote", "2")
    bench.current().unlink()
    bench.current().symlink_to("revisions/1")
    assert bench.settle() == [DEPLOYMENT]
    row = bench.row()
    assert (row.health, row.requested, row.observed, row.effective) == ("drifted", {"2": 1.0}, {"1": 1.0}, {"1": 1.0})
    assert row.message == "somebody moved the target to version 1; retry sets it back"
    assert bench.served_bits() == "bits of 1"


def test_straying_is_recorded_once(bench: Bench) -> None:
    bench.act("promote", "1")
    bench.current().unlink()
    assert [bench.settle(), bench.settle()] == [[DEPLOYMENT], []]
    assert bench.row().health == "missing"


def test_a_target_that_agrees_again_is_well_again(bench: Bench) -> None:
    bench.act("promote", "1")
    bench.current().rename(bench.current().with_name("away"))
    bench.settle()
    bench.current().with_name("away").rename(bench.current())
    assert bench.settle() == [DEPLOYMENT]
    assert bench.row().health == "ok"


def test_retry_sets_a_strayed_target_back(bench: Bench) -> None:
    bench.act("promote", "1")
    bench.act("promote", "2")
    bench.current().unlink()
    bench.current().symlink_to("revisions/1")
    bench.settle()
    bench.act("retry")
    assert_settled(bench, "2")


def test_spoilt_bits_are_found_and_retry_places_them_anew(bench: Bench) -> None:
    bench.act("promote", "1")
    served = bench.current().resolve() / "model" / "model.skops"
    served.chmod(0o644)
    served.write_text("spoilt")
    bench.settle()
    assert bench.row().health == "damaged"
    bench.act("retry")
    assert_settled(bench, "1")


def test_a_failed_revision_stays_failed_over_a_restart(bench: Bench) -> None:
    bench.act("promote", "1")
    bench.target.hooks["stage"] = disk_full
    bench.act("promote", "2")
    bench.restart()
    bench.settle()
    row = bench.row()
    assert (row.phase, row.requested, row.effective) == (Phase.FAILED, {"2": 1.0}, {"1": 1.0})


def test_a_failed_read_back_is_a_failed_release(bench: Bench) -> None:
    bench.act("promote", "1")

    def unreadable() -> None:
        raise OSError(5, "Input/output error")

    bench.target.hooks["observe"] = unreadable
    outcome = bench.act("promote", "2")
    assert outcome.phase == "failed"
    assert outcome.message == "The target cannot be read back: [Errno 5] Input/output error"
