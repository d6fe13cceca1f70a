"""Records what the monitors themselves say of the presets' data, one JSON a peer.

Each in an environment that has it: `python make_presets.py evidently` (evidently 0.7.23 with pandas below 3 and
statsmodels), `nannyml` (nannyml 0.13.1), `whylogs` (whylogs[viz] 1.6.4 with pandas below 3).
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
from preset_data import cases

FOLDER = Path(__file__).parent


def evidently(reference: pd.DataFrame, current: pd.DataFrame) -> dict[str, Any]:
    from evidently import Dataset, Report
    from evidently.presets import DataDriftPreset

    report = Report([DataDriftPreset()], include_tests=True)
    run = report.run(Dataset.from_pandas(current), Dataset.from_pandas(reference))
    columns, dataset = {}, None
    for metric in json.loads(run.json())["metrics"]:
        name, config = metric["metric_name"], metric.get("config", {})
        if config.get("type", "").endswith("DriftedColumnsCount"):
            dataset = metric["value"]["share"]
        elif config.get("type", "").endswith("ValueDrift"):
            columns[config["column"]] = {
                "value": float(metric["value"]),
                "method": config["method"],
                "threshold": config["threshold"],
            }
        else:
            raise ValueError(name)
    drifted = {}
    for test in json.loads(run.json())["tests"]:
        if test["name"].startswith("Value Drift for column "):
            drifted[test["name"].removeprefix("Value Drift for column ")] = test["status"] == "FAIL"
        else:
            whole = test["status"] == "FAIL"
    for column, found in columns.items():
        found["drifted"] = drifted[column]
    return {"columns": columns, "share": dataset, "drifted": whole}


def nannyml(reference: pd.DataFrame, current: pd.DataFrame) -> dict[str, Any]:
    import nannyml as nml

    for frame in (reference, current):
        for column in frame:
            if not pd.api.types.is_numeric_dtype(frame[column]):
                frame[column] = frame[column].astype(object)
    calculator = nml.UnivariateDriftCalculator(column_names=list(reference))
    result = calculator.fit(reference).calculate(current).filter(period="analysis").to_df()
    columns = {}
    for column in reference:
        part = result[column]["jensen_shannon"]
        columns[column] = {
            "values": [float(value) for value in part["value"]],
            "threshold": float(part["upper_threshold"].iloc[0]),
            "drifted": [bool(alert) for alert in part["alert"]],
        }
    return {"columns": columns}


def whylogs(reference: pd.DataFrame, current: pd.DataFrame) -> dict[str, Any]:
    import whylogs as why
    from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores

    scores = calculate_drift_scores(why.log(current).view(), why.log(reference).view(), with_thresholds=True)
    return {
        "columns": {
            column: {
                "method": score["algorithm"],
                "value": float(score["pvalue"]),
                "category": score["drift_category"],
            }
            for column, score in scores.items()
            if score is not None
        }
    }


def main() -> None:
    peer = sys.argv[1]
    warnings.simplefilter("ignore")
    judge = {"evidently": evidently, "nannyml": nannyml, "whylogs": whylogs}[peer]
    found = {name: judge(reference, current) for name, (reference, current) in cases().items()}
    (FOLDER / f"presets_{peer}.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
