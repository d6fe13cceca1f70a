"""A labels file: read once, each label kept once, and paired with its prediction now or when that comes."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from store.catalog import models
from store.catalog.manifest import ModelManifest
from store.database import Transaction
from store.monitor import deployments, keys, source
from store.monitor.bins import canonical
from store.monitor.files.text_rules import TextRules
from store.monitor.files.times import column_times, time_sql
from store.monitor.given import class_notes
from store.monitor.incoming import INCOMING, Incoming
from store.monitor.join import join_labels, known_labels
from store.monitor.notes import Note
from store.monitor.recording import arrival_ordinals, record_arrivals
from store.monitor.scan import DEFAULTS, EARLIEST_US, MAX_EXAMPLES
from store.monitor.source import Format, Source
from store.monitor.windows import DAY
from store.settings import MonitorSettings


@dataclasses.dataclass(frozen=True)
class LabelScan:
    """`labels` is an Arrow table (prediction_id, label, value, label_us), one row an id."""

    deployment: str
    arrival: str
    settings: MonitorSettings
    labels: Any
    rows: int
    notes: tuple[Note, ...]
    latest_us: int | None = None
    """The latest label time in the file."""


@dataclasses.dataclass(frozen=True)
class Labelled:
    """What became of a labels file: `labels` were new, of which `joined` found their prediction and `waiting` wait
    for it; `corrected` replaced an earlier label; the rest were known already."""

    rows: int = 0
    labels: int = 0
    joined: int = 0
    waiting: int = 0
    corrected: int = 0
    repeated: bool = False
    notes: tuple[Note, ...] = ()


def scan_labels(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    format: Format,
    deployment: str,
    arrival_digest: str,
    settings: MonitorSettings = DEFAULTS,
    *,
    name: str = "",
) -> LabelScan:
    """Read the file; nothing is written. Of several labels for one id the latest by time counts, then the greatest.

    Rows without a label or an id are left out and counted in `notes`, as are labels of a regression that are no finite
    number (they are kept, and count in no metric); a label time that cannot be read, or is before 1900 or later than a
    day from now, is taken as unknown. Raises `Refusal` (usage): unreadable, or without an id or label column.
    """
    model = deployments.split(deployment).model
    manifests = [version.manifest for version in models.versions(connection, model)]
    roles = source.role_columns(manifests)
    # The digits of an id are its value, not a number.
    formats = {column: format for manifest in manifests for column, format in manifest.formats.items()}
    rules = TextRules(dict.fromkeys(roles["id"], "text"), formats, settings.null_words)
    opened = source.open_source(connection, path, format, rules, name)
    opened = dataclasses.replace(opened, path=Path(name or path.name))
    columns = opened.columns
    identity = opened.need("prediction id", *roles["id"])
    label = opened.need("label", *roles["label"])
    moment = opened.find(*roles["label_time"])
    times, odd_times = _label_times(connection, opened, moment, manifests)
    letters = {manifest.task for manifest in manifests} <= {"binary"}
    query = (
        f"SELECT {source.text_sql(opened.field(identity), columns[identity])} AS prediction_id,"
        f" {source.canonical_sql(opened.field(label), columns[label], letters)} AS label,"
        f" {source.number_sql(opened.field(label), columns[label])[0]} AS value,"
        f" {f'{source.quoted(opened.field(moment))} IS NOT NULL' if moment else 'false'} AS timed,"
        f" {times} AS said_us FROM {opened.relation}"
    )
    latest = int((time.time() + DAY) * 1_000_000)
    query = (
        "SELECT prediction_id, label, value, timed, said_us,"
        f" CASE WHEN said_us BETWEEN {EARLIEST_US} AND {latest} THEN said_us END AS label_us FROM ({query})"
    )
    table: Any
    try:
        rows, nameless, empty, unreadable, absurd, newest = connection.execute(
            "SELECT count(*), count(*) FILTER (prediction_id IS NULL),"
            " count(*) FILTER (prediction_id IS NOT NULL AND label IS NULL),"
            " count(*) FILTER (timed AND said_us IS NULL),"
            f" count(*) FILTER (said_us IS NOT NULL AND label_us IS NULL), max(label_us) FROM ({query})"
        ).fetchall()[0]
        table = connection.sql(
            "SELECT * EXCLUDE (said_us, timed)"
            f" FROM ({query}) WHERE prediction_id IS NOT NULL AND label IS NOT NULL"
            " QUALIFY row_number() OVER (PARTITION BY prediction_id ORDER BY label_us DESC NULLS LAST, label DESC) = 1"
        ).to_arrow_table()
    except duckdb.Error as error:
        raise source.unreadable(opened.path, error, str(path), format) from error
    counted = [
        ("left_out.id", "rows without a prediction_id are left out", nameless),
        ("left_out.label", "rows have no label yet", empty),
        ("repeated_id", "rows repeat a prediction_id: the latest label counts", rows - nameless - empty - len(table)),
        ("label_time.unreadable", "label times cannot be read and are taken as unknown", unreadable),
        ("label_time.implausible", "label times before 1900 or in the future are taken as unknown", absurd),
    ]
    notes = [*opened.notes]
    notes += [Note(code, text, int(count)) for code, text, count in counted if count]
    notes += odd_times
    notes += _of_tasks(table, manifests)
    if not rows:
        notes.append(Note("no_rows", "the file holds no rows"))
    return LabelScan(deployment, arrival_digest, settings, table, int(rows), tuple(notes), newest)


def _of_tasks(labels: Any, manifests: Sequence[ModelManifest]) -> list[Note]:
    """What is odd about labels as the model's tasks have them: no numbers for a regression, other classes than two."""
    import pyarrow as pa
    import pyarrow.compute as compute

    tasks = {manifest.task for manifest in manifests}
    if not len(labels):
        return []
    if tasks == {"regression"}:
        values, texts = labels.column("value"), labels.column("label")
        finite = compute.fill_null(compute.is_finite(values), False)
        wrong = texts.filter(compute.invert(finite))
        if not len(wrong):
            return []
        examples = tuple(str(text)[:40] for text in compute.unique(wrong)[:MAX_EXAMPLES].to_pylist())
        text = "labels are no number: they count in no metric"
        return [Note("label_not_a_number", text, len(wrong), "label", examples)]
    binary = next((manifest for manifest in manifests if manifest.task == "binary"), None)
    if binary is None:
        return []
    texts = labels.column("label")
    values = compute.unique(texts).to_pylist()
    notes = class_notes("label", values, binary, len(labels))
    # Where the classes are 0 and 1, a word is most likely no label at all: it would pass for a negative one.
    words = [value for value in values if not _is_number(value)] if canonical(binary.positive) in ("0", "1") else []
    if words:
        count = compute.sum(compute.is_in(texts, value_set=pa.array(words, texts.type))).as_py()
        text = f"labels are no number, as the `positive` {canonical(binary.positive)!r} is: they count as negative"
        examples = tuple(value[:40] for value in sorted(words)[:MAX_EXAMPLES])
        notes.append(Note("label_not_a_number", text, count, "label", examples))
    return notes


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _label_times(
    connection: duckdb.DuckDBPyConnection, opened: Source, moment: str | None, manifests: Sequence[ModelManifest]
) -> tuple[str, list[Note]]:
    """(SQL of the label times, what is odd about them). Of several versions that declare how they are written, the
    newest counts: they come first."""
    if moment is None:
        return "NULL::BIGINT", []
    declared = next((one.formats[moment] for one in manifests if moment in one.formats), None)
    kind = opened.columns[moment]
    try:
        form, notes = column_times(connection, opened.relation, opened.field(moment), kind, declared)
    except duckdb.Error as error:
        raise source.unreadable(opened.path, error) from error
    return time_sql(opened.field(moment), kind, form), notes


def record_labels(tx: Transaction, scan: LabelScan) -> Labelled:
    """Keep the new labels and add those whose prediction is known to its window.

    The same label for the same id again is no new fact. Another label is a correction: it is one more fact,
    from its recording on it counts and what the earlier one had added is taken back.
    """
    ordinal = arrival_ordinals(tx, "labels", [(scan.deployment, scan.arrival)])[0]
    if ordinal is None:
        return Labelled(repeated=True)
    if scan.latest_us is not None:
        tx.execute(
            "INSERT INTO monitor_label_clock VALUES (?, ?, make_timestamp(?), ?)",
            [scan.deployment, scan.arrival, scan.latest_us, tx.now_db],
        )
    keys.check(tx)
    with Incoming(tx, scan.labels):
        changed: Any = tx.connection.sql(
            "SELECT i.prediction_id, i.label, i.value, i.label_us, k.label AS old_label, k.value AS old_value,"
            f" k.first_us FROM (SELECT ? AS deployment, * FROM {INCOMING}) AS i"
            f" LEFT JOIN {known_labels(INCOMING)} AS k USING (deployment, prediction_id)"
            " WHERE k.label IS NULL OR k.label <> i.label",
            params=[scan.deployment],
        ).to_arrow_table()
    corrected, joined = 0, 0
    if changed.num_rows:
        with Incoming(tx, changed):
            tx.execute(
                "INSERT INTO monitor_label (deployment, prediction_id, label, value, label_at, ordinal, recorded_at,"
                " id_hash) SELECT ?, prediction_id, label, value, make_timestamp(label_us), ?, ?,"
                f" {keys.hash_sql('prediction_id')} FROM {INCOMING}",
                [scan.deployment, ordinal, tx.now_db],
            )
            corrected = int(tx.execute(f"SELECT count(*) FROM {INCOMING} WHERE old_label IS NOT NULL").fetchall()[0][0])
            # The delay is that of the first label: a correction is not a label that came late.
            signed = (
                "(SELECT prediction_id, 1 AS sign, label, value, coalesce(first_us, label_us) AS label_us"
                f" FROM {INCOMING} UNION ALL SELECT prediction_id, -1, old_label, old_value, first_us"
                f" FROM {INCOMING} WHERE old_label IS NOT NULL)"
            )
            joined = join_labels(tx, scan.deployment, signed, scan.settings, scan.arrival)
    waiting = max(0, changed.num_rows - joined)
    # Not odd as such, but where their ids are of nothing that was ever predicted nothing else would say so.
    odd = Note("waiting", "rows had no prediction of their id yet", waiting)
    notes = (*scan.notes, odd) if waiting else scan.notes
    record_arrivals(tx, "labels", [(ordinal, dataclasses.replace(scan, notes=notes))])
    for topic in ("performance", "deployments"):
        tx.touch(topic, scan.deployment)
    return Labelled(scan.rows, changed.num_rows, joined, waiting, corrected, notes=notes)
