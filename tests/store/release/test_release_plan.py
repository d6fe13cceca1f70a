"""What the dialog and --dry-run show before anything is done."""

from __future__ import annotations

from typing import Any

import pytest
from release_bench import DEPLOYMENT, Bench

from store.protocol import ActionParams, ExitCode, Field, Plan, Refusal
from store.release.actions import Releases
from store.settings import Settings


def plan(bench: Bench, action: Any, version: str = "", **more: Any) -> Plan:
    return bench.releases.plan(ActionParams(action, more.pop("subject", DEPLOYMENT), version, **more))


def fact(found: Plan, label: str) -> Any:
    return next(field.value for field in found.facts if field.label == label)


def test_a_rollback_needs_one_look(bench: Bench) -> None:
    bench.act("promote", "1", reason="the first")
    bench.act("promote", "2")
    found = plan(bench, "rollback", reason="it drifts")
    assert (found.allowed, found.before, found.after, found.revision) == (True, {"2": 1.0}, {"1": 1.0}, 2)
    assert found.command == ("quarterdeck rollback flight-delay@production --reason 'it drifts' --expect 2")
    assert fact(found, "Bits of version 1").endswith("present and verified: model.skops")
    assert fact(found, "Was effective").startswith("revision 1, promote by alice at ")


def test_production_asks_for_the_models_name(bench: Bench) -> None:
    assert plan(bench, "promote", "1").confirm_word == "flight-delay"


def test_staging_asks_for_no_word(bench: Bench) -> None:
    found = plan(bench, "promote", "1", subject="flight-delay@staging")
    assert (found.danger, found.confirm_word) == (2, "")


def test_a_plan_changes_nothing(bench: Bench) -> None:
    plan(bench, "promote", "1")
    assert plan(bench, "promote", "1").revision == 0


def test_what_the_state_refuses_says_why(bench: Bench) -> None:
    found = plan(bench, "rollback")
    assert (found.allowed, found.why) == (
        False,
        "flight-delay@production was never deployed. Promote a version to it first.",
    )


def test_spoilt_bits_are_found_before_the_release(bench: Bench) -> None:
    path = bench.objects.path(bench.register("4")["4"])
    (path / "model.skops").chmod(0o644)
    (path / "model.skops").write_text("tampered")
    found = plan(bench, "promote", "4")
    assert not found.allowed
    assert "now have digest" in found.why


def test_missing_bits_are_found_before_the_release(bench: Bench) -> None:
    path = bench.objects.path(bench.register("4")["4"])
    path.rename(path.with_suffix(".away"))
    found = plan(bench, "promote", "4")
    assert (found.allowed, found.why.endswith("are not in the store.")) == (False, True)


def test_a_version_that_was_rolled_back_carries_a_warning(bench: Bench) -> None:
    bench.act("promote", "1")
    bench.act("promote", "2")
    bench.act("rollback", reason="worse log loss")
    found = plan(bench, "promote", "2")
    assert fact(found, "Warning") == "version 2 was rolled back by alice in revision 3: worse log loss"


def test_a_plan_on_a_stale_look_says_what_changed(bench: Bench) -> None:
    bench.act("promote", "1")
    with pytest.raises(Refusal) as refused:
        plan(bench, "promote", "2", expect=0)
    assert refused.value.code == ExitCode.CHANGED


def test_a_plan_for_an_unknown_version_is_bad_input(bench: Bench) -> None:
    with pytest.raises(Refusal, match="There is no version '9' of flight-delay") as refused:
        plan(bench, "promote", "9")
    assert refused.value.hint == "Registered are 3, 2, 1."


def test_other_rooms_add_their_facts(bench: Bench) -> None:
    bench.act("promote", "1")
    releases = Releases(
        bench.database,
        Settings(),
        bench.objects,
        {"local": bench.target},
        lambda _connection, name, before, after: [Field("Seen", f"{name} {dict(before)} {dict(after)}")],
    )
    found = releases.plan(ActionParams("promote", DEPLOYMENT, "2"))
    assert fact(found, "Seen") == "flight-delay@production {'1': 1.0} {'2': 1.0}"
    releases.close()


def test_a_dry_run_is_not_an_act(bench: Bench) -> None:
    params = ActionParams("promote", DEPLOYMENT, "1", dry_run=True)
    with pytest.raises(Refusal, match="cannot be asked for a dry run"):
        bench.releases.submit(params, None).result(timeout=5)  # type: ignore[arg-type]
