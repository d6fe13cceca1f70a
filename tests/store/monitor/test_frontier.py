"""How late labels come: the delays' distribution from what has come so far, and what each window's state is called."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from store.monitor import performance_over_time
from store.monitor.outcomes import DELAY_EDGES, DELAY_SLOTS, delay_slots
from store.monitor.performance_detail import show_performance
from store.protocol import Performance, PerformanceParams, Refusal, Section, ShowParams
from tests.store.monitor.conftest import DEPLOYMENT, Bench

DAY = 86_400
#: 400 predictions a day over 30 days; nine in ten get a label, after half a day to nine and a half days.
MADE = (
    "SELECT i AS prediction_id, TIMESTAMP '2024-05-01' + to_seconds(i * 216.0) AS timestamp,"
    " (i * 31 % 97) / 97.0 AS score, (i % 2) AS label, timestamp + to_seconds(43200.0 + (i * 7919 % 1000) * 777.6)"
    " AS known_at FROM range(12000) t(i)"
)
PREDICTED = f"SELECT prediction_id, timestamp, score, (prediction_id % 13)::DOUBLE AS x FROM ({MADE})"


def labels(until: str, time: str = "known_at") -> str:
    """The labels that have come by `until`."""
    return (
        f"SELECT prediction_id, label, {time} AS timestamp FROM ({MADE})"
        f" WHERE known_at <= TIMESTAMP '{until}' AND hash(prediction_id) % 10 <> 0"
    )


@pytest.fixture
def watched(bench: Bench) -> Bench:
    reference = f"SELECT *, (prediction_id % 2) AS label FROM ({PREDICTED})"
    bench.reference(bench.register(features={"x": "numeric"}), bench.file(reference))
    bench.predict(bench.file(PREDICTED))
    return bench


def read(bench: Bench, **params: Any) -> Performance:
    asked = msgspec.convert({"deployment": DEPLOYMENT, **params}, PerformanceParams)
    return bench.database.reader.read(lambda c: performance_over_time(c, asked))


def show(bench: Bench) -> list[Section]:
    asked = ShowParams("performance", DEPLOYMENT)
    return bench.database.reader.read(lambda c: show_performance(c, asked, bench.settings))


def test_delays_are_told_right_though_the_late_ones_are_still_to_come(watched: Bench) -> None:
    """Delays are even over 0.5 … 9.5 days; of the last nine days only the quick labels have come."""
    watched.label(watched.file(labels("2024-05-31")))
    delays = read(watched).delays
    assert delays is not None
    found = dict(zip(delays.shares, delays.seconds, strict=True))
    assert found[0.5] / DAY == pytest.approx(5.0, abs=0.5)
    assert found[0.9] / DAY == pytest.approx(8.6, abs=0.5)
    assert delays.final_share == pytest.approx(0.9, abs=0.02)
    assert sum(delays.counts) == delays.labels


def test_what_has_come_is_told_from_what_is_to_come(watched: Bench) -> None:
    watched.label(watched.file(labels("2024-05-31")))
    found = read(watched)
    assert found.maturity[:20] == ["realised"] * 20
    assert found.maturity[-4:-1] == ["partial"] * 3
    assert found.maturity[-1] in ("partial", "estimated")
    for labelled, rows, expected in zip(found.labelled, found.rows, found.expected, strict=True):
        assert expected == pytest.approx(labelled / rows, abs=0.06)
    # 95 % of the labels come within 9.05 days of the clock, the end of May.
    assert found.frontier is not None
    assert (found.starts[-1] + DAY - found.frontier) / DAY == pytest.approx(9.05, abs=0.5)


def test_a_deployment_can_be_shown_without_a_screen(watched: Bench) -> None:
    """`show performance MODEL@ENV`: the frontier, the delays, and the windows with what is realised and estimated."""
    watched.label(watched.file(labels("2024-05-31")))
    seen, found = read(watched), show(watched)
    fields = {field.label: field.value for field in found[0].fields}
    assert seen.delays is not None
    within = dict(zip(seen.delays.shares, seen.delays.seconds, strict=True))
    assert fields == {
        "rows": sum(seen.rows), "labelled": sum(seen.labelled) / sum(seen.rows), "complete before": seen.frontier,
        "ever labelled": seen.delays.final_share,
        "50% within": within[0.5], "90% within": within[0.9], "99% within": within[0.99],
    }  # fmt: skip
    names = [column.name for column in found[1].columns]
    assert names[5:] == ["auc", "auc estimated", "log_loss", "log_loss estimated"]
    rows = [dict(zip(names, row, strict=True)) for row in found[1].rows]
    assert [row["window_start"] for row in rows] == seen.starts[::-1]
    assert [row["maturity"] for row in rows] == seen.maturity[::-1]
    realised = next(line for line in seen.lines if (line.metric, line.kind) == ("auc", "realised"))
    assert [row["auc"] for row in rows] == realised.values[::-1]
    assert [row["labelled"] for row in rows][-1] == seen.labelled[0] / seen.rows[0]


def test_what_has_no_predictions_cannot_be_shown(bench: Bench) -> None:
    with pytest.raises(Refusal, match=f"No predictions of {DEPLOYMENT} have arrived"):
        show(bench)


def test_without_labels_an_estimate_stands_in(watched: Bench) -> None:
    found = read(watched)
    assert set(found.maturity) == {"estimated"}
    assert found.why == "No labels have arrived for these predictions."
    assert found.delays is not None
    assert found.delays.why == "no labels have come"
    estimated = next(line for line in found.lines if line.kind == "estimated")
    assert all(
        low is not None and value is not None and high is not None and low < value < high
        for low, value, high in zip(estimated.lower, estimated.values, estimated.upper, strict=True)
    )


def test_without_labels_and_without_a_reference_nothing_can_be_known(bench: Bench) -> None:
    bench.reference(bench.register(), None)
    bench.predict(bench.file(PREDICTED))
    found = read(bench)
    assert set(found.maturity) == {"unknown"}
    estimated = next(line for line in found.lines if line.kind == "estimated")
    assert estimated.why == "the reference holds no labels with scores to calibrate on"


def test_windows_between_predictions_are_empty(watched: Bench) -> None:
    watched.predict(watched.file("SELECT 'later' AS prediction_id, TIMESTAMP '2024-06-05' AS timestamp, 0.5 AS score"))
    assert read(watched).maturity[-6:] == [*["empty"] * 5, "estimated"]


def test_labels_without_times_are_complete_by_their_share(watched: Bench) -> None:
    watched.label(watched.file(labels("2024-05-20", "NULL::TIMESTAMP")))
    found = read(watched)
    assert found.delays is not None
    assert found.delays.why == "the labels carry no times"
    assert found.expected == [None] * 30
    assert (found.maturity[0], found.maturity[18], found.maturity[-1]) == ("realised", "partial", "estimated")


def test_label_times_in_the_future_are_taken_as_unknown(watched: Bench) -> None:
    rows = labels("2024-05-31", "CASE WHEN prediction_id = 1 THEN TIMESTAMP '9999-01-01' ELSE known_at END")
    taken = watched.label(watched.file(rows))
    assert [(note.code, note.rows) for note in taken.notes] == [("label_time.implausible", 1)]
    delays = read(watched).delays
    assert delays is not None
    assert delays.unknown == 1


def test_a_correction_leaves_the_delay_of_the_first_label(watched: Bench) -> None:
    watched.label(watched.file(labels("2024-05-31")))
    before = read(watched).delays
    watched.label(
        watched.file("SELECT prediction_id, 1 - label AS label, TIMESTAMP '2024-07-01' AS timestamp"
                     f" FROM ({labels('2024-05-31')})")
    )  # fmt: skip
    after = read(watched).delays
    assert before is not None
    assert after is not None
    assert (after.labels, after.counts, after.edges) == (before.labels, before.counts, before.edges)


def test_as_of_before_the_labels_nothing_had_come(watched: Bench) -> None:
    moment = watched.rows("SELECT epoch(max(recorded_at)) FROM monitor_window")[0][0]
    watched.label(watched.file(labels("2024-05-31")))
    assert set(read(watched, at=moment).maturity) == {"estimated"}


@pytest.mark.parametrize(
    ("delay", "slot"),
    [(-1.0, 0), (0.0, 1), (DELAY_EDGES[1], 2), (DELAY_EDGES[-1], DELAY_SLOTS - 2), (np.nan, DELAY_SLOTS - 1)],
)
def test_every_delay_has_its_slot(delay: float, slot: int) -> None:
    assert delay_slots(np.array([delay])).tolist() == [slot]
