"""Gradient boosting as the demo trains, measures, saves and loads it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import skops.io
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

#: The only types beyond skops' own list that a model of the demo holds: a file with any other is refused.
TRUSTED_TYPES = [
    "functools.partial",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.utils.validation.check_array",
]

#: The hyperparameters, as params.json shows them.
PARAMS: dict[str, Any] = {"learning_rate": 0.1, "max_iter": 100, "max_leaf_nodes": 31, "random_state": 0}

Report = Callable[[int, dict[str, float]], None]


def train(
    rows: pd.DataFrame,
    target: pd.Series[Any],
    validation: tuple[pd.DataFrame, pd.Series[Any]],
    categorical: Sequence[str],
    numeric: Sequence[str],
    report: Report,
    every: int = 4,
    **params: Any,
) -> Pipeline:
    """Fit on `rows` (n × features, labels 0/1) and call `report(step, metrics)` each `every` iterations while it goes.

    The metrics are train_ and validation_ `auc` and `log_loss`; those on training rows are measured on the sample of
    10,000 that scikit-learn draws for that end.
    """
    encode = ColumnTransformer(
        [
            (
                "categorical",
                # Boosting takes a negative code as missing: a destination never seen before is just that.
                OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, dtype=np.float32),
                list(categorical),
            ),
            ("numeric", "passthrough", list(numeric)),
        ]
    )
    features = encode.fit_transform(rows[[*categorical, *numeric]])
    watched = _Watch(report, every)
    classify = HistGradientBoostingClassifier(
        **{**PARAMS, **params},
        categorical_features=list(range(len(categorical))),
        # "Early stopping" is what has scikit-learn measure each iteration; it is never to stop early.
        early_stopping=True,
        n_iter_no_change=10**6,
        scoring=watched,
    )
    classify.fit(
        features,
        target.to_numpy(np.int8),
        X_val=encode.transform(validation[0][[*categorical, *numeric]]),
        y_val=validation[1].to_numpy(np.int8),
    )
    # The watcher is no part of the model: what is saved holds scikit-learn's own types only.
    classify.set_params(scoring="loss", early_stopping=False)
    classify._scorer = None
    return Pipeline([("encode", encode), ("classify", classify)])


class _Watch:
    """A scikit-learn scorer that reports: it is asked for the training sample, then for the validation rows."""

    def __init__(self, report: Report, every: int) -> None:
        self.report = report
        self.every = every
        self.train: dict[str, float] = {}
        self.step = -1

    def __call__(self, classifier: HistGradientBoostingClassifier, rows: NDArray[Any], target: NDArray[Any]) -> float:
        step = int(classifier.n_iter_)
        on_validation, self.step = step == self.step, step
        if step == 0 or step % self.every:
            return 0.0
        found = measure(target, classifier.predict_proba(rows)[:, 1])
        if not on_validation:
            self.train = {f"train_{name}": value for name, value in found.items()}
        else:
            self.report(step, {**self.train, **{f"validation_{name}": value for name, value in found.items()}})
        return -found["log_loss"]


def measure(target: Any, score: NDArray[np.float64]) -> dict[str, float]:
    """AUC and log loss of the scores (n,) for labels 0/1 (n,), as scikit-learn's functions of these names."""
    return {"auc": float(roc_auc_score(target, score)), "log_loss": float(log_loss(target, score))}


def save(model: Pipeline, path: Path) -> None:
    skops.io.dump(model, path)


def load(path: Path) -> Pipeline:
    """Raises `skops.io.exceptions.UntrustedTypesFoundException` when the file holds a type not listed."""
    return skops.io.load(path, trusted=TRUSTED_TYPES)


def scores(model: Pipeline, rows: pd.DataFrame) -> NDArray[np.float64]:
    """Probability of label 1 for each row, (n,)."""
    probability: NDArray[np.float64] = model.predict_proba(rows)[:, 1]
    return probability
