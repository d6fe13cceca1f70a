"""The domain classifier and reconstruction error: quiet on one distribution, loud on what no feature shows alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits

from store.catalog.manifest import ModelManifest
from store.monitor.workers.messages import Compared, Comparison, File
from store.monitor.workers.multivariate import _reconstruction, compare
from store.monitor.workers.rows import Rows, coded


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As in a worker: threads that wait for a busy core are slower than none."""
    with threadpool_limits(1):
        yield


KINDS = {"a": "numeric", "b": "numeric", "c": "categorical", "d": "numeric"}


def table(seed: int, rows: int = 4000, together: float = 0.9, shift: float = 0.0, rare: float = 0.1) -> pa.Table:
    """Columns a and b hang together as much as `together`; c says "rare" in so many rows; d is noise."""
    generator = np.random.default_rng(seed)
    a = generator.normal(shift, 1, rows)
    return pa.table(
        {
            "a": a,
            "b": together * a + np.sqrt(1 - together**2) * generator.normal(0, 1, rows),
            "c": np.where(generator.random(rows) < rare, "rare", "usual"),
            "d": np.where(generator.random(rows) < 0.05, np.nan, generator.normal(0, 1, rows)),
            "timestamp": np.linspace(1e9, 1e9 + 86_400, rows, endpoint=False),
        }
    )


def found(folder: Path, current: pa.Table, **changes: Any) -> Comparison:
    pq.write_table(table(1), folder / "reference.parquet")
    pq.write_table(current, folder / "current.parquet")
    known: dict[str, Any] = {
        "manifest": ModelManifest("m", "1"), "version": "1", "only_version": False, "features": KINDS,
        "reference": File(str(folder / "reference.parquet"), "parquet"),
        "files": [File(str(folder / "current.parquet"), "parquet")], "since": 0.0, "until": 2e9, "limit": 1500,
    }  # fmt: skip
    return compare(Compared(**{**known, **changes}), lambda label, done, total: None)


def test_rows_of_one_distribution_are_not_told_apart(tmp_path: Path) -> None:
    same = found(tmp_path, table(2))
    assert same.auc is not None and same.auc_noise is not None and same.auc < same.auc_noise
    assert same.error is not None and same.error_lower is not None and same.error_upper is not None
    assert same.error_lower <= same.error <= same.error_upper


def test_a_shift_is_told_with_the_feature_that_tells_it(tmp_path: Path) -> None:
    shifted = found(tmp_path, table(2, rare=0.5))
    assert shifted.auc is not None and shifted.auc_noise is not None and shifted.auc > shifted.auc_noise + 0.1
    assert shifted.telling[0].feature == "c"
    assert shifted.telling[0].change.startswith(("rare", "usual"))


def test_features_that_no_longer_hang_together_are_told_though_none_drifts(tmp_path: Path) -> None:
    broken = found(tmp_path, table(2, together=0.0))
    assert broken.auc is not None and broken.auc_noise is not None and broken.auc > broken.auc_noise + 0.05
    assert {weight.feature for weight in broken.telling[:2]} == {"a", "b"}
    assert broken.error is not None and broken.error_upper is not None and broken.error > broken.error_upper


def test_the_same_question_has_the_same_answer(tmp_path: Path) -> None:
    assert found(tmp_path, table(2, shift=0.3), limit=500) == found(tmp_path, table(2, shift=0.3), limit=500)


def test_reconstruction_error_is_scikit_learns(tmp_path: Path) -> None:
    before, now = table(1).to_pandas(), table(2, together=0.2).to_pandas()
    kinds = {"a": "numeric", "b": "numeric"}

    def rows(frame: Any) -> Rows:
        nothing = np.zeros(len(frame))
        columns = {name: frame[name].to_numpy() for name in kinds}
        return Rows(columns, nothing, nothing, nothing, nothing.astype(int), len(frame), len(frame))

    error = _reconstruction(kinds, rows(before), rows(now), 0)[0]
    scaled = [
        ((part[["a", "b"]] - before[["a", "b"]].mean()) / before[["a", "b"]].std(ddof=0)).to_numpy()
        for part in (before, now)
    ]
    half = np.random.default_rng(0).permutation(len(before))[: len(before) // 2]
    model = PCA(n_components=0.65, svd_solver="full").fit(scaled[0][half])
    expected = np.linalg.norm(scaled[1] - model.inverse_transform(model.transform(scaled[1])), axis=1).mean()
    assert error == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"since": 1.9e9}, "predictions: 0 rows, at least 50 are needed"),
        ({"limit": 20}, "predictions: 20 rows, at least 50 are needed"),
        ({"features": {"absent": "numeric"}}, "no feature varies"),
        ({"files": [File("/nowhere.parquet", "parquet")]}, "predictions: 0 rows, at least 50 are needed"),
    ],
)
def test_what_cannot_be_compared_says_why(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    nothing = found(tmp_path, table(2), **changes)
    assert (nothing.auc, nothing.error, nothing.why) == (None, None, why)


def test_one_feature_has_nothing_to_hang_together_with(tmp_path: Path) -> None:
    one = found(tmp_path, table(2), features={"a": "numeric"})
    assert one.auc is not None
    assert (one.error, one.error_why) == (None, "one feature has nothing to hang together with")


def test_a_column_that_is_all_null_now_is_told(tmp_path: Path) -> None:
    current = table(2)
    current = current.set_column(0, "a", pa.nulls(len(current), pa.float64()))
    lost = found(tmp_path, current)
    assert lost.telling[0].feature == "a"
    assert lost.telling[0].change == "missing 0.0% → 100.0%"


def test_text_among_numbers_and_ten_thousand_categories_do_no_harm(tmp_path: Path) -> None:
    current = table(2).set_column(1, "b", pa.array([f"no number {i}" for i in range(4000)]))
    current = current.set_column(2, "c", pa.array([f"k{i}" for i in range(4000)]))
    odd = found(tmp_path, current)
    assert odd.auc == pytest.approx(1.0, abs=0.01)


def test_categories_have_one_number_in_both_samples() -> None:
    def rows(values: list[str | None]) -> Rows:
        nothing = np.zeros(len(values))
        return Rows(
            {"c": np.array(values, object)}, nothing, nothing, nothing, nothing.astype(int), len(values), len(values)
        )

    (before, now), categorical = coded({"c": "categorical"}, rows(["x", "x", "y", None]), rows(["y", "z", "x"]))
    assert categorical == [True]
    assert np.isnan(before[3, 0])
    assert [before[0, 0], before[2, 0]] == [now[2, 0], now[0, 0]]


def test_rows_are_those_of_the_version_and_the_span(tmp_path: Path) -> None:
    rows = (
        "SELECT i::DOUBLE AS a, (i % 7)::DOUBLE AS b, 1e9 + i AS timestamp, CASE i % 3 WHEN 0 THEN '1' WHEN 1 THEN '2'"
    )
    path = tmp_path / "versions.parquet"
    duckdb.connect().execute(f"COPY ({rows} END AS model_version FROM range(900) t(i)) TO '{path}'")
    current = table(2)
    kinds = {"a": "numeric", "b": "numeric"}
    mine = found(tmp_path, current, files=[File(str(path), "parquet")], features=kinds, since=1e9, until=1e9 + 600)
    alone = found(
        tmp_path,
        current,
        files=[File(str(path), "parquet")],
        features=kinds,
        since=1e9,
        until=1e9 + 600,
        only_version=True,
    )
    assert (mine.rows, alone.rows) == (400, 200)
