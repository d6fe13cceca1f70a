"""The reference's chunks in a store: NannyML's own thresholds in listings, fleet and alerts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from store.catalog.manifest import ColumnNames
from store.database import Transaction
from store.monitor import evaluate, reference_chunks
from store.monitor.fleet import summary
from store.monitor.reading import DriftRow, drift
from store.monitor.reference import load_reference
from store.monitor.reference_chunks import load_chunks
from store.protocol import SpanParams
from store.settings import AlertSettings, MonitorSettings
from tests.store.monitor.conftest import DEPLOYMENT, Bench
from tests.store.monitor.presets.test_parity import _cases, recorded

CASE = "flights march, july"
SETTINGS = MonitorSettings(alert_span=1, open_after=1, preset="nannyml")


def frames(bench: Bench) -> tuple[Any, dict[str, str]]:
    before, after = _cases()[CASE]
    path = bench.folder / "reference.parquet"
    before.to_parquet(path)
    kinds = {str(name): "numeric" if before[name].dtype.kind in "fiu" else "categorical" for name in before}
    bench.reference(bench.register(features=kinds), path)
    return after, kinds


def feed(bench: Bench) -> None:
    after, _ = frames(bench)
    after = after.assign(prediction_id=range(len(after)), timestamp="2013-07-01T00:00:00Z", prediction=1)
    path = bench.folder / "july.parquet"
    after.to_parquet(path)
    bench.predict(path)


def rows(bench: Bench) -> list[DriftRow]:
    return bench.database.reader.read(lambda c: list(drift(c, SpanParams(DEPLOYMENT, "1d"), SETTINGS)))


def test_thresholds_of_a_store_are_those_that_nannyml_came_to(bench: Bench) -> None:
    feed(bench)
    peer = recorded("nannyml")[CASE]["columns"]
    found = {row.found.feature: row.found for row in rows(bench) if row.found.feature in peer}
    assert found.keys() == peer.keys()
    for name, verdict in found.items():
        assert verdict.threshold == pytest.approx(peer[name]["threshold"], abs=0.05), name
    # Dealt at random the chunks of March would all look alike.
    assert found["temperature_f"].threshold > 0.3


def test_fleet_and_alerts_go_by_the_same_thresholds(bench: Bench) -> None:
    feed(bench)
    drifted = {row.found.feature for row in rows(bench) if row.found.alarm}
    assert bench.database.reader.read(lambda c: summary(c, settings=SETTINGS))[DEPLOYMENT].drifted == len(drifted)
    bench.predict(
        bench.file("SELECT 'end' AS prediction_id, TIMESTAMP '2013-07-02' AS timestamp, 1 AS prediction FROM range(1)")
    )
    bench.database.writer.change(lambda tx: evaluate(tx, DEPLOYMENT, SETTINGS, AlertSettings()))
    alerts = {row[0] for row in bench.rows("SELECT feature FROM monitor_alert_now WHERE rule = 'drift'")}
    assert alerts == drifted


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other stores of this process may hold the same reference, and one of them no chunks of it."""
    monkeypatch.setattr(reference_chunks, "_kept", {})


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_chunks_of_features_and_scores_sum_to_the_reference(bench: Bench, suffix: str) -> None:
    rows = "SELECT i AS x, ['a', 'b', NULL][i % 3 + 1] AS k, i / 1234.0 AS p_late FROM range(1234) t(i)"
    manifest = bench.register(features={"x": "numeric", "k": "categorical"}, columns=ColumnNames(score="p_late"))
    bench.reference(manifest, bench.file(rows, suffix))
    reference = bench.database.reader.read(lambda c: load_reference(c, "m", "1"))
    assert reference is not None
    chunks = bench.database.reader.read(lambda c: load_chunks(c, reference.identity, reference.width, "nannyml"))
    assert chunks is not None and len(chunks) == 11
    assert (chunks.sum(axis=0) == reference.counts).all()
    assert "score" in reference.by_name


def test_a_reference_of_before_has_no_chunks_and_is_dealt(bench: Bench) -> None:
    feed(bench)
    bench.database.writer.change(lambda tx: tx.execute("DELETE FROM monitor_reference_chunk") and None)
    reference = bench.database.reader.read(lambda c: load_reference(c, "m", "1"))
    assert reference is not None
    other = bench.database.reader.read(lambda c: load_chunks(c, reference.identity, reference.width, "nannyml"))
    assert other is None
    [dealt] = [row.found.threshold for row in rows(bench) if row.found.feature == "temperature_f"]
    assert 0 < dealt < 0.1


def test_what_is_remembered_of_many_references_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_chunks, "_KEPT_AT_MOST", 100)
    rows = [np.ones((11, 4), np.int64) * number for number in (1, 2, 3)]

    def keep(tx: Transaction) -> None:
        for number, chunks in enumerate(rows):
            reference_chunks.record_chunks(tx, f"r{number}", chunks)

    bench.database.writer.change(keep)
    for _ in range(2):
        for number, chunks in enumerate(rows):
            found = bench.database.reader.read(lambda c, number=number: load_chunks(c, f"r{number}", 4, "nannyml"))
            assert found is not None and (found == chunks).all()
            assert sum(held.size for held in reference_chunks._kept.values()) <= 100


def test_other_presets_do_not_read_them(bench: Bench) -> None:
    feed(bench)
    assert bench.database.reader.read(lambda c: load_chunks(c, "any", 3, "evidently")) is None
