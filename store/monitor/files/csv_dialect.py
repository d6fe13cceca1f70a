"""How a CSV file is written: delimiter, quotes and header, told from its header and first rows."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from store.monitor import parts
from store.monitor.files import csv_encoding
from store.monitor.files.csv_encoding import Encoding
from store.monitor.files.csv_records import Field, Grammar, Record
from store.monitor.files.null_words import NULL_WORDS
from store.monitor.notes import Note
from store.protocol import Refusal

DELIMITERS = ",;\t|"
#: Stands in no text: the delimiter of a file of one column.
NO_DELIMITER = "\x1f"
#: Characters and records by which the dialect is judged.
SAMPLE_BYTES = 1 << 17
SAMPLE_RECORDS = 400
#: Longest header.
MAX_HEADER_BYTES = 1 << 22
#: Share of rows that must have as many fields as the header for a delimiter to be believed without doubt.
_AGREEMENT = 0.5
_SEP_LINE = re.compile(r'"?sep=(.)"?\r?[\r\n]', re.IGNORECASE)
#: Share of rows with one field more than the header from which on the first is taken for the rows' names.
_INDEXED = 0.95
#: Lines of a quoted field that the end of the sample may cut.
_OPEN_LINES = 50
_TRUTH = ("true", "false", "t", "f")
#: A number as anybody writes it, with decimal commas, thousands and signs.
_NUMBER = re.compile(r"\s*[-+]?[\d.,' ]*\d[\d.,' ]*([eE][-+]?\d+)?\s*%?\s*")


@dataclasses.dataclass(frozen=True)
class Dialect:
    """`header` names the columns in the file's order: as they stand there, but unnamed ones are `column0`, `column1` …
    by their place, and one that repeats an earlier name gets `_1`, `_2` ….

    `delimiter` is `NO_DELIMITER` for a file of one column. `escape` is what stands before a quote inside quotes: the
    quote itself or a backslash. `skipped` counts the records before the first row (the header, Excel's `sep=;`).
    """

    encoding: str
    delimiter: str
    quote: str
    escape: str
    header: tuple[str, ...]
    skipped: int = 1
    quoted_text: bool = False
    """Whether text is quoted as a habit, so that an unquoted NA is none."""
    quoted_all: bool = False
    """Whether every field is quoted, numbers and the header, too: such a writer has only "" for a missing value."""

    row_names: bool = False
    """Whether the first of several columns has no name: it names the rows, as R and pandas write them."""

    @property
    def grammar(self) -> Grammar:
        return Grammar(self.delimiter, self.quote, self.escape)


@dataclasses.dataclass(frozen=True)
class Detected:
    """A dialect and how it was come by. `first_line` is where the first row stands; `plain` says that DuckDB finds it
    by skipping records."""

    dialect: Dialect
    encoding: Encoding
    first_line: int
    plain: bool
    notes: tuple[Note, ...] = ()


def detect(location: str | Path, name: str = "") -> Dialect:
    """The dialect of a file or URL. Reads all its bytes for the encoding, its beginning for the rest.

    `name` is what messages call it. Raises `Refusal` (usage) with file, line, what was found and what was expected
    when it is no text or has no header.
    """
    name = name or parts.name_of(str(location))
    return detect_from(str(location), csv_encoding.examine(str(location), name), name).dialect


def detect_from(location: str, encoding: Encoding, name: str) -> Detected:
    """`detect` for a file whose encoding is known."""
    text, whole = _head(location, encoding, name)
    start, told = _sep_line(text)
    newline = "\n" if encoding.line_feeds else "\r"
    sample = text[start:].replace("\0", "")
    if not sample.strip():
        raise _no_header(name, 2)
    lines = sample.split(newline)
    if not whole and len(lines) > 1:
        lines.pop()
    records = _records([line + newline for line in lines], whole, told)
    first_line = text[:start].count(newline) + records.header.line
    grammar, shape = records.grammar, records.shape
    first = records.header
    fields = grammar.fields(first)
    names = [field.text for field in fields]
    notes: list[Note] = []
    if len(names) > 1 and all(n.startswith(" ") and not f.quoted for n, f in zip(names[1:], fields[1:], strict=True)):
        # "a, b, c": the blank belongs to the comma.
        names = [n.strip() if not f.quoted else n for n, f in zip(names, fields, strict=True)]
    if shape.index:
        names.insert(0, "")
        notes.append(Note("index_column", f"{name}: the rows have one field more than the header: the first is named"))
    if shape.surplus_name:
        names.pop()
    header = _distinct(names, name, notes)
    if all(map(_NUMBER.fullmatch, names)) and any(not field.quoted for field in fields):
        said = f"{name}: the first line, read as the header, holds only numbers: {', '.join(names[:4])}"
        notes.append(Note("header", said))
    habit = _habit([grammar.fields(record) for record in [first, *records.rows]])
    dialect = Dialect(
        encoding.name, grammar.delimiter, grammar.quote, grammar.escape, header,
        (1 if start else 0) + 1, habit[0], habit[1], len(names) > 1 and not names[0].strip(),
    )  # fmt: skip
    plain = first.line == 1
    return Detected(dialect, encoding, first_line + first.lines, plain, tuple(notes))


def _head(location: str, encoding: Encoding, name: str) -> tuple[str, bool]:
    """The file's beginning, at least its first line, and whether that is all of it."""
    size = SAMPLE_BYTES
    while True:
        text, whole = csv_encoding.head_of(location, encoding, size)
        if whole or ("\n" if encoding.line_feeds else "\r") in text:
            break
        size *= 4
        if size > MAX_HEADER_BYTES:
            limit = f"{MAX_HEADER_BYTES >> 20} MB"
            raise csv_encoding.refusal(name, 1, f"no end of the line within {limit}", "a header", "Is it a CSV file?")
    if not text.strip("\ufeff \r\n\t\0"):
        raise _no_header(name, 1)
    return text, whole


def _no_header(name: str, line: int) -> Refusal:
    hint = "Write the names of the columns in its first line."
    return csv_encoding.refusal(name, line, "nothing", "a header", hint)


def _sep_line(text: str) -> tuple[int, str]:
    """(where the text goes on behind Excel's `sep=;` line, the delimiter it names)."""
    match = _SEP_LINE.match(text)
    if match is None:
        return 0, ""
    end = match.end()
    return (end + 1 if text[end - 1 : end + 1] == "\r\n" else end), match[1]


# --- the delimiter ---------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Shape:
    """How wide rows are against the header: `index` if they have a first field more, `surplus_name` if the header ends
    in a delimiter and they do not. `agreement` is the share of rows of that width."""

    width: int
    agreement: float
    index: bool = False
    surplus_name: bool = False
    tidy: float = 1.0
    fits: bool = True

    @property
    def rank(self) -> tuple[bool, float, float, int]:
        return self.fits and self.agreement >= _AGREEMENT, round(self.agreement * self.tidy, 2), self.tidy, self.width


@dataclasses.dataclass(frozen=True)
class _Cut:
    """The sample cut by one grammar."""

    grammar: Grammar
    header: Record
    rows: list[Record]
    shape: _Shape


def _records(lines: list[str], whole: bool, told: str) -> _Cut:
    quote = _quote(lines)
    escapes = [quote, "\\"] if any("\\" + quote in line for line in lines) else [quote]
    first = next(line for line in lines if line.strip(" \r\n"))
    likely = told or "".join(letter for letter in DELIMITERS if letter in first) or DELIMITERS
    cuts = [_cut(lines, whole, Grammar(d, quote, e)) for d in likely for e in escapes]
    wide = [cut for cut in cuts if cut.header.width > 1 or told]
    if not wide:
        # Nothing in the header is a delimiter: one column, or rows with a name in front of their only value.
        indexed = [cut for cut in cuts if cut.shape.index and _names_rows(cut)]
        wide = indexed or [_cut(lines, whole, Grammar(NO_DELIMITER, quote, escape)) for escape in escapes]
    return max(wide, key=lambda cut: cut.shape.rank)


def _quote(lines: list[str]) -> str:
    """Apostrophes quote only where nothing else does and the header is full of them."""
    header = lines[0].strip()
    return "'" if not any('"' in line for line in lines) and re.fullmatch(r"'[^']*'([,;\t|]'[^']*')*", header) else '"'


def _names_rows(cut: _Cut) -> bool:
    """Whether each row begins with a name of its own, in quotes or before a tab: a decimal comma or a semicolon in
    a sentence also cuts rows in two."""
    if len(cut.rows) < 2 or cut.shape.agreement < 1:
        return False
    first = [cut.grammar.fields(row)[0] for row in cut.rows]
    return len({field.text for field in first}) == len(first) and (
        cut.grammar.delimiter == "\t" or all(field.quoted for field in first)
    )


def _cut(lines: list[str], whole: bool, grammar: Grammar) -> _Cut:
    found: list[Record] = []
    for record in grammar.records(lines):
        if record.blank:
            continue
        found.append(record)
        if len(found) > SAMPLE_RECORDS:
            break
    if len(found) > 2 and found[-1].endless and not whole and found[-1].lines <= _OPEN_LINES:
        # The sample ends within it.
        found.pop()
    header, rows = found[0], found[1:]
    return _Cut(grammar, header, rows, _shape(grammar, header, rows))


def _shape(grammar: Grammar, header: Record, rows: list[Record]) -> _Shape:
    names = header.width
    if not rows:
        return _Shape(names, 1.0)
    widths = Counter(record.width if record.closed and record.tidy else -1 for record in rows)
    unnamed = names > 1 and not grammar.fields(header)[-1].text.strip()

    def share(*these: int) -> float:
        return sum(widths[width] for width in these) / len(rows)

    straight, more, less = share(names), share(names + 1), share(names - 1)
    if more > max(straight, _AGREEMENT):
        wider = [grammar.fields(record) for record in rows if record.width == names + 1]
        if not any(fields[-1].text or fields[-1].quoted for fields in wider):
            # A delimiter at the end of each row.
            return _Shape(names, more, tidy=_tidiness(grammar, wider))
        if more >= _INDEXED:
            return _Shape(names + 1, more, index=True, tidy=_tidiness(grammar, wider))
    if unnamed and less > max(straight, _AGREEMENT):
        return _Shape(names - 1, less, surplus_name=True)
    fits = straight >= _AGREEMENT
    return _Shape(names, straight, fits=fits, tidy=_tidiness(grammar, [grammar.fields(record) for record in rows]))


def _tidiness(grammar: Grammar, rows: Sequence[Sequence[Field]]) -> float:
    """The share of fields that are quoted, numbers, or hold none of the other delimiters."""
    others = [letter for letter in DELIMITERS if letter != grammar.delimiter]
    good = whole = 0
    for fields in rows[:100]:
        for field in fields:
            whole += 1
            clear = field.quoted or not any(other in field.text for other in others)
            good += clear or bool(_NUMBER.fullmatch(field.text))
    return good / max(1, whole)


# --- the header ------------------------------------------------------------------------------------------


def _distinct(names: list[str], name: str, notes: list[Note]) -> tuple[str, ...]:
    """The names with stated ones for those that are empty, and a number after those that repeat."""
    taken = {text for text in names if text.strip()}
    seen: set[str] = set()
    found: list[str] = []
    for place, text in enumerate(names):
        unique = text
        if not text.strip():
            unique = f"column{place}"
            while unique in taken or unique in seen:
                unique += "_"
            notes.append(Note("unnamed_column", f"{name}: field {place + 1} of the header is empty", column=unique))
        elif text in seen:
            number = 1
            while (unique := f"{text}_{number}") in taken or unique in seen:
                number += 1
            notes.append(Note("duplicate_column", f"{name}: {text!r} stands twice in the header", column=unique))
        seen.add(unique)
        found.append(unique)
    return tuple(found)


def _is_text(value: str) -> bool:
    """Whether writers that quote text would quote it: no number, time, truth value or null word."""
    return not (value[:1].isdigit() or value in NULL_WORDS or value.lower() in _TRUTH or _NUMBER.fullmatch(value))


def _habit(rows: list[list[Field]]) -> tuple[bool, bool]:
    """(whether text is quoted, whether everything is)."""
    quoted = plain = bare = 0
    for place, fields in enumerate(rows):
        for field in fields:
            bare += not field.quoted
            if place and _is_text(field.text):
                quoted += field.quoted
                plain += not field.quoted
    return quoted > 0 and plain <= 0.1 * (quoted + plain), bare == 0 and len(rows) > 1
