"""Bounded samples of rows, read from the files themselves: the same rows whenever the same files are asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from store.catalog.manifest import ModelManifest
from store.monitor import source
from store.monitor.bins import Floats, Integers
from store.monitor.files.times import TimeForm, column_times, time_sql
from store.monitor.source import Source
from store.monitor.workers.messages import File
from store.protocol import Refusal


@dataclasses.dataclass(frozen=True)
class Rows:
    """Columns of a sample, by feature: float64 with NaN if numeric, else text with None; all of `size` rows.

    `event` is seconds since the epoch (0 without a time), `prediction` and `target` numbers (NaN where there is none).
    `total` rows were there to choose from.
    """

    columns: dict[str, Any]
    event: Floats
    prediction: Floats
    target: Floats
    file: Integers
    size: int
    total: int

    def where(self, mask: Any) -> Rows:
        return Rows(
            {name: column[mask] for name, column in self.columns.items()},
            self.event[mask], self.prediction[mask], self.target[mask], self.file[mask], int(mask.sum()), self.total,
        )  # fmt: skip


def connect() -> duckdb.DuckDBPyConnection:
    """One thread, so that a seeded sample is the same each time; little memory."""
    return duckdb.connect(":memory:", config={"threads": 1, "memory_limit": "1GB"})


def sample(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[File],
    manifest: ModelManifest,
    features: dict[str, str],
    limit: int,
    seed: int,
    *,
    version: str = "",
    only_version: bool = False,
    since: float | None = None,
    until: float | None = None,
) -> tuple[Rows, list[str]]:
    """(at most `limit` rows of the files, what was odd). With `since` and `until` only rows whose time lies in between.

    Files that are gone or cannot be read are left out and said.
    """
    notes = []
    parts, sources = [], []
    for place, file in enumerate(files):
        try:
            opened = source.open_source(connection, Path(file.path), file.format)
        except (Refusal, OSError) as error:
            said = error.message if isinstance(error, Refusal) else str(error)
            notes.append(f"left out: {said}"[:300])
            continue
        # Kept as long as the query: what it reads may be a copy that goes with it.
        sources.append(opened)
        timed = since is not None
        try:
            form = _time_form(connection, opened, manifest) if timed else None
        except duckdb.Error as error:
            raise source.unreadable(opened.path, error) from error
        parts.append(_select(opened, place, manifest, features, version, only_version, form))
    if not parts:
        return _nothing(features), notes
    query = " UNION ALL ".join(parts)
    params: list[Any] = []
    if since is not None and until is not None:
        query = f"SELECT * FROM ({query}) WHERE event >= ? AND event < ?"
        params = [since, until]
    try:
        total = int(connection.execute(f"SELECT count(*) FROM ({query})", params).fetchall()[0][0])
        found = connection.execute(
            f"SELECT * FROM ({query}) USING SAMPLE reservoir({limit} ROWS) REPEATABLE ({seed})", params
        ).fetchnumpy()
    except duckdb.Error as error:
        raise source.unreadable(Path(files[0].path), error) from error
    return _rows(found, features, total), notes


def _time_form(connection: duckdb.DuckDBPyConnection, opened: Source, manifest: ModelManifest) -> TimeForm:
    moment = opened.find(*source.role_columns([manifest])["time"])
    if moment is None:
        return TimeForm()
    declared = manifest.formats.get(moment)
    return column_times(connection, opened.relation, opened.field(moment), opened.columns[moment], declared)[0]


def _select(
    opened: Source,
    place: int,
    manifest: ModelManifest,
    features: dict[str, str],
    version: str,
    only_version: bool,
    form: TimeForm | None,
) -> str:
    """`form` says how the times are read (null: they are not)."""
    columns, roles = opened.columns, source.role_columns([manifest])
    moment = opened.find(*roles["time"])
    answer = opened.find(*roles["prediction"], *roles["score"])
    label = opened.find(*roles["label"])

    def number(column: str | None) -> str:
        return source.number_sql(opened.field(column), columns[column])[0] if column else "NULL::DOUBLE"

    parts = [
        f"{place}::BIGINT AS file",
        f"{time_sql(opened.field(moment), columns[moment], form)} / 1e6 AS event"
        if moment and form
        else "0.0::DOUBLE AS event",
        f"{number(answer)} AS prediction",
        f"{number(label)} AS target",
    ]
    for at, (name, kind) in enumerate(features.items()):
        if name not in columns:
            parts.append(f"NULL::{'DOUBLE' if kind == 'numeric' else 'VARCHAR'} AS f{at}")
        elif kind == "numeric":
            parts.append(f"{number(name)} AS f{at}")
        else:
            parts.append(f"left({source.category_sql(opened.field(name), columns[name])}, 200) AS f{at}")
    versions = opened.find(source.VERSION_COLUMN)
    condition = "true"
    if version and versions:
        text = source.text_sql(opened.field(versions), columns[versions])
        condition = f"{text} = {source.literal(version)}" + ("" if only_version else f" OR {text} IS NULL")
    return f"SELECT {', '.join(parts)} FROM {opened.relation} WHERE {condition}"


def _rows(found: dict[str, Any], features: dict[str, str], total: int) -> Rows:
    def numbers(name: str) -> Floats:
        return np.ma.filled(np.ma.asarray(found[name], np.float64), np.nan)

    columns: dict[str, Any] = {}
    for at, (name, kind) in enumerate(features.items()):
        if kind == "numeric":
            values = numbers(f"f{at}")
            columns[name] = np.where(np.isfinite(values), values, np.nan)
        else:
            texts = np.ma.asarray(found[f"f{at}"])
            columns[name] = np.ma.getdata(texts).astype(object)
            columns[name][np.ma.getmaskarray(texts)] = None
    files = np.ma.getdata(found["file"]).astype(np.int64)
    return Rows(columns, numbers("event"), numbers("prediction"), numbers("target"), files, len(files), total)


def _nothing(features: dict[str, str]) -> Rows:
    empty = np.zeros(0)
    columns = {name: empty if kind == "numeric" else empty.astype(object) for name, kind in features.items()}
    return Rows(columns, empty, empty, empty, empty.astype(np.int64), 0, 0)


#: Categories with a number of their own; the rest shares the last one (scikit-learn takes at most 255).
MAX_CODES = 250


def coded(kinds: dict[str, str], *samples: Rows) -> tuple[list[Floats], list[bool]]:
    """(matrices rows × features, one a sample, which features are categorical): categories by number of frequency in
    all samples together, missing values NaN."""
    matrices = [np.full((sample.size, len(kinds)), np.nan) for sample in samples]
    for at, (name, kind) in enumerate(kinds.items()):
        if kind == "numeric":
            for matrix, sample in zip(matrices, samples, strict=True):
                matrix[:, at] = sample.columns[name]
            continue
        values = [sample.columns[name] for sample in samples]
        held = np.concatenate(values)
        known = held[held != None]  # noqa: E711  # elementwise
        unique, counts = np.unique(known.astype(str), return_counts=True)
        order = unique[np.argsort(-counts, kind="stable")]
        number = {value: float(min(place, MAX_CODES)) for place, value in enumerate(order.tolist())}
        for matrix, column in zip(matrices, values, strict=True):
            matrix[:, at] = [np.nan if value is None else number[str(value)] for value in column]
    return matrices, [kind != "numeric" for kind in kinds.values()]
