"""Listings: the one way that every table on a screen and every `quarterdeck ls` is answered.

A room describes what it can list (`SqlListing` over a table or view, `ComputedListing` over rows it works
out); `Listings` filters, sorts and cuts out the page that was asked for, so that no console ever holds more
than what it shows.
"""

from __future__ import annotations

import dataclasses
import math
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import duckdb
import numpy as np
import numpy.typing as npt

from store.catalog import filter as filters
from store.catalog.natural import natural_key, natural_sql
from store.catalog.silence import MOMENT
from store.database import times
from store.database.rows import first_row
from store.protocol import Cell, Column, ExitCode, ListParams, Located, Page, Refusal

MAX_PAGE = 10_000
_NUMERIC = frozenset({"number", "time", "duration", "share", "bytes"})
_SORT_QUOTED = re.compile(r'("(?:[^"\\]|\\.)*")(?::(asc|desc))?')


@dataclasses.dataclass(frozen=True)
class Source:
    """`FROM … WHERE …` of a listing at one moment: `sql` is what follows FROM, `where` a condition."""

    sql: str
    where: str = "true"
    params: tuple[Any, ...] = ()


@dataclasses.dataclass(frozen=True)
class SqlListing:
    """Rows of a table or view.

    `columns(connection)` gives each column with the SQL that computes it, the first being the row's unique
    `id`; times as `epoch(…)`; `{moment}` in it is the moment that is asked for. `source(at)` is what to read as
    of `at` (null: now). `scopes` maps the scope keys it understands to SQL. `default_shown` bounds how many
    columns a page carries when none are named.
    """

    kind: str
    columns: Callable[[duckdb.DuckDBPyConnection], list[tuple[Column, str]]]
    source: Callable[[datetime | None], Source]
    default_sort: str
    name_column: str = "name"
    scopes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    has_rowid: bool = False
    """True for a plain table: big sorts then go over row ids alone and fetch only the page's rows."""
    default_shown: int = 40
    tie: str = ""
    """SQL that orders rows of which the sorted column is the same, a value of its own for each; "" takes the id."""
    natural: frozenset[str] = frozenset()
    """Columns of names with numbers in them: they sort as 9, 10, 11 (`store.catalog.natural`)."""
    sort_keys: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """SQL to sort a column by where that is not its own value."""

    form_of: Callable[[str], filters.Form] = lambda _name: "plain"
    """How the values of the column of that name compare and sort."""

    def sort_key(self, column: str, sql: str) -> str:
        """What rows are sorted by where `column`, which is computed by `sql`, is asked for."""
        if column in self.sort_keys:
            return self.sort_keys[column]
        return natural_sql(sql) if column in self.natural else sql


@dataclasses.dataclass(frozen=True)
class ComputedListing:
    """Rows that a room works out (drift, performance, the fleet): `compute` sees the whole request.

    Cells that cost much (the columns `costly`) it may leave null: `fill` works them out of the rows that are shown, or
    of all where the request filters or sorts by them, in place.
    """

    kind: str
    columns: Sequence[Column]
    compute: Callable[[duckdb.DuckDBPyConnection, ListParams], Iterable[Sequence[Cell]]]
    default_sort: str
    name_column: str = "name"
    costly: frozenset[str] = frozenset()
    fill: Callable[[duckdb.DuckDBPyConnection, ListParams, list[list[Cell]]], None] | None = None

    def decides(self, params: ListParams) -> bool:
        """Whether the request filters or sorts by what costs much."""
        columns = {column.name: column for column in self.columns}
        named = {term.column for term in filters.parse(params.filter, columns)}
        return bool(self.costly & {*named, sort_order(params.sort or self.default_sort, columns)[0].name})

    def shows(self, params: ListParams) -> bool:
        """Whether what costs much is among the columns that are asked for."""
        return not params.columns or bool(self.costly & {*params.columns})

    natural: frozenset[str] = frozenset()
    """As of `SqlListing`."""


Listing = SqlListing | ComputedListing


class Listings:
    """Every listing of the store by kind."""

    def __init__(self, listings: Iterable[Listing]) -> None:
        self._by_kind = {listing.kind: listing for listing in listings}
        self._totals = _Totals()

    @property
    def kinds(self) -> list[str]:
        return sorted(self._by_kind)

    def page(self, connection: duckdb.DuckDBPyConnection, params: ListParams, sequence: int = 0) -> Page:
        """The page that `params` asks for. Raises `Refusal` (usage) that names what was wrong."""
        listing = self._find(params)
        if isinstance(listing, SqlListing):
            query = _Query(connection, listing, params)
            columns, rows, total = query.page(self._totals, sequence)
            left_out = 0 if params.columns else query.column_count - len(columns)
        else:
            left_out = 0
            columns = list(listing.columns)
            kept = _computed(connection, listing, params)
            rows, total = kept[params.offset : params.offset + params.limit], len(kept)
            if listing.fill is not None and listing.shows(params) and not listing.decides(params):
                listing.fill(connection, params, rows)
        return Page(params.kind, columns, rows, total, params.offset, sequence, times.now().timestamp(), left_out)

    def locate(self, connection: duckdb.DuckDBPyConnection, params: ListParams, row_id: str) -> Located:
        """Where the row `row_id` stands in that order; offset null when it is not among the rows."""
        listing = self._find(params)
        if isinstance(listing, SqlListing):
            return _Query(connection, listing, params).locate(row_id)
        rows = _computed(connection, listing, params)
        offset = next((place for place, row in enumerate(rows) if row[0] == row_id), None)
        return Located(offset, len(rows))

    def _find(self, params: ListParams) -> Listing:
        listing = self._by_kind.get(params.kind)
        if listing is None:
            raise Refusal(ExitCode.USAGE, f"There is no listing {params.kind!r}.", "One of: " + ", ".join(self.kinds))
        if params.offset < 0 or not 0 <= params.limit <= MAX_PAGE:
            raise Refusal(
                ExitCode.USAGE, f"offset {params.offset}, limit {params.limit}", f"0 or more, at most {MAX_PAGE} rows."
            )
        return listing


def sort_order(sort: str, columns: Mapping[str, Column]) -> tuple[Column, bool]:
    """`COL[:desc|asc]` as the column and whether it descends. Raises `Refusal`.

    In quotation marks stands a name and nothing else: `"loss:desc":desc` is the metric that is called so. Without
    them the end is a direction wherever what stands before it is a column.
    """
    name, direction = sort, "asc"
    match = _SORT_QUOTED.fullmatch(sort)
    if match:
        name, direction = filters.unquoted(match[1]), match[2] or "asc"
    else:
        before, _, end = sort.rpartition(":")
        if end in ("asc", "desc") and (before in columns or sort not in columns):
            name, direction = before, end
    if name not in columns:
        raise Refusal(
            ExitCode.USAGE,
            f"Cannot sort by {sort[:80]!r}: {filters.no_column(name, columns)}",
            'COL or COL:desc; a name that ends in :desc is put in quotation marks: "NAME":desc',
        )
    return columns[name], direction == "desc"


class _SortKey(NamedTuple):
    """One expression of ORDER BY; null stands last whichever way it goes."""

    sql: str
    descending: bool

    def order(self, reverse: bool) -> str:
        direction = "DESC" if self.descending != reverse else "ASC"
        return f"{self.sql} {direction} NULLS {'FIRST' if reverse else 'LAST'}"

    def before(self, value: object) -> tuple[str, list[object]]:
        """Which rows this key alone puts before one of `value`."""
        if value is None:
            return f"{self.sql} IS NOT NULL", []
        return f"{self.sql} {'>' if self.descending else '<'} ?", [value]


def _sort_keys(sql: str, form: filters.Form, descending: bool) -> list[_SortKey]:
    """What a column sorts by, whichever way: numbers, then what is none (texts; NaN), then what is absent."""
    if form == "float":
        # DuckDB takes NaN for the greatest number; null is last both ways, and among those NaN comes first.
        return [_SortKey(f"nullif({sql}, 'nan'::DOUBLE)", descending), _SortKey(f"({sql} IS NULL)", False)]
    if form == "mixed":
        # Whole numbers beyond 2^53, of which several are one DOUBLE, are told apart by the second.
        keys = f"nullif(TRY_CAST({sql} AS DOUBLE), 'nan'::DOUBLE)", f"TRY_CAST({sql} AS HUGEINT)", sql
        return [_SortKey(key, descending) for key in keys]
    return [_SortKey(sql, descending)]


class _Totals:
    """How many rows each listing and filter has, kept until the next change: scrolling counts once.

    `sequence` is the change feed's, read before the snapshot; 0 means that the caller has none.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sequence = 0
        self._known: dict[tuple[str, str], int] = {}

    def known(self, sequence: int, key: tuple[str, str]) -> int | None:
        with self._lock:
            return self._known.get(key) if sequence and sequence == self._sequence else None

    def remember(self, sequence: int, key: tuple[str, str], total: int) -> None:
        with self._lock:
            if sequence < self._sequence:
                return
            if sequence > self._sequence or len(self._known) > 1000:
                self._known.clear()
                self._sequence = sequence
            self._known[key] = total


class _Query:
    """One request against a `SqlListing`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, listing: SqlListing, params: ListParams) -> None:
        self._connection = connection
        self._listing = listing
        self._params = params
        described = listing.columns(connection)
        self._all = {column.name: column for column, _ in described}
        at = times.asked(params.at)
        moment = f"{(at or times.now()).timestamp()!r}::DOUBLE"
        self._sql = {column.name: sql.replace(MOMENT, moment) for column, sql in described}
        source = listing.source(at)
        conditions, bound = [f"({source.where})"], list(source.params)
        for key, value in params.scope.items():
            if key not in listing.scopes:
                raise Refusal(ExitCode.USAGE, f"{listing.kind} have no {key!r}", f"One of: {', '.join(listing.scopes)}")
            conditions.append(f"{listing.scopes[key]} = ?")
            bound.append(value)
        if params.filter.strip():
            condition, values = filters.to_sql(
                params.filter, self._all, self._sql, listing.name_column, listing.form_of
            )
            conditions.append(f"({condition})")
            bound += values
        self._from = f"FROM {source.sql} WHERE {' AND '.join(conditions)}"
        self._bound = bound
        self._column, self._descending = sort_order(params.sort or listing.default_sort, self._all)
        self._key = listing.sort_key(self._column.name, self._sql[self._column.name])
        tie = "rowid" if listing.has_rowid else listing.tie or self._sql[described[0][0].name]
        form = listing.form_of(self._column.name)
        # Of rows with equal keys, and with none, the tie-breaker decides.
        self._keys = [*_sort_keys(self._key, form, self._descending), _SortKey(tie, self._descending)]

    @property
    def column_count(self) -> int:
        return len(self._all)

    def page(self, totals: _Totals, sequence: int) -> tuple[list[Column], list[list[Cell]], int]:
        shown = self._shown()
        key = (self._from, repr(self._bound))
        total = totals.known(sequence, key)
        if total is None:
            total = int(self._one(f"SELECT count(*) {self._from}", self._bound)[0])
            totals.remember(sequence, key, total)
        select = ", ".join(f"{self._sql[column.name]} AS c{place}" for place, column in enumerate(shown))
        limit, offset = self._params.limit, self._params.offset
        if limit == 0 or offset >= total:
            return shown, [], total
        if not self._listing.has_rowid:
            rows = self._execute(
                f"SELECT {select} {self._from} ORDER BY {self._order()} LIMIT ? OFFSET ?", [*self._bound, limit, offset]
            ).fetchall()
        else:
            ids = self._row_ids(total)
            table = self._listing.source(None).sql
            found = self._execute(
                f"SELECT rowid, {select} FROM {table} WHERE rowid IN (SELECT unnest(?::BIGINT[]))", [ids]
            ).fetchall()
            by_id = {row[0]: row[1:] for row in found}
            rows = [by_id[row_id] for row_id in ids if row_id in by_id]
        told = [self._listing.form_of(column.name) == "float" for column in shown]
        return shown, [[_cell(value, nan) for value, nan in zip(row, told, strict=True)] for row in rows], total

    def locate(self, row_id: str) -> Located:
        total = int(self._one(f"SELECT count(*) {self._from}", self._bound)[0])
        identity = next(iter(self._sql.values()))
        keys = ", ".join(key.sql for key in self._keys)
        found = first_row(
            self._execute(f"SELECT {keys} {self._from} AND {identity} = ? LIMIT 1", [*self._bound, row_id])
        )
        if found is None:
            return Located(None, total)
        cases: list[str] = []
        values: list[object] = []
        for place, key in enumerate(self._keys):
            condition, bound = key.before(found[place])
            equal = [f"{other.sql} IS NOT DISTINCT FROM ?" for other in self._keys[:place]]
            cases.append(f"({' AND '.join([*equal, condition])})")
            values += [*found[:place], *bound]
        return Located(
            int(self._one(f"SELECT count(*) {self._from} AND ({' OR '.join(cases)})", [*self._bound, *values])[0]),
            total,
        )

    def _shown(self) -> list[Column]:
        if self._params.all_columns:
            return list(self._all.values())
        if not self._params.columns:
            plain = list(self._all)[: self._listing.default_shown]
            # What rows were chosen and ordered by is to be seen, wherever it stands.
            named = [term.column for term in filters.parse(self._params.filter, self._all) if term.column]
            return [self._all[name] for name in dict.fromkeys([*plain, *named, self._column.name])]
        unknown = [name for name in self._params.columns if name not in self._all]
        if unknown:
            raise Refusal(ExitCode.USAGE, f"{self._listing.kind} have no column {unknown[0]!r}.")
        first = next(iter(self._all))
        return [self._all[name] for name in dict.fromkeys([first, *self._params.columns])]

    def _order(self, reverse: bool = False) -> str:
        return ", ".join(key.order(reverse) for key in self._keys)

    def _row_ids(self, total: int) -> list[int]:
        limit, offset = self._params.limit, self._params.offset
        if self._column.kind in _NUMERIC and offset > 2000 and total - offset > 2000:
            return self._row_ids_in_the_middle(total)
        # From whichever end is nearer: the last page then costs what the first does.
        reverse = offset > total // 2
        start = max(0, total - offset - limit) if reverse else offset
        count = min(limit, total - offset)
        rows = self._execute(
            f"SELECT rowid {self._from} ORDER BY {self._order(reverse)} LIMIT ? OFFSET ?", [*self._bound, count, start]
        ).fetchall()
        ids = [int(row[0]) for row in rows]
        return ids[::-1] if reverse else ids

    def _row_ids_in_the_middle(self, total: int) -> list[int]:
        """Select the page by partition instead of sorting a million keys: linear, wherever the page is."""
        columns = self._execute(f"SELECT rowid AS r, ({self._key})::DOUBLE AS k {self._from}", self._bound).fetchnumpy()
        ids: npt.NDArray[np.int64] = np.asarray(columns["r"])
        masked = np.ma.asarray(columns["k"], dtype=np.float64)
        keys: npt.NDArray[np.float64] = masked.filled(np.nan)
        # NaN and null stand last, in this order, whichever way the sort goes.
        present, null = ~np.isnan(keys), np.ma.getmaskarray(masked)
        turn = -1 if self._descending else 1
        absent_ids = np.concatenate([np.sort(ids[~present & ~null])[::turn], np.sort(ids[null])[::turn]])
        ids, keys = ids[present], keys[present]
        if self._descending:
            keys, ids = -keys, -ids
        start, stop = self._params.offset, min(self._params.offset + self._params.limit, total)
        chosen: list[int] = []
        if start < len(keys):
            last = min(stop, len(keys)) - 1
            parted = np.partition(keys, [start, last])
            low, high = parted[start], parted[last]
            inside = np.flatnonzero((keys >= low) & (keys <= high))
            below = int(np.count_nonzero(keys < low))
            order = inside[np.lexsort((ids[inside], keys[inside]))]
            chosen = [abs(int(row)) for row in ids[order[start - below : last + 1 - below]]]
        if stop > len(keys):
            chosen += [int(row) for row in absent_ids[max(0, start - len(keys)) : stop - len(keys)]]
        return chosen

    def _execute(self, sql: str, params: list[Any]) -> duckdb.DuckDBPyConnection:
        try:
            return self._connection.execute(sql, params)
        except (duckdb.InvalidInputException, duckdb.OutOfRangeException, duckdb.ConversionException) as error:
            # DuckDB's regular expressions are RE2: no look-around, no back-references.
            raise Refusal(ExitCode.USAGE, f"Bad filter {self._params.filter[:80]!r}: {str(error)[:200]}") from error

    def _one(self, sql: str, params: list[Any]) -> tuple[Any, ...]:
        row: tuple[Any, ...] | None = first_row(self._execute(sql, params))
        return row or (0,)


def _computed(connection: duckdb.DuckDBPyConnection, listing: ComputedListing, params: ListParams) -> list[list[Cell]]:
    columns = {column.name: column for column in listing.columns}
    keep = filters.to_predicate(params.filter, listing.columns, listing.name_column)
    column, descending = sort_order(params.sort or listing.default_sort, columns)
    place = list(columns).index(column.name)
    every = [list(row) for row in listing.compute(connection, params)]
    if listing.fill is not None and listing.decides(params):
        listing.fill(connection, params, every)
    rows = [row for row in every if keep(row)]
    present = [row for row in rows if row[place] is not None and not _is_nan(row[place])]
    natural = column.name in listing.natural
    present.sort(key=lambda row: _sortable(row[place], natural), reverse=descending)
    nan = [row for row in rows if _is_nan(row[place])]
    return [*present, *nan, *(row for row in rows if row[place] is None)]


def _is_nan(cell: Cell) -> bool:
    return isinstance(cell, float) and math.isnan(cell)


def _sortable(cell: Cell, natural: bool) -> tuple[int, Any]:
    """Numbers before texts, so that a mixed column still has an order; texts as 9, 10, 11 where they are `natural`."""
    if isinstance(cell, int | float):
        return (0, cell)
    if isinstance(cell, list):
        return (2, [value or 0.0 for value in cell])
    return (1, natural_key(str(cell)) if natural else str(cell))


def _cell(value: Any, tell_nan: bool = False) -> Cell:
    """A value for the wire: infinities, and NaN where it was measured rather than not defined, as texts."""
    if isinstance(value, datetime):
        return times.seconds(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) and not tell_nan else str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [None if item is None else float(item) for item in value]
    return str(value)
