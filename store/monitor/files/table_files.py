"""Files that are read as one table: what each column is, decided from all of them, and the parts to count."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from store.monitor import columns, parts
from store.monitor.columns import Treatment
from store.monitor.files.column_form import ColumnForm, form_of
from store.monitor.files.number_text import NumberForm
from store.monitor.files.text_rules import DEFAULT_RULES, TextRules
from store.monitor.notes import Note, merged
from store.monitor.parts import Format, Part

if TYPE_CHECKING:
    from store.monitor.files.typed_copy import TypedCopy

#: Names of a text column of a row group that say what it is; row groups and rows that are looked at for them at least.
_NAMES, _GROUPS, _ROWS = 300, 2, 200_000


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
    notes = tuple(merged(note for copy in copies for note in copy.notes))
    return TableFiles(
        places,
        readings.columns(forms),
        all_parts,
        {name: form.number for name, form in forms.items() if form.kind == "number" and not form.number.plain},
        notes + tuple(_form_notes(forms)),
        copies,
    )


def _copies(texts: Mapping[str, Format], rules: TextRules, name: str) -> dict[str, TypedCopy]:
    # DuckDB takes its time to be imported, and Parquet files do without.
    from store.monitor.files.typed_copy import TextFile, typed_copies

    files = [TextFile(path, format, name or parts.name_of(path)) for path, format in texts.items()]
    return dict(zip(texts, typed_copies(files, rules), strict=True))


def _form_notes(forms: Mapping[str, ColumnForm]) -> Iterable[Note]:
    for name, form in forms.items():
        if form.kind == "number" and (words := form.number.describe()):
            yield Note("number_form", f"{name!r} is read as {words}", None, name)


_OF_FORM: dict[str, Treatment] = {
    "number": "numeric",
    "truth": "categorical",
    "text": "categorical",
    "time": "time",
    "nested": "nested",
}


@dataclasses.dataclass
class _Reading:
    """One column so far: rows by treatment, and by being text that is still to be judged."""

    type: str
    typed: bool
    by_treatment: dict[Treatment, int] = dataclasses.field(default_factory=dict)
    text_rows: int = 0


class _Readings:
    """What the files say of each column, file by file."""

    def __init__(self) -> None:
        self._by_name: dict[str, _Reading] = {}

    def add(self, path: str, copied: Mapping[str, ColumnForm] | None) -> None:
        """A Parquet file; `copied` are the forms of the text that it is a copy of."""
        opened = parts.open_parquet(path)
        rows = sum(opened.group_rows)
        for name, kind in opened.types.items():
            words = str(kind) if copied is None else "text"
            reading = self._by_name.setdefault(name, _Reading(words, copied is None))
            reading.typed = reading.typed and copied is None
            if copied is not None:
                treatment = _OF_FORM.get(copied[name].kind)
            elif columns.is_text(kind) and opened.has_values(name):
                reading.text_rows += rows
                continue
            else:
                treatment = columns.treatment(kind) if opened.has_values(name) else None
            if treatment is not None:
                if copied is None and not reading.by_treatment:
                    # A column that the first files leave empty has no type there.
                    reading.type = words
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

    def columns(self, forms: Mapping[str, ColumnForm]) -> dict[str, Column]:
        """Each column as most rows of the files say; empty ones are categories that nobody has."""
        found: dict[str, Column] = {}
        for name, reading in self._by_name.items():
            rows = dict(reading.by_treatment)
            if reading.text_rows and forms[name].kind != "empty":
                treatment = _OF_FORM[forms[name].kind]
                rows[treatment] = rows.get(treatment, 0) + reading.text_rows
            most = max(rows, key=lambda one: rows[one]) if rows else "categorical"
            found[name] = Column(name, reading.type, most, reading.typed, bool(rows))
        return found


def _sample_names(all_parts: Sequence[Part], names: Sequence[str]) -> dict[str, list[tuple[str, int]]]:
    """Distinct values of text columns with their rows: of small files all, else from some row groups that hold any."""
    tokens: dict[str, list[tuple[str, int]]] = {name: [] for name in names}
    missing = list(names)
    groups: dict[str, int] = dict.fromkeys(names, 0)
    rows: dict[str, int] = dict.fromkeys(names, 0)
    # Spread over all: files in an order begin and end otherwise.
    for part in _spread(all_parts):
        if not missing:
            break
        types = parts.open_parquet(part.path).types
        wanted = [name for name in missing if name in types and columns.is_text(types[name])]
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
    encoded = columns.categories(array)
    counts = np.bincount(encoded.codes, minlength=len(encoded.names) + 1)
    step = max(1, len(encoded.names) // _NAMES)
    return [(encoded.names[place], int(counts[place])) for place in range(0, len(encoded.names), step)]
