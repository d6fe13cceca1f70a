"""Names of params and metrics as people write them: filtered and sorted by, quoted or not, and told apart."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console import quoting
from console.places import Place, parse_command
from store.catalog import filter as filters
from store.catalog import runs
from store.catalog.listing import Listings
from store.catalog.listings import listings, runs_listing
from store.catalog.runs import MetricPoint, RunArrival
from store.database import Actor, Database
from store.governance.journal import Journal
from store.protocol import ListParams, Page, Refusal

START = datetime(2026, 1, 1, tzinfo=UTC)
ACTOR = Actor("tester", "intake")
ALL = Listings(listings())
ODD = ["precision@10", "mAP@0.5", "loss", "loss/train", "hmean-iou:recall", "hmean-iou", "avg score", "f1[macro]",
       "acc%", "a:desc", 'say "x"', "b\\n", "x>5", "Größe (cm)", "val/AR@100", "a,b", "50 %"]  # fmt: skip


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    opened = Database.open(tmp_path_factory.mktemp("names") / "metadata.duckdb", Journal)
    low, high = ([MetricPoint(name, 1, START, value) for name in ODD] for value in (0.1, 0.9))
    opened.writer.change(
        lambda tx: runs.record(
            tx,
            [
                RunArrival("low", points=low, params={"loss": "9", "depth": "9", "seed": "12345678901234567"}),
                RunArrival("high", points=high, params={"loss": "10", "depth": "100", "seed": "12345678901234568"}),
                RunArrival("text", params={"depth": "auto", "lr": "0.001"}),
                RunArrival("more", params={"depth": "1e1", "lr": "1e-3"}),
                RunArrival("absent", params={"status": "mine", "LR": "1"}),
                RunArrival("odd", params={"depth": "nan", "lr": "1.0E-3"}),
            ],
            ACTOR,
        )
    )
    yield opened
    opened.close()


def page(database: Database, **params: object) -> Page:
    return database.reader.read(lambda c: ALL.page(c, ListParams("runs", **params)))  # type: ignore[arg-type]


def names(database: Database, **params: object) -> list[str]:
    return [str(row[0]) for row in page(database, **params).rows]


@pytest.mark.parametrize("name", ODD)
def test_every_name_is_filtered_and_sorted_by_in_quotation_marks(database: Database, name: str) -> None:
    term = filters.quoted(f"metric.{name}")
    assert term == quoting.quoted_name(f"metric.{name}")
    assert names(database, filter=f"{term}>0.5") == ["high"]
    assert names(database, filter=f"{term} <= 0.5") == ["low"]
    assert names(database, sort=f"{term}:desc")[:2] == ["high", "low"]
    assert names(database, sort=term)[:2] == ["low", "high"]
    typed = parse_command(f"runs /{term}>0.5 sort={term}:desc")
    assert isinstance(typed, Place)
    assert (typed.filter, typed.sort) == (f"{term}>0.5", f"{term}:desc")
    assert quoting.sort_parts(typed.sort) == (f"metric.{name}", True)
    assert quoting.sort_text(*quoting.sort_parts(typed.sort)) == typed.sort


@pytest.mark.parametrize("name", [name for name in ODD if '"' not in name])
def test_every_name_without_quotation_marks_needs_none_where_it_can_be_only_one(database: Database, name: str) -> None:
    assert names(database, filter=f"metric.{name}>0.5") == ["high"]
    assert names(database, filter=f"!metric.{name}<0.5 name:h") == ["high"]
    if not name.endswith(":desc"):
        assert names(database, sort=f"metric.{name}:desc")[:2] == ["high", "low"]


def test_the_longest_name_counts_and_the_shorter_still_can_be_named(database: Database) -> None:
    assert names(database, filter="metric.hmean-iou:recall>0.5") == ["high"]
    assert names(database, filter="metric.hmean-iou:0.9") == ["high"]
    assert names(database, filter="metric.hmean-iou>0.5") == ["high"]


def test_a_name_that_ends_in_a_direction(database: Database) -> None:
    assert names(database, sort="metric.a:desc")[:2] == ["low", "high"]
    assert names(database, sort="metric.a:desc:desc")[:2] == ["high", "low"]
    assert names(database, sort='"metric.a:desc"')[:2] == ["low", "high"]


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("metric.precison@10>0.5", '"metric.precision@10"'),
        ("precision@10>0.5", '"metric.precision@10"'),
        ('"metric.avg scor">0.5', '"metric.avg score"'),
        ("metric.f1[makro]<3", '"metric.f1[macro]"'),
        ("param.Depth>3", "param.depth"),
        ("metric.acc%%>3", '"metric.acc%"'),
        ("metric.loss@1=nan", "metric.loss"),
        ("metric.hmean-iou:recal>0.5", '"metric.hmean-iou:recall"'),
    ],
)
def test_a_column_that_is_not_there_is_an_error_with_those_near_it(database: Database, text: str, near: str) -> None:
    with pytest.raises(Refusal, match="there is no column") as refused:
        page(database, filter=text)
    assert near in refused.value.message
    with pytest.raises(Refusal, match="there is no column") as refused:
        page(database, sort="metric.precison@10")
    assert '"metric.precision@10"' in refused.value.message


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("> 0.5", "no column stands before"),
        ("name > ", "nothing follows"),
        ('"metric.avg score>0.5"', "in quotation marks"),
        ('name="a"b', "a space is missing"),
        ("metric.loss>nan", "nothing is greater or less than NaN"),
    ],
)
def test_what_cannot_be_meant_is_refused(database: Database, text: str, why: str) -> None:
    with pytest.raises(Refusal, match=why):
        page(database, filter=text)


def test_two_readings_are_refused_with_both() -> None:
    with pytest.raises(Refusal, match=r'"x>" or x') as refused:
        filters.parse("x>=3", ["x", "x>"])
    assert "quotation marks" in refused.value.message
    assert filters.parse('"x>"=3 x>3', ["x", "x>"])[0] == filters.Term(False, "x>", "=", "3")


@pytest.mark.parametrize("text", ["^h.*$", "(?:low|high)", "l[ow]+", "a|high", "!text", "^run-[0-9]+:x"])
def test_a_bare_regular_expression_still_searches_the_name(text: str) -> None:
    assert filters.parse(text, ["name"])[0].column == ""


@settings(max_examples=200, deadline=None)
@given(
    column=st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=12),
    value=st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=12),
)
def test_any_name_and_value_survive_quotation(column: str, value: str) -> None:
    whole = f"{quoting.in_quotes(column)}={quoting.in_quotes(value)}"
    text = f"{whole} {filters.quoted(column)}!={quoting.quoted_value(value)}"
    assert filters.parse(text) == [
        filters.Term(False, column, "=", value),
        filters.Term(False, column, "!=", value),
    ]
    assert quoting.words(f"/{text}")[0] == f"/{whole}"


def test_params_that_are_numbers_compare_and_sort_as_numbers(database: Database) -> None:
    assert names(database, filter="param.depth>9.5") == ["more", "high"]
    assert names(database, filter="param.depth=10") == ["more"]
    assert names(database, filter="param.depth!=10 param.depth:.") == ["odd", "text", "high", "low"]
    assert names(database, filter="param.lr=1e-3") == ["odd", "more", "text"]
    assert names(database, filter="param.lr=0.001") == ["odd", "more", "text"]
    assert names(database, filter="param.depth=auto") == ["text"]
    # Numbers first and then texts, whichever way; what is absent last.
    assert names(database, sort="param.depth") == ["low", "more", "high", "text", "odd", "absent"]
    assert names(database, sort="param.depth:desc") == ["high", "more", "low", "odd", "text", "absent"]


def test_whole_numbers_beyond_2_to_the_53_stay_apart(database: Database) -> None:
    assert names(database, filter="param.seed=12345678901234567") == ["low"]
    assert names(database, filter="param.seed=+12345678901234568") == ["high"]
    assert names(database, sort="param.seed")[:2] == ["low", "high"]
    assert names(database, sort="param.seed:desc")[:2] == ["high", "low"]
    assert names(database, filter="param.seed>12345678901234567") == ["high"]
    assert names(database, filter="param.seed<=12345678901234567") == ["low"]


def test_a_row_is_located_where_the_page_shows_it_whatever_it_is_sorted_by(database: Database) -> None:
    for sort in ("param.depth", "param.depth:desc", "param.seed:desc", "metric.loss", '"metric.avg score":desc'):
        order = names(database, sort=sort)
        for place, name in enumerate(order):
            request = ListParams("runs", sort=sort)
            located = database.reader.read(lambda c, r=request, n=name: ALL.locate(c, r, n))
            assert (located.offset, located.total) == (place, 6)


def test_a_param_and_a_metric_of_one_name_have_headings_of_their_own(database: Database) -> None:
    titles = {column.name: column.title for column in page(database, limit=0).columns if column.title}
    assert titles["param.loss"] == "param.loss"
    assert titles["metric.loss"] == "metric.loss"
    assert titles["metric.avg score"] == "avg score"
    # Nor is a param called status taken for the status, or LR for lr.
    assert titles["param.status"] == "param.status"
    assert {titles["param.lr"], titles["param.LR"]} == {"param.lr", "param.LR"}


def test_numbers_in_python_and_sql_agree_about_nan() -> None:
    from store.protocol import Column

    rows = [[math.nan], [math.inf], [1.0], [None]]
    passing = filters.to_predicate("x=nan", [Column("x", "number")], "x")
    assert [passing(row) for row in rows] == [True, False, False, False]
    passing = filters.to_predicate("x>0", [Column("x", "number")], "x")
    assert [passing(row) for row in rows] == [False, True, True, False]


def test_columns_that_do_not_fit_a_page_are_counted_and_those_asked_for_are_there(tmp_path: Path) -> None:
    opened = Database.open(tmp_path / "metadata.duckdb", Journal)
    try:
        params = {f"p{number:02}": "1" for number in range(60)}
        opened.writer.change(lambda tx: runs.record(tx, [RunArrival("wide", params=params)], ACTOR))
        plain = page(opened)
        assert "param.p59" not in {column.name for column in plain.columns}
        assert plain.columns_left_out == len(runs_columns(opened)) - len(plain.columns) > 0
        asked = page(opened, sort="param.p59:desc", filter="param.p58=1")
        assert {"param.p58", "param.p59"} <= {column.name for column in asked.columns}
        assert (asked.rows[0][-1], asked.columns_left_out) == ("1", plain.columns_left_out - 2)
        every = page(opened, all_columns=True)
        assert [column.name for column in every.columns] == runs_columns(opened)
        assert every.columns_left_out == page(opened, columns=["param.p59"]).columns_left_out == 0
    finally:
        opened.close()


def runs_columns(database: Database) -> list[str]:
    return [column.name for column, _ in database.reader.read(runs_listing().columns)]
