"""Expected errors of regressions: near what labels then show, though no label of the window is known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from threadpoolctl import threadpool_limits

from store.catalog.manifest import ModelManifest
from store.monitor.estimated import of_errors
from store.monitor.workers.errors import expect
from store.monitor.workers.messages import Errors, Expected, File

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
