"""A console on a fake agent, driven by keys, and its picture as text."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from console import glyphs
from console.actions import Registry
from console.app import ConsoleApp
from console.launch import FIRST_LISTING, Opening
from console.link import Client
from store.protocol import Section
from tests.console.canned import LISTINGS, SHOWN, answers
from tests.console.driving import Driver
from tests.console.fake_agent import NOW, FakeAgent


@pytest.fixture(autouse=True)
def _unicode() -> Iterator[None]:
    glyphs.use(glyphs.UNICODE)
    yield
    glyphs.use(None)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[FakeAgent]:
    listings = {kind: (columns, [list(row) for row in rows]) for kind, (columns, rows) in LISTINGS.items()}
    agent = FakeAgent(tmp_path / "flights", listings)
    agent.shown = dict[tuple[str, str], list[Section]](SHOWN)
    for method, handler in answers().items():
        agent.answer(method, handler)
    agent.store.mkdir()
    agent.start()
    yield agent
    agent.close()


Console = Callable[..., Any]


@pytest.fixture
def console(agent: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> Console:
    """`async with console(size, view) as driver` runs the app on the fake agent."""
    monkeypatch.setattr(ConsoleApp, "confirmed", lambda app: NOW)

    @asynccontextmanager
    async def running(size: tuple[int, int] = (120, 40), view: str = "fleet") -> AsyncIterator[Driver]:
        client = Client.connect(agent.store, start_agent=False, client="console")
        page = client.call("list", FIRST_LISTING) if "deployments" in agent.listings else None
        app = ConsoleApp(Opening(client, page), view=view, registry=Registry())
        async with app.run_test(size=size) as pilot:
            driver = Driver(app, pilot, agent)
            await driver.settle()
            yield driver
        client.close()

    return running
