"""Marked files of the quarantine are retried together, after one confirmation that says how many."""

from __future__ import annotations

from store.protocol import ActionParams, Column, ExitCode, Outcome, Refusal
from tests.console.conftest import Console
from tests.console.driving import Driver


def in_quarantine(driver: Driver, count: int) -> None:
    columns = [Column("id", priority=0), Column("state", "health", priority=0), Column("path", priority=0)]
    rows: list[list[object]] = [[f"q{number}", "open", f"runs/r{number}/run.json"] for number in range(1, count + 1)]
    driver.agent.listings["quarantine"] = (columns, rows)


def retried(driver: Driver) -> list[str]:
    return [params.subject for params in driver.agent.asked("act") if params.action == "retry"]


async def test_one_confirmation_says_how_many_and_all_are_asked_for(console: Console) -> None:
    async with console() as driver:
        in_quarantine(driver, 12)
        await driver.press("9", *["space", "j"] * 10, "space", "T")
        await driver.until(lambda: "11 quarantined files" in driver.picture)
        assert "q1, q2, q3" in driver.picture
        assert retried(driver) == []
        await driver.press("y")
        await driver.until(lambda: "11 of 11 taken in" in driver.foot)
        assert sorted(retried(driver), key=lambda case: int(case[1:])) == [f"q{number}" for number in range(1, 12)]
        assert driver.app.deck.view.table.marked == frozenset()
        logged = driver.app.log_lines[-1]
        assert logged.command == "quarterdeck retry " + " ".join(f"q{number}" for number in range(1, 12))


async def test_what_is_still_wrong_is_named_and_stays_marked(console: Console) -> None:
    def act(params: ActionParams) -> Outcome:
        if params.subject == "q2":
            raise Refusal(ExitCode.REFUSED, "Still wrong: status: found 7")
        return Outcome(params.action, params.subject, 0, "done", {}, {}, "taken in", 12)

    async with console() as driver:
        in_quarantine(driver, 3)
        driver.agent.answer("act", act)
        await driver.press("9", "space", "j", "space", "j", "space", "T")
        await driver.until(lambda: "3 quarantined files" in driver.picture)
        await driver.press("y")
        await driver.until(lambda: "2 of 3 taken in; q2: Still wrong: status: found 7" in driver.foot)
        assert driver.app.deck.view.table.marked == {"q2"}


async def test_no_leaves_all_as_they_are(console: Console) -> None:
    async with console() as driver:
        in_quarantine(driver, 3)
        await driver.press("9", "space", "j", "space", "T")
        await driver.until(lambda: "2 quarantined files" in driver.picture)
        await driver.press("n")
        await driver.until(lambda: "nothing was done" in driver.foot)
        assert retried(driver) == []


async def test_without_marks_it_is_the_chosen_one(console: Console) -> None:
    async with console() as driver:
        in_quarantine(driver, 3)
        await driver.press("9", "j", "T")
        await driver.until(lambda: "Retry: q2" in driver.picture)
        await driver.press("y")
        await driver.until(lambda: retried(driver) == ["q2"])
