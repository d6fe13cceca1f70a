"""Files that make alerts open: a model with its reference, and days on which data and labels are others."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb

MODEL = "m"
DEPLOYMENT = f"{MODEL}@production"
#: Decides after every day; whoever needs a route adds it.
SETTINGS = """
[monitor]
alert_span = 1
open_after = 1
close_after = 1
min_rows = 100
min_labelled = 100
"""


def _write(path: Path, select: str) -> None:
    """The rows as a Parquet file that arrives whole."""
    making = path.parents[3] / "making" / path.name
    making.parent.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as maker:
        maker.execute(f"COPY ({select}) TO '{making}' (FORMAT PARQUET)")
    making.rename(path)


def write_model(store: Path) -> None:
    """Version 1 with a reference on which its scores know the labels well."""
    making = store / "making" / "version"
    making.mkdir(parents=True)
    manifest = {"model": MODEL, "version": "1", "task": "binary", "flavour": "opaque", "reference": "reference.parquet",
                "features": {"x": "numeric"}, "positive": 1}  # fmt: skip
    (making / "model.json").write_text(json.dumps(manifest))
    with duckdb.connect() as maker:
        maker.execute(
            "COPY (SELECT (i % 1000)::DOUBLE AS x, (i * 7 % 1000) / 1000.0 AS score,"
            f" (i * 7 % 1000 + hash(i) % 200 > 600)::INT AS label FROM range(20000) t(i))"
            f" TO '{making / 'reference.parquet'}' (FORMAT PARQUET)"
        )
    (store / "inbox" / "models" / MODEL).mkdir(parents=True, exist_ok=True)
    making.rename(store / "inbox" / "models" / MODEL / "1")


def write_predictions(store: Path, day: int, shift: int = 0, rows: int = 500) -> None:
    """A day of predictions; with a shift x is not what it was."""
    _write(
        store / "inbox" / "predictions" / DEPLOYMENT / f"day{day}.parquet",
        f"SELECT 'd{day}-' || i AS prediction_id, TIMESTAMP '2024-05-01' + to_days({day}) AS timestamp,"
        f" (i * 7 % 1000 + {shift})::DOUBLE AS x, (i * 7 % 1000) / 1000.0 AS score FROM range({rows}) t(i)",
    )


def write_labels(store: Path, day: int, rows: int = 500) -> None:
    """Labels of a day that have nothing to do with the scores."""
    _write(
        store / "inbox" / "labels" / DEPLOYMENT / f"day{day}.parquet",
        f"SELECT 'd{day}-' || i AS prediction_id, (hash(i) % 2)::INT AS label FROM range({rows}) t(i)",
    )
