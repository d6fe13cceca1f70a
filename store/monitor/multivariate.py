"""Multivariate drift on demand: which rows are compared, by which worker, and the answer for the screen.

Rows come from the files themselves: the reference's from the store's objects (by digest), current ones from the
prediction files that the monitor counted in the span, where intake saw them. A file that was moved, changed or
deleted since is left out and said so; counts, which nothing can take back, are not needed here.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import duckdb
import msgspec

from store.catalog import models
from store.catalog.manifest import ModelManifest
from store.catalog.objects import Objects, file_digest
from store.database import Layout, times
from store.monitor import counts, deployments, parts
from store.monitor.reference import Reference, load_reference, manifest_of
from store.monitor.scan import DEFAULTS
from store.monitor.spans import span
from store.monitor.windows import window
from store.monitor.workers import process
from store.monitor.workers.messages import Compared, Comparison, File, Format, Weight
from store.protocol import ExitCode, FeatureWeight, Multivariate, MultivariateParams, Refusal, SpanParams
from store.settings import MonitorSettings

MAX_ROWS = 50_000
MAX_FILES = 200
#: Files are digested before they are used, unless together they are larger than this.
_CHECKED_BYTES = 1 << 30
_FORMATS: dict[str, Format] = {
    "parquet": "parquet", "pq": "parquet", "csv": "csv", "jsonl": "jsonl", "ndjson": "jsonl",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Task:
    """A comparison to make; `request` is null, and `why` says so, where there is nothing to compare."""

    params: MultivariateParams
    version: str
    since: float
    until: float
    request: Compared | None
    notes: tuple[str, ...] = ()
    why: str = ""


class Comparing:
    """Runs one worker at a time, and keeps the latest answers: the same rows are compared once."""

    def __init__(self, layout: Layout, settings: MonitorSettings = DEFAULTS) -> None:
        self._layout = layout
        self._settings = settings
        self._one = threading.Lock()
        self._kept: OrderedDict[bytes, Multivariate] = OrderedDict()

    def compare(
        self,
        read: Callable[[Callable[[duckdb.DuckDBPyConnection], Task]], Task],
        params: MultivariateParams,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> Multivariate:
        """See `protocol.Multivariate`. Takes seconds; call it on a thread of its own.

        Raises `Refusal` for an unknown deployment or span, and where the worker fails or takes too long.
        """
        began = time.monotonic()
        task = read(lambda connection: plan(connection, self._layout, params, self._settings))
        if task.request is None:
            return _answer(task, None, time.monotonic() - began)
        key = msgspec.msgpack.encode(task.request)
        with self._one:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            found = process.run("multivariate", task.request, Comparison, progress=progress)
            answer = _answer(task, found, time.monotonic() - began)
            self._kept[key] = answer
            while len(self._kept) > 16:
                self._kept.popitem(last=False)
            return answer


def plan(
    connection: duckdb.DuckDBPyConnection, layout: Layout, params: MultivariateParams, settings: MonitorSettings
) -> Task:
    """What to compare. Raises `Refusal` for a bad span or number of rows."""
    if not 1 <= params.rows <= MAX_ROWS:
        raise Refusal(ExitCode.USAGE, f"{params.rows} rows a side", f"1 to {MAX_ROWS:,}.")
    width = window(settings.alert_window, settings.base_window_seconds)
    asked = span(
        connection,
        SpanParams(params.deployment, settings.alert_window, params.since, params.until, params.at, 1),
        settings,
    )
    times.asked(params.since)
    since = params.since if params.since is not None else float(asked.since)
    until = params.until if params.until is not None else float(asked.end)
    traffic = counts.traffic(connection, params.deployment, width, asked.since, asked.end, asked.at)
    rows: dict[str, int] = {}
    for version, count in zip(traffic.versions, traffic.rows, strict=True):
        rows[version] = rows.get(version, 0) + int(count)
    version = params.version or max(rows, key=lambda name: (rows[name], name), default="")
    if asked.why:
        return Task(params, version, since, until, None, why=asked.why)
    model = deployments.split(params.deployment).model
    found = reference_file(connection, layout, model, version)
    if isinstance(found, str):
        return Task(params, version, since, until, None, why=found)
    reference, file, manifest = found
    files, notes = prediction_files(connection, layout, params.deployment, version, since, until, at=asked.at)
    if not files:
        why = "the prediction files of this span are no longer where they were"
        return Task(params, version, since, until, None, tuple(notes), why)
    features = features_of(reference)
    only = len(rows) > 1
    request = Compared(manifest, version, only, features, file, files, since, until, params.rows)
    return Task(params, version, since, until, request, tuple(notes))


def features_of(reference: Reference) -> dict[str, str]:
    """The model's features by kind, without what it answered."""
    return {f.name: f.kind for f in reference.features if f.kind != "score" and f.name not in ("score", "prediction")}


def reference_file(
    connection: duckdb.DuckDBPyConnection, layout: Layout, model: str, version: str
) -> tuple[Reference, File, ModelManifest] | str:
    """The version's reference, the file it was made from and its manifest; or why there is none."""
    reference = load_reference(connection, model, version)
    known = models.find(connection, model, version)
    if reference is None or known is None or not known.reference_digest:
        return f"Version {version or '?'} has no reference."
    objects = Objects(layout.objects)
    if not objects.holds(known.reference_digest):
        return f"The reference file of version {version} is missing from the store."
    path = objects.path(known.reference_digest)
    return reference, File(str(path), parts.format_of_bits(path)), manifest_of(connection, model, version)


def prediction_files(
    connection: duckdb.DuckDBPyConnection,
    layout: Layout,
    deployment: str,
    version: str,
    since: float,
    until: float,
    arrivals: Sequence[str] = (),
    most: int = MAX_FILES,
    at: datetime | None = None,
) -> tuple[list[File], list[str]]:
    """(the files with predictions of `version` in [since, until), what is no longer there). With `arrivals` only
    those files, with `at` those that had come by then; at most `most`."""
    rows = connection.execute(
        "SELECT f.arrival, arg_max(a.path, a.recorded_at) FROM monitor_file AS f JOIN arrival AS a"
        " ON a.digest = f.arrival AND a.kind = 'predictions' AND a.outcome = 'taken'"
        " WHERE f.deployment = $1 AND f.version = $2 AND f.last_at >= make_timestamp($3)"
        " AND f.first_at < make_timestamp($4) AND (len($5::VARCHAR[]) = 0 OR list_contains($5::VARCHAR[], f.arrival))"
        " AND ($6 IS NULL OR f.recorded_at <= $6)"
        " GROUP BY f.arrival ORDER BY min(f.first_at), f.arrival",
        [
            deployment, version, round(since * 1e6), round(until * 1e6), list(arrivals),
            times.to_db(at) if at else None,
        ],
    ).fetchall()  # fmt: skip
    notes = []
    if len(rows) > most:
        notes.append(f"{most:,} of {len(rows):,} prediction files are read, evenly spaced")
        rows = [rows[place * len(rows) // most] for place in range(most)]
    files, gone, changed, read = [], 0, 0, 0
    for arrival, seen in rows:
        path = _place(layout, str(seen))
        try:
            size = path.stat().st_size
        except OSError:
            gone += 1
            continue
        read += size
        if read <= _CHECKED_BYTES and file_digest(path) != arrival:
            changed += 1
            continue
        form = _FORMATS.get(path.suffix[1:].lower())
        if form:
            files.append(File(str(path), form, str(arrival)))
    said = {"are no longer where they were": gone, "changed since they were counted": changed}
    return files, [*notes, *(f"{count} prediction files {text}" for text, count in said.items() if count)]


def _place(layout: Layout, seen: str) -> Path:
    """Where intake saw a file: `inbox/…` of this store, else below a watched folder with an absolute path."""
    return layout.inbox / seen.removeprefix("inbox/") if seen.startswith("inbox/") else Path(seen)


def _answer(task: Task, found: Comparison | None, seconds: float) -> Multivariate:
    def weights(part: list[Weight]) -> list[FeatureWeight]:
        return [FeatureWeight(weight.feature, weight.value, weight.change) for weight in part]

    plain = found or Comparison(0, 0, None, None, [], None, None, None, None, 0, [], [], task.why, task.why)
    return Multivariate(
        task.params.deployment, task.version, task.since, task.until, plain.reference_rows, plain.rows, plain.auc,
        plain.auc_noise, weights(plain.telling), plain.error, plain.error_reference, plain.error_lower,
        plain.error_upper, plain.components, weights(plain.off), seconds, [*task.notes, *plain.notes], plain.why,
        plain.error_why,
    )  # fmt: skip
