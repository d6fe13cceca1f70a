"""Expected errors of regressions: near what labels then show, though no label of the window is known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from store.catalog.manifest import ColumnNames, ModelManifest
from store.monitor.estimated import of_errors
from store.monitor.workers.errors import expect
from store.monitor.workers.messages import Errors, Expected, File
from tests.store.monitor.conftest import FLIGHTS

HOUR = 3600


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


def table(seed: int, rows: int, hard: float) -> pa.Table:
    """A forecast whose errors are three times as large on weekends, which are `hard` of the rows."""
    generator = np.random.default_rng(seed)
    weekend = generator.random(rows) < hard
    prediction = generator.normal(50, 10, rows)
    return pa.table(
        {
            "prediction": prediction,
            "day": np.where(weekend, "weekend", "weekday"),
            "x": generator.normal(0, 1, rows),
            "label": prediction + generator.normal(0, np.where(weekend, 6.0, 2.0)),
            "timestamp": 1e9 // HOUR * HOUR + np.arange(rows) * (2 * HOUR / rows),
        }
    )


def found(folder: Path, current: pa.Table, **changes: Any) -> Errors:
    pq.write_table(table(1, 8000, 0.3), folder / "reference.parquet")
    pq.write_table(current.drop_columns(["label"]), folder / "current.parquet")
    known: dict[str, Any] = {
        "manifest": ModelManifest("m", "1", task="regression"), "version": "1", "only_version": False,
        "features": {"day": "categorical", "x": "numeric"},
        "reference": File(str(folder / "reference.parquet"), "parquet"),
        "files": [File(str(folder / "current.parquet"), "parquet", "sha256:c")], "base_seconds": HOUR, "limit": 10_000,
    }  # fmt: skip
    return expect(Expected(**{**known, **changes}), lambda label, done, total: None)


@pytest.mark.parametrize("limit", [10_000, 2_000])
def test_errors_that_will_rise_are_foreseen(tmp_path: Path, limit: int) -> None:
    current = table(2, 6000, 0.9)
    errors = found(tmp_path, current, limit=limit)
    assert [window.rows for window in errors.windows] == pytest.approx([3000, 3000], rel=0.05)
    rows = sum(window.rows for window in errors.windows)
    estimate = of_errors(("mae", "rmse"), rows, np.sum([window.sums for window in errors.windows], axis=0))
    error = current["label"].to_numpy() - current["prediction"].to_numpy()
    mae, rmse = float(np.abs(error).mean()), float(np.sqrt((error**2).mean()))
    assert estimate["mae"].value == pytest.approx(mae, rel=0.05)
    assert estimate["rmse"].value == pytest.approx(rmse, rel=0.05)
    assert estimate["mae"].lower is not None and estimate["mae"].upper is not None
    assert estimate["mae"].lower < mae < estimate["mae"].upper


def test_a_reference_without_labels_teaches_nothing(tmp_path: Path) -> None:
    bare = tmp_path / "bare.parquet"
    pq.write_table(table(1, 500, 0.3).drop_columns(["label"]), bare)
    errors = found(tmp_path, table(2, 100, 0.3), reference=File(str(bare), "parquet"))
    assert (errors.windows, errors.why) == (
        [], "the reference holds 0 rows with prediction and label, 100 are needed",
    )  # fmt: skip


def test_a_forecast_that_is_always_right_has_no_errors_to_expect(tmp_path: Path) -> None:
    perfect = table(1, 500, 0.3)
    perfect = perfect.set_column(perfect.column_names.index("label"), "label", perfect["prediction"])
    path = tmp_path / "perfect.parquet"
    pq.write_table(perfect, path)
    errors = found(tmp_path, table(2, 100, 0.3), reference=File(str(path), "parquet"))
    assert [window.sums for window in errors.windows] == [[0.0] * 4] * 2


def test_a_file_that_is_gone_is_said(tmp_path: Path) -> None:
    errors = found(tmp_path, table(2, 100, 0.3), files=[File("/nowhere.parquet", "parquet", "sha256:x")])
    assert errors.windows == []
    assert errors.notes[0].startswith("left out: nowhere.parquet")


FLIGHT_FEATURES = {
    "hour": "numeric", "distance_mi": "numeric", "temperature_f": "numeric", "humidity_pct": "numeric",
    "wind_speed_mph": "numeric", "precipitation_in": "numeric", "visibility_mi": "numeric", "carrier": "categorical",
}  # fmt: skip
#: Scheduled departures (UTC) from the morning to the evening: forecasts of the evening are twice as far off.
BLOCKS = [(10, 12), (13, 15), (16, 18), (19, 21), (22, 23)]


def test_errors_of_real_forecasts_are_told_before_the_labels_by_the_time_of_day(tmp_path: Path) -> None:
    """A forecast of the delay from January and February; its errors learnt on the odd days of spring and expected, by
    time of day, on the even ones: within 10 % (MAE) and 16 % (RMSE) of what labels then show. What would expect the
    same of every window is off by more than that at both ends of the day."""
    maker = duckdb.connect()
    maker.execute(
        f"CREATE TABLE flights AS SELECT *, hour(scheduled_at)::DOUBLE AS hour FROM '{FLIGHTS}'"
        " WHERE arrival_delay_min IS NOT NULL AND month(scheduled_at) < 6"
    )
    numbers = [name for name, kind in FLIGHT_FEATURES.items() if kind == "numeric"]

    def columns(where: str) -> tuple[Any, Any, Any]:
        found = maker.execute(f"SELECT * FROM flights WHERE {where} ORDER BY flight_id").fetchnumpy()
        matrix = np.column_stack([np.ma.filled(found[name].astype(float), np.nan) for name in numbers])
        return np.asarray(found["flight_id"]), matrix, np.asarray(found["arrival_delay_min"], float)

    _, learnt, delay = columns("month(scheduled_at) < 3")
    model = HistGradientBoostingRegressor(max_iter=60, random_state=0).fit(learnt, delay)
    identity, spring, _ = columns("month(scheduled_at) >= 3")
    maker.register("answers", pa.table({"flight_id": identity, "predicted": model.predict(spring)}))
    rows = f"SELECT flight_id, scheduled_at, predicted, {', '.join(FLIGHT_FEATURES)} {{}} FROM flights JOIN answers"
    rows += " USING (flight_id)"
    odd = rows.format(", arrival_delay_min") + " WHERE day(scheduled_at) % 2 = 1"
    maker.execute(f"COPY ({odd}) TO '{tmp_path}/reference.parquet'")
    files, realised = [], []
    for low, high in BLOCKS:
        even = f"WHERE day(scheduled_at) % 2 = 0 AND hour BETWEEN {low} AND {high}"
        files.append(File(f"{tmp_path}/{low}.parquet", "parquet", str(low)))
        maker.execute(f"COPY ({rows.format('')} {even}) TO '{files[-1].path}'")
        error = maker.execute(
            f"SELECT arrival_delay_min - predicted AS e FROM flights JOIN answers USING (flight_id) {even}"
        ).fetchnumpy()["e"]
        realised.append((float(np.abs(error).mean()), float(np.sqrt((error**2).mean()))))
    manifest = ModelManifest(
        "m", "1", task="regression",
        columns=ColumnNames("flight_id", "scheduled_at", "predicted", label="arrival_delay_min"),
    )  # fmt: skip
    asked = Expected(
        manifest, "1", False, FLIGHT_FEATURES, File(f"{tmp_path}/reference.parquet", "parquet"), files, HOUR, 20_000
    )
    found = expect(asked, lambda label, done, total: None)
    of_reference = maker.execute(
        f"SELECT avg(abs(arrival_delay_min - predicted)), sqrt(avg((arrival_delay_min - predicted) ** 2)) FROM ({odd})"
    ).fetchall()[0]
    for file, (mae, rmse) in zip(files, realised, strict=True):
        windows = [window for window in found.windows if window.arrival == file.arrival]
        sums = np.sum([window.sums for window in windows], axis=0)
        estimate = of_errors(("mae", "rmse"), sum(window.rows for window in windows), sums)
        assert estimate["mae"].value == pytest.approx(mae, rel=0.10)
        assert estimate["rmse"].value == pytest.approx(rmse, rel=0.16)
    for mae, rmse in (realised[0], realised[-1]):
        assert of_reference[0] != pytest.approx(mae, rel=0.10)
        assert of_reference[1] != pytest.approx(rmse, rel=0.16)
