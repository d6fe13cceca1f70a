"""The reference of a model version: its bins and its own counts, made once and kept."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np

from store.catalog import models
from store.catalog.manifest import ModelManifest
from store.database import Transaction
from store.monitor import binning, parts, performance, source, stored_notes
from store.monitor.bins import (
    CATEGORY_LENGTH,
    COARSE_SCORE_EDGES,
    PREDICTION,
    SCORE,
    FeatureBins,
    FeatureKind,
    Integers,
)
from store.monitor.cache import Cache
from store.monitor.files.null_words import NULL_WORDS
from store.monitor.files.table_files import TableFiles, open_files
from store.monitor.files.text_rules import TextRules, Wanted
from store.monitor.given import Given, answers_noted, given_columns, known_scale, positive_values
from store.monitor.names import Hashes
from store.monitor.notes import Note
from store.monitor.outcomes import MAX_CLASSES
from store.monitor.parts import Format
from store.monitor.performance import Outcomes, PerformanceCounts
from store.monitor.profile import Binned
from store.monitor.quantiles import quantile_columns, quantiles_sql
from store.monitor.reference_chunks import chunks_of, record_chunks
from store.monitor.scores import Scale
from store.monitor.slices import add_classes
from store.monitor.source import Source
from store.monitor.window_moments import Summary, WindowMoments, numeric, of_reference
from store.protocol import ExitCode, Refusal

MAX_FEATURES = 1_000
_SUFFIXES: dict[str, Format] = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


@dataclasses.dataclass(frozen=True)
class Reference(Binned):
    """Bins and counts: `counts[f.offset : f.offset + f.width]` are feature f's. `identity` names the content."""

    model: str
    version: str
    source_digest: str
    rows: int
    features: tuple[FeatureBins, ...]
    counts: Integers
    performance: PerformanceCounts
    notes: tuple[Note, ...] = ()
    """What was odd about the file."""
    rare: Hashes | None = None
    moments: WindowMoments = dataclasses.field(default_factory=lambda: WindowMoments.nothing(1, 0))
    """Of one window, the reference itself; of no features where they are not known."""
    classes: tuple[str, ...] = ()
    """Multiclass: the classes by number, as `performance` counts them (only of a reference just scanned)."""
    chunks: Integers | None = None
    """Its rows in ten chunks, in their order (chunks × width; only of a reference just scanned)."""
    recorded_as: str = ""
    """Under which identity the store holds it; "" of a reference just scanned."""

    @property
    def has_moments(self) -> bool:
        """Whether the moments of its numbers are known; of references of before they were kept they are not."""
        return bool(self.moments.lows.shape[1] == len(numeric(self.features)))

    def summary(self, feature: FeatureBins) -> Summary | None:
        """Its values of a numeric feature; null where they are not known."""
        return self._summaries.get(feature.name)

    @functools.cached_property
    def _summaries(self) -> dict[str, Summary | None]:
        if not self.has_moments:
            return {}
        features = enumerate(numeric(self.features))
        return {feature.name: self.moments.summary(0, place, feature) for place, feature in features}

    @functools.cached_property
    def identity(self) -> str:
        """What windows counted by it name. One that is recorded keeps what it was given then: worked out anew it would
        be another as soon as `FeatureBins` gains a field, and every window counted so far would lose its reference."""
        if self.recorded_as:
            return self.recorded_as
        digest = hashlib.sha256(msgspec.json.encode([self.model, self.version, self.features]))
        digest.update(self.counts.tobytes())
        return digest.hexdigest()[:24]


def scan_reference(
    connection: duckdb.DuckDBPyConnection,
    path: Path | None,
    manifest: ModelManifest,
    format: Format | None = None,
    source_digest: str = "",
    null_words: Sequence[str] = NULL_WORDS,
) -> Reference:
    """Bins and counts of `manifest`'s features in the file (its format told by its suffix unless given).

    Without a file only the scores are binned, and nothing can drift. Features are `manifest.features`, or
    every column that is neither named in `columns` nor a time nor nested. Raises `Refusal` (usage) when the file
    cannot be read or holds none of the features.
    """
    if path is None:
        features, counts = _scores_only(manifest)
        nothing = WindowMoments.nothing(1, len(numeric(features)))
        rare = np.zeros(0, np.uint64)
        return Reference(
            manifest.model, manifest.version, "", 0, features, counts, performance.EMPTY, rare=rare, moments=nothing
        )
    if format is None:
        format = _SUFFIXES.get(path.suffix.lower())
        if format is None:
            raise Refusal(ExitCode.USAGE, f"{path.name}: a reference is .parquet, .csv or .jsonl")
    files = open_files([str(path)], format, _rules(manifest, null_words))
    opened = source.source_of(connection, path, files)
    try:
        return _scan(connection, opened, files, manifest, source_digest)
    except duckdb.Error as error:
        raise source.unreadable(path, error, format=format) from error
    finally:
        parts.close_parquet()


def _rules(manifest: ModelManifest, null_words: Sequence[str]) -> TextRules:
    """How columns of text are to be read: as model.json declares them; ids are text, whatever their digits."""
    words: dict[str, Wanted] = {"numeric": "number", "categorical": "text"}
    wanted: dict[str, Wanted] = {name: words[kind] for name, kind in manifest.features.items()}
    wanted |= dict.fromkeys(source.role_columns([manifest])["id"], "text")
    return TextRules(wanted, manifest.formats, null_words)


def _scan(
    connection: duckdb.DuckDBPyConnection,
    opened: Source,
    files: TableFiles,
    manifest: ModelManifest,
    source_digest: str,
) -> Reference:
    kinds, notes = _kinds(opened, files, manifest)
    notes += files.notes
    if len(kinds) > MAX_FEATURES:
        raise Refusal(ExitCode.USAGE, f"{opened.path.name}: {len(kinds)} features, at most {MAX_FEATURES}")
    wanted: dict[str, FeatureKind] = dict(kinds)
    places: dict[str, str] = {}
    given = given_columns(lambda: connection, opened, manifest)
    value = given.score
    if value:
        name = PREDICTION if manifest.task == "regression" else SCORE
        wanted[name], places[name] = "score", value
    # Of a binary task the answer follows from the score, if there is one.
    if given.answer and (manifest.task == "multiclass" or not value):
        wanted[PREDICTION], places[PREDICTION] = "categorical", given.answer
    made = binning.profile(files, wanted, places=places)
    chunks = chunks_of(files, made, made.rows, places)
    features, counts = made.features, made.counts
    if manifest.task == "binary" and not value:
        feature, nothing = _uncounted_score(made.width)
        features, counts = (*features, feature), np.concatenate([counts, nothing])
        chunks = np.pad(chunks, [(0, 0), (0, len(nothing))])
    outcome, classes, odd = _performance(connection, opened, manifest, given, known_scale(manifest, features, counts))
    notes = [*notes, *given.notes(made.rows), *odd]
    return Reference(
        manifest.model, manifest.version, source_digest, made.rows, features, counts, outcome, tuple(notes),
        made.rare, of_reference(features, made.tally.moments), tuple(classes), chunks,
    )  # fmt: skip


def _scores_only(manifest: ModelManifest) -> tuple[tuple[FeatureBins, ...], Integers]:
    if manifest.task != "binary":
        return (), np.zeros(0, np.int64)
    feature, counts = _uncounted_score(0)
    return (feature,), counts


def _uncounted_score(offset: int) -> tuple[FeatureBins, Integers]:
    feature = FeatureBins(SCORE, "score", offset, COARSE_SCORE_EDGES)
    return feature, np.zeros(feature.width, np.int64)


def _kinds(opened: Source, files: TableFiles, manifest: ModelManifest) -> tuple[dict[str, FeatureKind], list[Note]]:
    """Feature → numeric or categorical, and what is left out and why."""
    notes: list[Note] = []
    if manifest.features:
        kinds: dict[str, FeatureKind] = {}
        for name, declared in manifest.features.items():
            if name in opened.columns:
                kinds[name] = declared
            else:
                text = f"feature {name!r} is not in the reference: it is not watched"
                notes.append(Note("absent_columns", text, column=name))
        if not kinds:
            opened.need("feature", *list(manifest.features)[:8])
        return kinds, notes
    reserved = {name for names in source.role_columns([manifest]).values() for name in names}
    reserved.add(source.VERSION_COLUMN)
    kinds = {}
    for name, column in files.columns.items():
        if name in reserved:
            continue
        if column.treatment == "names":
            text = f"column {name!r} holds names of rows that a writer added: it is not watched"
            notes.append(Note("unwatched_columns", text, column=name))
        elif column.treatment in ("time", "nested"):
            what = column.type if column.typed else f"{column.treatment} ({column.type})"
            text = f"column {name!r} is {what}: times and nested values are not watched"
            notes.append(Note("unwatched_columns", text, column=name))
        else:
            kinds[name] = "numeric" if column.treatment == "numeric" else "categorical"
    return kinds, notes


def _performance(
    connection: duckdb.DuckDBPyConnection, opened: Source, manifest: ModelManifest, given: Given, scale: Scale | None
) -> tuple[PerformanceCounts, list[str], list[Note]]:
    """Performance on the reference, when it holds labels and predictions; the classes that it numbers; what is odd
    about its answers."""
    label = opened.find(*source.role_columns([manifest])["label"])
    score, answer = given.score, given.answer
    if label is None or (score is None and answer is None):
        return performance.EMPTY, [], []
    number, _ = source.number_sql(opened.field(label), opened.columns[label])
    levels = quantile_columns(manifest, list(opened.columns))
    letters = manifest.task == "binary"
    pairs = (
        "SELECT 1 AS sign, "
        + (source.number_sql(opened.field(score), opened.columns[score])[0] if score else "NULL::DOUBLE")
        + " AS score, "
        + source.canonical_sql(opened.field(label), opened.columns[label], letters)
        + " AS label, "
        + (source.canonical_sql(opened.field(answer), opened.columns[answer], letters) if answer else "NULL::VARCHAR")
        + f" AS prediction, {number} AS value"
        + (f", {quantiles_sql(opened, levels)} AS quantiles" if levels else "")
        + f" FROM {opened.relation}"
    )
    classes = distinct_classes(connection, pairs, []) if manifest.task == "multiclass" else []
    classes = classes[:MAX_CLASSES]
    outcomes = fetch_outcomes(connection, pairs, [], manifest, classes=classes, levels=list(levels))[0]
    notes: list[Note] = []
    if manifest.task == "binary":
        scale = scale or Scale.PROBABILITY
        outcomes = dataclasses.replace(outcomes, scale=np.full(len(outcomes), scale, np.int64))
        notes = answers_noted(outcomes.score, outcomes.predicted, outcomes.decided, scale, manifest)
    return performance.count(manifest.task, manifest.threshold, outcomes), classes, notes


def distinct_classes(connection: duckdb.DuckDBPyConnection, pairs: str, params: list[Any]) -> list[str]:
    """Labels and answers among `pairs`, most frequent first."""
    rows = connection.execute(
        f"SELECT c FROM (SELECT unnest([label, prediction]) AS c FROM ({pairs})) WHERE c IS NOT NULL"
        f" AND length(c) <= {CATEGORY_LENGTH} GROUP BY c ORDER BY count(*) DESC, c LIMIT 10000",
        params,
    ).fetchall()
    return [str(row[0]) for row in rows]


def fetch_outcomes(
    connection: duckdb.DuckDBPyConnection,
    pairs: str,
    params: list[Any],
    manifest: ModelManifest,
    also: str = "",
    *,
    classes: Sequence[str] = (),
    levels: Sequence[int] = (),
) -> tuple[Outcomes, dict[str, Any]]:
    """Outcomes of a query that gives sign, score, label, prediction and value (and the columns named in `also`;
    and `quantiles`, where `levels` are asked for). `classes` gives labels and answers their numbers."""
    numbered: list[Any] = []
    if classes:
        for name in ("label", "prediction"):
            also += f", coalesce(list_position(?::VARCHAR[], {name}) - 1, {MAX_CLASSES})::BIGINT AS {name}_class"
            numbered.append(list(classes))
    also += "".join(f", coalesce(quantiles[{level}], 'nan'::DOUBLE) AS q{level}" for level in levels)
    positive = positive_values(manifest)
    found = connection.execute(
        "SELECT sign::BIGINT AS sign, coalesce(score, 'nan'::DOUBLE) AS score, list_contains(?, label) AS positive,"
        " coalesce(list_contains(?, prediction), false) AS predicted, prediction IS NOT NULL AS decided,"
        f" coalesce(prediction = label, false) AS right_, coalesce(value, 'nan'::DOUBLE) AS value{also}"
        f" FROM ({pairs}) WHERE label IS NOT NULL",
        [positive, positive, *numbered, *params],
    ).fetchnumpy()
    plain = {name: np.ma.getdata(column) for name, column in found.items()}
    outcomes = Outcomes(
        plain["sign"], plain["score"], plain["positive"], plain["predicted"], plain["decided"], plain["right_"],
        plain["value"],
        label_class=plain.get("label_class"),
        predicted_class=plain.get("prediction_class"),
        quantiles={level: plain[f"q{level}"] for level in levels},
    )  # fmt: skip
    return outcomes, plain


# --- kept ------------------------------------------------------------------------------------------------

_REFERENCE_TYPES = {
    "reference": "VARCHAR",
    "model": "VARCHAR",
    "version": "VARCHAR",
    "source_digest": "VARCHAR",
    "row_count": "BIGINT",
    "features": "VARCHAR",
    "notes": "VARCHAR",
    "slots": "UINTEGER[]",
    "counts": "BIGINT[]",
    "performance_slots": "UINTEGER[]",
    "performance_counts": "BIGINT[]",
    "performance_sums": "DOUBLE[]",
    "sums": "DOUBLE[]",
    "lows": "DOUBLE[]",
    "highs": "DOUBLE[]",
    "rare": "UBIGINT[]",
    "answers_given": "BOOLEAN",
    "recorded_at": "TIMESTAMP",
}


def record_reference(tx: Transaction, model: str, version: str, reference: Reference) -> bool:
    """Fix the version's bins; False when they are fixed already (the first ones stay)."""
    if tx.execute("SELECT 1 FROM monitor_reference WHERE model = ? AND version = ?", [model, version]).fetchall():
        return False
    slots = np.flatnonzero(reference.counts)
    row = {
        "reference": reference.identity,
        "model": model,
        "version": version,
        "source_digest": reference.source_digest,
        "row_count": reference.rows,
        "features": msgspec.json.encode(reference.features).decode(),
        "notes": stored_notes.encode(reference.notes),
        "slots": slots.tolist(),
        "counts": reference.counts[slots].tolist(),
        "performance_slots": reference.performance.slots.tolist(),
        "performance_counts": reference.performance.counts.tolist(),
        "performance_sums": reference.performance.sums.tolist(),
        "sums": reference.moments.sums.ravel().tolist(),
        "lows": reference.moments.lows.ravel().tolist(),
        "highs": reference.moments.highs.ravel().tolist(),
        "rare": reference.rare.tolist() if reference.rare is not None else None,
        "answers_given": True,
        "recorded_at": tx.now,
    }
    tx.insert("monitor_reference", _REFERENCE_TYPES, [row])
    if reference.chunks is not None:
        record_chunks(tx, reference.identity, reference.chunks)
    add_classes(tx, model, version, list(reference.classes))
    tx.touch("drift")
    return True


_kept: Cache[Reference] = Cache()


def load_reference(connection: duckdb.DuckDBPyConnection, model: str, version: str) -> Reference | None:
    """The reference of a version. Read once: what a reference's identity names never changes."""
    found = connection.execute(
        "SELECT reference FROM monitor_reference WHERE model = ? AND version = ? LIMIT 1", [model, version]
    ).fetchall()
    if not found:
        return None
    identity = str(found[0][0])
    return _kept.get(identity, lambda: _read(connection, identity))


def _read(connection: duckdb.DuckDBPyConnection, identity: str) -> Reference:
    row = connection.execute(
        "SELECT model, version, source_digest, row_count, features, notes, slots, counts, performance_slots,"
        " performance_counts, performance_sums, sums, lows, highs, rare FROM monitor_reference WHERE reference = ?"
        " LIMIT 1",
        [identity],
    ).fetchall()[0]
    features = msgspec.json.decode(row[4], type=tuple[FeatureBins, ...])
    counts = np.zeros(sum(feature.width for feature in features), np.int64)
    counts[np.array(row[6], np.int64)] = row[7]
    sums = np.array(row[10], np.float64)
    sums = np.pad(sums, (0, performance.SUMS - len(sums)))
    outcome = PerformanceCounts(np.array(row[8], np.int64), np.array(row[9], np.int64), sums)
    notes = stored_notes.decode(row[5])
    moments = WindowMoments.nothing(1, 0)
    if row[11] is not None:
        moments = WindowMoments(*(np.array(column, np.float64).reshape(1, -1) for column in row[11:14]))
        moments = dataclasses.replace(moments, sums=moments.sums.reshape(1, -1, 3))
    rare = np.array(row[14], np.uint64) if row[14] is not None else _none_rare(features, counts)
    return Reference(
        row[0], row[1], row[2], int(row[3]), features, counts, outcome, notes, rare, moments, recorded_as=identity
    )


def _none_rare(features: Sequence[FeatureBins], counts: Integers) -> Hashes | None:
    """Of a reference whose rare categories were not kept: that it has none, where its counts say so."""
    others = [
        counts[feature.offset + feature.bins : feature.offset + feature.null_slot].any()
        for feature in features
        if feature.kind == "categorical"
    ]
    return None if any(others) else np.zeros(0, np.uint64)


def manifest_of(connection: duckdb.DuckDBPyConnection, model: str, version: str) -> ModelManifest:
    """The version's model.json; plain names and a binary task when it is not registered."""
    found = models.find(connection, model, version)
    return found.manifest if found else ModelManifest(model, version)
