"""A worker: how large will a regression's errors be? Learnt from the reference's own, before labels come.

Direct loss estimation (NannyML's DLE): one model learns |error| and one error² from features and prediction on the
labelled reference; their means over a window's rows estimate MAE and RMSE. Run as
`python -m store.monitor.workers.errors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from store.monitor.bins import Floats
from store.monitor.workers import rows, serving
from store.monitor.workers.messages import Errors, Expected, WindowErrors
from store.monitor.workers.rows import Rows

if TYPE_CHECKING:
    from store.monitor.workers.serving import Progress

MIN_LABELLED = 100
#: Rows of the reference that the models learn from.
MAX_LEARNT = 50_000


def expect(asked: Expected, progress: Progress) -> Errors:
    """Expected errors of the predictions in `asked.files`, by file and window."""
    connection = rows.connect()
    total = len(asked.files) + 2
    progress("reading the reference", 0, total)
    reference, notes = rows.sample(
        connection, [asked.reference], asked.manifest, asked.features, MAX_LEARNT, asked.seed
    )
    labelled = reference.where(np.isfinite(reference.prediction) & np.isfinite(reference.target))
    if labelled.size < MIN_LABELLED:
        why = f"the reference holds {labelled.size} rows with prediction and label, {MIN_LABELLED} are needed"
        return Errors([], labelled.size, notes, why)
    samples = []
    for place, file in enumerate(asked.files):
        progress("reading predictions", 1 + place, total)
        found, more = rows.sample(
            connection, [file], asked.manifest, asked.features, asked.limit, asked.seed,
            version=asked.version, only_version=asked.only_version, since=-1e12, until=1e12,
        )  # fmt: skip
        notes += more
        samples.append(found.where(np.isfinite(found.prediction)))
    connection.close()
    progress("learning errors", total - 1, total)
    predicted = _learn(asked, labelled, samples)
    windows = []
    for file, sample, (absolute, squared) in zip(asked.files, samples, predicted, strict=True):
        # Every row that was looked at stands for so many.
        weight = max(1.0, sample.total / max(1, sample.size))
        groups, inside = np.unique(np.floor(sample.event / asked.base_seconds).astype(np.int64), return_inverse=True)
        for place, group in enumerate(groups.tolist()):
            mine = inside == place
            windows.append(
                WindowErrors(
                    file.arrival, group * asked.base_seconds, round(int(mine.sum()) * weight),
                    _sums(absolute[mine], squared[mine], weight),
                )
            )  # fmt: skip
    return Errors(windows, labelled.size, notes)


def _learn(asked: Expected, labelled: Rows, samples: list[Rows]) -> list[tuple[Floats, Floats]]:
    """(expected |error|, expected error²) of each row of each sample."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    matrices, categorical = rows.coded(asked.features, labelled, *samples)
    matrices = [
        np.column_stack([matrix, part.prediction]) for matrix, part in zip(matrices, [labelled, *samples], strict=True)
    ]
    error = labelled.prediction - labelled.target
    found: list[list[Floats]] = [[] for _ in samples]
    for target in (np.abs(error), error**2):
        # Poisson's loss keeps the estimate above zero.
        model = HistGradientBoostingRegressor(
            loss="poisson", max_iter=120, learning_rate=0.05, max_leaf_nodes=15, min_samples_leaf=50,
            categorical_features=[*categorical, False], random_state=asked.seed,
        )  # fmt: skip
        if not target.any():
            for place, matrix in enumerate(matrices[1:]):
                found[place].append(np.zeros(len(matrix)))
            continue
        model.fit(matrices[0], target)
        for place, matrix in enumerate(matrices[1:]):
            found[place].append(model.predict(matrix) if len(matrix) else np.zeros(0))
    return [(absolute, squared) for absolute, squared in found]


def _sums(absolute: Floats, squared: Floats, weight: float) -> list[float]:
    """Σ|e|, Σe² of the rows that the sample stands for, and the variances of both: of the errors around what is
    expected (normal errors have a variance of e² of 2·E[e²]²), and of the sample where it is not all of them."""
    left_out = weight * (weight - 1) * len(absolute)
    variance = weight * np.maximum(squared - absolute**2, 0.0).sum() + left_out * absolute.var()
    of_squares = weight * 2 * (squared**2).sum() + left_out * squared.var()
    return [float(weight * absolute.sum()), float(weight * squared.sum()), float(variance), float(of_squares)]


if __name__ == "__main__":
    serving.serve(Expected, expect)
