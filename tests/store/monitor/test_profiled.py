"""A file that was profiled for one version serves another that asks the same, with all that a scan would say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from store.monitor import record_reference, reference_chunks, scan_reference
from store.monitor import reference as references
from store.monitor.profiled import profiled
from store.monitor.reference import Reference
from tests.store.monitor.conftest import Bench

DIGEST = "sha256:reference"
ROWS = "SELECT i AS prediction_id, (i * 7919 % 1000)::DOUBLE AS x, 'c' || (i % 300) AS k FROM range(3000) t(i)"


@pytest.fixture
def path(bench: Bench) -> Path:
    """The reference file, profiled for version 1."""
    path = bench.file(ROWS)
    manifest = bench.register("1")
    found = bench.database.reader.read(lambda c: scan_reference(c, path, manifest, source_digest=DIGEST))
    bench.database.writer.change(lambda tx: record_reference(tx, "m", "1", found))
    return path


def shared(bench: Bench) -> Reference | None:
    manifest = bench.register("2")
    return bench.database.reader.read(lambda c: profiled(c, DIGEST, manifest))


def test_it_says_all_that_a_scan_would(bench: Bench, path: Path) -> None:
    found = shared(bench)
    manifest = bench.register("2")
    scanned = bench.database.reader.read(lambda c: scan_reference(c, path, manifest, source_digest=DIGEST))
    assert found is not None
    assert (found.identity, found.features, found.rows) == (scanned.identity, scanned.features, scanned.rows)
    for mine, other in (
        (found.counts, scanned.counts),
        (found.rare, scanned.rare),
        (found.chunks, scanned.chunks),
        (found.moments.sums, scanned.moments.sums),
        (found.moments.lows, scanned.moments.lows),
        (found.moments.highs, scanned.moments.highs),
    ):
        assert mine is not None
        assert other is not None
        assert np.array_equal(mine, other)


@pytest.mark.parametrize(
    "older",
    [
        "UPDATE monitor_reference SET sums = NULL, lows = NULL, highs = NULL",
        "UPDATE monitor_reference SET answers_given = NULL",
        "DELETE FROM monitor_reference_chunk",
    ],
)
def test_a_profile_of_before_it_said_as_much_is_made_anew(bench: Bench, path: Path, older: str) -> None:
    bench.database.writer.change(lambda tx: tx.execute(older).fetchall())
    references._kept.clear()
    reference_chunks._kept.clear()
    assert path.exists()
    assert shared(bench) is None
