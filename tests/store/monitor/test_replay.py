"""The replay decides as the judge does, opens nothing, and answers for any threshold."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from store.monitor import evaluate
from store.monitor.replay import replay
from store.protocol import ExitCode, Refusal, Replay, ReplayParams
from store.settings import AlertSettings, MonitorSettings, RuleSettings
from tests.store.monitor.conftest import DEPLOYMENT, Bench

SETTINGS = MonitorSettings(alert_span=1, open_after=2, close_after=2, min_rows=100, min_labelled=100)
NO_ALERTS = AlertSettings()


def day(number: int) -> float:
    """The moment at which the window of this day ends."""
    return datetime(2024, 5, 1, tzinfo=UTC).timestamp() + (number + 1) * 86_400


@pytest.fixture
def told(bench: Bench) -> Bench:
    """Ten days and one that ends the last: days 2 to 4 drift far, days 7 and 8 a little."""
    bench.reference(bench.register(), bench.file("SELECT (i % 1000)::DOUBLE AS x FROM range(20000) t(i)"))
    for number, shift in enumerate([0, 0, 800, 800, 800, 0, 0, 150, 150, 0, 0]):
        bench.predict(
            bench.file(
                f"SELECT 'd{number}-' || i AS prediction_id, TIMESTAMP '2024-05-01' + to_days({number}) AS timestamp,"
                f" (i * 7 % 1000 + {shift})::DOUBLE AS x FROM range(500) t(i)"
            )
        )
    return bench


def asked(bench: Bench, alerts: AlertSettings = NO_ALERTS, **params: object) -> Replay:
    asking = ReplayParams(**params)  # type: ignore[arg-type]
    return bench.database.reader.read(lambda c: replay(c, asking, SETTINGS, alerts))


def fired(found: Replay) -> dict[float | None, int]:
    return {line.threshold: line.fired for line in found.lines}


def test_it_tells_what_the_judge_does(told: Bench) -> None:
    found = asked(told)
    told.database.writer.change(lambda tx: evaluate(tx, DEPLOYMENT, SETTINGS))
    rows = told.rows(
        "SELECT feature, epoch(opened_window), epoch(closed_window) FROM monitor_alert_now WHERE rule = 'drift'"
        " ORDER BY opened_window"
    )
    assert [(one.feature, one.opened, one.closed) for one in found.lines[0].episodes] == rows
    assert rows


def test_it_opens_no_alert(told: Bench) -> None:
    asked(told)
    assert told.rows("SELECT * FROM monitor_alert_event") == []


def test_when_it_would_have_fired(told: Bench) -> None:
    found = asked(told, rule='{statistic = "psi", threshold = 1.0, for = 2, close_after = 2}')
    assert [(one.opened, one.closed) for one in found.lines[0].episodes] == [(day(3), day(6))]
    assert found.lines[0].on == [0, 0, 0, 1, 1, 1, 0, 0, 0, 0]


def test_lower_thresholds_fire_as_often_or_more(told: Bench) -> None:
    found = asked(told, rule='{statistic = "psi", threshold = 1.0, for = 2}', thresholds=[0.1, 100.0])
    assert fired(found) == {0.1: 2, 1.0: 1, 100.0: 0}
    assert [line.own for line in found.lines] == [False, True, False]


def test_the_span_is_of_event_time_up_to_the_last_data(told: Bench) -> None:
    assert asked(told, days=3).ends == [day(7), day(8), day(9)]


def test_a_span_in_the_past_may_be_asked_for(told: Bench) -> None:
    assert asked(told, days=2, until=day(3)).ends == [day(2), day(3)]


def test_what_was_on_before_the_span_is_told_apart(told: Bench) -> None:
    found = asked(told, rule='{statistic = "psi", threshold = 1.0, for = 2, close_after = 2}', days=2, until=day(5))
    assert (found.lines[0].fired, found.lines[0].carried) == (0, 1)


def test_a_configured_rule_is_found_by_its_name(told: Bench) -> None:
    alerts = AlertSettings(rule=[RuleSettings(name="mine", statistic="ks", threshold=0.5, for_windows=1)])
    found = asked(told, alerts, rule="mine")
    assert (found.rule, found.lines[0].fired) == ("mine", 1)
    assert found.rules == ["drift", "performance", "missing", "volume", "mine"]


def test_volume_can_be_replayed(told: Bench) -> None:
    found = asked(told, rule='{metric = "volume", threshold = 501, for = 1}')
    assert (found.lines[0].fired, found.decisions) == (1, 10)


def test_windows_in_which_nothing_was_decided_are_not_quiet(bench: Bench) -> None:
    bench.reference(bench.register(), bench.file("SELECT (i % 1000)::DOUBLE AS x FROM range(20000) t(i)"))
    for number, rows in enumerate([500, 20, 500, 20, 500, 500]):
        bench.predict(
            bench.file(
                f"SELECT 'd{number}-' || i AS prediction_id, TIMESTAMP '2024-05-01' + to_days({number}) AS timestamp,"
                f" (i * 619 % 1000 + {800 if number == 4 else 0})::DOUBLE AS x FROM range({rows}) t(i)"
            )
        )
    found = asked(bench, rule='{statistic = "psi", threshold = 1.0, for = 1}')
    # Of five windows that ended three were decided, and in one of them an alert was on.
    assert (len(found.ends), found.lines[0].undecided, found.lines[0].on) == (5, 2, [0, 0, 0, 0, 1])
    assert found.lines[0].quiet_share == pytest.approx(2 / 3)


def test_of_a_deployment_without_data_it_says_so(told: Bench) -> None:
    found = asked(told, deployment="other@production")
    assert found.ends == []
    assert "other@production" in found.why


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"rule": "drfit"}, "There is no alert rule 'drfit'."),
        ({"rule": '{statistic = "psy"}'}, "statistic is 'psy'"),
        ({"rule": "{statistic"}, "The rule cannot be read"),
        ({"rule": '{metric = "staleness", threshold = "2h"}'}, "goes by the clock"),
        ({"days": 0.0}, "days is 0."),
        ({"days": 1e6}, "hold more than 5,000 windows of 1d"),
        ({"thresholds": [float(x) for x in range(50)]}, "50 thresholds are too many"),
        ({"deployment": "nonsense"}, "is no deployment"),
    ],
)
def test_what_cannot_be_replayed_is_refused_in_words(told: Bench, params: dict[str, object], said: str) -> None:
    with pytest.raises(Refusal) as refused:
        asked(told, **params)
    assert said in refused.value.message
    assert refused.value.code is ExitCode.USAGE
