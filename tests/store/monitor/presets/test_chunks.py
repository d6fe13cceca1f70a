"""The reference's chunks in a store: NannyML's own thresholds in listings, fleet and alerts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from store.catalog.manifest import ColumnNames
from store.database import Transaction
from store.monitor import evaluate, reference_chunks
from store.monitor.cache import Cache
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
    monkeypatch.setattr(reference_chunks, "_kept", Cache())


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


def test_chunks_of_many_wide_references_are_read_once_each(bench: Bench) -> None:
    # Of each 2 MB while they are remembered.
    chunks, names = np.zeros((11, 24_000), np.int64), [f"r{number}" for number in range(20)]
    chunks[:, 7] = 1

    def keep(tx: Transaction) -> None:
        for name in names:
            reference_chunks.record_chunks(tx, name, chunks)

    def sums() -> list[int]:
        read = bench.database.reader.read
        found = [read(lambda c, name=name: load_chunks(c, name, 24_000, "nannyml")) for name in names]
        return [0 if one is None else int(one.sum()) for one in found]

    bench.database.writer.change(keep)
    assert sums() == [11] * 20
    bench.database.writer.change(lambda tx: tx.execute("DELETE FROM monitor_reference_chunk").fetchall())
    assert sums() == [11] * 20


def test_other_presets_do_not_read_them(bench: Bench) -> None:
    feed(bench)
    assert bench.database.reader.read(lambda c: load_chunks(c, "any", 3, "evidently")) is None
