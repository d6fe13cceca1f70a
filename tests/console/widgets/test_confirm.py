"""Nothing dangerous happens by one key: each level asks for what it should."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Input

from console import glyphs
from console.widgets.confirm import Confirmation, ConfirmDialog, Confirmed
from console.widgets.scroll_bars import fit_scroll_bars

PROMOTE = Confirmation(
    title="Promote flight-delay@2 to production",
    level=3,
    before="v1 100%",
    after="v2 100%",
    facts=tuple((f"gate {index}", "ok 0.75 >= 0.70") for index in range(12)),
    cli_line="quarterdeck promote flight-delay@2 --to production --expect 1",
    expected_word="flight-delay",
)
STAGE = Confirmation(title="Promote to staging", level=2, before="v1", after="v2")
NONE_YET = "none yet"


class AskingApp(App[None]):
    def __init__(self, confirmation: Confirmation) -> None:
        super().__init__()
        self.confirmation = confirmation
        self.answer: Any = NONE_YET

    def on_mount(self) -> None:
        self.push_screen(ConfirmDialog(self.confirmation), self.take)

    def take(self, answer: Confirmed | None) -> None:
        self.answer = answer


async def answered(confirmation: Confirmation, *keys: str, size: tuple[int, int] = (80, 24)) -> Any:
    app = AskingApp(confirmation)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        await pilot.press(*keys)
        await pilot.pause()
        return app.answer


@pytest.mark.parametrize(
    ("keys", "answer"), [(["y"], Confirmed("")), (["n"], None), (["enter"], None), (["escape"], None)]
)
async def test_level_1_asks_y_or_n(keys: list[str], answer: Confirmed | None) -> None:
    assert await answered(Confirmation("Mute alert 12?"), *keys) == answer


async def test_level_2_has_cancel_focused_and_no_y() -> None:
    assert await answered(STAGE, "y") == NONE_YET
    assert await answered(STAGE, "enter") is None


async def test_level_2_needs_a_reason() -> None:
    assert await answered(STAGE, "tab", "enter") == NONE_YET


async def test_level_2_returns_the_reason() -> None:
    keys = ["tab", "tab", *"drift", "enter", "tab", "enter"]
    assert await answered(STAGE, *keys) == Confirmed("drift")


async def filled(pilot: Pilot[None], reason: str, word: str) -> None:
    dialog = pilot.app.screen
    dialog.query_one("#reason", Input).value = reason
    dialog.query_one("#word", Input).value = word
    await pilot.pause()
    await pilot.click("#confirm")
    await pilot.pause()


@pytest.mark.parametrize(
    ("reason", "word", "answer"),
    [
        ("better auc", "flight-delay", Confirmed("better auc")),
        ("better auc", "flight", NONE_YET),
        ("  ", "flight-delay", NONE_YET),
    ],
)
async def test_level_3_needs_the_models_name_and_a_reason(reason: str, word: str, answer: object) -> None:
    app = AskingApp(PROMOTE)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await filled(pilot, reason, word)
        assert app.answer == answer


@pytest.mark.parametrize("size", [(80, 24), (60, 20), (50, 18)])
async def test_dialog_fits_with_many_facts_and_a_long_command(size: tuple[int, int]) -> None:
    app = AskingApp(
        replace(PROMOTE, cli_line="quarterdeck promote flight-delay@2 --to production --reason TEXT --expect 1")
    )
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        dialog = app.screen.query_one("#dialog")
        assert app.screen.region.contains_region(dialog.region)
        for part in ("#change", "#cli", "#reason", "#word", "#missing", "#confirm"):
            assert dialog.region.contains_region(app.screen.query_one(part).region), part


async def test_missing_is_said_in_words() -> None:
    app = AskingApp(PROMOTE)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert isinstance(app.screen, ConfirmDialog)
        assert app.screen.missing() == "give a reason and type flight-delay"


async def test_hostile_text_is_literal() -> None:
    hostile = Confirmation("[red]x[/red]\x1b[2J", 2, "[b]", "a\u202eb", (("[i]", "\x07"),), "rm [/]")
    app = AskingApp(hostile)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        shot = "".join(strip.text for strip in app.screen._compositor.render_strips())
        assert "[red]x[/red]␛[2J" in shot
        assert "\x1b" not in shot
        assert "\u202e" not in shot


async def test_ascii_dialog_is_ascii() -> None:
    glyphs.use(glyphs.ASCII)
    fit_scroll_bars()
    app = AskingApp(PROMOTE)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        shot = [strip.text for strip in app.screen._compositor.render_strips()]
        assert [line for line in shot if not line.isascii()] == []


def shot_of(pilot: Pilot[None]) -> str:
    return "\n".join(strip.text for strip in pilot.app.screen._compositor.render_strips())


async def test_every_fact_can_be_reached_by_key_at_80_by_24() -> None:
    app = AskingApp(PROMOTE)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "gate 11" not in shot_of(pilot)
        assert "pgup pgdn: all facts" in shot_of(pilot)
        await pilot.press("pagedown", "pagedown")
        await pilot.pause()
        assert "gate 11" in shot_of(pilot)


async def test_a_tall_terminal_shows_every_fact_at_once() -> None:
    app = AskingApp(PROMOTE)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert "gate 0 " in shot_of(pilot)
        assert "gate 11" in shot_of(pilot)
        assert "pgup" not in shot_of(pilot)


async def test_the_label_of_a_fact_is_not_cut_while_there_is_room() -> None:
    asked = Confirmation("Promote", 2, facts=(("Training metrics of 2", "auc 0.74"), ("Now", "version 1")))
    app = AskingApp(asked)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "Training metrics of 2 auc 0.74" in shot_of(pilot)
