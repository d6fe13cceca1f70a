"""A store that goes by a preset: listings, heat map and alerts say what the preset says."""

from __future__ import annotations

from typing import get_args, get_type_hints

import msgspec
import numpy as np
import pytest

from store.catalog.listing import Listings
from store.monitor import evaluate, presets
from store.monitor.bins import FeatureBins
from store.monitor.fleet import summary
from store.monitor.listings import listings
from store.monitor.reading import drift, heatmap
from store.monitor.rules import compiled
from store.protocol import Heatmap, ListParams, SpanParams
from store.settings import AlertSettings, MonitorSettings, RuleSettings
from tests.store.monitor.conftest import DEPLOYMENT, Bench

SETTINGS = MonitorSettings(alert_span=1, open_after=2, close_after=2, min_rows=100, preset="evidently")
FEATURES = {"size": "numeric", "colour": "categorical"}


@pytest.fixture
def watched(bench: Bench) -> Bench:
    """Five days; from the third on `size` is shifted by 40 of its 100 and `colour` hardly."""
    reference = "SELECT (i * 7 % 1000) / 10 AS size, ['red', 'green'][i % 2 + 1] AS colour FROM range(5000) t(i)"
    bench.reference(bench.register(features=FEATURES), bench.file(reference))
    for number in range(5):
        shift = 40 if number >= 2 else 0
        bench.predict(
            bench.file(
                f"SELECT 'd{number}-' || i AS prediction_id, TIMESTAMP '2024-05-01' + to_days({number}) AS timestamp,"
                f" (i * 7 % 1000) / 10 + {shift} AS size, ['red', 'green'][i % 2 + 1] AS colour,"
                " '1' AS model_version, 1 AS prediction FROM range(1000) t(i)"
            )
        )
    return bench


def test_the_settings_know_every_preset() -> None:
    assert get_args(get_type_hints(MonitorSettings)["preset"]) == ("", *presets.NAMES)
    with pytest.raises(msgspec.ValidationError, match="preset"):
        msgspec.convert({"preset": "alibi"}, MonitorSettings)


def test_drift_rows_are_the_presets(watched: Bench) -> None:
    rows = watched.database.reader.read(lambda c: list(drift(c, SpanParams(DEPLOYMENT, "1d"), SETTINGS)))
    found = {(row.found.feature, row.start // 86_400 % 7): row.found for row in rows if row.found.feature in FEATURES}
    assert {verdict.statistic for verdict in found.values()} == {"evidently.wasserstein", "evidently.js_nats"}
    alarms = sorted(key for key, verdict in found.items() if verdict.alarm)
    assert len(alarms) == 3 and {name for name, _ in alarms} == {"size"}
    assert {verdict.threshold for verdict in found.values()} == {0.1}


def test_another_statistic_may_still_be_asked_for(watched: Bench) -> None:
    asked = SpanParams(DEPLOYMENT, "1d", statistic="ks")
    rows = watched.database.reader.read(lambda c: list(drift(c, asked, SETTINGS)))
    assert {row.found.statistic for row in rows} == {"ks"}


def test_any_preset_may_be_asked_for_without_a_setting(watched: Bench) -> None:
    every = Listings(listings(watched.settings))

    def statistics(filter: str) -> set[str]:
        page = watched.database.reader.read(lambda c: every.page(c, ListParams("drift", filter=filter)))
        place = [column.name for column in page.columns].index("statistic")
        return {str(row[place]) for row in page.rows}

    assert statistics("statistic:whylogs") == {"whylogs.ks_p", "whylogs.chi2_p"}
    assert "evidently.js_nats" not in statistics("statistic:js")


def test_the_heat_map_is_in_units_of_the_presets_thresholds(watched: Bench) -> None:
    found: Heatmap = watched.database.reader.read(lambda c: heatmap(c, SpanParams(DEPLOYMENT, "1d"), SETTINGS))
    assert (found.statistic, found.warn, found.alarm) == ("evidently", 1.0, 2.5)
    values = dict(zip(found.features, found.values, strict=True))
    alarms = dict(zip(found.features, found.alarms, strict=True))
    assert found.features[0] == "size"
    assert [value is not None and value > 1 for value in values["size"]] == [False, False, True, True, True]
    assert alarms["size"] == ["", "", "critical", "critical", "critical"]
    assert alarms["colour"] == [""] * 5


def test_the_default_rule_goes_by_the_preset(watched: Bench) -> None:
    watched.database.writer.change(lambda tx: evaluate(tx, DEPLOYMENT, SETTINGS))
    rows = watched.rows("SELECT feature, state, value > 1, threshold FROM monitor_alert_now WHERE rule = 'drift'")
    assert rows == [("size", "open", True, 1.0)]


def test_an_alert_by_a_preset_claims_no_guarantee(watched: Bench) -> None:
    watched.database.writer.change(lambda tx: evaluate(tx, DEPLOYMENT, SETTINGS))
    assert watched.rows("SELECT DISTINCT guarantee FROM monitor_alert_now WHERE rule = 'drift'") == [
        ("the threshold of evidently alone: nothing bounds its false alarms",)
    ]


def test_the_fleet_names_the_worst_feature_by_the_preset(watched: Bench) -> None:
    found = watched.database.reader.read(lambda c: summary(c, settings=SETTINGS))[DEPLOYMENT]
    last = next(
        row.found
        for row in watched.database.reader.read(lambda c: list(drift(c, SpanParams(DEPLOYMENT, "1d"), SETTINGS)))[::-1]
        if row.found.feature == "size"
    )
    assert isinstance(last, presets.PresetVerdict)
    assert (found.worst_feature, found.worst_value, found.drifted) == ("size", last.strength, 1)
    # PSI of a range that was hardly ever met is far from 40 / 28.9 / 0.1.
    assert found.worst_value == pytest.approx(40 / 28.9 / 0.1, rel=0.25)
    assert found.worst_noise is None


def test_a_rule_of_ones_own_may_name_a_preset(watched: Bench) -> None:
    rules = compiled(watched.settings, AlertSettings(rule=[RuleSettings(name="as-before", statistic="vertex")]))
    assert (rules[-1].statistic, rules[-1].threshold) == ("vertex", 1.0)


@pytest.mark.parametrize("name", presets.NAMES)
def test_strength_is_above_one_exactly_where_a_feature_has_drifted(name: str) -> None:
    draw = np.random.default_rng(11)
    edges = np.linspace(0, 1, 41).tolist()
    feature = FeatureBins("a", "numeric", 0, edges)
    reference = np.zeros(feature.width, np.int64)
    reference[1:41] = 100
    current = np.zeros((200, feature.width), np.int64)
    for window, tilt in enumerate(np.linspace(0, 2, 200)):
        weights = 1 + tilt * np.linspace(-0.49, 0.49, 40)
        current[window, 1:41] = draw.multinomial(800, weights / weights.sum())
    preset = presets.named(name)
    values = presets.strength(preset, feature, reference, current)
    every, _ = preset.judge_windows([feature], reference, current)
    drifted = np.any([part.drifted for part in every], axis=0)
    assert ((values.values > 1) == drifted).all()
    assert name == "vertex" or 0 < drifted.sum() < 200
