"""An agent that is started from the console and cannot start says why, there."""

from __future__ import annotations

import asyncio

from tests.console.conftest import Console


async def test_why_it_did_not_start_is_told(console: Console) -> None:
    async with console() as driver:
        await asyncio.to_thread(driver.agent.stop)
        await driver.until(lambda: "agent lost" in driver.picture)
        # What an empty store would stand beside.
        kept = driver.agent.store / "objects/sha256/ab/cdef"
        kept.mkdir(parents=True)
        driver.app.deck.do("agent.start")
        async with asyncio.timeout(30):
            while "did not start" not in driver.foot:
                await driver.pilot.pause(0.02)
        assert "1 artifact in objects/" in driver.foot
