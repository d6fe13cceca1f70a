"""Whatever is inserted, removed or reordered, the table shows the listing as it is and the cursor its own row."""

from __future__ import annotations

import random

import pytest
from row_listings import ListSource, TableApp, run

KEYS = ["down", "up", "pagedown", "pageup", "g", "G", "space", "j", "k"]


def change(rows: list[list[object]], dice: random.Random, made: int) -> int:
    """One random change of a listing; returns how many rows were ever made."""
    kind = dice.choice(
        ["insert", "insert", "remove", "shuffle", "value", "clear"]
        if dice.random() < 0.2
        else ["insert", "remove", "value"]
    )
    if kind == "insert":
        for _ in range(dice.randint(1, 60)):
            rows.insert(dice.randint(0, min(len(rows), 80)), run(made))
            made += 1
    elif kind == "remove":
        for _ in range(min(len(rows), dice.randint(1, 40))):
            del rows[dice.randrange(len(rows))]
    elif kind == "shuffle":
        dice.shuffle(rows)
    elif kind == "clear":
        rows.clear()
    elif rows:
        place = dice.randrange(len(rows))
        rows[place] = [*rows[place][:4], f"changed {made}"]
    return made


@pytest.mark.parametrize("seed", range(3))
async def test_random_changes_and_keys(seed: int) -> None:
    dice = random.Random(seed)
    source = ListSource([run(index) for index in range(120)])
    made = 120
    app = TableApp(source)
    async with app.run_test(size=(80, 20)) as pilot:
        table = app.table
        await pilot.pause()
        await table.settled()
        for _ in range(20):
            await pilot.press(*dice.choices(KEYS, k=dice.randint(0, 3)))
            await table.settled()
            before = table.cursor_id
            made = change(source.rows, dice, made)
            await table.refresh_rows()
            await pilot.pause()
            ids = [row[0] for row in source.rows]
            top = round(table.scroll_y)
            assert table.total == len(ids)
            assert [row[0] for row in table.rows_on_screen()] == ids[top : top + 19]
            assert table.rows_on_screen() == source.rows[top : top + 19]
            if before in ids:
                assert table.cursor_id == before
                assert ids[table.cursor_index] == before
                assert top <= table.cursor_index < top + 19
            elif before is not None:
                assert table.cursor_row is None
            shown = [line.split()[0] for line in (line.lstrip("▸✓· ") for line in app.lines()[1:]) if line]
            assert shown[: len(ids) or 1] == (ids[top : top + 19] or ["nothing"])
