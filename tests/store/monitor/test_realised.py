"""What labels show of real flights, by window, version and slice: against scikit-learn on the rows themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from store.catalog.listing import Listings
from store.catalog.manifest import ColumnNames
from store.database import times
from store.monitor.listings import listings
from store.protocol import ListParams
from tests.store.monitor.conftest import FLIGHT_COLUMNS, FLIGHTS, Bench

#: Two versions share the traffic; both say by hour and weather how likely a flight is late, and by how much.
MADE = (
    f"SELECT *, (1 + hash(flight_id) % 2)::VARCHAR AS model_version, month(scheduled_at) AS month,"
    " 1 / (1 + exp(2.4 - 0.08 * (hour(scheduled_at) + 16) % 24 - 0.5 * precipitation_in - 0.02 * wind_speed_mph"
    " + CASE WHEN hash(flight_id) % 2 = 0 THEN 0.3 * (hash(flight_id) % 7) ELSE 0 END)) AS p_late,"
    f" 60 * p_late - 12 AS predicted, (arrival_delay_min > 15)::INT AS was_late FROM '{FLIGHTS}'"
    " WHERE month(scheduled_at) IN (5, 6) AND wind_speed_mph IS NOT NULL AND precipitation_in IS NOT NULL"
)
LABELS = f"FROM ({MADE}) WHERE arrival_delay_min IS NOT NULL"
THRESHOLD = 0.35
#: What the score histogram's bins cost (`performance.metric` states it). The rest are sums over the rows: exact.
TOLERANCE = {"auc": 1e-3, "average_precision": 3e-3}

ORACLES: dict[str, Callable[[Any, Any], float]] = {
    "auc": sk.roc_auc_score,
    "average_precision": sk.average_precision_score,
    "log_loss": sk.log_loss,
    "brier": sk.brier_score_loss,
    "accuracy": lambda y, p: sk.accuracy_score(y, p >= THRESHOLD),
    "precision": lambda y, p: sk.precision_score(y, p >= THRESHOLD),
    "recall": lambda y, p: sk.recall_score(y, p >= THRESHOLD),
    "f1": lambda y, p: sk.f1_score(y, p >= THRESHOLD),
}


@pytest.fixture
def binary(bench: Bench) -> Bench:
    for version in ("1", "2"):
        bench.register(version, columns=FLIGHT_COLUMNS, threshold=THRESHOLD, slices=["carrier"], features={})
    bench.predict(bench.file(f"SELECT flight_id, scheduled_at, model_version, carrier, p_late FROM ({MADE})"))
    return bench


def listed(bench: Bench, **asked: Any) -> list[dict[str, Any]]:
    book = Listings(listings())
    params = ListParams("performance", window="1mo", limit=1_000, scope={"slice": "*"}, **asked)
    page = bench.database.reader.read(lambda c: book.page(c, params))
    assert page.total == len(page.rows)
    names = [column.name for column in page.columns]
    rows = [dict(zip(names, row, strict=True)) for row in page.rows]
    return [row for row in rows if row["kind"] == "realised" and row["value"] is not None]


def truth(bench: Bench) -> dict[str, Any]:
    found = bench.maker.execute(
        f"SELECT month, model_version, carrier, p_late, was_late, predicted, arrival_delay_min {LABELS}"
    ).fetchnumpy()
    return {name: np.ma.getdata(values) for name, values in found.items()}


def rows_of(known: dict[str, Any], row: dict[str, Any]) -> Any:
    month = 5 if row["window_start"] < 1_370_044_800 else 6
    mask = (known["month"] == month) & (known["model_version"] == row["version"])
    name, _, value = row["slice"].partition("=")
    return mask & (known[name] == value) if name else mask


def test_every_metric_of_every_window_version_and_slice_is_scikit_learns(binary: Bench) -> None:
    binary.label(binary.file(f"SELECT flight_id, was_late, landed_at {LABELS}"))
    known = truth(binary)
    compared = set()
    for row in listed(binary):
        mask = rows_of(known, row)
        if row["metric"] not in ORACLES:
            continue
        label, score = known["was_late"][mask], known["p_late"][mask]
        assert row["labelled"] == len(label)
        if len(label) < 200:
            # A few flights: AUC and average precision of ties within a bin are not held to a thousandth.
            continue
        expected = ORACLES[row["metric"]](label, score)
        assert row["value"] == pytest.approx(expected, abs=TOLERANCE.get(row["metric"], 1e-9)), row["id"]
        compared.add((row["metric"], row["version"], row["slice"], row["window_start"]))
    assert {cell[:3] for cell in compared if not cell[2]} == {(name, v, "") for name in ORACLES for v in ("1", "2")}
    assert {cell[2] for cell in compared} >= {"", "carrier=UA", "carrier=EV", "carrier=DL"}
    assert len({cell[3] for cell in compared}) == 2


def test_a_correction_is_a_further_fact_and_what_was_known_before_stays(binary: Bench) -> None:
    half = "hash(flight_id) % 10 < 5"
    binary.label(binary.file(f"SELECT flight_id, 1 - was_late AS was_late, landed_at {LABELS} AND {half}"))
    wrong = times.now().timestamp()
    before = {row["id"]: row["value"] for row in listed(binary)}
    binary.label(binary.file(f"SELECT flight_id, was_late, landed_at {LABELS} AND {half}"))
    assert {row["id"]: row["value"] for row in listed(binary, at=wrong)} == before
    found = {(row["version"], row["window_start"], row["metric"]): row for row in listed(binary) if not row["slice"]}
    known = truth(binary)
    some = binary.maker.execute(f"SELECT {half} AS half {LABELS}").fetchnumpy()["half"]
    for (_, _, metric), row in found.items():
        if metric == "accuracy":
            mask = rows_of(known, row) & some
            expected = sk.accuracy_score(known["was_late"][mask], known["p_late"][mask] >= THRESHOLD)
            assert (row["value"], row["labelled"]) == (pytest.approx(expected, abs=1e-9), mask.sum())


def test_regressions_and_their_quantiles_are_scikit_learns_too(bench: Bench) -> None:
    columns = ColumnNames("flight_id", "scheduled_at", "predicted", "", "arrival_delay_min", "landed_at")
    for version in ("1", "2"):
        bench.register(version, task="regression", columns=columns, slices=["carrier"], features={})
    bench.predict(
        bench.file(
            "SELECT flight_id, scheduled_at, model_version, carrier, predicted, predicted - 25 AS prediction_q05,"
            f" predicted + 40 * p_late AS prediction_q95 FROM ({MADE})"
        )
    )
    bench.label(bench.file(f"SELECT flight_id, arrival_delay_min, landed_at {LABELS}"))
    known = truth(bench)
    compared = 0
    for row in listed(bench):
        mask = rows_of(known, row)
        target, predicted = known["arrival_delay_min"][mask].astype(float), known["predicted"][mask]
        inside = (target >= predicted - 25) & (target <= predicted + 40 * known["p_late"][mask])
        expected = {
            "mae": sk.mean_absolute_error, "rmse": sk.root_mean_squared_error, "r2": sk.r2_score,
            "bias": lambda y, p: float(np.mean(p - y)), "coverage": lambda *_, part=inside: float(part.mean()),
        }[row["metric"]](target, predicted)  # fmt: skip
        assert row["value"] == pytest.approx(expected, rel=1e-9, abs=1e-9), row["id"]
        compared += 1
    assert compared > 2 * 2 * 5 * 10
