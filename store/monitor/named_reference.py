"""References that model.json names: a version of a dataset, or what a deployment predicted in a window, as one file.

The window's file is made once, from the prediction files that were counted and the labels as they are known then; its
rows are in order, so that whoever names the same window gets the same bytes. From there on it is a reference like any
other: kept by its digest, and read again by the workers.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import duckdb

from store.catalog.manifest import PLAIN, ModelManifest, ReferenceSource
from store.database import Layout
from store.monitor import deployments, source
from store.monitor.files.times import column_times, time_sql
from store.monitor.multivariate import prediction_files
from store.monitor.reference import manifest_of
from store.monitor.workers.messages import File
from store.protocol import ExitCode, Refusal

_Answer = TypeVar("_Answer")
Read = Callable[[Callable[[duckdb.DuckDBPyConnection], _Answer]], _Answer]

#: Prediction files of one window; of more, so many evenly spaced ones.
MAX_FILES = 10_000
#: Predictions of one window.
MAX_ROWS = 20_000_000
_BATCH_ROWS = 100_000
_MEMORY = "1GB"


class NotYet(Exception):
    """What is named has not come: it may still."""


@dataclasses.dataclass(frozen=True)
class DatasetFile:
    """Where a dataset's version was seen, and the digest that it must still have."""

    digest: str
    path: str


def dataset_file(connection: duckdb.DuckDBPyConnection, named: ReferenceSource) -> DatasetFile:
    """The file of `named.dataset`. Raises `NotYet` when there is no such version."""
    dataset, _, version = named.dataset.partition("@")
    rows = connection.execute(
        "SELECT version, digest, source FROM dataset_version WHERE dataset = ? ORDER BY version", [dataset]
    ).fetchall()
    for number, digest, path in rows:
        if version in (str(number), digest):
            return DatasetFile(str(digest), str(path))
    known = f"{dataset} has versions {', '.join(str(row[0]) for row in rows[-10:])}" if rows else "no such dataset"
    raise NotYet(f"waits for its reference, {named}: {known}")


@dataclasses.dataclass(frozen=True)
class _Window:
    """What is known of a window's predictions: the table `known` of `local` has (prediction_id, event_us, prediction,
    score, label), one row each that counted, in the order of time."""

    local: duckdb.DuckDBPyConnection
    manifest: ModelManifest
    files: list[File]
    notes: list[str]


def window_file(read: Read[_Window], layout: Layout, named: ReferenceSource, folder: Path) -> tuple[Path, list[str]]:
    """The rows of a window as a new file in `folder`, and what is to be said of it.

    A row has the columns of its prediction file (but those that tell what a row is, which are called by their plain
    names) and `label` where one has come. Parquet; CSV where a file was one without types. Raises `NotYet` without
    predictions in the window, `Refusal` (usage) when they are more than `MAX_ROWS`, their files gone or unreadable.
    """
    with contextlib.ExitStack() as opened:

        def scratch() -> duckdb.DuckDBPyConnection:
            made = duckdb.connect(str(folder / "rows.duckdb"), config={"memory_limit": _MEMORY, "threads": 2})
            return opened.enter_context(contextlib.closing(made))

        try:
            found = read(lambda connection: _window(connection, layout, named, scratch))
            if not found.files:
                raise Refusal(
                    ExitCode.USAGE,
                    f"The prediction files of {named} are no longer where they were.",
                    "Name a window whose files are still in a watched folder.",
                )
            return _written(found, folder), found.notes
        except duckdb.Error as error:
            raise Refusal(
                ExitCode.USAGE, f"{named} cannot be read: {str(error).splitlines()[0][:300]}", "Name a shorter window."
            ) from error


def _window(
    connection: duckdb.DuckDBPyConnection,
    layout: Layout,
    named: ReferenceSource,
    scratch: Callable[[], duckdb.DuckDBPyConnection],
) -> _Window:
    """`scratch` opens an empty store for the rows, once it is known that there are some."""
    deployment, (since, until) = named.deployment, named.span
    span = [deployment, round(since * 1e6), round(until * 1e6)]
    within = "deployment = $1 AND event_at >= make_timestamp($2) AND event_at < make_timestamp($3)"
    rows: dict[str, int] = dict(
        connection.execute(
            f"SELECT version, count(*) FROM monitor_prediction WHERE {within} GROUP BY version", span
        ).fetchall()
    )
    version = named.version or max(rows, key=lambda name: (rows[name], name), default="")
    if not rows.get(version):
        raise NotYet(f"waits for its reference, {named}: no predictions of that time have come")
    if rows[version] > MAX_ROWS:
        raise Refusal(
            ExitCode.USAGE,
            f"reference: {named} has {rows[version]:,} predictions of version {version}; a window that is a reference"
            f" has at most {MAX_ROWS:,}",
            "Name a shorter window, or bring a sample of its rows as a dataset.",
            {"key": "reference", "found": f"{rows[version]:,} predictions"},
        )
    manifest = manifest_of(connection, deployments.split(deployment).model, version)
    # Labels are compared as text, but for those of regressions.
    label = "value" if manifest.task == "regression" else "label"
    local = scratch()
    coming = connection.sql(
        "WITH p AS MATERIALIZED (SELECT prediction_id, event_at, prediction, score FROM monitor_prediction"
        f" WHERE {within} AND version = $4), l AS (SELECT prediction_id, arg_max({label}, ordinal) AS label"
        " FROM monitor_label WHERE deployment = $1 AND prediction_id IN (SELECT prediction_id FROM p)"
        " GROUP BY prediction_id) SELECT p.prediction_id, epoch_us(p.event_at) AS event_us, p.prediction, p.score,"
        " l.label FROM p LEFT JOIN l USING (prediction_id)",
        params=[*span, version],
    ).to_arrow_reader(_BATCH_ROWS)
    local.register("coming", coming)
    local.execute("CREATE TABLE known AS SELECT * FROM coming ORDER BY event_us")
    local.unregister("coming")
    files, notes = prediction_files(connection, layout, deployment, version, since, until, most=MAX_FILES)
    return _Window(local, manifest, files, notes)


def _written(found: _Window, folder: Path) -> Path:
    local = found.local
    # Two workers' files of one name would be one to DuckDB's cache.
    local.execute("SET enable_external_file_cache = false")
    opened = [source.open_source(local, Path(file.path), file.format) for file in found.files]
    roles = source.role_columns([found.manifest])
    told = {name for names in roles.values() for name in names} | {source.VERSION_COLUMN}
    kinds = {name: kind for name, kind in _kinds([one.columns for one in opened]).items() if name not in told}
    regression = found.manifest.task == "regression"
    plain: Mapping[str, str] = {
        PLAIN.id: "known.prediction_id",
        PLAIN.time: "make_timestamp(known.event_us)",
        PLAIN.prediction: "known.score" if regression else "known.prediction",
        **({} if regression else {PLAIN.score: "known.score"}),
        PLAIN.label: "known.label",
    }
    made = ", ".join(f"{value} AS {source.quoted(name)}" for name, value in plain.items())
    nothing = "".join(f", NULL::{kind} AS {source.quoted(name)}" for name, kind in kinds.items())
    local.execute(f"CREATE TABLE rows AS SELECT {made}{nothing}, 0 AS file FROM known LIMIT 0")
    for number, one in enumerate(opened):
        identity, moment = one.find(*roles["id"]), one.find(*roles["time"])
        if identity is None or moment is None:
            continue
        declared = found.manifest.formats.get(moment)
        form, _ = column_times(local, one.relation, one.field(moment), one.columns[moment], declared)
        held = "".join(
            f", CAST(f.{source.quoted(one.field(name))} AS {kind}) AS {source.quoted(name)}"
            for name, kind in kinds.items()
            if name in one.columns
        )
        local.execute(
            f"INSERT INTO rows BY NAME SELECT {made}{held}, {number} AS file FROM (SELECT *,"
            f" {source.text_sql(one.field(identity), one.columns[identity])} AS its_id,"
            f" {time_sql(one.field(moment), one.columns[moment], form)} AS its_us FROM {one.relation}) AS f"
            " JOIN known ON f.its_id = known.prediction_id AND f.its_us = known.event_us"
        )
    path = folder / "rows"
    identity, moment = source.quoted(PLAIN.id), source.quoted(PLAIN.time)
    local.execute(
        f"COPY (SELECT * EXCLUDE (file) FROM rows QUALIFY row_number() OVER (PARTITION BY {identity} ORDER BY file) = 1"
        f" ORDER BY {moment}, {identity}) TO {source.literal(str(path))}"
        " (FORMAT PARQUET)"
    )
    return path


def _kinds(files: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Column → the type that holds its values of every file."""
    found: dict[str, str] = {}
    for columns in files:
        for name, kind in columns.items():
            before = found.setdefault(name, kind)
            if before != kind:
                both = source.is_number(before) and source.is_number(kind)
                found[name] = "DOUBLE" if both else "VARCHAR"
    return found
