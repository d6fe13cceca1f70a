"""Files that are read as one table: what each column is, decided from all of them, and the parts to count."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from store.monitor import columns, parts
from store.monitor.columns import Treatment
from store.monitor.files.column_form import ColumnForm, form_of
from store.monitor.files.null_words import NULL_WORDS
from store.monitor.files.number_text import NumberForm
from store.monitor.files.text_rules import DEFAULT_RULES, TextRules
from store.monitor.notes import Note, merged
from store.monitor.parts import Format, Part

if TYPE_CHECKING:
    from store.monitor.files.typed_copy import TypedCopy

#: Names of a text column of a row group that say what it is; row groups and rows that are looked at for them at least.
_NAMES, _GROUPS, _ROWS = 300, 2, 200_000
#: Columns in which pandas keeps the index of a frame, and what it calls a CSV file's first column without a name.
_INDEX_NAME = re.compile(r"__index_level_\d+__|Unnamed: 0")


@dataclasses.dataclass(frozen=True)
class Column:
    """What the files say of a column: its type in words, and how its values are treated."""

    name: str
    type: str
    treatment: Treatment
    typed: bool = True
    """False where a file gives every value as text (CSV, JSON lines)."""
    has_values: bool = True


@dataclasses.dataclass(frozen=True)
class TableFiles:
    """Parquet files, in the order of the files that were asked for: those themselves, or typed copies of text."""

    paths: tuple[str, ...]
    columns: dict[str, Column]
    parts: list[Part]
    number_forms: dict[str, NumberForm]
    """Text columns whose numbers a cast would not read."""
    notes: tuple[Note, ...]
    copies: tuple[TypedCopy, ...] = ()
    """Kept while the parts are needed."""


def open_files(
    paths: Sequence[str],
    format: Format | None = None,
    rules: TextRules = DEFAULT_RULES,
    name: str = "",
) -> TableFiles:
    """Look at all the files' columns. Formats are told by suffixes unless `format` is given.

    `name` is what messages call a single file. Raises `Refusal` (usage) when a file cannot be read.
    """
    formats = {path: format or parts.format_of(path) for path in paths}
    texts = {path: known for path, known in formats.items() if known != "parquet"}
    copy_of = _copies(texts, rules, name) if texts else {}
    copies = tuple(copy_of.values())
    places = tuple(copy_of[path].path if path in copy_of else path for path in paths)
    readings = _Readings()
    for path, place in zip(paths, places, strict=True):
        copy = copy_of.get(path)
        readings.add(place, copy.forms if copy else None)
    all_parts = parts.parts_of(places)
    forms = readings.text_forms(all_parts, rules)
    long_integers = readings.long_integers(all_parts, rules)
    notes = tuple(merged(note for copy in copies for note in copy.notes))
    return TableFiles(
        places,
        readings.columns(forms, long_integers),
        all_parts,
        {name: form.number for name, form in forms.items() if form.kind == "number" and not form.number.plain},
        notes + tuple(_form_notes(forms)) + tuple(map(_long_note, sorted(long_integers))),
        copies,
    )


def null_word_categories(files: TableFiles, null_words: Sequence[str] = NULL_WORDS) -> dict[str, frozenset[str]]:
    """Column → the null words that are categories of it, such as a region NA, as far as a sample shows."""
    names = [name for name, column in files.columns.items() if column.treatment == "categorical" and column.has_values]
    words = {word for word in null_words if word}
    tokens = _sample_names(files.parts, names)
    found = {name: frozenset(words.intersection(token for token, _ in tokens[name])) for name in names}
    return {name: some for name, some in found.items() if some}


def _copies(texts: Mapping[str, Format], rules: TextRules, name: str) -> dict[str, TypedCopy]:
    # DuckDB takes its time to be imported, and Parquet files do without.
    from store.monitor.files.typed_copy import TextFile, typed_copies

    files = [TextFile(path, format, name or parts.name_of(path)) for path, format in texts.items()]
    return dict(zip(texts, typed_copies(files, rules), strict=True))


def _form_notes(forms: Mapping[str, ColumnForm]) -> Iterable[Note]:
    for name, form in forms.items():
        if form.kind == "number" and (words := form.number.describe()):
            yield Note("number_form", f"{name!r} is read as {words}", None, name)


def _long_note(name: str) -> Note:
    text = f"{name!r} holds integers beyond 2^53 that differ by less than a double shows: they are read as categories"
    return Note("long_integers", text, None, name)


_OF_FORM: dict[str, Treatment] = {
    "number": "numeric",
    "truth": "categorical",
    "text": "categorical",
    "time": "time",
    "nested": "nested",
    "names": "names",
}


@dataclasses.dataclass
class _Reading:
    """One column so far: rows by treatment, and by being text that is still to be judged."""

    type: str
    typed: bool
    by_treatment: dict[Treatment, int] = dataclasses.field(default_factory=dict)
    text_rows: int = 0
    has_values: bool = False
    may_be_long: bool = False
    """Whether it may hold integers that a double cannot tell apart."""


class _Readings:
    """What the files say of each column, file by file."""

    def __init__(self) -> None:
        self._by_name: dict[str, _Reading] = {}

    def add(self, path: str, copied: Mapping[str, ColumnForm] | None) -> None:
        """A Parquet file; `copied` are the forms of the text that it is a copy of."""
        opened = parts.open_parquet(path)
        rows = sum(opened.group_rows)
        for name, kind in opened.types.items():
            text = columns.is_text(kind)
            words = str(kind) if copied is None and not text else "text"
            reading = self._by_name.setdefault(name, _Reading(words, copied is None))
            reading.typed = reading.typed and copied is None
            form = copied[name].kind if copied is not None else None
            if not rows or form == "empty" or (copied is None and not opened.has_values(name)):
                continue
            if not reading.has_values:
                # A column that the first files leave empty has no type there.
                reading.type, reading.has_values = words, True
            treatment: Treatment
            if _INDEX_NAME.fullmatch(name):
                treatment = "names"
            elif form is not None:
                treatment = _OF_FORM[form]
                reading.may_be_long |= form == "number" and text
            elif text:
                reading.text_rows += rows
                continue
            else:
                treatment = columns.treatment(kind)
            reading.may_be_long |= opened.has_long_decimals(name)
            reading.by_treatment[treatment] = reading.by_treatment.get(treatment, 0) + rows

    def text_forms(self, all_parts: Sequence[Part], rules: TextRules) -> dict[str, ColumnForm]:
        """The forms of columns that some Parquet file has as text."""
        texts = [name for name, reading in self._by_name.items() if reading.text_rows]
        forms: dict[str, ColumnForm] = {}
        for name in texts:
            if (declared := rules.declared(name)) is not None:
                forms[name] = ColumnForm("number", declared)
            elif rules.wanted.get(name) == "text":
                forms[name] = ColumnForm("text")
        names = _sample_names(all_parts, [name for name in texts if name not in forms])
        for name, tokens in names.items():
            forms[name] = form_of(tokens, rules.null_words, as_number=rules.wanted.get(name) == "number")
        return forms

    def long_integers(self, all_parts: Sequence[Part], rules: TextRules) -> set[str]:
        """Columns of numbers whose differences doubles do not keep, such as ids beyond 2^53."""
        names = [
            name
            for name, reading in self._by_name.items()
            if reading.may_be_long and rules.wanted.get(name) != "number" and rules.declared(name) is None
        ]
        tokens = _sample_names(all_parts, names, texts=False)
        return {name for name in names if _merge_as_doubles([token for token, _ in tokens[name]])}

    def columns(self, forms: Mapping[str, ColumnForm], long_integers: set[str]) -> dict[str, Column]:
        """Each column as most rows of the files say; empty ones are categories that nobody has."""
        found: dict[str, Column] = {}
        for name, reading in self._by_name.items():
            rows = dict(reading.by_treatment)
            if reading.text_rows and forms[name].kind != "empty":
                treatment = _OF_FORM[forms[name].kind]
                rows[treatment] = rows.get(treatment, 0) + reading.text_rows
            most = max(rows, key=lambda one: rows[one]) if rows else "categorical"
            if most == "numeric" and name in long_integers:
                most = "categorical"
            found[name] = Column(name, reading.type, most, reading.typed, bool(rows))
        return found


def _sample_names(
    all_parts: Sequence[Part], names: Sequence[str], texts: bool = True
) -> dict[str, list[tuple[str, int]]]:
    """Distinct values of columns with their rows: of small files all, else from some row groups that hold any.

    `texts`: of those that have them as text.
    """
    tokens: dict[str, list[tuple[str, int]]] = {name: [] for name in names}
    missing = list(names)
    groups: dict[str, int] = dict.fromkeys(names, 0)
    rows: dict[str, int] = dict.fromkeys(names, 0)
    # Spread over all: files in an order begin and end otherwise.
    for part in _spread(all_parts):
        if not missing:
            break
        types = parts.open_parquet(part.path).types
        wanted = [name for name in missing if name in types and (columns.is_text(types[name]) or not texts)]
        if not wanted:
            continue
        for name, array in parts.read_group(part, wanted).items():
            counted = _distinct(array)
            tokens[name] += counted
            groups[name] += bool(counted)
            rows[name] += part.rows
            if groups[name] >= _GROUPS and rows[name] >= _ROWS:
                missing.remove(name)
    return tokens


def _spread(all_parts: Sequence[Part]) -> list[Part]:
    """The parts, so that any first few are spread over all."""
    count = len(all_parts)
    order: list[int] = []
    step = 1
    while step < count:
        step *= 2
    seen: set[int] = set()
    while step >= 1:
        for place in range(0, count, step):
            if place not in seen:
                seen.add(place)
                order.append(place)
        step //= 2
    return [all_parts[place] for place in order]


def _distinct(array: Any) -> list[tuple[str, int]]:
    """The values with their rows; of many, the most frequent ones and some that stand for the rest."""
    encoded = columns.categories(array)
    counts = np.bincount(encoded.codes, minlength=len(encoded.names) + 1)[: len(encoded.names)]
    # Even ones alone would miss the few that many rows hold.
    order = np.argsort(-counts, kind="stable")
    top, rest = order[:_NAMES], order[_NAMES:]
    step = max(1, len(rest) // _NAMES)
    sample = rest[::step]
    weight = counts[rest].sum() / max(1, counts[sample].sum())
    pairs = [(encoded.names[place], int(counts[place])) for place in top]
    return pairs + [(encoded.names[place], max(1, round(counts[place] * weight))) for place in sample]


def _merge_as_doubles(tokens: Sequence[str]) -> bool:
    """Whether more than one in twenty of the long integers among the values is another one's double."""
    whole = {int(token) for token in tokens if len(token) > 15 and token.removeprefix("-").isdecimal()}
    return len(set(map(float, whole))) < 0.95 * len(whole)
