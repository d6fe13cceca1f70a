"""CSV files of other dialects through `quarterdeck drift` and the store: the same results as of the Parquet file."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from console import cli
from store.monitor import performance
from store.monitor.reference import Reference, load_reference
from tests.store.intake.running import Running, eventually
from tests.store.monitor.conftest import Bench

WRITTEN: dict[str, dict[str, Any]] = {
    "latin-1 ;": {"sep": ";", "encoding": "latin-1", "lineterminator": "\r\n"},
    "utf-16 tab": {"sep": "\t", "encoding": "utf-16"},
    "utf-8-sig": {"encoding": "utf-8-sig", "quoting": csv.QUOTE_ALL},
    "cp1252 |": {"sep": "|", "encoding": "cp1252", "na_rep": "NA"},
}


def frame(seed: int, rows: int, mean: float) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "Größe": np.where(draw.random(rows) < 0.1, np.nan, draw.normal(mean, 10, rows).round(3)),
            "Straße, Ort": draw.choice(["Köln", "Zürich; See", "München"], rows, p=[0.5, 0.3, 0.2]),
        }
    )


def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[tuple[str, str], Any]:
    assert cli.main(["drift", *arguments, "--json"]) == 0
    return {(row["feature"], row["statistic"]): row for row in json.loads(capsys.readouterr().out)}


@pytest.mark.parametrize("written", WRITTEN)
def test_drift_is_that_of_the_parquet_files(tmp_path: Path, capsys: pytest.CaptureFixture[str], written: str) -> None:
    before, after = frame(1, 3_000, 50), frame(2, 2_000, 53)
    for name, data in (("before", before), ("after", after)):
        data.to_parquet(tmp_path / f"{name}.parquet")
        data.to_csv(tmp_path / f"{name}.csv", index=False, **WRITTEN[written])
    right = stats.ks_2samp(before["Größe"].dropna(), after["Größe"].dropna()).statistic
    typed = report(capsys, str(tmp_path / "after.parquet"), "--reference", str(tmp_path / "before.parquet"))
    for current, reference in (("csv", "csv"), ("csv", "parquet"), ("parquet", "csv")):
        found = report(capsys, str(tmp_path / f"after.{current}"), "--reference", str(tmp_path / f"before.{reference}"))
        assert found["Größe", "ks"]["value"] == pytest.approx(right, abs=1 / 128)
        assert found["Größe", "psi"]["rows"] == 2_000
        assert found["Straße, Ort", "psi"]["alarm"] is False
        # Missing values have a bin of their own in it.
        assert {key: row["value"] for key, row in found.items()} == {
            key: pytest.approx(row["value"], abs=1e-9) for key, row in typed.items()
        }


def test_the_report_says_how_it_was_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = tmp_path / "before.csv", tmp_path / "after.csv"
    frame(1, 500, 50).to_csv(before, index=False)
    text = frame(2, 500, 50).to_csv(index=False, na_rep="NA").splitlines()
    text[100] += ",more"
    after.write_text("\n".join(text) + "\n", encoding="latin-1")
    assert cli.main(["drift", str(after), "--reference", str(before)]) == 0
    said = capsys.readouterr().out
    assert "after.csv is read as Windows-1252" in said
    assert "1 rows of after.csv have more fields than columns and are left out, the first is line 101" in said
    assert "unquoted values of 'Größe' in after.csv are words for “no value”, read as missing ('NA')" in said
    assert "499 rows against 500" in said


def test_a_file_that_cannot_be_read_names_line_found_and_expected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, ragged, lines = tmp_path / "good.csv", tmp_path / "ragged.csv", tmp_path / "lines.jsonl"
    good.write_text("a,b\n1,2\n")
    ragged.write_text("a,b\n1,2,3,4\n5,6,7,8\n")
    lines.write_text('{"a": 1}\n{"a": \n')
    assert cli.main(["drift", str(ragged), "--reference", str(good)]) == 2
    said = capsys.readouterr().err
    assert "ragged.csv cannot be read: line 2: found 4 fields, expected 2 as the header has (a, b)" in said
    assert "Write it again whole" not in said
    assert cli.main(["drift", str(lines), "--reference", str(good)]) == 2
    said = capsys.readouterr().err
    assert "lines.jsonl cannot be read: line 2: found '{\"a\":'" in said
    assert "Write it again whole" not in said


def test_predictions_and_labels_of_any_dialect_count_as_their_parquet(bench: Bench, tmp_path: Path) -> None:
    manifest = bench.register(features={"Größe": "numeric", "ort": "categorical"})
    draw = np.random.default_rng(3)
    rows = 400
    data = pd.DataFrame(
        {
            "prediction_id": [f"ü{i}" for i in range(rows)],
            "timestamp": pd.Timestamp("2013-03-01") + pd.to_timedelta(np.arange(rows), "min"),
            "Größe": draw.normal(50, 10, rows).round(3),
            "ort": draw.choice(["Köln", "Zürich", "NA"], rows),
            "score": draw.random(rows).round(6),
        }
    )
    labels = pd.DataFrame({"prediction_id": data["prediction_id"], "label": draw.integers(0, 2, rows)})
    data.to_parquet(tmp_path / "reference.parquet")
    bench.reference(manifest, tmp_path / "reference.parquet")
    counts = []
    for kind in ("parquet", "csv"):
        if kind == "parquet":
            data.to_parquet(tmp_path / "p.parquet")
        else:
            bench.database.writer.change(lambda tx: tx.execute("DELETE FROM monitor_window") and None)
            bench.database.writer.change(lambda tx: tx.execute("DELETE FROM monitor_prediction") and None)
            quoted = {"index": False, "sep": ";", "encoding": "latin-1", "quoting": csv.QUOTE_NONNUMERIC}
            data.to_csv(tmp_path / "p.csv", **quoted)
            labels.to_csv(tmp_path / "l.csv", index=False, sep="\t", encoding="utf-16")
        taken = bench.predict(tmp_path / f"p.{kind}", kind)
        assert taken.counted == rows
        counts.append(bench.counts())
    assert counts[0] == counts[1]
    assert any("Windows-1252" in note.text for note in taken.notes)
    labelled = bench.label(tmp_path / "l.csv")
    assert (labelled.labels, labelled.joined) == (rows, rows)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path / "store").start()
    yield made
    made.close()


def test_a_reference_in_windows_1252_is_profiled_by_intake(store: Running) -> None:
    draw = np.random.default_rng(4)
    data = pd.DataFrame({"ort": ["Köln", "Zürich", "Köln", "NA"] * 50, "label": draw.integers(0, 2, 200)})
    data["score"] = (draw.random(200) * 0.5 + data["label"] * 0.3).round(3)
    content = data.to_csv(index=False, sep=";", quoting=csv.QUOTE_NONNUMERIC).encode("cp1252")
    store.put("models/m/1/reference.csv", content)
    store.put("models/m/1/model.bin", b"bits")
    model = {
        "task": "binary",
        "artifact": "model.bin",
        "reference": "reference.csv",
        "features": {"ort": "categorical"},
    }
    store.put("models/m/1/model.json", model)

    def found() -> Reference | None:
        return store.database.reader.read(lambda c: load_reference(c, "m", "1"))

    reference: Reference = eventually(found)
    bins = reference.by_name["ort"]
    counted = dict(zip(bins.categories, reference.of(bins).tolist(), strict=False))
    assert counted == {"Köln": 100, "Zürich": 50, "NA": 50}
    assert any("Windows-1252" in note.text for note in reference.notes)
    # Its performance is read from the same copy.
    outcome = reference.performance
    area, _ = performance.metric("binary", "auc", outcome.dense(), outcome.sums)
    assert area == pytest.approx(roc_auc_score(data["label"], data["score"]), abs=1e-3)
