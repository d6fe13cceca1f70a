"""`show`: everything known of one thing, as sections of labelled fields and small tables."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import duckdb
import msgspec

from store.agent.fleet import state_fields
from store.agent.rooms import Rooms
from store.catalog.models import ARTIFACT_SQL, FILES_SQL, NEWEST_FIRST
from store.catalog.objects import StoredFile
from store.catalog.run_columns import RunColumns
from store.catalog.run_metrics import number
from store.catalog.silence import LAST_WORD, silence
from store.database import times
from store.database.rows import first_row
from store.intake import quarantine
from store.monitor.notes import Note
from store.monitor.oddities import oddities
from store.monitor.performance_detail import show_performance
from store.monitor.reference import load_reference
from store.protocol import Cell, Column, Detail, ExitCode, Field, Kind, ListParams, Refusal, Section, ShowParams
from store.release.listings import show_deployment
from store.release.state import NO_ARTIFACT

_KINDS: dict[str, Kind] = {
    "started_at": "time",
    "ended_at": "time",
    "recorded_at": "time",
    "effective_at": "time",
    "created_at": "time",
    "bytes": "bytes",
    "row_count": "number",
}
_JSON = frozenset({"columns", "profile", "manifest", "tags", "datasets_in", "datasets_out", "extra", "overflow"})
_LATELY = 20
#: Files of a version's bits that its page names.
FILES_SHOWN = 50


def show(connection: duckdb.DuckDBPyConnection, rooms: Rooms, params: ShowParams, sequence: int) -> Detail:
    """The detail of `params.name` as of `params.at`. Raises `Refusal` when there is no such thing."""
    describe = _DESCRIBE.get(params.kind)
    if params.kind == "alerts":
        sections = _alert(connection, rooms, params)
    elif params.kind == "performance" and "/" not in params.name:
        # A deployment; its rows have longer names.
        sections = show_performance(connection, params, rooms.settings.monitor)
    elif params.kind == "deployments":
        sections = _deployment(connection, rooms, params)
    elif params.kind == "runs":
        sections = show_run(connection, params, rooms.settings.runs.silent_seconds)
    else:
        sections = describe(connection, params) if describe else _from_listing(connection, rooms, params)
    sections += _journal(connection, rooms, params)
    return Detail(params.kind, params.name, sections, sequence, time.time())


def _row(connection: duckdb.DuckDBPyConnection, params: ShowParams, sql: str, *values: Any) -> dict[str, Any]:
    """One fact as a mapping. `sql` ends in a condition that `recorded_at` is added to."""
    at = times.to_db(times.asked(params.at))
    cursor = connection.execute(
        # What one transaction recorded has one time: the numbers of the journal go on counting.
        f"{sql} AND (?::TIMESTAMP IS NULL OR recorded_at <= ?) ORDER BY recorded_at DESC, sequence DESC LIMIT 1",
        [*values, at, at],
    )
    names = [str(field[0]) for field in cursor.description or []]
    row = first_row(cursor)
    if row is None:
        raise Refusal(
            ExitCode.USAGE, f"There is no {params.name!r} among {params.kind}.", f"See `quarterdeck ls {params.kind}`."
        )
    return dict(zip(names, row, strict=True))


def _fields(row: dict[str, Any], *names: str) -> list[Field]:
    found = []
    for name in names:
        value = row.get(name)
        if value is None or value == "":
            continue
        if name in _JSON:
            found.append(Field(name, json.loads(value), "json"))
        elif name in _KINDS:
            moment = times.seconds(value) if _KINDS[name] == "time" else value
            found.append(Field(name, moment, _KINDS[name]))
        else:
            found.append(Field(name, value if isinstance(value, bool | int | float) else str(value)))
    return found


def show_run(connection: duckdb.DuckDBPyConnection, params: ShowParams, silent_after: float) -> list[Section]:
    """A run with its params, metrics as they were logged last, attempts, and the models it made."""
    moment = f"{time.time() if params.at is None else params.at!r}::DOUBLE"
    row = _row(
        connection,
        params,
        f"SELECT *, {silence(moment, silent_after)} AS silence, {LAST_WORD} AS last_word FROM run WHERE name = ?",
        params.name,
    )
    keys = RunColumns.read(connection).known
    overflow = json.loads(row["overflow"]) if row["overflow"] else {}
    values = {key: row[name] for key, name in keys.items() if row[name] is not None} | overflow
    titles: list[tuple[str, str, Kind]] = [("params", "param.", "text"), ("metrics", "metric.", "number")]
    listed = [
        Section(
            title,
            [
                Field(key.removeprefix(prefix), number(value) if isinstance(value, float) else value, kind)
                for key, value in sorted(values.items())
                if key.startswith(prefix)
            ],
        )
        for title, prefix, kind in titles
    ]
    fields = _fields(row, "name", "status", "silence")
    if row["last_metric_at"] is not None:
        fields.append(Field("last metric", times.seconds(row["last_metric_at"]), "time"))
    if row["status"] == "running":
        fields.append(Field("last word", row["last_word"], "time"))
    fields += _fields(
        row, "started_at", "ended_at", "owner", "host", "revision", "dirty", "environment",
        "parent", "tags", "datasets_in", "datasets_out", "source", "extra", "recorded_at",
    )  # fmt: skip
    models = connection.execute(
        "SELECT model || '@' || version, digest, epoch(recorded_at) FROM model_version WHERE run = ?"
        f" ORDER BY model, {NEWEST_FIRST}",
        [params.name],
    ).fetchall()
    made = Section(
        "model versions from this run",
        columns=[Column("version"), Column("digest"), Column("registered", "time")],
        rows=[list(model) for model in models],
    )
    bad = Section(
        "files of it in quarantine",
        columns=[Column("id"), Column("path"), Column("reason")],
        rows=[list(case) for case in quarantine.of_run(connection, params.name, times.asked(params.at))],
    )
    sections = (Section("run", fields), *listed, _attempts(connection, params, row), bad, made)
    return [section for section in sections if section.fields or section.rows]


def _attempts(connection: duckdb.DuckDBPyConnection, params: ShowParams, run: dict[str, Any]) -> Section:
    """Where each attempt began; empty of a run that began once."""
    columns = [
        Column("attempt", "number"), Column("began", "time"), Column("first step", "number"),
        Column("last step", "number"), Column("points", "number"),
    ]  # fmt: skip
    if (run["attempts"] or 1) < 2:
        return Section("attempts", columns=columns)
    at = times.to_db(times.asked(params.at))
    rows = connection.execute(
        "SELECT coalesce(attempt, 1) AS attempt, epoch(arg_min(measured_at, rowid)), arg_min(step, rowid),"
        " arg_max(step, rowid), count(*) FROM metric_point WHERE run = ?"
        " AND (?::TIMESTAMP IS NULL OR recorded_at <= ?) GROUP BY ALL ORDER BY attempt",
        [run["sequence"], at, at],
    ).fetchall()
    return Section("attempts", columns=columns, rows=[list(row) for row in rows])


def _dataset(connection: duckdb.DuckDBPyConnection, params: ShowParams) -> list[Section]:
    name, _, version = params.name.partition("@")
    row = _row(
        connection, params, "FROM dataset_version WHERE dataset = ? AND (? = '' OR version = TRY_CAST(? AS INTEGER))",
        name, version, version,
    )  # fmt: skip
    profile = json.loads(row["profile"])
    return [
        Section(
            "dataset version",
            _fields(
                row, "dataset", "version", "row_count", "bytes", "format", "digest", "owner", "source", "recorded_at"
            ),
        ),
        Section(
            "columns",
            columns=[
                Column("name"), Column("type"), Column("nulls", "number"), Column("distinct", "number"),
                Column("minimum"), Column("maximum"),
            ],
            rows=[
                [c["name"], c["type"], c.get("nulls"), c.get("distinct"), c.get("minimum"), c.get("maximum")]
                for c in profile
            ],
        ),
    ]  # fmt: skip


def _version(connection: duckdb.DuckDBPyConnection, params: ShowParams) -> list[Section]:
    model, _, version = params.name.rpartition("@")
    row = _row(
        connection, params,
        f"FROM (SELECT *, {ARTIFACT_SQL} AS artifact FROM (SELECT v.*, {FILES_SQL} AS files FROM model_version AS v))"
        " WHERE model = ? AND version = ?",
        model, version,
    )  # fmt: skip
    if row["artifact"] == "none":
        row["artifact"] = NO_ARTIFACT
    manifest = json.loads(row["manifest"])
    notes = msgspec.json.decode(row["notes"] or "[]", type=list[Note])
    contents = msgspec.json.decode(row["contents"] or "[]", type=list[StoredFile])
    listed: list[list[Cell]] = [[file.path, file.bytes, file.digest] for file in contents[:FILES_SHOWN]]
    metrics = manifest.pop("metrics", {})
    features = manifest.pop("features", {})
    sections = [
        Section(
            "model version",
            _fields(row, "model", "version", "created_at", "artifact", "flavour", "flagged", "task", "run", "digest",
                    "reference_digest", "owner", "source", "recorded_at"),
        ),
        Section("odd about its folder", [Field(note.code, note.describe()) for note in notes]),
        Section("metrics", [Field(key, value, "number") for key, value in sorted(metrics.items())]),
        Section("features", [Field(key, str(value)) for key, value in features.items()]),
        Section("manifest", [Field(key, value, "json") for key, value in manifest.items() if value]),
        Section(
            "files" if len(contents) <= FILES_SHOWN else f"the first {FILES_SHOWN} of {len(contents):,} files",
            columns=[Column("path"), Column("bytes", "bytes"), Column("digest")],
            rows=listed,
        ),
        _reference_notes(connection, model, version),
    ]  # fmt: skip
    return [section for section in sections if section.fields or section.rows]


def _reference_notes(connection: duckdb.DuckDBPyConnection, model: str, version: str) -> Section:
    reference = load_reference(connection, model, version)
    return Section(
        "odd about its reference",
        columns=[Column("what"), Column("rows", "number"), Column("column")],
        rows=[
            [msgspec.structs.replace(note, rows=None).describe(), note.rows, note.column]
            for note in (reference.notes if reference else ())
        ],
    )


def _model(connection: duckdb.DuckDBPyConnection, params: ShowParams) -> list[Section]:
    _row(connection, params, "FROM model_version WHERE model = ?", params.name)
    at = times.to_db(times.asked(params.at))
    rows = connection.execute(
        f"SELECT version, {ARTIFACT_SQL}, flavour, run, digest[8:19], manifest->>'$.metrics', epoch(created_at),"
        f" epoch(recorded_at) FROM (SELECT v.*, {FILES_SQL} AS files FROM model_version AS v)"
        f" WHERE model = ? AND (?::TIMESTAMP IS NULL OR recorded_at <= ?) ORDER BY {NEWEST_FIRST}",
        [params.name, at, at],
    ).fetchall()
    columns = [
        Column("version"), Column("artifact"), Column("flavour"), Column("run"), Column("digest"),
        Column("metrics", "json"), Column("created", "time"), Column("registered", "time"),
    ]  # fmt: skip
    return [Section("versions", columns=columns, rows=[list(row) for row in rows])]


def _deployment(connection: duckdb.DuckDBPyConnection, rooms: Rooms, params: ShowParams) -> list[Section]:
    at = times.asked(params.at)
    state, *sections = show_deployment(connection, params.name, at)
    # As the fleet has it: a release that is sound says nothing of what it serves.
    first = state_fields(connection, params.name, at, rooms.settings.monitor)
    labels = {field.label for field in first}
    fields = [field for field in state.fields if field.label not in labels]
    sections = [msgspec.structs.replace(state, fields=[fields[0], *first, *fields[1:]]), *sections]
    odd = oddities(connection, params.name, at)
    if odd:
        sections.append(
            Section(
                "odd about what arrived lately",
                columns=[
                    Column("last", "time"), Column("of"), Column("what"), Column("rows", "number"),
                    Column("files", "number"), Column("code"),
                ],
                rows=[[one.last, one.kind, one.what, one.note.rows, one.files, one.note.code] for one in odd],
            )
        )  # fmt: skip
    return sections


def _alert(connection: duckdb.DuckDBPyConnection, rooms: Rooms, params: ShowParams) -> list[Section]:
    """The alert, its life (without the values between), and the messages that told of it."""
    at = times.to_db(times.asked(params.at))
    life = connection.execute(
        "SELECT epoch(recorded_at), event, actor, epoch(window_end), value, epoch(muted_until), message"
        " FROM monitor_alert_event WHERE alert = ? AND event <> 'updated'"
        " AND (?::TIMESTAMP IS NULL OR recorded_at <= ?) ORDER BY ordinal",
        [params.name, at, at],
    ).fetchall()
    sent = connection.execute(
        "SELECT epoch(a.recorded_at), d.event, d.route || '/' || (a.target + 1), a.attempt, a.outcome, a.detail,"
        " epoch(a.next_at) FROM monitor_delivery AS d JOIN monitor_delivery_attempt AS a USING (delivery)"
        " WHERE list_contains(from_json(d.alerts, '[\"VARCHAR\"]'), ?)"
        " AND (?::TIMESTAMP IS NULL OR a.recorded_at <= ?) ORDER BY a.recorded_at",
        [params.name, at, at],
    ).fetchall()
    queued = connection.execute(
        "SELECT count(*) FROM monitor_delivery WHERE list_contains(from_json(alerts, '[\"VARCHAR\"]'), ?)",
        [params.name],
    ).fetchall()[0][0]
    sections = _from_listing(connection, rooms, params)
    sections.append(
        Section(
            "life",
            columns=[
                Column("at", "time"), Column("event"), Column("by"), Column("window end", "time"),
                Column("value", "number"), Column("muted until", "time"), Column("message"),
            ],
            rows=[list(row) for row in life],
        )
    )  # fmt: skip
    if queued:
        sections.append(
            Section(
                "messages",
                columns=[
                    Column("at", "time"), Column("of"), Column("to"), Column("try", "number"),
                    Column("outcome", "health"), Column("detail"), Column("next", "time"),
                ],
                rows=[list(row) for row in sent],
            )
        )  # fmt: skip
    return sections


def _from_listing(connection: duckdb.DuckDBPyConnection, rooms: Rooms, params: ShowParams) -> list[Section]:
    """The row itself, for kinds whose listing says all there is."""
    request = ListParams(params.kind, at=params.at, limit=1)
    located = rooms.listings.locate(connection, request, params.name)
    if located.offset is None:
        raise Refusal(
            ExitCode.USAGE, f"There is no {params.name!r} among {params.kind}.", f"See `quarterdeck ls {params.kind}`."
        )
    page = rooms.listings.page(connection, msgspec.structs.replace(request, offset=located.offset))
    fields = [
        Field(column.title or column.name, value, column.kind)
        for column, value in zip(page.columns, page.rows[0], strict=True)
        if column.name != "id" and value is not None
    ]
    return [Section(params.kind, fields)]


def _journal(connection: duckdb.DuckDBPyConnection, rooms: Rooms, params: ShowParams) -> list[Section]:
    """What was done to it, and the notes: asked of every kind alike."""
    if params.kind in ("journal", "notes"):
        return []
    lately = rooms.listings.page(
        connection,
        ListParams(
            "journal", scope={"kind": params.kind, "subject": params.name}, limit=_LATELY, at=params.at,
            columns=["time", "actor", "via", "action", "before", "after", "reason"],
        ),
    )  # fmt: skip
    if not lately.rows:
        return []
    return [Section("journal", columns=lately.columns[1:], rows=[row[1:] for row in lately.rows])]


_DESCRIBE: dict[str, Callable[[duckdb.DuckDBPyConnection, ShowParams], list[Section]]] = {
    "datasets": _dataset,
    "versions": _version,
    "models": _model,
}
