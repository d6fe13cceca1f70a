"""50 clients promote the same deployment at once: one wins, the others are told what changed."""

from __future__ import annotations

import threading
from pathlib import Path

from agent_driver import Agent, Client, seed

from store.protocol import ActionParams, ExitCode, Outcome, Refusal

CLIENTS = 50
DEPLOYMENT = "flight-delay@production"


def test_of_50_clients_with_the_same_revision_exactly_one_promotes(tmp_path: Path) -> None:
    store = tmp_path / "store"
    seed(store, "flight-delay", "123")
    barrier = threading.Barrier(CLIENTS)
    answers: list[Outcome | Refusal] = []

    with Agent(store):
        with Client(store) as first:
            assert first.act(ActionParams("promote", DEPLOYMENT, "1", "first")).revision == 1

        def race(number: int) -> None:
            with Client(store) as client:
                params = ActionParams("promote", DEPLOYMENT, "23"[number % 2], f"client {number}", expect=1)
                barrier.wait(timeout=60)
                try:
                    answers.append(client.act(params))
                except Refusal as refusal:
                    answers.append(refusal)

        clients = [threading.Thread(target=race, args=(number,)) for number in range(CLIENTS)]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()
        with Client(store) as last:
            revisions = last.rows("revisions", sort="revision")

    won = [answer for answer in answers if isinstance(answer, Outcome)]
    lost = [answer for answer in answers if isinstance(answer, Refusal)]
    assert (len(won), len(lost)) == (1, CLIENTS - 1)
    assert {refusal.code for refusal in lost} == {ExitCode.CHANGED}
    told = {(refusal.detail["revision"], refusal.detail["reason"]) for refusal in lost}
    assert told == {(2, revisions[1]["reason"])}
    assert all(refusal.detail["after"] == won[0].after for refusal in lost)
    assert [row["phase"] for row in revisions] == ["effective", "effective"]
