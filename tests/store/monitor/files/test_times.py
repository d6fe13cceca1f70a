"""A time is the same instant however it is written: against Python's datetime and zoneinfo, and pandas."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.monitor import direct
from store.monitor.files.times import TimeForm, column_times, is_time_text, time_sql

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
TEN = datetime(2026, 11, 17, 10, tzinfo=UTC)


@functools.cache
def duck() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1, "enable_external_file_cache": False})


def read(texts: list[str], form: TimeForm | None = None) -> list[int | None]:
    # Columns of the names that an expression might use for itself.
    values = "(SELECT unnest(?::VARCHAR[]) AS when, 1 AS z, 2 AS p)"
    rows = duck().execute(f"SELECT {time_sql('when', 'VARCHAR', form)} FROM {values}", [texts]).fetchall()
    return [row[0] for row in rows]


def us(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-17T10:00:00Z", TEN),
        ("2026-11-17t10:00:00z", TEN),
        ("2026-11-17 10:00", TEN),
        ("2026-11-17T10", TEN),
        (" 2026-11-17  10:00:00 ", TEN),
        ("2026-11-17", TEN - timedelta(hours=10)),
        ("2026-11-17 24:00", TEN + timedelta(hours=14)),
        ("2026-11-17 10:00:00 -0500", TEN + timedelta(hours=5)),
        ("2026-11-17 10:00:00-05", TEN + timedelta(hours=5)),
        ("2026-11-17T10:00:00+05:30", TEN - timedelta(hours=5, minutes=30)),
        ("2026-11-17T10:00:00-00:30", TEN + timedelta(minutes=30)),
        ("2026-11-17T10:00:00.000+0000", TEN),
        ("2026-11-17 10:00:00 +00:00", TEN),
        ("2026-11-17 10:00:00.0000000 +01:00", TEN - timedelta(hours=1)),  # SQL Server
        ("2026-11-17 10:00:00 +0100 CET", TEN - timedelta(hours=1)),  # Go
        ("2026-11-17+01:00", TEN - timedelta(hours=11)),  # XML Schema
        ("2026-11-17 10:00:00 UTC", TEN),
        ("2026-11-17 10:00 GMT", TEN),
        ("2026-11-17 10:00 UTC+2", TEN - timedelta(hours=2)),
        ("2026-11-17 10:00 GMT-0330", TEN + timedelta(hours=3, minutes=30)),
        ("2026-11-17 10:00 Etc/GMT+5", TEN + timedelta(hours=5)),  # POSIX counts westwards
        ("2026-11-17 10:00:00 America/New_York", TEN + timedelta(hours=5)),
        ("2026-07-17 10:00:00 america/new_york", datetime(2026, 7, 17, 14, tzinfo=UTC)),
        ("2026-11-17T10:00:00[Europe/Berlin]", TEN - timedelta(hours=1)),
        ("2026-11-17T10:00:00-05:00[America/New_York]", TEN + timedelta(hours=5)),  # Java
        ("2026-11-17T10:00:00Z[UTC]", TEN),
        ("2026-11-17 10:00 EST", TEN + timedelta(hours=5)),
        ("2026-07-17 10:00 CET", datetime(2026, 7, 17, 9, tzinfo=UTC)),
        ("2026-07-17 10:00 CEST", datetime(2026, 7, 17, 8, tzinfo=UTC)),
        ("2026-11-17 10:00 ACDT", TEN - timedelta(hours=10, minutes=30)),
        ("2026-11-17 10:00:00 PM", TEN + timedelta(hours=12)),
        ("2026-11-17 10:00:00 PM EST", TEN + timedelta(hours=17)),
        ("2026-11-17 12:30 am", TEN - timedelta(hours=9, minutes=30)),
        ("2026-11-17 12:30pm", TEN + timedelta(hours=2, minutes=30)),
        ("2026-11-17 10 a.m.", TEN),
        ("2026/11/17 10:00:00", TEN),
        ("2026.11.17 10:00", TEN),
        ("2026-7-1 9:05", datetime(2026, 7, 1, 9, 5, tzinfo=UTC)),
        ("2026-11-17_10:00:00", TEN),
        ("20261117T100000", TEN),
        ("20261117T100000Z", TEN),
        ("20261117T1000+0100", TEN - timedelta(hours=1)),
        ("20261117 10:00", TEN),
        ("20261117T100000.123456Z", TEN + 123456 * MICROSECOND),
        ("2026-11-17T10:00:00.123456789", TEN + 123456 * MICROSECOND),
        ("2026-11-17T10:00:00,5Z", TEN + timedelta(seconds=0.5)),
        ("17/11/2026 10:00", TEN),
        ("11/17/2026 10:00:00 AM", TEN),
        ("11/17/2026, 10:00:00\u202fAM", TEN),  # JavaScript, en-US
        ("17-11-2026T10:00:00+01:00", TEN - timedelta(hours=1)),
        ("03.11.2026 10:00", datetime(2026, 11, 3, 10, tzinfo=UTC)),
        ("11/11/2026", datetime(2026, 11, 11, tzinfo=UTC)),
        ("Tue, 17 Nov 2026 10:00:00 +0000", TEN),
        ("Tue, 17 Nov 2026 10:00:00 GMT", TEN),
        ("17 Nov 2026 10:00", TEN),
        ("17 November 2026", TEN - timedelta(hours=10)),
        ("17-NOV-2026 10:00:00", TEN),
        ("17NOV2026:10:00:00", TEN),  # SAS
        ("17/Nov/2026:10:00:00 +0100", TEN - timedelta(hours=1)),  # web servers
        ("Nov 17, 2026 10:00 AM", TEN),
        ("November 17, 2026 at 10:00 AM", TEN),
        ("Sept 3, 2026", datetime(2026, 9, 3, tzinfo=UTC)),
        ("Tue Nov 17 10:00:00 2026", TEN),  # ctime
        ("Tue Nov 17 10:00:00 EST 2026", TEN + timedelta(hours=5)),  # date, Java
        ("Tue Nov 17 10:00:00 2026 -0500", TEN + timedelta(hours=5)),  # git
        ("Tue Nov 17 2026 10:00:00 GMT+0100 (Central European Standard Time)", TEN - timedelta(hours=1)),
        ("20261117", TEN - timedelta(hours=10)),
        ("20261117.0", TEN - timedelta(hours=10)),
        ("202611171000", TEN),
        ("20261117100000", TEN),
        ("20261117100000250", TEN + timedelta(milliseconds=250)),
        ("1794909600", TEN),
        ("1794909600.25", TEN + timedelta(seconds=0.25)),
        ("1.7949096e9", TEN),
        ("1794909600000", TEN),
        ("1794909600000001", TEN + MICROSECOND),
        ("1794909600000001999", TEN + MICROSECOND),
        ("-1", EPOCH - timedelta(seconds=1)),
    ],
)
def test_a_text_is_the_instant_that_it_names(text: str, moment: datetime) -> None:
    assert read([text]) == [us(moment)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "10:00",
        "2026-11",
        "2026-02-29",
        "2026-13-01",
        "20261345",
        "2026-11-17 25:00",
        "2026-11-17 24:01",
        "2026-11-17 10:60",
        "2026-11-17 23:59:60",
        "2026-11-17 13:00 PM",
        "2026-11-17 0:30 AM",
        "2026-11-17 10:00 CST",
        "2026-11-17 10:00 IST",
        "2026-11-17 10:00 BST",
        "2026-11-17 10:00 Mars/Olympus",
        "2026-11-17 10:00 garbage",
        "2026-11-17 10:00:00 +1",
        "2026-11-17 10:00:00 +16:00",
        "2026-11-17 10:00:00 +05:60",
        "2026-11-17-05",
        "2026-11/17",
        "11.17.2026",
        "3/11/2026",
        "03-11-2026 10:00",
        "17/11/26",
        "2026-W47-2",
        "nan",
        "inf",
        "1e400",
        "99999999999999999999",
    ],
)
def test_what_is_no_time_or_not_surely_one_is_not_read(text: str) -> None:
    assert read([text]) == [None]


@pytest.mark.parametrize("day_first", [True, False])
def test_a_column_that_shows_it_says_what_is_day_and_what_month(day_first: bool) -> None:
    month, day = (11, 3) if day_first else (3, 11)
    expected = us(datetime(2026, month, day, tzinfo=UTC))
    form = TimeForm(day_first=day_first)
    assert read(["03/11/2026", "3-11-2026"], form) == [expected, expected]
    assert read(["03.11.2026"], form) == [us(datetime(2026, 11, 3, tzinfo=UTC))]
    assert read(["17/11/2026" if not day_first else "11/17/2026"], form) == [None]


def test_a_declared_zone_is_that_of_times_without_one() -> None:
    form = TimeForm(zone="Europe/Berlin")
    local = datetime(2026, 7, 1, 10, tzinfo=ZoneInfo("Europe/Berlin"))
    texts = ["2026-07-01 10:00:00", "1 Jul 2026 10:00", "20260701100000", "2026-07-01T10:00Z", "1782900000"]
    assert read(texts, form) == [us(local)] * 3 + [us(local) + 2 * 3_600_000_000, 1782900000 * 1_000_000]


def test_a_gap_is_read_by_the_offset_before_it_and_a_fold_by_the_one_after_it() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    gap = datetime(2026, 3, 29, 2, 30, tzinfo=berlin, fold=0)
    fold = datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=1)
    texts = ["2026-03-29 02:30:00 Europe/Berlin", "2026-10-25 02:30:00 Europe/Berlin"]
    assert read(texts) == [us(gap.astimezone(UTC)), us(fold.astimezone(UTC))]
    assert read([text[:19] for text in texts], TimeForm(zone="Europe/Berlin")) == read(texts)


# --- Any instant, in each form -----------------------------------------------------------------------------

ZONES = ["America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Sydney", "Asia/Kathmandu"]
#: Where Python's and ICU's zone tables agree, and numbers are told apart by their size.
INSTANTS = st.integers(315_532_800_000_000, 2_114_294_400_000_000).map(lambda value: EPOCH + value * MICROSECOND)


def _offset(moment: datetime, form: str) -> str:
    zone = ZoneInfo("Asia/Kathmandu" if moment.microsecond % 2 else "America/New_York")
    return moment.astimezone(zone).strftime(form)


WRITERS: dict[str, tuple[Callable[[datetime], str], timedelta]] = {
    "iso": (datetime.isoformat, MICROSECOND),
    "iso-blank": (lambda t: t.isoformat(sep=" "), MICROSECOND),
    "iso-z": (lambda t: t.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), MICROSECOND),
    "iso-comma": (lambda t: t.strftime("%Y-%m-%d %H:%M:%S,%f"), MICROSECOND),
    "iso-nine-places": (lambda t: t.strftime("%Y-%m-%d %H:%M:%S.%f999"), MICROSECOND),
    "iso-offset": (lambda t: _offset(t, "%Y-%m-%dT%H:%M:%S.%f%z"), MICROSECOND),
    "iso-blank-offset": (lambda t: _offset(t, "%Y-%m-%d %H:%M:%S.%f %z"), MICROSECOND),
    "iso-half-day": (lambda t: t.strftime("%Y-%m-%d %I:%M:%S %p"), timedelta(seconds=1)),
    "iso-minutes": (lambda t: t.strftime("%Y-%m-%d %H:%M"), timedelta(minutes=1)),
    "date": (lambda t: t.strftime("%Y-%m-%d"), timedelta(days=1)),
    "slashes": (lambda t: t.strftime("%Y/%m/%d %H:%M:%S"), timedelta(seconds=1)),
    "compact": (lambda t: t.strftime("%Y%m%dT%H%M%S.%fZ"), MICROSECOND),
    "compact-digits": (lambda t: t.strftime("%Y%m%d%H%M%S"), timedelta(seconds=1)),
    "compact-minutes": (lambda t: t.strftime("%Y%m%d%H%M"), timedelta(minutes=1)),
    "compact-date": (lambda t: t.strftime("%Y%m%d"), timedelta(days=1)),
    "dots": (lambda t: t.strftime("%d.%m.%Y %H:%M:%S"), timedelta(seconds=1)),
    "mail": (format_datetime, timedelta(seconds=1)),
    "month-name": (lambda t: t.strftime("%d %b %Y %H:%M:%S"), timedelta(seconds=1)),
    "month-name-first": (lambda t: t.strftime("%B %d, %Y %I:%M %p"), timedelta(minutes=1)),
    "ctime": (lambda t: t.strftime("%a %b %d %H:%M:%S %Y"), timedelta(seconds=1)),
    "sas": (lambda t: t.strftime("%d%b%Y:%H:%M:%S").upper(), timedelta(seconds=1)),
    "log": (lambda t: _offset(t, "%d/%b/%Y:%H:%M:%S %z"), timedelta(seconds=1)),
    "seconds": (lambda t: str(us(t) // 10**6), timedelta(seconds=1)),
    "seconds-fraction": (lambda t: f"{us(t) // 10**6}.{us(t) % 10**6:06}", MICROSECOND),
    "milliseconds": (lambda t: str(us(t) // 1000), timedelta(milliseconds=1)),
    "milliseconds-fraction": (lambda t: f"{us(t) // 1000}.{us(t) % 1000:03}", MICROSECOND),
    "microseconds": (lambda t: str(us(t)), MICROSECOND),
    "nanoseconds": (lambda t: str(us(t) * 1000 + 999), MICROSECOND),
}


@pytest.mark.parametrize("form", WRITERS)
@given(moments=st.lists(INSTANTS, min_size=1, max_size=40))
@settings(max_examples=10, deadline=None)
def test_any_instant_is_read_back_to_the_precision_of_its_form(form: str, moments: list[datetime]) -> None:
    write, precision = WRITERS[form]
    texts = [write(moment) for moment in moments]
    step = precision // MICROSECOND
    expected = [us(moment) // step * step for moment in moments]
    assert read(texts) == expected
    # What is of digits alone is a number before it is a time.
    digits = [text.replace(".", "").isdigit() for text in texts]
    assert [is_time_text(text) for text in texts] == [not one for one in digits]


@pytest.mark.parametrize("zone", ZONES)
@given(moments=st.lists(INSTANTS, min_size=1, max_size=40))
@settings(max_examples=10, deadline=None)
def test_any_instant_is_read_back_from_a_clock_and_its_zone(zone: str, moments: list[datetime]) -> None:
    clocks = [moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for moment in moments]
    # Of a time that comes twice, the second.
    expected = [us(clock.replace(tzinfo=ZoneInfo(zone), fold=1).astimezone(UTC)) for clock in clocks]
    assert read([f"{clock.isoformat(sep=' ')} {zone}" for clock in clocks]) == expected
    assert read([clock.isoformat() for clock in clocks], TimeForm(zone=zone)) == expected
    assert read([clock.strftime("%d.%m.%Y %H:%M:%S.%f") for clock in clocks], TimeForm(zone=zone)) == expected


@pytest.mark.parametrize("slash", ["/", "-"])
@pytest.mark.parametrize("day_first", [True, False])
@given(moments=st.lists(INSTANTS, min_size=1, max_size=40))
@settings(max_examples=10, deadline=None)
def test_a_column_is_read_as_its_clearest_dates_show(slash: str, day_first: bool, moments: list[datetime]) -> None:
    pattern = slash.join(["%d", "%m", "%Y"] if day_first else ["%m", "%d", "%Y"]) + " %H:%M"
    connection = duck()
    connection.execute(
        "CREATE OR REPLACE TABLE t AS SELECT unnest(?::VARCHAR[]) AS when", [[t.strftime(pattern) for t in moments]]
    )
    form, notes = column_times(connection, "t", "when", "VARCHAR")
    found = [row[0] for row in connection.execute(f"SELECT {time_sql('when', 'VARCHAR', form)} FROM t").fetchall()]
    shown = any(moment.day > 12 for moment in moments)
    minute = 60 * 10**6
    expected = [us(t) // minute * minute if shown or t.day == t.month else None for t in moments]
    assert found == expected
    assert form.day_first is (day_first if shown else None)
    ambiguous = sum(note.rows or 0 for note in notes if note.code == "time_ambiguous_day")
    assert ambiguous == expected.count(None)


# --- Typed columns -----------------------------------------------------------------------------------------

NANOSECONDS = st.integers(us(datetime(1901, 1, 1, tzinfo=UTC)) * 1000, us(datetime(2200, 1, 1, tzinfo=UTC)) * 1000)


@pytest.mark.parametrize("int96", [False, True])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York", "+05:30"])
@pytest.mark.parametrize(("unit", "nanoseconds"), [("s", 10**9), ("ms", 10**6), ("us", 1000), ("ns", 1)])
@given(values=st.lists(st.one_of(st.none(), NANOSECONDS), min_size=1, max_size=20))
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_parquet_timestamps_are_the_same_by_query_and_by_arrow(
    tmp_path: Path, unit: str, nanoseconds: int, zone: str | None, int96: bool, values: list[int | None]
) -> None:
    whole = [None if value is None else value // nanoseconds for value in values]
    path = tmp_path / "t.parquet"
    table = pa.table({"when": pa.array(whole, pa.timestamp(unit, zone))})
    parquet.write_table(table, path, use_deprecated_int96_timestamps=int96)
    expected = [None if value is None else value * nanoseconds // 1000 for value in whole]
    assert queried(path) == expected
    small = direct.open_small(path)
    assert small is not None
    assert direct._microseconds(small.table.column("when").combine_chunks()).to_pylist() == expected


def queried(path: Path, form: TimeForm | None = None) -> list[int | None]:
    relation = f"read_parquet('{path}')"
    kind = str(duck().execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()[0][1])
    return [row[0] for row in duck().execute(f"SELECT {time_sql('when', kind, form)} FROM {relation}").fetchall()]


def test_times_of_pandas_are_what_pandas_says(tmp_path: Path) -> None:
    for unit in ("s", "ms", "us", "ns"):
        for zone in (None, "UTC", "Europe/Berlin"):
            times = pd.date_range("2024-10-26 22:00", periods=60, freq="37min", tz=zone).as_unit(unit)
            pd.DataFrame({"when": times}).to_parquet(tmp_path / "t.parquet")
            utc = times.tz_localize("UTC") if zone is None else times.tz_convert("UTC")
            assert queried(tmp_path / "t.parquet") == utc.as_unit("us").asi8.tolist()


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64()])
def test_dates_begin_at_midnight_of_their_zone(tmp_path: Path, kind: pa.DataType) -> None:
    day = datetime(2026, 7, 1, tzinfo=UTC)
    parquet.write_table(pa.table({"when": pa.array([day.date(), None], kind)}), tmp_path / "t.parquet")
    assert queried(tmp_path / "t.parquet") == [us(day), None]
    assert queried(tmp_path / "t.parquet", TimeForm(zone="Asia/Tokyo")) == [us(day) - 9 * 3_600_000_000, None]


def test_a_year_that_nanoseconds_cannot_hold_is_not_another_year(tmp_path: Path) -> None:
    """Spark writes INT96; Arrow's nanoseconds end in 2262."""
    path = tmp_path / "t.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT TIMESTAMP '2500-01-01' AS when) TO '{path}' (FORMAT PARQUET)")
    parquet.write_table(parquet.read_table(path), path, use_deprecated_int96_timestamps=True)
    expected = [us(datetime(2500, 1, 1, tzinfo=UTC))]
    assert queried(path) == expected
    small = direct.open_small(path)
    assert small is not None
    assert direct._microseconds(small.table.column("when").combine_chunks()).to_pylist() == expected


def test_a_declared_zone_keeps_naive_timestamps_from_the_reader_that_knows_no_zones() -> None:
    naive = pa.array([0], pa.timestamp("us"))
    assert direct._microseconds(naive, "Europe/Berlin") is None
    assert direct._microseconds(naive.cast(pa.timestamp("us", "UTC")), "Europe/Berlin").to_pylist() == [0]


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("BIGINT", 1794909600, us(TEN)),
        ("INTEGER", 1794909600, us(TEN)),
        ("UINTEGER", 1794909600, us(TEN)),
        ("UBIGINT", 1794909600000001, us(TEN) + 1),
        ("UBIGINT", 2**64 - 1, None),
        ("HUGEINT", 1794909600000, us(TEN)),
        ("BIGINT", 1794909600000001999, us(TEN) + 1),
        ("BIGINT", -(2**63), -9223372036854776),
        ("BIGINT", 20261117, us(TEN) - 10 * 3_600_000_000),
        ("INTEGER", 20261345, None),
        ("DOUBLE", 1794909600.123456, us(TEN) + 123456),
        ("DOUBLE", 1794909600123.456, us(TEN) + 123456),
        ("DOUBLE", 20261117.0, us(TEN) - 10 * 3_600_000_000),
        ("DOUBLE", float("nan"), None),
        ("DOUBLE", float("inf"), None),
        ("DOUBLE", 1e300, None),
        ("DECIMAL(18,3)", 1794909600.125, us(TEN) + 125000),
        ("BOOLEAN", True, None),
        ("TIME", "10:00:00", None),
        ("DATE", "500000-01-01", None),
        ("TIMESTAMP", "infinity", None),
    ],
)
def test_a_number_is_a_time_by_its_size(kind: str, value: object, expected: int | None) -> None:
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT {time_sql('when', kind)} FROM (SELECT CAST(? AS {kind}) AS when)", [value]
        ).fetchall()
    assert found == [(expected,)]


@given(values=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=50))
@settings(max_examples=40, deadline=None)
def test_a_whole_number_is_the_same_as_digits_and_as_a_column(values: list[int]) -> None:
    rows = (
        duck()
        .execute(
            f"SELECT {time_sql('n', 'BIGINT')}, {time_sql('t', 'VARCHAR')}"
            " FROM (SELECT n, n::VARCHAR AS t FROM (SELECT unnest(?::BIGINT[]) AS n))",
            [values],
        )
        .fetchall()
    )
    assert [row[0] for row in rows] == [row[1] for row in rows]
    far = np.abs(np.array(values, dtype=object)) >= 10**17
    assert [row[0] for row, one in zip(rows, far, strict=True) if one] == [
        value // 1000 for value, one in zip(values, far, strict=True) if one
    ]


@pytest.mark.parametrize(
    "text",
    ["7", "20261117", "1794909600.5", "north", "", "3.14.2", "192.168.10.2026", "A-2026-11", "2026-11", "99/99/2026",
     "10:00", "2026-11-17 10:00 CST", "x" * 500, "1-2-3", "+49 30 2026"],
)  # fmt: skip
def test_what_is_a_number_or_a_word_is_no_written_time(text: str) -> None:
    assert not is_time_text(text)


@pytest.mark.parametrize("text", ["3/11/2026", "03-11-2026 10:00", "11/17/2026", "2026-11-17 10:00 EST"])
def test_a_date_is_a_written_time_whatever_its_day_is(text: str) -> None:
    assert is_time_text(text)
