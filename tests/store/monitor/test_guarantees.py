"""Alarms on real data: the control stays quiet, flights open; what a watch keeps says what the whole history would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from store.catalog.manifest import ColumnNames
from store.database import Transaction
from store.monitor import evaluate
from store.monitor.judge import load_course
from store.monitor.metric_noise import standard_error
from store.monitor.outcomes import Outcomes, count
from store.monitor.performance import metric
from store.monitor.statistics.sequential import evidence, evidence_of_spans, running
from store.settings import AlertSettings, LearnSettings, MonitorSettings, RuleSettings
from tests.store.monitor.conftest import DEPLOYMENT, FLIGHT_COLUMNS, FLIGHT_FEATURES, FLIGHTS, Bench

EMPLOYMENT = FLIGHTS.with_name("employment_ma.parquet")
CODES = [
    "schooling_code", "marital_status_code", "relationship_code", "disability_code", "parents_employment_code",
    "citizenship_code", "mobility_code", "military_code", "nativity_code",
]  # fmt: skip
#: A made-up chance of being employed that knows something of it, by age and schooling.
ANSWERS = (
    "SELECT *, 1 / (1 + exp(-(CASE WHEN age_years BETWEEN 22 AND 62 THEN 1.4 ELSE -1.6 END))) AS score,"
    " make_timestamp(year, 1, 1, 0, 0, 0.0) + to_seconds((hash(person_id) % 31449600)::BIGINT) AS at"
    f" FROM '{EMPLOYMENT}'"
)


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Three years of census answers, which hardly differ from the year before."""
    bench = Bench(Path(tmp_path_factory.mktemp("control")))
    manifest = bench.register(
        columns=ColumnNames(id="person_id", time="at", score="score", label="employed"),
        features={**dict.fromkeys(CODES, "categorical"), "age_years": "numeric"},
    )
    bench.reference(manifest, bench.file(f"{ANSWERS} WHERE year = 2015"))
    bench.predict(bench.file(f"SELECT * EXCLUDE (employed) FROM ({ANSWERS}) WHERE year > 2015"))
    bench.label(bench.file(f"SELECT person_id, employed FROM ({ANSWERS}) WHERE year > 2015"))
    yield bench
    bench.close()


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """From April on against March: the weather changes."""
    bench = Bench(Path(tmp_path_factory.mktemp("flights")))
    manifest = bench.register(columns=FLIGHT_COLUMNS, features=FLIGHT_FEATURES)
    bench.reference(manifest, bench.file(f"SELECT * FROM '{FLIGHTS}' WHERE month(scheduled_at) = 3"))
    bench.predict(bench.file(f"SELECT * FROM '{FLIGHTS}' WHERE month(scheduled_at) > 3"))
    yield bench
    bench.close()


@pytest.mark.parametrize(("window", "span"), [("1d", 1), ("1d", 7), ("1w", 1), ("1w", 4)])
def test_the_control_stays_quiet(control: Bench, window: str, span: int) -> None:
    settings = MonitorSettings(alert_window=window, alert_span=span)
    decide(control, settings)
    assert control.rows("SELECT rule, feature, message FROM monitor_alert_now") == []


def test_flights_open_alerts_of_the_weather_and_of_nothing_else(flights: Bench) -> None:
    decide(flights, MonitorSettings(alert_window="1w", alert_span=1))
    opened = {row[0] for row in flights.rows("SELECT feature FROM monitor_alert_now")}
    assert {"temperature_f", "humidity_pct", "pressure_mb"} <= opened
    assert not opened & {"carrier", "origin", "score"}


def test_a_drift_that_lasts_is_one_alert_for_nine_months(flights: Bench) -> None:
    decide(flights, MonitorSettings(alert_window="1d", alert_span=7))
    rows = flights.rows("SELECT state FROM monitor_alert_now WHERE feature = 'temperature_f'")
    assert rows == [("open",)]


def test_deciding_day_by_day_gives_the_same_alerts_as_all_at_once(flights: Bench, tmp_path: Path) -> None:
    settings = MonitorSettings(alert_window="1d", alert_span=1)
    decide(flights, settings)
    columns = "SELECT feature, opened_window, closed_window, guarantee FROM monitor_alert_now ORDER BY 1, 2"
    at_once = flights.rows(columns)
    bench = Bench(tmp_path)
    bench.reference(
        bench.register(columns=FLIGHT_COLUMNS, features=FLIGHT_FEATURES),
        bench.file(f"SELECT * FROM '{FLIGHTS}' WHERE month(scheduled_at) = 3"),
    )
    for first, last in ((4, 4), (5, 8), (9, 12)):
        bench.predict(bench.file(f"SELECT * FROM '{FLIGHTS}' WHERE month(scheduled_at) BETWEEN {first} AND {last}"))
        bench.database.writer.change(lambda tx: evaluate(tx, DEPLOYMENT, settings))
    found = bench.rows(columns)
    bench.close()
    assert found == at_once


def test_every_alert_of_drift_says_what_stands_behind_it(flights: Bench) -> None:
    decide(flights, MonitorSettings(alert_window="1d", alert_span=1))
    said = {row[0] for row in flights.rows("SELECT guarantee FROM monitor_alert_now WHERE rule = 'drift'")}
    assert all("of watches in which nothing changes, at most 1%" in words for words in said)
    journal = flights.rows("SELECT after FROM journal WHERE kind = 'alerts' AND action = 'open' LIMIT 1")
    assert "of watches" in json.loads(journal[0][0])["guarantee"]


def test_a_learnt_threshold_knows_the_season(flights: Bench) -> None:
    # Learnt from the summer, with the summer's own days left out one by one: the summer is healthy.
    rule = RuleSettings(
        name="usual",
        statistic="psi",
        feature="temperature_f",
        threshold="learnt",
        learn=learn("2013-06-20", "2013-08-31"),
    )
    decide(flights, MonitorSettings(alert_window="1d"), AlertSettings(defaults=False, rule=[rule]))
    rows = flights.rows("SELECT month(opened_window) FROM monitor_alert_now")
    assert not [month for (month,) in rows if month in (7, 8)]


def learn(since: str, until: str) -> LearnSettings:
    return LearnSettings(
        datetime.fromisoformat(since).replace(tzinfo=UTC), datetime.fromisoformat(until).replace(tzinfo=UTC)
    )


def decide(bench: Bench, settings: MonitorSettings, alerts: AlertSettings | None = None) -> None:
    """All over again, with these settings."""

    def again(tx: Transaction) -> None:
        for table in ("monitor_alert_event", "monitor_judged", "monitor_course"):
            tx.execute(f"DELETE FROM {table}")
        evaluate(tx, DEPLOYMENT, settings, alerts or AlertSettings())

    bench.database.writer.change(again)


# --- the watch's state -----------------------------------------------------------------------------------


def test_the_spans_that_are_kept_say_what_the_whole_history_says() -> None:
    generator = np.random.default_rng(3)
    reference = generator.multinomial(5000, [0.1] * 10).astype(float)
    quiet, drifted = [0.1] * 10, [0.15, 0.05, *[0.1] * 8]
    stream = generator.multinomial(100, [quiet] * 60 + [drifted] * 40).astype(float)
    whole = evidence(reference, stream)
    summed = np.concatenate([np.zeros((1, 10)), np.cumsum(stream, axis=0)])
    for window in range(100):
        starts = running(window)
        counts = np.array([summed[window + 1] - summed[start] for start in starts])
        log_e, best = evidence_of_spans(reference, counts, starts)
        assert log_e == pytest.approx(whole.log_e[window], abs=1e-9)
        assert starts[best] == whole.starts[window]


def test_what_is_kept_of_a_long_watch_is_small(flights: Bench) -> None:
    decide(flights, MonitorSettings(alert_window="1d", alert_span=1))
    course = flights.database.reader.read(lambda c: load_course(c, DEPLOYMENT, "drift"))
    assert course.windows > 250
    assert max(len(kept.spans) for kept in course.evidence.values()) <= 10


# --- the noise of metrics ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["auc", "log_loss", "brier", "accuracy", "precision", "recall", "f1"])
def test_the_standard_error_is_that_of_repeated_samples(name: str) -> None:
    generator = np.random.default_rng(11)
    values, errors = [], []
    for _ in range(300):
        score = generator.beta(2, 2, 400)
        positive = generator.random(400) < score
        none = np.zeros(400, bool)
        parts = {"positive": positive, "predicted": score >= 0.5, "decided": ~none, "right": positive == (score >= 0.5)}
        outcomes = Outcomes(sign=np.ones(400, np.int64), score=score, target=np.full(400, np.nan), **parts)
        counted = count("binary", 0.5, outcomes)
        dense = counted.dense()
        value, _ = metric("binary", name, dense, counted.sums)
        assert value is not None
        values.append(value)
        errors.append(standard_error(name, value, "binary", dense, counted.sums))
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.15)
