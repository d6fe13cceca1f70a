"""One predictions file becomes counts per version, window and slot, and the rows that labels are joined with."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from store.catalog.manifest import ModelManifest
from store.monitor import deployments, source
from store.monitor.bins import PREDICTION
from store.monitor.kernel import BATCH_ROWS, Watched, WindowCounts, count_batches
from store.monitor.quantiles import quantile_columns, quantiles_sql
from store.monitor.reference import Reference, load_reference, manifest_of
from store.monitor.slices import slice_columns, slice_sql
from store.monitor.source import Format, Source
from store.protocol import ExitCode, Refusal
from store.settings import MonitorSettings

DEFAULTS = MonitorSettings()
MAX_VERSIONS = 50
_DAY = 86_400
#: The columns that labels are joined with.
_KEPT = ["prediction_id", "event_us", "prediction", "score"]
#: Event times before 1900 or after tomorrow are mistakes; such rows are counted and left out.
EARLIEST_US = -2_208_988_800 * 1_000_000


@dataclasses.dataclass(frozen=True)
class VersionPart:
    """What one version predicted: counts, and an Arrow table (prediction_id, event_us, prediction, score; where the
    version has slices or the file quantiles, `slices` and `quantiles`)."""

    version: str
    reference: str
    counts: WindowCounts
    predictions: Any


@dataclasses.dataclass(frozen=True)
class PredictionScan:
    """`rows` in the file, `counted` of them; `notes` says in words what was odd."""

    deployment: str
    arrival: str
    base_seconds: int
    parts: tuple[VersionPart, ...]
    rows: int
    counted: int
    duplicates: int
    notes: tuple[str, ...]


def scan_predictions(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    format: Format,
    deployment: str,
    arrival_digest: str,
    settings: MonitorSettings = DEFAULTS,
    *,
    exclude_known: bool = False,
    name: str = "",
) -> PredictionScan:
    """Count the file; nothing is written. `name` is what messages call it (default: the path's name).

    One pass over the file per version in it. Within the file the first of several rows with one
    prediction_id counts (earliest event time, then lowest score); `exclude_known` also leaves out what was
    recorded before, which `record_predictions` asks for when it finds any. Rows without a time, or with one
    before 1900 or later than a day from now, are left out; rows without an id are counted but never labelled.
    Features that the file lacks are counted nowhere, columns that the version does not know are ignored, values of
    the wrong type have their own slot: each is said in `notes`.

    Raises `Refusal` (usage): unreadable, or without a time or id column.
    """
    opened = dataclasses.replace(source.open_source(connection, path, format), path=Path(name or path.name))
    try:
        return _Scan(connection, opened, deployment, arrival_digest, settings, exclude_known).run()
    except duckdb.Error as error:
        raise source.unreadable(opened.path, error) from error


class _Scan:
    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        opened: Source,
        deployment: str,
        arrival: str,
        settings: MonitorSettings,
        exclude_known: bool,
    ) -> None:
        self._connection = connection
        self._source = opened
        self._deployment = deployment
        self._model = deployments.split(deployment).model
        self._arrival = arrival
        self._base = settings.base_window_seconds
        self._exclude_known = exclude_known
        self._latest_us = int((time.time() + _DAY) * 1_000_000)
        self._notes: dict[str, int] = {}
        #: Columns that are no features, but kept for the join with labels.
        self._joined: set[str] = set()

    def run(self) -> PredictionScan:
        parts, rows, counted, duplicates = [], 0, 0, 0
        for version, condition in self._versions():
            part, seen, repeated = self._scan(version, condition)
            parts.append(part)
            rows += seen
            duplicates += repeated
            counted += int(part.counts.rows.sum())
        if duplicates:
            self._notes["rows repeat a prediction_id: the first counts"] = duplicates
        notes = tuple(f"{count:,} {text}" if count else text for text, count in self._notes.items())
        return PredictionScan(
            self._deployment, self._arrival, self._base, tuple(parts), rows, counted, duplicates, notes
        )

    def _versions(self) -> Iterator[tuple[str, str]]:
        """(version, SQL condition on its rows); without a column of versions all rows are of the one that serves."""
        column = self._source.find(source.VERSION_COLUMN)
        if column is None:
            yield deployments.serving(self._connection, self._deployment), "true"
            return
        text = source.text_sql(column, self._source.columns[column])
        found = [
            row[0]
            for row in self._connection.execute(
                f"SELECT DISTINCT {text} AS v FROM {self._source.relation} ORDER BY v LIMIT {MAX_VERSIONS + 1}"
            ).fetchall()
        ]
        if len(found) > MAX_VERSIONS:
            raise Refusal(
                ExitCode.USAGE,
                f"{self._source.path.name}: {column!r} holds more than {MAX_VERSIONS} versions",
                "It should name the model version that made the prediction.",
            )
        named = [version for version in found if version is not None]
        serving = deployments.serving(self._connection, self._deployment) if None in found else ""
        if None in found and serving not in named:
            yield serving, f"{text} IS NULL"
        for version in named:
            condition = f"{text} = {source.literal(version)}"
            yield version, (f"({condition} OR {text} IS NULL)" if None in found and version == serving else condition)

    def _scan(self, version: str, condition: str) -> tuple[VersionPart, int, int]:
        """(the part, rows of the file seen, duplicates left out)."""
        manifest = manifest_of(self._connection, self._model, version)
        reference = load_reference(self._connection, self._model, version)
        select, watched = self._select(manifest, reference, version)
        joined, kept = self._kept(manifest, reference)
        select += joined
        query = f"SELECT {select} FROM {self._source.relation} WHERE {condition}"
        distinct = self._exclude_known
        once = _Pass(self._latest_us, kept)
        if not distinct:
            counts = count_batches(once.batches(self._connection, query), reference, watched, self._base)
            distinct = once.repeats()
        seen = once.rows
        if distinct:
            once = _Pass(self._latest_us, kept)
            batches = once.batches(self._connection, self._distinct(query, version))
            counts = count_batches(batches, reference, watched, self._base)
            every = f"SELECT count(*) FROM {self._source.relation} WHERE {condition}"
            seen = int(self._connection.execute(every).fetchall()[0][0])
        self._note("rows without a time are left out", once.timeless)
        self._note("rows with a time before 1900 or in the future are left out", once.absurd)
        self._note("rows without a prediction_id can never be labelled", once.nameless)
        part = VersionPart(version, reference.identity if reference else "", counts, once.predictions())
        return part, seen, seen - once.rows

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

    def _note(self, text: str, count: int) -> None:
        if count:
            self._notes[text] = self._notes.get(text, 0) + count

    def _distinct(self, query: str, version: str) -> str:
        """`query` with each prediction_id once: the earliest; of what is known already, none."""
        known = ""
        if self._exclude_known:
            known = (
                " AND prediction_id NOT IN (SELECT prediction_id FROM monitor_prediction WHERE deployment ="
                f" {source.literal(self._deployment)} AND version = {source.literal(version)})"
            )
        return (
            f"SELECT * FROM ({query}) WHERE prediction_id IS NULL OR (true{known}) QUALIFY prediction_id IS NULL OR"
            " row_number() OVER (PARTITION BY prediction_id ORDER BY event_us, score, prediction) = 1"
        )

    def _select(self, manifest: ModelManifest, reference: Reference | None, version: str) -> tuple[str, list[Watched]]:
        found, columns = self._source, self._source.columns
        roles = source.role_columns([manifest])
        time_column = found.need("time", *roles["time"])
        id_column = found.need("prediction id", *roles["id"])
        answer, score = found.find(*roles["prediction"]), found.find(*roles["score"])
        value = answer or score if manifest.task == "regression" else score
        identity = source.text_sql(id_column, columns[id_column])
        answered = source.canonical_sql(answer, columns[answer]) if answer else "NULL::VARCHAR"
        parts = [
            f"{source.time_sql(time_column, columns[time_column])} AS event_us",
            f"{identity} AS prediction_id",
            # DuckDB's own hash, never kept: it only shows whether any id repeats.
            f"CASE WHEN {identity} IS NOT NULL THEN hash({identity}) END AS id_hash",
            f"{'NULL::VARCHAR' if manifest.task == 'regression' else answered} AS prediction",
            f"{source.number_sql(value, columns[value])[0] if value else 'NULL::DOUBLE'} AS score",
        ]
        watched: list[Watched] = []
        absent = []
        for place, feature in enumerate(reference.features if reference else ()):
            column: str | None = feature.name if feature.name in columns else None
            if feature.kind == "score":
                column = value
            elif feature.name == PREDICTION and manifest.task == "multiclass":
                column = answer
            if column is None:
                absent.append(feature.name)
                continue
            kind = columns[column]
            if feature.kind == "categorical":
                parts.append(f"{source.category_slot_sql(column, kind, feature.categories)} AS f{place}")
                watched.append(Watched(feature, f"f{place}", None))
                continue
            number, invalid = source.number_sql(column, kind)
            parts.append(f"{number} AS f{place}")
            if invalid:
                parts.append(f"{invalid} AS i{place}")
                if not found.untyped:
                    self._notes[f"column {column!r} is {kind}, the reference has numbers"] = 0
            watched.append(Watched(feature, f"f{place}", f"i{place}" if invalid else None))
        self._joined = {*slice_columns(manifest), *quantile_columns(manifest, list(columns)).values()}
        self._say_columns(reference, roles, absent, version)
        return ", ".join(parts), watched

    def _say_columns(
        self, reference: Reference | None, roles: dict[str, list[str]], absent: list[str], version: str
    ) -> None:
        if reference is None:
            self._notes[f"version {version or '?'} has no reference: only its traffic and performance are counted"] = 0
            return
        if absent:
            self._notes[f"version {version}: no column for {', '.join(absent[:10])}{_more(absent)}"] = 0
        known = {name for names in roles.values() for name in names} | {source.VERSION_COLUMN}
        known |= {feature.name for feature in reference.features} | set(self._joined)
        extra = [name for name in self._source.columns if name not in known]
        if extra:
            self._notes[f"version {version}: columns not watched: {', '.join(extra[:10])}{_more(extra)}"] = 0


def _more(names: list[str]) -> str:
    return f" and {len(names) - 10} more" if len(names) > 10 else ""


class _Pass:
    """One reading of a version's rows: what was left out, and what is kept for the join with labels."""

    def __init__(self, latest_us: int, names: list[str]) -> None:
        # 50 MB of memory and 0.2 s: only where prediction files arrive.
        import pyarrow
        import pyarrow.compute

        self._arrow = pyarrow
        self._compute = pyarrow.compute
        self._latest_us = latest_us
        self._names = names
        self._kept: list[Any] = []
        self._hashes: list[Any] = []
        self.rows = self.timeless = self.absurd = self.nameless = 0

    def batches(self, connection: duckdb.DuckDBPyConnection, sql: str) -> Iterator[Any]:
        """Record batches of the rows that have a possible time."""
        for batch in connection.sql(sql).to_arrow_reader(BATCH_ROWS):
            self.rows += batch.num_rows
            possible = self._in_time(batch) if batch.num_rows else batch
            if possible.num_rows:
                self.nameless += possible.column("prediction_id").null_count
                self._hashes.append(possible.column("id_hash").drop_null().to_numpy().copy())
                self._kept.append(self._copied(possible))
                yield possible

    def repeats(self) -> bool:
        """Whether any prediction_id came twice."""
        if not self._hashes:
            return False
        ordered = np.sort(np.concatenate(self._hashes))
        return bool((ordered[1:] == ordered[:-1]).any())

    def predictions(self) -> Any:
        return self._arrow.Table.from_batches(self._kept) if self._kept else None

    def _copied(self, batch: Any) -> Any:
        """The kept columns in memory of their own: a column of a batch holds the whole batch."""
        columns = [batch.column(name) for name in self._names]
        halves = batch.num_rows // 2
        copies = [self._arrow.concat_arrays([column.slice(0, halves), column.slice(halves)]) for column in columns]
        return self._arrow.RecordBatch.from_arrays(copies, self._names)

    def _in_time(self, batch: Any) -> Any:
        times = batch.column("event_us")
        low, high = (scalar.as_py() for scalar in self._compute.min_max(times).values())
        if not times.null_count and low >= EARLIEST_US and high <= self._latest_us:
            return batch
        late_enough = self._compute.greater_equal(times, EARLIEST_US)
        kept = batch.filter(self._compute.and_(late_enough, self._compute.less_equal(times, self._latest_us)))
        self.timeless += times.null_count
        self.absurd += batch.num_rows - times.null_count - kept.num_rows
        return kept
