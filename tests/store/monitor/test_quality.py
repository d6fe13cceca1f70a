"""Quality of what arrives: each check of each window, on files that have what is checked for."""

from __future__ import annotations

import pytest

from store.catalog.listing import Listings
from store.monitor.listings import listings
from store.monitor.quality import QualityRow, quality
from store.protocol import ListParams, SpanParams
from tests.store.monitor.conftest import DEPLOYMENT, Bench

REFERENCE = "SELECT i % 100 AS size, ['red', 'green'][i % 2 + 1] AS colour FROM range(5000) t(i)"
FEATURES = {"size": "numeric", "colour": "categorical"}


def day(number: int, rows: int = 1000, size: str = "i % 100", colour: str = "['red', 'green'][i % 2 + 1]") -> str:
    return (
        f"SELECT TIMESTAMP '2024-01-01' + INTERVAL ({number}) DAY + INTERVAL (i % 86400) SECOND AS timestamp,"
        f" '{number}-' || i AS prediction_id, {size} AS size, {colour} AS colour, 1 AS prediction"
        f" FROM range({rows}) t(i)"
    )


@pytest.fixture
def fed(bench: Bench) -> Bench:
    manifest = bench.register(features=FEATURES)
    bench.reference(manifest, bench.file(REFERENCE))
    return bench


def listed(bench: Bench, **params: object) -> list[QualityRow]:
    asked = SpanParams(DEPLOYMENT, "1d", **params)  # type: ignore[arg-type]
    return bench.database.reader.read(lambda c: list(quality(c, asked, bench.settings)))


def checks(bench: Bench, **params: object) -> dict[tuple[str, str, int], QualityRow]:
    """(feature, check, day) → row, of a version where there is one."""
    rows = sorted(listed(bench, **params), key=lambda row: row.version)
    first = 1_704_067_200
    return {(row.feature, row.check, (row.start - first) // 86_400): row for row in rows}


def test_clean_windows_fail_nothing(fed: Bench) -> None:
    for number in range(6):
        fed.predict(fed.file(with_version(day(number))))
    found = checks(fed)
    assert {key: row for key, row in found.items() if row.failed} == {}
    assert found["size", "null_share", 2].failed is False
    assert found["", "volume", 2].reference == 1000


def with_version(select: str) -> str:
    return f"SELECT *, '1' AS model_version FROM ({select})"


def test_nulls_beyond_the_references_fail_and_say_their_share(fed: Bench) -> None:
    fed.predict(fed.file(with_version(day(0, size="CASE WHEN i % 5 > 0 THEN i % 100 END"))))
    row = checks(fed)["size", "null_share", 0]
    assert (row.value, row.reference, row.rows, row.failed) == (pytest.approx(0.2), 0.0, 1000, True)


def test_text_where_numbers_were_expected_is_a_type_error(fed: Bench) -> None:
    fed.predict(fed.file(with_version(day(0, size="CASE WHEN i % 10 = 0 THEN 'n/a' ELSE (i % 100)::VARCHAR END"))))
    row = checks(fed)["size", "type_errors", 0]
    assert (row.value, row.failed) == (pytest.approx(0.1), True)


def test_values_and_categories_that_the_reference_lacks_are_out_of_range(fed: Bench) -> None:
    fed.predict(fed.file(with_version(day(0, size="i % 200 - 50", colour="['red', 'blue'][i % 2 + 1]"))))
    found = checks(fed)
    assert found["size", "out_of_range", 0].value == pytest.approx(0.5)
    assert found["colour", "out_of_range", 0].value == pytest.approx(0.5)
    assert found["size", "out_of_range", 0].failed and found["colour", "out_of_range", 0].failed


def test_rows_of_a_file_without_the_column_are_absent(fed: Bench) -> None:
    fed.predict(fed.file(with_version(day(0, rows=600))))
    fed.predict(fed.file(f"SELECT * EXCLUDE (size) FROM ({with_version(day(0, rows=1000))}) OFFSET 600"))
    row = checks(fed)["size", "absent", 0]
    assert (row.value, row.failed) == (pytest.approx(0.4), True)


def test_rows_without_any_usable_value_are_missing_whatever_the_reason(fed: Bench) -> None:
    odd = "CASE i % 10 WHEN 0 THEN 'n/a' WHEN 1 THEN NULL WHEN 2 THEN 'inf' ELSE (i % 100)::VARCHAR END"
    fed.predict(fed.file(with_version(day(0, rows=500, size=odd))))
    fed.predict(fed.file(f"SELECT * EXCLUDE (size) FROM ({with_version(day(0, rows=1000))}) OFFSET 500"))
    row = checks(fed)["size", "missing", 0]
    assert (row.value, row.rows, row.failed) == (pytest.approx(0.65), 1000, True)


def test_a_window_whose_files_lack_every_column_is_checked_too(fed: Bench) -> None:
    fed.predict(fed.file(f"SELECT * EXCLUDE (size, colour) FROM ({with_version(day(0))})"))
    found = checks(fed)
    assert (found["size", "absent", 0].value, found["colour", "missing", 0].failed) == (1.0, True)


def test_rows_that_came_before_there_was_a_reference_lack_nothing(bench: Bench) -> None:
    manifest = bench.register(features=FEATURES)
    bench.predict(bench.file(with_version(day(0, rows=600))))
    bench.reference(manifest, bench.file(REFERENCE))
    bench.predict(bench.file(f"SELECT * FROM ({with_version(day(0, rows=1000))}) OFFSET 600"))
    row = checks(bench)["size", "absent", 0]
    assert (row.value, row.rows, row.failed) == (0.0, 400, False)


def test_few_odd_rows_of_a_small_window_are_within_chance(fed: Bench) -> None:
    fed.predict(fed.file(with_version(day(0, rows=20, size="CASE WHEN i > 1 THEN i % 100 END"))))
    row = checks(fed)["size", "null_share", 0]
    assert row.value == pytest.approx(0.1)
    assert row.noise_floor is not None and row.noise_floor > 0.05
    assert row.failed is False


def test_repeated_ids_and_impossible_times_are_shares_of_the_files_rows(fed: Bench) -> None:
    twice = f"{with_version(day(0))} UNION ALL SELECT * FROM ({with_version(day(0))}) WHERE size < 25"
    fed.predict(fed.file(twice))
    fed.predict(fed.file(f"SELECT * REPLACE (NULL::TIMESTAMP AS timestamp) FROM ({with_version(day(1, rows=10))})"))
    late = f"SELECT * REPLACE (CASE WHEN size < 50 THEN timestamp END AS timestamp) FROM ({with_version(day(2))})"
    fed.predict(fed.file(late))
    found = checks(fed)
    assert found["", "duplicates", 0].value == pytest.approx(0.2)
    assert found["", "duplicates", 0].failed
    assert found["", "left_out", 2].value == pytest.approx(0.5)
    assert found["", "left_out", 2].failed
    assert found["", "duplicates", 2].failed is False


def test_a_window_of_half_the_usual_rows_fails_but_not_the_newest_which_has_not_ended(fed: Bench) -> None:
    for number in range(8):
        fed.predict(fed.file(with_version(day(number, rows=300 if number in (3, 7) else 1000))))
    found = checks(fed)
    assert [found["", "volume", number].failed for number in range(8)] == [False] * 3 + [True] + [False] * 3 + [None]
    assert found["", "volume", 7].why == "the window has not ended"


def test_staleness_is_the_age_of_the_newest_file_and_delay_that_of_the_first(fed: Bench) -> None:
    for number in range(2):
        fed.predict(fed.file(with_version(day(number))))
    found = checks(fed)
    assert ("", "staleness", 0) not in found
    value = found["", "staleness", 1].value
    assert value is not None and 0 <= value < 60
    delay = found["", "delay", 0].value
    assert delay is not None and delay > 86_400


def test_what_was_known_then_is_what_is_listed_of_then(fed: Bench) -> None:
    fed.predict(fed.file(with_version(day(0))))
    at = fed.rows("SELECT epoch(max(recorded_at)) FROM monitor_window")[0][0]
    fed.predict(fed.file(f"SELECT * REPLACE ('late-' || prediction_id AS prediction_id) FROM ({with_version(day(0))})"))
    assert checks(fed, at=at + 1e-6)["", "volume", 0].value == 1000
    assert checks(fed)["", "volume", 0].value == 2000


def test_the_listing_puts_what_fails_first_and_is_narrowed_by_feature_and_check(fed: Bench) -> None:
    fed.predict(fed.file(with_version(day(0, size="CASE WHEN i % 5 > 0 THEN i % 100 END"))))
    every = Listings(listings(fed.settings))

    def page(**params: object) -> list[dict[str, object]]:
        found = fed.database.reader.read(lambda c: every.page(c, ListParams("quality", **params)))  # type: ignore[arg-type]
        return [dict(zip([column.name for column in found.columns], row, strict=True)) for row in found.rows]

    first = page()[:2]
    assert {(row["feature"], row["check"], row["failed"]) for row in first} == {
        ("size", "missing", True),
        ("size", "null_share", True),
    }
    assert {row["check"] for row in page(scope={"check": "volume"})} == {"volume"}
    assert {row["feature"] for row in page(filter="feature=colour")} == {"colour"}
    for written in ("failed=true", "failed=yes", "failed:tr"):
        assert {row["check"] for row in page(filter=written)} == {"missing", "null_share"}
    assert all(row["failed"] is False for row in page(filter="failed=no"))
    assert len({row["id"] for row in page()}) == len(page())
