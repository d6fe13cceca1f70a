"""Listings against a plain Python model: any filter, any sort, any page, and where a row stands."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.catalog import filter as filters
from store.catalog import listing as listing_module
from store.catalog import runs
from store.catalog.listing import ComputedListing, Listings, Source, SqlListing
from store.catalog.listings import RUNS, fixed, listings
from store.catalog.natural import natural_key
from store.catalog.runs import MetricPoint, RunArrival
from store.database import Actor, Database
from store.governance.journal import Journal
from store.protocol import Column, ListParams, Refusal

START = datetime(2026, 1, 1, tzinfo=UTC)
ACTOR = Actor("tester", "intake")
ALL = Listings(listings())


def arrival(number: int, auc: float | None) -> RunArrival:
    points = [] if auc is None else [MetricPoint("auc", 1, START, auc)]
    return RunArrival(
        f"run-{number}",
        status="finished" if number % 3 else "failed",
        started_at=START + timedelta(minutes=number),
        params={"lr": str(number % 4)},
        points=points,
    )


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "metadata.duckdb", Journal)
    aucs = [None if n % 7 == 0 else math.nan if n % 11 == 0 else (n * 37 % 50) / 50 for n in range(300)]
    opened.writer.change(lambda tx: runs.record(tx, [arrival(n, a) for n, a in enumerate(aucs)], ACTOR))
    yield opened
    opened.close()


def page(database: Database, **params: object) -> list[str]:
    request = ListParams("runs", **params)  # type: ignore[arg-type]
    return [str(row[0]) for row in database.reader.read(lambda c: ALL.page(c, request)).rows]


def test_newest_runs_come_first(database: Database) -> None:
    assert page(database, limit=3) == ["run-299", "run-298", "run-297"]


@pytest.mark.parametrize("sort", ["metric.auc", "metric.auc:desc", "name", "name:desc", "started:desc", "sequence"])
def test_pages_put_together_are_the_whole_listing_each_row_once(
    database: Database, sort: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = page(database, sort=sort, limit=1000)
    pages = [row for offset in range(0, 300, 37) for row in page(database, sort=sort, limit=37, offset=offset)]
    assert pages == whole
    assert sorted(whole) == sorted(f"run-{n}" for n in range(300))


@pytest.mark.parametrize("sort", ["metric.auc", "metric.auc:desc", "started:desc"])
@pytest.mark.parametrize("offset", [0, 10, 120, 215, 240, 290])
def test_a_page_in_the_middle_is_selected_as_sorting_would(
    database: Database, sort: str, offset: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = page(database, sort=sort, limit=1000)
    request = ListParams("runs", sort=sort, offset=offset, limit=20)

    def middle(connection: duckdb.DuckDBPyConnection) -> list[str]:
        query = listing_module._Query(connection, RUNS, request)
        ids = query._row_ids_in_the_middle(300)
        names = dict(connection.execute("SELECT rowid, name FROM run").fetchall())
        return [names[row_id] for row_id in ids]

    assert database.reader.read(middle) == whole[offset : offset + 20]


def test_null_and_nan_stand_last_both_ways(database: Database) -> None:
    for sort in ("metric.auc", "metric.auc:desc"):
        rows = database.reader.read(lambda c, s=sort: ALL.page(c, ListParams("runs", sort=s, limit=300))).rows
        columns = database.reader.read(lambda c: ALL.page(c, ListParams("runs", limit=0))).columns
        place = [column.name for column in columns].index("metric.auc")
        values = [row[place] for row in rows]
        absent = values.index(None)
        assert all(value is None for value in values[absent:])


def test_locate_agrees_with_the_page(database: Database) -> None:
    for sort in ("metric.auc:desc", "name", "started"):
        whole = page(database, sort=sort, limit=1000, filter="param.lr=1")
        request = ListParams("runs", sort=sort, filter="param.lr=1")
        for place in (0, 10, len(whole) - 1):
            located = database.reader.read(lambda c, p=place: ALL.locate(c, request, whole[p]))  # noqa: B023
            assert (located.offset, located.total) == (place, len(whole))
        assert database.reader.read(lambda c: ALL.locate(c, request, "run-0")).offset is None  # noqa: B023


def test_the_listing_as_of_a_moment_is_what_the_store_knew_then(database: Database) -> None:
    row = database.reader.read(lambda c: c.execute("SELECT max(epoch(recorded_at)) FROM run").fetchone())
    then = row[0] if row else 0.0
    database.writer.change(lambda tx: runs.record(tx, [RunArrival("run-5", status="killed"), arrival(400, 0.5)], ACTOR))
    assert "run-400" in page(database, limit=1000)
    assert "run-400" not in page(database, limit=1000, at=then)
    assert page(database, filter="name=run-5 status=killed") == ["run-5"]
    assert page(database, filter="name=run-5 status=killed", at=then) == []
    assert page(database, filter="name=run-5", at=then) == ["run-5"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nosuch:x", "there is no column 'nosuch'"),
        ("name:(", "is no regular expression"),
        ("metric.auc>high", "neither a number nor a time"),
        ('name:"open', "nothing follows"),
        ("x" * 2000, "longer than"),
    ],
)
def test_a_bad_filter_says_what_is_wrong_and_never_matches_all(database: Database, text: str, message: str) -> None:
    with pytest.raises(Refusal, match="Bad filter") as refusal:
        page(database, filter=text)
    assert message in refusal.value.message


def test_a_regex_only_python_knows_is_an_error_too(database: Database) -> None:
    with pytest.raises(Refusal, match="Bad filter"):
        page(database, filter="name:(?=r)r")


def test_unknown_kinds_sorts_scopes_and_page_sizes_are_refused(database: Database) -> None:
    for params in ({"sort": "nosuch"}, {"scope": {"nosuch": "x"}}, {"limit": -1}, {"limit": 10**9}, {"offset": -5}):
        with pytest.raises(Refusal):
            page(database, **params)
    with pytest.raises(Refusal, match="no listing 'nosuch'"):
        database.reader.read(lambda c: ALL.page(c, ListParams("nosuch")))


COLUMNS = [Column("id"), Column("name"), Column("x", "number")]
ROWS = st.lists(
    st.tuples(
        st.text("ab[]19.", max_size=4),
        st.none() | st.integers(-3, 3).map(float),
    ),
    max_size=12,
)
TERMS = st.builds(
    lambda negated, term: ("!" if negated else "") + term,
    st.booleans(),
    st.sampled_from(["name:a", "name=a", "name!=ab", "x>0", "x>=1", "x<2", "x<=-1", "x=1", "x!=2", "^a", 'name:"b$"']),
)


@settings(max_examples=150, deadline=None)
@given(
    rows=ROWS,
    terms=st.lists(TERMS, max_size=3),
    sort=st.sampled_from(["x", "x:desc", "name", "id:desc"]),
    natural=st.sampled_from([frozenset[str](), frozenset({"name"})]),
)
def test_tables_and_computed_rows_answer_alike(
    rows: list[tuple[str, float | None]], terms: list[str], sort: str, natural: frozenset[str]
) -> None:
    data = [(f"{place:02}", name, x) for place, (name, x) in enumerate(rows)]
    connection = duckdb.connect()
    connection.execute("CREATE TABLE t (id VARCHAR, name VARCHAR, x DOUBLE)")
    for row in data:
        connection.execute("INSERT INTO t VALUES (?, ?, ?)", row)
    table = SqlListing(
        "t",
        fixed(("id", "text", 0, "id"), ("name", "text", 0, "name"), ("x", "number", 0, "x")),
        lambda _at: Source("t"),
        "id",
        natural=natural,
    )
    computed = ComputedListing("t", COLUMNS, lambda _c, _p: data, "id", natural=natural)
    params = ListParams("t", filter=" ".join(terms), sort=sort)
    one, other = Listings([table]).page(connection, params), Listings([computed]).page(connection, params)
    assert one.total == other.total
    assert {str(row) for row in one.rows} == {str(row) for row in other.rows}
    key = sort.partition(":")[0]
    place = ["id", "name", "x"].index(key)
    # Names that only differ in what natural order passes over stand side by side, in either order.
    told = natural_key if key in natural else str
    assert [told(str(row[place])) for row in one.rows] == [told(str(row[place])) for row in other.rows]


def test_quoted_values_keep_spaces_and_bare_terms_search_the_name() -> None:
    (first, second) = filters.parse('!owner="ann b" train')
    assert (first.negated, first.column, first.operator, first.value) == (True, "owner", "=", "ann b")
    assert (second.column, second.operator, second.value) == ("", ":", "train")


@pytest.mark.parametrize(
    ("text", "kept"),
    [("failed=true", [True]), ("failed=yes", [True]), ("failed!=True", [False, None]), ("failed=no", [False])],
)
def test_truth_values_are_filtered_by_as_they_are_written_and_shown(text: str, kept: list[bool | None]) -> None:
    passes = filters.to_predicate(text, [Column("failed")], "failed")
    assert [value for value in (True, False, None) if passes([value])] == kept
