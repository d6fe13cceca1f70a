"""Odd names on their way through the console: typed after `:`, sorted by a key, handed out as command lines."""

from __future__ import annotations

import shlex

import pytest

from console import quoting
from console.command_lines import listing_command
from console.places import Place, complete_command, parse_command
from store.catalog import filter as filters
from store.catalog.listing import sort_order
from store.protocol import Column, ListParams, Refusal
from tests.console.conftest import Console


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (
            'runs /metric.precision@10>0.45 sort="metric.avg score":desc',
            Place("runs", filter="metric.precision@10>0.45", sort='"metric.avg score":desc'),
        ),
        ('runs "metric.avg score">0.3 train', Place("runs", filter='"metric.avg score">0.3 train')),
        ("runs metric.avg score>0.3", Place("runs", filter="metric.avg score>0.3")),
        ("runs /metric.f1[macro]>0.3", Place("runs", filter="metric.f1[macro]>0.3")),
        ('runs owner="ann b" status=failed', Place("runs", filter='owner="ann b" status=failed')),
        (r"runs name:a\.b", Place("runs", filter=r"name:a\.b")),
        ("runs 'two words'", Place("runs", filter='"two words"')),
        ("run it's", Place("run", "it's")),
        ('run "a b=c"', Place("run", "a b=c")),
        ("run lr=0.1", Place("run", "lr=0.1")),
        ("describe runs 'a b'", Place("describe", "a b", "runs")),
        (
            "drift m@production feature:temp",
            Place("drift", filter="feature:temp", scope=(("deployment", "m@production"),)),
        ),
        ('drift m@p "feature">1', Place("drift", filter='"feature">1', scope=(("deployment", "m@p"),))),
    ],
)
def test_what_is_typed_reaches_the_filter_as_it_was_typed(text: str, place: Place) -> None:
    assert parse_command(text) == place


def test_a_quotation_that_is_not_closed_is_refused() -> None:
    for text in ('runs sort="metric.a', "runs 'a b", 'runs name:"x'):
        with pytest.raises(Refusal, match="no closing quotation"):
            parse_command(text)


def test_completion_offers_odd_names_in_quotation_marks() -> None:
    columns = ("metric.avg score", "metric.auc", "metric.p@5", "name")
    assert complete_command("runs sort=metric.a", columns) == ['runs sort="metric.avg score"', "runs sort=metric.auc"]
    assert complete_command('runs sort="metric.avg', columns) == ['runs sort="metric.avg score"']
    assert complete_command('runs sort="metric.p@5"', columns) == ['runs sort="metric.p@5":desc']
    assert complete_command("run my", names=("my run", "mine")) == ['run "my run"']
    assert complete_command('run "my', names=("my run", "mine")) == ['run "my run"']
    assert complete_command("runs metric.p", columns) == ['runs "metric.p@5"=']


@pytest.mark.parametrize("name", ["m@production", "a b", 'say "x"', "tab\\n", ">5", "=", "ends:desc"])
def test_the_command_line_that_is_handed_out_says_what_was_shown(name: str) -> None:
    sort = quoting.sort_text(name, True)
    params = ListParams("drift", filter=f"{quoting.in_quotes(name)}>1", sort=sort, scope={"deployment": name})
    words = shlex.split(listing_command(params))
    columns = {column: Column(column) for column in (name, "deployment")}
    terms = filters.parse(words[words.index("--filter") + 1], columns)
    assert terms == [filters.Term(False, "deployment", "=", name), filters.Term(False, name, ">", "1")]
    assert sort_order(words[words.index("--sort") + 1], columns) == (columns[name], True)


async def test_a_command_with_odd_names_asks_the_agent_for_them(console: Console) -> None:
    async with console() as driver:
        await driver.press("colon")
        assert driver.app.deck.command_line is not None
        driver.app.deck.command_line.value = 'runs /"metric.log loss">0.1 sort="started":desc'
        await driver.press("enter")
        params = driver.agent.asked("list")[-1]
        assert (params.filter, params.sort) == ('"metric.log loss">0.1', '"started":desc')


def test_the_console_reads_a_sort_as_the_agent_does() -> None:
    names = ("loss", "a:desc", "both", "both:desc")
    columns = {name: Column(name) for name in names}
    for sort in ("loss", "loss:desc", "loss:asc", "a:desc", '"a:desc":desc', "a:desc:desc", "both:desc", '"both:desc"'):
        column, descending = sort_order(sort, columns)
        assert quoting.sort_parts(sort, names) == (column.name, descending)
