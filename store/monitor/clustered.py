"""The agent's side of counting on a cluster: large files go there, and are counted here where that fails."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from store.monitor import window_files
from store.monitor.bins import Integers, Marks
from store.monitor.kernel import WindowCounts
from store.monitor.profile import Binned
from store.monitor.workers import process
from store.monitor.workers.messages import CountedThere, CountThere
from store.protocol import Refusal

log = logging.getLogger(__name__)

#: Smaller files are counted sooner than a cluster is asked.
LEAST_ROWS = 1_000_000
_MEMORY_BYTES = 16 << 30
_SECONDS = 3_600.0


def count(
    scheduler: str,
    path: Path,
    opened: Path,
    bins: Binned | None,
    places: Mapping[str, str],
    times: Integers,
    counted: Marks | None,
    seconds: int,
) -> WindowCounts | None:
    """`store.monitor.kernel.count_part` of all parts of the Parquet file at `path`, merged; null where the cluster
    cannot: the caller counts to the same bits by itself. `opened` is the path by which this process holds the file.
    """
    held = _identity(opened)
    with tempfile.TemporaryDirectory(prefix="quarterdeck-") as folder:
        files = {name: f"{folder}/{name}.npy" for name in ("times", "counted", "rare")}
        rare = bins.rare if bins else None
        np.save(files["times"], times)
        if counted is not None:
            np.save(files["counted"], counted)
        if rare is not None:
            np.save(files["rare"], rare)
        asked = CountThere(
            scheduler,
            str(path),
            msgspec.Raw(msgspec.json.encode(bins.features if bins else ())),
            dict(places),
            seconds,
            files["times"],
            files["counted"] if counted is not None else "",
            files["rare"] if rare is not None else "",
            f"{folder}/sums.npz",
        )
        try:
            process.run("cluster", asked, CountedThere, memory_bytes=_MEMORY_BYTES, seconds=_SECONDS)
            found = window_files.load(asked.result)
        except (Refusal, OSError) as error:
            log.warning("%s was not counted by the cluster, but here: %s", path, error)
            return None
    if _identity(path) != held:
        log.warning("%s is not the file that arrived any more: counted here", path)
        return None
    return found


def _identity(path: Path) -> tuple[int, int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 (a descriptor's path in /proc, too)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
