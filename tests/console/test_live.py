"""The living link: the feed without holes or repetitions, reconnection, and requests that go unanswered."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console import live
from console.link import Client
from console.live import Link, LinkListener, LinkLost, LinkState
from store.protocol import (
    ActionParams,
    Change,
    Column,
    Empty,
    ExitCode,
    ListParams,
    Page,
    Progress,
    Refusal,
    Subscribed,
)
from tests.console.fake_agent import NOW, FakeAgent


class Heard(LinkListener):
    """Notes what the link tells and lets a test wait for it."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.states: list[LinkState] = []
        self.misses = 0
        self._news = asyncio.Event()

    def changed(self, change: Change) -> None:
        self.changes.append(change)
        self._news.set()

    def missed(self) -> None:
        self.misses += 1
        self._news.set()

    def link_state(self, state: LinkState) -> None:
        self.states.append(state)
        self._news.set()

    async def until(self, seen: Callable[[], Any]) -> None:
        async with asyncio.timeout(10):
            while not seen():
                self._news.clear()
                await self._news.wait()

    async def connected(self, times: int = 1) -> None:
        await self.until(lambda: sum(state.connected for state in self.states) >= times)

    async def lost(self) -> None:
        await self.until(lambda: any(state.status == "lost" for state in self.states))


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[FakeAgent]:
    agent = FakeAgent(tmp_path / "store", {"runs": ([Column("id")], [["a"]])})
    agent.store.mkdir()
    agent.start()
    yield agent
    agent.close()


@asynccontextmanager
async def linked(agent: FakeAgent, adopted: Client | None = None) -> AsyncIterator[tuple[Link, Heard]]:
    link, heard = Link(agent.store, adopted), Heard()
    link.listener = heard
    running = asyncio.create_task(link.run())
    try:
        await heard.connected()
        yield link, heard
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_request_is_answered(agent: FakeAgent) -> None:
    async with linked(agent) as (link, _):
        page = await link.call("list", ListParams("runs"))
    assert page.rows == [["a"]]


async def test_an_adopted_connection_goes_on_without_a_second_greeting(agent: FakeAgent) -> None:
    client = await asyncio.to_thread(Client.connect, agent.store, False)
    async with linked(agent, client) as (link, _):
        await link.call("ping", Empty())
    assert len(agent.asked("hello")) == 1


async def test_a_change_between_greeting_and_subscription_is_heard(agent: FakeAgent) -> None:
    client = await asyncio.to_thread(Client.connect, agent.store, False)
    agent.change("runs", tell=False)
    async with linked(agent, client) as (_, heard):
        await heard.until(lambda: heard.changes)
    assert [change.topics for change in heard.changes] == [["runs"]]


async def test_changes_are_heard_in_order_and_once(agent: FakeAgent) -> None:
    async with linked(agent) as (_, heard):
        await asyncio.to_thread(agent.change, "runs")
        agent.notify("change", agent.changes[-1])
        await asyncio.to_thread(agent.change, "alerts")
        await heard.until(lambda: len(heard.changes) >= 2)
    assert [change.topics[0] for change in heard.changes] == ["runs", "alerts"]


async def test_what_was_missed_while_the_agent_was_away_is_asked_for(agent: FakeAgent) -> None:
    async with linked(agent) as (link, heard):
        await asyncio.to_thread(agent.stop)
        await heard.lost()
        agent.change("alerts", tell=False)
        await asyncio.to_thread(agent.start)
        link.reconnect_now()
        await heard.connected(2)
        await heard.until(lambda: heard.changes)
    assert [change.topics for change in heard.changes] == [["alerts"]]


async def test_a_feed_that_no_longer_reaches_back_asks_for_everything(agent: FakeAgent) -> None:
    async with linked(agent) as (link, heard):
        agent.answer("subscribe", lambda params: Subscribed(500, NOW, [], False))
        await asyncio.to_thread(agent.drop)
        await heard.lost()
        link.reconnect_now()
        await heard.connected(2)
        assert (heard.misses, link.sequence) == (1, 500)


async def test_a_request_under_way_when_the_connection_breaks_fails_at_once(agent: FakeAgent) -> None:
    async with linked(agent) as (link, heard):
        agent.answer("list", lambda params: agent._loop.create_future())
        call = asyncio.create_task(link.call("list", ListParams("runs")))
        await asyncio.to_thread(agent.drop)
        with pytest.raises(LinkLost):
            await call
        await heard.lost()


async def test_a_request_while_there_is_no_agent_is_refused_not_kept(agent: FakeAgent) -> None:
    async with linked(agent) as (link, heard):
        await asyncio.to_thread(agent.stop)
        await heard.lost()
        with pytest.raises(LinkLost, match="not connected"):
            await link.call("ping", Empty())


async def test_an_agent_that_does_not_answer_in_time_is_named_with_the_request(agent: FakeAgent) -> None:
    async with linked(agent) as (link, _):
        agent.mute = True
        with pytest.raises(Refusal, match=r"did not answer ping within 0\.05 s") as caught:
            await link.call("ping", Empty(), 0.05)
    assert caught.value.code is ExitCode.NO_AGENT


async def test_another_store_in_the_same_folder_is_not_asked_for_the_old_ones_changes(agent: FakeAgent) -> None:
    async with linked(agent) as (link, heard):
        agent.greeting = msgspec.structs.replace(agent.greeting, store_id="store-2", sequence=1)
        await asyncio.to_thread(agent.drop)
        await heard.lost()
        link.reconnect_now()
        await heard.connected(2)
    assert agent.asked("subscribe")[-1].since is None


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PING_SECONDS", 0.05)
    monkeypatch.setattr(live, "ALIVE_SECONDS", 0.05)
    monkeypatch.setattr(live, "GRACE_SECONDS", 0.01)


async def test_an_agent_that_says_nothing_is_called_silent_with_its_process_and_what_helps(
    agent: FakeAgent, impatient: None
) -> None:
    async with linked(agent) as (link, heard):
        agent.mute = True
        await heard.until(lambda: link.state.status == "silent")
        assert f"does not answer: process {os.getpid()}" in link.state.why
        assert "agent stop --force" in link.state.help
        assert not link.state.connected
        with pytest.raises(LinkLost, match="does not answer"):
            await link.call("list", ListParams("runs"))
        # One question stands: a stopped agent is not drowned in them.
        asked = len(agent.asked("ping"))
        await heard.until(lambda: sum(state.status == "silent" for state in heard.states) >= 3)
        assert len(agent.asked("ping")) == asked
        agent.mute = False
        agent.change("runs")
        await heard.connected(2)
        assert (await link.call("list", ListParams("runs"))).rows == [["a"]]


def test_it_is_noticed_within_five_seconds() -> None:
    assert live.PING_SECONDS + live.ALIVE_SECONDS + live.GRACE_SECONDS < 5


async def test_what_was_asked_before_the_silence_is_told_but_an_action_is_waited_for(
    agent: FakeAgent, impatient: None
) -> None:
    async with linked(agent) as (link, heard):
        agent.mute = True
        page = asyncio.create_task(link.call("list", ListParams("runs")))
        action = asyncio.create_task(link.call("act", ActionParams("ack", "a1")))
        await heard.until(lambda: link.state.status == "silent")
        with pytest.raises(LinkLost, match="does not answer"):
            await page
        assert not action.done()
        agent.mute = False
        agent.notify("progress", Progress("t", "working", 1, 2))
        await heard.connected(2)
        assert not action.done()
        action.cancel()
        await asyncio.gather(action, return_exceptions=True)


async def test_an_agent_that_only_answers_slowly_is_not_called_silent(agent: FakeAgent, impatient: None) -> None:
    async with linked(agent) as (link, heard):
        answers = iter(range(20))
        agent.answer("list", lambda params: Page("runs", [], [], 0, next(answers), 1, NOW))
        for _ in range(20):
            await link.call("list", ListParams("runs"))
            await asyncio.sleep(0.01)
        assert all(state.connected for state in heard.states)


async def test_a_silent_agent_that_ends_is_lost(agent: FakeAgent, impatient: None) -> None:
    async with linked(agent) as (link, heard):
        agent.mute = True
        await heard.until(lambda: link.state.status == "silent")
        await asyncio.to_thread(agent.stop)
        await heard.lost()
