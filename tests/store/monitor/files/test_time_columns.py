"""What a column of times shows and what is declared of it: how it is then read, and what is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import duckdb
import pytest

from store.catalog.manifest import ColumnFormat, parse
from store.monitor.files.times import TimeForm, column_times, time_sql
from store.monitor.notes import Note
from store.protocol import ExitCode, Refusal

Look = Callable[..., tuple[TimeForm, list[Note], list[str | None]]]


@pytest.fixture
def look() -> Iterator[Look]:
    """(the form, the notes, the times as ISO text) of a column of `values`."""
    with duckdb.connect(config={"threads": 1}) as connection:

        def made(values: list[object], kind: str = "VARCHAR", declared: ColumnFormat | None = None) -> object:
            connection.execute(f"CREATE OR REPLACE TABLE t AS SELECT unnest(?::{kind}[]) AS when", [values])
            form, notes = column_times(connection, "t", "when", kind, declared)
            rows = connection.execute(f"SELECT {time_sql('when', kind, form)} FROM t").fetchall()
            times = [None if us is None else datetime.fromtimestamp(us / 1e6, UTC).isoformat()[:16] for (us,) in rows]
            return form, notes, times

        yield made  # type: ignore[misc]


@pytest.mark.parametrize("kind", ["TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS", "TIMESTAMP_MS", "DATE"])
def test_typed_times_ask_for_no_connection(kind: str) -> None:
    def connect() -> duckdb.DuckDBPyConnection:
        raise AssertionError("a connection was asked for")

    assert column_times(connect, "nowhere", "when", kind) == (TimeForm(), [])


class Counted:
    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self.queries = 0

    def execute(self, *query: object) -> duckdb.DuckDBPyConnection:
        self.queries += 1
        return self.connection.execute(*query)  # type: ignore[arg-type]


def test_plain_iso_text_asks_for_one_query_and_is_read_by_short_sql(look: Look) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE t AS SELECT '2026-11-17 10:00:0' || (i % 10) || 'Z' AS when FROM range(50) r(i)"
        )
        counted = Counted(connection)
        form, notes = column_times(counted, "t", "when", "VARCHAR")  # type: ignore[arg-type]
    assert (form, notes, counted.queries) == (TimeForm(only="iso"), [], 1)
    assert len(time_sql("when", "VARCHAR", form)) < 1_000


def test_absent_values_are_nothing_to_speak_of(look: Look) -> None:
    assert look(["2026-11-17", None, "", "  "])[1:] == ([], ["2026-11-17T00:00", None, None, None])
    assert look([1794909600.0, None, float("nan")], "DOUBLE")[1:] == ([], ["2026-11-17T10:00", None, None])


def test_what_cannot_be_read_is_counted_by_reason_with_examples(look: Look) -> None:
    values = ["2026-11-17 10:00", "soon", "soon", "later", "2026-11-17 10:00 CST", "3/11/2026", "4/5/2026", None]
    form, notes, times = look(values)
    assert form.day_first is None
    assert [(note.code, note.rows, note.column, note.examples) for note in notes] == [
        ("time_ambiguous_day", 2, "when", ("3/11/2026", "4/5/2026")),
        ("time_unreadable", 3, "when", ("later", "soon")),
        ("time_zone_unknown", 1, "when", ("2026-11-17 10:00 CST",)),
    ]
    assert times == ["2026-11-17T10:00", *[None] * 7]
    assert notes[1].describe() == "3 rows have a value in 'when' that cannot be read as a time ('later', 'soon')"


def test_at_most_three_examples_are_given_and_long_ones_are_cut(look: Look) -> None:
    _, (note,), _ = look([*(f"word {i}" for i in range(100)), "x" * 500])
    assert note.rows == 101
    assert len(note.examples) == 3
    assert max(map(len, note.examples)) <= 60


def test_one_clear_date_decides_the_column_and_it_is_said(look: Look) -> None:
    form, notes, times = look(["3/11/2026", "17/11/2026 10:00"])
    assert (form.day_first, times) == (True, ["2026-11-03T00:00", "2026-11-17T10:00"])
    assert [note.describe() for note in notes] == ["times of 'when' are read day first ('17/11/2026 10:00')"]
    form, notes, times = look(["3/11/2026", "Tue, 11-17-2026 10:00"])
    assert (form.day_first, times) == (False, ["2026-03-11T00:00", "2026-11-17T10:00"])
    assert [note.code for note in notes] == ["time_month_first"]


def test_a_column_that_shows_both_keeps_what_is_clear(look: Look) -> None:
    form, notes, times = look(["17/11/2026", "11/17/2026", "3/11/2026", "5/5/2026"])
    assert form.day_first is None
    assert times == ["2026-11-17T00:00", "2026-11-17T00:00", None, "2026-05-05T00:00"]
    assert [(note.code, note.rows) for note in notes] == [("time_day_mixed", None), ("time_ambiguous_day", 1)]


@pytest.mark.parametrize(("kind", "convert"), [("BIGINT", int), ("DOUBLE", float), ("VARCHAR", str)])
def test_numbers_of_several_units_are_said(look: Look, kind: str, convert: Callable[[int], object]) -> None:
    values = [convert(value) for value in (1794909600, 1794909601, 1794909600000)]
    _, notes, times = look(values, kind)
    assert set(times) == {"2026-11-17T10:00"}
    assert [note.code for note in notes] == ["time_units_mixed"]
    assert "2 as seconds, 1 as milliseconds" in notes[0].text
    assert look(values[:2], kind)[1] == []


@pytest.mark.parametrize(("kind", "convert"), [("BIGINT", int), ("DOUBLE", float), ("VARCHAR", str)])
def test_small_numbers_that_may_be_no_epochs_are_said(look: Look, kind: str, convert: Callable[[int], object]) -> None:
    """46343 is 2026-11-17 to a spreadsheet."""
    _, notes, times = look([convert(46343)], kind)
    assert times == ["1970-01-01T12:52"]
    assert [note.code for note in notes] == ["time_early"]
    _, notes, times = look([convert(20261117)], kind)
    assert times == ["2026-11-17T00:00"]
    assert [note.code for note in notes] == ["time_compact"]


def test_floats_of_32_bits_say_how_coarse_they_are(look: Look) -> None:
    assert [note.code for note in look([1794909600], "FLOAT")[1]] == ["time_precision"]


def test_a_column_that_has_no_dates_is_said(look: Look) -> None:
    _, notes, times = look(["10:00:00"], "TIME")
    assert times == [None]
    assert [note.describe() for note in notes] == ["times of 'when' cannot be read: the column is TIME"]


def test_infinite_and_impossible_numbers_are_counted(look: Look) -> None:
    _, notes, _ = look([1794909600.0, float("inf"), 1e300, 20261345.0], "DOUBLE")
    assert [(note.code, note.rows) for note in notes if note.code == "time_unreadable"] == [("time_unreadable", 3)]


def test_a_declared_format_and_zone_count_alone(look: Look) -> None:
    declared = ColumnFormat("%d/%m/%Y %H:%M", "Europe/Berlin")
    _, notes, times = look(
        ["03/11/2026 10:00", "03/07/2026 10:00", "2026-11-17 10:00", "11/17/2026 10:00"], declared=declared
    )
    assert times == ["2026-11-03T09:00", "2026-07-03T08:00", None, None]
    assert [(note.code, note.rows) for note in notes] == [("time_not_as_declared", 2)]
    assert "'%d/%m/%Y %H:%M'" in notes[0].text


@pytest.mark.parametrize(
    ("format", "value", "expected"),
    [
        ("%d.%m.%y", "17.11.26", "2026-11-17T00:00"),
        ("%d/%m/%Y %H:%M %z", "17/11/2026 10:00 +0530", "2026-11-17T04:30"),
        ("%d/%m/%Y %H:%M %Z", "17/11/2026 10:00 EST", "2026-11-17T15:00"),
        ("%d/%m/%Y %H:%M %Z", "17/11/2026 10:00 America/New_York", "2026-11-17T15:00"),
        ("%d/%m/%Y %H:%M %Z", "17/11/2026 10:00 BST", None),
        ("%Y%j", "2026321", "2026-11-17T00:00"),
        ("ms", "17949096", "1970-01-01T04:59"),
        ("ns", "1794909600000000000", "2026-11-17T10:00"),
        ("us", "1794909600000000.0", "2026-11-17T10:00"),
    ],
)
def test_a_declared_format_reads(look: Look, format: str, value: str, expected: str | None) -> None:
    _, notes, times = look([value], declared=ColumnFormat(format))
    assert times == [expected]
    assert len(notes) == (expected is None)


@pytest.mark.parametrize("kind", ["BIGINT", "DOUBLE"])
def test_a_declared_format_reads_the_digits_of_numbers(look: Look, kind: str) -> None:
    assert look([26111710], kind, ColumnFormat("%y%m%d%H"))[1:] == ([], ["2026-11-17T10:00"])
    assert look([20774 * 86_400_000], kind, ColumnFormat("ms"))[1:] == ([], ["2026-11-17T00:00"])


@pytest.mark.parametrize("kind", ["TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP_MS", "DATE"])
def test_a_declared_zone_counts_for_typed_times_without_one(look: Look, kind: str) -> None:
    declared = ColumnFormat(zone="Asia/Tokyo")
    assert look(["2026-11-17 00:00:00"], kind, declared)[1:] == ([], ["2026-11-16T15:00"])
    assert look(["2026-11-17 00:00:00+00"], "TIMESTAMPTZ", declared)[1:] == ([], ["2026-11-17T00:00"])


# --- model.json --------------------------------------------------------------------------------------------


def test_formats_are_declared_by_column() -> None:
    document = b'{"formats": {"scheduled_at": {"time": "%d/%m/%Y %H:%M", "zone": "Europe/Berlin"}}}'
    assert parse(document, "m", "1").formats == {"scheduled_at": ColumnFormat("%d/%m/%Y %H:%M", "Europe/Berlin")}
    assert parse(b"{}", "m", "1").formats == {}


@pytest.mark.parametrize(
    ("declared", "key", "found", "expected"),
    [
        ('{"zone": "Europe/Berln"}', "formats.when", "Europe/Berln", "time zone"),
        ('{"zone": "CST"}', "formats.when", "CST", "time zone"),
        ('{"time": "%H:%M"}', "formats.when", "%H:%M", "a day, a month and a year"),
        ('{"time": "%d/%m/%Y %Q"}', "formats.when", "%Q", "strptime"),
        ('{"time": "%Z %d/%m/%Y"}', "formats.when", "%Z", "only at its end"),
        ('{"time": "dd/MM/yyyy"}', "formats.when", "dd/MM/yyyy", "strptime"),
        ('{"tine": "%d/%m/%Y"}', "formats.when", "tine", "time, zone"),
        ('{"time": 3}', "formats.when.time", "int", "str"),
    ],
)
def test_what_is_no_format_is_refused_with_the_column(declared: str, key: str, found: str, expected: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse(f'{{"formats": {{"when": {declared}}}}}'.encode(), "m", "1")
    assert refused.value.code == ExitCode.USAGE
    assert refused.value.message.startswith(f"model.json: `{key}`: ")
    assert found in refused.value.message
    assert expected in refused.value.message
    assert refused.value.detail is not None
    assert refused.value.detail["key"] == key
