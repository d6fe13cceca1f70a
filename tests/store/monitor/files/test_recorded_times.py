"""Files whose times are written in different ways fall into the same windows, and what could not be read is said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from store.catalog.manifest import ColumnFormat
from store.monitor.kernel import BATCH_ROWS
from tests.store.monitor.conftest import Bench

TIMES = pd.date_range("2024-10-26 20:30", periods=200, freq="17min", tz="UTC")


def predictions(times: Any = TIMES, **more: Any) -> pd.DataFrame:
    rows = len(times)
    score = np.linspace(0, 1, rows)
    columns = {"prediction_id": [f"p{i}" for i in range(rows)], "timestamp": times, "x": np.arange(rows) % 40 / 1.0}
    return pd.DataFrame({**columns, "k": "a", "score": score, "prediction": (score > 0.5).astype(int), **more})


@pytest.fixture
def watched(bench: Bench) -> Bench:
    watch(bench)
    return bench


def watch(bench: Bench, **manifest: Any) -> None:
    made = bench.register(**manifest)
    bench.reference(made, bench.file("SELECT (i % 40)::DOUBLE AS x, 'a' AS k FROM range(400) t(i)"))


def windows(bench: Bench) -> dict[datetime, int]:
    rows = bench.rows("SELECT window_start, sum(row_count) FROM monitor_window GROUP BY 1")
    return {start.replace(tzinfo=UTC): int(count) for start, count in rows}


def hours(times: pd.DatetimeIndex) -> dict[datetime, int]:
    counts = pd.Series(1, index=times).groupby(times.floor("h")).sum()
    return {moment.to_pydatetime(): int(count) for moment, count in counts.items()}


def saved(bench: Bench, frame: pd.DataFrame, suffix: str = "parquet") -> Path:
    path = bench.folder / f"{len(list(bench.folder.iterdir()))}.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    elif suffix == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_json(path, orient="records", lines=True)
    return path


NANOSECONDS = TIMES.as_unit("ns")


def test_nanoseconds_with_a_zone_are_counted_in_a_small_file(watched: Bench) -> None:
    watched.predict(saved(watched, predictions(NANOSECONDS)))
    assert windows(watched) == hours(TIMES)


def test_nanoseconds_with_a_zone_are_counted_in_a_versioned_file(watched: Bench) -> None:
    watched.predict(saved(watched, predictions(NANOSECONDS, model_version="1")))
    assert windows(watched) == hours(TIMES)


def test_nanoseconds_with_a_zone_are_counted_in_a_sliced_file(bench: Bench) -> None:
    watch(bench, slices=["k"])
    bench.predict(saved(bench, predictions(NANOSECONDS.tz_convert("America/New_York"))))
    assert windows(bench) == hours(TIMES)


def test_nanoseconds_with_a_zone_are_counted_in_a_large_file(watched: Bench) -> None:
    times = pd.date_range("2024-09-01", periods=BATCH_ROWS + 5, freq="1min", tz="UTC").as_unit("ns")
    watched.predict(saved(watched, predictions(times)))
    assert windows(watched) == hours(times)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_label_times_in_nanoseconds_are_read_and_joined(watched: Bench, suffix: str) -> None:
    watched.predict(saved(watched, predictions()))
    labels = pd.DataFrame({"prediction_id": [f"p{i}" for i in range(200)], "label": 1})
    labels["timestamp"] = (
        (NANOSECONDS + pd.Timedelta("1h")).map(lambda t: t.isoformat())
        if suffix == "jsonl"
        else NANOSECONDS + pd.Timedelta("1h")
    )
    joined = watched.label(saved(watched, labels, suffix))
    assert (joined.labels, joined.joined, joined.notes) == (200, 200, ())
    assert watched.rows("SELECT min(label_at), max(label_at) FROM monitor_label") == [
        tuple((moment + pd.Timedelta("1h")).to_pydatetime().replace(tzinfo=None) for moment in (TIMES[0], TIMES[-1]))
    ]


WRITERS: dict[str, Callable[[pd.DatetimeIndex], Any]] = {
    "iso": lambda t: t.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "offset after a blank": lambda t: t.tz_convert("America/New_York").strftime("%Y-%m-%d %H:%M:%S %z"),
    "day first": lambda t: t.strftime("%d/%m/%Y %H:%M"),
    "month first": lambda t: t.strftime("%m/%d/%Y %I:%M:%S %p"),
    "mail": lambda t: t.strftime("%a, %d %b %Y %H:%M:%S GMT"),
    "compact": lambda t: t.strftime("%Y%m%d%H%M%S"),
    "seconds": lambda t: t.as_unit("s").asi8,
    "milliseconds": lambda t: t.as_unit("ms").asi8,
    "nanoseconds": lambda t: t.as_unit("ns").asi8,
}


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("form", WRITERS)
def test_each_form_falls_into_the_same_windows_in_each_format(watched: Bench, form: str, suffix: str) -> None:
    watched.predict(saved(watched, predictions(WRITERS[form](TIMES)), suffix))
    assert windows(watched) == hours(TIMES)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_rows_without_a_readable_time_are_left_out_and_said_with_the_reason(watched: Bench, suffix: str) -> None:
    texts = [t.isoformat() for t in TIMES]
    texts[3], texts[4], texts[5] = "soon", "2024-10-27 10:00 CST", "03/11/2024 10:00"
    taken = watched.predict(saved(watched, predictions(texts), suffix))
    assert sum(windows(watched).values()) == 197
    words = [note.describe() for note in taken.notes]
    assert [text for text in words if "have a" in text or "without" in text] == [
        "1 rows have a time in 'timestamp' that does not show which number is the day ('03/11/2024 10:00')",
        "1 rows have a value in 'timestamp' that cannot be read as a time ('soon')",
        "1 rows have a time in 'timestamp' whose zone is not known ('2024-10-27 10:00 CST')",
        "3 rows without a readable time are left out",
    ]


def test_label_times_that_cannot_be_read_are_unknown_and_said(watched: Bench) -> None:
    watched.predict(saved(watched, predictions()))
    labels = pd.DataFrame(
        {"prediction_id": ["p1", "p2", "p3"], "label": 1, "timestamp": ["2024-10-27 10:00", "soon", None]}
    )
    labelled = watched.label(saved(watched, labels, "csv"))
    assert labelled.joined == 3
    assert tuple(note.describe() for note in labelled.notes) == (
        "1 label times cannot be read and are taken as unknown",
        "1 rows have a value in 'timestamp' that cannot be read as a time ('soon')",
    )
    assert watched.rows("SELECT count(label_at) FROM monitor_label") == [(1,)]


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_declared_formats_and_zones_count_for_predictions_and_labels(bench: Bench, suffix: str) -> None:
    watch(bench, formats={"timestamp": ColumnFormat("%d/%m/%Y %H:%M", "Europe/Berlin")})
    # Berlin puts its clocks back on the 27th at 01:00Z; the hour that comes twice is the second one.
    times = TIMES[(TIMES < "2024-10-27 00:00Z") | (TIMES >= "2024-10-27 02:00Z")]
    written = times.tz_convert("Europe/Berlin").strftime("%d/%m/%Y %H:%M")
    bench.predict(saved(bench, predictions(written), suffix))
    assert windows(bench) == hours(times)
    labels = pd.DataFrame({"prediction_id": ["p0"], "label": 1, "timestamp": written[:1]})
    assert bench.label(saved(bench, labels, suffix)).joined == 1
    assert bench.rows("SELECT label_at FROM monitor_label") == [(datetime(2024, 10, 26, 20, 30),)]  # noqa: DTZ001


@pytest.mark.parametrize("rows", [200, BATCH_ROWS + 5])
def test_a_declared_zone_counts_for_parquet_timestamps_without_one(bench: Bench, rows: int) -> None:
    watch(bench, formats={"timestamp": ColumnFormat(zone="Asia/Kolkata")})
    times = pd.date_range("2024-09-01", periods=rows, freq="1min", tz="UTC").as_unit("ns")
    bench.predict(saved(bench, predictions(times.tz_convert("Asia/Kolkata").tz_localize(None))))
    assert windows(bench) == hours(times)
