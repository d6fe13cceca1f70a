"""Which version is the newest: what it says itself, never when it was registered."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from store.catalog import datasets, models
from store.catalog.datasets import DatasetArrival
from store.catalog.listing import Listings
from store.catalog.listings import listings
from store.catalog.manifest import parse
from store.database import Actor, Database
from store.governance.journal import Journal
from store.protocol import ListParams

ACTOR = Actor("tester", "intake")
ALL = Listings(listings())


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with_journal = Database.open(tmp_path / "store.duckdb", Journal)
    yield with_journal
    with_journal.close()


def register(database: Database, *versions: str, model: str = "net", together: bool = False, **created: str) -> None:
    """In the order given; `created` says when, by version (`v` before its name)."""

    def change(tx: Any, names: tuple[str, ...]) -> None:
        for version in names:
            keys = {"created_at": created[f"v{version}"]} if f"v{version}" in created else {}
            manifest = parse(json.dumps(keys).encode(), model, version)
            arrival = models.VersionArrival(manifest, f"sha256:{version}", 9, 2, "", "", "", "me", datetime.now(UTC))
            models.register(tx, arrival, ACTOR)

    for names in [versions] if together else [(version,) for version in versions]:
        database.writer.change(lambda tx, names=names: change(tx, names))


def newest_first(database: Database, model: str = "net") -> list[str]:
    found = database.reader.read(lambda c: models.versions(c, model))
    return [version.version for version in found]


def column(database: Database, kind: str, name: str, **params: Any) -> list[Any]:
    page = database.reader.read(lambda c: ALL.page(c, ListParams(kind, **params)))
    place = [column.name for column in page.columns].index(name)
    return [row[place] for row in page.rows]


@pytest.mark.parametrize("order", [*itertools.permutations(["9", "10", "10-rc1", "2"])])
def test_names_decide_whatever_the_order_of_arrival(database: Database, order: tuple[str, ...]) -> None:
    register(database, *order, together=order[0] == "9")
    wanted = ["10", "10-rc1", "9", "2"]
    assert newest_first(database) == wanted
    assert column(database, "versions", "version") == wanted
    assert column(database, "versions", "version", scope={"model": "net"}, sort="rank") == wanted
    assert column(database, "versions", "rank") == [1, 2, 3, 4]
    assert column(database, "versions", "version", sort="version") == wanted[::-1]
    assert column(database, "versions", "id", sort="name:desc") == [f"net@{version}" for version in wanted]
    assert column(database, "models", "newest") == ["10"]


def test_what_a_version_says_of_its_age_comes_before_its_name(database: Database) -> None:
    times = {"v1": "2026-03-01", "v2": "2026-01-01", "v3": "2026-03-01T00:30:00+01:00"}
    register(database, "3", "1", "10", "2", **times)
    assert newest_first(database) == ["1", "3", "2", "10"]
    assert column(database, "models", "newest") == ["1"]
    assert column(database, "versions", "version") == ["1", "3", "2", "10"]
    march = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
    assert column(database, "versions", "created") == [march, march - 1800, march - 59 * 86400, None]


def test_versions_with_one_time_go_by_name(database: Database) -> None:
    register(database, "1.10", "1.9", **{"v1.10": "2026-01-01T00:00Z", "v1.9": "2026-01-01 00:00"})
    assert newest_first(database) == ["1.10", "1.9"]


def test_the_model_that_something_came_of_last_stands_on_top(database: Database) -> None:
    register(database, "10", "9", model="a")
    register(database, "2", "1", model="b")
    register(database, "8", model="a")
    assert column(database, "versions", "id") == ["a@10", "a@9", "a@8", "b@2", "b@1"]
    assert column(database, "versions", "id", filter="rank=1") == ["a@10", "b@2"]


def test_a_version_stands_where_it_is_located(database: Database) -> None:
    register(database, *map(str, range(1, 12)), model="a")
    register(database, "v1", "1", "01", model="b")
    for sort in ("", "version:desc", "name", "artifact", "created"):
        ids = column(database, "versions", "id", sort=sort)
        assert len(ids) == 14
        for place, row_id in enumerate(ids):
            params = ListParams("versions", sort=sort)
            located = database.reader.read(lambda c, params=params, row_id=row_id: ALL.locate(c, params, row_id))
            assert located.offset == place, (sort, row_id)


def test_as_of_a_moment_the_newest_is_that_of_then(database: Database) -> None:
    register(database, "9")
    before = datetime.now(UTC)
    register(database, "10")
    assert column(database, "models", "newest", at=before.timestamp()) == ["9"]
    assert column(database, "versions", "rank", at=before.timestamp()) == [1]


def test_data_sets_recorded_at_one_moment_go_by_their_numbers(database: Database) -> None:
    def change(tx: Any) -> None:
        for number in range(1, 12):
            arrival = DatasetArrival("d", f"sha256:{number:064}", "csv", 1, 1, [], "", "me", datetime.now(UTC))
            datasets.register(tx, arrival, ACTOR)

    database.writer.change(change)
    assert column(database, "datasets", "version") == list(range(11, 0, -1))
    assert column(database, "datasets", "id", sort="id")[-2:] == ["d@10", "d@11"]


def test_ten_thousand_versions_are_listed_without_a_wait(database: Database) -> None:
    def change(tx: Any) -> None:
        tx.execute(
            "INSERT INTO model_version BY NAME SELECT 1000 + i AS sequence, 'm' || (i % 50) AS model,"
            " '1.' || i AS version, 'sha256:x' AS digest, 'opaque' AS flavour, 'binary' AS task, '' AS run,"
            " '' AS flagged, '{}' AS manifest, '' AS reference_digest, '' AS source, '' AS \"owner\","
            " ?::TIMESTAMP AS effective_at, ?::TIMESTAMP AS recorded_at FROM range(10000) AS t(i)",
            [datetime(2026, 1, 1), datetime(2026, 1, 1)],  # noqa: DTZ001
        )

    database.writer.change(change)
    start = datetime.now(UTC)
    assert column(database, "versions", "id", limit=2) == ["m49@1.9999", "m49@1.9949"]
    assert datetime.now(UTC) - start < timedelta(seconds=2)
