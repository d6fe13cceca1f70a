"""Makes cbpe_scores.parquet and cbpe_expected.json: real scores of late flights, and NannyML's CBPE of them.

Run with a Python that has nannyml 0.13 and scikit-learn: `python tests/store/monitor/data/make_cbpe.py`.
The classifier learns January and February, March is the reference, each later month one chunk; the scores are
kept in full for March and as every fourth flight of the other months.
"""

from __future__ import annotations

import json
from pathlib import Path

import nannyml
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

HERE = Path(__file__).parent
FLIGHTS = HERE.parents[3] / "sample_data" / "flights_2013.parquet"
THRESHOLD = 0.25
METRICS = ["roc_auc", "f1", "precision", "recall", "accuracy", "average_precision"]
OURS = {"roc_auc": "auc"}


def main() -> None:
    flights = pd.read_parquet(FLIGHTS)
    flights = flights[flights["arrival_delay_min"].notna()].copy()
    flights["late"] = (flights["arrival_delay_min"] > 15).astype(int)
    month = flights["scheduled_at"].dt.month
    features = flights[
        ["distance_mi", "temperature_f", "dew_point_f", "humidity_pct", "wind_speed_mph", "precipitation_in",
         "pressure_mb", "visibility_mi"]
    ].assign(
        hour=flights["scheduled_at"].dt.hour,
        carrier=flights["carrier"].astype("category").cat.codes,
        origin=flights["origin"].astype("category").cat.codes,
    )  # fmt: skip
    model = HistGradientBoostingClassifier(max_iter=60, random_state=0).fit(
        features[month <= 2], flights["late"][month <= 2]
    )
    scored = pd.DataFrame(
        {
            # What is written is what NannyML sees: four decimals.
            "score": np.round(model.predict_proba(features)[:, 1], 4),
            "label": flights["late"].to_numpy(),
            "month": month.to_numpy(),
            "timestamp": flights["scheduled_at"].dt.tz_localize(None).to_numpy(),
        }
    )
    scored["prediction"] = (scored["score"] >= THRESHOLD).astype(int)
    reference = scored[scored["month"] == 3].reset_index(drop=True)
    analysis = scored[scored["month"] > 3].iloc[::4].reset_index(drop=True)
    calculator = nannyml.CBPE(
        metrics=METRICS, y_pred="prediction", y_pred_proba="score", y_true="label", timestamp_column_name="timestamp",
        problem_type="classification_binary", chunk_period="M",
    )  # fmt: skip
    calculator.fit(reference)
    found = calculator.estimate(analysis.drop(columns=["label", "month"])).to_df()
    expected = {
        OURS.get(name, name): [float(value) for value in found[found["chunk", "period"] == "analysis"][name, "value"]]
        for name in METRICS
    }
    (HERE / "cbpe_expected.json").write_text(
        json.dumps(
            {
                "made_with": f"nannyml {nannyml.__version__}",
                "calibrated": bool(calculator.needs_calibration),
                "threshold": THRESHOLD,
                "months": list(range(4, 13)),
                "estimated": expected,
            },
            indent=1,
        )
        + "\n"
    )
    kept = pd.concat([reference, analysis])
    pd.DataFrame(
        {
            "month": kept["month"].astype("uint8"),
            "score": kept["score"].astype("float32"),
            "label": kept["label"].astype("uint8"),
        }
    ).to_parquet(HERE / "cbpe_scores.parquet", compression="zstd", index=False)


if __name__ == "__main__":
    main()
