"""Draws the README's picture from the real console on a kept demo store.

quarterdeck demo --headless --speed 30 --until 2013-09-20 --keep /tmp/deck
python docs/picture.py /tmp/deck docs/monitor.svg
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from console.app import ConsoleApp
from console.launch import Opening
from console.link import Client


async def draw(store: Path, keys: list[str]) -> str:
    """The console at 120×40 after `keys`, as SVG."""
    app = ConsoleApp(Opening(Client.connect(store, client="picture"), None), view="fleet")
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(2)
        for key in keys:
            await pilot.press(key)
            await pilot.pause(2)
        svg = app.export_screenshot(title="quarterdeck")
    # Rich names web fonts; a picture in a repository fetches nothing.
    return re.sub(r"@font-face\s*\{[^}]*\}", "", svg)


def main() -> None:
    store, target, *keys = sys.argv[1:]
    svg = asyncio.run(draw(Path(store), keys or ["6"]))
    Path(target).write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
