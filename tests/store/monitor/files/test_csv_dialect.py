"""CSV files of every dialect and encoding read as pandas and the csv module read them, and say what was odd."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from store.monitor.files.csv_dialect import NO_DELIMITER, detect
from store.monitor.files.csv_table import CsvTable, open_csv
from store.monitor.files.null_words import NULL_WORDS
from store.protocol import Refusal

Row = tuple[str | None, ...]
_numbers = itertools.count()


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        yield made


class Shelf:
    """Files of given bytes, each with a name of its own."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
        self.connection = connection
        self.folder = folder

    def put(self, content: bytes | str) -> Path:
        path = self.folder / f"f{next(_numbers)}.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def read(self, content: bytes | str, **options: Any) -> tuple[CsvTable, list[Row]]:
        table = open_csv(self.connection, self.put(content), **options)
        rows = self.connection.execute(f"SELECT * FROM {table.relation}").fetchall()
        assert len(rows) == table.rows
        return table, rows

    def refused(self, content: bytes | str) -> Refusal:
        with pytest.raises(Refusal) as refused:
            self.read(content)
        return refused.value


@pytest.fixture
def shelf(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> Shelf:
    return Shelf(connection, tmp_path)


def codes(table: CsvTable) -> dict[str, Any]:
    return {note.code: note for note in table.notes}


# --- writers × dialects × encodings ----------------------------------------------------------------------

NAMES = ["Größe", "ort", "note", "n"]
ROWS: list[tuple[str, str | None, str, int | None]] = [
    (f"{1000 + i / 7:.3f}", ["Köln", "Zürich", None][i % 3], ["plain", "two\nlines", 'a "quote"', "a, b; c\td"][i % 4],
     None if i % 5 == 0 else i)
    for i in range(60)
]  # fmt: skip
RIGHT: list[Row] = [(a, b, c, None if d is None else str(d)) for a, b, c, d in ROWS]


def by_pandas(delimiter: str, end: str) -> str:
    frame = pd.DataFrame(ROWS, columns=NAMES).astype({"n": "Int64"})
    return str(frame.to_csv(index=False, sep=delimiter, lineterminator=end))


def by_csv_module(delimiter: str, end: str) -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(NAMES)
    writer.writerows(ROWS)
    return out.getvalue()


def by_r(delimiter: str, end: str) -> str:
    """`write.csv(row.names = FALSE)`: text and names in quotes, numbers and NA bare."""

    def field(value: object) -> str:
        return (
            "NA"
            if value is None
            else f'"{value.replace(chr(34), chr(34) * 2)}"'
            if isinstance(value, str)
            else f"{value}"
        )

    lines = [delimiter.join(f'"{name}"' for name in NAMES)]
    lines += [delimiter.join([row[0], *map(field, row[1:])]) for row in ROWS]
    return end.join(lines) + end


def by_excel(delimiter: str, end: str) -> str:
    """ "CSV (separated by …)": quotes only where they must be, and the line by which Excel finds the delimiter."""
    return f"sep={delimiter}{end}" + by_pandas(delimiter, end)


def by_psql(delimiter: str, end: str) -> str:
    """`COPY … TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE …, NULL '\\N')`."""
    return by_r(delimiter, end).replace(f"{delimiter}NA", f"{delimiter}\\N")


def by_mysql(delimiter: str, end: str) -> str:
    """`INTO OUTFILE … OPTIONALLY ENCLOSED BY '"'`: quotes are escaped by backslashes."""
    return by_psql(delimiter, end).replace('""', '\\"')


WRITERS: list[Callable[[str, str], str]] = [by_pandas, by_csv_module, by_r, by_excel, by_psql, by_mysql]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("writer", WRITERS)
def test_what_a_writer_wrote_is_read(
    shelf: Shelf, writer: Callable[[str, str], str], delimiter: str, encoding: str
) -> None:
    for end in ("\n", "\r\n"):
        table, rows = shelf.read(writer(delimiter, end).encode(encoding))
        assert table.columns == tuple(NAMES)
        assert rows == RIGHT
        assert table.dialect.delimiter == delimiter
        notes = {note.code: note for note in table.notes}
        expected = {"latin-1": "Windows-1252", "cp1252": "Windows-1252", "utf-16-le": "UTF-16-LE"}.get(encoding)
        if expected:
            assert expected in notes["encoding"].text
        elif encoding != "utf-16-be":
            assert "encoding" not in notes
        words = {note.column: (note.rows, note.examples) for note in table.notes if note.code == "null_words"}
        if writer in (by_r, by_psql, by_mysql):
            word = "NA" if writer is by_r else "\\N"
            assert words == {"ort": (20, (word,)), "n": (12, (word,))}
            assert table.dialect.quoted_text
        else:
            assert not words


def test_it_reads_what_pandas_reads(shelf: Shelf) -> None:
    text = by_pandas(",", "\n")
    _, rows = shelf.read(text)
    oracle = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, na_values=[""])
    assert rows == [tuple(None if pd.isna(value) else value for value in row) for row in oracle.to_numpy().tolist()]


def test_lines_may_end_in_carriage_returns_alone_or_in_either(shelf: Shelf) -> None:
    assert shelf.read(b'a,b\r1,2\r3,"x\ry"\r')[1] == [("1", "2"), ("3", "x\ry")]
    assert shelf.read(b"a,b\r\n1,2\n3,4\r\n5,6\n")[1] == [("1", "2"), ("3", "4"), ("5", "6")]


# --- any frame -------------------------------------------------------------------------------------------

LETTERS = "ab,;|\"'\\ äöüß.0-N\n"


@st.composite
def written(draw: st.DrawFn) -> tuple[bytes, tuple[str, ...], list[Row]]:
    """(a file, its names, its rows as text)."""
    names = draw(st.permutations(["a", "A", "b c", "d.e", "f[0]", "ü", "NA", "null"]))[: draw(st.integers(2, 5))]
    text = st.text(LETTERS, min_size=1, max_size=6)
    number = st.one_of(st.integers(-99, 99), st.floats(allow_nan=False, allow_infinity=False, width=32))
    kinds = [draw(st.sampled_from([text, number])) for _ in names]
    rows = [
        [None if draw(st.integers(0, 4)) == 0 else draw(kind) for kind in kinds] for _ in range(draw(st.integers(0, 7)))
    ]
    delimiter, end = draw(st.sampled_from(",;\t|")), draw(st.sampled_from(["\n", "\r\n"]))
    style = draw(st.sampled_from(["minimal", "all", "text"]))
    out = io.StringIO()
    quoting = {"minimal": csv.QUOTE_MINIMAL, "all": csv.QUOTE_ALL, "text": csv.QUOTE_NONE}[style]
    if style == "text":

        def field(value: object) -> str:
            if value is None:
                return ""
            return '"' + value.replace('"', '""') + '"' if isinstance(value, str) else str(value)

        for row in [names, *rows]:
            cells = [str(value) if row is names else field(value) for value in row]
            out.write(delimiter.join(cells) + end)
    else:
        writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting)
        writer.writerow(names)
        writer.writerows(rows)
        # The csv module itself must be able to tell.
        assume(style == "all" or not any(value in NULL_WORDS for row in rows for value in row))
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]))
    right = [tuple(None if value is None else str(value) for value in row) for row in rows]
    return out.getvalue().encode(encoding), tuple(names), right


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written())
@example((b'a;b c\r\n"\\";x\r\n"\\";"y"\r\n', ("a", "b c"), [("\\", "x"), ("\\", "y")]))
def test_any_frame_comes_back(shelf: Shelf, file: tuple[bytes, tuple[str, ...], list[Row]]) -> None:
    content, names, right = file
    table, rows = shelf.read(content)
    assert table.columns == names
    assert rows == right


# --- headers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("NA,null,None,x", ("NA", "null", "None", "x")),
        ("a,A,b c,d.e", ("a", "A", "b c", "d.e")),
        ('"x,y","[z]",(w),"v ""q"""', ("x,y", "[z]", "(w)", 'v "q"')),
        ("a,a,b,a", ("a", "a_1", "b", "a_2")),
        (",a,,b", ("column0", "a", "column2", "b")),
        ("a, b, c, d", ("a", "b", "c", "d")),
        ("a, b,c,d", ("a", " b", "c", "d")),
        ("\ufeffa,b,c,d", ("a", "b", "c", "d")),
        ('"a\nb",c,d,e', ("a\nb", "c", "d", "e")),
    ],
)
def test_columns_are_called_as_the_file_calls_them_and_each_keeps_its_values(
    shelf: Shelf, header: str, names: tuple[str, ...]
) -> None:
    table, rows = shelf.read(header + "\n1,2,3,4\n5,6,7,8\n")
    assert table.columns == names
    assert rows == [("1", "2", "3", "4"), ("5", "6", "7", "8")]


def test_names_that_repeat_or_lack_are_said(shelf: Shelf) -> None:
    table, _ = shelf.read(",a,a\n1,2,3\n")
    assert {(note.code, note.column) for note in table.notes} == {
        ("unnamed_column", "column0"),
        ("duplicate_column", "a_1"),
    }


def test_row_names_of_r_are_a_column_without_a_name(shelf: Shelf) -> None:
    table, rows = shelf.read('"a","b"\n"r1",1,2\n"r2",3,4\n')
    assert table.columns == ("column0", "a", "b")
    assert rows == [("r1", "1", "2"), ("r2", "3", "4")]
    assert "index_column" in codes(table)


@pytest.mark.parametrize("text", ["a,b,\n1,2,\n3,4,\n", "a,b\n1,2,\n3,4,\n", "a,b,\n1,2\n3,4\n"])
def test_a_delimiter_at_the_end_is_no_column(shelf: Shelf, text: str) -> None:
    table, rows = shelf.read(text)
    assert table.columns == ("a", "b")
    assert rows == [("1", "2"), ("3", "4")]


def test_a_column_without_a_name_but_with_values_stays(shelf: Shelf) -> None:
    assert shelf.read("a,b,\n1,2,\n3,4,5\n")[0].columns == ("a", "b", "column2")


def test_one_column(shelf: Shelf) -> None:
    table, rows = shelf.read("price\n3,14\n2,71\n")
    assert (table.columns, rows) == (("price",), [("3,14",), ("2,71",)])
    assert table.dialect.delimiter == NO_DELIMITER
    assert shelf.read("text\nhello; world\nfoo; bar\n")[1] == [("hello; world",), ("foo; bar",)]
    # The csv module and pandas have no other way to write a missing value here.
    assert shelf.read('a\n""\nx\n')[1] == [(None,), ("x",)]


def test_a_header_alone_has_no_rows(shelf: Shelf) -> None:
    for text in ("a;b\n", "a;b", "a;b\r\n\r\n"):
        table, rows = shelf.read(text)
        assert (table.columns, rows) == (("a", "b"), [])


def test_decimal_commas_do_not_pass_for_delimiters(shelf: Shelf) -> None:
    table, rows = shelf.read("x;y\n1,5;2,5\n3,5;4,5\n")
    assert (table.columns, rows) == (("x", "y"), [("1,5", "2,5"), ("3,5", "4,5")])
    assert shelf.read("x (a, b);y\n1,5;2\n3,5;4\n")[0].columns == ("x (a, b)", "y")


def test_a_header_of_numbers_is_said(shelf: Shelf) -> None:
    assert "header" in codes(shelf.read("5.1,3.5\n4.9,3.0\n")[0])


# --- null words ------------------------------------------------------------------------------------------


def test_a_quoted_null_word_is_a_value_and_a_bare_one_is_missing(shelf: Shelf) -> None:
    table, rows = shelf.read('k,x\n"NA",1\nNA,NA\n"None",NaN\n\\N,<NA>\n"",2\n,3\n')
    assert [row[0] for row in rows] == ["NA", None, "None", None, "", None]
    assert [row[1] for row in rows] == ["1", None, "NaN", None, "2", "3"]
    words = {note.column: (note.rows, set(note.examples)) for note in table.notes if note.code == "null_words"}
    assert words == {"k": (2, {"NA", "\\N"}), "x": (2, {"NA", "<NA>"})}
    assert (codes(table)["empty_text"].rows, codes(table)["empty_text"].column) == (1, "k")


def test_where_everything_is_quoted_an_empty_field_is_missing(shelf: Shelf) -> None:
    frame = pd.DataFrame({"a": ["x", None, "NA"], "b": [1.5, None, 2.5]})
    table, rows = shelf.read(frame.to_csv(index=False, quoting=csv.QUOTE_ALL))
    assert rows == [("x", "1.5"), (None, None), ("NA", "2.5")]
    assert {(note.code, note.column, note.rows) for note in table.notes} == {
        ("empty_is_null", "a", 1),
        ("empty_is_null", "b", 1),
    }


def test_null_words_are_a_parameter(shelf: Shelf) -> None:
    content = "k\nNA\nmissing\n"
    assert shelf.read(content, null_words=("", "missing"))[1] == [("NA",), (None,)]
    assert shelf.read("k,x\nNA,\n", null_words=())[1] == [("NA", None)]


# --- rows that do not fit --------------------------------------------------------------------------------


def test_a_row_with_a_field_more_is_left_out_and_one_with_a_field_less_is_filled_up(shelf: Shelf) -> None:
    lines = ["a,b,c", *(f"{i},x,{i}" for i in range(100))]
    lines[40] += ",surplus"
    lines[60] = "59,x"
    lines[70] += ",,"
    table, rows = shelf.read("\n".join(lines) + "\n")
    assert [row[0] for row in rows] == [str(i) for i in range(100) if i != 39]
    assert rows[58] == ("59", "x", None)
    left, short = codes(table)["left_out.fields"], codes(table)["short_rows"]
    assert (left.rows, left.examples) == (1, ("39,x,39,surplus",))
    assert "line 41" in left.text
    assert "has 4 fields, expected 3" in left.text
    assert (short.rows, short.examples) == (1, ("59,x",))
    assert "line 61" in short.text


def test_lines_are_counted_over_line_ends_in_quotes(shelf: Shelf) -> None:
    table, rows = shelf.read('a,b\n1,"x\ny\nz"\n\n2,w\n3,v,u\n4,t\n')
    assert rows == [("1", "x\ny\nz"), ("2", "w"), ("4", "t")]
    assert "line 7" in codes(table)["left_out.fields"].text


def test_a_file_most_of_whose_rows_do_not_fit_is_refused_with_the_line(shelf: Shelf) -> None:
    refusal = shelf.refused("a,b\n1,2\n3,4,5\n6,7,8\n9,1,2\n")
    assert "line 3: found 3 fields, expected 2 as the header has (a, b); 3 of 4 rows do not fit" in refusal.message
    assert "whole" not in refusal.hint
    assert refusal.detail["line"] == "3"


def test_a_quote_that_never_closes_is_refused_with_the_line_where_it_opens(shelf: Shelf) -> None:
    refusal = shelf.refused('a,b\n1,2\n3,4\n5,"6\n' + "7,8\n" * 50)
    assert "line 4: found a quote that is not closed before the end of the file" in refusal.message


def test_one_missing_quote_costs_one_row(shelf: Shelf) -> None:
    content = "a,b\n" + "".join(f'{i},"v{i}"\n' for i in range(50))
    table, rows = shelf.read(content.replace('"v20"', '"v20'))
    assert [row[0] for row in rows] == [str(i) for i in range(50) if i != 20]
    assert (codes(table)["left_out.quote"].rows, "line 22" in codes(table)["left_out.quote"].text) == (1, True)


def test_text_after_a_closing_quote_belongs_to_the_value_as_in_the_csv_module(shelf: Shelf) -> None:
    content = 'a,b\n1,"He said "x" to"\n2,y\n'
    table, rows = shelf.read(content)
    assert rows == [tuple(row) for row in list(csv.reader(io.StringIO(content)))[1:]]
    assert codes(table)["quotes"].rows == 1


def test_nul_bytes_are_dropped_and_said_and_a_binary_file_is_refused(shelf: Shelf) -> None:
    content = b"a,b\n" + b"1,2\n" * 500 + b"3,\x004\n" + b"\x00\n"
    table, rows = shelf.read(content)
    assert rows[-1] == ("3", "4")
    assert len(rows) == 501
    assert codes(table)["nul_bytes"].rows == 2
    refusal = shelf.refused(b"a,b\n" + bytes(range(32)) * 100)
    assert "expected text" in refusal.message
    assert "line 2" in refusal.message


def test_an_empty_file_is_refused(shelf: Shelf) -> None:
    for content in (b"", b"\n\n", b"\xef\xbb\xbf", b"sep=;\r\n"):
        assert "found nothing, expected a header" in shelf.refused(content).message


def test_a_record_that_is_too_long_is_refused_with_its_line(shelf: Shelf) -> None:
    assert "line 2: found a longer record" in shelf.refused("a,b\n" + "x" * 3_000_000 + ",1\n2,3\n").message


# --- encodings -------------------------------------------------------------------------------------------


def test_one_byte_at_the_end_decides_the_encoding(shelf: Shelf) -> None:
    content = b"ort,x\n" + b"Berlin,1\n" * 400_000 + "Köln,2\n".encode("latin-1")
    table, rows = shelf.read(content)
    assert rows[-1] == ("Köln", "2")
    assert table.dialect.encoding == "windows-1252"
    assert "line 400,002" in codes(table)["encoding"].text


def test_a_stray_byte_does_not_spoil_the_rest_of_a_utf8_file(shelf: Shelf) -> None:
    table, rows = shelf.read("ort\nZürich\nKöln\nMünchen\n".encode() + "Größe\n".encode("latin-1"))
    assert rows == [("Zürich",), ("Köln",), ("München",), ("Größe",)]
    assert "bytes that are not valid UTF-8" in codes(table)["encoding"].text


def test_letters_that_windows_lacks_do_not_stop_it(shelf: Shelf) -> None:
    assert shelf.read(b"k\n\x80\xfc\n\x81x\n")[1] == [("€ü",), ("\x81x",)]


def test_utf16_that_is_cut_short_is_refused_with_its_line(shelf: Shelf) -> None:
    content = "a;b\n1;2\n".encode("utf-16")[:-1]
    assert "not valid UTF-16" in shelf.refused(content).message


def test_a_chunk_may_end_within_a_letter(shelf: Shelf) -> None:
    content = "k\n" + "x" * ((1 << 20) - 3) + "ö\nü\n"
    assert content.encode()[(1 << 20) - 1 : (1 << 20) + 1] == "ö".encode()
    table, rows = shelf.read(content)
    assert [row[0][-1] for row in rows if row[0]] == ["ö", "ü"]
    assert not table.notes


# --- places ----------------------------------------------------------------------------------------------


def test_a_copy_goes_with_its_table(shelf: Shelf) -> None:
    table, _ = shelf.read("ö\n1\n".encode("utf-16"))
    assert table.scratch is not None
    folder = table.scratch.path
    assert folder.is_dir()
    del table
    assert not folder.exists()


def test_a_plain_file_is_not_copied(shelf: Shelf) -> None:
    assert shelf.read("a,b\n1,2\n")[0].scratch is None


def test_a_remote_file_is_read(connection: duckdb.DuckDBPyConnection) -> None:
    import fsspec

    place = f"memory://csv/{next(_numbers)}.csv"
    with fsspec.open(place, "wb") as file:
        file.write("Größe;x\n1;Köln\n".encode("latin-1"))
    table = open_csv(connection, Path(place.rpartition("/")[2]), place)
    assert table.columns == ("Größe", "x")
    assert connection.execute(f"SELECT * FROM {table.relation}").fetchall() == [("1", "Köln")]
    assert detect(place).delimiter == ";"
