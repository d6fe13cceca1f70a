"""Binary answers as they were given: realised metrics equal scikit-learn's on the given predictions, and what is odd
about predictions and scores is said with its figure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from store.monitor import performance
from store.monitor.estimated import calibration
from store.monitor.performance_reading import PerformanceView
from store.monitor.reference import load_reference
from store.monitor.scores import Scale, answers, on_one_scale, probabilities, scale_of
from store.monitor.spans import span
from store.protocol import SpanParams
from tests.store.monitor.conftest import DEPLOYMENT, Bench

ROWS = 2_000
RNG = np.random.default_rng(8)
CHANCE = RNG.beta(1.2, 1.6, ROWS)
LABEL = (RNG.random(ROWS) < CHANCE).astype(int)
LOGIT = np.log(CHANCE / (1 - CHANCE))
#: A decision of its own, which no threshold of the score explains.
OTHER = (RNG.random(ROWS) < 0.4).astype(int)
GAPS = RNG.random(ROWS)

Frame = Callable[[], dict[str, Any]]


def answered(score: Any, threshold: float) -> Any:
    return (np.asarray(score) >= threshold).astype(int)


def with_gaps(values: Any, low: float, high: float) -> Any:
    return np.where((low <= GAPS) & (high > GAPS), np.nan, values.astype(float))


#: name → (columns of the file, decisions that count (NaN: none), probabilities (None: none), codes that are noted)
CASES: dict[str, tuple[dict[str, Any], Any, Any, set[str]]] = {
    "own threshold": (
        {"score": CHANCE, "prediction": answered(CHANCE, 0.3)}, answered(CHANCE, 0.3), CHANCE, {"contradicts_threshold"}
    ),
    "logit": ({"score": LOGIT, "prediction": answered(LOGIT, 0)}, answered(LOGIT, 0), CHANCE, {"score_scale"}),
    "logit alone": ({"score": LOGIT}, answered(LOGIT, 0), CHANCE, {"score_scale"}),
    "percentage": (
        {"score": 100 * CHANCE, "prediction": answered(CHANCE, 0.5)}, answered(CHANCE, 0.5), CHANCE, {"score_scale"}
    ),
    "percentage alone": ({"score": 100 * CHANCE}, answered(CHANCE, 0.5), CHANCE, {"score_scale"}),
    "probability in prediction": (
        {"prediction": CHANCE}, answered(CHANCE, 0.5), CHANCE, {"probability_in_prediction"}
    ),
    "probability in both": (
        {"prediction": CHANCE, "score": CHANCE}, answered(CHANCE, 0.5), CHANCE, {"probability_in_prediction"}
    ),
    "prediction alone": ({"prediction": OTHER}, OTHER, None, set()),
    "score alone": ({"score": CHANCE}, answered(CHANCE, 0.5), CHANCE, set()),
    "both, contradicting": ({"score": CHANCE, "prediction": OTHER}, OTHER, CHANCE, {"contradicts_threshold"}),
    "truth values": ({"score": CHANCE, "prediction": OTHER.astype(bool)}, OTHER, CHANCE, {"contradicts_threshold"}),
    "floats with gaps in both": (
        {"score": with_gaps(CHANCE, 0.0, 0.3), "prediction": with_gaps(OTHER, 0.2, 0.5)},
        np.where(GAPS < 0.2, OTHER, np.where(GAPS < 0.3, np.nan, np.where(GAPS < 0.5, answered(CHANCE, 0.5), OTHER))),
        with_gaps(CHANCE, 0.0, 0.3),
        {"contradicts_threshold"},
    ),
}  # fmt: skip


def frame(columns: dict[str, Any], label: bool = False) -> pd.DataFrame:
    made = pd.DataFrame(
        {
            "prediction_id": [f"p{i}" for i in range(ROWS)],
            "timestamp": pd.date_range("2024-03-01", periods=ROWS, freq="20s"),
            "x": CHANCE,
            **columns,
        }
    )
    return made.assign(label=LABEL) if label else made


def written(bench: Bench, made: pd.DataFrame, suffix: str, name: str) -> Any:
    path = bench.folder / f"{name}.{suffix}"
    if suffix == "parquet":
        made.to_parquet(path)
    elif suffix == "csv":
        made.to_csv(path, index=False)
    else:
        made.to_json(path, orient="records", lines=True, date_format="iso")
    return path


def realised(bench: Bench, version: str = "1") -> dict[str, float | None]:
    """Metric → value over all that was recorded."""
    asked = SpanParams(DEPLOYMENT, "1d")

    def read(connection: Any) -> dict[str, float | None]:
        over = span(connection, asked, bench.settings)
        sums = PerformanceView(connection, DEPLOYMENT, over).sums
        dense, totals = sums.total(version, over.starts[0], over.end)
        names = performance.METRICS["binary"]
        return {name: performance.metric("binary", name, dense, totals)[0] for name in names}

    return bench.database.reader.read(read)


def expected(decisions: Any, chances: Any) -> dict[str, float | None]:
    known = ~np.isnan(np.asarray(decisions, float))
    y, p = LABEL[known], np.asarray(decisions)[known]
    found: dict[str, float | None] = {
        "accuracy": sk.accuracy_score(y, p),
        "precision": sk.precision_score(y, p),
        "recall": sk.recall_score(y, p),
        "f1": sk.f1_score(y, p),
    }
    if chances is None:
        return found | dict.fromkeys(("auc", "average_precision", "log_loss", "brier", "ece"))
    scored = ~np.isnan(chances)
    y, s = LABEL[scored], chances[scored]
    return found | {
        "auc": sk.roc_auc_score(y, s),
        "average_precision": sk.average_precision_score(y, s),
        "log_loss": sk.log_loss(y, s),
        "brier": sk.brier_score_loss(y, s),
    }


def check(found: dict[str, float | None], right: dict[str, float | None]) -> None:
    for name, value in right.items():
        exact = name not in ("auc", "average_precision")
        assert found[name] == (None if value is None else pytest.approx(value, abs=1e-9 if exact else 1e-3)), name


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("case", CASES)
def test_realised_metrics_are_scikit_learns_on_what_was_given(bench: Bench, case: str, suffix: str) -> None:
    columns, decisions, chances, codes = CASES[case]
    bench.register(features={"x": "numeric"})
    taken = bench.predict(written(bench, frame(columns), suffix, "predictions"))
    bench.label(written(bench, pd.DataFrame({"prediction_id": frame({}).prediction_id, "label": LABEL}), suffix, "l"))
    check(realised(bench), expected(decisions, chances))
    noted = {note.code: note.rows for note in taken.notes if note.code != "no_reference"}
    assert set(noted) == codes
    assert {noted[code] for code in codes & {"score_scale", "probability_in_prediction"}} <= {ROWS}


@pytest.mark.parametrize("case", CASES)
def test_the_reference_goes_by_the_same_rule(bench: Bench, case: str) -> None:
    columns, decisions, chances, codes = CASES[case]
    # References are remembered by version: one of its own for each.
    made = bench.register(f"rule-{case}", features={"x": "numeric"})
    bench.reference(made, written(bench, frame(columns, label=True), "parquet", "reference"))
    reference = bench.database.reader.read(lambda c: load_reference(c, "m", made.version))
    assert reference is not None
    dense, sums = reference.performance.dense(), reference.performance.sums
    names = performance.METRICS["binary"]
    check({n: performance.metric("binary", n, dense, sums)[0] for n in names}, expected(decisions, chances))
    assert {note.code for note in reference.notes} == codes


def test_labels_that_came_first_meet_the_given_predictions(bench: Bench) -> None:
    columns, decisions, chances, _ = CASES["logit"]
    bench.register(features={"x": "numeric"})
    labels = pd.DataFrame({"prediction_id": frame({}).prediction_id, "label": LABEL})
    bench.label(written(bench, labels, "parquet", "l"))
    bench.predict(written(bench, frame(columns), "parquet", "predictions"))
    check(realised(bench), expected(decisions, chances))


def test_a_corrected_label_takes_back_what_it_had_added(bench: Bench) -> None:
    columns, decisions, chances, _ = CASES["both, contradicting"]
    bench.register(features={"x": "numeric"})
    bench.predict(written(bench, frame(columns), "parquet", "predictions"))
    ids = frame({}).prediction_id
    bench.label(written(bench, pd.DataFrame({"prediction_id": ids, "label": 1 - LABEL}), "parquet", "wrong"))
    bench.label(written(bench, pd.DataFrame({"prediction_id": ids, "label": LABEL}), "parquet", "right"))
    check(realised(bench), expected(decisions, chances))


def test_classes_with_names_count_against_positive(bench: Bench) -> None:
    bench.register(features={"x": "numeric"}, positive="yes")
    words = np.where(OTHER == 1, " yes", "no")
    bench.predict(written(bench, frame({"score": CHANCE, "prediction": words}), "csv", "predictions"))
    labels = pd.DataFrame({"prediction_id": frame({}).prediction_id, "label": np.where(LABEL == 1, "yes", "no")})
    bench.label(written(bench, labels, "csv", "l"))
    check(realised(bench), expected(OTHER, CHANCE))


def test_truth_values_count_against_a_named_positive(bench: Bench) -> None:
    bench.register(features={"x": "numeric"}, positive="yes")
    bench.predict(written(bench, frame({"prediction": OTHER.astype(bool)}), "parquet", "predictions"))
    labels = pd.DataFrame({"prediction_id": frame({}).prediction_id, "label": np.where(LABEL == 1, "yes", "no")})
    bench.label(written(bench, labels, "csv", "l"))
    check(realised(bench), expected(OTHER, None))


def test_classes_none_of_which_is_positive_are_said(bench: Bench) -> None:
    bench.register(features={"x": "numeric"})
    taken = bench.predict(written(bench, frame({"prediction": np.where(OTHER == 1, "bad", "good")}), "csv", "p"))
    [note] = [note for note in taken.notes if note.code == "prediction_classes"]
    assert (note.rows, note.examples) == (ROWS, ("bad", "good"))


def test_contradicting_rows_are_counted(bench: Bench) -> None:
    bench.register(features={"x": "numeric"})
    taken = bench.predict(written(bench, frame(CASES["both, contradicting"][0]), "parquet", "predictions"))
    [note] = [note for note in taken.notes if note.code == "contradicts_threshold"]
    assert (note.rows, note.examples) == (int((answered(CHANCE, 0.5) != OTHER).sum()), ())


def test_a_threshold_of_the_teams_own_is_said(bench: Bench) -> None:
    bench.register(features={"x": "numeric"})
    taken = bench.predict(written(bench, frame(CASES["own threshold"][0]), "parquet", "predictions"))
    [note] = [note for note in taken.notes if note.code == "contradicts_threshold"]
    assert note.rows == int(((CHANCE >= 0.3) & (CHANCE < 0.5)).sum())
    assert note.text.endswith("positive from a score of its own on")
    assert note.examples == (f"{CHANCE[CHANCE >= 0.3].min():.4g}",)


@pytest.mark.parametrize(("declared", "factor"), [("logit", None), ("percent", 100), ("probability", 1)])
def test_a_declared_scale_holds_for_single_rows_and_is_nothing_odd(bench: Bench, declared: str, factor: Any) -> None:
    made = bench.register(f"declared-{declared}", features={"x": "numeric"}, score_scale=declared)
    score = LOGIT if factor is None else factor * CHANCE
    rows = frame({"score": score, "model_version": made.version}).iloc[:40]
    for place in range(0, 40, 2):
        taken = bench.predict(written(bench, rows.iloc[place : place + 2], "parquet", f"p{place}"))
        assert {note.code for note in taken.notes} == {"no_reference"}
    bench.label(written(bench, pd.DataFrame({"prediction_id": rows.prediction_id, "label": LABEL[:40]}), "csv", "l"))
    found = realised(bench, made.version)
    assert found["log_loss"] == pytest.approx(sk.log_loss(LABEL[:40], CHANCE[:40]), abs=1e-9)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(LABEL[:40], CHANCE[:40] >= 0.5), abs=1e-12)


def test_slices_and_versions_go_by_the_given_predictions(bench: Bench) -> None:
    for version in ("1", "2"):
        bench.register(version, features={"x": "numeric"}, slices=["site"])
    site = np.where(GAPS < 0.5, "north", "south")
    half = np.where(GAPS < 0.25, "1", "2")
    columns = CASES["both, contradicting"][0] | {"site": site, "model_version": half}
    bench.predict(written(bench, frame(columns), "parquet", "predictions"))
    bench.label(written(bench, pd.DataFrame({"prediction_id": frame({}).prediction_id, "label": LABEL}), "csv", "l"))

    def accuracy(table: str, where: str) -> float:
        rows = bench.rows(
            f"SELECT slot, sum(n) FROM (SELECT unnest(slots) AS slot, unnest(counts) AS n FROM {table} WHERE {where})"
            " WHERE slot BETWEEN 1 AND 4 GROUP BY slot"
        )
        cells = {int(slot): int(count) for slot, count in rows}
        return (cells[1] + cells[4]) / sum(cells.values())

    for name in ("north", "south"):
        mine = site == name
        found = accuracy("monitor_performance_slice", f"slice = 'site' AND value = '{name}'")
        assert found == pytest.approx(sk.accuracy_score(LABEL[mine], OTHER[mine]), abs=1e-12)
    for version in ("1", "2"):
        mine = half == version
        found = accuracy("monitor_performance", f"version = '{version}'")
        assert found == pytest.approx(sk.accuracy_score(LABEL[mine], OTHER[mine]), abs=1e-12)


def test_predictions_recorded_before_answers_were_kept_stay_as_they_were_counted(bench: Bench) -> None:
    bench.register(features={"x": "numeric"})
    bench.predict(written(bench, frame(CASES["both, contradicting"][0]), "parquet", "predictions"))
    bench.database.writer.change(lambda tx: tx.execute("UPDATE monitor_prediction SET score_scale = NULL"))
    bench.label(written(bench, pd.DataFrame({"prediction_id": frame({}).prediction_id, "label": LABEL}), "csv", "l"))
    check(realised(bench), expected(answered(CHANCE, 0.5), CHANCE))


@pytest.mark.parametrize(
    ("scores", "known", "scale"),
    [
        (CHANCE, None, Scale.PROBABILITY),
        (np.append(CHANCE, [1 + 1e-9, -1e-12]), None, Scale.PROBABILITY),
        (np.append(CHANCE, 7.0), None, Scale.PROBABILITY),
        (LOGIT, None, Scale.LOGIT),
        (100 * CHANCE, None, Scale.PERCENT),
        (50 * LOGIT, None, Scale.OTHER),
        (-np.abs(LOGIT), None, Scale.OTHER),
        (-np.abs(LOGIT), Scale.LOGIT, Scale.LOGIT),
        (5 * CHANCE, None, Scale.OTHER),
        (5 * CHANCE, Scale.PERCENT, Scale.PERCENT),
        (np.array([0.2, 0.7]), Scale.LOGIT, Scale.LOGIT),
        (CHANCE, Scale.LOGIT, Scale.PROBABILITY),
        (np.array([np.nan, np.inf]), None, Scale.PROBABILITY),
    ],
)
def test_the_scale_of_scores(scores: Any, known: Scale | None, scale: Scale) -> None:
    assert scale_of(scores, known) is scale


def test_scores_that_only_rank_have_no_losses() -> None:
    scale = np.full(2, Scale.OTHER)
    assert np.isnan(probabilities(on_one_scale(np.array([0.5, 900.0]), scale), scale)).all()


def test_a_threshold_of_logits_or_percentages_is_taken_in_their_unit() -> None:
    assert answers(np.array([-0.5, 0.2]), Scale.LOGIT, 0.0).tolist() == [False, True]
    assert answers(np.array([49.0, 50.0]), Scale.PERCENT, 50).tolist() == [False, True]
    assert answers(np.array([-1e-18, 0.0]), Scale.LOGIT, 0.5).tolist() == [False, True]


def estimates(bench: Bench, case: str) -> dict[str, Any]:
    """What the scores of the reference itself promise."""
    made = bench.register(f"estimated-{case}", features={"x": "numeric"})
    bench.reference(made, written(bench, frame(CASES[case][0], label=True), "parquet", "reference"))
    reference = bench.database.reader.read(lambda c: load_reference(c, "m", made.version))
    assert reference is not None
    fitted, why = calibration(reference, made)
    assert fitted is not None, why
    feature = reference.by_name["score"]
    return fitted.estimate(("accuracy", "recall", "log_loss", "auc"), reference.of(feature))


@pytest.mark.parametrize("case", ["own threshold", "logit", "percentage", "score alone"])
def test_estimates_go_by_the_decisions_that_the_reference_shows(bench: Bench, case: str) -> None:
    _, decisions, chances, _ = CASES[case]
    found = estimates(bench, case)
    assert found["accuracy"].value == pytest.approx(sk.accuracy_score(LABEL, decisions), abs=0.01)
    assert found["recall"].value == pytest.approx(sk.recall_score(LABEL, decisions), abs=0.01)
    assert found["log_loss"].value == pytest.approx(sk.log_loss(LABEL, chances), abs=0.02)
    assert found["auc"].value == pytest.approx(sk.roc_auc_score(LABEL, chances), abs=0.01)


def test_where_no_threshold_explains_the_answers_they_are_not_estimated(bench: Bench) -> None:
    found = estimates(bench, "both, contradicting")
    assert found["accuracy"].value is None
    assert found["accuracy"].why == "the reference's predictions follow no threshold of its scores"
    assert found["auc"].value is not None
