"""When a file counts as whole, on a clock of our own."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pytest

from store.intake.settle import Look, Patience, Settling, parquet_is_whole

NOW = 1_000_000.0
PATIENCE = Patience(settle=0.15, open_end=0.6, longest=5.0, old=10.0)


def look(size: int, written: float = NOW, changed: float | None = None) -> Look:
    return Look(size, int(written * 1e9), int((changed or written) * 1e9), 7, 1, 0o100644)


def test_a_file_renamed_into_place_is_whole_at_once() -> None:
    assert Settling(PATIENCE).wait(look(5, NOW, NOW + 1), 0.0, NOW) == 0.0


def test_a_file_written_long_ago_is_whole_at_once() -> None:
    assert Settling(PATIENCE).wait(look(5, NOW - 60), 0.0, NOW) == 0.0


def test_a_fresh_file_is_whole_once_it_kept_its_size() -> None:
    settling = Settling(PATIENCE)
    assert settling.wait(look(5), 0.0, NOW) == pytest.approx(0.15)
    assert settling.wait(look(5), 0.1, NOW) == pytest.approx(0.05)
    assert settling.wait(look(5), 0.15, NOW) == 0.0


def test_a_growing_file_starts_its_wait_anew() -> None:
    settling = Settling(PATIENCE)
    settling.wait(look(5), 0.0, NOW)
    assert settling.wait(look(9, NOW + 0.01), 0.01, NOW) == pytest.approx(0.15)


def test_a_file_that_pauses_is_given_three_times_its_longest_pause() -> None:
    settling = Settling(PATIENCE)
    settling.wait(look(5), 0.0, NOW)
    assert settling.wait(look(9, NOW + 1), 1.0, NOW + 1) == pytest.approx(3.0)


def test_no_file_is_waited_for_longer_than_the_longest_patience() -> None:
    settling = Settling(PATIENCE)
    settling.wait(look(5), 0.0, NOW)
    assert settling.wait(look(9, NOW + 9), 9.0, NOW + 9) == pytest.approx(5.0)


def test_a_text_without_its_last_line_s_end_waits_longer() -> None:
    assert Settling(PATIENCE).wait(look(5), 0.0, NOW, open_end=True) == pytest.approx(0.6)


def test_a_replaced_file_has_another_identity_and_a_changed_mode_has_not() -> None:
    assert look(5).identity != look(5)._replace(inode=8).identity
    assert look(5).identity == look(5)._replace(mode=0o100600, ctime_ns=1).identity


@pytest.mark.parametrize("cut", [1, 8, 100])
def test_a_parquet_file_is_whole_only_with_its_footer(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "f.parquet"
    duckdb.connect().execute(f"COPY (SELECT range AS i FROM range(1000)) TO '{path}'")
    size = path.stat().st_size
    descriptor = os.open(path, os.O_RDWR)
    assert parquet_is_whole(descriptor, size)
    os.ftruncate(descriptor, size - cut)
    assert not parquet_is_whole(descriptor, size - cut)
    os.close(descriptor)
