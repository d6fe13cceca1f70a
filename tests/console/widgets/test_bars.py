"""Distribution bars show both shares as numbers, and fold into the lines there are."""

from __future__ import annotations

from widget_app import WidgetApp

from console.widgets.bars import Bars, BarsData, folded

BINS = BarsData(
    tuple(f"bin {index}" for index in range(20)),
    (0.05,) * 20,
    (0.0,) * 10 + (0.1,) * 10,
    facts=(("psi 0.7", "critical"),),
)


async def test_shares_and_change_are_written() -> None:
    app = WidgetApp(Bars(BINS))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        line = next(line for line in app.lines() if line.startswith("bin 15"))
        assert "5%" in line
        assert "10%" in line
        assert "+5.0 pt" in line
        assert "psi 0.7" in app.lines()


async def test_long_and_hostile_labels_keep_the_columns_straight() -> None:
    app = WidgetApp(Bars(BarsData(("x" * 500, "\x1b[2J漢字"), (0.5, 0.5), (0.4, 0.6))))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert {line.index("50%") for line in app.lines() if "50%" in line.replace("漢字", "漢字")} != set()
        assert not any("\x1b" in line for line in app.lines())


def test_ordered_bins_are_merged_and_nothing_is_lost() -> None:
    rows = folded(BINS, 7)
    assert len(rows) == 7
    assert abs(sum(row[1] for row in rows) - 1) < 1e-9
    assert abs(sum(row[2] for row in rows) - 1) < 1e-9


def test_categories_are_kept_by_size_and_the_rest_summed_up() -> None:
    data = BarsData(("a", "b", "c", "d"), (0.1, 0.2, 0.3, 0.4), (0.7, 0.1, 0.1, 0.1), ordered=False)
    assert [row[0] for row in folded(data, 3)] == ["a", "d", "2 others"]


async def test_equal_data_writes_nothing() -> None:
    app = WidgetApp(Bars(BINS))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        app.painted.clear()
        app.widget.update(BarsData(BINS.labels, BINS.reference, BINS.current, facts=BINS.facts))
        await pilot.pause()
        assert app.painted == set()
