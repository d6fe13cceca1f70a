"""The same data is the same in every format: features, kinds, bins, counts, in any pairing of reference and current."""

from __future__ import annotations

import os
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings

from store.monitor import binning
from store.monitor.comparing import compare_files, open_current
from store.monitor.files.table_files import TableFiles, open_files
from store.monitor.parts import close_parquet
from store.protocol import DriftRequest, Refusal
from store.settings import MonitorSettings
from tests.store.monitor.files.frames import Frame, frames, write

SUFFIXES = ("parquet", "csv", "jsonl")
#: `QUARTERDECK_FRAMES=2000` draws as many as the soak does.
EXAMPLES = int(os.environ.get("QUARTERDECK_FRAMES", "60"))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=EXAMPLES < 1_000)
@given(frames())
def test_a_frame_is_the_same_in_every_format_and_pairing(drawn: tuple[Frame, Frame]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            check(drawn, Path(folder))
        finally:
            close_parquet()


def check(drawn: tuple[Frame, Frame], folder: Path) -> None:
    references = [open_files([write(drawn[0], folder / f"reference.{suffix}")]) for suffix in SUFFIXES]
    profiles = [profile(files) for files in references]
    assert profiles[1:] == [profiles[0]] * 2, list(zip(SUFFIXES, profiles, strict=True))
    currents = [open_current([write(drawn[1], folder / f"current.{suffix}")], references[0]) for suffix in SUFFIXES]
    reports = [report(reference, current) for reference in references for current in currents]
    pairs = list(product(SUFFIXES, SUFFIXES))
    for pair, other in zip(pairs, reports, strict=True):
        assert other == reports[0], (pair, other, reports[0])


def profile(files: TableFiles) -> Any:
    made = binning.profile(files)
    features = sorted((f.name, f.kind, f.edges, f.categories, made.of(f).tolist()) for f in made.features)
    return made.rows, features, sorted(made.left_out)


def report(reference: TableFiles, current: TableFiles) -> Any:
    try:
        made = compare_files(reference, current, DriftRequest("current", "reference"), MonitorSettings())
    except Refusal as refusal:
        return "refused" if "nothing to compare" in refusal.message else refusal.message
    features = sorted(
        (f.feature, f.kind, f.alarm, f.rows, f.reference_rows, repr(f.statistics), f.new_categories)
        for f in made.features
    )
    return made.rows, made.reference_rows, features, sorted(made.left_out)
