"""Draws the README's pictures from the real console on a kept demo store.

quarterdeck demo --headless --speed 30 --until 2013-09-20 --keep deck
python docs/picture.py deck docs/monitor.svg 120x40 6
python docs/picture.py deck docs/fleet.svg 120x10 1
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from console.app import ConsoleApp
from console.launch import Opening
from console.link import Client


async def draw(store: Path, size: tuple[int, int], keys: list[str]) -> str:
    """The console of so many columns and lines after `keys`, as SVG."""
    app = ConsoleApp(Opening(Client.connect(store, client="picture"), None), view="fleet")
    async with app.run_test(size=size) as pilot:
        await pilot.pause(2)
        for key in keys:
            await pilot.press(key)
            await pilot.pause(2)
        svg = app.export_screenshot(title="quarterdeck")
    # Rich names web fonts; a picture in a repository fetches nothing.
    return re.sub(r"@font-face\s*\{[^}]*\}", "", svg)


def main() -> None:
    store, target, size, *keys = sys.argv[1:]
    columns, _, lines = size.partition("x")
    svg = asyncio.run(draw(Path(store), (int(columns), int(lines)), keys))
    Path(target).write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
