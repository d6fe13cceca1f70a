"""JSON lines are read by a DuckDB of their own: the store's memory has no room for it, and nothing is left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.database import database
from store.monitor.files import scratch as scratch_copies
from tests.store.monitor.conftest import FLIGHT_COLUMNS, FLIGHT_FEATURES, FLIGHTS, Bench


def test_a_large_file_is_taken_in_whatever_memory_the_store_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(database.CONFIG, "memory_limit", "128MiB")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(scratch_copies, "scratch_root", lambda: scratch)
    bench = Bench(tmp_path)
    try:
        manifest = bench.register(columns=FLIGHT_COLUMNS, features=FLIGHT_FEATURES)
        bench.reference(manifest, bench.file(f"SELECT * FROM '{FLIGHTS}' WHERE month(scheduled_at) = 3", "jsonl"))
        months = f"SELECT * FROM '{FLIGHTS}' WHERE month(scheduled_at) BETWEEN 4 AND 6"
        taken = bench.predict(bench.file(months, "jsonl"))
        assert taken.counted == bench.maker.execute(f"SELECT count(*) FROM ({months})").fetchall()[0][0]
        labels = bench.label(
            bench.file(f"SELECT flight_id, arrival_delay_min > 15 AS was_late, landed_at FROM ({months})", "jsonl")
        )
        assert labels.labels > 80_000
        assert [path.name for path in scratch.iterdir()] in ([], ["in-use"])
    finally:
        bench.close()
