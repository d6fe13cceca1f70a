"""What a file gives as the answer: which columns hold class and score, what the scores are, what contradicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from store.catalog.manifest import ModelManifest
from store.database.reader import Connect
from store.monitor import scores, source
from store.monitor.bins import SCORE, FeatureBins, Floats, Integers, Marks, canonical
from store.monitor.notes import Note
from store.monitor.scores import Scale
from store.monitor.source import Source

#: Rows of text that are looked at to tell classes from scores; a typed column is looked at as a whole.
_TEXT_SAMPLE = 20_000
#: Numbers are scores where at least this share of them have a fraction: no class has.
_FRACTIONS = 0.01
_EXAMPLES = 3


@dataclasses.dataclass(frozen=True)
class Given:
    """The columns of the predicted class and of the score (of a regression: of the predicted value); None where the
    file has none. `note`: what is odd about it, of every row of the file."""

    answer: str | None
    score: str | None
    note: Note | None = None

    def notes(self, rows: int) -> list[Note]:
        """What is odd about so many rows."""
        return [msgspec.structs.replace(self.note, rows=rows)] if self.note and rows else []


def given_columns(connect: Connect, found: Source, manifest: ModelManifest) -> Given:
    """Which columns hold the answer. A binary task's `prediction` that holds numbers with fractions holds no classes:
    it is the score where there is no other one; the answers then follow from the score."""
    roles = source.role_columns([manifest])
    answer, score = found.find(*roles["prediction"]), found.find(*roles["score"])
    if manifest.task == "regression":
        return Given(None, answer or score)
    if manifest.task != "binary" or answer is None or not _holds_scores(connect, found, answer, manifest):
        return Given(answer, score)
    limit = f"{manifest.threshold:g}"
    if score is None or score == answer:
        text = f"rows have a score, no class, in {answer!r}: taken as the score, positive from {limit} on"
        return Given(None, answer, Note("probability_in_prediction", text, column=answer))
    text = f"rows have a score, no class, in {answer!r}: the answer is {score!r} >= {limit}"
    return Given(None, score, Note("probability_in_prediction", text, column=answer))


def _holds_scores(connect: Connect, found: Source, column: str, manifest: ModelManifest) -> bool:
    kind = found.columns[column]
    typed = source.is_number(kind)
    if not typed and not source.is_text(kind):
        return False
    if typed and not kind.startswith(("FLOAT", "DOUBLE", "DECIMAL")):
        return False
    if "." in canonical(manifest.positive):
        # A class that is itself a number with a fraction.
        return False
    number, _ = source.number_sql(found.field(column), kind)
    rows = found.relation if typed else f"(SELECT * FROM {found.relation} LIMIT {_TEXT_SAMPLE})"
    values, numbers, fractions = (
        connect()
        .execute(
            "SELECT count(v) FILTER (NOT coalesce(isnan(n), false)), count(n) FILTER (NOT isnan(n)),"
            " count(n) FILTER (isfinite(n) AND n <> trunc(n))"
            f" FROM (SELECT {source.quoted(found.field(column))} AS v, {number} AS n FROM {rows})"
        )
        .fetchall()[0]
    )
    # Text has classes where a tenth of it is no number.
    return bool(fractions >= max(1, _FRACTIONS * values) and numbers >= 0.9 * values)


def positive_values(manifest: ModelManifest) -> list[str]:
    """What stands for the positive class, as canonical text. Where it has a name, so does a plain truth value."""
    positive = canonical(manifest.positive, letters=True)
    return [positive] if positive in ("0", "1") else [positive, "1"]


_DECLARED = {
    "probability": Scale.PROBABILITY,
    "percent": Scale.PERCENT,
    "logit": Scale.LOGIT,
    "rank": Scale.OTHER,
}


def known_scale(manifest: ModelManifest, features: Sequence[FeatureBins], counts: Integers) -> Scale | None:
    """The scale that model.json declares, else that of the reference's scores by their quantiles; None where it holds
    none."""
    if manifest.score_scale:
        return _DECLARED[manifest.score_scale]
    feature = next((one for one in features if one.name == SCORE and one.kind == "score"), None)
    if feature is None or not counts[feature.offset : feature.offset + feature.width].any():
        return None
    return scores.scale_of(np.asarray(feature.edges, np.float64))


def scaled(table: Any, manifest: ModelManifest, known: Scale | None) -> tuple[Any, list[Note]]:
    """(the predictions of a binary task with their `score_scale`, what is odd about the answers).

    `table` has the columns `prediction` (canonical text) and `score`.
    """
    import pyarrow as pa
    import pyarrow.compute as compute

    score = table.column("score").to_numpy(zero_copy_only=False)
    answer = table.column("prediction")
    scale = _DECLARED[manifest.score_scale] if manifest.score_scale else scores.scale_of(score, known)
    marks = np.full(table.num_rows, scale, np.uint8)
    if answer.null_count == table.num_rows:
        predicted = decided = np.zeros(table.num_rows, bool)
    else:
        decided = answer.is_valid().to_numpy(zero_copy_only=False)
        positive = pa.array(positive_values(manifest), answer.type)
        predicted = compute.is_in(answer, value_set=positive).to_numpy(zero_copy_only=False)
    notes = answers_noted(score, predicted, decided, scale, manifest)
    if decided.any():
        notes += class_notes("prediction", compute.unique(answer).drop_null().to_pylist(), manifest, int(decided.sum()))
    return table.append_column("score_scale", pa.array(marks)), notes


def class_notes(role: str, values: Sequence[str], manifest: ModelManifest, rows: int) -> list[Note]:
    """Where `values`, the distinct predictions or labels of a binary task, do not fit its `positive`."""
    others = sorted(set(values) - set(positive_values(manifest)))
    positive = canonical(manifest.positive, letters=True)
    if len(others) < 2:
        return []
    if len(others) == len(set(values)):
        text = f"rows with a {role} hold none that is {positive!r}, the `positive` of model.json: all count as negative"
    else:
        text = f"rows hold {len(others) + 1:,} different {role}s in a binary task: all but {positive!r} are negative"
    return [Note(f"{role}_classes", text, rows, role, tuple(others[:_EXAMPLES]))]


def answers_noted(score: Floats, predicted: Marks, decided: Marks, scale: Scale, manifest: ModelManifest) -> list[Note]:
    """What is odd about the answers of a binary task: scores that are no probabilities though nobody declared it,
    predictions that contradict."""
    notes, threshold = [], manifest.threshold
    scored = ~np.isnan(score)
    if scale is not Scale.PROBABILITY and not manifest.score_scale:
        finite = score[np.isfinite(score)]
        ends = (f"{finite.min():.4g}", f"{finite.max():.4g}") if len(finite) else ()
        text = f"rows have a score that is no probability: {_READ_AS[scale]}"
        notes.append(Note("score_scale", text, int(scored.sum()), "score", ends))
    if scale is Scale.PROBABILITY:
        outside = int((scored & ((score < -scores.ROUNDING) | (score > 1 + scores.ROUNDING))).sum())
        if outside:
            text = "rows have a score outside 0 to 1: no log loss, Brier score or calibration error with them"
            notes.append(Note("score_outside", text, outside, "score"))
    both = decided & scored
    contradicting = int((both & (predicted != scores.answers(score, scale, threshold))).sum())
    if contradicting:
        text = f"rows have a prediction that contradicts score >= {_limit(scale, threshold)}: the prediction counts"
        positive, negative = score[both & predicted], score[both & ~predicted]
        if len(positive) and len(negative) and positive.min() > negative.max():
            text += ", positive from a score of its own on"
            notes.append(Note("contradicts_threshold", text, contradicting, "prediction", (f"{positive.min():.4g}",)))
        else:
            notes.append(Note("contradicts_threshold", text, contradicting, "prediction"))
    return notes


_READ_AS = {
    Scale.PERCENT: "read as percentages",
    Scale.LOGIT: "read as logits (log loss, Brier score and calibration error through the logistic function)",
    Scale.OTHER: "it ranks (AUC, average precision), but no log loss, Brier score or calibration error follows from it",
}


def _limit(scale: Scale, threshold: float) -> str:
    if 0 < threshold < 1 and scale is Scale.LOGIT:
        return f"{np.log(threshold / (1 - threshold)):.4g} (a probability of {threshold:g})"
    if 0 < threshold < 1 and scale is Scale.PERCENT:
        return f"{threshold * 100:g} %"
    return f"{threshold:g}"
