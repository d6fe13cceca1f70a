"""One predictions file becomes counts per version, window and slot, and the rows that labels are joined with."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from store.catalog import models
from store.catalog.manifest import ColumnFormat, ModelManifest
from store.database.reader import Connect
from store.monitor import clustered, deployments, direct, parts, source
from store.monitor.bins import PREDICTION, Integers
from store.monitor.direct import Selected, Small
from store.monitor.files.number_text import NumberForm
from store.monitor.files.table_files import open_files
from store.monitor.files.text_rules import DEFAULT_RULES, TextRules, Wanted
from store.monitor.files.times import TimeForm, column_times, time_sql
from store.monitor.given import Given, given_columns, known_scale, scaled
from store.monitor.kernel import Partial, Watched, WindowCounts, count_batches, count_part, count_parts, widened
from store.monitor.notes import Note
from store.monitor.parts import Part
from store.monitor.quantiles import quantile_columns, quantiles_sql
from store.monitor.reference import Reference
from store.monitor.remembered import Answers
from store.monitor.rows import EARLIEST_US as EARLIEST_US
from store.monitor.rows import Pass, TakenRows, read_rows
from store.monitor.slices import slice_columns, slice_sql
from store.monitor.source import Format, Source
from store.protocol import ExitCode, Refusal
from store.settings import MonitorSettings

DEFAULTS = MonitorSettings()
MAX_VERSIONS = 50
#: Examples that a note keeps.
MAX_EXAMPLES = 3
_DAY = 86_400
#: The columns that labels are joined with.
_KEPT = ["prediction_id", "event_us", "prediction", "score"]


@dataclasses.dataclass(frozen=True)
class VersionPart:
    """What one version predicted: counts, and an Arrow table (prediction_id, event_us, prediction, score; of a binary
    task `score_scale`; where the version has slices or the file quantiles, `slices` and `quantiles`)."""

    version: str
    reference: str
    counts: WindowCounts
    predictions: Any
    seconds: int
    """Width of the windows."""


@dataclasses.dataclass(frozen=True)
class PredictionScan:
    """`rows` in the file, `counted` of them; `notes` says what was odd. Codes that begin with `left_out.` count rows
    that were left out, `repeated_id` those that came before; no row is in two of these."""

    deployment: str
    arrival: str
    settings: MonitorSettings
    parts: tuple[VersionPart, ...]
    rows: int
    counted: int
    duplicates: int
    notes: tuple[Note, ...]


def scan_predictions(
    connection: duckdb.DuckDBPyConnection | Connect,
    path: Path,
    format: Format,
    deployment: str,
    arrival_digest: str,
    settings: MonitorSettings = DEFAULTS,
    *,
    exclude_known: bool = False,
    name: str = "",
    remembered: Answers | None = None,
    shared: Path | None = None,
) -> PredictionScan:
    """Count the file; nothing is written. `name` is what messages call it (default: the path's name).

    One pass over the file per version in it. Within the file the first of several rows with one
    prediction_id counts (earliest event time, then lowest score); `exclude_known` also leaves out what was
    recorded before, which `record_predictions` asks for when it finds any. Rows without a time, or with one
    before 1900 or later than a day from now, are left out; rows without an id are counted but never labelled.
    Features that the file lacks are counted nowhere, columns that the version does not know are ignored, values of
    the wrong type have their own slot: each is said in `notes`. `shared` is where a cluster finds the same file.
    A small file of which everything is `remembered` asks for no connection.

    Raises `Refusal` (usage): unreadable, or without a time or id column.
    """
    small = direct.open_small(path) if format == "parquet" and not exclude_known else None
    connect: Connect = connection if callable(connection) else lambda: connection
    remembered = remembered or Answers()
    rules = DEFAULT_RULES if format == "parquet" else _rules(connect, deployment, remembered, settings)
    opened = small.source if small else source.open_source(connect(), path, format, rules, name)
    opened = dataclasses.replace(opened, path=Path(name or path.name))
    try:
        return _Scan(
            connect, path, opened, deployment, arrival_digest, settings, exclude_known, small, remembered, shared
        ).run()
    except duckdb.Error as error:
        raise source.unreadable(opened.path, error, str(path), format) from error


def _rules(connect: Connect, deployment: str, remembered: Answers, settings: MonitorSettings) -> TextRules:
    """How columns of text are to be read: as the version that serves has them; ids are text, whatever their digits."""
    model, version = deployments.split(deployment).model, remembered.serving(connect, deployment)
    manifests = [one.manifest for one in models.versions(connect(), model)]
    reference = remembered.reference(connect, model, version)
    wanted: dict[str, Wanted] = {}
    categories: dict[str, frozenset[str]] = {}
    for feature in reference.features if reference else ():
        wanted[feature.name] = "text" if feature.kind == "categorical" else "number"
        if words := frozenset(settings.null_words).intersection(feature.categories):
            categories[feature.name] = words
    roles = source.role_columns(manifests)
    wanted |= dict.fromkeys([*roles["id"], source.VERSION_COLUMN], "text")
    formats = {column: declared for manifest in manifests for column, declared in manifest.formats.items()}
    return TextRules(wanted, formats, settings.null_words, categories)


class _Scan:
    def __init__(
        self,
        connect: Connect,
        location: Path,
        opened: Source,
        deployment: str,
        arrival: str,
        settings: MonitorSettings,
        exclude_known: bool,
        small: Small | None,
        remembered: Answers,
        shared: Path | None,
    ) -> None:
        self._connect = connect
        self._location = location
        self._source = opened
        self._deployment = deployment
        self._model = deployments.split(deployment).model
        self._arrival = arrival
        self._settings = settings
        self._base = settings.base_window_seconds
        self._exclude_known = exclude_known
        self._small = small
        self._remembered = remembered
        # A typed copy of text lies on this machine alone.
        self._shared = shared if settings.engine == "dask" and opened.copy is None else None
        self._latest_us = int((time.time() + _DAY) * 1_000_000)
        self._notes: dict[tuple[str, str, str], Note] = {}
        self._time_forms: dict[tuple[str, str], TimeForm] = {}
        #: Columns that are no features, but kept for the join with labels.
        self._joined: set[str] = set()

    def run(self) -> PredictionScan:
        parts, rows, counted, duplicates = [], 0, 0, 0
        for note in self._source.notes:
            self._note(note)
        for version, condition in self._versions():
            part, seen, repeated = self._scan(version, condition)
            parts.append(part)
            rows += seen
            duplicates += repeated
            counted += int(part.counts.rows.sum())
        self._count_note("repeated_id", "rows repeat a prediction_id: the first counts", duplicates)
        if not rows:
            self._note(Note("no_rows", "the file holds no rows"))
        notes = tuple(self._notes.values())
        return PredictionScan(
            self._deployment, self._arrival, self._settings, tuple(parts), rows, counted, duplicates, notes
        )

    def _versions(self) -> Iterator[tuple[str, str]]:
        """(version, SQL condition on its rows); without a column of versions all rows are of the one that serves."""
        column = self._source.find(source.VERSION_COLUMN)
        if column is None:
            yield self._remembered.serving(self._connect, self._deployment), "true"
            return
        text = source.text_sql(self._source.field(column), self._source.columns[column])
        found = [
            row[0]
            for row in self._connect()
            .execute(f"SELECT DISTINCT {text} AS v FROM {self._source.relation} ORDER BY v LIMIT {MAX_VERSIONS + 1}")
            .fetchall()
        ]
        if len(found) > MAX_VERSIONS:
            raise Refusal(
                ExitCode.USAGE,
                f"{self._source.path.name}: {column!r} holds more than {MAX_VERSIONS} versions",
                "It should name the model version that made the prediction.",
            )
        named = [version for version in found if version is not None]
        serving = self._remembered.serving(self._connect, self._deployment) if None in found else ""
        if None in found and serving not in named:
            yield serving, f"{text} IS NULL"
        for version in named:
            condition = f"{text} = {source.literal(version)}"
            yield version, (f"({condition} OR {text} IS NULL)" if None in found and version == serving else condition)

    def _scan(self, version: str, condition: str) -> tuple[VersionPart, int, int]:
        """(the part, rows of the file seen, duplicates left out)."""
        manifest = self._remembered.manifest(self._connect, self._model, version)
        reference = self._remembered.reference(self._connect, self._model, version)
        given = given_columns(self._connect, self._source, manifest)
        roles, places = self._roles(manifest, given), self._places(manifest, given, reference, version)
        joined, kept = self._kept(manifest, reference)
        select = f"{roles}{joined}"
        found = None if joined or condition != "true" else self._scan_small(manifest, given, kept, places, reference)
        if found is None:
            forms = self._number_forms(manifest, places, reference)
            found = self._scan_parts(select, kept, places, forms, reference, condition, version)
        taken, counts, seconds = found
        self._count_note("left_out.time", "rows without a readable time are left out", taken.timeless)
        text = "rows with a time before 1900 or in the future are left out"
        self._count_note("left_out.implausible_time", text, taken.absurd)
        self._count_note("without_id", "rows without a prediction_id can never be labelled", taken.nameless)
        predictions = taken.predictions
        if manifest.task == "binary" and predictions is not None:
            known = known_scale(manifest, reference.features, reference.counts) if reference else None
            predictions, odd = scaled(predictions, manifest, known)
            for note in [*given.notes(predictions.num_rows), *odd]:
                self._note(note)
        identity = reference.identity if reference else ""
        width = self._width(counts.last)
        if width > seconds:
            counts = widened(counts, width // seconds, reference)
        return VersionPart(version, identity, counts, predictions, width), taken.seen, taken.repeated

    def _width(self, times_us: Integers) -> int:
        """Width of the windows, in seconds, of rows with these times."""
        return self._settings.width_at(time.time() - times_us.max() / 1e6) if len(times_us) else self._base

    def _scan_small(
        self,
        manifest: ModelManifest,
        given: Given,
        kept: list[str],
        places: dict[str, str],
        reference: Reference | None,
    ) -> tuple[TakenRows, WindowCounts, int] | None:
        """A small Parquet file without a query; null where one is needed."""
        if self._small is None:
            return None
        roles = source.role_columns([manifest])
        features = [
            (f"f{place}", feature, places[feature.name])
            for place, feature in enumerate(reference.features if reference else ())
            if feature.name in places
        ]
        time, identity = self._source.need("time", *roles["time"]), self._source.need("prediction id", *roles["id"])
        form = self._time_form(manifest, time)
        selected = Selected(time, identity, given.answer, given.score, features, zone=form.zone)
        batch = direct.batch(self._small, selected)
        if batch is None:
            return None
        once = Pass(self._latest_us, kept)
        watched = [Watched(feature, name) for name, feature, _ in features]
        counts = count_batches(once.possible(batch), reference, watched, self._base)
        return None if once.repeats() else (once.taken(once.rows), counts, self._base)

    def _scan_parts(
        self,
        select: str,
        kept: list[str],
        places: dict[str, str],
        forms: dict[str, NumberForm],
        reference: Reference | None,
        condition: str,
        version: str,
    ) -> tuple[TakenRows, WindowCounts, int]:
        """DuckDB reads what a row is, Arrow the features, each what it reads fastest."""
        location = self._source.location
        known = self._known(version) if self._exclude_known else ""
        taken = read_rows(self._connect(), location, select, condition, kept, known, self._latest_us)

        times = taken.times if taken.counted is None else taken.times[taken.counted]
        # Rows of long ago, scattered over years, are not cut into minutes first.
        seconds = self._width(times)

        def count(part: Part) -> Partial:
            rows = slice(part.first_row, part.first_row + part.rows)
            counted = taken.counted[rows] if taken.counted is not None else None
            return count_part(part, reference, places, taken.times[rows], counted, seconds, forms)

        if self._shared and not forms and len(times) >= clustered.LEAST_ROWS:
            there = clustered.count(
                self._settings.scheduler, self._shared, self._location, reference, places, taken.times, taken.counted,
                seconds,
            )  # fmt: skip
            if there is not None:
                return taken, there, seconds
        try:
            found = parts.parts_of([location])
            return taken, count_parts(count, found, reference), seconds
        finally:
            parts.close_parquet()

    def _number_forms(
        self, manifest: ModelManifest, places: dict[str, str], reference: Reference | None
    ) -> dict[str, NumberForm]:
        """How columns of text write the numbers that the reference has; typed copies hold plain numbers already."""
        if self._source.copy is not None:
            return {}
        columns = self._source.columns
        texts = [
            places[feature.name]
            for feature in (reference.features if reference else ())
            if feature.kind != "categorical"
            and feature.name in places
            and source.is_text(columns[places[feature.name]])
        ]
        if not texts:
            return {}
        rules = TextRules(dict.fromkeys(texts, "number"), manifest.formats)
        files = open_files([self._source.location], "parquet", rules)
        for note in files.notes:
            self._note(note)
        return files.number_forms

    def _kept(self, manifest: ModelManifest, reference: Reference | None) -> tuple[str, list[str]]:
        """SQL and names of what is kept for the labels beside the answer: slice values, predicted quantiles."""
        joined, names = "", list(_KEPT)
        slices = slice_columns(manifest)
        if any(name in self._source.columns for name in slices):
            bins = reference.by_name if reference else {}
            parts = ", ".join(slice_sql(self._source, name, bins.get(name)) for name in slices)
            joined += f", [{parts}] AS slices"
            names.append("slices")
        quantiles = quantile_columns(manifest, list(self._source.columns))
        if quantiles:
            joined += f", {quantiles_sql(self._source, quantiles)} AS quantiles"
            names.append("quantiles")
        return joined, names

    def _note(self, note: Note) -> None:
        """Say it of the file; what several versions' rows have in common is added up."""
        key = (note.code, note.column, note.text)
        before = self._notes.get(key)
        if before is not None and before.rows is not None and note.rows is not None:
            examples = tuple(dict.fromkeys([*before.examples, *note.examples]))[:MAX_EXAMPLES]
            note = msgspec.structs.replace(note, rows=before.rows + note.rows, examples=examples)
        self._notes[key] = note

    def _count_note(self, code: str, text: str, rows: int) -> None:
        if rows:
            self._note(Note(code, text, rows))

    def _known(self, version: str) -> str:
        return (
            f"SELECT prediction_id FROM monitor_prediction WHERE deployment = {source.literal(self._deployment)}"
            f" AND version = {source.literal(version)}"
        )

    def _roles(self, manifest: ModelManifest, given: Given) -> str:
        """SQL of what a row is: time, id, answer."""
        found, columns = self._source, self._source.columns
        roles = source.role_columns([manifest])
        time_column = found.need("time", *roles["time"])
        id_column = found.need("prediction id", *roles["id"])
        answer, value = given.answer, given.score
        form = self._time_form(manifest, time_column)
        identity = source.text_sql(found.field(id_column), columns[id_column])
        letters = manifest.task == "binary"
        answered = source.canonical_sql(found.field(answer), columns[answer], letters) if answer else "NULL::VARCHAR"
        return ", ".join(
            [
                f"{time_sql(found.field(time_column), columns[time_column], form)} AS event_us",
                f"{identity} AS prediction_id",
                # DuckDB's own hash, never kept: it only shows whether any id repeats.
                f"CASE WHEN {identity} IS NOT NULL THEN hash({identity}) END AS id_hash",
                f"{answered} AS prediction",
                f"{source.number_sql(found.field(value), columns[value])[0] if value else 'NULL::DOUBLE'} AS score",
            ]
        )

    def _time_form(self, manifest: ModelManifest, column: str) -> TimeForm:
        """How the file's times are read; what is odd about them is noted."""
        declared = manifest.formats.get(column, ColumnFormat())
        key = declared.time, declared.zone
        if key not in self._time_forms:
            kind = self._source.columns[column]
            # Typed times ask for no query, and a small file then for no connection.
            form, notes = column_times(self._connect, self._source.relation, self._source.field(column), kind, declared)
            self._time_forms[key] = form
            for note in notes:
                self._note(note)
        return self._time_forms[key]

    def _places(
        self, manifest: ModelManifest, given: Given, reference: Reference | None, version: str
    ) -> dict[str, str]:
        """Feature → the column that holds it; what is absent, new or of another type is noted."""
        found, columns = self._source, self._source.columns
        roles = source.role_columns([manifest])
        places: dict[str, str] = {}
        absent = []
        for feature in reference.features if reference else ():
            column: str | None = feature.name if feature.name in columns else None
            if feature.kind == "score":
                column = given.score
            elif feature.name == PREDICTION:
                column = given.answer
            if column is None:
                # Scores that the reference never had are nobody's loss.
                if reference is not None and reference.of(feature).any():
                    absent.append(feature.name)
                continue
            places[feature.name] = column
            if feature.kind != "categorical" and source.number_sql(column, columns[column])[1] and found.copy is None:
                text = f"column {column!r} is {columns[column]}, the reference has numbers"
                self._note(Note("type_changed", text, column=column))
        self._joined = {*slice_columns(manifest), *quantile_columns(manifest, list(columns)).values()}
        self._say_columns(reference, roles, absent, version)
        return places

    def _say_columns(
        self, reference: Reference | None, roles: dict[str, list[str]], absent: list[str], version: str
    ) -> None:
        if reference is None:
            text = f"version {version or '?'} has no reference: only its traffic and performance are counted"
            self._note(Note("no_reference", text))
            return
        if absent:
            text = f"version {version}: no column for {', '.join(absent[:10])}{_more(absent)}"
            self._note(Note("absent_columns", text))
        known = {name for names in roles.values() for name in names} | {source.VERSION_COLUMN}
        known |= {feature.name for feature in reference.features} | set(self._joined)
        extra = [name for name in self._source.columns if name not in known]
        if extra:
            text = f"version {version}: columns not watched: {', '.join(extra[:10])}{_more(extra)}"
            self._note(Note("unwatched_columns", text))


def _more(names: list[str]) -> str:
    return f" and {len(names) - 10} more" if len(names) > 10 else ""
