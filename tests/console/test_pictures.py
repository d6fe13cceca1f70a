"""Every view as text at both sizes; UPDATE_SNAPSHOTS=1 writes the snapshots."""

from __future__ import annotations

import pytest

from console import glyphs
from tests.console.conftest import Console

SIZES = {"120x40": (120, 40), "80x24": (80, 24)}
#: view -> the keys that lead to it from the fleet.
VIEWS = {
    "fleet": "",
    "datasets": "2",
    "runs": "3",
    "versions": "4",
    "deployments": "5",
    "monitor": "6",
    "alerts": "7",
    "replay": "7 j W",
    "journal": "8",
    "quarantine": "9",
    "run": "3 enter",
    "describe": "3 d",
    "deployment": "5 enter",
    "help": "?",
    "palette": "ctrl+p",
    "command_log": "3 @",
    "command_line": ":",
    "filter": "3 /",
    "sort": "3 s",
    "windows": "6 w",
    "statistic": "6 S",
    "metric": "6 M",
    "feature": "6 enter",
    "feature_changes": "6 enter tab tab",
    "feature_statistics": "6 enter tab tab tab",
    "performance": "colon p e r f o r m a n c e enter",
    "performance_slices": "colon p e r f o r m a n c e enter tab",
    "performance_delays": "colon p e r f o r m a n c e enter tab tab",
    "monitor_performance": "6 tab tab",
    "monitor_scores": "6 tab tab tab",
    "monitor_traffic": "6 tab tab tab tab",
    "monitor_filter": "6 slash",
    "time_travel": "t",
    "pick_version": "P",
    "note": "n",
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("view", VIEWS)
async def test_a_view_looks_as_it_did(console: Console, view: str, size: str) -> None:
    async with console(SIZES[size]) as driver:
        await driver.press(*(("question_mark" if key == "?" else key) for key in VIEWS[view].split()))
        driver.matches(f"{view}-{size}")


#: dialog -> the keys that lead to it from the fleet, and what stands on it when it is there.
DIALOGS = {
    "confirm_promote": ("P enter", "to confirm, give a reason and type"),
    "confirm_rollback": ("j R", "to confirm, give a reason"),
    "confirm_ack": ("7 j a", "Yes (y)"),
    "confirm_resolve": ("7 r", "Yes (y)"),
    "confirm_mute": ("7 m", "Mute a2 for"),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dialog", DIALOGS)
async def test_a_dialog_looks_as_it_did(console: Console, dialog: str, size: str) -> None:
    keys, there = DIALOGS[dialog]
    async with console(SIZES[size]) as driver:
        *first, last = keys.split()
        for key in first:
            await driver.press(key)
            if key == "P":
                await driver.until(lambda: "Promote which version" in driver.picture)
        await driver.press(last)
        await driver.until(lambda: there in driver.picture)
        await driver.settle()
        driver.matches(f"{dialog}-{size}")


async def test_a_dialog_in_ascii_is_ascii(console: Console) -> None:
    glyphs.use(glyphs.ASCII)
    async with console((80, 24)) as driver:
        await driver.press("R")
        await driver.until(lambda: "to confirm, give a reason" in driver.picture)
        await driver.settle()
        driver.matches("confirm_rollback-80x24-ascii")
        assert driver.picture.replace("▁", "").isascii()


@pytest.mark.parametrize(
    "view",
    ["fleet", "monitor", "run", "feature", "feature_statistics", "performance", "alerts", "replay", "monitor_traffic"],
)
async def test_an_ascii_locale_gets_ascii_alone(console: Console, view: str) -> None:
    glyphs.use(glyphs.ASCII)
    async with console((80, 24)) as driver:
        await driver.press(*VIEWS[view].split())
        driver.matches(f"{view}-80x24-ascii")
        assert driver.picture.replace("▁", "").isascii()
