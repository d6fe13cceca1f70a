"""The agent is killed at random moments while runs arrive and deployments change: nothing acknowledged is lost."""

from __future__ import annotations

import itertools
import json
import os
import random
import select
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from agent_driver import Agent, AgentGone, Client, seed

from store.protocol import ActionParams, Outcome, Refusal

MODEL = "flight-delay"
DEPLOYMENTS = [f"{MODEL}@production", f"{MODEL}@staging"]
ACTIONS = ["promote", "promote", "promote", "rollback", "rollback", "retry", "abort"]


class Operator:
    """Changes deployments until the agent is gone, remembering what was acknowledged and what was not."""

    def __init__(self, store: Path, name: str, random_seed: int) -> None:
        self._store = store
        self._name = name
        self._random = random.Random(random_seed)
        self._count = itertools.count(1)
        self.acknowledged: dict[str, Outcome] = {}
        self.unanswered: list[ActionParams] = []

    def work(self) -> None:
        try:
            with Client(self._store) as client:
                while True:
                    self.ask(client, self._next())
        except AgentGone:
            return

    def ask(self, client: Client, params: ActionParams) -> None:
        try:
            outcome = client.act(params)
        except Refusal:
            return
        except AgentGone:
            self.unanswered.append(params)
            raise
        self.acknowledged[params.reason] = outcome

    def _next(self) -> ActionParams:
        action = self._random.choice(ACTIONS)
        number = f"{self._name}-{next(self._count)}"
        return ActionParams(
            action,  # type: ignore[arg-type]
            self._random.choice(DEPLOYMENTS),
            self._random.choice("1234") if action == "promote" else "",
            reason=number,
            request_id=number,
            wait=self._random.random() < 0.5,
        )


class Trainer:
    """Writes finished runs into the inbox by rename, whether or not an agent is there to see it."""

    def __init__(self, store: Path) -> None:
        self._inbox = store / "inbox" / "runs"
        self._made = store.parent / "made-runs"
        self.written: list[str] = []

    def work(self, enough: threading.Event) -> None:
        while not enough.wait(0.01):
            name = f"run-{len(self.written) + 1:05d}"
            folder = self._made / name
            folder.mkdir(parents=True)
            (folder / "run.json").write_text(json.dumps({"status": "finished", "params": {"depth": 3}}))
            folder.rename(self._inbox / name)
            self.written.append(name)


class Crash:
    """One store that lives through many kills, and what is known to have been acknowledged on the way."""

    def __init__(self, root: Path, random_seed: int = 2013) -> None:
        self.store = root / "store"
        seed(self.store, MODEL, "1234")
        self.random = random.Random(random_seed)
        self.agent = Agent(self.store)
        self.operators = [Operator(self.store, f"operator-{n}", random_seed + n) for n in range(2)]
        self.trainer = Trainer(self.store)
        self.runs_seen: set[str] = set()
        self.taken_up = 0

    def kill_once(self) -> None:
        """Let everybody work, then kill the agent at a random moment: now and then while it still starts."""
        enough = threading.Event()
        training = threading.Thread(target=self.trainer.work, args=(enough,))
        training.start()
        if self.random.random() < 0.2:
            self.agent.spawn()
            select.select([], [], [], self.random.uniform(0.0, 1.0))
            self.agent.kill()
        else:
            self.agent.start()
            operating = [threading.Thread(target=operator.work) for operator in self.operators]
            for thread in operating:
                thread.start()
            select.select([], [], [], self.random.uniform(0.0, 1.0))
            self._look()
            self.agent.kill()
            for thread in operating:
                thread.join()
        enough.set()
        training.join()

    def check(self) -> None:
        """Start the agent and hold it to what it said before."""
        self.agent.start()
        with Client(self.store) as client:
            self._nothing_acknowledged_is_lost(client)
            self._requested_and_observed_agree(client)
            self._repeating_the_unanswered_is_one_action(client)
            assert client.verify().broken_at is None
        self.agent.kill()

    def check_runs(self, timeout: float = 120.0) -> None:
        """Every run that was written is taken in, however often the agent died over it."""
        self.agent.start()
        with Client(self.store) as client:
            wait_until(lambda: run_names(client) >= set(self.trainer.written), timeout)
            assert len(client.rows("runs", columns=["name"])) == len(self.trainer.written)
            assert client.verify().broken_at is None
            applied = [(row["subject"], row["after"]) for row in client.rows("journal", filter="action=apply")]
            self.taken_up = len(applied) - len(set(applied))
        self.agent.kill()

    def _look(self) -> None:
        try:
            with Client(self.store) as client:
                self.runs_seen |= run_names(client)
        except AgentGone as gone:
            raise AssertionError(f"the agent died by itself: {gone}") from gone

    def _nothing_acknowledged_is_lost(self, client: Client) -> None:
        revisions = {(row["deployment"], row["revision"]): row for row in client.rows("revisions")}
        journal = {row["sequence"]: row for row in client.rows("journal", filter="kind=deployments")}
        for operator in self.operators:
            for reason, outcome in operator.acknowledged.items():
                row = revisions.get((outcome.subject, outcome.revision))
                assert row is not None, f"{reason}: {outcome} is lost"
                assert (row["action"], row["reason"]) == (outcome.action, reason)
                assert json.loads(row["versions"]) == outcome.after
                assert journal[outcome.sequence]["reason"] == reason
                if outcome.phase not in ("requested", "applying"):
                    assert row["phase"] == outcome.phase
        reasons = [row["reason"] for row in revisions.values()]
        assert len(reasons) == len(set(reasons)), "a request was carried out twice"
        assert self.runs_seen <= run_names(client)

    def _requested_and_observed_agree(self, client: Client) -> None:
        def rows() -> list[dict[str, Any]]:
            return client.rows("deployments")

        wait_until(lambda: all(row["phase"] not in ("requested", "applying") for row in rows()), 30.0)
        for row in rows():
            assert row["phase"] == "effective", row
            assert json.loads(row["requested"]) == json.loads(row["observed"]) == json.loads(row["effective"])
            assert json.loads(row["requested"]) == self._on_disk(row["id"])
        phases = {row["phase"] for row in client.rows("revisions")}
        assert phases <= {"effective", "aborted"}

    def _on_disk(self, deployment: str) -> dict[str, float]:
        model, _, environment = deployment.partition("@")
        current = self.store / "targets" / environment / model / "current"
        if not current.is_symlink():
            return {}
        pointer = json.loads((current / "revision.json").read_text())
        bits = (current / "model" / "model.skops").read_text()
        assert bits == f"bits of {pointer['version']}"
        return {pointer["version"]: 1.0}

    def _repeating_the_unanswered_is_one_action(self, client: Client) -> None:
        for operator in self.operators:
            while operator.unanswered:
                operator.ask(client, operator.unanswered.pop())


def run_names(client: Client) -> set[str]:
    return {row["name"] for row in client.rows("runs", columns=["name"])}


def wait_until(holds: Any, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline, f"not within {timeout} s"
        # What is waited for happens in another process.
        select.select([], [], [], 0.02)


def survive(root: Path, kills: int) -> Crash:
    crash = Crash(root)
    try:
        for _ in range(kills):
            crash.kill_once()
            crash.check()
        crash.check_runs()
    finally:
        crash.agent.kill()
    acknowledged = sum(len(operator.acknowledged) for operator in crash.operators)
    print(  # noqa: T201
        f"{kills} kills at random moments: {acknowledged} acknowledged changes and"
        f" {len(crash.trainer.written)} runs, {crash.taken_up} releases cut off half-way and taken up; nothing lost"
    )
    return crash


def test_nothing_acknowledged_is_lost_over_5_kills(tmp_path: Path) -> None:
    crash = survive(tmp_path, 5)
    assert sum(len(operator.acknowledged) for operator in crash.operators) > 0


@pytest.mark.soak
@pytest.mark.skipif(os.environ.get("QUARTERDECK_SOAK") != "1", reason="takes minutes: `make soak`")
def test_nothing_acknowledged_is_lost_over_100_kills(tmp_path: Path) -> None:
    survive(tmp_path, 100)
