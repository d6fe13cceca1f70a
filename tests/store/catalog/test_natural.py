"""Natural order: of versions as people number them, total for any text, and the same in Python and in SQL."""

from __future__ import annotations

import random

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from store.catalog.natural import natural_key, natural_sql

#: Each row is in order, oldest first.
ROWS = [
    ["1", "2", "9", "10", "11", "100"],
    ["v1", "2", "v9", "V10"],
    ["1.9", "1.10", "1.10.1", "2"],
    ["1.0.dev3", "1.0a1", "1.0a2", "1.0b1", "1.0rc1", "1.0rc2", "1.0rc10", "1.0", "1.0.post1", "1.0.1"],
    ["2.0.0-alpha", "2.0.0-alpha.1", "2.0.0-beta.2", "2.0.0-beta.11", "2.0.0-rc.1", "2.0.0", "2.0.1-rc1", "2.0.1"],
    ["1.0.0-rc1", "1.0", "1.0.1"],
    ["1.0.0.dev1", "1.0.0", "1.1"],
    ["1.0.0-rc1+build9", "1.0.0", "1.0.0+build9", "1.0.0+build10", "1.0.1"],
    ["2023-12-31", "2024-01-02", "2024-01-10", "2024-10-01"],
    ["20231231", "20240102"],
    ["train-9", "train-10", "train-10b"],
    ["net-9", "network-1"],
    ["1.0-SNAPSHOT", "1.0-RC1", "1.0"],
    ["1.0.2", "1.0.2a", "1.0.2b", "1.0.3"],
    ["1.0", "1.0-5-gabc1234", "1.0-12-g0123456"],
    ["7", "007a", "0010"],
]


@pytest.mark.parametrize("names", ROWS, ids=lambda names: names[0])
def test_versions_come_in_the_order_in_which_people_number_them(names: list[str]) -> None:
    shuffled = random.Random(7).sample(names, len(names))
    assert sorted(shuffled, key=natural_key) == names
    assert len(set(map(natural_key, names))) == len(names)


def in_sql(names: list[str]) -> list[str]:
    with duckdb.connect() as connection:
        return [
            row[0]
            for row in connection.execute(
                f"SELECT {natural_sql('name')} FROM (SELECT unnest($1::VARCHAR[]) AS name, generate_subscripts("
                "$1::VARCHAR[], 1) AS place) ORDER BY place",
                [names],
            ).fetchall()
        ]


#: Text that is made of what the rules look at, beside text of any kind.
VERSION_LIKE = st.lists(
    st.sampled_from([*"0123456789.-_+ vVabcAZé٣１\n'", "rc", "dev", "alpha", "10", "00", "1.0", ".0"]), max_size=14
).map("".join)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)


@settings(deadline=None, max_examples=60)
@given(st.lists(VERSION_LIKE | ANY_TEXT, min_size=1, max_size=60))
def test_sql_and_python_give_the_same_keys_and_sort_alike(names: list[str]) -> None:
    keys = [natural_key(name) for name in names]
    assert in_sql(names) == keys
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"SELECT name FROM (SELECT unnest($1::VARCHAR[]) AS name) ORDER BY {natural_sql('name')}, name", [names]
        ).fetchall()
    assert [row[0] for row in rows] == sorted(names, key=lambda name: (natural_key(name), name))


@given(st.lists(ANY_TEXT | VERSION_LIKE, max_size=12), st.randoms(use_true_random=False))
def test_no_arrangement_of_the_names_changes_their_order(names: list[str], chance: random.Random) -> None:
    ordered = sorted(names, key=lambda name: (natural_key(name), name))
    for place, name in enumerate(ordered):
        assert all(natural_key(name) <= natural_key(later) for later in ordered[place:])
    shuffled = list(names)
    chance.shuffle(shuffled)
    assert sorted(shuffled, key=lambda name: (natural_key(name), name)) == ordered


PARTS = st.integers(0, 120)


@st.composite
def pep440(draw: st.DrawFn) -> str:
    text = ".".join(map(str, draw(st.lists(PARTS, min_size=1, max_size=4))))
    text += draw(st.sampled_from(["", "", f"a{draw(PARTS)}", f"b{draw(PARTS)}", f"rc{draw(PARTS)}"]))
    return text + draw(st.sampled_from(["", "", f".post{draw(PARTS)}", f".dev{draw(PARTS)}"]))


@settings(max_examples=400)
@given(pep440(), pep440())
def test_releases_sort_as_pep_440_says(first: str, second: str) -> None:
    one, two = Version(first), Version(second)
    if one != two:
        assert (natural_key(first) < natural_key(second)) == (one < two)


def test_null_stays_null_in_sql() -> None:
    with duckdb.connect() as connection:
        assert connection.execute(f"SELECT {natural_sql('NULL::VARCHAR')}").fetchall() == [(None,)]
