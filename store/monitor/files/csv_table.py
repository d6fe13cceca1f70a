"""A CSV file of any dialect and encoding as a relation of text, with all that was not read as it stands said."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb

from store.monitor import parts
from store.monitor.files import csv_encoding
from store.monitor.files.csv_dialect import Detected, Dialect, detect_from
from store.monitor.files.csv_encoding import Encoding, refusal
from store.monitor.files.csv_records import MAX_RECORD, Grammar, Repair, write_strictly
from store.monitor.files.null_words import NULL_WORDS
from store.monitor.files.quoting import literal, pattern
from store.monitor.files.scratch import Scratch
from store.monitor.notes import Note

_EXAMPLES = 5
#: Stands in no text: a list of null words must not be empty, or the reader takes empty fields for NULL.
_NO_WORD = "\x1e"
_FIX = "Correct that line, or quote the values that hold delimiters or line ends, and retry."


@dataclasses.dataclass(frozen=True)
class CsvTable:
    """What a CSV file holds, as text.

    `relation` stands behind FROM; its columns are `c0`, `c1` …, all VARCHAR, NULL where there is no value. `columns`
    are their names in the same order, which may differ in case only, so they are no identifiers of SQL. `rows` is
    their number. `scratch` owns the copy that the relation reads, if it reads one: keep it as long as the relation.
    """

    relation: str
    columns: tuple[str, ...]
    rows: int
    dialect: Dialect
    notes: tuple[Note, ...] = ()
    scratch: Scratch | None = None

    def identifier(self, place: int) -> str:
        return f"c{place}"


def open_csv(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    location: str = "",
    null_words: Sequence[str] = NULL_WORDS,
    name: str = "",
    categories: Mapping[str, frozenset[str]] | None = None,
) -> CsvTable:
    """Look at all of the file once for its encoding, and parse it once, so that reading the relation raises nothing.

    `location` is where it lies (a path or URL), if `path` is only its name; `name` is what messages call it (default:
    the path's name). Unquoted fields that are empty or one of `null_words` are NULL, but for null words that are
    `categories` of their column. A quoted null word is a value, and so is a quoted empty field, except where the writer
    has nothing else to say that there is no value: files in which every field is quoted, and files of one column. Rows
    with too few fields are filled up, rows with too many left out; both are in `notes`. Raises `Refusal` (usage) with
    file, line, what was found and what was expected.
    """
    location, name = location or str(path), name or path.name
    encoding = csv_encoding.examine(location, name)
    notes = encoding.notes
    scratch: Scratch | None = None
    if parts.is_remote(location) or not encoding.is_utf8:
        scratch = Scratch()
        copy = scratch.path / "utf8.csv"
        csv_encoding.copy_as_utf8(location, encoding, copy)
        original, location = encoding, str(copy)
        encoding = csv_encoding.examine(location, name)
    else:
        original = encoding
    detected = detect_from(location, encoding, name)
    dialect = dataclasses.replace(detected.dialect, encoding=original.name)
    reading = _Reading(connection, location, name, encoding, detected, tuple(null_words), categories or {})
    found = reading.run()
    if found.scratch is not None:
        scratch = found.scratch
    columns = tuple(dialect.header[place] for place in found.places)
    notes += tuple(note for note in detected.notes if not note.column or note.column in columns)
    return CsvTable(found.relation, columns, found.rows, dialect, notes + found.notes, scratch)


@dataclasses.dataclass(frozen=True)
class _Parsed:
    relation: str
    places: tuple[int, ...]
    """Which fields are columns."""
    rows: int
    notes: tuple[Note, ...]
    scratch: Scratch | None


@dataclasses.dataclass(frozen=True)
class _Census:
    """Of each field: how many values are no null word, and how many of these are empty."""

    rows: int
    present: list[int]
    empty: list[int]


class _Reading:
    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        location: str,
        name: str,
        encoding: Encoding,
        detected: Detected,
        null_words: tuple[str, ...],
        categories: Mapping[str, frozenset[str]],
    ) -> None:
        self._connection = connection
        self._location = location
        self._name = name
        self._encoding = encoding
        self._detected = detected
        self._dialect = detected.dialect
        self._words = tuple(word for word in null_words if word)
        self._width = len(self._dialect.header)
        #: Place of a field → null words that are categories there.
        self._categories = {
            place: words & set(self._words)
            for place, column in enumerate(self._dialect.header)
            if (words := categories.get(column, frozenset())) & set(self._words)
        }
        if self._width == 1 and self._categories:
            # Blank lines are rows of one reading and none of another, so that two cannot stand side by side.
            self._words = tuple(word for word in self._words if word not in self._categories[0])
            self._categories = {}
        self._skip = self._dialect.skipped
        self._grammar = self._dialect.grammar
        self._scratch: Scratch | None = None
        self._notes: list[Note] = []

    def run(self) -> _Parsed:
        census: _Census | None = None
        if self._detected.plain and not self._encoding.nuls:
            try:
                census = self._census(self._words)
            except duckdb.Error as error:
                if isinstance(error, (duckdb.OutOfMemoryException, duckdb.FatalException, duckdb.InterruptException)):
                    raise
        if census is None:
            self._repair()
            try:
                census = self._census(self._words)
            except duckdb.Error as error:
                raise parts.unreadable(self._name, error) from error
        self._say_null_words(census)
        empty_is_null = self._judge_empty(census)
        places = tuple(place for place in range(self._width) if not self._is_trailing(place, census))
        return _Parsed(self._relation(places, empty_is_null), places, census.rows, tuple(self._notes), self._scratch)

    def _csv(self, words: Sequence[str]) -> str:
        columns = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(self._width))
        nulls = ", ".join(literal(word) for word in words or [_NO_WORD])
        grammar = self._grammar
        return (
            f"read_csv({pattern(self._location)}, auto_detect = false, header = false, skip = {self._skip},"
            f" columns = {{{columns}}}, delim = {literal(grammar.delimiter)}, quote = {literal(grammar.quote)},"
            f" escape = {literal(grammar.escape)}, nullstr = [{nulls}], allow_quoted_nulls = false,"
            " compression = 'none', hive_partitioning = false)"
        )

    def _census(self, words: Sequence[str]) -> _Census:
        """One pass over all rows, which also tells whether DuckDB can parse them."""
        relation = self._csv(words)
        columns = range(self._width)
        # No FILTER: of a thousand columns it takes ten times the time and memory.
        counted = ", ".join([*(f"count(c{c})" for c in columns), *(f"count(nullif(c{c}, ''))" for c in columns)])
        [row] = self._connection.execute(f"SELECT count(*), {counted} FROM {relation}").fetchall()
        present, filled = row[1 : self._width + 1], row[self._width + 1 :]
        return _Census(
            int(row[0]), [int(n) for n in present], [int(p - f) for p, f in zip(present, filled, strict=True)]
        )

    def _relation(self, places: Sequence[int], empty_is_null: bool) -> str:
        known = self._csv(["", *self._words])
        values = {place: f"known.c{place}" for place in places}
        values |= {place: self._with_categories(place) for place in places if place in self._categories}
        relation = f"{known} AS known"
        if self._categories:
            relation = f"{self._csv([])} AS every POSITIONAL JOIN {relation}"
        value = "nullif({}, '')" if empty_is_null else "{}"
        select = ", ".join(f"{value.format(values[place])} AS c{at}" for at, place in enumerate(places))
        return f"(SELECT {select} FROM {relation})"

    def _with_categories(self, place: int) -> str:
        """SQL of a field that has null words as categories; `every` has every word, `known` no null words."""
        words = ", ".join(map(literal, sorted(self._categories[place])))
        return f"coalesce(known.c{place}, CASE WHEN every.c{place} IN ({words}) THEN every.c{place} END)"

    # --- rows that are not as they should be -------------------------------------------------------------

    def _repair(self) -> None:
        """Make a strict copy of a file that DuckDB does not parse. Raises `Refusal` when that makes no sense of it."""
        dialect = self._dialect
        self._scratch = Scratch()
        target = self._scratch.path / "strict.csv"
        repair = self._write(self._grammar, target)
        if repair.trouble and self._encoding.backslash_quotes:
            # The sample may not have shown what stands before a quote.
            escape = "\\" if dialect.escape == dialect.quote else dialect.quote
            grammar = Grammar(dialect.delimiter, dialect.quote, escape)
            other = self._scratch.path / "escaped.csv"
            second = self._write(grammar, other)
            if second.trouble < repair.trouble:
                repair, target = second, other
        if repair.open_line is not None:
            what = "a quote that is not closed before the end of the file"
            raise refusal(self._name, repair.open_line, what, "a closing quote", _FIX)
        if repair.long_line is not None:
            limit = f"at most {MAX_RECORD:,} bytes"
            raise refusal(self._name, repair.long_line, "a longer record", limit, _FIX)
        if repair.ragged > repair.rows / 2:
            kind = min(repair.first, key=lambda one: repair.first[one])
            line, width = repair.first[kind]
            many = f"; {repair.ragged:,} of {repair.rows:,} rows do not fit"
            names = ", ".join(dialect.header[:8])
            raise refusal(
                self._name, line, f"{width} field{'s' * (width != 1)}",
                f"{self._width} as the header has ({names}){many}", _FIX,
            )  # fmt: skip
        self._notes += repair.notes(self._name, self._width)
        self._location, self._skip = str(target), 0
        self._grammar = Grammar(dialect.delimiter, dialect.quote, dialect.quote)

    def _write(self, grammar: Grammar, target: Path) -> Repair:
        first = self._detected.first_line
        lines: Iterator[str] = itertools.islice(csv_encoding.lines_of(self._location, self._encoding), first - 1, None)
        return write_strictly(grammar, grammar.records(lines, first), self._width, target)

    # --- null words --------------------------------------------------------------------------------------

    def _say_null_words(self, census: _Census) -> None:
        places = [place for place, present in enumerate(census.present) if present < census.rows]
        if not places:
            return
        words = ", ".join(f"list(DISTINCT every.c{c} ORDER BY every.c{c}) FILTER (known.c{c} IS NULL)" for c in places)
        # Side by side: the same rows once with every word as it stands and once without the null words.
        pairs = f"{self._csv([])} AS every POSITIONAL JOIN {self._csv(self._words)} AS known"
        examples: Sequence[Sequence[str]]
        try:
            [examples] = self._connection.execute(f"SELECT {words} FROM {pairs}").fetchall()
        except duckdb.OutOfMemoryException:
            # Two readers at a time: the count is said without them.
            examples = [()] * len(places)
        for place, found in zip(places, examples, strict=True):
            column = self._dialect.header[place]
            rows = census.rows - census.present[place]
            if place in self._categories:
                rows -= self._say_categories(place)
                found = [word for word in found if word not in self._categories[place]]
            if not rows:
                continue
            text = f"unquoted values of {column!r} in {self._name} are words for “no value”, read as missing"
            self._notes.append(Note("null_words", text, rows, column, tuple(map(str, found[:_EXAMPLES]))))

    def _say_categories(self, place: int) -> int:
        """The rows whose unquoted null word is a category."""
        words = ", ".join(map(literal, sorted(self._categories[place])))
        [(rows, examples)] = self._connection.execute(
            f"SELECT count(*), list(DISTINCT every.c{place} ORDER BY every.c{place})"
            f" FROM {self._csv([])} AS every POSITIONAL JOIN {self._csv(self._words)} AS known"
            f" WHERE known.c{place} IS NULL AND every.c{place} IN ({words})"
        ).fetchall()
        if rows:
            column = self._dialect.header[place]
            text = f"unquoted values of {column!r} in {self._name} are categories of the reference, not missing"
            self._notes.append(Note("null_word_categories", text, int(rows), column, tuple(map(str, examples))))
        return int(rows)

    def _judge_empty(self, census: _Census) -> bool:
        """Whether "" is no value; says what it is taken for where there is any."""
        if not self._encoding.empty_quotes or not any(census.empty):
            return False
        # Empty fields that are not quoted are NULL once "" is a null word.
        quoted = self._census(["", *self._words]).empty
        unquoted_nulls = sum(census.empty) - sum(quoted) + sum(census.rows - known for known in census.present)
        if not any(quoted):
            return False
        as_null = self._width == 1 or (self._dialect.quoted_all and not unquoted_nulls)
        for place, count in enumerate(quoted):
            if not count:
                continue
            column = self._dialect.header[place]
            if as_null:
                why = "the file has one column" if self._width == 1 else "every field of the file is quoted"
                text = f'fields "" of {column!r} in {self._name} are read as missing: {why}'
                self._notes.append(Note("empty_is_null", text, count, column))
            else:
                how = "are read as empty text (as missing where it holds numbers)"
                text = f'fields "" of {column!r} in {self._name} {how}'
                self._notes.append(Note("empty_text", text, count, column))
        return as_null

    def _is_trailing(self, place: int, census: _Census) -> bool:
        """Whether the column is only the delimiter that ends each line: no name and no value."""
        last = place == self._width - 1
        unnamed = self._dialect.header[place] == f"column{place}"
        return last and place > 0 and unnamed and census.rows > 0 and census.empty[place] == census.rows
