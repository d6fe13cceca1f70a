"""The catalog's listings: datasets, runs, models, versions and the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime

import duckdb

from store.catalog.filter import Form
from store.catalog.listing import Listing, Source, SqlListing
from store.catalog.models import ARTIFACT_SQL, FILES_SQL, NEWEST_FIRST
from store.catalog.natural import natural_sql
from store.catalog.run_columns import RunColumns
from store.catalog.silence import LAST_WORD, SILENT_AFTER, silence
from store.database import times
from store.protocol import Column, Kind


def fixed(*columns: tuple[str, Kind, int, str]) -> Callable[[duckdb.DuckDBPyConnection], list[tuple[Column, str]]]:
    """Columns that do not depend on the store's content: (name, kind, priority, SQL)."""
    described = [(Column(name, kind, priority=priority), sql) for name, kind, priority, sql in columns]
    return lambda _connection: described


def recorded(table: str, column: str = "recorded_at") -> Callable[[datetime | None], Source]:
    """An append-only table or view as it stood at a moment."""

    def source(at: datetime | None) -> Source:
        return Source(table) if at is None else Source(table, f"{column} <= ?", (times.to_db(at),))

    return source


def _run_columns(connection: duckdb.DuckDBPyConnection, silent_after: float) -> list[tuple[Column, str]]:
    keys = RunColumns.read(connection).known
    metrics = [key for key in keys if key.startswith("metric.")]
    params = [key for key in keys if key.startswith("param.")]
    # Interleaved, so that a page that shows only the first few shows some of both.
    shown = sorted(keys, key=lambda key: (metrics if key.startswith("metric.") else params).index(key))
    base: list[tuple[str, Kind, int, str]] = [
        ("id", "text", 9, "name"),
        ("name", "text", 0, "name"),
        ("status", "health", 0, "status"),
        ("silence", "text", 1, silence(after=silent_after)),
        ("started", "time", 1, "epoch(started_at)"),
        ("duration", "duration", 2, "epoch(ended_at) - epoch(started_at)"),
        ("owner", "text", 3, '"owner"'),
        ("host", "text", 6, "host"),
        ("commit", "text", 5, "revision[:12] || CASE WHEN dirty THEN '+' ELSE '' END"),
        ("sequence", "number", 9, "sequence"),
        ("recorded", "time", 7, "epoch(recorded_at)"),
        ("last_metric", "time", 8, "epoch(last_metric_at)"),
        ("last_word", "time", 8, LAST_WORD),
        ("attempts", "number", 8, "attempts"),
        ("parent", "text", 8, "parent"),
        ("tags", "json", 8, "tags"),
    ]
    described = [(Column(name, kind, priority=priority), sql) for name, kind, priority, sql in base]
    # A heading is the name alone where no other one reads the same, in whatever case.
    headings = Counter([name for name, *_ in base] + [key.partition(".")[2].casefold() for key in keys])
    for place, key in enumerate(shown):
        kind: Kind = "number" if key.startswith("metric.") else "text"
        bare = key.partition(".")[2]
        title = bare if headings[bare.casefold()] == 1 else key
        described.append((Column(key, kind, title, 2 + place // 3), f'"{keys[key]}"'))
    return described


def _run_form(column: str) -> Form:
    return "float" if column.startswith("metric.") else "mixed" if column.startswith("param.") else "plain"


def _run_source(at: datetime | None) -> Source:
    if at is None:
        return Source("run", "superseded_at IS NULL")
    moment = times.to_db(at)
    return Source("run", "recorded_at <= ? AND (superseded_at IS NULL OR superseded_at > ?)", (moment, moment))


def runs_listing(silent_after: float = SILENT_AFTER) -> SqlListing:
    """Runs; those that are running and gave no word for `silent_after` seconds are said to be silent."""
    return SqlListing(
        "runs",
        lambda connection: _run_columns(connection, silent_after),
        _run_source,
        "sequence:desc",
        scopes={"parent": "parent"},
        has_rowid=True,
        default_shown=40,
        form_of=_run_form,
    )


RUNS = runs_listing()

DATASETS = SqlListing(
    "datasets",
    fixed(
        ("id", "text", 9, "dataset || '@' || version"),
        ("name", "text", 0, "dataset"),
        ("version", "number", 0, "version"),
        ("rows", "number", 1, "row_count"),
        ("bytes", "bytes", 2, "bytes"),
        ("format", "text", 4, "format"),
        ("fields", "number", 3, "json_array_length(columns::JSON)"),
        ("digest", "text", 5, "digest[8:19]"),
        ("owner", "text", 4, '"owner"'),
        ("source", "text", 6, "source"),
        ("recorded", "time", 1, "epoch(recorded_at)"),
    ),
    recorded("dataset_version"),
    "recorded:desc",
    scopes={"dataset": "dataset"},
    tie="sequence",
    natural=frozenset({"id", "name"}),
)


def _version_source(at: datetime | None) -> Source:
    """Versions with their `rank` among those of their model: 1 is the newest by what they say themselves."""
    condition = "true" if at is None else "v.recorded_at <= ?"
    # Natural keys are worked out once: the sort, its ties and the rank all go by them.
    return Source(
        "(SELECT *, row_number() OVER (PARTITION BY model"
        " ORDER BY created_at DESC NULLS LAST, version_key DESC, version DESC) AS rank,"
        " max(sequence) OVER (PARTITION BY model) AS last_of_model"
        f" FROM (SELECT v.*, {FILES_SQL} AS files, {natural_sql('model')} AS model_key,"
        f" {natural_sql('version')} AS version_key FROM model_version AS v WHERE {condition}))",
        params=() if at is None else (times.to_db(at),),
    )


_VERSION_KEY = "model_key || chr(1) || version_key"
VERSIONS = SqlListing(
    "versions",
    fixed(
        ("id", "text", 9, "model || '@' || version"),
        ("name", "text", 0, "model || '@' || version"),
        ("model", "text", 8, "model"),
        ("version", "text", 8, "version"),
        ("rank", "number", 8, "rank"),
        ("artifact", "text", 2, ARTIFACT_SQL),
        ("flavour", "text", 2, "CASE WHEN flagged <> '' THEN flavour || ' (flagged)' ELSE flavour END"),
        ("task", "text", 3, "task"),
        ("run", "text", 2, "run"),
        ("metrics", "json", 1, "manifest->>'$.metrics'"),
        ("digest", "text", 4, "digest[8:19]"),
        ("owner", "text", 5, '"owner"'),
        ("created", "time", 3, "epoch(created_at)"),
        ("registered", "time", 1, "epoch(recorded_at)"),
        ("notes", "number", 4, "json_array_length(notes)"),
    ),
    _version_source,
    # The model that something was registered of last on top, its versions from the newest on.
    "rank",
    scopes={"model": "model"},
    tie=f"{_VERSION_KEY} || chr(1) || model || '@' || version",
    natural=frozenset({"run"}),
    sort_keys={
        "id": _VERSION_KEY,
        "name": _VERSION_KEY,
        "model": "model_key",
        "version": "version_key",
        "rank": "rank - last_of_model * 1000000",
    },
)


def _model_source(at: datetime | None) -> Source:
    condition = "true" if at is None else "recorded_at <= ?"
    params = () if at is None else (times.to_db(at),)
    return Source(
        '(SELECT model, version AS newest, task, "owner", count(*) OVER (PARTITION BY model) AS versions,'
        " max(recorded_at) OVER (PARTITION BY model) AS registered_at"
        f" FROM model_version WHERE {condition}"
        f" QUALIFY row_number() OVER (PARTITION BY model ORDER BY {NEWEST_FIRST}) = 1)",
        params=params,
    )


MODELS = SqlListing(
    "models",
    fixed(
        ("id", "text", 9, "model"),
        ("name", "text", 0, "model"),
        ("versions", "number", 0, "versions"),
        ("newest", "text", 0, "newest"),
        ("task", "text", 2, "task"),
        ("owner", "text", 3, '"owner"'),
        ("registered", "time", 1, "epoch(registered_at)"),
    ),
    _model_source,
    "registered:desc",
    natural=frozenset({"id", "name", "newest"}),
)

JOURNAL = SqlListing(
    "journal",
    fixed(
        ("id", "text", 9, "sequence::VARCHAR"),
        ("sequence", "number", 0, "sequence"),
        ("time", "time", 0, "epoch(recorded_at)"),
        ("actor", "text", 0, "actor"),
        ("via", "text", 2, "via"),
        ("action", "text", 0, "action"),
        ("kind", "text", 1, "kind"),
        ("subject", "text", 0, "subject"),
        ("before", "json", 3, "before"),
        ("after", "json", 2, "after"),
        ("reason", "text", 1, "reason"),
        ("data_age", "duration", 5, "data_age"),
        ("request_id", "text", 9, "request_id"),
        ("previous_hash", "text", 9, "previous_hash"),
        ("hash", "text", 6, "hash"),
    ),
    recorded("journal"),
    "sequence:desc",
    name_column="subject",
    scopes={"kind": "kind", "subject": "subject"},
    has_rowid=True,
)

NOTES = SqlListing(
    "notes",
    fixed(
        ("id", "text", 9, "sequence::VARCHAR"),
        ("subject", "text", 0, "kind || '/' || subject"),
        ("text", "text", 0, "text"),
        ("actor", "text", 1, "actor"),
        ("time", "time", 0, "epoch(recorded_at)"),
    ),
    recorded("note"),
    "time:desc",
    name_column="text",
    scopes={"subject": "kind || '/' || subject"},
)


def listings(silent_after: float = SILENT_AFTER) -> list[Listing]:
    return [DATASETS, runs_listing(silent_after), MODELS, VERSIONS, JOURNAL, NOTES]
