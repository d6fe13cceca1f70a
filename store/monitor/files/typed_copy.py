"""Text files as Parquet: what the values of a column are is decided from all of them, then they are written as such.

A CSV or JSON lines file is read for the evidence, then for a typed copy, which everything else reads as it reads any
Parquet file: so the same data gives the same counts in every format.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import duckdb

from store.monitor import parts
from store.monitor.files.column_form import ColumnForm, form_of
from store.monitor.files.number_text import number_text_sql
from store.monitor.files.quoting import literal, quoted
from store.monitor.files.scratch import Scratch
from store.monitor.files.text_rules import DEFAULT_RULES, TextRules
from store.monitor.files.text_table import TextTable, open_text
from store.monitor.notes import Note

#: Distinct values that a column is judged by, and about how many rows are looked at for them.
TOKENS, TOKEN_ROWS = 2_000, 200_000
_WIDE = 200
_CELLS_A_GROUP = 8_000_000
_GROUP_ROWS = 122_880
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "threads": 2,
    "memory_limit": "1GiB",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,
}


class TextFile(NamedTuple):
    """A CSV or JSON lines file, and what messages call it."""

    location: str
    format: parts.Format
    name: str


@dataclasses.dataclass(frozen=True)
class TypedCopy:
    """`path` is the Parquet file; columns that are empty, times or nested stay text there, `forms` says what they are.

    Nobody else holds the folder: the copy goes when this does.
    """

    path: str
    forms: dict[str, ColumnForm]
    notes: tuple[Note, ...]
    scratch: Scratch


#: From the one that holds least.
_INTEGERS = ("", "UBIGINT", "BIGINT")


@dataclasses.dataclass
class _Evidence:
    """Of one column of one or more files: non-null values, and how many of them are what."""

    present: int = 0
    numbers: int = 0
    null_words: int = 0
    """Null words where a number might be."""
    leading_zeros: int = 0
    whole: bool = True
    """No decimal point, exponent, NaN or infinity among the numbers."""
    integer: str = "BIGINT"
    """The smallest DuckDB type that holds all of them, if they are whole; "" where none does."""
    empty: int = 0
    """Empty texts: no values, but they stand there."""

    def __iadd__(self, other: _Evidence) -> _Evidence:
        self.present += other.present
        self.numbers += other.numbers
        self.null_words += other.null_words
        self.leading_zeros += other.leading_zeros
        self.whole = self.whole and other.whole
        self.integer = min(self.integer, other.integer, key=_INTEGERS.index)
        self.empty += other.empty
        return self

    @property
    def plain_numbers(self) -> bool:
        return self.numbers > 0 and self.numbers + self.null_words == self.present and not self.leading_zeros


def typed_copies(files: Sequence[TextFile], rules: TextRules = DEFAULT_RULES) -> list[TypedCopy]:
    """Typed copies of text files that are read as one: a column is of one kind in all of them.

    Raises `Refusal` (usage) when a file cannot be read.
    """
    scratch = Scratch()
    with duckdb.connect(config={**_CONFIG, "temp_directory": str(scratch.path / "spill")}) as connection:
        names = [file.name for file in files]
        tables = [open_text(connection, file.location, file.format, file.name, rules) for file in files]
        if any(len(table.columns) > _WIDE for table in tables):
            connection.execute("SET threads = 1")
        copier = _Copier(connection, tables, names, rules)
        return [
            TypedCopy(copier.write(table, place, scratch), copier.forms, copier.notes(place), scratch)
            for place, table in enumerate(tables)
        ]


class _Copier:
    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        tables: Sequence[TextTable],
        names: Sequence[str],
        rules: TextRules,
    ) -> None:
        self._connection = connection
        self._tables = tables
        self._names = names
        self._rules = rules
        self._null_list = ", ".join(map(literal, {"": None, **dict.fromkeys(rules.null_words)}))
        self._evidence: dict[str, _Evidence] = {}
        for table, name in zip(tables, names, strict=True):
            for column, evidence in self._aggregates(table, name).items():
                self._evidence.setdefault(column, _Evidence())
                self._evidence[column] += evidence
        self.forms = self._decide()
        #: By table: column → (values of a wrong type, some of them).
        self._wrong = [self._wrong_values(table, name) for table, name in zip(tables, names, strict=True)]
        self._words = [self._null_words(table, name) for table, name in zip(tables, names, strict=True)]

    # --- evidence ----------------------------------------------------------------------------------------

    def _fetch(self, query: str, name: str) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(query).fetchall()
        except duckdb.Error as error:
            raise parts.unreadable(name, error) from error

    def _aggregates(self, table: TextTable, name: str) -> dict[str, _Evidence]:
        rows = self._fetch(
            f"SELECT k, count(*), count(d), count(*) FILTER (d IS NULL AND trim(v) IN ({self._null_list})),"
            " count(*) FILTER (v >= '00' AND v < '0:'), bool_or(isfinite(d) IS FALSE OR contains(v, '.')"
            " OR (d IS NOT NULL AND (contains(v, 'e') OR contains(v, 'E')))),"
            " bool_or(TRY_CAST(v AS BIGINT) IS NULL) FILTER (length(v) > 18),"
            " bool_or(TRY_CAST(v AS UBIGINT) IS NULL) FILTER (length(v) > 18 OR starts_with(v, '-')),"
            " count(*) FILTER (v = '')"
            f" FROM (SELECT k, v, TRY_CAST(v AS DOUBLE) AS d FROM {table.cells} WHERE v IS NOT NULL) GROUP BY k",
            name,
        )
        by_field = {
            str(field): _Evidence(
                int(present - empty), int(numbers), int(words_seen - empty), int(zeros), not fraction,
                "BIGINT" if not beyond_signed else "UBIGINT" if not beyond_unsigned else "", int(empty),
            )
            for field, present, numbers, words_seen, zeros, fraction, beyond_signed, beyond_unsigned, empty in rows
        }  # fmt: skip
        return {
            column: by_field.get(field, _Evidence()) for column, field in zip(table.columns, table.fields, strict=True)
        }

    def _decide(self) -> dict[str, ColumnForm]:
        forms: dict[str, ColumnForm] = {}
        undecided: list[str] = []
        row_names = {table.row_names for table in self._tables}
        for column, evidence in self._evidence.items():
            declared = self._rules.declared(column)
            if declared is not None and evidence.present:
                forms[column] = ColumnForm("number", declared)
            elif self._rules.wanted.get(column) == "text":
                forms[column] = ColumnForm("text")
            elif not evidence.present:
                forms[column] = ColumnForm("empty")
            elif column in row_names:
                forms[column] = ColumnForm("names")
            elif evidence.plain_numbers:
                forms[column] = ColumnForm("number")
            else:
                undecided.append(column)
        if undecided:
            tokens = self._tokens(undecided)
            comma_likely = any(table.comma_likely for table in self._tables)
            for column in undecided:
                forms[column] = form_of(
                    tokens.get(column, []),
                    self._rules.null_words,
                    comma_likely=comma_likely,
                    as_number=self._rules.wanted.get(column) == "number",
                )
        return {column: forms[column] for column in self._evidence}

    def _tokens(self, columns: Sequence[str]) -> dict[str, list[tuple[str, int]]]:
        """Distinct values with their rows: of few values all, of many a sample that is the same each time."""
        wanted = set(columns)
        counts: dict[str, dict[str, int]] = {}
        for table, name in zip(self._tables, self._names, strict=True):
            steps = {
                field: max(1, self._evidence[column].present // TOKEN_ROWS)
                for column, field in zip(table.columns, table.fields, strict=True)
                if column in wanted
            }
            rows = self._sampled(table, name, steps)
            # A sample by value of a column of few values may hold none of them.
            poor = [field for field in steps if steps[field] > 1 and len(rows.get(field, ())) < 50]
            if poor:
                rows |= self._sampled(table, name, dict.fromkeys(poor, 1))
            for column, field in zip(table.columns, table.fields, strict=True):
                into = counts.setdefault(column, {})
                for value, number in rows.get(field, ()):
                    into[value] = into.get(value, 0) + number
        return {column: list(values.items()) for column, values in counts.items()}

    def _sampled(self, table: TextTable, name: str, steps: Mapping[str, int]) -> dict[str, list[tuple[str, int]]]:
        if not steps:
            return {}
        step = _case(steps)
        keys = ", ".join(map(literal, steps))
        rows = self._fetch(
            f"SELECT k, v, count(*) AS n FROM {table.cells} WHERE k IN ({keys}) AND v IS NOT NULL"
            f" AND hash(v) % {step} = 0 GROUP BY k, v"
            f" QUALIFY row_number() OVER (PARTITION BY k ORDER BY hash(v)) <= {TOKENS}",
            name,
        )
        tokens: dict[str, list[tuple[str, int]]] = {}
        for field, value, number in rows:
            tokens.setdefault(str(field), []).append((str(value), int(number)))
        return tokens

    def _wrong_values(self, table: TextTable, name: str) -> dict[str, tuple[int, tuple[str, ...]]]:
        """Column → (how many values the form does not read, some of them), of numbers and truth values."""
        checked = {
            field: (column, self.forms[column])
            for column, field in zip(table.columns, table.fields, strict=True)
            if self.forms[column].kind in ("number", "truth") and not self._is_plain(column)
        }
        if not checked:
            return {}
        readable = " ".join(
            f"WHEN {literal(field)} THEN {_readable('trim(v)', form)} IS NOT NULL"
            for field, (_, form) in checked.items()
        )
        keys = ", ".join(map(literal, checked))
        rows = self._fetch(
            f"SELECT k, count(*), arg_min(v, hash(v), 9) FROM {table.cells} WHERE k IN ({keys}) AND v IS NOT NULL"
            f" AND trim(v) NOT IN ({self._null_list}) AND NOT (CASE k {readable} END) GROUP BY k",
            name,
        )
        return {
            checked[str(field)][0]: (int(number), tuple(dict.fromkeys(str(value)[:40] for value in examples))[:3])
            for field, number, examples in rows
        }

    def _null_words(self, table: TextTable, name: str) -> dict[str, tuple[int, tuple[str, ...]]]:
        """Column → (values that are null words among numbers, truth values or times, which words)."""
        checked = {
            field: column
            for column, field in zip(table.columns, table.fields, strict=True)
            if self._evidence[column].null_words and self.forms[column].kind in ("number", "truth", "time")
        }
        if not checked:
            return {}
        keys = ", ".join(map(literal, checked))
        rows = self._fetch(
            f"SELECT k, count(*), list(DISTINCT trim(v)) FROM {table.cells} WHERE k IN ({keys})"
            f" AND v <> '' AND trim(v) IN ({self._null_list}) GROUP BY k",
            name,
        )
        return {checked[str(field)]: (int(n), tuple(sorted(map(str, found)))) for field, n, found in rows}

    def _is_plain(self, column: str) -> bool:
        form = self.forms[column]
        return form.kind == "number" and form.number.plain and self._evidence[column].plain_numbers

    # --- the copy ----------------------------------------------------------------------------------------

    def write(self, table: TextTable, place: int, scratch: Scratch) -> str:
        """The path of the Parquet file. Raises `Refusal` (usage)."""
        path = str(scratch.path / f"{place}.parquet")
        try:
            try:
                self._write(table, path, direct=table.typed)
            except (duckdb.ConversionException, duckdb.InvalidInputException):
                if not table.typed:
                    raise
                # A number that JSON has as text is not cast as it is read.
                self._write(table, path, direct=False)
        except duckdb.Error as error:
            raise parts.unreadable(self._names[place], error) from error
        return path

    def _write(self, table: TextTable, path: str, direct: bool) -> None:
        """`direct`: numbers and truth values are read as such at once, which takes half the time and memory."""
        types: dict[str, str] = {}
        select: list[str] = []
        # SQL does not tell names apart that differ in case alone: such are given by Arrow, afterwards.
        distinct = len({column.lower() for column in table.columns}) == len(table.columns) and all(table.columns)
        for column, field in zip(table.columns, table.fields, strict=True):
            kind, expression = self._typed(column, field, direct)
            types[field] = kind if expression == quoted(field) else "VARCHAR"
            select.append(f"{expression} AS {quoted(column if distinct else field)}")
        rows = max(2_048, min(_GROUP_ROWS, _CELLS_A_GROUP // max(1, len(select))))
        query = f"SELECT {', '.join(select)} FROM {table.relation(types)}"
        if distinct:
            self._connection.execute(f"COPY ({query}) TO {literal(path)} (FORMAT PARQUET, ROW_GROUP_SIZE {rows})")
        else:
            self._write_renamed(query, table.columns, path, rows)

    def _write_renamed(self, query: str, names: Sequence[str], path: str, rows: int) -> None:
        """Names that SQL cannot tell apart are written by Arrow."""
        import pyarrow as pa
        import pyarrow.parquet as parquet

        reader: Any = self._connection.sql(query).to_arrow_reader(rows)
        target = pa.schema([reader.schema.field(at).with_name(name) for at, name in enumerate(names)])
        with parquet.ParquetWriter(path, target) as writer:
            for batch in reader:
                writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=target))

    def _typed(self, column: str, field: str, direct: bool) -> tuple[str, str]:
        """(DuckDB type, SQL) of a column's values; the field alone where the type is given at once."""
        form, evidence, name = self.forms[column], self._evidence[column], quoted(field)
        direct = direct and not evidence.empty and not evidence.null_words
        text = f"nullif({name}, '')"
        if form.kind == "truth":
            if not any(column in wrong for wrong in self._wrong):
                return "BOOLEAN", name if direct else f"TRY_CAST(trim({name}) AS BOOLEAN)"
            return (
                "VARCHAR",
                f"CASE WHEN lower(trim({name})) IN ('true', 'false') THEN lower(trim({name})) ELSE {text} END",
            )
        if form.kind == "number":
            return self._number(form, evidence, name, direct, any(column in wrong for wrong in self._wrong))
        if form.kind == "time" and evidence.null_words:
            return "VARCHAR", f"CASE WHEN trim({name}) IN ({self._null_list}) THEN NULL ELSE {name} END"
        return "VARCHAR", text

    def _number(self, form: ColumnForm, evidence: _Evidence, name: str, direct: bool, wrong: bool) -> tuple[str, str]:
        value = number_text_sql(f"trim({name})", form.number)
        if wrong:
            shown = name if form.number.plain else f"coalesce(CAST({value} AS VARCHAR), {name})"
            return "VARCHAR", f"CASE WHEN trim({name}) IN ({self._null_list}) THEN NULL ELSE {shown} END"
        if not form.number.plain or not evidence.whole:
            return "DOUBLE", name if direct and form.number.plain else value
        if not evidence.integer:
            # Too long for an integer: as text no digit is lost, and it is still read as a number where one is wanted.
            return "VARCHAR", f"nullif({name}, '')"
        return evidence.integer, name if direct else f"TRY_CAST(trim({name}) AS {evidence.integer})"

    # --- what is said ------------------------------------------------------------------------------------

    def notes(self, place: int) -> tuple[Note, ...]:
        """What was recognised or not read in the table at `place`."""
        found = list(self._tables[place].notes)
        for column in self._tables[place].columns:
            form = self.forms[column]
            if form.kind == "number" and (words := form.number.describe()):
                found.append(Note("number_form", f"{column!r} is read as {words}", None, column))
            if column in self._wrong[place]:
                rows, examples = self._wrong[place][column]
                what = "numbers" if form.kind == "number" else "truth values"
                found.append(Note("type_errors", f"values of {column!r} are no {what}", rows, column, examples))
            if column in self._words[place]:
                rows, examples = self._words[place][column]
                found.append(Note("null_words", f"values of {column!r} are taken as missing", rows, column, examples))
        return tuple(found)


def _readable(text: str, form: ColumnForm) -> str:
    if form.kind == "truth":
        return f"CASE WHEN lower({text}) IN ('true', 'false') THEN 1 END"
    return number_text_sql(text, form.number)


def _case(numbers: Mapping[str, int]) -> str:
    """SQL of the number that belongs to the field `k`."""
    if len(set(numbers.values())) == 1:
        return str(next(iter(numbers.values())))
    return "(CASE k " + " ".join(f"WHEN {literal(field)} THEN {number}" for field, number in numbers.items()) + " END)"
