"""Drives the console by keys, waits until it has settled, and reads its picture."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Input

from console.app import ConsoleApp
from console.widgets.chart import Chart
from console.widgets.listing import Listing
from tests.console.fake_agent import FakeAgent

SNAPSHOTS = Path(__file__).parent / "snapshots"


class Driver:
    """One running console."""

    def __init__(self, app: ConsoleApp, pilot: Pilot[Any], agent: FakeAgent) -> None:
        self.app = app
        self.pilot = pilot
        self.agent = agent

    async def settle(self) -> None:
        """Wait until every fetch, view and picture is done."""
        async with asyncio.timeout(15):
            await self.until(lambda: self.app.link._ready.is_set() or not self.app.link.state.connected)
            for _ in range(2):
                await self.pilot.pause()
                busy = [worker for worker in self.app.workers if worker.group not in ("link", "acting")]
                if busy:
                    await self.app.workers.wait_for_complete(busy)
                for table in self.app.screen.query(Listing):
                    await table.settled()
                for chart in self.app.screen.query(Chart):
                    await chart.drawn()
                await self.pilot.pause()

    async def until(self, seen: Callable[[], Any]) -> None:
        """Wait until something is so, a turn of the event loop at a time."""
        async with asyncio.timeout(10):
            while not seen():
                await self.pilot.pause(0.005)

    async def press(self, *keys: str) -> None:
        """Press keys, each when what the one before it did is over; what is typed into a line only at its end."""
        for number, key in enumerate(keys, 1):
            typing = isinstance(self.app.focused, Input)
            await self.pilot.press(key)
            if not (typing and isinstance(self.app.focused, Input)) or number == len(keys):
                await self.settle()

    async def type(self, text: str) -> None:
        await self.pilot.press(*text)
        await self.settle()

    @property
    def picture(self) -> str:
        """The screen as text."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip() for strip in strips)

    def line(self, number: int) -> str:
        return self.picture.split("\n")[number]

    @property
    def foot(self) -> str:
        """What the foot says, in however many lines."""
        lines = max(1, self.app.deck.foot.size.height)
        return " ".join(line.strip() for line in self.picture.split("\n")[-lines:])

    def matches(self, name: str) -> None:
        """Compare the picture with tests/console/snapshots/NAME.txt; UPDATE_SNAPSHOTS=1 writes it."""
        path = SNAPSHOTS / f"{name}.txt"
        # What the console itself did has the time of the test.
        picture = re.sub(r"20[2-9]\d-\d\d-\d\d \d\d:\d\dZ", "when it was done ", self.picture) + "\n"
        if os.environ.get("UPDATE_SNAPSHOTS"):
            path.write_text(picture, "utf-8")
        assert picture == path.read_text("utf-8"), f"{path} differs; UPDATE_SNAPSHOTS=1 rewrites it"
