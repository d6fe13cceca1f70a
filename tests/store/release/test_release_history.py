"""Any sequence of actions, failures, deaths and moves by hand leaves the database where a small model says."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from release_bench import Bench, Killed

from store.governance.journal import verify
from store.protocol import ExitCode, Refusal
from store.release.revisions import situation

VERSIONS = st.sampled_from(["1", "2", "3"])
DEATHS = st.sampled_from(["start", "verify", "swap", "collect", "observe"])
_number = itertools.count(1)


class Deployment(RuleBasedStateMachine):
    """The model: (version, served) of each revision, what is served now, and whether the last one failed."""

    bench: Bench
    root: Path

    @classmethod
    def open(cls) -> None:
        cls.root = Path(tempfile.mkdtemp())
        cls.bench = Bench(cls.root / "store")

    @classmethod
    def shut(cls) -> None:
        cls.bench.close()
        shutil.rmtree(cls.root)
        del cls.bench

    @initialize()
    def begin(self) -> None:
        self.model = f"m{next(_number)}"
        self.name = f"{self.model}@production"
        self.bench.register("1", "2", "3", model=self.model)
        self.asked: list[str] = []
        self.served: list[tuple[int, str]] = []
        self.phase = ""
        self.now = ""
        self.strayed = False

    def ask(self, action: str, version: str = "", **more: Any) -> Any:
        return self.bench.act(action, version, subject=self.name, **more)

    def expect_refused(self, action: str, version: str = "") -> None:
        with pytest.raises(Refusal) as refused:
            self.ask(action, version)
        assert refused.value.code == ExitCode.REFUSED

    def became(self, version: str, phase: str) -> None:
        self.asked.append(version)
        self.phase = phase
        self.strayed = False
        if phase == "effective":
            self.served.append((len(self.asked), version))
            self.now = version

    def there_already(self, version: str) -> bool:
        return bool(self.asked) and self.asked[-1] == version and self.phase == "effective" and not self.strayed

    def before(self) -> str:
        """Where a plain rollback goes, "" for nowhere."""
        others = [version for _, version in self.served if version and version != self.asked[-1]]
        return others[-1] if others else ""

    @rule(version=VERSIONS)
    def promote(self, version: str) -> None:
        if self.there_already(version):
            self.expect_refused("promote", version)
            return
        self.ask("promote", version, expect=len(self.asked))
        self.became(version, "effective")

    @rule(version=VERSIONS)
    def promote_to_a_full_disk(self, version: str) -> None:
        if self.there_already(version):
            return

        def full() -> None:
            raise OSError(28, "No space left on device")

        self.bench.target.hooks["start"] = full
        outcome = self.ask("promote", version)
        self.bench.target.hooks.clear()
        assert outcome.phase == "failed"
        self.became(version, "failed")

    @rule(version=VERSIONS, step=DEATHS)
    def promote_and_die(self, version: str, step: str) -> None:
        if self.there_already(version):
            return

        def kill() -> None:
            raise Killed

        self.bench.target.hooks[step] = kill
        with pytest.raises(Killed):
            self.ask("promote", version)
        self.bench.restart()
        self.bench.settle()
        self.became(version, "effective")

    @rule()
    def roll_back(self) -> None:
        goal = self.before() if self.asked else ""
        if not goal or self.there_already(goal):
            self.expect_refused("rollback")
            return
        self.ask("rollback")
        self.became(goal, "effective")

    @rule(version=VERSIONS)
    def roll_back_to(self, version: str) -> None:
        if version not in [served for _, served in self.served] or self.there_already(version):
            self.expect_refused("rollback", version)
            return
        self.ask("rollback", version)
        self.became(version, "effective")

    @rule()
    def abort(self) -> None:
        if self.phase != "failed":
            self.expect_refused("abort")
            return
        self.ask("abort")
        self.became(self.served[-1][1] if self.served else "", "effective")

    @rule()
    def retry(self) -> None:
        if self.phase != "failed" and not self.strayed:
            self.expect_refused("retry")
            return
        self.ask("retry")
        self.became(self.asked[-1], "effective")

    @precondition(lambda self: self.phase == "effective" and self.now)
    @rule()
    def take_the_link_away(self) -> None:
        self.bench.current(self.name).unlink(missing_ok=True)
        self.bench.settle()
        self.strayed = True
        self.now = ""

    @rule(stale=st.integers(1, 3))
    def ask_with_a_stale_look(self, stale: int) -> None:
        with pytest.raises(Refusal) as refused:
            self.ask("promote", "1", expect=len(self.asked) + stale)
        assert refused.value.code == ExitCode.CHANGED

    @invariant()
    def the_database_says_what_the_model_says(self) -> None:
        if not hasattr(self, "name"):
            return
        held = self.bench.database.reader.read(lambda connection: situation(connection, self.name))
        assert held.revision == len(self.asked)
        assert [(past.revision, next(iter(past.versions), "")) for past in held.served] == self.served
        assert next(iter(held.effective), "") == self.now
        if held.latest is not None:
            assert held.latest.phase == self.phase
            assert bool(held.trouble) == self.strayed

    @invariant()
    def the_target_serves_what_is_effective(self) -> None:
        if hasattr(self, "name"):
            observation = self.bench.target.inner.observe(self.name, verify=False)
            assert next(iter(observation.versions), "") == self.now

    def teardown(self) -> None:
        assert self.bench.database.reader.read(verify).broken_at is None


class TestHistory(Deployment.TestCase):  # type: ignore[name-defined,misc]
    settings = settings(
        max_examples=12, stateful_step_count=14, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )

    @classmethod
    def setUpClass(cls) -> None:
        Deployment.open()

    @classmethod
    def tearDownClass(cls) -> None:
        Deployment.shut()
