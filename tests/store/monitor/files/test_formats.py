"""The same data is the same in every format: features, kinds, bins, counts, in any pairing of reference and current."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings

from store.monitor import binning
from store.monitor.comparing import compare
from store.monitor.files.table_files import open_files
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
    references = [write(drawn[0], folder / f"reference.{suffix}") for suffix in SUFFIXES]
    currents = [write(drawn[1], folder / f"current.{suffix}") for suffix in SUFFIXES]
    profiles = [profile(path) for path in references]
    assert profiles[1:] == [profiles[0]] * 2, list(zip(SUFFIXES, profiles, strict=True))
    reports = {(a, b): report(a, b) for a in references for b in currents}
    first = next(iter(reports.values()))
    for pair, other in reports.items():
        assert other == first, ([Path(path).suffix for path in pair], other, first)


def profile(path: str) -> Any:
    made = binning.profile(open_files([path]))
    features = sorted((f.name, f.kind, f.edges, f.categories, made.of(f).tolist()) for f in made.features)
    return made.rows, features, sorted(made.left_out)


def report(reference: str, current: str) -> Any:
    try:
        made = compare(DriftRequest(current, reference), MonitorSettings())
    except Refusal as refusal:
        return refusal.message.replace(reference, "reference").split(":")[-1]
    features = sorted(
        (
            f.feature,
            f.kind,
            f.alarm,
            f.rows,
            f.reference_rows,
            [(s.statistic, s.value) for s in f.statistics],
            f.new_categories,
        )
        for f in made.features
    )
    return repr((made.rows, made.reference_rows, features, sorted(made.left_out)))
