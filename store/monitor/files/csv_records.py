"""Records and fields of delimited text, as lenient as spreadsheets are, and a strict copy of what is not."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from store.monitor.notes import Note

#: Longest record, in bytes of UTF-8: DuckDB's own limit.
MAX_RECORD = 2_000_000
_EXAMPLES = 3
_EXAMPLE_LENGTH = 80


@dataclasses.dataclass(frozen=True)
class Field:
    text: str
    quoted: bool


@dataclasses.dataclass(frozen=True)
class Record:
    """One record: the line it begins in (from 1), how many lines it has, its text without the line end.

    `width` is the number of fields. `closed` is false if a quoted field does not end where it should, `endless` true
    if it never does; `tidy` is false if a quoted field goes on after its closing quote. `strict`: as RFC 4180 has it,
    with doubled quotes.
    """

    line: int
    lines: int
    raw: str
    width: int
    closed: bool = True
    endless: bool = False
    tidy: bool = True
    quoted: bool = False
    strict: bool = False

    @property
    def blank(self) -> bool:
        return not self.quoted and not self.raw.strip(" ")


class Grammar:
    """How fields are cut: delimiter, quote, and what stands before a quote inside a quoted field (`escape`: the quote
    itself, or a backslash)."""

    def __init__(self, delimiter: str, quote: str = '"', escape: str = '"') -> None:
        self.delimiter, self.quote, self.escape = delimiter, quote, escape
        mark = re.escape(quote)
        plain = rf"[^{mark}]" if escape == quote else rf"[^{mark}\\]"
        more = "" if escape == quote else r"|\\."
        # Possessive: a field that never ends costs one pass.
        self._field = re.compile(rf"\ *+{mark}((?:{plain}++|{mark}{mark}{more})*+){mark}", re.DOTALL)
        between = rf"[^{mark}{re.escape(delimiter)}\r\n]*+"
        field = rf"(?:{mark}[^{mark}]*+(?:{mark}{mark}[^{mark}]*+)*+{mark}|{between})"
        self._strict = re.compile(rf"{field}(?:{re.escape(delimiter)}{field})*+") if escape == quote else None
        self._inside = re.compile(rf"{mark}[^{mark}]*+{mark}")
        self._opens = re.compile(rf"\ *+{mark}")
        self._escaped = re.compile(rf"{mark}{mark}" if escape == quote else rf"{mark}{mark}|\\{mark}|\\\\")

    def split(self, raw: str) -> tuple[list[Field], bool] | None:
        """(fields, whether nothing follows a closing quote), or None where a quoted field does not end."""
        fields: list[Field] = []
        tidy, at = True, 0
        while True:
            match = self._field.match(raw, at)
            if match is None and self._opens.match(raw, at):
                return None
            start = at if match is None else match.end()
            end = raw.find(self.delimiter, start)
            rest = raw[start:] if end < 0 else raw[start:end]
            if match is None:
                fields.append(Field(rest, False))
            else:
                tidy = tidy and not rest.strip(" ")
                inside = self._escaped.sub(lambda found: found[0][-1], match[1])
                fields.append(Field(inside + rest.rstrip(" ") if rest.strip(" ") else inside, True))
            if end < 0:
                return fields, tidy
            at = end + 1

    def fields(self, record: Record) -> list[Field]:
        if not record.quoted:
            return [Field(text, False) for text in record.raw.split(self.delimiter)]
        found = self.split(record.raw)
        return found[0] if found else []

    def records(self, lines: Iterable[str], first: int = 1) -> Iterator[Record]:
        """The records of some lines (with their ends), the first of which is line `first`.

        A record whose quote never closes ends the iteration, unless its next lines show that only its own quote is
        missing: then it is given alone, and what follows is read anew.
        """
        pending = _Lines(lines, first)
        while (line := pending.next()) is not None:
            body = _without_end(line)
            if self.quote not in body:
                yield Record(pending.number, 1, body, body.count(self.delimiter) + 1)
                continue
            yield self._quoted(pending, line)

    def _quoted(self, pending: _Lines, line: str) -> Record:
        start, taken = pending.number, [line]
        size = len(line)
        body = _without_end(line)
        if self._strict is not None and self._strict.fullmatch(body):
            # Most records of most files: no need to take them apart.
            width = self._inside.sub("", body).count(self.delimiter) + 1
            return Record(start, 1, body, width, quoted=True, strict=True)
        found = self.split(body)
        while found is None:
            more = pending.next()
            if more is None or size > MAX_RECORD:
                return Record(start, len(taken), _without_end("".join(taken)), 1, False, True, quoted=True)
            taken.append(more)
            size += len(more)
            # Only a quote can end the field; to look again at every line would take the square of their number.
            if self.quote in more:
                found = self.split(_without_end("".join(taken)))
        fields, tidy = found
        if len(taken) > 1 and not tidy:
            # The quote that closed it opens a field of a later record.
            pending.back(taken[1:])
            raw = _without_end(line)
            return Record(start, 1, raw, raw.count(self.delimiter) + 1, closed=False, quoted=True)
        return Record(start, len(taken), _without_end("".join(taken)), len(fields), tidy=tidy, quoted=True)


class _Lines:
    """Lines that can be given back."""

    def __init__(self, lines: Iterable[str], first: int) -> None:
        self._lines = iter(lines)
        self._back: list[str] = []
        self.number = first - 1

    def next(self) -> str | None:
        line = self._back.pop() if self._back else next(self._lines, None)
        if line is not None:
            self.number += 1
        return line

    def back(self, lines: list[str]) -> None:
        self._back.extend(reversed(lines))
        self.number -= len(lines)


def _without_end(line: str) -> str:
    if line.endswith("\n"):
        line = line[:-1]
    return line[:-1] if line.endswith("\r") else line


@dataclasses.dataclass
class Repair:
    """What a strict copy left out or changed. Lines are numbered from 1."""

    rows: int = 0
    short: int = 0
    long: int = 0
    untidy: int = 0
    unclosed: int = 0
    nuls: int = 0
    first: dict[str, tuple[int, int]] = dataclasses.field(default_factory=dict)
    """Kind of trouble → (line, fields found there)."""
    examples: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    open_line: int | None = None
    """Where a quoted field opens that never ends."""
    long_line: int | None = None
    """Where a record begins that is longer than `MAX_RECORD`."""

    @property
    def ragged(self) -> int:
        return self.short + self.long + self.unclosed

    @property
    def trouble(self) -> int:
        return self.ragged + self.untidy + (1_000_000_000 if self.open_line or self.long_line else 0)

    def see(self, kind: str, record: Record) -> None:
        setattr(self, kind, getattr(self, kind) + 1)
        self.first.setdefault(kind, (record.line, record.width))
        seen = self.examples.setdefault(kind, [])
        if len(seen) < _EXAMPLES:
            seen.append(record.raw[:_EXAMPLE_LENGTH])

    def notes(self, name: str, expected: int) -> tuple[Note, ...]:
        words = {
            "long": ("left_out.fields", "rows of {name} have more fields than columns and are left out"),
            "unclosed": ("left_out.quote", "rows of {name} have a quote that is not closed and are left out"),
            "short": ("short_rows", "rows of {name} have fewer fields than columns: the rest is read as missing"),
            "untidy": ("quotes", "rows of {name} have text after a closing quote: it is read as part of the value"),
            "nuls": ("nul_bytes", "rows of {name} hold NUL bytes, which are dropped"),
        }
        found = []
        for kind, (code, text) in words.items():
            count = getattr(self, kind)
            if not count:
                continue
            said = text.format(name=name)
            if kind in self.first:
                line, width = self.first[kind]
                fields = f" has {width} fields, expected {expected}" if kind in ("long", "short") else ""
                said += f", the first is line {line:,}" + (f", which{fields}" if fields else "")
            found.append(Note(code, said, count, examples=tuple(self.examples.get(kind, ()))))
        return tuple(found)


def write_strictly(grammar: Grammar, records: Iterable[Record], width: int, target: Path) -> Repair:
    """Write the records to `target` in UTF-8 with the same delimiter and quote, quotes doubled and `width` fields each.

    Rows with fewer fields are filled up; rows with more are left out, unless the surplus is empty. Whether a value was
    quoted is kept: an unquoted NA is not the same as "NA".
    """
    repair = Repair()
    # A line of nothing is a row of one missing value, or no row.
    with target.open("w", encoding="utf-8", errors="replace", newline="") as copy:
        for record in records:
            if record.blank and width > 1:
                continue
            nuls = "\0" in record.raw
            if nuls:
                repair.nuls += 1
                record = dataclasses.replace(record, raw=record.raw.replace("\0", ""))
                if record.blank:
                    continue
            if (
                not record.endless
                and len(record.raw) > MAX_RECORD // 4
                and len(record.raw.encode("utf-8", "replace")) >= MAX_RECORD
            ):
                repair.long_line = record.line
                return repair
            if record.endless:
                repair.open_line = record.line
                return repair
            if not record.closed:
                repair.rows += 1
                repair.see("unclosed", record)
                continue
            repair.rows += 1
            if record.width == width and (record.strict or not (record.quoted or "\r" in record.raw)):
                copy.write(record.raw + "\n")
                continue
            fields = grammar.fields(record)
            if not record.tidy:
                repair.see("untidy", record)
            if len(fields) < width:
                repair.see("short", record)
                fields += [Field("", False)] * (width - len(fields))
            elif any(field.text or field.quoted for field in fields[width:]):
                repair.see("long", record)
                continue
            copy.write(grammar.delimiter.join(_written(grammar, field) for field in fields[:width]) + "\n")
    return repair


def _written(grammar: Grammar, field: Field) -> str:
    special = any(letter in field.text for letter in (grammar.delimiter, grammar.quote, "\n", "\r"))
    if not (field.quoted or special):
        return field.text
    return grammar.quote + field.text.replace(grammar.quote, grammar.quote * 2) + grammar.quote
